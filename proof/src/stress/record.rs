//! What the program records about a group, independently of the library.
//!
//! - **SR1** A guard in the future of each child counts it in the records of its group and of the
//!   groups around it. It counts from before the code of the group spawns the child, or from the
//!   first poll if other code spawns it, until the child is dropped.
//! - **SR2** A failure enters `failures` in the poll that returns it, and nothing can fail between
//!   that and the end of the poll.
//! - **SR3** If a group is dropped, its record passes its failures on, and later ones as they
//!   arrive, before the code that dropped the group continues. So the record of the group around is
//!   complete when its outcome is checked.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use taskgroup::error::QuorumMissed;
use taskgroup::{ErrorGroup, TaskError};

use super::foreign::{StressError, guarded};
use super::tally::{DELIBERATE, TALLY, count, lock};

/// When a policy reports every failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tells {
    /// If there is one.
    Always,
    /// If the group did not get the successes it wanted.
    UnlessSatisfied,
}

#[derive(Debug)]
pub(crate) struct Record {
    /// The group whose code opened this one and keeps it.
    parent: Option<Arc<Record>>,
    tells: Tells,
    /// Neither the group nor one of its handles is in the bag, so only the code around it can
    /// cancel a child.
    private: bool,
    failures: Mutex<Failures>,
    alive: AtomicI64,
    cut_off: AtomicU64,
}

/// Which failures the group has to report.
#[derive(Debug, Default)]
struct Failures {
    known: Vec<u64>,
    /// A hook of the group got these, perhaps before they were recorded here.
    handed_on: HashSet<u64>,
    /// The group will not report any more. It has ended, or it was dropped and leaves that to the
    /// group around.
    over: bool,
}

/// How a group ended.
pub(crate) enum Ended<'a> {
    /// With the value of its body, which means that the children ran to their ends.
    Value,
    /// With the value of its body, which means nothing for the children.
    Told,
    /// Cancelled, without a failure.
    Cancelled,
    Failed(&'a ErrorGroup),
    /// Its body panicked.
    Panicked,
}

impl Record {
    pub(crate) fn new(parent: Option<&Arc<Self>>, tells: Tells, private: bool) -> Arc<Self> {
        Arc::new(Self {
            parent: parent.cloned(),
            tells,
            private,
            failures: Mutex::default(),
            alive: AtomicI64::new(0),
            cut_off: AtomicU64::new(0),
        })
    }

    pub(crate) fn is_private(&self) -> bool {
        self.private
    }

    /// The group around, if that has to report what this one no longer reports.
    fn heir(&self) -> Option<&Self> {
        // A satisfied group may drop the failures that it does not report.
        self.parent
            .as_deref()
            .filter(|_| self.tells == Tells::Always)
    }

    pub(crate) fn failed(&self, id: u64) {
        let mut failures = lock(&self.failures);
        if failures.handed_on.contains(&id) {
            return;
        }
        if !failures.over {
            failures.known.push(id);
        } else if let Some(heir) = self.heir() {
            drop(failures);
            heir.failed(id);
        }
    }

    /// The failure was delivered elsewhere, so the group need not report it.
    pub(crate) fn delivered(&self, id: u64) {
        let mut next = Some(self);
        while let Some(record) = next {
            lock(&record.failures).known.retain(|&known| known != id);
            next = record.heir();
        }
    }

    /// A hook of the group got the failure.
    pub(crate) fn handed_on(&self, id: u64) {
        lock(&self.failures).handed_on.insert(id);
        self.delivered(id);
    }

    /// The group reports nothing any more. Its failures go to the group around, or are returned.
    fn close(&self, inherits: bool) -> Vec<u64> {
        let known = {
            let mut failures = lock(&self.failures);
            failures.over = true;
            std::mem::take(&mut failures.known)
        };
        match self.heir().filter(|_| inherits) {
            Some(heir) => {
                for id in known {
                    heir.failed(id);
                }
                Vec::new()
            }
            None => known,
        }
    }

    fn count(&self, change: i64) {
        TALLY.alive.fetch_add(change, Ordering::SeqCst);
        let mut next = Some(self);
        while let Some(record) = next {
            record.alive.fetch_add(change, Ordering::SeqCst);
            next = record.parent.as_deref();
        }
    }

