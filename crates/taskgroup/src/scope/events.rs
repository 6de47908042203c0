//! What the engine tells a listener: one call for each turn in the life of a task or a group.
//!
//! Without the features `recorder`, `tracing` and `metrics` these are empty. With `recorder`, each
//! costs one relaxed load while there is no recorder. They are called outside all locks of the
//! engine.

#![cfg_attr(not(feature = "recorder"), allow(unused_variables))]

use std::sync::Arc;

use super::entrant::Entrant;
use super::how::Ending;
#[cfg(feature = "tracing")]
use super::how::How;
#[cfg(feature = "tracing")]
use super::spans::Span;
use super::task::Header;
#[cfg(feature = "metrics")]
use super::task::SHIELDED;
use super::tree::Scope;
use crate::error::ErrorGroup;
#[cfg(feature = "tracing")]
use crate::error::TaskInfo;
use crate::reason::CancelReason;

/// The listener. The recorder is one. It is called outside all locks of the engine.
#[cfg(feature = "recorder")]
pub(crate) trait Listener: Sync {
    fn spawned(&self, header: &Header);
    fn started(&self, header: &Header);
    fn cancelled(&self, header: &Header, reason: &CancelReason);
    fn cleaning(&self, header: &Header);
    fn forced(&self, header: &Header);
    fn ended(&self, header: &Header, how: &Ending);
    fn opened(&self, scope: &Arc<Scope>);
    fn inline_ended(&self, scope: &Arc<Scope>, how: &Ending);
    fn scope_cancelled(&self, scope: &Arc<Scope>, reason: &CancelReason);
    fn scope_cleaning(&self, scope: &Arc<Scope>);
    fn closed(&self, scope: &Arc<Scope>);
}

#[cfg(feature = "recorder")]
mod listening {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Listener;

    /// How many calls of [`start`] have not been taken back.
    static LISTENING: AtomicUsize = AtomicUsize::new(0);
    /// There is one for the whole process.
    static LISTENER: OnceLock<&'static dyn Listener> = OnceLock::new();

