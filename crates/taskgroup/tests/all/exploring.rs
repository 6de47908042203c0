//! S35: programs with a bug in them, each found within so many seeds, and what is right stays
//! unharmed.
//!
//! The seeds that a bug takes are printed by `cargo test --all-features --test all -- exploring
//! --nocapture`.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use taskgroup::testing::{self, Explorer, Failure, Schedule, Symptom};
use taskgroup::{BoxError, TaskGroup, TaskOutput, shield, timeout, until_cancelled};
use tokio::sync::Notify;
use tokio::task::yield_now;

use crate::support::{Outcome, forever, ms, sleep};

/// The failure of a program that has to be found by the first `seeds` seeds. It is not there when
/// tasks run in their order.
fn found<T: TaskOutput>(name: &str, seeds: u64, program: impl AsyncFn() -> T) -> Failure {
    let first_come = Explorer::new().replay(&Schedule::default(), &program);
    assert!(
        first_come.is_ok(),
        "{name} shows in the usual order, too {}",
        first_come.unwrap_err()
    );
    let failure = match Explorer::new().run(0..seeds, &program) {
        Ok(report) => panic!("{name} was not found: {report}"),
        Err(failure) => failure,
    };
    println!("{name}: {failure}\n");
    assert!(failure.repeats(), "{failure}");
    // What is printed makes it happen again.
    let again = Explorer::new().replay(failure.schedule(), &program);
    let again = again.expect_err("a replay fails as the run did");
    let kind = |failure: &Failure| std::mem::discriminant(failure.symptom());
    assert_eq!(kind(&again), kind(&failure));
    *failure
}

fn run<R, F: Future<Output = Outcome<R>>>(
    body: impl FnOnce(TaskGroup) -> F,
) -> impl Future<Output = Result<R, BoxError>> {
    let group = TaskGroup::run(body);
    async move { Ok(group.await?) }
}

// ---- planted bugs ----

/// An event that can be missed: who looks at the flag may be interrupted before it waits.
#[test]
fn a_lost_wake_up() {
    let failure = found("lost wake-up", 100, async || {
        let (set, bell) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        run(async |group| {
            let event = (set.clone(), bell.clone());
            group.task("waiter").spawn(async move {
                let (set, bell) = event;
                if !set.load(Ordering::Relaxed) {
                    yield_now().await;
                    bell.notified().await;
                }
            });
            group.task("setter").spawn(async move {
                for _ in 0..3 {
                    yield_now().await;
                }
                set.store(true, Ordering::Relaxed);
                bell.notify_waiters();
            });
            Ok(())
        })
        .await
    });
    let Symptom::Stuck(alive) = failure.symptom() else {
        panic!("{failure}");
    };
    assert_eq!(alive.len(), 1);
    assert!(alive[0].contains("waiter"), "{failure}");
}

/// A hand-written future that leaves no waker when it is polled at the wrong moment.
#[test]
fn a_wake_up_lost_in_a_future() {
    struct Gate(Mutex<(u32, Option<std::task::Waker>)>);
    let failure = found("lost waker", 50, async || {
        let gate = Arc::new(Gate(Mutex::default()));
        run(async |group| {
            for _ in 0..2 {
                let gate = gate.clone();
                group.task("opener").spawn(async move {
                    yield_now().await;
                    let mut gate = gate.0.lock().unwrap();
                    gate.0 += 1;
                    if let Some(waker) = gate.1.take() {
                        waker.wake();
                    }
                });
            }
            group.task("passer").spawn(std::future::poll_fn(move |cx| {
                let mut gate = gate.0.lock().unwrap();
                match gate.0 {
                    2 => return Poll::Ready(()),
                    // The bug: after the first opener it is "as good as open".
                    1 => {}
                    _ => gate.1 = Some(cx.waker().clone()),
                }
                Poll::Pending
            }));
            Ok(())
        })
        .await
    });
    assert!(matches!(failure.symptom(), Symptom::Stuck(_)), "{failure}");
}

/// A loop that takes a cancellation for the failure of one attempt and goes on under a shield.
#[test]
fn a_swallowed_cancel() {
    let failure = found("swallowed cancel", 100, async || {
        let start = tokio::time::Instant::now();
        let ended = TaskGroup::builder().run_cancellable(async |group| {
            let canceller = group.clone();
            group.task("worker").spawn(async move {
                let attempt = until_cancelled(async {
                    yield_now().await;
                    yield_now().await;
                });
                if attempt.await.is_err() {
                    shield(sleep(1_000)).await;
                }
            });
            group.task("canceller").spawn(async move {
                for _ in 0..4 {
                    yield_now().await;
                }
                canceller.cancel();
            });
            Ok(())
        });
        ended.await?;
        assert!(start.elapsed() < ms(1_000), "the cancel was swallowed");
        Ok::<(), BoxError>(())
    });
    let Symptom::Panicked(message) = failure.symptom() else {
        panic!("{failure}");
    };
    assert_eq!(message, "the cancel was swallowed");
}

