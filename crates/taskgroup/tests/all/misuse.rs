//! What safe code can do wrong to the futures and handles: forget them, drop them in every state
//! and inside a poll, panic in a waker. Nothing of it may be unsound, so these tests are for Miri
//! and the sanitizers, too; and nothing may hang.

use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use taskgroup::{TaskGroup, TaskHandle, bracket, is_cancelled, shield, timeout, until_cancelled};
use tokio::runtime::Builder;
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::support::{
    Log, Outcome, Steps, again, builder, everywhere, forever, group, ms, paused, sleep, took, turns,
};

/// Polls `future` so many times, then gives it back unfinished.
async fn polled<F: Future + Unpin>(mut future: F, times: usize) -> F {
    for _ in 0..times {
        let ready = std::future::poll_fn(|cx| Poll::Ready(pin!(&mut future).poll(cx).is_ready()));
        assert!(!ready.await, "it is to be left unfinished");
        yield_now().await;
    }
    future
}

/// Boxed so that it can be forgotten or dropped by hand.
type Parked = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// A group with a parked child.
fn parked(log: &Log) -> Parked {
    let log = log.clone();
    Box::pin(async move {
        let ended = group(async |group| {
            group.spawn(log.forever("child"));
            forever().await;
            Ok(())
        });
        let _ = ended.await;
    })
}

// S15: in a runtime of its own, which takes the children with it when it goes.
#[test]
fn forgotten_futures_are_never_touched_again() {
    let log = Log::default();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for times in 0..3 {
            forget(polled(parked(&log), times).await);
            forget(polled(Box::pin(shield(forever())), times).await);
            forget(polled(Box::pin(until_cancelled(forever())), times).await);
            forget(polled(Box::pin(timeout(ms(60_000), forever())), times).await);
            let acquire = async { Ok::<_, &str>(()) };
            let work = async |_: &mut ()| {
                forever().await;
                Ok(())
            };
            forget(polled(Box::pin(bracket(acquire, work, |()| async {})), times).await);
        }
        turns(4).await;
        assert_eq!(log.take(), [""; 0], "nobody has dropped the children");
    });
    drop(runtime);
    // The children of the groups that were polled at least once have run.
    assert_eq!(log.take(), ["child", "child"]);
}

