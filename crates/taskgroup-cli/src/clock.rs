//! Time that stands still while the run is suspended, for timeouts, deadlines and all durations.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    /// How long the run has been suspended so far.
    suspended: Arc<Mutex<Duration>>,
}

/// How long something takes, apart from the time in which the run is suspended.
#[derive(Clone, Debug)]
pub(crate) struct Stopwatch {
    clock: Clock,
    begin: Instant,
    /// How long the run had been suspended by then.
    before: Duration,
}

impl Stopwatch {
    pub(crate) fn elapsed(&self) -> Duration {
        let suspended = self.clock.suspended().saturating_sub(self.before);
        self.begin.elapsed().saturating_sub(suspended)
    }

    /// Resolves when this much has elapsed. Never resolves if that moment is beyond the system's
    /// clock. Cancel safe.
    pub(crate) async fn until(&self, limit: Duration) {
        loop {
            let left = limit.saturating_sub(self.elapsed());
            match Instant::now().checked_add(left) {
                None => std::future::pending().await,
                Some(_) if left.is_zero() => return,
                // The run may be suspended meanwhile, so this looks again.
                Some(end) => sleep_until(end).await,
            }
        }
    }
}

impl Clock {
    /// Begins to measure.
    pub(crate) fn start(&self) -> Stopwatch {
        Stopwatch {
            clock: self.clone(),
            begin: Instant::now(),
            before: self.suspended(),
        }
    }

    /// Resolves when `limit` has passed, apart from the time in which the run was suspended. Never
    /// resolves if that moment is beyond the system's clock. Cancel safe, but starts anew.
    pub(crate) async fn after(&self, limit: Duration) {
        self.start().until(limit).await;
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
        let watch = clock.start();
        let after = clock.after(Duration::from_secs(10));
        tokio::pin!(after);
        assert!(timeout(Duration::from_secs(9), &mut after).await.is_err());
        // What a process sees that was stopped for an hour.
        advance(Duration::from_secs(3600)).await;
        clock.stood_still(Duration::from_secs(3600));
        let begin = Instant::now();
        after.await;
        assert_eq!(begin.elapsed(), Duration::from_secs(1));
        assert_eq!(watch.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_beyond_the_clock_never_comes() {
        let clock = Clock::default();
        let after = clock.after(Duration::MAX);
        assert!(timeout(Duration::from_secs(1), after).await.is_err());
    }
}
