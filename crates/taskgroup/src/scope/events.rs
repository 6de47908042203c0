//! What the engine tells a listener: one call for each turn in the life of a task or a group.
//!
//! Without the features `recorder` and `tracing` these are empty. With `recorder`, each costs one
//! relaxed load while there is no recorder. They are called outside all locks of the engine.

#![cfg_attr(not(feature = "recorder"), allow(unused_variables))]

use std::sync::Arc;

use super::task::Header;
use super::tree::Scope;
use crate::error::TaskError;
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
    tell!(spawned(header));
}

/// A task is about to be polled for the first time.
#[inline]
pub(crate) fn started(header: &Header) {
    tell!(started(header));
}

/// A task learned that it is cancelled.
#[inline]
pub(crate) fn cancelled(header: &Header, reason: &CancelReason) {
    #[cfg(feature = "tracing")]
    super::spans::record(tracing::Level::DEBUG, || {
        tracing::debug!(target: "taskgroup", parent: header.span.id(), %reason, "cancelled");
    });
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
    super::spans::record(tracing::Level::DEBUG, || {
        if tracing::enabled!(target: "taskgroup", tracing::Level::DEBUG) {
            if let Ending::Failed(failure) = how() {
                tracing::debug!(target: "taskgroup", parent: header.span.id(), "{failure}");
            }
        }
    });
    tell!(ended(header, &how()));
}

/// A scope was opened.
#[inline]
pub(crate) fn opened(scope: &Arc<Scope>) {
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
