//! The ledger records what happened. It writes to the files as things happen, and keeps what the
//! report needs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::plan::{Task, Work};
use crate::record::{Counts, Entry};
use crate::report;
use crate::tell::{JobLog, Journal, Past, Progress};

/// What the ledger keeps of the tasks that have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    Everything,
    /// Only what the report needs: neither an endless `map` nor the output of many commands must
    /// fill the memory.
    Notable,
}

pub(crate) struct Ledger {
    memory: Memory,
    past: Mutex<Past>,
    state: Mutex<State>,
    progress: Progress,
    /// When the run began.
    date: SystemTime,
}

struct State {
    entries: Vec<Entry>,
    counts: Counts,
    files: Records,
    slowest: Slowest,
    /// How many tasks of the input were left over.
    left_over: usize,
}

/// The files that are written as things happen.
#[derive(Default)]
pub(crate) struct Records {
    pub(crate) journal: Journal,
    pub(crate) joblog: JobLog,
}

/// What is left when all has ended.
pub(crate) struct Closed {
    /// In the order of the tasks.
    pub(crate) entries: Vec<Entry>,
    pub(crate) counts: Counts,
    pub(crate) slowest: Vec<(Duration, String)>,
    /// Taken only once.
    pub(crate) files: Records,
}

/// The longest of the commands that have run.
struct Slowest {
    count: usize,
    /// The longest first.
    longest: Vec<(Duration, String)>,
}

impl Ledger {
    /// Remembers this many of the slowest commands.
    pub(crate) fn new(
        memory: Memory,
        slowest: usize,
        past: Past,
        files: Records,
        progress: Progress,
    ) -> Ledger {
        Ledger {
            memory,
            past: Mutex::new(past),
            progress,
            date: SystemTime::now(),
            state: Mutex::new(State {
                entries: Vec::new(),
                counts: Counts::default(),
                files,
                left_over: 0,
                slowest: Slowest {
                    count: slowest,
                    longest: Vec::new(),
                },
            }),
        }
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    pub(crate) fn date(&self) -> SystemTime {
        self.date
    }

    /// An earlier run did it; each success counts for one task. Without a name, of any task.
    pub(super) fn was_done(&self, name: Option<&str>, work: &Work) -> bool {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        !past.is_empty() && past.take(name, &work.key())
    }

    pub(super) fn started(&self, task: &Task, attempt: u32, at: Duration) {
        self.lock().files.journal.started(task, attempt, at);
        self.progress.started(task.id, &task.spec.name, attempt);
    }

    pub(super) fn ready(&self, task: &Task, at: Duration) {
        self.lock().files.journal.ready(task, at);
    }

    /// `headed` says that the output of the task has had a heading, `forgiven` that a failure of it
    /// is one of those that do not count for now.
    pub(super) fn ended(&self, entry: Entry, work: &Work, headed: bool, forgiven: bool) {
        let mut state = self.lock();
        state.files.journal.ended(&entry, work);
        state.files.joblog.ended(&entry);
        state.counts.add(&entry.record.ending);
        state.counts.flaky += u64::from(entry.is_flaky());
        state.counts.forgiven += u64::from(forgiven);
        state.slowest.add(&entry);
        let told = (headed, forgiven);
        self.progress.ended(&entry, &state.counts, told);
        self.keep(&mut state, entry);
    }

    /// The rest of an input may be long, so only the first tasks of it are kept.
    pub(super) fn left_over(&self, entry: Entry, work: &Work) {
        let mut state = self.lock();
        state.files.journal.ended(&entry, work);
        state.counts.add(&entry.record.ending);
        state.left_over += 1;
        if self.memory == Memory::Everything || state.left_over <= report::NAMED {
            state.entries.push(entry);
        }
    }

    pub(super) fn cleaned_up(&self, entry: Entry, work: &Work, forgiven: bool) {
        let mut state = self.lock();
        state.files.journal.ended(&entry, work);
        state.counts.failed += u64::from(entry.record.is_failure());
        state.counts.forgiven += u64::from(forgiven);
        self.keep(&mut state, entry);
    }

    fn keep(&self, state: &mut State, entry: Entry) {
        if self.memory == Memory::Everything || entry.is_notable() {
            state.entries.push(entry);
        }
    }

    /// This many failures that were forgiven count after all.
    pub(super) fn count_after_all(&self, failures: u64) {
        self.lock().counts.forgiven -= failures;
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts
    }

    pub(crate) fn close(&self) -> Closed {
        let mut state = self.lock();
        let mut entries = std::mem::take(&mut state.entries);
        entries.sort_by_key(|entry| entry.id);
        self.progress.finish();
        Closed {
            entries,
            counts: state.counts,
            slowest: std::mem::take(&mut state.slowest.longest),
            files: std::mem::take(&mut state.files),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slowest {
    fn add(&mut self, entry: &Entry) {
        if self.count == 0 || entry.began.is_none() {
            return;
        }
        let took = entry.took();
        let at = self.longest.partition_point(|(other, _)| *other >= took);
        if at < self.count {
            self.longest.insert(at, (took, report::named(entry)));
            self.longest.truncate(self.count);
        }
    }
}
