//! The data of a recording.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A run, as a list of what happened to each task. It is plain data, so a program may fill in its
/// own and have it drawn.
///
/// All times are nanoseconds since the beginning of the recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recording {
    /// The title of the page.
    pub title: String,
    /// The length of the recording.
    pub duration_ns: u64,
    /// Tasks and groups, in the order of spawning.
    pub tasks: Vec<TaskRecord>,
    /// The number of tasks and groups beyond the limit of the recorder.
    pub omitted: u64,
}

/// What happened to one task, group or other piece of work.
///
/// ```
/// use taskgroup::TaskGroup;
/// use taskgroup::observe::recorder::Recorder;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let recorder = Recorder::start();
/// TaskGroup::builder()
///     .name("shop")
///     .run(async |group| {
///         group.task("orders").spawn(async {});
///         Ok(())
///     })
///     .await
///     .unwrap();
/// for task in recorder.finish().tasks {
///     println!(
///         "{}: {:?}, {:?} ns to {:?} ns",
///         task.name, task.outcome, task.started_ns, task.ended_ns
///     );
/// }
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskRecord {
    /// The index of what it is part of, in [`Recording::tasks`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<usize>,
    /// What it is: `task`, `group`, `run`, or a word of your own. What is of the kind `wait` only
    /// waits, so it is queued from its beginning to its end.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its number, as errors print it.
    pub id: String,
    /// Where it was spawned.
    pub location: String,
    /// Where it ran, if it matters: `node n1`, `worker 3`. The trace has a process for each place,
    /// and the page can group by them.
    ///
    /// ```
    /// use taskgroup::observe::recorder::{Recording, TaskRecord};
    ///
    /// let bar = |name: &str, place: &str| TaskRecord {
    ///     name: name.into(),
    ///     place: Some(place.into()),
    ///     started_ns: Some(0),
    ///     ended_ns: Some(1_000),
    ///     ..TaskRecord::default()
    /// };
    /// let recording = Recording {
    ///     duration_ns: 1_000,
    ///     tasks: vec![bar("build", "node n1"), bar("test", "node n2")],
    ///     ..Recording::default()
    /// };
    /// let mut trace = Vec::new();
    /// recording.write_trace(&mut trace)?;
    /// let trace = String::from_utf8_lossy(&trace);
    /// assert!(trace.contains(r#"{"name":"node n2"}"#));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// When it was spawned.
    pub spawned_ns: u64,
    /// When it was polled for the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_ns: Option<u64>,
    /// When it was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled_ns: Option<u64>,
    /// When it began to clean up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup_ns: Option<u64>,
    /// When its grace had passed, and it was dropped at its next suspension point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub killed_ns: Option<u64>,
    /// When it had ended, with everything below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_ns: Option<u64>,
    /// How it ended; `None` while it has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The error or the panic message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The index of the task that caused its cancellation, in [`Recording::tasks`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caused_by: Option<usize>,
    /// Further details, shown in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<(String, String)>,
}

/// How a task ended.
///
/// ```
/// use taskgroup::TaskGroup;
/// use taskgroup::observe::recorder::{Outcome, Recorder};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let recorder = Recorder::start();
/// TaskGroup::run(async |group| {
///     group.task("fetch").spawn(async {});
///     Ok(())
/// })
/// .await
/// .unwrap();
/// let recording = recorder.finish();
/// let fetch = recording.tasks.iter().find(|task| task.name == "fetch").unwrap();
/// assert_eq!(fetch.outcome, Some(Outcome::Succeeded));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// It came to its value.
    Succeeded,
    /// It returned an error.
    Failed,
    /// It panicked.
    Panicked,
    /// It was cancelled before it had a value.
    Cancelled,
    /// Its grace passed before it had ended.
    Killed,
}

impl Outcome {
    /// The outcome in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Cancelled => "cancelled",
            Self::Killed => "killed",
        }
    }
}

