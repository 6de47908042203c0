//! What the engine tells whoever records: one call for each turn in the life of a task or a group.
//!
//! Without the features `recorder` and `tracing` these are empty. With `recorder` each costs one relaxed load while nobody records. They
//! are called outside all locks of the engine.

#![cfg_attr(not(feature = "recorder"), allow(unused_variables))]

use std::sync::Arc;

use crate::cancel::CancelReason;
use crate::error::TaskError;
use crate::scope::task::Header;
use crate::scope::tree::Scope;

#[cfg(feature = "recorder")]
use super::recorder::live;

/// Runs the expression while somebody records.
macro_rules! tell {
    ($what:expr) => {
        #[cfg(feature = "recorder")]
        if live::is_on() {
            $what;
        }
    };
}

/// How a task ended.
#[cfg_attr(not(any(feature = "recorder", feature = "tracing")), allow(dead_code))]
pub(crate) enum Ending {
    Value,
    Cancelled,
    Failed(TaskError),
}

/// A task was made; it waits for its first poll.
#[inline]
pub(crate) fn spawned(header: &Header) {
    tell!(live::spawned(header));
}

/// A task is about to be polled for the first time.
#[inline]
pub(crate) fn started(header: &Header) {
    tell!(live::started(header));
}

/// A task learned that it is cancelled.
#[inline]
pub(crate) fn cancelled(header: &Header, reason: &CancelReason) {
    #[cfg(feature = "tracing")]
    super::spans::told(tracing::Level::DEBUG, || {
        tracing::debug!(target: "taskgroup", parent: header.span.id(), %reason, "cancelled");
    });
    tell!(live::cancelled(live::Key::of_task(header), reason));
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
    tell!(live::cleaning(live::Key::of_task(header)));
}

/// The grace is over for a task: it is dropped at its next suspension point.
#[inline]
pub(crate) fn forced(header: &Header) {
    tell!(live::forced(live::Key::of_task(header)));
}

/// A task has ended.
#[inline]
pub(crate) fn ended(header: &Header, how: impl Fn() -> Ending) {
    #[cfg(feature = "tracing")]
    super::spans::told(tracing::Level::DEBUG, || {
        if tracing::enabled!(target: "taskgroup", tracing::Level::DEBUG) {
            if let Ending::Failed(failure) = how() {
                tracing::debug!(target: "taskgroup", parent: header.span.id(), "{failure}");
            }
        }
    });
    tell!(live::ended(header, &how()));
}

/// A scope was opened.
#[inline]
pub(crate) fn opened(scope: &Arc<Scope>) {
    tell!(live::opened(scope));
}

/// A scope learned that it is cancelled.
#[inline]
pub(crate) fn scope_cancelled(scope: &Arc<Scope>, reason: &CancelReason) {
    tell!(live::scope_cancelled(scope, reason));
}

/// Code of a cancelled scope goes on for its cleanup.
#[inline]
pub(crate) fn scope_cleaning(scope: &Arc<Scope>) {
    tell!(live::scope_cleaning(scope));
}

/// A scope has ended with everything below.
#[inline]
pub(crate) fn closed(scope: &Arc<Scope>) {
    tell!(live::closed(scope));
}
