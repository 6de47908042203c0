//! A recorder of the crate `metrics` that does it.

use std::sync::{Mutex, Once};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use crate::deed::Act;

/// What the recorder is told of the task `culprit` when it does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A counter: the task has begun, or has ended.
    Counter,
    /// A duration: the task has ended.
    Duration,
}

static PLAN: Mutex<Option<(Told, Act)>> = Mutex::new(None);

/// From now on `act` is done at each such moment.
pub(crate) fn plan(told: Told, act: Act) {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| metrics::set_global_recorder(Acting).unwrap());
    let old = PLAN.lock().unwrap().replace((told, act));
    drop(old);
}

pub(crate) fn clear() {
    let old = PLAN.lock().unwrap().take();
    drop(old);
}

struct Acting;

/// Does it with no lock held, as it may come back here.
fn at(told: Told, key: &Key) {
    if !key.labels().any(|label| label.value() == "culprit") {
        return;
    }
    let planned = PLAN.lock().unwrap().clone();
    if let Some((_, act)) = planned.filter(|(planned, _)| *planned == told) {
        let _ = act.act();
    }
}

impl Recorder for Acting {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        at(Told::Counter, key);
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        at(Told::Duration, key);
        Histogram::noop()
    }
}
