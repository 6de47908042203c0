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
use tracing::span::Record;
use tracing::{Dispatch, Id, Level, Metadata, dispatcher};

use crate::error::TaskId;
use crate::gate;
use crate::reason::CancelReason;
use crate::scope::how::How;
use crate::sync::Mutex;

mod site;

pub(crate) use site::Sites;
pub use site::Spans;

/// The subject of the report, if one panics.
const SUBSCRIBER: &str = "a `tracing` subscriber";

/// The span of a task or a group. It closes when that has ended, whichever handles are kept: a
/// subscriber takes that for the end of what the span is about. There is none where no subscriber
/// wants it.
pub(crate) struct Span(Option<Box<Mutex<Open>>>);

/// A span until it closes.
struct Open {
    opened: Option<Opened>,
    /// How many threads make an event in it. The last one closes it, if it was to close meanwhile.
    events: u32,
    is_to_close: bool,
}

impl Open {
    /// Takes the span out, when nothing uses it any more.
    fn take_to_close(&mut self) -> Option<Opened> {
        let closes = self.is_to_close && self.events == 0;
        self.opened.take_if(|_| closes)
    }
}

/// A span that has not closed. A clone of it closes nothing.
#[derive(Clone)]
pub(crate) struct Opened {
    id: Id,
    /// The subscriber that has it. Another one knows nothing of its id.
    to: Dispatch,
    metadata: &'static Metadata<'static>,
}

/// Until it is dropped, the span is the current one.
pub(crate) struct EnteredSpan(Option<Opened>);

/// What a span says from the start.
#[derive(Clone, Copy)]
pub(crate) struct Told<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) id: TaskId,
    pub(crate) location: &'static Location<'static>,
}

impl Span {
    /// A span of a task or an inline child, below the span that `around` finds.
    pub(crate) fn of_task<'a>(
        sites: impl FnOnce() -> Sites,
        around: impl Fn() -> Option<Opened>,
        told: impl Fn() -> Told<'a>,
    ) -> Self {
        // First, because the way to the group that has the sites may be long.
        if LevelFilter::current() == LevelFilter::OFF {
            return Self::none();
        }
        Self::at(sites().of_tasks(), |_| around(), told)
    }

    /// A span of a group. It is below the current one, and below the one that `around` finds where
    /// there is none.
    pub(crate) fn of_group<'a>(
        sites: Sites,
        around: impl Fn() -> Option<Opened>,
        told: impl Fn() -> Told<'a>,
    ) -> Self {
        let unless_inside = |current: &Dispatch| {
            let is_inside = current.current_span().id().is_some();
            if is_inside { None } else { around() }
        };
        Self::at(sites.of_groups(), unless_inside, told)
    }

    pub(crate) fn none() -> Self {
        Self(None)
    }

    #[inline]
    fn at<'a>(
        site: Option<&'static site::Site>,
        around: impl Fn(&Dispatch) -> Option<Opened>,
        told: impl Fn() -> Told<'a>,
    ) -> Self {
        let make = |site: &'static site::Site| {
            record(site.level, || {
                site.register();
                dispatcher::get_default(|current| {
                    // First, because the way to the span around may be long.
                    if !site.is_enabled(current) {
                        return None;
                    }
                    let Some(around) = around(current) else {
                        return Some(make(site, current, None, told()));
                    };
                    let to = &around.to;
                    let is_wanted = site.is_enabled(to);
                    is_wanted.then(|| make(site, to, Some(around.id.clone()), told()))
                })
            })
        };
        let opened = site.and_then(make).flatten();
        let open = |opened| Open {
            opened: Some(opened),
            events: 0,
            is_to_close: false,
        };
        Self(opened.map(|opened| Box::new(Mutex::new(open(opened)))))
    }

    #[inline]
    pub(crate) fn enter(&self) -> EnteredSpan {
        let enter = |opened: Opened| {
            gate::call_or_report(SUBSCRIBER, || {
                opened.to.enter(&opened.id);
                opened
            })
        };
        EnteredSpan(self.opened().and_then(enter))
    }

    /// What children are below, until it closes. Asks no subscriber.
    #[inline]
    pub(crate) fn opened(&self) -> Option<Opened> {
        let open = self.0.as_ref()?.lock();
        open.opened.clone().filter(|_| !open.is_to_close)
    }

    /// Calls `tell`, which makes an event of level DEBUG below the span that it is given. Where
    /// there is a span, the event goes to the subscriber that has it. Another thread may close the
    /// span meanwhile, so it stays open for the event.
    pub(crate) fn event(&self, tell: impl FnOnce(Option<Id>)) {
        if Level::DEBUG > LevelFilter::current() {
            return;
        }
        let opened = self.opened_for_event();
        gate::call_or_report(SUBSCRIBER, || match opened {
            Some(opened) => dispatcher::with_default(&opened.to, || tell(Some(opened.id))),
            None => tell(None),
        });
        self.close_if(|open| open.events = open.events.saturating_sub(1));
    }

    fn opened_for_event(&self) -> Option<Opened> {
        let mut open = self.0.as_ref()?.lock();
        open.events += 1;
        open.opened.clone()
    }

    /// Adds how the task or the group has ended, if a subscriber has the span.
    #[inline]
    pub(crate) fn ended(&self, how: impl FnOnce() -> How) {
        if let Some(opened) = self.opened() {
            let how = how();
            gate::call_or_report(SUBSCRIBER, move || at_last(&how, &opened));
        }
    }

    /// What it is about has ended, and the span is not entered.
    #[inline]
    pub(crate) fn close(&self) {
        self.close_if(|open| open.is_to_close = true);
    }

    /// Changes what is known of the span, and closes it if nothing uses it then.
    fn close_if(&self, change: impl FnOnce(&mut Open)) {
        let Some(open) = &self.0 else { return };
        let opened = {
            let mut open = open.lock();
            change(&mut open);
            open.take_to_close()
        };
        if let Some(opened) = opened {
            gate::call_or_report(SUBSCRIBER, move || opened.to.try_close(opened.id));
        }
    }
}

