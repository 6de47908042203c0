//! Time that stands still while the run is suspended, for timeouts and deadlines.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    /// How long the run has been suspended so far.
    suspended: Arc<Mutex<Duration>>,
}

impl Clock {
    /// Resolves when `limit` has passed, apart from the time in which the run was suspended. Never
    /// resolves if that moment is beyond the system's clock. Cancel safe, but starts anew.
    pub(crate) async fn after(&self, limit: Duration) {
        let (begin, before) = (Instant::now(), self.suspended());
        loop {
            let suspended = self.suspended().saturating_sub(before);
            let end = begin
                .checked_add(limit)
                .and_then(|end| end.checked_add(suspended));
            match end {
                None => std::future::pending().await,
                Some(end) if Instant::now() >= end => return,
                // The run may be suspended meanwhile, so this looks again.
                Some(end) => sleep_until(end).await,
            }
        }
    }

    /// As [`after`](Self::after). Without a limit it never resolves.
    pub(crate) async fn after_any(&self, limit: Option<Duration>) {
        match limit {
            Some(limit) => self.after(limit).await,
            None => std::future::pending().await,
        }
    }

    /// The run was suspended for this time, until now.
    pub(crate) fn stood_still(&self, time: Duration) {
        *self
            .suspended
            .lock()
            .unwrap_or_else(PoisonError::into_inner) += time;
    }

    fn suspended(&self) -> Duration {
        *self
            .suspended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, timeout};

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_suspension_does_not_count() {
        let clock = Clock::default();
        let after = clock.after(Duration::from_secs(10));
        tokio::pin!(after);
        assert!(timeout(Duration::from_secs(9), &mut after).await.is_err());
        // What a process sees that was stopped for an hour.
        advance(Duration::from_secs(3600)).await;
        clock.stood_still(Duration::from_secs(3600));
        let begin = Instant::now();
        after.await;
        assert_eq!(begin.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_beyond_the_clock_never_comes() {
        let clock = Clock::default();
        let after = clock.after(Duration::MAX);
        assert!(timeout(Duration::from_secs(1), after).await.is_err());
    }
}