#[test]
fn forgotten_handles_keep_the_value_and_nothing_else() {
    paused(async {
        let value = Arc::new(());
        let given = value.clone();
        group(async |group| {
            forget(group.spawn(async move { Ok::<_, &str>(given) }));
            let waiting = group.spawn(yield_now());
            forget(polled(Box::pin(waiting), 1).await);
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(Arc::strong_count(&value), 2);
    });
}

// S5
#[test]
fn handles_dropped_in_every_state() {
    async fn spawn_and_drop(group: &TaskGroup, log: &Log, when: usize) -> Outcome {
        let alive = log.on_drop("value");
        let handle = group.spawn(async move {
            turns(3).await;
            Ok::<_, &str>(alive)
        });
        turns(when).await;
        drop(handle);
        Ok(())
    }
    paused(async {
        for when in 0..8 {
            let log = Log::default();
            group(async |group| spawn_and_drop(&group, &log, when).await)
                .await
                .unwrap();
            assert_eq!(log.take(), ["value"], "dropped after {when} turns");
        }
    });
}

/// A child whose future has its own handle, and drops it, waits for it or cancels it in its own
/// poll.
#[test]
fn a_handle_inside_its_own_task() {
    type Slot = Arc<Mutex<Option<TaskHandle<()>>>>;
    let uses: [fn(TaskHandle<()>); 3] = [
        drop,
        |handle| handle.cancel(),
        |mut handle| {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(pin!(&mut handle).poll(&mut cx).is_pending());
        },
    ];
    for use_it in uses {
        paused(async {
            let ended = group(async |group| {
                let slot = Slot::default();
                let own = slot.clone();
                let handle = group.spawn(async move {
                    yield_now().await;
                    use_it(own.lock().unwrap().take().unwrap());
                    yield_now().await;
                });
                *slot.lock().unwrap() = Some(handle);
                Ok(())
            });
            ended.await.unwrap();
        });
    }
}

// S16: the future of the parent is dropped by its own child's code, while that is polled.
#[test]
fn dropping_the_group_inside_a_poll_of_its_child() {
    paused(async {
        let log = Log::default();
        let slot: Arc<Mutex<Option<Parked>>> = Arc::default();
        let inner: Parked = {
            let (log, slot) = (log.clone(), slot.clone());
            Box::pin(async move {
                let ended = group(async move |group| {
                    group.spawn(async move {
                        let _child = log.on_drop("child");
                        yield_now().await;
                        let parent = slot.lock().unwrap().take();
                        drop(parent);
                        forever().await;
                    });
                    forever().await;
                    Ok(())
                });
                let _ = ended.await;
            })
        };
        *slot.lock().unwrap() = Some(polled(inner, 1).await);
        while slot.lock().unwrap().is_some() {
            yield_now().await;
        }
        turns(3).await;
        assert_eq!(log.take(), ["child"]);
    });
}

struct Explosive;

impl Wake for Explosive {
    fn wake(self: Arc<Self>) {
        panic!("in a waker");
    }
}

// S10: the waker of a foreign executor is foreign code.
#[test]
fn a_waker_that_panics_hangs_nothing() {
    paused(async {
        let ended = group(async |group| {
            let mut handle = group.spawn(yield_now());
            let waker = Waker::from(Arc::new(Explosive));
            let mut cx = Context::from_waker(&waker);
            assert!(pin!(&mut handle).poll(&mut cx).is_pending());
            Ok(())
        });
        timeout(ms(1_000), ended).await.expect("it ended").unwrap();
        // What drives the tasks of this runtime lives, too.
        group(async |group| Ok(group.spawn(yield_now()).await?))
            .await
            .unwrap();
    });
}

// S20: one alarm of a runtime wakes a foreign executor, the next one belongs to another.
#[test]
fn a_waker_that_panics_silences_no_other_alarm() {
    paused(async {
        let start = Instant::now();
        let mut explosive = Box::pin(timeout(ms(10), forever()));
        let waker = Waker::from(Arc::new(Explosive));
        let mut cx = Context::from_waker(&waker);
        assert!(explosive.as_mut().poll(&mut cx).is_pending());
        assert!(timeout(ms(20), forever()).await.is_err());
        assert_eq!(start.elapsed(), ms(20));
        // And those that are set afterwards.
        assert!(timeout(ms(20), forever()).await.is_err());
        assert_eq!(start.elapsed(), ms(40));
        assert!(explosive.await.is_err());
    });
}

// K4: a destructor has the waker of a sibling that is cancelled, too, and still to be told.
#[test]
fn a_destructor_drops_the_waker_of_the_next_one() {
    struct Drops(Arc<Mutex<Option<Waker>>>, Arc<()>, Log);
    impl Drop for Drops {
        fn drop(&mut self) {
            self.0.lock().unwrap().take().unwrap();
            let alive = Arc::strong_count(&self.1) > 1;
            self.2.add(format!("the sibling is there: {alive}"));
        }
    }
    paused(async {
        let log = Log::default();
        // With a grace: without one they are taken all at once.
        let ended = builder().grace(ms(50)).run(async |group| {
            let (waker, sibling) = (Arc::default(), Arc::new(()));
            let drops = Drops(Arc::clone(&waker), sibling.clone(), log.clone());
            group.spawn(async move {
                let _drops = drops;
                forever().await;
            });
            let next = log.on_drop("the sibling is dropped");
            let _handle = group.spawn(std::future::poll_fn(move |cx| {
                let _held = (&next, &sibling);
                *waker.lock().unwrap() = Some(cx.waker().clone());
                Poll::<()>::Pending
            }));
            turns(3).await;
            group.spawn(async { Outcome::<()>::Err("boom".into()) });
            forever().await;
            Ok(())
        });
        ended.await.unwrap_err();
        assert_eq!(
            log.take(),
            ["the sibling is there: true", "the sibling is dropped"]
        );
    });
}

// DR3: the runtime goes while children are alive, parked, ready and in the middle of cleanup.
#[test]
fn a_runtime_that_goes_down_takes_its_children() {
    for (threads, light_tasks) in [(0, false), (0, true), (2, false), (2, true)] {
        let log = Log::default();
        let runtime = match threads {
            0 => Builder::new_current_thread().enable_all().build().unwrap(),
            _ => {
                let mut builder = Builder::new_multi_thread();
                builder
                    .worker_threads(threads)
                    .enable_all()
                    .build()
                    .unwrap()
            }
        };
        let program = {
            let log = log.clone();
            async move {
                let builder = TaskGroup::builder();
                let builder = if light_tasks {
                    builder.light_tasks()
                } else {
                    builder
                };
                let ended = builder.run(async |group| {
                    for _ in 0..10 {
                        group.spawn(log.forever("parked"));
                        group.spawn(shield(log.forever("shielded")));
                    }
                    let nested = log.clone();
                    group.spawn(async move {
                        let inner = TaskGroup::run(async |group| {
                            group.spawn(nested.forever("nested"));
                            forever().await;
                            Ok(())
                        });
                        let _ = inner.await;
                    });
                    forever().await;
                    Ok(())
                });
                let _ = ended.await;
            }
        };
        runtime.spawn(program);
        runtime.block_on(log.started(21));
        drop(runtime);
        let mut lines = log.take();
        lines.sort();
        lines.dedup_by(|one, other| one == other);
        assert_eq!(lines, ["nested", "parked", "shielded"]);
    }
}

/// As above, when the destructors panic. (S10)
#[test]
fn a_runtime_that_goes_down_over_panicking_destructors() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let log = Log::default();
    let after = log.clone();
    runtime.spawn(async move {
        let ended = group(async |group| {
            group.spawn(async {
                let _bomb = Bomb;
                forever().await;
            });
            group.spawn(after.forever("after"));
            forever().await;
            Ok(())
        });
        let _ = ended.await;
    });
    runtime.block_on(log.started(1));
    let down = catch_unwind(AssertUnwindSafe(|| drop(runtime)));
    assert!(down.is_ok(), "the panic stays inside");
    assert_eq!(log.take(), ["after"]);
}

// DR3: whatever it was doing, a child learns that it is cancelled when its runtime goes. The group
// goes on in another one.
#[test]
fn the_children_of_a_runtime_that_goes_down_are_cancelled() {
    struct Tells(Log, &'static str);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.add(format!("{}: {}", self.1, is_cancelled()));
        }
    }
    let log = Log::default();
    let tells = |what| Tells(log.clone(), what);
    let [parked, ready, new] = ["parked", "ready", "new"].map(tells);
    let steps = Steps::default();
    let mut ended = Box::pin(group(async |group| {
        let begun = steps.clone();
        let parked = group.spawn(async move {
            let _tells = parked;
            begun.step();
            forever().await;
        });
        let begun = steps.clone();
        group.spawn(async move {
            let _tells = ready;
            begun.step();
            loop {
                again().await;
            }
        });
        steps.reached(2).await;
        group.spawn(async move {
            let _tells = new;
            forever().await;
        });
        steps.step();
        assert!(parked.await.unwrap_err().is_cancelled());
        Ok(())
    }));
    let first = Builder::new_current_thread().build().unwrap();
    first.block_on(async {
        tokio::select! {
            biased;
            _ = &mut ended => unreachable!("it waits"),
            () = steps.reached(3) => {}
        }
    });
    drop(first);
    let lines = log.take_sorted();
    assert_eq!(lines, ["new: true", "parked: true", "ready: true"]);
    // S46
    assert!(paused(ended).unwrap_err().is_cancelled());
}