/// A stretch in the life of a task.
///
/// ```
/// use taskgroup::TaskGroup;
/// use taskgroup::observe::recorder::{Phase, Recorder};
/// use tokio::time::{Duration, sleep};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let recorder = Recorder::start();
/// TaskGroup::builder().limit(1).run(async |group| {
///     for name in ["first", "second"] {
///         group.task(name).spawn(sleep(Duration::from_millis(10)));
///     }
///     Ok(())
/// })
/// .await
/// .unwrap();
/// let recording = recorder.finish();
/// let second = recording.tasks.iter().find(|task| task.name == "second").unwrap();
/// let phases = second.phases(recording.duration_ns);
/// for (phase, from, to) in &phases {
///     println!("{}: {from} ns to {to} ns", phase.as_str());
/// }
/// assert_eq!(phases[0].0, Phase::Queued);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Spawned, not started.
    Queued,
    /// Started, not cancelled.
    Running,
    /// Cancelled, and neither cleaning up nor ended.
    Cancelling,
    /// Cancelled, and cleaning up.
    Cleanup,
    /// Its grace has passed, and it has not ended.
    Killed,
}

impl Phase {
    /// The phase in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Cleanup => "cleanup",
            Self::Killed => "killed",
        }
    }
}

impl TaskRecord {
    /// The phases, one after the other without a gap: each from its nanosecond to another. What had
    /// not ended goes on to `end`. Empty phases are left out.
    #[must_use]
    pub fn phases(&self, end: u64) -> Vec<(Phase, u64, u64)> {
        let end = self.ended_ns.unwrap_or(end).max(self.spawned_ns);
        let begins = [
            (Phase::Queued, Some(self.spawned_ns)),
            (Phase::Running, self.started_ns.filter(|_| !self.is_wait())),
            (
                Phase::Cancelling,
                self.cancelled_ns.filter(|_| self.started_ns.is_some()),
            ),
            (Phase::Cleanup, self.cleanup_ns),
            (Phase::Killed, self.killed_ns),
        ];
        let mut phases: Vec<(Phase, u64, u64)> = Vec::new();
        for (phase, begin) in begins {
            let Some(begin) = begin else { continue };
            let begin = begin.clamp(self.spawned_ns, end);
            if let Some(last) = phases.last_mut() {
                // A later phase never begins before an earlier one, whatever the clocks said.
                last.2 = begin.max(last.1);
            }
            let begin = phases.last().map_or(begin, |last| last.2);
            phases.push((phase, begin, end));
        }
        phases.retain(|(_, from, to)| from < to);
        phases
    }

    pub(super) fn is_wait(&self) -> bool {
        self.kind == "wait"
    }

    /// How long cleanup took, if there was any.
    #[must_use]
    pub fn cleanup(&self, end: u64) -> Option<Duration> {
        let from = self.cleanup_ns?;
        Some(Duration::from_nanos(
            self.ended_ns.unwrap_or(end).saturating_sub(from),
        ))
    }
}

impl Recording {
    /// The order in which the records are drawn, each after what it is part of and with its depth.
    /// Parents that make no sense (none of that number, a circle) count as none.
    #[must_use]
    pub fn rows(&self) -> Vec<(usize, usize)> {
        let count = self.tasks.len();
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); count];
        let mut roots = Vec::new();
        for (index, task) in self.tasks.iter().enumerate() {
            match task.parent {
                Some(parent) if parent < count && parent != index => children[parent].push(index),
                _ => roots.push(index),
            }
        }
        let mut rows = Vec::with_capacity(count);
        let mut drawn = vec![false; count];
        // Whatever no root leads to stands in a circle, which is cut where it is met first.
        for from in roots.into_iter().chain(0..count) {
            let mut stack = vec![(from, 0)];
            while let Some((index, depth)) = stack.pop() {
                if std::mem::replace(&mut drawn[index], true) {
                    continue;
                }
                rows.push((index, depth));
                stack.extend(
                    children[index]
                        .iter()
                        .rev()
                        .map(|&child| (child, depth + 1)),
                );
            }
        }
        rows
    }

    /// Whether others were cancelled because of this one, for each task.
    pub(super) fn causes(&self) -> Vec<bool> {
        let mut causes = vec![false; self.tasks.len()];
        for task in &self.tasks {
            if let Some(cause) = task.caused_by.and_then(|cause| causes.get_mut(cause)) {
                *cause = true;
            }
        }
        causes
    }
}
