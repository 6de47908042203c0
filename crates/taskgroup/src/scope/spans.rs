//! `tracing` spans that follow the tree.
//!
//! The span of a group is opened where the group is: below the span of the task that runs it, or
//! one that the task has entered itself. The span of a task is always below the span of its group,
//! whichever code spawned it.
//!
//! Whatever `tracing` is asked may run code of a subscriber, which is foreign: it goes through the
//! gate, outside all locks.

use tracing::level_filters::LevelFilter;
use tracing::{Level, info_span};

use crate::gate;

/// The subject of the report, if one panics.
const SUBSCRIBER: &str = "a `tracing` subscriber";

/// A span whose every operation goes through the gate.
pub(crate) struct Span(tracing::Span);

/// Until it is dropped, the span is the current one.
pub(crate) struct EnteredSpan<'a>(Option<tracing::span::Entered<'a>>);

impl Span {
    pub(super) fn new(make: impl FnOnce() -> tracing::Span) -> Self {
        let span = record(Level::INFO, make);
        Self(span.unwrap_or_else(tracing::Span::none))
    }

    #[inline]
    pub(crate) fn enter(&self) -> EnteredSpan<'_> {
        if self.0.is_disabled() {
            return EnteredSpan(None);
        }
        EnteredSpan(gate::call_or_report(SUBSCRIBER, || self.0.enter()))
    }

    /// Asks no subscriber.
    pub(crate) fn id(&self) -> Option<tracing::Id> {
        self.0.id()
    }
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        if !self.0.is_disabled() {
            let span = std::mem::replace(&mut self.0, tracing::Span::none());
            gate::call_or_report(SUBSCRIBER, || drop(span));
        }
    }
}

impl Drop for EnteredSpan<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(entered) = self.0.take() {
            gate::call_or_report(SUBSCRIBER, || drop(entered));
        }
    }
}

/// Calls `record`, which calls the subscriber, if there may be one that asks for this level.
#[inline]
pub(super) fn record<R>(level: Level, record: impl FnOnce() -> R) -> Option<R> {
    if level > LevelFilter::current() {
        return None;
    }
    gate::call_or_report(SUBSCRIBER, record)
}

pub(crate) fn of_group(number: u32, name: Option<&str>) -> Span {
    Span::new(|| info_span!(target: "taskgroup", "group", name, id = %format_args!("{number}.0")))
}
