//! The programs, with a module for each peer. Each row is written as a user of that peer would
//! write it.
//!
//! Every program checks its own result, so that a peer that loses work does not count as fast.

mod async_scoped;
mod http;
mod joinset;
mod moro;
mod raw;
mod streams;
mod taskgroup;
mod timeouts;
mod tracker;

use std::pin::Pin;
use std::time::{Duration, Instant};

use crate::row::Row;
use crate::work::{Parking, resident};

/// What a program has measured itself.
#[derive(Default)]
pub(crate) struct Measured {
    /// The time that counts. Without it, the whole program counts.
    pub(crate) stretch: Option<Duration>,
    /// Single waits.
    pub(crate) waits: Vec<Duration>,
    /// Bytes of memory.
    pub(crate) bytes: Option<u64>,
}

impl Measured {
    /// The whole program counts.
    pub(crate) fn whole() -> Self {
        Self::default()
    }

    /// From `begin` until now.
    pub(crate) fn since(begin: Instant) -> Self {
        Self {
            stretch: Some(begin.elapsed()),
            ..Self::default()
        }
    }

    pub(crate) fn waits(waits: Vec<Duration>) -> Self {
        Self {
            waits,
            ..Self::default()
        }
    }

    /// The growth of the resident memory.
    pub(crate) fn grown(before: Option<u64>) -> Self {
        let grown = resident().zip(before);
        Self {
            bytes: grown.map(|(now, before)| now.saturating_sub(before)),
            ..Self::default()
        }
    }
}

/// Spawns `n` children that park, with `spawn`, and measures how much memory they take.
async fn parked(n: usize, mut spawn: impl FnMut(crate::work::Parked)) -> Measured {
    let before = resident();
    let parking = Parking::default();
    for _ in 0..n {
        spawn(parking.child());
    }
    parking.full(n).await;
    Measured::grown(before)
}

type Running = Pin<Box<dyn Future<Output = Measured> + Send>>;

/// A program of the comparison, which runs with a given size.
pub(crate) type Program = fn(usize) -> Running;

/// A contender, with a program for each row that it supports.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) programs: &'static [(Row, Program)],
    /// Whether it needs the multi-thread runtime.
    pub(crate) needs_workers: bool,
}

impl Peer {
    const fn new(name: &'static str, programs: &'static [(Row, Program)]) -> Self {
        Self {
            name,
            programs,
            needs_workers: false,
        }
    }

    pub(crate) fn program(&self, row: Row) -> Option<Program> {
        let mut programs = self.programs.iter();
        programs
            .find(|(of, _)| *of == row)
            .map(|(_, program)| *program)
    }
}

/// All contenders, `taskgroup` first.
pub(crate) const PEERS: &[Peer] = &[
    taskgroup::DEFAULT,
    taskgroup::LIGHT,
    taskgroup::NAMED,
    taskgroup::FORMATTED,
    taskgroup::BARE,
    joinset::PEER,
    raw::PEER,
    raw::LATCH,
    tracker::PEER,
    streams::UNORDERED,
    streams::BUFFERED,
    streams::CONCURRENCY,
    moro::PEER,
    async_scoped::PEER,
    timeouts::TASKGROUP,
    timeouts::TOKIO,
    timeouts::NONE,
    http::TASKGROUP,
    http::LIGHT,
    http::JOINSET,
];
