//! Runs the programs, all contenders in turn, and records how long each run took.
//!
//! - One repetition runs each contender once. The next one begins with another contender, so other
//!   work on the machine affects all of them equally.
//! - A small program runs many times within one repetition, so that the clock is read rarely.
//! - A first run, which does not count, warms caches and the allocator.
//! - If the next size would take a contender longer than [`PATIENCE`], the contender is left out
//!   from there on, and the report says so.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tokio::runtime::Runtime;

use crate::bare;
use crate::foreign::{self, Foreign};
use crate::fresh;
use crate::peers::{Measured, PEERS, Peer, Program};
use crate::report::{LeftOut, Series};
use crate::row::{Kind, Row};

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Flavour {
    /// On a worker of the multi-thread runtime, as a task
    Multi,
    /// On the multi-thread runtime, inside `block_on`, as `#[tokio::main]` does
    Main,
    /// On the current-thread runtime
    Current,
}

impl Flavour {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Multi => "multi",
            Self::Main => "main",
            Self::Current => "current",
        }
    }

    /// The runtimes on which the work is worth measuring. Memory is the same on all, and a hog
    /// needs a second worker next to it.
    fn suits(self, row: Row) -> bool {
        match row {
            Row::Memory | Row::AlwaysOn => self == Self::Multi,
            Row::BesideHog => self != Self::Current,
            Row::Names => self != Self::Main,
            _ => true,
        }
    }
}

/// What to measure.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) rows: Vec<Row>,
    pub(crate) flavours: Vec<Flavour>,
    /// The sizes to measure instead of those of each row.
    pub(crate) sizes: Vec<usize>,
    /// The contenders to measure; empty for all.
    pub(crate) peers: Vec<String>,
    pub(crate) repetitions: usize,
    pub(crate) workers: usize,
    pub(crate) quick: bool,
}

impl Plan {
    fn contends(&self, name: &str) -> bool {
        self.peers.is_empty() || self.peers.iter().any(|peer| peer == name)
    }
}

/// The longest time that a single run may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a contender is run.
#[derive(Clone, Copy)]
enum Way<'a> {
    Here(Program),
    /// In a process of its own, of this program or of the [bare] one.
    Fresh(&'static str),
    Foreign(&'a Foreign),
}

struct Contender<'a> {
    name: &'static str,
    way: Way<'a>,
    values: Vec<f64>,
    /// The single waits of a row that has them in addition to its throughput.
    waits: Vec<f64>,
}

/// How many parts a size had, and how many nanoseconds one part took.
type Size = (f64, f64);

pub(crate) struct Bench<'a> {
    plan: &'a Plan,
    multi: Runtime,
    current: Runtime,
    foreign: Vec<Foreign>,
    bare: Option<PathBuf>,
    /// The sizes that were measured so far.
    before: HashMap<(Row, Flavour, &'static str), Vec<Size>>,
    pub(crate) series: Vec<Series>,
    pub(crate) left_out: Vec<LeftOut>,
}

impl<'a> Bench<'a> {
    /// Versions of the programs in other languages.
    pub(crate) fn versions(&self) -> Vec<(String, String)> {
        let versions = self.foreign.iter();
        let versions = versions.map(|foreign| (foreign.name.to_owned(), foreign.version.clone()));
        versions.collect()
    }

    pub(crate) fn new(plan: &'a Plan) -> Self {
        let (multi, current) = runtimes(plan.workers);
        let mut left_out = Vec::new();
        let contends = |name: &str| plan.contends(name);
        let foreign = foreign::available(plan.quick, contends, &mut left_out);
        let mut bare = None;
        if plan.rows.contains(&Row::AlwaysOn) && contends(bare::NAME) {
            match bare::program(plan.quick) {
                Ok(program) => bare = Some(program),
                Err(why) => left_out.push(LeftOut::new(bare::NAME, None, why)),
            }
        }
        Self {
            plan,
            multi,
            current,
            foreign,
            bare,
            before: HashMap::new(),
            series: Vec::new(),
            left_out,
        }
    }

    /// Measures the plan. Calls `done` with the series of one row, flavour and size at a time.
    pub(crate) fn run(&mut self, mut done: impl FnMut(&[Series])) {
        for &row in &self.plan.rows {
            let sizes = match &self.plan.sizes[..] {
                [] => row.sizes(self.plan.quick),
                given => given,
            };
            for &flavour in &self.plan.flavours {
                for &n in sizes {
                    if flavour.suits(row) && row.takes(n) {
                        let before = self.series.len();
                        self.side_by_side(row, flavour, n);
                        done(&self.series[before..]);
                    }
                }
            }
        }
    }

    fn side_by_side(&mut self, row: Row, flavour: Flavour, n: usize) {
        let foreign = std::mem::take(&mut self.foreign);
        let mut contenders = self.contenders(&foreign, row, flavour, n);
        for repetition in 0..=self.plan.repetitions {
            for turn in 0..contenders.len() {
                let turn = (turn + repetition) % contenders.len();
                let contender = &mut contenders[turn];
                let warm = matches!(contender.way, Way::Here(_));
                if repetition == 0 && !warm {
                    continue;
                }
                match self.once(row, flavour, n, contender.way) {
                    Ok((values, waits)) if repetition > 0 => {
                        contender.values.extend(values);
                        contender.waits.extend(waits);
                    }
                    Ok(_) => {}
                    Err(why) => {
                        eprintln!("{}: {why}", contender.name);
                        self.left_out.push(LeftOut::new(
                            contender.name,
                            Some((row, flavour, n)),
                            why,
                        ));
                        contenders.remove(turn);
                        break;
                    }
                }
            }
        }
        let mut throughput: Vec<Series> = Vec::new();
        let mut latency: Vec<Series> = Vec::new();
        for contender in contenders {
            let name = contender.name;
            let series = Series::new(row, flavour, n, name, &contender.values);
            if let Some(series) = series {
                let sizes = self.before.entry((row, flavour, name)).or_default();
                sizes.push((row.parts(n) as f64, series.median));
                throughput.push(series);
            }
            latency.extend(Series::new(
                Row::HttpLatency,
                flavour,
                n,
                name,
                &contender.waits,
            ));
        }
        for series in [&mut throughput, &mut latency] {
            Series::compare(series);
            self.series.append(series);
        }
        self.foreign = foreign;
    }

