//! Runs the programs, all peers in turn, and keeps what each run took.
//!
//! - One repetition runs each peer once, the next begins with another peer: what the machine does meanwhile hits all alike.
//! - A small program runs many times over within one repetition, so that the clock is read rarely.
//! - A first run that is not counted warms caches and the allocator.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use tokio::runtime::Runtime;

use crate::peers::{PEERS, Peer, Program};
use crate::row::Row;

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Flavour {
    /// On a worker of the multi-thread runtime, as a task.
    Multi,
    /// On the multi-thread runtime, inside `block_on`, as `#[tokio::main]` does.
    Main,
    /// On the current-thread runtime.
    Current,
}

impl Flavour {
    pub(crate) const ALL: &'static [Self] = &[Self::Multi, Self::Main, Self::Current];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Multi => "multi",
            Self::Main => "main",
            Self::Current => "current",
        }
    }
}

/// What to measure.
pub(crate) struct Plan {
    pub(crate) rows: Vec<Row>,
    pub(crate) flavours: Vec<Flavour>,
    /// Instead of the sizes of each row.
    pub(crate) sizes: Vec<usize>,
    /// Only these peers; empty for all.
    pub(crate) peers: Vec<String>,
    pub(crate) repetitions: usize,
    pub(crate) workers: usize,
    pub(crate) quick: bool,
}

/// One peer at one row, flavour and size.
pub(crate) struct Series {
    pub(crate) row: Row,
    pub(crate) flavour: Flavour,
    pub(crate) n: usize,
    pub(crate) peer: &'static str,
    /// Nanoseconds per part, one value for each repetition.
    pub(crate) values: Vec<f64>,
}

struct Runtimes {
    multi: Runtime,
    current: Runtime,
}

/// At least so many parts are run before the clock is read again.
const PARTS_PER_READING: usize = 20_000;

/// Measures the plan; `done` gets the series of one row, flavour and size at a time.
pub(crate) fn measure(plan: &Plan, mut done: impl FnMut(&[Series])) -> Vec<Series> {
    let runtimes = Runtimes::new(plan.workers);
    let mut all = Vec::new();
    for &row in &plan.rows {
        let sizes = match &plan.sizes[..] {
            [] => row.sizes(plan.quick),
            given => given,
        };
        for &flavour in &plan.flavours {
            for &n in sizes {
                let series = runtimes.side_by_side(plan, row, flavour, n);
                done(&series);
                all.extend(series);
            }
        }
    }
    all
}

impl Runtimes {
    fn new(workers: usize) -> Self {
        let mut multi = tokio::runtime::Builder::new_multi_thread();
        let mut current = tokio::runtime::Builder::new_current_thread();
        Self {
            multi: multi
                .worker_threads(workers)
                .enable_all()
                .build()
                .expect("a runtime"),
            current: current.enable_all().build().expect("a runtime"),
        }
    }

    fn side_by_side(&self, plan: &Plan, row: Row, flavour: Flavour, n: usize) -> Vec<Series> {
        let contends =
            |peer: &&Peer| plan.peers.is_empty() || plan.peers.iter().any(|name| name == peer.name);
        let (programs, mut series): (Vec<Program>, Vec<Series>) = PEERS
            .iter()
            .filter(contends)
            .filter_map(|peer| {
                let series = Series {
                    row,
                    flavour,
                    n,
                    peer: peer.name,
                    values: Vec::with_capacity(plan.repetitions),
                };
                Some((peer.program(row)?, series))
            })
            .unzip();
        for repetition in 0..=plan.repetitions {
            for turn in 0..programs.len() {
                let turn = (turn + repetition) % programs.len();
                let value = self.once(row, flavour, n, programs[turn]);
                if repetition > 0 {
                    series[turn].values.push(value);
                }
            }
        }
        series
    }

    /// Nanoseconds per part.
    fn once(&self, row: Row, flavour: Flavour, n: usize, program: Program) -> f64 {
        let parts = row.parts(n);
        let times = PARTS_PER_READING.div_ceil(parts);
        let spent = match flavour {
            Flavour::Multi => {
                let task = self.multi.spawn(again(program, n, times));
                self.multi.block_on(task).expect("a program panicked")
            }
            Flavour::Main => self.multi.block_on(again(program, n, times)),
            Flavour::Current => self.current.block_on(again(program, n, times)),
        };
        spent.as_nanos() as f64 / (parts * times) as f64
    }
}

/// Runs a program several times and adds up what counts.
async fn again(program: Program, n: usize, times: usize) -> Duration {
    let mut stretches = None;
    let begin = Instant::now();
    for _ in 0..times {
        if let Some(stretch) = program(n).await.stretch {
            *stretches.get_or_insert(Duration::ZERO) += stretch;
        }
    }
    stretches.unwrap_or_else(|| begin.elapsed())
}
