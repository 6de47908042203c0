//! Groups: cancelling, closing, spawning, waiting, adopting.

use std::future::{pending, poll_fn};
use std::task::{Context, Poll, Waker};

use super::{Bell, Count, Dropped, Model, Seen, Stage, yield_once};
use crate::error::{Interval, TaskError};
use crate::scope::{group, who};
use crate::{BoxError, Policy, TaskGroup, bracket, shield, until_cancelled};

pub(super) const MODELS: &[Model] = &[
    Model {
        name: "cancel versus spawn",
        preemptions: Some(4),
        outcomes: &["refused", "ran", "never ran"],
        run: cancel_versus_spawn,
    },
    Model {
        name: "close versus spawn",
        preemptions: Some(4),
        outcomes: &["taken", "closed"],
        run: close_versus_spawn,
    },
    Model {
        name: "last child versus waiter",
        preemptions: Some(5),
        outcomes: &["waited", "had ended"],
        run: last_child_versus_waiter,
    },
    Model {
        name: "guard release versus suspension",
        preemptions: Some(4),
        outcomes: &["dropped there", "woken to be dropped"],
        run: guard_release_versus_suspension,
    },
    Model {
        name: "shield's end versus cancel",
        preemptions: Some(3),
        outcomes: &["never ran", "dropped after the shield", "went on a step"],
        run: shield_end_versus_cancel,
    },
    Model {
        name: "adoption versus completion",
        preemptions: Some(4),
        outcomes: &["ended before", "adopted"],
        run: adoption_versus_completion,
    },
    Model {
        name: "late release versus completion",
        preemptions: Some(3),
        outcomes: &["ended before", "adopted"],
        run: late_release_versus_completion,
    },
    Model {
        name: "waker replacement in a group",
        preemptions: Some(5),
        outcomes: &["ended first", "first woken", "second woken"],
        run: waker_replacement,
    },
    Model {
        name: "free place versus waiter",
        preemptions: Some(3),
        outcomes: &["waited", "was free"],
        run: free_place_versus_waiter,
    },
    Model {
        name: "count of the living versus free place",
        preemptions: Some(3),
        outcomes: &["counted", "to be counted"],
        run: live_versus_free_place,
    },
    Model {
        name: "queueing versus cancel",
        preemptions: Some(4),
        outcomes: &["refused", "queued or dropped"],
        run: queueing_versus_cancel,
    },
    Model {
        name: "one failure passed on twice",
        preemptions: None,
        outcomes: &["counted once"],
        run: passed_on_twice,
    },
];

/// S9, S11, T4: another thread cancels the group while the body spawns and the child is polled for
/// the first time.
fn cancel_versus_spawn(seen: &Seen) {
    let stage = Stage::new(0);
    let (ran, dropped) = (Count::default(), Count::default());
    let (counted, value) = (ran.clone(), Dropped(dropped.clone()));
    let taken = stage.block_on(async {
        let run = TaskGroup::run(async |group| {
            let clone = group.clone();
            loom::thread::spawn(move || clone.cancel());
            let child = async move {
                let _value = value;
                counted.up();
                pending::<()>().await;
            };
            Ok(group.try_spawn(child).is_ok())
        });
        run.await.unwrap()
    });
    assert_eq!(dropped.get(), 1);
    seen.saw_spawn(taken, &ran);
    stage.end();
}

/// S9, T3: another thread spawns while the body is over and the group closes.
fn close_versus_spawn(seen: &Seen) {
    let stage = Stage::new(0);
    let ran = Count::default();
    let (spawner, group) = stage.block_on(async {
        let mut spawner = None;
        let run = TaskGroup::run(async |group| {
            let (clone, ran) = (group.clone(), ran.clone());
            spawner = Some(loom::thread::spawn(move || {
                clone.try_spawn(async move { ran.up() }).is_ok()
            }));
            Ok(group)
        });
        let group = run.await.unwrap();
        (spawner.unwrap(), group)
    });
    assert_eq!(group.live(), 0, "T3: nothing is left below");
    let ran_before_end = ran.get();
    let taken = spawner.join().unwrap();
    assert_eq!(
        ran_before_end,
        u64::from(taken),
        "S2: a child outlives its group"
    );
    assert!(group.try_spawn(async {}).is_err());
    seen.saw(if taken { "taken" } else { "closed" });
    drop(group);
    stage.end();
}

