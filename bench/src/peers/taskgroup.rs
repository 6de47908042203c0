//! `taskgroup` itself: with a Tokio task for each child, which is the default, and with light
//! tasks.

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::time::{Duration, Instant};

use taskgroup::{BoxError, ErrorGroup, GroupBuilder, TaskGroup};

use super::{Measured, Peer, Running, parked};
use crate::bare;
use crate::row::Row;
use crate::work::{Busy, HOG, Parking, YieldOnce, compute, late, sum_below};

pub(super) const DEFAULT: Peer = Peer::new(
    "taskgroup",
    &[
        (Row::SpawnJoin, |n| spawn_join(TaskGroup::builder(), n)),
        (Row::YieldsOnce, |n| yields_once(TaskGroup::builder(), n)),
        (Row::FailFast, |n| fail_fast(TaskGroup::builder(), n)),
        (Row::Memory, |n| memory(TaskGroup::builder(), n)),
        (Row::Nested, |depth| tree(TaskGroup::builder, depth)),
        (Row::Cpu100us, |n| cpu(TaskGroup::builder(), n, 100)),
        (Row::Cpu1ms, |n| cpu(TaskGroup::builder(), n, 1_000)),
        (Row::BesideHog, |n| beside_hog(TaskGroup::builder, n)),
        (Row::Sleeper, |n| sleeper(TaskGroup::builder(), n)),
        (Row::Names, |n| spawn_join(TaskGroup::builder(), n)),
        (Row::AlwaysOn, |n| spawn_join(TaskGroup::builder(), n)),
    ],
);

pub(super) const LIGHT: Peer = Peer::new(
    "taskgroup.light",
    &[
        (Row::SpawnJoin, |n| spawn_join(light(), n)),
        (Row::YieldsOnce, |n| yields_once(light(), n)),
        (Row::FailFast, |n| fail_fast(light(), n)),
        (Row::Memory, |n| memory(light(), n)),
        (Row::Nested, |depth| tree(light, depth)),
        (Row::Cpu100us, |n| cpu(light(), n, 100)),
        (Row::Cpu1ms, |n| cpu(light(), n, 1_000)),
        (Row::BesideHog, |n| beside_hog(light, n)),
        (Row::Sleeper, |n| sleeper(light(), n)),
    ],
);

/// A name for each child that is known at compile time.
pub(super) const NAMED: Peer = Peer::new(
    "named",
    &[(Row::Names, |n| {
        Box::pin(async move {
            let sum = TaskGroup::run(async |group| {
                let child = |index| {
                    let future = async move { Ok::<_, Infallible>(index) };
                    group.task("a child").spawn(future)
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
    })],
);

/// A separate name for each child: the cost is the cost of its string.
pub(super) const FORMATTED: Peer = Peer::new(
    "named by format!",
    &[(Row::Names, |n| {
        Box::pin(async move {
            let sum = TaskGroup::run(async |group| {
                let child = |index| {
                    let future = async move { Ok::<_, Infallible>(index) };
                    group.task(format!("child {index}")).spawn(future)
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
    })],
);

/// The engine that publishes nothing.
pub(super) const BARE: Peer = Peer::new(
    bare::NAME,
    &[(Row::AlwaysOn, |n| spawn_join(TaskGroup::builder(), n))],
);

fn light() -> GroupBuilder {
    TaskGroup::builder().light_tasks()
}

// By value, as `unwrap_or_else` calls it.
#[allow(clippy::needless_pass_by_value)]
fn failed<T>(error: ErrorGroup) -> T {
    panic!("a group failed that should not: {error:#}")
}

fn spawn_join(builder: GroupBuilder, n: usize) -> Running {
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

fn yields_once(builder: GroupBuilder, n: usize) -> Running {
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

fn fail_fast(builder: GroupBuilder, n: usize) -> Running {
    Box::pin(async move {
        let mut begin = Instant::now();
        let result: Result<(), ErrorGroup> = builder
            .run(async |group| {
                let parking = Parking::default();
                for _ in 0..n {
                    group.spawn(parking.child());
                }
                parking.full(n).await;
                begin = Instant::now();
                group.spawn(async { Err::<(), BoxError>("one fails".into()) });
                pending().await
            })
            .await;
        let measured = Measured::since(begin);
        assert_eq!(result.map_err(|error| error.leaves().count()), Err(1));
        measured
    })
}

fn memory(builder: GroupBuilder, n: usize) -> Running {
    Box::pin(async move {
        let mut measured = Measured::default();
        let run = builder.run_cancellable(async |group| {
            measured = parked(n, |child| drop(group.spawn(child))).await;
            group.cancel();
            Ok(())
        });
        run.await.unwrap_or_else(failed);
        measured
    })
}

fn tree(builder: fn() -> GroupBuilder, depth: usize) -> Running {
    Box::pin(async move {
        let ended = nested(builder, depth).await;
        ended.unwrap_or_else(failed);
        Measured::whole()
    })
}

type Nested = Pin<Box<dyn Future<Output = Result<(), ErrorGroup>> + Send>>;

fn nested(builder: fn() -> GroupBuilder, depth: usize) -> Nested {
    Box::pin(async move {
        let run = builder().run(async |group| {
            if depth > 0 {
                group.spawn(nested(builder, depth - 1));
                group.spawn(nested(builder, depth - 1));
            }
            Ok(())
        });
        run.await
    })
}

fn cpu(builder: GroupBuilder, n: usize, microseconds: u64) -> Running {
    Box::pin(async move {
        let run = builder.run(async |group| {
            for _ in 0..n {
                group.spawn(async move { compute(Duration::from_micros(microseconds)) });
            }
            Ok(())
        });
        run.await.unwrap_or_else(failed);
        Measured::whole()
    })
}

fn beside_hog(builder: fn() -> GroupBuilder, n: usize) -> Running {
    Box::pin(async move {
        let mut waits = Vec::with_capacity(n);
        for _ in 0..n {
            let run = builder().run(async |group| {
                let parking = Parking::default();
                let started = parking.clone();
                group.spawn(async move {
                    started.arrive();
                    compute(HOG);
                });
                parking.full(1).await;
                let begin = Instant::now();
                group.spawn(async {}).await?;
                waits.push(begin.elapsed());
                Ok(())
            });
            run.await.unwrap_or_else(failed);
        }
        Measured::waits(waits)
    })
}

fn sleeper(builder: GroupBuilder, n: usize) -> Running {
    Box::pin(async move {
        let run = builder.run(async |group| {
            let busy = Busy::default();
            for _ in 0..Busy::CHILDREN {
                group.spawn(busy.child());
            }
            let late = tokio::spawn(late(n)).await?;
            busy.stop();
            Ok(late)
        });
        Measured::waits(run.await.unwrap_or_else(failed))
    })
}