    /// Compares the outcome of the group with the record.
    pub(crate) fn ended(&self, ended: &Ended<'_>) {
        let owed = self.close(matches!(ended, Ended::Panicked));
        let alive = self.alive.load(Ordering::SeqCst);
        if alive != 0 {
            TALLY.violation(&format!(
                "{alive} children are alive after the end of their group"
            ));
        }
        if let Ended::Panicked = ended {
            return;
        }
        let told = match ended {
            Ended::Failed(error) => {
                count(&TALLY.failed);
                ids(error)
            }
            _ => Vec::new(),
        };
        let mut seen = HashSet::new();
        for &id in &told {
            if !seen.insert(id) {
                TALLY.violation(&format!(
                    "failure {id} is in an outcome twice: {}",
                    say(ended)
                ));
            }
        }
        let all_told = match (self.tells, ended) {
            (Tells::Always, _) => true,
            (Tells::UnlessSatisfied, Ended::Failed(error)) => error.contains::<QuorumMissed>(),
            _ => false,
        };
        if all_told {
            for id in owed {
                if !seen.contains(&id) {
                    let ended = say(ended);
                    TALLY.violation(&format!("failure {id} is missing from an outcome: {ended}"));
                }
            }
        }
        match ended {
            Ended::Value if self.private && self.tells == Tells::Always => {
                let cut_off = self.cut_off.load(Ordering::SeqCst);
                if cut_off != 0 {
                    TALLY.violation(&format!(
                        "a group returned Ok although {cut_off} children were cut off"
                    ));
                }
            }
            Ended::Cancelled => count(&TALLY.cancelled),
            _ => {}
        }
    }
}

fn say(ended: &Ended<'_>) -> String {
    match ended {
        Ended::Value | Ended::Told => "Ok".to_owned(),
        Ended::Cancelled => "cancelled".to_owned(),
        Ended::Panicked => "panicked".to_owned(),
        Ended::Failed(error) => {
            // The others: a failure may have come back in another form.
            let others = error.leaves().filter(|leaf| id(leaf.task()).is_none());
            let others: Vec<_> = others.map(|leaf| leaf.to_string()).collect();
            let count = error.leaf_count();
            format!("{count} failures, {:?}, others {others:?}", ids(error))
        }
    }
}

/// The program's own failures in an outcome, in the order of the outcome.
pub(crate) fn ids(error: &ErrorGroup) -> Vec<u64> {
    let mut ids = Vec::new();
    for leaf in error.leaves() {
        // Asking for a source may panic.
        guarded(|| ids.extend(id(leaf.task())));
    }
    ids
}

fn id(task: &TaskError) -> Option<u64> {
    // The error itself first, because asking for its source may panic.
    let error = task.downcast_ref::<StressError>();
    match error.or_else(|| task.find::<StressError>()) {
        Some(error) => Some(error.id()),
        None => panic_id(task.panic_message()?),
    }
}

/// The program's own failures in one that a hook gets.
pub(crate) fn task_ids(task: &TaskError) -> Vec<u64> {
    if let Some(group) = task.downcast_ref::<ErrorGroup>() {
        return ids(group);
    }
    let mut found = Vec::new();
    guarded(|| found.extend(id(task)));
    found
}

/// The number in the message of a deliberate panic.
pub(crate) fn panic_id(message: &str) -> Option<u64> {
    message.strip_prefix(DELIBERATE)?.parse().ok()
}

/// Passes a record on if its group is dropped before it has ended.
pub(crate) struct Watch(pub(crate) Arc<Record>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.close(true);
    }
}

/// Is part of the future of a child.
pub(crate) struct Alive {
    record: Arc<Record>,
    counted: bool,
    finished: bool,
    /// Its group ends without waiting for its value, or its handle is cancelled.
    expendable: bool,
}

impl Alive {
    /// For a child that is spawned by code of the group itself.
    pub(crate) fn own(record: &Arc<Record>) -> Self {
        let mut alive = Self::foreign(record);
        alive.polled();
        alive
    }

    /// For a child that is spawned by other code. It may be refused, so it counts from its first
    /// poll.
    pub(crate) fn foreign(record: &Arc<Record>) -> Self {
        count(&TALLY.children);
        Self {
            record: record.clone(),
            counted: false,
            finished: false,
            expendable: false,
        }
    }

    /// It may be cut off without a report.
    pub(crate) fn expendable(mut self) -> Self {
        self.expendable = true;
        self
    }

    pub(crate) fn polled(&mut self) {
        if !self.counted {
            self.counted = true;
            self.record.count(1);
        }
    }

    pub(crate) fn finished(&mut self) {
        self.finished = true;
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if self.counted {
            if !self.finished && !self.expendable {
                self.record.cut_off.fetch_add(1, Ordering::SeqCst);
            }
            self.record.count(-1);
        }
    }
}

/// A cleanup that has to run, unless its runtime is shut down or a grace ends.
pub(crate) struct Cleanup {
    excused: Arc<AtomicBool>,
    ran: bool,
}

impl Cleanup {
    pub(crate) fn new(excused: &Arc<AtomicBool>) -> Self {
        TALLY.cleanups.fetch_add(1, Ordering::SeqCst);
        Self {
            excused: excused.clone(),
            ran: false,
        }
    }

    pub(crate) fn run(mut self) {
        self.ran = true;
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        TALLY.cleanups.fetch_sub(1, Ordering::SeqCst);
        if !self.ran && !self.excused.load(Ordering::SeqCst) {
            TALLY.violation("a cleanup was dropped before it ran");
        }
    }
}
