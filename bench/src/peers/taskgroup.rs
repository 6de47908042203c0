//! Ours: the default driver, and a Tokio task for each child.

use std::convert::Infallible;
use std::future::pending;
use std::time::Instant;

use taskgroup::{BoxError, ErrorGroup, GroupBuilder, TaskGroup};

use super::{Measured, Peer, Running};
use crate::row::Row;
use crate::work::{Parking, YieldOnce, sum_below};

pub(super) const PUMPS: Peer = Peer {
    name: "taskgroup",
    programs: &[
        (Row::SpawnJoin, |n| spawn_join(TaskGroup::builder(), n)),
        (Row::YieldsOnce, |n| yields_once(TaskGroup::builder(), n)),
        (Row::FailFast, |n| fail_fast(TaskGroup::builder(), n)),
        (Row::Nested, |depth| {
            Box::pin(async move {
                nested(TaskGroup::builder, depth)
                    .await
                    .map_or_else(failed, |()| Measured::whole())
            })
        }),
    ],
};

pub(super) const TOKIO_TASKS: Peer = Peer {
    name: "taskgroup.tokio",
    programs: &[
        (Row::SpawnJoin, |n| spawn_join(on_tokio(), n)),
        (Row::YieldsOnce, |n| yields_once(on_tokio(), n)),
        (Row::FailFast, |n| fail_fast(on_tokio(), n)),
        (Row::Nested, |depth| {
            Box::pin(async move {
                nested(on_tokio, depth)
                    .await
                    .map_or_else(failed, |()| Measured::whole())
            })
        }),
    ],
};

fn on_tokio() -> GroupBuilder {
    TaskGroup::builder().tokio_tasks()
}

fn failed<T>(error: impl std::fmt::Display) -> T {
    panic!("a group failed that should not: {error}")
}

fn spawn_join(builder: GroupBuilder, n: usize) -> Running<'static> {
    Box::pin(async move {
        let sum = builder.run(async |group| {
            let child = |index| group.spawn(async move { Ok::<_, Infallible>(index) });
            let handles: Vec<_> = (0..n).map(child).collect();
            let mut sum = 0;
            for handle in handles {
                sum += handle.await?;
            }
            Ok(sum)
        });
        assert_eq!(sum.await.unwrap_or_else(failed), sum_below(n));
        Measured::whole()
    })
}

fn yields_once(builder: GroupBuilder, n: usize) -> Running<'static> {
    Box::pin(async move {
        let sum = builder.run(async |group| {
            let child = |index| {
                group.spawn(async move {
                    YieldOnce::default().await;
                    Ok::<_, Infallible>(index)
                })
            };
            let handles: Vec<_> = (0..n).map(child).collect();
            let mut sum = 0;
            for handle in handles {
                sum += handle.await?;
            }
            Ok(sum)
        });
        assert_eq!(sum.await.unwrap_or_else(failed), sum_below(n));
        Measured::whole()
    })
}

fn fail_fast(builder: GroupBuilder, n: usize) -> Running<'static> {
    Box::pin(async move {
        let mut begin = None;
        let result: Result<(), ErrorGroup> = builder
            .run(async |group| {
                let parking = Parking::default();
                for _ in 1..n {
                    group.spawn(parking.child());
                }
                parking.full(n - 1).await;
                begin = Some(Instant::now());
                group.spawn(async { Err::<(), BoxError>("one fails".into()) });
                pending().await
            })
            .await;
        let stretch = begin.map(|begin| begin.elapsed());
        assert_eq!(result.map_err(|error| error.leaves().count()), Err(1));
        Measured { stretch }
    })
}

fn nested(
    builder: fn() -> GroupBuilder,
    depth: usize,
) -> std::pin::Pin<Box<dyn Future<Output = Result<(), ErrorGroup>> + Send>> {
    Box::pin(async move {
        builder()
            .run(async |group| {
                if depth > 0 {
                    group.spawn(nested(builder, depth - 1));
                    group.spawn(nested(builder, depth - 1));
                }
                Ok(())
            })
            .await
    })
}
