//! The targets: the ratio that each row has to reach, and whether it does.
//!
//! A target is a ratio of two medians (or two p99s) of the same run. If a row is measured at
//! several sizes, the worst one counts.

use std::fmt;

use crate::bare;
use crate::foreign;
use crate::measure::{Flavour, Plan};
use crate::report::{Report, Series};
use crate::row::Row;

/// The sizes at which the ratios to `JoinSet` have to hold.
const SIZES: &[usize] = &[1_000, 100_000, 1_000_000];
/// The sizes for the comparison with other languages.
const FOREIGN_SIZES: &[usize] = &[1_000, 100_000];

const DEFAULT: &str = "taskgroup";
const LIGHT: &str = "taskgroup.light";

/// One line of the table.
struct Target {
    work: String,
    bound: f64,
    /// The measured ratios, each with its row, flavour and size.
    ratios: Vec<(String, f64)>,
}

/// The plan that measures all targets.
pub(crate) fn plan(given: &Plan) -> Plan {
    Plan {
        rows: clap::ValueEnum::value_variants().to_vec(),
        flavours: vec![Flavour::Multi],
        sizes: Vec::new(),
        peers: [
            DEFAULT,
            LIGHT,
            "joinset",
            "raw",
            "tokio",
            "named",
            bare::NAME,
        ]
        .into_iter()
        .chain(foreign::NAMES.iter().copied())
        .map(Into::into)
        .collect(),
        ..given.clone()
    }
}

/// The plan for the other allocator.
pub(crate) const MIMALLOC: &[&str] = &[
    "--only",
    "spawn_join",
    "--flavour",
    "multi",
    "--peers",
    "taskgroup,joinset",
    "--n",
    "1000,100000,1000000",
];

/// Prints the table. Returns whether all targets are met. A target that was not measured is not
/// met.
pub(crate) fn judge(report: &Report, mimalloc: Option<&Report>) -> bool {
    let targets = all(report, mimalloc);
    println!(
        "\n{:<58} {:>8} {:>9}  {:<7} where",
        "work", "target", "measured", ""
    );
    for target in &targets {
        println!("{target}");
    }
    let missed = targets.iter().filter(|target| !target.is_met()).count();
    println!(
        "\n{} of {} targets met",
        targets.len() - missed,
        targets.len()
    );
    missed == 0
}

impl Target {
    fn worst(&self) -> Option<&(String, f64)> {
        let ratios = self.ratios.iter();
        ratios.max_by(|(_, one), (_, other)| one.total_cmp(other))
    }

    fn is_met(&self) -> bool {
        self.worst().is_some_and(|(_, ratio)| *ratio <= self.bound)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<58} {:>8}", self.work, format!("≤ {:.2}", self.bound))?;
        match self.worst() {
            Some((place, ratio)) => {
                let verdict = if self.is_met() { "met" } else { "MISSED" };
                write!(f, " {ratio:>9.3}  {verdict:<7} {place}")
            }
            None => write!(f, " {:>9}  {:<7}", "none", "MISSED"),
        }
    }
}

