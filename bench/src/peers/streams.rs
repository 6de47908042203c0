//! Sets of futures that are polled inside one task, without parallelism: `FuturesUnordered` from
//! futures, its namesake from futures-buffered, and `FutureGroup` from futures-concurrency.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use futures_util::stream::{Stream, StreamExt};

use super::{Measured, Peer};
use crate::row::Row;
use crate::work::{Parked, Parking, YieldOnce, resident, sum_below};

/// The three have the same shape and differ only in how they are made and filled. (One is filled by
/// shared reference.)
macro_rules! programs {
    ($set:ty, $add:ident) => {
        #[allow(unused_mut)]
        &[
            (Row::SpawnJoin, |n| {
                Box::pin(async move {
                    let mut set = <$set>::new();
                    for index in 0..n {
                        set.$add(async move { index });
                    }
                    sum(set, n).await
                })
            }),
            (Row::YieldsOnce, |n| {
                Box::pin(async move {
                    let mut set = <$set>::new();
                    for index in 0..n {
                        set.$add(async move {
                            YieldOnce::default().await;
                            index
                        });
                    }
                    sum(set, n).await
                })
            }),
            (Row::FailFast, |n| {
                Box::pin(async move {
                    let parking = Parking::default();
                    let mut set = <$set>::new();
                    for _ in 0..n {
                        set.$add(child(Some(parking.child())));
                    }
                    let mut set = Box::pin(set);
                    park(&mut set, &parking, n).await;
                    let begin = Instant::now();
                    set.$add(child(None));
                    assert!(matches!(set.next().await, Some(Err(_))));
                    drop(set);
                    Measured::since(begin)
                })
            }),
            (Row::Memory, |n| {
                Box::pin(async move {
                    let before = resident();
                    let parking = Parking::default();
                    let mut set = <$set>::new();
                    for _ in 0..n {
                        set.$add(parking.child());
                    }
                    let mut set = Box::pin(set);
                    park(&mut set, &parking, n).await;
                    Measured::grown(before)
                })
            }),
        ]
    };
}

pub(super) const UNORDERED: Peer = Peer::new(
    "FuturesUnordered",
    programs!(futures_util::stream::FuturesUnordered<_>, push),
);

pub(super) const BUFFERED: Peer = Peer::new(
    "futures-buffered",
    programs!(futures_buffered::FuturesUnordered<_>, push),
);

pub(super) const CONCURRENCY: Peer = Peer::new(
    "futures-concurrency",
    programs!(futures_concurrency::future::FutureGroup<_>, insert),
);

async fn sum(set: impl Stream<Item = usize>, n: usize) -> Measured {
    let mut set = std::pin::pin!(set);
    let mut sum = 0;
    while let Some(value) = set.next().await {
        sum += value;
    }
    assert_eq!(sum, sum_below(n));
    Measured::whole()
}

/// Parks, or fails at once.
async fn child(parked: Option<Parked>) -> Result<(), &'static str> {
    match parked {
        Some(parked) => {
            parked.await;
            Ok(())
        }
        None => Err("one fails"),
    }
}

/// Polls the set until all children are parked.
async fn park(set: &mut Pin<Box<impl Stream>>, parking: &Parking, n: usize) {
    poll_fn(|cx| {
        let polled = set.as_mut().poll_next(cx);
        assert!(polled.is_pending(), "a parked child has ended");
        if parking.count() == n {
            Poll::Ready(())
        } else {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}