/// T1, T2: the last child ends on another thread while the group goes to sleep.
fn last_child_versus_waiter(seen: &Seen) {
    let stage = Stage::new(1);
    let polls = Count::default();
    let mut run = Box::pin(TaskGroup::run(async |group| {
        group.spawn(async {});
        Ok(())
    }));
    let counted = poll_fn(|cx| {
        polls.up();
        run.as_mut().poll(cx)
    });
    stage.block_on_only(counted).unwrap();
    seen.saw(if polls.get() == 1 {
        "had ended"
    } else {
        "waited"
    });
    stage.end();
}

/// S12, T6: a child hands its `Cancelled` to another thread, which drops it, and suspends.
fn guard_release_versus_suspension(seen: &Seen) {
    let stage = Stage::new(0);
    let polls = Count::default();
    let counted = polls.clone();
    stage.block_on(async {
        let run = TaskGroup::run(async |group| {
            group.spawn(async move {
                let Err(cancelled) = until_cancelled(pending::<()>()).await else {
                    unreachable!()
                };
                loom::thread::spawn(move || drop(cancelled));
                poll_fn(|_| {
                    counted.up();
                    Poll::<()>::Pending
                })
                .await;
            });
            yield_once().await;
            group.cancel();
            Ok(())
        });
        run.await.unwrap();
    });
    seen.saw(match polls.get() {
        0 => unreachable!("the guard rule looks only after a poll"),
        1 => "dropped there",
        _ => "woken to be dropped",
    });
    stage.end();
}

/// S13, T6: a child goes through a shield on another thread while its group is cancelled.
fn shield_end_versus_cancel(seen: &Seen) {
    let stage = Stage::new(1);
    let (started, inside, after) = (Count::default(), Count::default(), Count::default());
    let counts = (started.clone(), inside.clone(), after.clone());
    stage.block_on_only(async {
        let run = TaskGroup::run(async |group| {
            group.spawn(async move {
                counts.0.up();
                shield(async {
                    yield_once().await;
                    counts.1.up();
                })
                .await;
                yield_once().await;
                counts.2.up();
                pending::<()>().await;
            });
            group.cancel();
            Ok(())
        });
        run.await.unwrap();
    });
    seen.saw(match (started.get(), inside.get(), after.get()) {
        (0, 0, 0) => "never ran",
        (1, 1, 0) => "dropped after the shield",
        (1, 1, 1) => "went on a step",
        other => unreachable!("{other:?}"),
    });
    stage.end();
}

