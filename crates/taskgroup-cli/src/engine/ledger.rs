//! The ledger records what happened. It writes to the files as things happen, and keeps what the
//! report needs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::plan::{Task, Work};
use crate::record::{Counts, Entry};
use crate::tell::{Journal, Past, Progress};

/// What the ledger keeps of the tasks that have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    Everything,
    /// Only what the report needs: an endless `map` must not fill the memory.
    Notable,
}

pub(crate) struct Ledger {
    memory: Memory,
    past: Mutex<Past>,
    state: Mutex<State>,
    progress: Progress,
}

struct State {
    entries: Vec<Entry>,
    counts: Counts,
    journal: Journal,
}

impl Ledger {
    pub(crate) fn new(memory: Memory, past: Past, journal: Journal, progress: Progress) -> Ledger {
        Ledger {
            memory,
            past: Mutex::new(past),
            progress,
            state: Mutex::new(State {
                entries: Vec::new(),
                counts: Counts::default(),
                journal,
            }),
        }
    }

    /// An earlier run did it; each success counts for one task.
    pub(super) fn was_done(&self, name: &str, work: &Work) -> bool {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        !past.is_empty() && past.take(name, &work.key())
    }

    pub(super) fn started(&self, task: &Task, attempt: u32, at: Duration) {
        self.lock().journal.started(task, attempt, at);
        self.progress.started(attempt);
    }

    pub(super) fn ended(&self, entry: Entry, work: &Work) {
        let mut state = self.lock();
        state.journal.ended(&entry, work);
        state.counts.add(&entry.record.ending);
        self.progress.ended(&entry, &state.counts);
        self.keep(&mut state, entry);
    }

    pub(super) fn cleaned_up(&self, entry: Entry, work: &Work) {
        let mut state = self.lock();
        state.journal.ended(&entry, work);
        if entry.record.is_failure() {
            state.counts.failed += 1;
        }
        self.keep(&mut state, entry);
    }

    fn keep(&self, state: &mut State, entry: Entry) {
        if self.memory == Memory::Everything || !entry.record.is_plain() {
            state.entries.push(entry);
        }
    }

    /// All entries, in the order of the tasks, and the journal, which the caller closes.
    pub(crate) fn close(&self) -> (Vec<Entry>, Counts, Journal) {
        let mut state = self.lock();
        let mut entries = std::mem::take(&mut state.entries);
        entries.sort_by_key(|entry| entry.id);
        let journal = std::mem::take(&mut state.journal);
        self.progress.finish();
        (entries, state.counts, journal)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
