//! What the children do: the same futures for every peer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// Longer than any program runs: a timeout that does not fire.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Goes once behind the other tasks of its runtime.
///
/// `tokio::task::yield_now` would also do on Tokio tasks, but it parks its waker with the runtime, and so measures that too.
#[derive(Default)]
pub(crate) struct YieldOnce {
    yielded: bool,
}

impl Future for YieldOnce {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// How many children are parked.
#[derive(Clone, Default)]
pub(crate) struct Parking {
    parked: Arc<AtomicUsize>,
}

impl Parking {
    /// A child that counts at its first poll and then waits for ever.
    pub(crate) fn child(&self) -> Parked {
        Parked {
            parking: self.clone(),
            parked: false,
        }
    }

    /// Waits until `n` children are parked.
    pub(crate) async fn full(&self, n: usize) {
        while self.parked.load(Ordering::Acquire) < n {
            tokio::task::yield_now().await;
        }
    }
}

/// See [`Parking::child`].
pub(crate) struct Parked {
    parking: Parking,
    parked: bool,
}

impl Future for Parked {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if !self.parked {
            self.parked = true;
            self.parking.parked.fetch_add(1, Ordering::AcqRel);
        }
        Poll::Pending
    }
}

/// The sum that the results of `n` children have.
pub(crate) fn sum_below(n: usize) -> usize {
    n * n.saturating_sub(1) / 2
}
