//! The programs: one room per peer, each row written as a user of that peer would write it.
//!
//! Every program checks its own result, so that a peer that loses work is not called fast.

mod joinset;
mod raw;
mod taskgroup;
mod timeouts;

use std::pin::Pin;
use std::time::Duration;

use crate::row::Row;

/// What a program measured itself.
#[derive(Default)]
pub(crate) struct Measured {
    /// The stretch that counts; without it, the whole program.
    pub(crate) stretch: Option<Duration>,
}

impl Measured {
    /// The whole program counts.
    pub(crate) fn whole() -> Self {
        Self::default()
    }

    pub(crate) fn stretch(stretch: Duration) -> Self {
        Self {
            stretch: Some(stretch),
        }
    }
}

type Running<'a> = Pin<Box<dyn Future<Output = Measured> + Send + 'a>>;

/// A program of the comparison: what it runs for a given size.
pub(crate) type Program = fn(usize) -> Running<'static>;

/// One contender, with a program for each row that it can do.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) programs: &'static [(Row, Program)],
}

impl Peer {
    pub(crate) fn program(&self, row: Row) -> Option<Program> {
        let mut programs = self.programs.iter();
        programs
            .find(|(of, _)| *of == row)
            .map(|(_, program)| *program)
    }
}

/// All contenders, ours first.
pub(crate) const PEERS: &[Peer] = &[
    taskgroup::PUMPS,
    taskgroup::TOKIO_TASKS,
    joinset::PEER,
    raw::PEER,
    raw::LATCH,
    timeouts::TASKGROUP,
    timeouts::TOKIO,
    timeouts::NONE,
];
