//! The kinds of work that are measured: one row of the comparison each.

use std::fmt;

use clap::ValueEnum;

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Row {
    /// n children that end at once; all results are read.
    SpawnJoin,
    /// The same, each child yields once.
    YieldsOnce,
    /// n parked children, one fails: from there until all have ended.
    FailFast,
    /// A binary tree of groups, two children in each.
    Nested,
    /// A timeout of a minute around a future that is ready.
    TimeoutReady,
    /// The same around a future that is woken once.
    TimeoutWoken,
}

impl Row {
    pub(crate) const ALL: &'static [Self] = &[
        Self::SpawnJoin,
        Self::YieldsOnce,
        Self::FailFast,
        Self::Nested,
        Self::TimeoutReady,
        Self::TimeoutWoken,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SpawnJoin => "spawn_join",
            Self::YieldsOnce => "yields_once",
            Self::FailFast => "fail_fast",
            Self::Nested => "nested",
            Self::TimeoutReady => "timeout_ready",
            Self::TimeoutWoken => "timeout_woken",
        }
    }

    /// What one part of the work is: values are nanoseconds for each.
    pub(crate) fn part(self) -> &'static str {
        match self {
            Self::SpawnJoin | Self::YieldsOnce | Self::FailFast => "child",
            Self::Nested => "group",
            Self::TimeoutReady | Self::TimeoutWoken => "timeout",
        }
    }

    /// The peer that ratios refer to.
    pub(crate) fn yardstick(self) -> &'static str {
        match self {
            Self::TimeoutReady | Self::TimeoutWoken => "tokio",
            _ => "joinset",
        }
    }

    /// The sizes that are measured when the command line names none.
    pub(crate) fn sizes(self, quick: bool) -> &'static [usize] {
        match self {
            Self::SpawnJoin | Self::YieldsOnce | Self::FailFast if quick => &[10, 1_000],
            Self::SpawnJoin | Self::YieldsOnce => &[10, 100, 1_000, 10_000, 100_000, 1_000_000],
            Self::FailFast => &[10, 1_000, 100_000, 1_000_000],
            // The depth of the tree.
            Self::Nested if quick => &[8],
            Self::Nested => &[14],
            Self::TimeoutReady | Self::TimeoutWoken if quick => &[1_000],
            Self::TimeoutReady | Self::TimeoutWoken => &[100_000],
        }
    }

    /// How many parts a program of this size has.
    pub(crate) fn parts(self, n: usize) -> usize {
        match self {
            Self::Nested => (1 << (n + 1)) - 1,
            _ => n,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