    fn contenders<'b>(
        &mut self,
        foreign: &'b [Foreign],
        row: Row,
        flavour: Flavour,
        n: usize,
    ) -> Vec<Contender<'b>> {
        let is_bare_built = self.bare.is_some();
        let here = PEERS.iter().filter_map(|peer: &Peer| {
            let program = peer.program(row)?;
            let way = if row.is_fresh() {
                Way::Fresh(peer.name)
            } else {
                Way::Here(program)
            };
            let runs = !peer.needs_workers || flavour != Flavour::Current;
            let built = peer.name != bare::NAME || is_bare_built;
            (runs && built).then_some((peer.name, way))
        });
        let elsewhere = foreign
            .iter()
            .filter(|foreign| flavour == Flavour::Multi && foreign.can(row, n))
            .map(|foreign| (foreign.name, Way::Foreign(foreign)));
        let mut contenders = Vec::new();
        for (name, way) in here.chain(elsewhere) {
            if self.plan.contends(name) && self.in_time(row, flavour, n, name) {
                contenders.push(Contender {
                    name,
                    way,
                    values: Vec::new(),
                    waits: Vec::new(),
                });
            }
        }
        contenders
    }

    /// Whether a contender will probably end in time. If not, the report says so.
    fn in_time(&mut self, row: Row, flavour: Flavour, n: usize, name: &'static str) -> bool {
        let sizes = self.before.get(&(row, flavour, name));
        let Some(&[.., (last_parts, last)]) = sizes.map(Vec::as_slice) else {
            return true;
        };
        // The cost of a part may grow with the size. This assumes that it continues to grow as it
        // did from the size before.
        let growth = match sizes.map(Vec::as_slice) {
            Some(&[.., (_, earlier), _]) if last > 1.5 * earlier => last / earlier,
            _ => 1.0,
        };
        let expected = row.parts(n) as f64 * last * growth;
        let expected = Duration::from_nanos(expected as u64);
        if expected <= PATIENCE {
            return true;
        }
        let why = format!(
            "one run would take about {expected:.1?}: for {last_parts} it was {last:.0} ns each"
        );
        self.left_out
            .push(LeftOut::new(name, Some((row, flavour, n)), why));
        false
    }

    /// The values of one repetition, and the waits that were measured with them.
    fn once(
        &self,
        row: Row,
        flavour: Flavour,
        n: usize,
        way: Way<'_>,
    ) -> Result<(Vec<f64>, Vec<f64>), String> {
        let program = match way {
            Way::Here(program) => program,
            Way::Fresh(name) => {
                let other = self.bare.as_deref().filter(|_| name == bare::NAME);
                return fresh::measure(other, row, name, n, self.plan.workers).map(one);
            }
            Way::Foreign(foreign) => return foreign.measure(row, n).map(one),
        };
        let times = row.times(n);
        let (spent, measured) = match flavour {
            Flavour::Multi => {
                let task = self.multi.spawn(again(program, n, times));
                self.multi
                    .block_on(task)
                    .map_err(|error| error.to_string())?
            }
            Flavour::Main => self.multi.block_on(again(program, n, times)),
            Flavour::Current => self.current.block_on(again(program, n, times)),
        };
        let waits = measured.waits.iter().map(|wait| wait.as_nanos() as f64);
        let waits = waits.collect();
        if row.kind() == Kind::Latency {
            return Ok((waits, Vec::new()));
        }
        let per_part = spent.as_nanos() as f64 / (row.parts(n) * times) as f64;
        Ok((vec![per_part], waits))
    }
}

fn one(value: f64) -> (Vec<f64>, Vec<f64>) {
    (vec![value], Vec::new())
}

/// A multi-thread runtime with `workers` workers, and a current-thread one.
pub(crate) fn runtimes(workers: usize) -> (Runtime, Runtime) {
    let mut multi = tokio::runtime::Builder::new_multi_thread();
    let multi = multi.worker_threads(workers).enable_all().build();
    let mut current = tokio::runtime::Builder::new_current_thread();
    let current = current.enable_all().build();
    (multi.expect("a runtime"), current.expect("a runtime"))
}

/// Runs a program several times and adds up the time that counts. Its other results are from the
/// last time.
pub(crate) async fn again(program: Program, n: usize, times: usize) -> (Duration, Measured) {
    let mut stretches = None;
    let mut last = Measured::whole();
    let begin = Instant::now();
    for _ in 0..times {
        last = program(n).await;
        if let Some(stretch) = last.stretch {
            *stretches.get_or_insert(Duration::ZERO) += stretch;
        }
    }
    (stretches.unwrap_or_else(|| begin.elapsed()), last)
}
