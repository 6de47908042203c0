//! An event that happens once and stays set.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Any clone can set it, once. Waiters that come later do not wait. Clones are the same flag.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flag(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_set: AtomicBool,
    /// Wakes the waiters in the order in which they came, so that commands which wait for the same
    /// event start in the order given.
    waiters: Notify,
}

impl Flag {
    pub(crate) fn new() -> Flag {
        Flag::default()
    }

    pub(crate) fn set(&self) {
        self.0.is_set.store(true, Ordering::Release);
        self.0.waiters.notify_waiters();
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.is_set.load(Ordering::Acquire)
    }

    /// Cancel safe.
    pub(crate) async fn wait(&self) {
        // First, because it is woken by what is set from now on.
        let woken = self.0.waiters.notified();
        if !self.is_set() {
            woken.await;
        }
    }
}
