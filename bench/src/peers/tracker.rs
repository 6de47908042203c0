//! tokio-util's `TaskTracker`, with a child of one `CancellationToken` for each task.

use std::time::Instant;

use taskgroup::BoxError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Measured, Peer, parked};
use crate::row::Row;
use crate::work::{Parking, YieldOnce, sum_below};

pub(super) const PEER: Peer = Peer::new(
    "tracker+token",
    &[
        (Row::SpawnJoin, |n| Box::pin(spawn_join(n, false))),
        (Row::YieldsOnce, |n| Box::pin(spawn_join(n, true))),
        (Row::FailFast, |n| Box::pin(fail_fast(n))),
        (Row::Memory, |n| {
            Box::pin(async move {
                let tracker = TaskTracker::new();
                let token = CancellationToken::new();
                let spawn = |child| {
                    let token = token.child_token();
                    tracker.spawn(async move { token.run_until_cancelled(child).await });
                };
                let measured = parked(n, spawn).await;
                token.cancel();
                tracker.close();
                tracker.wait().await;
                measured
            })
        }),
    ],
);

async fn spawn_join(n: usize, yields: bool) -> Measured {
    let tracker = TaskTracker::new();
    let token = CancellationToken::new();
    let child = |index| {
        let token = token.child_token();
        let work = async move {
            if yields {
                YieldOnce::default().await;
            }
            index
        };
        tracker.spawn(async move { token.run_until_cancelled(work).await })
    };
    let handles: Vec<_> = (0..n).map(child).collect();
    tracker.close();
    tracker.wait().await;
    let mut sum = 0;
    for handle in handles {
        let value = handle.await.expect("no child panics");
        sum += value.expect("no child is cancelled");
    }
    assert_eq!(sum, sum_below(n));
    Measured::whole()
}

async fn fail_fast(n: usize) -> Measured {
    let tracker = TaskTracker::new();
    let token = CancellationToken::new();
    let parking = Parking::default();
    for _ in 0..n {
        let token = token.child_token();
        let child = parking.child();
        tracker.spawn(async move { token.run_until_cancelled(child).await });
    }
    parking.full(n).await;
    let begin = Instant::now();
    let all = token.clone();
    let failing = tracker.spawn(async move {
        all.cancel();
        Err::<(), BoxError>("one fails".into())
    });
    tracker.close();
    tracker.wait().await;
    assert!(matches!(failing.await, Ok(Err(_))));
    Measured::since(begin)
}
