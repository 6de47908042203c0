//! What an interpreter reports, and its canonical form.
//!
//! Two traces are equal if every task did the same things at the same instants in the same order
//! and ended the same way. The order of events of *different* tasks at one instant is not promised:
//! S25 promises only the order of cancellation and of errors. So the canonical form has one list
//! for each task. The members of an error tree are sorted, because the order of errors at one
//! instant is not promised either.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::program::Id;

/// The neutral form of an error.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Tree {
    /// The error of a group.
    Group {
        /// The group.
        group: Id,
        /// Its errors.
        members: Vec<Tree>,
    },
    /// A `fail` statement, or an `on_cancel` that ends with an error.
    Fail {
        /// The statement.
        fail: Id,
    },
    /// A `panic` statement.
    Panic {
        /// The statement.
        panic: Id,
    },
    /// A `deadline` of kind `timeout`.
    Timeout {
        /// The statement.
        timeout: Id,
    },
    /// A group that wanted a success and had no task that could have one.
    Missed {
        /// The group.
        missed: Id,
    },
}

impl Tree {
    fn sort(&mut self) {
        if let Self::Group { members, .. } = self {
            members.iter_mut().for_each(Self::sort);
            members.sort();
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group { group, members } => {
                write!(f, "group {group} [")?;
                for (index, member) in members.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{member}")?;
                }
                f.write_str("]")
            }
            Self::Fail { fail } => write!(f, "fail {fail}"),
            Self::Panic { panic } => write!(f, "panic {panic}"),
            Self::Timeout { timeout } => write!(f, "timeout {timeout}"),
            Self::Missed { missed } => write!(f, "missed {missed}"),
        }
    }
}

/// How something ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    /// Without an error: `ok`, `cancelled` or `expired`.
    Quiet(Quiet),
    /// With an error.
    Failed(Tree),
}

/// An end without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quiet {
    /// With a value.
    Ok,
    /// By cancellation.
    Cancelled,
    /// By a deadline.
    Expired,
}

impl Outcome {
    /// Ended with a value.
    pub const OK: Self = Self::Quiet(Quiet::Ok);
    /// Ended by cancellation.
    pub const CANCELLED: Self = Self::Quiet(Quiet::Cancelled);
    /// Ended by a deadline.
    pub const EXPIRED: Self = Self::Quiet(Quiet::Expired);
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quiet(Quiet::Ok) => f.write_str("ok"),
            Self::Quiet(Quiet::Cancelled) => f.write_str("cancelled"),
            Self::Quiet(Quiet::Expired) => f.write_str("expired"),
            Self::Failed(tree) => write!(f, "failed: {tree}"),
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A task was polled for the first time.
    Start,
    /// A task and everything below it has ended.
    End,
    /// A sleep ended.
    Slept,
    /// A wait was cut short by a cancellation.
    Interrupted,
    /// A `fail` was reached.
    Fail,
    /// A `panic` was reached.
    Panic,
    /// A group was left.
    Group,
    /// A task was joined.
    Joined,
    /// A wait for a task was given up.
    GaveUp,
    /// A task reported that it is ready.
    Ready,
    /// A `start` ended: the task is ready, or has ended before.
    Started,
    /// A race ended.
    Raced,
    /// A deferred block began.
    Deferred,
    /// A deferred block ended.
    Undeferred,
    /// A statement named a task that has not been spawned.
    Absent,
    /// A cancellation was requested.
    Cancels,
    /// A shield was left.
    Unshielded,
    /// A deadline block was left.
    Deadline,
    /// A deadline was moved.
    Reschedules,
    /// The cleanup of an `ensure` ran.
    Cleanup,
    /// The release of a bracket began.
    Release,
    /// The release of a bracket ended.
    Released,
    /// The cleanup of an `on_cancel` began.
    Oncancel,
    /// The cleanup of an `on_cancel` ended.
    Cleaned,
    /// A `catch` caught an error.
    Caught,
    /// The library itself panicked. A panic of the program is not traced like this.
    Broken,
    /// The program never ended. No oracle reports that, because it does not survive such a program.
    Stuck,
}

/// One observation: instant, task, what, which statement, how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event(pub u64, pub Id, pub Kind, pub Id, pub Option<Outcome>);

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(instant, task, kind, id, outcome) = self;
        let kind = format!("{kind:?}").to_lowercase();
        write!(f, "{instant:>8}  task {task:<3} {kind} {id}")?;
        outcome
            .as_ref()
            .map_or(Ok(()), |outcome| write!(f, " ({outcome})"))
    }
}

/// The events of one run, by task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace(pub BTreeMap<Id, Vec<Event>>);

impl Trace {
    /// The canonical form of what an interpreter reported.
    pub fn new(events: Vec<Event>) -> Self {
        let mut trace = Self::default();
        for mut event in events {
            if let Some(Outcome::Failed(tree)) = &mut event.4 {
                tree.sort();
            }
            trace.0.entry(event.1).or_default().push(event);
        }
        trace
    }

    /// The events in order of time, for people.
    pub fn lines(&self) -> Vec<String> {
        let mut events: Vec<&Event> = self.0.values().flatten().collect();
        events.sort_by_key(|event| event.0);
        events.into_iter().map(ToString::to_string).collect()
    }
}