fn all(report: &Report, mimalloc: Option<&Report>) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut add = |work: String, bound, ratios| {
        targets.push(Target {
            work,
            bound,
            ratios,
        });
    };
    // First the default driver, then light tasks.
    let beside_joinset: &[(Row, &str, f64, f64)] = &[
        (Row::SpawnJoin, "spawn + join + results, no-op", 0.70, 0.12),
        (Row::YieldsOnce, "each yields once", 0.75, 0.30),
        (Row::FailFast, "fail fast to quiet", 1.2, 0.15),
        (Row::Memory, "memory per parked child", 1.4, 0.45),
        (Row::Nested, "nested groups, depth 14", 1.4, 0.6),
    ];
    for &(row, work, default, light) in beside_joinset {
        let sizes = match row {
            Row::SpawnJoin | Row::YieldsOnce | Row::FailFast => SIZES,
            _ => row.sizes(false),
        };
        for (peer, bound) in [(DEFAULT, default), (LIGHT, light)] {
            let ratios = medians(report, row, sizes, peer);
            add(format!("{work}: {peer} ÷ JoinSet"), bound, ratios);
        }
    }
    let small = medians(report, Row::SpawnJoin, &[10], DEFAULT);
    add(
        "spawn + join, 10 children on a worker ÷ JoinSet".into(),
        0.30,
        small,
    );
    let other = mimalloc.map(|report| medians(report, Row::SpawnJoin, SIZES, DEFAULT));
    add(
        "spawn + join, mimalloc on both sides ÷ JoinSet".into(),
        0.15,
        other.unwrap_or_default(),
    );
    let timeouts = [
        (Row::TimeoutReady, "ready", 0.5),
        (Row::TimeoutWoken, "woken once", 0.3),
    ];
    for (row, work, bound) in timeouts {
        let ratios = medians(report, row, row.sizes(false), DEFAULT);
        add(
            format!("timeout that does not fire, {work} ÷ Tokio's"),
            bound,
            ratios,
        );
    }
    let beside_spawn = [
        (Row::Cpu100us, "64 children compute 100 µs"),
        (Row::Cpu1ms, "64 children compute 1 ms"),
        (Row::BesideHog, "quick child beside a hog, median"),
        (Row::Sleeper, "1 ms sleeper beside a busy group, median"),
    ];
    for (row, work) in beside_spawn {
        let ratios = medians(report, row, row.sizes(false), DEFAULT);
        add(format!("{work} ÷ tokio::spawn"), 1.1, ratios);
    }
    let waits = [
        (Row::BesideHog, "quick child beside a hog, p99"),
        (Row::Sleeper, "1 ms sleeper beside a busy group, p99"),
    ];
    for (row, work) in waits {
        add(format!("{work} ÷ tokio::spawn"), 1.1, p99s(report, row));
    }
    let requests = medians(report, Row::Http, Row::Http.sizes(false), DEFAULT);
    add(
        "HTTP requests, time each ÷ JoinSet + Semaphore".into(),
        1.0,
        requests,
    );
    add(
        "HTTP requests, p99 ÷ JoinSet + Semaphore".into(),
        1.0,
        p99s(report, Row::HttpLatency),
    );
    for peer in foreign::NAMES {
        add(
            format!("all work that it can do ÷ {peer}"),
            1.0,
            against(report, peer),
        );
    }
    let names = medians(report, Row::Names, Row::Names.sizes(false), "named");
    let always_on = medians(report, Row::AlwaysOn, Row::AlwaysOn.sizes(false), DEFAULT);
    add("tree always on ÷ compiled out".into(), 1.05, always_on);
    add("names given ÷ none given".into(), 1.05, names);
    add(
        "growth: a child of 1 000 000 ÷ one of 1 000".into(),
        1.5,
        growth(report),
    );
    targets
}

fn place(series: &Series) -> String {
    format!("{}, n = {}", series.row, series.n)
}

fn medians(report: &Report, row: Row, sizes: &[usize], peer: &str) -> Vec<(String, f64)> {
    let found = sizes
        .iter()
        .filter_map(|&n| report.find(row, Flavour::Multi, n, peer));
    let ratios = found.filter_map(|series| Some((place(series), series.ratio?)));
    ratios.collect()
}

fn p99s(report: &Report, row: Row) -> Vec<(String, f64)> {
    let found = row.sizes(false).iter();
    let found = found.filter_map(|&n| report.find(row, Flavour::Multi, n, DEFAULT));
    let ratios = found.filter_map(|series| Some((place(series), series.ratio_p99?)));
    ratios.collect()
}

/// For each work that a program in another language did, the library's time per part as a ratio to
/// that program's.
fn against(report: &Report, peer: &str) -> Vec<(String, f64)> {
    let theirs = report.series.iter().filter(|series| series.peer == peer);
    let met = theirs
        .filter(|series| series.row.starts_with("nested") || FOREIGN_SIZES.contains(&series.n));
    let ratios = met.filter_map(|theirs| {
        let mut series = report.series.iter();
        let own = series.find(|one| {
            one.peer == DEFAULT
                && one.row == theirs.row
                && one.n == theirs.n
                && one.flavour == theirs.flavour
        })?;
        Some((place(own), own.median / theirs.median))
    });
    ratios.collect()
}

fn growth(report: &Report) -> Vec<(String, f64)> {
    let at = |n| report.find(Row::SpawnJoin, Flavour::Multi, n, DEFAULT);
    let ends = at(1_000).zip(at(1_000_000));
    let ratio = ends.map(|(small, large)| (place(large), large.median / small.median));
    ratio.into_iter().collect()
}
