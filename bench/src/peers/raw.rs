//! `tokio::spawn` by hand: with its `JoinHandle`s awaited in order, and with a countdown latch.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use taskgroup::BoxError;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::{Measured, Peer};
use crate::row::Row;
use crate::work::{Parking, YieldOnce, sum_below};

pub(super) const PEER: Peer = Peer {
    name: "raw",
    programs: &[
        (Row::SpawnJoin, |n| Box::pin(spawn_join(n))),
        (Row::YieldsOnce, |n| Box::pin(yields_once(n))),
        (Row::FailFast, |n| Box::pin(fail_fast(n))),
        (Row::Nested, |depth| {
            Box::pin(async move {
                nested(depth).await;
                Measured::whole()
            })
        }),
    ],
};

/// Results go into slots, the last child wakes the parent.
pub(super) const LATCH: Peer = Peer {
    name: "raw.latch",
    programs: &[
        (Row::SpawnJoin, |n| Box::pin(latched(n, false))),
        (Row::YieldsOnce, |n| Box::pin(latched(n, true))),
    ],
};

async fn spawn_join(n: usize) -> Measured {
    let child = |index| tokio::spawn(async move { index });
    assert_eq!(sum((0..n).map(child).collect()).await, sum_below(n));
    Measured::whole()
}

async fn yields_once(n: usize) -> Measured {
    let child = |index| {
        tokio::spawn(async move {
            YieldOnce::default().await;
            index
        })
    };
    assert_eq!(sum((0..n).map(child).collect()).await, sum_below(n));
    Measured::whole()
}

async fn sum(handles: Vec<JoinHandle<usize>>) -> usize {
    let mut sum = 0;
    for handle in handles {
        sum += handle.await.expect("no child panics");
    }
    sum
}

async fn fail_fast(n: usize) -> Measured {
    let parking = Parking::default();
    let handles: Vec<_> = (1..n).map(|_| tokio::spawn(parking.child())).collect();
    parking.full(n - 1).await;
    let begin = Instant::now();
    let failing = tokio::spawn(async { Err::<(), BoxError>("one fails".into()) });
    assert!(matches!(failing.await, Ok(Err(_))));
    for handle in &handles {
        handle.abort();
    }
    for handle in handles {
        let joined = handle.await;
        assert!(joined.is_err_and(|error| error.is_cancelled()));
    }
    Measured::stretch(begin.elapsed())
}

fn nested(depth: usize) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if depth > 0 {
            let one = tokio::spawn(nested(depth - 1));
            let other = tokio::spawn(nested(depth - 1));
            one.await.expect("no child panics");
            other.await.expect("no child panics");
        }
    })
}

struct Latch {
    left: AtomicUsize,
    open: Notify,
    slots: Box<[AtomicUsize]>,
}

async fn latched(n: usize, yields: bool) -> Measured {
    let latch = Arc::new(Latch {
        left: AtomicUsize::new(n),
        open: Notify::new(),
        slots: (0..n).map(|_| AtomicUsize::new(0)).collect(),
    });
    for index in 0..n {
        let latch = latch.clone();
        tokio::spawn(async move {
            if yields {
                YieldOnce::default().await;
            }
            latch.slots[index].store(index, Ordering::Relaxed);
            if latch.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                latch.open.notify_one();
            }
        });
    }
    latch.open.notified().await;
    let slots = latch.slots.iter();
    let sum: usize = slots.map(|slot| slot.load(Ordering::Relaxed)).sum();
    assert_eq!(sum, sum_below(n));
    Measured::whole()
}
