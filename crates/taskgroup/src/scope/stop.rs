//! The request that a program should stop: what asks, and what waits for it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::reason::CancelReason;

/// Whether the program of a run is asked to stop. It is a level: once asked, always asked.
pub(crate) struct Stop {
    request: watch::Sender<Option<CancelReason>>,
    /// Code has waited for it. Only the thread that asks reads this, and either order is right: a
    /// request that comes just before the first wait counts like one that came long before.
    was_awaited: AtomicBool,
}

impl Stop {
    pub(crate) fn new() -> Self {
        Self {
            request: watch::Sender::new(None),
            was_awaited: AtomicBool::new(false),
        }
    }

    pub(crate) fn ask(&self, reason: &CancelReason) {
        self.request.send_replace(Some(reason.clone()));
    }

    /// Why the program is asked to stop, if it is.
    pub(crate) fn reason(&self) -> Option<CancelReason> {
        self.request.borrow().clone()
    }

    pub(crate) fn was_awaited(&self) -> bool {
        self.was_awaited.load(Ordering::Relaxed)
    }

    /// Resolves to the reason of the stop, or to `None` when the run has ended without one.
    pub(crate) fn wait(
        &self,
    ) -> impl Future<Output = Option<CancelReason>> + Send + 'static + use<> {
        self.was_awaited.store(true, Ordering::Relaxed);
        let mut request = self.request.subscribe();
        async move {
            let asked = request.wait_for(Option::is_some).await;
            asked.ok().and_then(|reason| reason.clone())
        }
    }
}
