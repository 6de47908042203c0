//! What the engine tells the `metrics` facade: how many children began and ended, and how long they
//! took.
//!
//! The recorder behind the facade is foreign code: it is called through the gate, outside all
//! locks. A name is a label only if it is part of the program's text. What a program makes at run
//! time has no bound.

use std::borrow::Cow;
use std::time::Duration;

use crate::clock;
use crate::gate;
use crate::scope::how::Outcome;
use crate::sync::{AtomicU64, Ordering};

/// The subject of the report, if one panics.
const RECORDER: &str = "a `metrics` recorder";

pub(crate) const STARTED: &str = "taskgroup_tasks_started_total";
pub(crate) const RUNNING: &str = "taskgroup_tasks_running";
pub(crate) const FINISHED: &str = "taskgroup_tasks_finished_total";
pub(crate) const DURATION: &str = "taskgroup_task_duration_seconds";
pub(crate) const NOT_STARTED: &str = "taskgroup_tasks_not_started_total";

/// The label of children without a name.
const UNNAMED: &str = "(unnamed)";
/// The label of all names that were made at run time.
const MADE: &str = "(made at run time)";

/// When a child began.
#[derive(Default)]
pub(crate) struct Meter {
    /// In nanoseconds; 0: it has not begun. Once it has ended as well: [`ENDED`].
    began: AtomicU64,
}

const ENDED: u64 = u64::MAX;

impl Meter {
    pub(crate) fn started(&self, name: Option<&Cow<'static, str>>) {
        self.began.store(clock::nanos(), Ordering::Relaxed);
        let name = label(name);
        tell_recorder(|| {
            // First, because the end takes it back whether or not the counter panics.
            metrics::gauge!(RUNNING, "name" => name).increment(1.0);
            metrics::counter!(STARTED, "name" => name).increment(1);
        });
    }

    /// Told once: what is told after that changes nothing.
    pub(crate) fn ended(&self, name: Option<&Cow<'static, str>>, outcome: Outcome) {
        let began = self.began.swap(ENDED, Ordering::Relaxed);
        let name = label(name);
        if began == ENDED {
            return;
        }
        if began == 0 {
            return tell_recorder(|| metrics::counter!(NOT_STARTED, "name" => name).increment(1));
        }
        let took = Duration::from_nanos(clock::nanos().saturating_sub(began));
        let outcome = outcome.word();
        tell_recorder(|| {
            metrics::gauge!(RUNNING, "name" => name).decrement(1.0);
            metrics::counter!(FINISHED, "name" => name, "outcome" => outcome).increment(1);
            metrics::histogram!(DURATION, "name" => name, "outcome" => outcome).record(took);
        });
    }
}

fn tell_recorder(what: impl FnOnce()) {
    gate::call_or_report(RECORDER, what);
}

fn label(name: Option<&Cow<'static, str>>) -> &'static str {
    match name {
        None => UNNAMED,
        Some(Cow::Borrowed(name)) => name,
        Some(Cow::Owned(_)) => MADE,
    }
}

/// Tells the recorder what the metrics mean.
pub(crate) fn describe() {
    tell_recorder(|| {
        let text = "The time from the first poll of a child to its end, with its cleanup";
        metrics::describe_histogram!(DURATION, metrics::Unit::Seconds, text);
        metrics::describe_gauge!(RUNNING, "Children that have begun and have not ended");
    });
    tell_recorder(|| {
        metrics::describe_counter!(STARTED, "Children that were polled for the first time");
        metrics::describe_counter!(FINISHED, "Children that have begun and ended, by outcome");
        let text = "Children that were cancelled before they began";
        metrics::describe_counter!(NOT_STARTED, text);
    });
}
