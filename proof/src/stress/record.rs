//! What the program records about a group, independently of the library.
//!
//! - **SR1** A guard in the future of each child counts it in the record of its group and in those
//!   of the groups around it, from before the child is spawned by code of the group (or from its
//!   first poll, when other code spawns it) until it is dropped.
//! - **SR2** A failure enters `failures` in the poll that returns it, and nothing can fail between
//!   that and the end of the poll.
//! - **SR3** The record of a group that is dropped hands its failures on, and later ones as they
//!   come, before the code that dropped the group goes on. So the record of the group around is
//!   complete when its outcome is looked at.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use taskgroup::error::QuorumMissed;
use taskgroup::{ErrorGroup, TaskError};

use super::foreign::{StressError, guarded};
use super::tally::{DELIBERATE, TALLY, count, lock};

/// When a policy lets every failure out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tells {
    /// Whenever there is one.
    Always,
    /// When the group did not get the successes it wanted.
    UnlessSatisfied,
}

#[derive(Debug)]
pub(crate) struct Record {
    /// The group whose code opened this one and does not give it away.
    parent: Option<Arc<Record>>,
    tells: Tells,
    /// Neither the group nor a handle of it is in the bag: only its surroundings can cancel a
    /// child.
    private: bool,
    failures: Mutex<Failures>,
    alive: AtomicI64,
    cut_off: AtomicU64,
}

/// Which failures the group has to tell of.
#[derive(Debug, Default)]
struct Failures {
    known: Vec<u64>,
    /// The group will not tell of any: it has ended, or it was dropped and leaves that to the group
    /// around.
    over: bool,
}

/// How a group ended.
pub(crate) enum Ended<'a> {
    /// With the value of its body, which says that the children came to their end.
    Value,
    /// With the value of its body, which says nothing about the children.
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

    /// The group around, if it is the one to tell of what this one no longer tells of.
    fn heir(&self) -> Option<&Self> {
        // What a group keeps for itself when it is satisfied may go with it.
        self.parent
            .as_deref()
            .filter(|_| self.tells == Tells::Always)
    }

    pub(crate) fn failed(&self, id: u64) {
        let mut failures = lock(&self.failures);
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

    /// The group tells of nothing any more. What it knew goes to the group around, or is given
    /// back.
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

    /// Compares the outcome of the group with what is known about it.
    pub(crate) fn ended(&self, ended: &Ended<'_>) {
        let owed = self.close(matches!(ended, Ended::Panicked));
        let alive = self.alive.load(Ordering::SeqCst);
        if alive != 0 {
            TALLY.violation(&format!("{alive} children are alive after their group"));
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
                    "failure {id} is twice in an outcome: {}",
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
                    TALLY.violation(&format!("failure {id} is missing in an outcome: {ended}"));
                }
            }
        }
        match ended {
            Ended::Value if self.private && self.tells == Tells::Always => {
                let cut_off = self.cut_off.load(Ordering::SeqCst);
                if cut_off != 0 {
                    TALLY.violation(&format!(
                        "a group says Ok, and {cut_off} children were cut off"
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
            // What the others say: a failure may have come back as something else.
            let others = error.leaves().filter(|leaf| id(leaf.task()).is_none());
            let others: Vec<_> = others.map(|leaf| leaf.to_string()).collect();
            let count = error.leaf_count();
            format!("{count} failures, {:?}, others {others:?}", ids(error))
        }
    }
}

/// The program's own failures in an outcome, in its order.
pub(crate) fn ids(error: &ErrorGroup) -> Vec<u64> {
    let mut ids = Vec::new();
    for leaf in error.leaves() {
        // The way to a source may panic.
        guarded(|| ids.extend(id(leaf.task())));
    }
    ids
}

fn id(task: &TaskError) -> Option<u64> {
    // The error itself first: the way to its source may panic.
    let error = task.downcast_ref::<StressError>();
    match error.or_else(|| task.find::<StressError>()) {
        Some(error) => Some(error.id()),
        None => panic_id(task.panic_message()?),
    }
}

/// The number in the message of a deliberate panic.
pub(crate) fn panic_id(message: &str) -> Option<u64> {
    message.strip_prefix(DELIBERATE)?.parse().ok()
}

/// Passes a record on when its group is dropped before it has ended.
pub(crate) struct Watch(pub(crate) Arc<Record>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.close(true);
    }
}

/// Lives in the future of a child.
pub(crate) struct Alive {
    record: Arc<Record>,
    counted: bool,
    finished: bool,
    /// Its group ends without waiting for its value, or its handle is cancelled.
    expendable: bool,
}

impl Alive {
    /// For a child that code of the group itself spawns.
    pub(crate) fn own(record: &Arc<Record>) -> Self {
        let mut alive = Self::foreign(record);
        alive.polled();
        alive
    }

    /// For a child that other code spawns, which may be refused: it counts from its first poll.
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

/// A cleanup that has been set up. It has to run, unless its runtime goes down or a grace ends.
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
            TALLY.violation("a cleanup was dropped without having run");
        }
    }
}
