//! `tokio::task::JoinSet`: the yardstick.

use std::pin::Pin;
use std::time::Instant;

use taskgroup::BoxError;
use tokio::task::JoinSet;

use super::{Measured, Peer};
use crate::row::Row;
use crate::work::{Parking, YieldOnce, sum_below};

pub(super) const PEER: Peer = Peer {
    name: "joinset",
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
    for _ in 1..n {
        let child = parking.child();
        set.spawn(async move {
            child.await;
            Ok::<(), BoxError>(())
        });
    }
    parking.full(n - 1).await;
    let begin = Instant::now();
    set.spawn(async { Err("one fails".into()) });
    let first = set.join_next().await;
    assert!(matches!(first, Some(Ok(Err(_)))));
    set.shutdown().await;
    Measured::stretch(begin.elapsed())
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