/// Errors go into a slot, and the next ones into a list; but between the look at the slot and the
/// write another task may write.
#[test]
fn a_dropped_error() {
    let failure = found("dropped error", 50, async || {
        let first = Arc::new(Mutex::new(None::<&str>));
        let others = Arc::new(Mutex::new(Vec::new()));
        run(async |group| {
            for name in ["left", "right"] {
                let (first, others) = (first.clone(), others.clone());
                group.task(name).spawn(async move {
                    let is_free = first.lock().unwrap().is_none();
                    yield_now().await;
                    if is_free {
                        *first.lock().unwrap() = Some(name);
                    } else {
                        others.lock().unwrap().push(name);
                    }
                });
                // Usually the one is done when the other comes.
                for _ in 0..3 {
                    yield_now().await;
                }
            }
            Ok(())
        })
        .await?;
        let kept = first.lock().unwrap().iter().count() + others.lock().unwrap().len();
        assert_eq!(kept, 2, "an error is gone");
        Ok::<(), BoxError>(())
    });
    assert!(
        matches!(failure.symptom(), Symptom::Panicked(_)),
        "{failure}"
    );
}

/// A task that is made past the group and is usually done before the group ends.
#[test]
fn a_child_that_outlives_its_group() {
    let failure = found("orphan", 50, async || {
        let go = Arc::new(Notify::new());
        run(async |group| {
            let started = go.clone();
            let slow = group.task("slow").spawn(async move {
                for _ in 0..3 {
                    yield_now().await;
                }
                started.notify_waiters();
            });
            group.task("starter").spawn(async move {
                yield_now().await;
                let go = go.clone();
                // It waits for a bell that has rung already if `slow` was quicker.
                tokio::spawn(async move { go.notified().await });
            });
            drop(slow);
            Ok(())
        })
        .await
    });
    let Symptom::Leak(left) = failure.symptom() else {
        panic!("{failure}");
    };
    assert_eq!(left, &["1 of `tokio::spawn`"]);
}

/// The program ends although what it dropped half-way is still cleaning up.
#[test]
fn cleanup_that_nobody_waits_for() {
    let program = async || {
        let dropped = run(async |group| {
            group.task("tidy").spawn(shield(sleep(1_000)));
            Ok(())
        });
        tokio::select! {
            biased;
            _ = dropped => {}
            () = sleep(10) => {}
        }
    };
    let failure = Explorer::new().run(0..1, program).unwrap_err();
    let Symptom::Leak(left) = failure.symptom() else {
        panic!("{failure}");
    };
    assert!(left.iter().any(|one| one.contains("tidy")), "{failure}");
}

// ---- what it tells ----

#[test]
fn a_failure_is_made_small_and_says_who_ran() {
    let failure = found("overtaken", 50, async || {
        let ready = Arc::new(AtomicBool::new(false));
        run(async |group| {
            for at in 0..10 {
                group.task(format!("crowd {at}")).spawn(yield_now());
            }
            let set = ready.clone();
            group
                .task("first")
                .spawn(async move { set.store(true, Ordering::Relaxed) });
            group.task("second").spawn(async move {
                assert!(ready.load(Ordering::Relaxed), "overtaken");
            });
            Ok(())
        })
        .await
    });
    assert!(matches!(failure.symptom(), Symptom::Failed(_)), "{failure}");
    assert_eq!(failure.schedule().deviations(), 1, "{failure}");
    let text = failure.to_string();
    for part in [
        "seed ",
        "overtaken",
        "/second",
        "(one of",
        "testing::replay(\"",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn chance_that_no_seed_governs_is_told() {
    let runs = AtomicU32::new(0);
    let failure = Explorer::new().run(0..10, async || {
        assert_ne!(runs.fetch_add(1, Ordering::Relaxed), 3, "now and then");
    });
    let failure = failure.unwrap_err();
    assert_eq!((failure.seed(), failure.runs()), (Some(3), 4));
    assert!(!failure.repeats());
    assert!(failure.to_string().contains("left to chance"));
}

#[test]
fn what_never_ends_is_found() {
    let busy = Explorer::new().steps(500).run(0..1, async || {
        run(async |group| {
            group.spawn(async {
                while !taskgroup::is_cancelled() {
                    yield_now().await;
                }
            });
            Ok(())
        })
        .await
    });
    let busy = busy.unwrap_err();
    assert_eq!(busy.symptom(), &Symptom::Endless(500));

    let deadlock = Explorer::new().run(0..1, async || {
        let (one, other) = (tokio::sync::Mutex::new(()), tokio::sync::Mutex::new(()));
        let (_one, _other) = (one.lock().await, other.lock().await);
        drop(one.lock().await);
    });
    let deadlock = deadlock.unwrap_err();
    assert!(
        matches!(deadlock.symptom(), Symptom::Stuck(_)),
        "{deadlock}"
    );
}

#[test]
fn an_error_fails_the_run() {
    let failure = Explorer::new().run(0..3, async || Err::<(), _>("no luck"));
    let failure = failure.unwrap_err();
    assert_eq!(failure.symptom(), &Symptom::Failed("no luck".into()));
}

#[test]
#[should_panic(expected = "call it from a plain `#[test]`")]
fn not_inside_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async { testing::explore(0..1, async || {}) });
}

