//! Plain `tokio::spawn`: with its `JoinHandle`s awaited in order, and with a countdown latch.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use taskgroup::BoxError;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::{Measured, Peer, parked};
use crate::row::Row;
use crate::work::{Busy, HOG, Parking, YieldOnce, compute, late, sum_below};

pub(super) const PEER: Peer = Peer::new(
    "raw",
    &[
        (Row::SpawnJoin, |n| Box::pin(spawn_join(n))),
        (Row::YieldsOnce, |n| Box::pin(yields_once(n))),
        (Row::FailFast, |n| Box::pin(fail_fast(n))),
        (Row::Nested, |depth| {
            Box::pin(async move {
                nested(depth).await;
                Measured::whole()
            })
        }),
        (Row::Memory, |n| {
            Box::pin(async move {
                let mut handles = Vec::with_capacity(n);
                let measured = parked(n, |child| handles.push(tokio::spawn(child))).await;
                handles.iter().for_each(JoinHandle::abort);
                measured
            })
        }),
        (Row::Cpu100us, |n| Box::pin(cpu(n, 100))),
        (Row::Cpu1ms, |n| Box::pin(cpu(n, 1_000))),
        (Row::BesideHog, |n| Box::pin(beside_hog(n))),
        (Row::Sleeper, |n| Box::pin(sleeper(n))),
    ],
);

/// Results go into slots. The last child wakes the parent.
pub(super) const LATCH: Peer = Peer::new(
    "raw.latch",
    &[
        (Row::SpawnJoin, |n| Box::pin(latched(n, false))),
        (Row::YieldsOnce, |n| Box::pin(latched(n, true))),
    ],
);

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
    let handles: Vec<_> = (0..n).map(|_| tokio::spawn(parking.child())).collect();
    parking.full(n).await;
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
    Measured::since(begin)
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

async fn cpu(n: usize, microseconds: u64) -> Measured {
    let child = |_| tokio::spawn(async move { compute(Duration::from_micros(microseconds)) });
    let handles: Vec<_> = (0..n).map(child).collect();
    for handle in handles {
        handle.await.expect("no child panics");
    }
    Measured::whole()
}

async fn beside_hog(n: usize) -> Measured {
    let mut waits = Vec::with_capacity(n);
    for _ in 0..n {
        let parking = Parking::default();
        let started = parking.clone();
        let hog = tokio::spawn(async move {
            started.arrive();
            compute(HOG);
        });
        parking.full(1).await;
        let begin = Instant::now();
        let quick = tokio::spawn(async {});
        quick.await.expect("no child panics");
        waits.push(begin.elapsed());
        hog.await.expect("no child panics");
    }
    Measured::waits(waits)
}

async fn sleeper(n: usize) -> Measured {
    let busy = Busy::default();
    let spawn = |_| tokio::spawn(busy.child());
    let children: Vec<_> = (0..Busy::CHILDREN).map(spawn).collect();
    let late = tokio::spawn(late(n)).await.expect("no child panics");
    busy.stop();
    for child in children {
        child.await.expect("no child panics");
    }
    Measured::waits(late)
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