/// S15: a group is dropped half-way while its child ends on another thread; the group around it
/// waits.
fn adoption_versus_completion(seen: &Seen) {
    let stage = Stage::new(1);
    let dropped = Count::default();
    let before = stage.block_on_only(async {
        let outer = TaskGroup::run(async |_outer| {
            let value = Dropped(dropped.clone());
            let mut inner = Box::pin(TaskGroup::run(async |group| {
                group.spawn(async move {
                    let _value = value;
                    yield_once().await;
                });
                pending::<()>().await;
                Ok(())
            }));
            poll_fn(|cx| {
                assert!(inner.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            let before = dropped.get();
            drop(inner);
            Ok(before)
        });
        outer.await.unwrap()
    });
    assert_eq!(dropped.get(), 1, "S15: what was adopted outlives the group");
    seen.saw(if before == 1 {
        "ended before"
    } else {
        "adopted"
    });
    stage.end();
}

/// S14, T3: a bracket is dropped in its work, while what the work leaves behind ends on another
/// thread. The resource is released once, and the group waits for that.
fn late_release_versus_completion(seen: &Seen) {
    let stage = Stage::new(1);
    let (dropped, released) = (Count::default(), Count::default());
    let before = stage.block_on_only(async {
        let outer = TaskGroup::run(async |_outer| {
            let (value, counted) = (Dropped(dropped.clone()), released.clone());
            let work = async move |_: &mut ()| {
                let left = TaskGroup::run(async move |group| {
                    group.spawn(async move {
                        let _value = value;
                    });
                    pending::<()>().await;
                    Ok(())
                });
                left.await.map_err(BoxError::from)
            };
            let release = move |()| async move { counted.up() };
            let mut bracket = Box::pin(bracket(async { Ok(()) }, work, release));
            poll_fn(|cx| {
                assert!(bracket.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            let before = dropped.get();
            drop(bracket);
            Ok(before)
        });
        outer.await.unwrap()
    });
    assert_eq!(dropped.get(), 1, "S15: what was adopted outlives the group");
    assert_eq!(released.get(), 1, "a cleanup was skipped");
    seen.saw(if before == 1 {
        "ended before"
    } else {
        "adopted"
    });
    stage.end();
}

/// A group is polled with one waker and then with another one while its last child ends on another
/// thread.
fn waker_replacement(seen: &Seen) {
    let stage = Stage::new(1);
    let mut run = Box::pin(TaskGroup::run(async |group| {
        group.spawn(async {});
        Ok(())
    }));
    let (first, second) = (Bell::new(), Bell::new());
    let waker = Waker::from(first.clone());
    let mut ended = stage
        .poll(run.as_mut(), &mut Context::from_waker(&waker))
        .is_ready();
    let waker = Waker::from(second.clone());
    while !ended {
        ended = stage
            .poll(run.as_mut(), &mut Context::from_waker(&waker))
            .is_ready();
        if !ended {
            second.notify.wait();
        }
    }
    seen.saw(match (first.rung(), second.rung()) {
        (0, 0) => "ended first",
        (_, 0) => "first woken",
        _ => "second woken",
    });
    drop(run);
    stage.end();
}

/// S27: the body waits for a place while the child that has it ends on another thread. The limit is
/// never exceeded.
fn free_place_versus_waiter(seen: &Seen) {
    let stage = Stage::new(1);
    let (alive, polls) = (Count::default(), Count::default());
    let mut run = Box::pin(TaskGroup::builder().limit(1).run(async |group| {
        for _ in 0..2 {
            let alive = alive.clone();
            let spawned = group.spawn_when_free(async move {
                alive.up();
                assert_eq!(alive.get(), 1, "S27: two at once");
                alive.down();
            });
            spawned.await;
        }
        polls.up();
        Ok(())
    }));
    let waits = Count::default();
    let counted = poll_fn(|cx| {
        let polled = run.as_mut().poll(cx);
        if polled.is_pending() && polls.get() == 0 {
            waits.up();
        }
        polled
    });
    stage.block_on_only(counted).unwrap();
    seen.saw(if waits.get() == 0 {
        "was free"
    } else {
        "waited"
    });
    drop(run);
    stage.end();
}

/// S27: what `TaskGroup::live` says: the future of a child is gone when its place is free, its end
/// is counted a moment later.
fn live_versus_free_place(seen: &Seen) {
    let stage = Stage::new(1);
    let dropped = Count::default();
    let value = Dropped(dropped.clone());
    let live = stage.block_on_only(TaskGroup::builder().limit(1).run(async |group| {
        group.spawn(async move { drop(value) });
        let _second = group.spawn_when_free(async {}).await;
        assert_eq!(dropped.get(), 1);
        Ok(group.live())
    }));
    seen.saw(match live.unwrap() {
        0 | 1 => "counted",
        2 => "to be counted",
        more => unreachable!("{more} of 2"),
    });
    stage.end();
}

/// S27, S9: another thread spawns over the limit while the group is cancelled: nothing is left in
/// the queue.
fn queueing_versus_cancel(seen: &Seen) {
    let stage = Stage::new(0);
    let dropped = Count::default();
    let spawner = stage.block_on(async {
        let mut spawner = None;
        let run = TaskGroup::builder().limit(1).run(async |group| {
            group.spawn(pending::<()>());
            let (clone, dropped) = (group.clone(), Dropped(dropped.clone()));
            spawner = Some(loom::thread::spawn(move || {
                let child = async move {
                    let _dropped = dropped;
                    pending::<()>().await;
                };
                clone.try_spawn(child).is_ok()
            }));
            group.cancel();
            Ok(())
        });
        run.await.unwrap();
        spawner.unwrap()
    });
    let taken = spawner.join().unwrap();
    assert_eq!(dropped.get(), 1);
    seen.saw(if taken {
        "queued or dropped"
    } else {
        "refused"
    });
    stage.end();
}

/// S6: two threads pass on the same failure of another task at once: it is there, once.
fn passed_on_twice(seen: &Seen) {
    let stage = Stage::new(0);
    let ended = stage.block_on(
        TaskGroup::builder()
            .policy(Policy::collect())
            .run(async |group| {
                let info = who::body_info(group.scope());
                let failed = TaskError::failed(info, "elsewhere".into(), Interval::now());
                let (scope, other) = (group.scope().clone(), failed.clone());
                let thread = loom::thread::spawn(move || group::pass_on(&scope, &other));
                group::pass_on(group.scope(), &failed);
                thread.join().unwrap();
                Ok(())
            }),
    );
    assert_eq!(ended.unwrap_err().len(), 1);
    seen.saw("counted once");
    stage.end();
}
