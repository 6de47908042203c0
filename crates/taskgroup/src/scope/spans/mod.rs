//! `tracing` spans that follow the tree.
//!
//! The span of a group is opened where the group is: below the span of the task that runs it, or
//! one that the task has entered itself. The span of a task is always below the span of its group,
//! whichever code spawned it.
//!
//! Whatever `tracing` is asked may run code of a subscriber, which is foreign: it goes through the
//! gate, outside all locks.
//!
//! | file | what it answers |
//! |---|---|
//! | `site` | which level and target spans have |

use std::panic::Location;

use tracing::level_filters::LevelFilter;
use tracing::{Id, Level};

use crate::gate;
use crate::reason::CancelReason;
use crate::scope::how::How;

mod site;

pub(crate) use site::Sites;
pub use site::Spans;

/// The subject of the report, if one panics.
const SUBSCRIBER: &str = "a `tracing` subscriber";

/// A span whose every operation goes through the gate.
pub(crate) struct Span(tracing::Span);

/// Until it is dropped, the span is the current one.
pub(crate) struct EnteredSpan<'a>(Option<tracing::span::Entered<'a>>);

/// What a span says from the start.
pub(crate) struct Told<'a> {
    pub(crate) name: Option<&'a str>,
    /// The number of the group and that of the child, 0 for the group itself.
    pub(crate) id: (u32, u32),
    pub(crate) location: &'static Location<'static>,
}

impl Span {
    /// A span of a task or an inline child. `about` says what its parent is, and what it tells.
    pub(crate) fn of_task<'a>(
        sites: Sites,
        about: impl FnOnce() -> (Option<Id>, Told<'a>),
    ) -> Self {
        Self::at(sites.of_tasks(), about)
    }

    /// A span of a group. It is below the current one, and below the parent that `about` gives
    /// where there is none.
    pub(crate) fn of_group<'a>(
        sites: Sites,
        about: impl FnOnce() -> (Option<Id>, Told<'a>),
    ) -> Self {
        Self::at(sites.of_groups(), || {
            let (around, told) = about();
            (around.filter(|_| is_outside()), told)
        })
    }

    pub(crate) fn none() -> Self {
        Self(tracing::Span::none())
    }

    #[inline]
    fn at<'a>(
        site: Option<&'static site::Site>,
        about: impl FnOnce() -> (Option<Id>, Told<'a>),
    ) -> Self {
        let make = |site: &'static site::Site| {
            record(site.level(), || {
                site.is_enabled().then(|| make(site, about()))
            })
        };
        let span = site.and_then(make).flatten();
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
    pub(crate) fn id(&self) -> Option<Id> {
        self.0.id()
    }

    /// Adds how the task or the group has ended, if a subscriber has the span.
    #[inline]
    pub(crate) fn ended(&self, how: impl FnOnce() -> How) {
        if !self.0.is_disabled() {
            let how = how();
            gate::call_or_report(SUBSCRIBER, || at_last(&how, &self.0));
        }
    }
}

/// Whether no span is current. Calls the subscriber.
fn is_outside() -> bool {
    tracing::Span::current().is_none()
}

/// Calls the subscriber.
fn make(site: &'static site::Site, (parent, told): (Option<Id>, Told<'_>)) -> tracing::Span {
    let Told { name, id, location } = told;
    let id = format!("{}.{}", id.0, id.1);
    let id = tracing::field::display(&id);
    let (file, line, column) = (location.file(), location.line(), location.column());
    let name = name.as_ref();
    if site.console {
        let values: site::Values<'_, { site::AT_FIRST }> = [
            None,
            Some(&id),
            None,
            None,
            None,
            name.map(|name| name as _),
            Some(&"taskgroup"),
            Some(&file),
            Some(&line),
            Some(&column),
        ];
        return site.span(parent, values);
    }
    let name = name.map(|name| name as &dyn tracing::Value);
    // OpenTelemetry knows signed numbers only.
    let line = i64::from(line);
    let values: site::Values<'_, { site::AT_FIRST }> = [
        name,
        Some(&id),
        Some(&file),
        Some(&line),
        name,
        None,
        None,
        None,
        None,
        None,
    ];
    site.span(parent, values)
}

/// Calls the subscriber.
fn at_last(how: &How, span: &tracing::Span) {
    let reason = how.reason.as_ref().map(CancelReason::to_string);
    let by = how.reason.as_ref().and_then(CancelReason::task);
    let by = by.map(|task| task.path().to_string());
    let value = |text| Option::map(text, |text: &String| text as &dyn tracing::Value);
    let error = value(how.error.as_ref());
    // The code comes before the description, which has the last word.
    let is_error = how.outcome.is_error();
    let values: site::Values<'_, { site::AT_LAST }> = [
        Some(&how.outcome.word()),
        error,
        value(reason.as_ref()),
        value(by.as_ref()),
        is_error.then_some(&"ERROR" as _),
        error.filter(|_| is_error),
    ];
    site::at_last(span, values);
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
