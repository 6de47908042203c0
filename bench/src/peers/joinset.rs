//! `tokio::task::JoinSet`: the yardstick.

use std::pin::Pin;
use std::time::{Duration, Instant};

use taskgroup::BoxError;
use tokio::task::JoinSet;

use super::{Measured, Peer, parked};
use crate::row::Row;
use crate::work::{Parking, YieldOnce, compute, sum_below};

pub(super) const PEER: Peer = Peer::new(
    "joinset",
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
                let mut set = JoinSet::new();
                parked(n, |child| drop(set.spawn(child))).await
            })
        }),
        (Row::Cpu100us, |n| Box::pin(cpu(n, 100))),
        (Row::Cpu1ms, |n| Box::pin(cpu(n, 1_000))),
    ],
);

async fn spawn_join(n: usize) -> Measured {
    let mut set = JoinSet::new();
    for index in 0..n {
        set.spawn(async move { index });
    }
    assert_eq!(sum(set).await, sum_below(n));
    Measured::whole()
}

async fn yields_once(n: usize) -> Measured {
    let mut set = JoinSet::new();
    for index in 0..n {
        set.spawn(async move {
            YieldOnce::default().await;
            index
        });
    }
    assert_eq!(sum(set).await, sum_below(n));
    Measured::whole()
}

async fn sum(mut set: JoinSet<usize>) -> usize {
    let mut sum = 0;
    while let Some(joined) = set.join_next().await {
        sum += joined.expect("no child panics");
    }
    sum
}

async fn fail_fast(n: usize) -> Measured {
    let parking = Parking::default();
    let mut set = JoinSet::new();
    for _ in 0..n {
        let child = parking.child();
        set.spawn(async move {
            child.await;
            Ok::<(), BoxError>(())
        });
    }
    parking.full(n).await;
    let begin = Instant::now();
    set.spawn(async { Err("one fails".into()) });
    let first = set.join_next().await;
    assert!(matches!(first, Some(Ok(Err(_)))));
    set.shutdown().await;
    Measured::since(begin)
}

fn nested(depth: usize) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let mut set = JoinSet::new();
        if depth > 0 {
            set.spawn(nested(depth - 1));
            set.spawn(nested(depth - 1));
        }
        while let Some(joined) = set.join_next().await {
            joined.expect("no child panics");
        }
    })
}

async fn cpu(n: usize, microseconds: u64) -> Measured {
    let mut set = JoinSet::new();
    for _ in 0..n {
        set.spawn(async move { compute(Duration::from_micros(microseconds)) });
    }
    while let Some(joined) = set.join_next().await {
        joined.expect("no child panics");
    }
    Measured::whole()
}