// DR3: what is spawned for a runtime that has gone is dropped at once. The body has moved to
// another one. With another child, which was alive then, the engine knows that it has gone.
#[test]
fn a_child_for_a_runtime_that_has_gone_is_dropped() {
    for (light_tasks, with_another) in [(false, false), (false, true), (true, false), (true, true)]
    {
        let log = Log::default();
        let builder = TaskGroup::builder();
        let builder = if light_tasks {
            builder.light_tasks()
        } else {
            builder
        };
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let mut ended = Box::pin(builder.run(async |group| {
            group.spawn(yield_now()).await?;
            if with_another {
                group.spawn(log.forever("early"));
            }
            gone.await?;
            let before: &[&str] = if with_another { &["early"] } else { &[] };
            assert_eq!(log.take(), before);
            let late = group.spawn(log.forever("late"));
            assert_eq!(log.take(), ["late"]);
            // Where the engine knows, the group is cancelled, and an await would suspend.
            assert!(late.outcome().is_some_and(|outcome| outcome.is_err()));
            Ok(())
        }));
        let first = Builder::new_current_thread().build().unwrap();
        first.block_on(async {
            tokio::select! {
                biased;
                _ = &mut ended => unreachable!("it waits"),
                () = turns(10) => {}
            }
        });
        drop(first);
        go.send(()).unwrap();
        // S46
        assert!(paused(ended).unwrap_err().is_cancelled());
    }
}

