//! How long a command usually takes, for `--timeout 200%`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Stopwatch;

/// Fewer say nothing about the others.
const FEWEST: usize = 3;

/// After this many, others no longer change the picture.
const MOST: usize = 10_000;

pub(super) struct Typical {
    /// Of successes, the shortest first.
    took: Mutex<Vec<Duration>>,
    median: watch::Sender<Option<Duration>>,
}

impl Default for Typical {
    fn default() -> Typical {
        Typical {
            took: Mutex::default(),
            median: watch::Sender::new(None),
        }
    }
}

impl Typical {
    /// Adds how long a command took that succeeded.
    pub(super) fn add(&self, took: Duration) {
        let mut all = self.took.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == MOST {
            return;
        }
        let at = all.partition_point(|other| *other < took);
        all.insert(at, took);
        if all.len() >= FEWEST {
            self.median.send_replace(Some(all[all.len() / 2]));
        }
    }

    /// Resolves when what is measured takes longer than this share of the median. Cancel safe.
    pub(super) async fn overdue(&self, watch: &Stopwatch, percent: u32) {
        let mut median = self.median.subscribe();
        loop {
            let now = *median.borrow_and_update();
            let limit = now.map(|median| median * percent / 100);
            let overdue = watch.until(limit.unwrap_or_default());
            tokio::select! {
                // A longer median may have come at the same moment.
                biased;
                // The sender is there: `self` has it.
                _ = median.changed() => {}
                () = overdue, if limit.is_some() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_takes_longer_than_usual_is_overdue() {
        let seconds = Duration::from_secs;
        let typical = Typical::default();
        let watch = crate::clock::Clock::default().start();
        let waits = async {
            typical.overdue(&watch, 200).await;
            watch.elapsed()
        };
        let others = async {
            for took in [9, 1, 5] {
                tokio::time::sleep(seconds(1)).await;
                typical.add(seconds(took));
            }
            // Twice five seconds, but now the median grows.
            tokio::time::sleep(seconds(6)).await;
            typical.add(seconds(9));
            typical.add(seconds(9));
        };
        let (took, ()) = tokio::join!(waits, others);
        assert_eq!(took, seconds(18));
    }
}
