//! A `tracing` subscriber that does it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::deed::Act;

/// What the subscriber is told of the task `culprit` when it does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    New,
    Enter,
    Exit,
    Event,
    Record,
    Close,
}

static PLAN: Mutex<Option<(Moment, Act)>> = Mutex::new(None);
static CULPRITS: Mutex<Option<HashSet<u64>>> = Mutex::new(None);

/// From now on `act` is done at each such moment.
pub(crate) fn plan(moment: Moment, act: Act) {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| tracing::subscriber::set_global_default(Acting).unwrap());
    let old = PLAN.lock().unwrap().replace((moment, act));
    drop(old);
}

pub(crate) fn clear() {
    let old = PLAN.lock().unwrap().take();
    drop(old);
}

struct Acting;

/// Does it with no lock held, as it may come back here.
fn at(moment: Moment, span: Option<&Id>) {
    let is_culprit = span.is_some_and(|id| {
        let culprits = CULPRITS.lock().unwrap();
        let culprits = culprits.as_ref();
        culprits.is_some_and(|culprits| culprits.contains(&id.into_u64()))
    });
    if !is_culprit {
        return;
    }
    let planned = PLAN.lock().unwrap().clone();
    if let Some((_, act)) = planned.filter(|(planned, _)| *planned == moment) {
        let _ = act.act();
    }
}

#[derive(Default)]
struct Name(String);

impl Visit for Name {
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "name" {
            value.clone_into(&mut self.0);
        }
    }
}

impl Subscriber for Acting {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "taskgroup"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = Id::from_u64(LAST.fetch_add(1, Ordering::Relaxed) + 1);
        let mut name = Name::default();
        span.record(&mut name);
        if name.0 == "culprit" {
            let mut culprits = CULPRITS.lock().unwrap();
            culprits.get_or_insert_default().insert(id.into_u64());
        }
        at(Moment::New, Some(&id));
        id
    }

    fn record(&self, span: &Id, _: &Record<'_>) {
        at(Moment::Record, Some(span));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        at(Moment::Event, event.parent());
    }

    fn enter(&self, span: &Id) {
        at(Moment::Enter, Some(span));
    }

    fn exit(&self, span: &Id) {
        at(Moment::Exit, Some(span));
    }

    fn try_close(&self, span: Id) -> bool {
        at(Moment::Close, Some(&span));
        true
    }
}
