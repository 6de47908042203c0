//! The kinds of work that are measured: one row of the comparison each.

use std::fmt;

use clap::ValueEnum;

use crate::bare;

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Row {
    /// n children that end at once, and whose results are read
    SpawnJoin,
    /// The same, with each child yielding once
    YieldsOnce,
    /// n parked children and one that fails: the time from the failure until all have ended
    FailFast,
    /// Resident memory per parked child, with each contender in a fresh process
    Memory,
    /// A binary tree of groups with two children each; the size is its depth
    Nested,
    /// A timeout of a minute around a future that is ready
    TimeoutReady,
    /// The same, around a future that is woken once
    TimeoutWoken,
    /// 64 children that compute for 100 µs
    Cpu100us,
    /// 64 children that compute for 1 ms
    Cpu1ms,
    /// The time until an idle child has ended while a sibling computes for 20 ms
    BesideHog,
    /// The delay of a 1 ms sleep in a task outside the group while the group is busy
    Sleeper,
    /// Requests to an HTTP server on this machine, 100 at a time: the time per request
    Http,
    /// The time that one of these requests takes
    #[value(skip)]
    HttpLatency,
    /// Spawn and join with and without names
    Names,
    /// Spawn and join with the live tree, and with an engine that publishes nothing, in separate
    /// processes
    AlwaysOn,
}

/// The kind of values that a row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Time divided by the number of parts, one value for each repetition.
    Throughput,
    /// Single waits, where the p99 counts as well as the median.
    Latency,
    /// Bytes per child, one value for each fresh process.
    Memory,
}

impl Row {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SpawnJoin => "spawn_join",
            Self::YieldsOnce => "yields_once",
            Self::FailFast => "fail_fast",
            Self::Memory => "memory",
            Self::Nested => "nested",
            Self::TimeoutReady => "timeout_ready",
            Self::TimeoutWoken => "timeout_woken",
            Self::Cpu100us => "cpu100us",
            Self::Cpu1ms => "cpu1ms",
            Self::BesideHog => "beside_hog",
            Self::Sleeper => "sleeper",
            Self::Http => "http",
            Self::HttpLatency => "http_latency",
            Self::Names => "names",
            Self::AlwaysOn => "always_on",
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Memory => Kind::Memory,
            Self::BesideHog | Self::Sleeper | Self::HttpLatency => Kind::Latency,
            _ => Kind::Throughput,
        }
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::SpawnJoin
            | Self::YieldsOnce
            | Self::FailFast
            | Self::Cpu100us
            | Self::Cpu1ms
            | Self::Names
            | Self::AlwaysOn => "ns per child",
            Self::Memory => "bytes per child",
            Self::Nested => "ns per group",
            Self::TimeoutReady | Self::TimeoutWoken => "ns per timeout",
            Self::BesideHog => "ns until the quick child has ended",
            Self::Sleeper => "ns later than asked for",
            Self::Http => "ns per request",
            Self::HttpLatency => "ns from request to answer",
        }
    }

    /// The contender that ratios refer to.
    pub(crate) fn yardstick(self) -> &'static str {
        match self {
            Self::TimeoutReady | Self::TimeoutWoken => "tokio",
            Self::Cpu100us | Self::Cpu1ms | Self::BesideHog | Self::Sleeper => "raw",
            Self::Names => "taskgroup",
            Self::AlwaysOn => bare::NAME,
            _ => "joinset",
        }
    }

    /// The sizes that are measured if the command line names none.
    pub(crate) fn sizes(self, quick: bool) -> &'static [usize] {
        match self {
            Self::SpawnJoin | Self::YieldsOnce | Self::FailFast if quick => &[10, 1_000],
            Self::SpawnJoin | Self::YieldsOnce | Self::FailFast => {
                &[10, 100, 1_000, 10_000, 100_000, 1_000_000]
            }
            Self::Memory if quick => &[10_000],
            Self::Memory => &[1_000_000],
            Self::Nested if quick => &[8],
            Self::Nested => &[14],
            Self::TimeoutReady | Self::TimeoutWoken | Self::Names | Self::AlwaysOn if quick => {
                &[1_000]
            }
            Self::TimeoutReady | Self::TimeoutWoken => &[100_000],
            Self::Names | Self::AlwaysOn => &[1_000, 100_000],
            Self::Cpu100us | Self::Cpu1ms => &[64],
            Self::BesideHog if quick => &[2],
            Self::BesideHog => &[20],
            Self::Sleeper if quick => &[10],
            Self::Sleeper => &[100],
            Self::Http | Self::HttpLatency if quick => &[500],
            Self::Http | Self::HttpLatency => &[10_000],
        }
    }

    /// The deepest tree that is built: two million groups.
    const DEEPEST: usize = 20;

    /// Whether there is a program of this size.
    pub(crate) fn takes(self, n: usize) -> bool {
        n > 0 && (self != Self::Nested || n <= Self::DEEPEST)
    }

    /// Whether each value comes from a new process.
    pub(crate) fn is_fresh(self) -> bool {
        matches!(self, Self::Memory | Self::AlwaysOn)
    }

    /// How many parts a program of this size has.
    pub(crate) fn parts(self, n: usize) -> usize {
        match self {
            Self::Nested => (1 << (n + 1)) - 1,
            _ => n,
        }
    }

    /// How many times a program runs within one repetition, so that the clock is read rarely.
    pub(crate) fn times(self, n: usize) -> usize {
        const PARTS_PER_READING: usize = 20_000;
        match self {
            Self::SpawnJoin
            | Self::YieldsOnce
            | Self::FailFast
            | Self::Nested
            | Self::TimeoutReady
            | Self::TimeoutWoken
            | Self::Names
            | Self::AlwaysOn => PARTS_PER_READING.div_ceil(self.parts(n)),
            _ => 1,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
