//! An event that happens once and stays set.

use std::sync::Arc;

use tokio::sync::watch;

/// Any clone can set it, once. Waiters that come later do not wait. Clones are the same flag.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flag(Arc<watch::Sender<bool>>);

impl Flag {
    pub(crate) fn new() -> Flag {
        Flag(Arc::new(watch::Sender::new(false)))
    }

    pub(crate) fn set(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Cancel safe.
    pub(crate) async fn wait(&self) {
        // An error would mean that the sender was dropped, but `self` holds it.
        let _ = self.0.subscribe().wait_for(|set| *set).await;
    }
}
