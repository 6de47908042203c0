//! moro: a scope whose children are polled inside the caller's task and may borrow from it.

use std::future::pending;
use std::pin::Pin;
use std::time::Instant;

use super::{Measured, Peer, parked};
use crate::row::Row;
use crate::work::{Parking, YieldOnce, sum_below};

pub(super) const PEER: Peer = Peer::new(
    "moro",
    &[
        (Row::SpawnJoin, |n| Box::pin(spawn_join(n, false))),
        (Row::YieldsOnce, |n| Box::pin(spawn_join(n, true))),
        (Row::FailFast, |n| Box::pin(fail_fast(n))),
        (Row::Memory, |n| {
            Box::pin(async move {
                moro::async_scope!(|scope| {
                    let spawn = |child| drop(scope.spawn(child));
                    let measured = parked(n, spawn).await;
                    scope.terminate::<()>(measured).await;
                    unreachable!("the scope has been ended")
                })
                .await
            })
        }),
        (Row::Nested, |depth| {
            Box::pin(async move {
                nested(depth).await;
                Measured::whole()
            })
        }),
    ],
);

async fn spawn_join(n: usize, yields: bool) -> Measured {
    let sum = moro::async_scope!(|scope| {
        let child = |index| {
            scope.spawn(async move {
                if yields {
                    YieldOnce::default().await;
                }
                index
            })
        };
        let handles: Vec<_> = (0..n).map(child).collect();
        let mut sum = 0;
        for handle in handles {
            sum += handle.await;
        }
        sum
    });
    assert_eq!(sum.await, sum_below(n));
    Measured::whole()
}

async fn fail_fast(n: usize) -> Measured {
    let parking = Parking::default();
    let scope = moro::async_scope!(|scope| {
        for _ in 0..n {
            drop(scope.spawn(parking.child()));
        }
        parking.full(n).await;
        let begin = Instant::now();
        // A child that has been suspended would lose the wake-up. This one has not.
        drop(scope.spawn(scope.terminate::<()>(Err((begin, "one fails")))));
        pending::<Result<(), (Instant, &str)>>().await
    });
    match scope.await {
        Ok(()) => unreachable!("one child has failed"),
        Err((begin, _)) => Measured::since(begin),
    }
}

fn nested(depth: usize) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        moro::async_scope!(|scope| {
            if depth > 0 {
                drop(scope.spawn(nested(depth - 1)));
                drop(scope.spawn(nested(depth - 1)));
            }
        })
        .await;
    })
}
