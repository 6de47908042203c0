//! The results of a run: the series with their summaries, what was left out and why, and the
//! machine.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::measure::Flavour;
use crate::row::{Kind, Row};
use crate::stats::Summary;

/// A whole run.
#[derive(Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) series: Vec<Series>,
    pub(crate) left_out: Vec<LeftOut>,
}

/// One contender in one row, flavour and size.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) row: String,
    pub(crate) flavour: String,
    pub(crate) n: usize,
    pub(crate) peer: String,
    pub(crate) unit: String,
    /// The number of values behind the figures below.
    pub(crate) values: usize,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// Only for single waits. A few repetitions have no p99.
    pub(crate) p99: Option<f64>,
    /// Median divided by the yardstick's median of the same run.
    pub(crate) ratio: Option<f64>,
    pub(crate) ratio_p99: Option<f64>,
}

/// A contender that was not measured, in all rows or in one place.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct LeftOut {
    pub(crate) peer: String,
    pub(crate) row: Option<String>,
    pub(crate) flavour: Option<String>,
    /// The first size that was left out.
    pub(crate) n: Option<usize>,
    pub(crate) why: String,
}

impl LeftOut {
    pub(crate) fn new(
        peer: &str,
        at: Option<(Row, Flavour, usize)>,
        why: impl Into<String>,
    ) -> Self {
        Self {
            peer: peer.into(),
            row: at.map(|(row, ..)| row.name().into()),
            flavour: at.map(|(_, flavour, _)| flavour.name().into()),
            n: at.map(|(.., n)| n),
            why: why.into(),
        }
    }
}

impl Series {
    /// `None` if there are no values.
    pub(crate) fn new(
        row: Row,
        flavour: Flavour,
        n: usize,
        peer: &str,
        values: &[f64],
    ) -> Option<Self> {
        let summary = Summary::of(values)?;
        Some(Self {
            row: row.name().into(),
            flavour: flavour.name().into(),
            n,
            peer: peer.into(),
            unit: row.unit().into(),
            values: values.len(),
            median: summary.median,
            min: summary.min,
            max: summary.max,
            p99: (row.kind() == Kind::Latency).then_some(summary.p99),
            ratio: None,
            ratio_p99: None,
        })
    }

    /// Fills in the ratios of one row, flavour and size.
    pub(crate) fn compare(series: &mut [Self]) {
        let Some(yardstick) = series.first().and_then(Self::yardstick) else {
            return;
        };
        let Some(base) = series.iter().find(|one| one.peer == yardstick).cloned() else {
            return;
        };
        for one in series {
            one.ratio = Some(one.median / base.median);
            one.ratio_p99 = one.p99.zip(base.p99).map(|(own, base)| own / base);
        }
    }

    /// The contender that the ratios refer to.
    pub(crate) fn yardstick(&self) -> Option<&'static str> {
        ROWS.iter()
            .find(|row| row.name() == self.row)
            .map(|row| row.yardstick())
    }

    pub(crate) fn is(&self, row: Row, flavour: Flavour, peer: &str) -> bool {
        self.row == row.name() && self.flavour == flavour.name() && self.peer == peer
    }
}

/// All rows, including those that are measured together with others.
const ROWS: &[Row] = &[
    Row::SpawnJoin,
    Row::YieldsOnce,
    Row::FailFast,
    Row::Memory,
    Row::Nested,
    Row::TimeoutReady,
    Row::TimeoutWoken,
    Row::Cpu100us,
    Row::Cpu1ms,
    Row::BesideHog,
    Row::Sleeper,
    Row::Http,
    Row::HttpLatency,
    Row::Names,
    Row::AlwaysOn,
];

impl Report {
    pub(crate) fn find(&self, row: Row, flavour: Flavour, n: usize, peer: &str) -> Option<&Series> {
        let mut series = self.series.iter();
        series.find(|one| one.is(row, flavour, peer) && one.n == n)
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let say = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| say(&error))?;
        }
        let mut text = serde_json::to_string_pretty(self).map_err(|error| say(&error))?;
        text.push('\n');
        fs::write(path, text).map_err(|error| say(&error))
    }

    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let say = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| say(&error))?;
        serde_json::from_str(&text).map_err(|error| say(&error))
    }
}