#[test]
#[should_panic(expected = "is not a part of a schedule")]
fn a_schedule_with_a_typing_error() {
    testing::replay("1.two", async || {});
}

// ---- leak assertions ----

#[test]
fn quiet_and_not_quiet() {
    let report = testing::explore(0..20, async || {
        run(async |group| {
            testing::assert_quiet();
            let child = group.task("child").spawn(forever());
            let loud = std::panic::catch_unwind(|| testing::assert_quiet());
            assert!(loud.is_err(), "a queued child is alive");
            yield_now().await;
            let loud = std::panic::catch_unwind(|| testing::assert_quiet());
            assert!(loud.is_err());
            child.cancel();
            child.ended().await;
            while group.live() > 0 {
                yield_now().await;
            }
            testing::assert_quiet();
            Ok(())
        })
        .await
    });
    assert_eq!(report.runs(), 20);
}

#[test]
fn an_ended_group_has_its_places_back() {
    testing::explore(0..50, async || {
        let group = TaskGroup::builder()
            .limit(2)
            .run_cancellable(async |group| {
                for at in 0..6 {
                    let canceller = group.clone();
                    group.spawn(async move {
                        yield_now().await;
                        if at == 3 {
                            canceller.cancel();
                        }
                    });
                }
                let early = std::panic::AssertUnwindSafe(|| testing::assert_ended(&group));
                assert!(std::panic::catch_unwind(early).is_err());
                let keep = group.clone();
                let _ = until_cancelled(sleep(5)).await.map_err(drop);
                Ok(keep)
            });
        if let Some(group) = group.await? {
            testing::assert_ended(&group);
        }
        Ok::<(), BoxError>(())
    });
}

// ---- the library itself under many orders ----

/// Every order gives the same answer, with time, channels and both kinds of tasks inside.
#[test]
fn the_promise_in_many_orders() {
    for light_tasks in [false, true] {
        let report = testing::explore(0..300, async move || {
            let builder = TaskGroup::builder().limit(3);
            let builder = if light_tasks {
                builder.light_tasks()
            } else {
                builder
            };
            let (send, mut receive) = tokio::sync::mpsc::channel(1);
            let sum = builder.run(async |group| {
                for at in 0..5u64 {
                    let send = send.clone();
                    group.spawn(async move {
                        sleep(at % 3).await;
                        send.send(at).await
                    });
                }
                drop(send);
                let mut sum = 0;
                while let Some(at) = receive.recv().await {
                    sum += at;
                }
                Ok(sum)
            });
            assert_eq!(timeout(ms(100), sum).await??, 10);
            Ok::<(), BoxError>(())
        });
        assert!(report.distinct() > 100, "{report}");
    }
}

/// A failure, a cancel and a deadline at the same instant: whatever comes first, each task has
/// ended and the error is there.
#[test]
fn everything_at_once_in_many_orders() {
    let mut outcomes = std::collections::BTreeSet::new();
    let seen = Mutex::new(&mut outcomes);
    testing::explore(0..500, async || {
        let ended = Arc::new(AtomicU32::new(0));
        struct Ends(Arc<AtomicU32>);
        impl Drop for Ends {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let outcome = timeout(
            ms(5),
            TaskGroup::builder().run_cancellable(async |group| {
                let canceller = group.clone();
                let ends = || Ends(ended.clone());
                let (one, two, three) = (ends(), ends(), ends());
                group.spawn(async move {
                    let _ends = one;
                    sleep(5).await;
                    Err::<(), _>("failed")
                });
                group.spawn(async move {
                    let _ends = two;
                    sleep(5).await;
                    canceller.cancel();
                });
                group.spawn(async move {
                    let _ends = three;
                    shield(sleep(2)).await;
                    forever().await;
                });
                forever().await;
                Ok(())
            }),
        )
        .await;
        assert_eq!(ended.load(Ordering::Relaxed), 3);
        seen.lock().unwrap().insert(match outcome {
            Ok(Ok(None)) => "cancelled",
            Ok(Ok(Some(()))) => "a value",
            Ok(Err(_)) => "failed",
            Err(_) => "timed out",
        });
    });
    // What is ready at that instant still has its turn, so the error is there in every order.
    assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), ["failed"]);
}

// DR3: a run that is cut short leaves nothing alive: by a panic of the program before its children
// begin, and by the limit.
#[test]
fn what_a_run_leaves_goes_with_its_runtime() {
    for panics in [true, false] {
        let alive = Arc::new(());
        let failure = Explorer::new().run(0..1, async || {
            let mut cut = Box::pin(run(async |group| {
                for _ in 0..3 {
                    let alive = alive.clone();
                    group.spawn(async move {
                        let _alive = alive;
                        forever().await;
                    });
                }
                forever().await;
                Ok(())
            }));
            let first = std::future::poll_fn(|cx| Poll::Ready(cut.as_mut().poll(cx))).await;
            assert!(first.is_pending());
            assert!(!panics, "cut short");
            forever().await;
        });
        failure.unwrap_err();
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