// S2: a group wakes the task that polled it last.
#[test]
fn a_group_that_changes_hands_wakes_the_last_one() {
    paused(async {
        let mut ended = Box::pin(group(async |group| {
            group.spawn(sleep(10));
            Ok(())
        }));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(ended.as_mut().poll(&mut cx).is_pending());
        let (after, ended) = took(ended).await;
        ended.unwrap();
        assert_eq!(after, 10);
    });
}

// S3: a group that was opened outside any runtime is of the one where its first child is spawned,
// and waits for that one too.
#[test]
fn a_group_from_outside_any_runtime_waits_for_its_first_child() {
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let mut ended = Box::pin(group(async |group| {
        gone.await?;
        Ok(group.spawn(async {
            turns(5).await;
            Outcome::Ok(7)
        }))
    }));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(ended.as_mut().poll(&mut cx).is_pending());
    go.send(()).unwrap();
    let child = paused(ended).unwrap();
    assert_eq!(paused(child).unwrap(), 7);
}

// S3: whatever wakes it, a child runs where its group does.
#[test]
fn a_child_that_is_woken_from_another_runtime_stays_in_its_own() {
    let here = || tokio::runtime::Handle::current().id();
    let bell = Arc::new(tokio::sync::Notify::new());
    let other = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let there = other.spawn({
        let bell = bell.clone();
        group(async move |group| {
            let waits = group.spawn(async move {
                for _ in 0..3 {
                    bell.notified().await;
                }
                Outcome::Ok(here())
            });
            Ok(waits.await?)
        })
    });
    paused(async {
        let rings = group(async |group| {
            let bell = bell.clone();
            group.spawn(async move {
                while !there.is_finished() {
                    bell.notify_one();
                    yield_now().await;
                }
                assert_eq!(there.await?.unwrap(), other.handle().id());
                other.shutdown_background();
                Outcome::Ok(())
            });
            Ok(())
        });
        rings.await.unwrap();
    });
}

// S3: the alarms of a child that a pump polls ring there, whatever runtime it has entered. In real
// time: the other one has no other.
#[test]
fn a_child_that_has_entered_another_runtime_keeps_its_alarms() {
    let other = Builder::new_current_thread().build().unwrap();
    everywhere(|| async {
        let inside = other.handle().clone();
        let limited = TaskGroup::run(async |group| {
            group.spawn(async move {
                let mut limited = Box::pin(timeout(ms(1), forever()));
                let ended = std::future::poll_fn(|cx| {
                    let _inside = inside.enter();
                    limited.as_mut().poll(cx)
                });
                ended.await.unwrap_err();
                Outcome::Ok(())
            });
            Ok(())
        });
        limited.await.unwrap();
    });
}