/// Calls the subscriber.
fn make(site: &'static site::Site, to: &Dispatch, parent: Option<Id>, told: Told<'_>) -> Opened {
    let Told { name, id, location } = told;
    let id = tracing::field::display(&id);
    let (file, line, column) = (location.file(), location.line(), location.column());
    let name = name.as_ref().map(|name| name as &dyn tracing::Value);
    if site.console {
        let values: site::Values<'_, { site::AT_FIRST }> = [
            None,
            Some(&id),
            None,
            None,
            None,
            name,
            Some(&"taskgroup"),
            Some(&file),
            Some(&line),
            Some(&column),
        ];
        return site.span(to, parent, values);
    }
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
    site.span(to, parent, values)
}

/// Calls the subscriber.
fn at_last(how: &How, span: &Opened) {
    let reason = how.reason.as_ref().map(CancelReason::to_string);
    let by = how.reason.as_ref().and_then(CancelReason::task);
    let by = by.map(|task| task.path().to_string());
    let value = |text| Option::map(text, |text: &String| text as &dyn tracing::Value);
    let error = value(how.error.as_ref());
    // The code comes before the description, which has the last word.
    let is_error = how.outcome.is_error();
    let outcome = how.outcome.word();
    let values: site::Values<'_, { site::AT_LAST }> = [
        Some(&outcome),
        error,
        value(reason.as_ref()),
        value(by.as_ref()),
        is_error.then_some(&"ERROR" as _),
        error.filter(|_| is_error),
    ];
    let values = site::named(span.metadata, site::AT_FIRST, values);
    let values = values.each_ref().map(|(field, value)| (field, *value));
    let values = span.metadata.fields().value_set(&values);
    span.to.record(&span.id, &Record::new(&values));
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        self.close();
    }
}

impl Drop for EnteredSpan {
    #[inline]
    fn drop(&mut self) {
        if let Some(opened) = self.0.take() {
            gate::call_or_report(SUBSCRIBER, move || opened.to.exit(&opened.id));
        }
    }
}

/// Calls `record`, which calls the subscriber, if there may be one that asks for this level.
#[inline]
fn record<R>(level: Level, record: impl FnOnce() -> R) -> Option<R> {
    if level > LevelFilter::current() {
        return None;
    }
    gate::call_or_report(SUBSCRIBER, record)
}
