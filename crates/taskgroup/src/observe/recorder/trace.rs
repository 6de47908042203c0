//! The trace format that Perfetto and `chrome://tracing` open.
//!
//! A group is drawn as a process, whose threads are lanes: a task takes a lane that is free when it is spawned, so the slices of
//! a lane never overlap. Inside the slice of a task stand those of its phases, and an arrow leads from who failed to who was cancelled
//! because of it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, Write};

use serde_json::{Value, json};

use super::model::{Recording, TaskRecord};

impl Recording {
    /// Writes the recording in the Trace Event Format (JSON), for <https://ui.perfetto.dev> or `chrome://tracing`.
    ///
    /// ```
    /// use taskgroup::recorder::{Recording, TaskRecord};
    ///
    /// let sleep = TaskRecord { name: "sleep".into(), started_ns: Some(0), ended_ns: Some(2_000), ..TaskRecord::default() };
    /// let recording = Recording { duration_ns: 2_000, tasks: vec![sleep], ..Recording::default() };
    /// let mut trace = Vec::new();
    /// recording.write_trace(&mut trace)?;
    /// assert!(String::from_utf8_lossy(&trace).contains(r#""name":"sleep""#));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_trace(&self, out: impl Write) -> io::Result<()> {
        let mut out = io::BufWriter::new(out);
        out.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[")?;
        let mut events = Events { out, any: false };
        let lanes = self.lanes();
        self.name_processes(&mut events)?;
        for (index, task) in self.tasks.iter().enumerate() {
            self.slices(task, lanes[index], &mut events)?;
            if let Some((by, cause)) = task
                .caused_by
                .and_then(|by| Some((by, self.tasks.get(by)?)))
                .filter(|&(by, _)| by != index)
            {
                let at = task.cancelled_ns.unwrap_or(task.spawned_ns);
                let from = cause.ended_ns.unwrap_or(at).min(at).max(cause.spawned_ns);
                events.flow("s", index, lanes[by], from)?;
                events.flow("f", index, lanes[index], at.max(from))?;
            }
        }
        events.out.write_all(b"\n]}\n")?;
        events.out.flush()
    }

    /// The process and the thread that each task is drawn as.
    fn lanes(&self) -> Vec<(usize, usize)> {
        // Per process, the lanes by when they are free.
        let mut free: HashMap<usize, BinaryHeap<Reverse<(u64, usize)>>> = HashMap::new();
        let mut order: Vec<usize> = (0..self.tasks.len()).collect();
        order.sort_by_key(|&index| self.tasks[index].spawned_ns);
        let mut lanes = vec![(0, 0); self.tasks.len()];
        for index in order {
            let task = &self.tasks[index];
            let process = self.process_of(index);
            let end = task
                .ended_ns
                .unwrap_or(self.duration_ns)
                .max(task.spawned_ns);
            let here = free.entry(process).or_default();
            let lane = match here.peek() {
                Some(&Reverse((free, lane))) if free <= task.spawned_ns => {
                    here.pop();
                    lane
                }
                _ => here.len() + 1,
            };
            here.push(Reverse((end, lane)));
            lanes[index] = (process, lane);
        }
        lanes
    }

    /// A task is drawn in the process of what it is part of; what is part of nothing in process 1.
    fn process_of(&self, index: usize) -> usize {
        match self.tasks[index].parent {
            Some(parent) if parent < self.tasks.len() && parent != index => parent + 2,
            _ => 1,
        }
    }

    fn name_processes(&self, events: &mut Events<impl Write>) -> io::Result<()> {
        let mut named = vec![false; self.tasks.len() + 2];
        for index in 0..self.tasks.len() {
            let process = self.process_of(index);
            if std::mem::replace(&mut named[process], true) {
                continue;
            }
            let name = match process.checked_sub(2).map(|parent| &self.tasks[parent]) {
                Some(parent) => format!("{} {} [{}]", parent.kind, parent.name, parent.id),
                None if self.title.is_empty() => "process".to_owned(),
                None => self.title.clone(),
            };
            events.add(&json!({"ph": "M", "name": "process_name", "pid": process, "tid": 0, "args": {"name": name}}))?;
            events.add(&json!({"ph": "M", "name": "process_sort_index", "pid": process, "tid": 0, "args": {"sort_index": process}}))?;
        }
        Ok(())
    }

    fn slices(
        &self,
        task: &TaskRecord,
        (process, lane): (usize, usize),
        events: &mut Events<impl Write>,
    ) -> io::Result<()> {
        let end = task
            .ended_ns
            .unwrap_or(self.duration_ns)
            .max(task.spawned_ns);
        let mut args = serde_json::Map::new();
        let outcome = task.outcome.map(|outcome| outcome.as_str().to_owned());
        let known = [
            ("id", Some(task.id.clone())),
            ("spawned at", Some(task.location.clone())),
            ("outcome", outcome),
            ("error", task.error.clone()),
            ("cancelled because", task.reason.clone()),
        ];
        for (key, value) in known {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                args.insert(key.to_owned(), Value::String(value));
            }
        }
        for (key, value) in &task.details {
            args.insert(key.clone(), Value::String(value.clone()));
        }
        events.add(&json!({
            "ph": "X", "name": task.name, "cat": task.kind, "pid": process, "tid": lane,
            "ts": micros(task.spawned_ns), "dur": micros(end - task.spawned_ns), "args": args,
        }))?;
        for (phase, from, to) in task.phases(self.duration_ns) {
            events.add(&json!({
                "ph": "X", "name": phase.as_str(), "cat": "phase", "pid": process, "tid": lane,
                "ts": micros(from), "dur": micros(to - from),
            }))?;
        }
        Ok(())
    }
}

/// The format counts in microseconds; it takes fractions.
fn micros(nanos: u64) -> f64 {
    #[allow(clippy::cast_precision_loss)] // exact for the first hundred days
    let nanos = nanos as f64;
    nanos / 1000.0
}

struct Events<W> {
    out: W,
    any: bool,
}

impl<W: Write> Events<W> {
    fn add(&mut self, event: &Value) -> io::Result<()> {
        let comma: &[u8] = if self.any { b",\n" } else { b"\n" };
        self.any = true;
        self.out.write_all(comma)?;
        serde_json::to_writer(&mut self.out, event)?;
        Ok(())
    }

    fn flow(
        &mut self,
        phase: &str,
        id: usize,
        (process, lane): (usize, usize),
        at: u64,
    ) -> io::Result<()> {
        self.add(&json!({
            "ph": phase, "bp": "e", "name": "cancelled because", "cat": "cause", "id": id,
            "pid": process, "tid": lane, "ts": micros(at),
        }))
    }
}