    /// From now on the listener is called, until [`stop`] takes this back.
    pub(crate) fn start(listener: &'static dyn Listener) {
        LISTENER.get_or_init(|| listener);
        LISTENING.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stop() {
        LISTENING.fetch_sub(1, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn is_on() -> bool {
        LISTENING.load(Ordering::Relaxed) > 0
    }

    #[cold]
    pub(super) fn tell(what: impl FnOnce(&dyn Listener)) {
        if let Some(listener) = LISTENER.get() {
            what(*listener);
        }
    }
}

#[cfg(feature = "recorder")]
pub(crate) use listening::{start, stop};

/// Tells the listener, if there is one.
macro_rules! tell {
    ($what:ident($($argument:expr),*)) => {
        #[cfg(feature = "recorder")]
        if listening::is_on() {
            listening::tell(|listener| listener.$what($($argument),*));
        }
    };
}

/// A task was made; it waits for its first poll.
#[inline]
pub(crate) fn spawned(header: &Header) {
    tell!(spawned(header));
}

/// A task is about to be polled for the first time.
#[inline]
pub(crate) fn started(header: &Header) {
    #[cfg(feature = "metrics")]
    if !header.has(SHIELDED) {
        header.meter.started(header.label.name().as_ref());
    }
    tell!(started(header));
}

/// A task learned that it is cancelled.
#[inline]
pub(crate) fn cancelled(header: &Header, reason: &CancelReason) {
    #[cfg(feature = "tracing")]
    {
        // The one whose failure cancels all others is told as well.
        let is_culprit = |culprit: &TaskInfo| culprit.id() == header.id();
        header.span.event(|span| {
            if !reason.task().is_some_and(is_culprit) {
                tracing::debug!(target: "taskgroup", parent: span, %reason, "cancelled");
            }
        });
    }
    tell!(cancelled(header, reason));
}

/// A task learned from its owner that it is cancelled, or from its handle.
#[inline]
pub(crate) fn found_cancelled(header: &Header) {
    #[cfg(any(feature = "recorder", feature = "tracing"))]
    cancelled(header, &header.reason());
}

/// A cancelled task goes on for its cleanup. Told more than once.
#[inline]
pub(crate) fn cleaning(header: &Header) {
    tell!(cleaning(header));
}

/// The grace has ended for a task: it is dropped at its next suspension point.
#[inline]
pub(crate) fn forced(header: &Header) {
    tell!(forced(header));
}

/// A task has ended.
#[inline]
pub(crate) fn ended(header: &Header, how: impl Fn() -> Ending) {
    #[cfg(feature = "tracing")]
    {
        header.span.ended(|| {
            let reason = header.is_to_end().then(|| header.reason());
            How::of_task(&how(), header.is_forced(), reason)
        });
        failed(&header.span, &how);
    }
    // A cleanup is no child (S42).
    #[cfg(feature = "metrics")]
    if !header.has(SHIELDED) {
        let outcome = how().outcome(header.is_forced());
        header.meter.ended(header.label.name().as_ref(), outcome);
    }
    tell!(ended(header, &how()));
}

/// An inline child was cancelled before it began.
#[inline]
#[cfg_attr(not(feature = "metrics"), allow(unused_variables))]
pub(crate) fn inline_never_began(who: &Entrant) {
    #[cfg(feature = "metrics")]
    super::meters::Meter::default().ended(who.name(), super::how::Outcome::Cancelled);
}

/// An inline child has ended, or what it left behind has.
#[inline]
pub(crate) fn inline_ended(scope: &Arc<Scope>, how: impl Fn() -> Ending) {
    #[cfg(any(feature = "tracing", feature = "metrics"))]
    if let Some(inline) = scope.inline() {
        let forced = scope.is_forced();
        #[cfg(feature = "tracing")]
        {
            inline
                .span
                .ended(|| How::of_task(&how(), forced, reason_to_end(scope)));
            failed(&inline.span, &how);
            inline.span.close();
        }
        #[cfg(feature = "metrics")]
        inline
            .meter
            .ended(inline.who().name(), how().outcome(forced));
    }
    tell!(inline_ended(scope, &how()));
}

/// The failure of a task as an event in its span.
#[cfg(feature = "tracing")]
fn failed(span: &Span, how: impl Fn() -> Ending) {
    span.event(|span| {
        if tracing::enabled!(target: "taskgroup", tracing::Level::DEBUG) {
            if let Ending::Failed(failure) = how() {
                tracing::debug!(target: "taskgroup", parent: span, "{failure}");
            }
        }
    });
}

/// A group has ended, with this failure if its policy makes one of what happened. It is asked for
/// only if a span wants it.
#[inline]
#[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
pub(crate) fn group_ended<'a>(
    scope: &Arc<Scope>,
    failure: impl FnOnce() -> Option<&'a ErrorGroup>,
) {
    #[cfg(feature = "tracing")]
    if let Some(group) = scope.group() {
        group
            .span
            .ended(|| How::of_group(failure(), reason_to_end(scope)));
        group.span.close();
    }
}

/// Why the scope is cancelled, if it is.
#[cfg(feature = "tracing")]
fn reason_to_end(scope: &Scope) -> Option<CancelReason> {
    scope.reason().filter(|_| scope.is_cancelled())
}

/// A scope was opened.
#[inline]
pub(crate) fn opened(scope: &Arc<Scope>) {
    #[cfg(feature = "metrics")]
    if let Some(inline) = scope.inline() {
        inline.meter.started(inline.who().name());
    }
    tell!(opened(scope));
}

/// A scope learned that it is cancelled.
#[inline]
pub(crate) fn scope_cancelled(scope: &Arc<Scope>, reason: &CancelReason) {
    tell!(scope_cancelled(scope, reason));
}

/// Code of a cancelled scope goes on for its cleanup.
#[inline]
pub(crate) fn scope_cleaning(scope: &Arc<Scope>) {
    tell!(scope_cleaning(scope));
}

/// A scope has ended with everything below.
#[inline]
pub(crate) fn closed(scope: &Arc<Scope>) {
    tell!(closed(scope));
}
