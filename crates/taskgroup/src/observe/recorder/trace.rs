//! The trace format that Perfetto and `chrome://tracing` open.
//!
//! A group is drawn as a process, and so is a place. Its threads are lanes: a task takes a lane
//! that is free when it starts, so the slices of a lane never overlap, and there are as many lanes
//! as tasks that ran at the same time. How long it was queued is one of its arguments. Inside the
//! slice of a task stand those of its phases, and an arrow leads from who failed to who was
//! cancelled because of it. What never started is a mark on lane 0.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::io::{self, Write};

use serde_json::{Value, json};

use super::model::{Phase, Recording, TaskRecord};

impl Recording {
    /// Writes the recording in the Trace Event Format (JSON), for <https://ui.perfetto.dev> or
    /// `chrome://tracing`.
    ///
    /// ```
    /// use taskgroup::observe::recorder::{Recording, TaskRecord};
    ///
    /// let sleep = TaskRecord {
    ///     name: "sleep".into(),
    ///     started_ns: Some(0),
    ///     ended_ns: Some(2_000),
    ///     ..TaskRecord::default()
    /// };
    /// let recording = Recording {
    ///     duration_ns: 2_000,
    ///     tasks: vec![sleep],
    ///     ..Recording::default()
    /// };
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
        self.name_lanes(&lanes, &mut events)?;
        for (index, task) in self.tasks.iter().enumerate() {
            self.slices(task, lanes[index], &mut events)?;
            if let Some(by) = task.caused_by.filter(|&by| by != index) {
                self.arrow((by, index), &lanes, &mut events)?;
            }
        }
        events.out.write_all(b"\n]}\n")?;
        events.out.flush()
    }

    /// From when to when there is something to be seen of it; none of what never started.
    fn slice(&self, task: &TaskRecord) -> Option<(u64, u64)> {
        let begin = task.started_ns?.max(task.spawned_ns);
        let end = task.ended_ns.unwrap_or(self.duration_ns);
        // Nothing is held by a slice that is open at no time.
        Some((begin, end.max(begin + 1)))
    }

    /// From the one that was the cause to the other. Viewers hold an arrow to the slice that is
    /// open at its end, so both ends stand inside of one.
    fn arrow(
        &self,
        (by, to): (usize, usize),
        lanes: &[(usize, usize)],
        events: &mut Events<impl Write>,
    ) -> io::Result<()> {
        let slice = |index: usize| self.slice(self.tasks.get(index)?);
        let (Some((begin, end)), Some((first, last))) = (slice(by), slice(to)) else {
            return Ok(());
        };
        let at = self.tasks[to].cancelled_ns.unwrap_or(last);
        let at = at.clamp(first, last - 1);
        let from = at.clamp(begin, end - 1);
        if from > at {
            return Ok(());
        }
        events.flow("s", to, lanes[by], from)?;
        events.flow("f", to, lanes[to], at)
    }

    /// The process and the thread that each task is drawn as.
    fn lanes(&self) -> Vec<(usize, usize)> {
        // Per process, the lanes by when they are free.
        let mut free: HashMap<usize, BinaryHeap<Reverse<(u64, usize)>>> = HashMap::new();
        let places = self.places();
        let mut lanes: Vec<_> = (0..self.tasks.len())
            .map(|index| (self.process_of(index, &places), 0))
            .collect();
        let slices = self.tasks.iter().map(|task| self.slice(task));
        let mut slices: Vec<_> = slices
            .enumerate()
            .filter_map(|(index, slice)| Some((slice?, index)))
            .collect();
        slices.sort_by_key(|&((begin, _), index)| (begin, index));
        for ((begin, end), index) in slices {
            let here = free.entry(lanes[index].0).or_default();
            let lane = match here.peek() {
                Some(&Reverse((free, lane))) if free <= begin => {
                    here.pop();
                    lane
                }
                _ => here.len() + 1,
            };
            here.push(Reverse((end, lane)));
            lanes[index].1 = lane;
        }
        lanes
    }

    /// The places, in the order of their names: `n2` before `n10`.
    fn places(&self) -> Vec<&str> {
        let places = self.tasks.iter().filter_map(|task| task.place.as_deref());
        let places = BTreeSet::from_iter(places.map(|place| (place.len(), place)));
        places.into_iter().map(|(_, place)| place).collect()
    }

    /// A task is drawn in the process of its place, or else of what it is part of; what is part of
    /// nothing in process 1. The processes of the places come last.
    fn process_of(&self, index: usize, places: &[&str]) -> usize {
        let task = &self.tasks[index];
        if let Some(place) = &task.place {
            let key = (place.len(), &**place);
            let at = places.partition_point(|place| (place.len(), *place) < key);
            return self.tasks.len() + 2 + at;
        }
        match task.parent {
            Some(parent) if parent < self.tasks.len() && parent != index => parent + 2,
            _ => 1,
        }
    }

    fn name_of(&self, process: usize, places: &[&str]) -> String {
        let Some(index) = process.checked_sub(2) else {
            return match &*self.title {
                "" => "process".to_owned(),
                title => title.to_owned(),
            };
        };
        match self.tasks.get(index) {
            Some(parent) if parent.id.is_empty() => format!("{} {}", parent.kind, parent.name),
            Some(parent) => format!("{} {} [{}]", parent.kind, parent.name, parent.id),
            None => places[index - self.tasks.len()].to_owned(),
        }
    }

    fn name_lanes(
        &self,
        lanes: &[(usize, usize)],
        events: &mut Events<impl Write>,
    ) -> io::Result<()> {
        let mut named = None;
        let places = self.places();
        for &(process, lane) in &BTreeSet::from_iter(lanes.iter().copied()) {
            if named.replace(process) != Some(process) {
                let name = self.name_of(process, &places);
                events.about(process, 0, "process_name", &json!({"name": name}))?;
                events.about(
                    process,
                    0,
                    "process_sort_index",
                    &json!({"sort_index": process}),
                )?;
            }
            let name = match lane {
                0 => "never started".to_owned(),
                lane => format!("lane {lane}"),
            };
            events.about(process, lane, "thread_name", &json!({"name": name}))?;
            // What never started stands below.
            let place = if lane == 0 { lanes.len() + 1 } else { lane };
            events.about(
                process,
                lane,
                "thread_sort_index",
                &json!({"sort_index": place}),
            )?;
        }
        Ok(())
    }

    fn slices(
        &self,
        task: &TaskRecord,
        (process, lane): (usize, usize),
        events: &mut Events<impl Write>,
    ) -> io::Result<()> {
        let name = if task.name.is_empty() {
            &task.kind
        } else {
            &task.name
        };
        let args = self.facts(task);
        let Some((begin, end)) = self.slice(task) else {
            let at = task.ended_ns.unwrap_or(self.duration_ns);
            return events.add(&json!({
                "ph": "i", "s": "t", "name": name, "cat": task.kind, "pid": process, "tid": lane,
                "ts": micros(at.max(task.spawned_ns)), "args": args,
            }));
        };
        events.add(&json!({
            "ph": "X", "name": name, "cat": task.kind, "pid": process, "tid": lane,
            "ts": micros(begin), "dur": micros(end - begin), "args": args,
        }))?;
        for (phase, from, to) in task.phases(self.duration_ns) {
            if phase == Phase::Queued {
                continue;
            }
            events.add(&json!({
                "ph": "X", "name": phase.as_str(), "cat": "phase", "pid": process, "tid": lane,
                "ts": micros(from), "dur": micros(to - from),
            }))?;
        }
        Ok(())
    }

    fn facts(&self, task: &TaskRecord) -> serde_json::Map<String, Value> {
        let outcome = task.outcome.map(|outcome| outcome.as_str().to_owned());
        let begin = task.started_ns.or(task.ended_ns);
        let queued = begin
            .unwrap_or(self.duration_ns)
            .saturating_sub(task.spawned_ns);
        let known = [
            ("id", Some(task.id.clone())),
            ("spawned at", Some(task.location.clone())),
            ("queued for", Some(format!("{} µs", micros(queued)))),
            ("outcome", outcome),
            ("error", task.error.clone()),
            ("cancelled because", task.reason.clone()),
            ("place", task.place.clone()),
        ];
        let known = known
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .filter(|(_, value)| !value.is_empty());
        known
            .chain(task.details.iter().cloned())
            .map(|(key, value)| (key, Value::String(value)))
            .collect()
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

    /// The name or the place of a process or one of its threads.
    fn about(&mut self, process: usize, lane: usize, what: &str, args: &Value) -> io::Result<()> {
        self.add(&json!({"ph": "M", "name": what, "pid": process, "tid": lane, "args": args}))
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
