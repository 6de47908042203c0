//! The tree, the handles, spawning. S1–S9.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use taskgroup::{
    JoinError, ReasonKind, TaskGroup, current_deadline, is_cancelled, shield, timeout,
    until_cancelled,
};

use crate::support::{
    Log, Outcome, Steps, builder, everywhere, forever, group, messages, ms, paused, sleep, took,
    turns,
};

// S1: a child belongs to the group that it was spawned into, wherever that was done.
#[test]
fn a_child_belongs_to_its_group_not_to_where_it_was_spawned() {
    paused(async {
        let (after, ended) = took(group(async |outer| {
            let mut child = None;
            let limited = timeout(ms(10), async {
                child = Some(outer.spawn(async {
                    assert_eq!(current_deadline(), None);
                    sleep(50).await;
                    Outcome::Ok(is_cancelled())
                }));
                forever().await;
            });
            limited.await.unwrap_err();
            assert!(!child.expect("it was spawned").await?);
            Ok(())
        }))
        .await;
        ended.unwrap();
        assert_eq!(after, 50);
    });
}

// S1: the current scope is ambient, also through futures that know nothing of it, and another
// task's is its own.
#[test]
fn the_current_scope_is_the_innermost_one() {
    paused(async {
        assert_eq!(current_deadline(), None);
        group(async |group| {
            timeout(ms(10), async {
                assert!(current_deadline().is_some());
                let (own, foreign) = tokio::join!(
                    async { current_deadline() },
                    tokio::spawn(async { current_deadline() })
                );
                assert!(own.is_some());
                assert_eq!(foreign.unwrap(), None);
                let child = group.spawn(async { Outcome::Ok(current_deadline()) });
                assert_eq!(child.await.unwrap(), None);
                turns(2).await;
                assert!(current_deadline().is_some());
            })
            .await?;
            assert_eq!(current_deadline(), None);
            Ok(())
        })
        .await
        .unwrap();
    });
}

// S2: whatever the outcome, what is below has ended before the word goes out.
#[test]
fn run_resolves_only_after_everything_below_has_ended() {
    for outcome in ["value", "error", "cancel"] {
        paused(async {
            let log = Log::default();
            let (after, ended) = took(builder().run_cancellable(async |group| {
                let (scope, seen) = (group.clone(), log.clone());
                group.spawn(async move {
                    let grandchild = crate::support::group(async |inner| {
                        let seen = seen.clone();
                        inner.spawn(async move {
                            let cancelled = until_cancelled(sleep(40)).await;
                            sleep(60).await;
                            seen.add("grandchild cleaned up");
                            cancelled
                        });
                        Ok(())
                    });
                    grandchild.await?;
                    let _ = scope;
                    Outcome::Ok(())
                });
                sleep(10).await;
                match outcome {
                    "value" => Ok(()),
                    "error" => Err("body".into()),
                    _ => {
                        group.cancel();
                        forever().await;
                        Ok(())
                    }
                }
            }))
            .await;
            assert_eq!(log.take(), ["grandchild cleaned up"], "{outcome}");
            let (expected, kind) = match ended {
                Ok(Some(())) => (100, "value"),
                Ok(None) => (70, "cancel"),
                Err(_) => (70, "error"),
            };
            assert_eq!((after, outcome), (expected, kind));
        });
    }
}

// S4: the body runs inline, so it borrows.
#[test]
fn the_body_borrows_from_its_caller() {
    everywhere(|| async {
        let mut seen = Vec::new();
        let text = String::from("borrowed");
        let length = group(async |group| {
            let child = group.spawn(async { Outcome::Ok(7) });
            seen.push(child.await?);
            seen.push(text.len());
            Ok(seen.len())
        });
        assert_eq!(length.await.unwrap(), 2);
        assert_eq!(seen, [7, 8]);
    });
}

// S4: children really run in parallel: two on two workers meet at a barrier that blocks its thread.
#[test]
fn children_run_in_parallel() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let barrier = Arc::new(std::sync::Barrier::new(2));
    let ended = runtime.block_on(group(async |group| {
        for _ in 0..2 {
            let barrier = barrier.clone();
            group.spawn(async move {
                barrier.wait();
            });
        }
        Ok(())
    }));
    ended.unwrap();
}

// S5: in the body, in another child, several times by reference, by value, after the group.
#[test]
fn a_handle_can_be_awaited_anywhere() {
    everywhere(|| async {
        let handle = group(async |group| {
            let handle = group.spawn(async {
                turns(2).await;
                Outcome::Ok(String::from("value"))
            });
            assert_eq!((&handle).await.unwrap(), "value");
            assert_eq!((&handle).await.unwrap(), "value");
            handle.ended().await;
            assert_eq!(handle.outcome().unwrap().unwrap(), "value");
            let moved = group.spawn(handle);
            assert_eq!((&moved).await.unwrap(), "value");
            Ok(moved)
        })
        .await
        .unwrap();
        assert!(handle.is_finished());
        assert_eq!(handle.await.unwrap(), "value");
    });
}

// S5: many tasks await one child.
#[test]
fn many_await_one_child() {
    everywhere(|| async {
        let sum = group(async |group| {
            let (go, wait) = tokio::sync::oneshot::channel();
            let one = Arc::new(group.spawn(wait));
            let others: Vec<_> = (0..10)
                .map(|_| {
                    let one = one.clone();
                    group.spawn(async move { Outcome::Ok(*(&*one).await.unwrap()) })
                })
                .collect();
            turns(3).await;
            go.send(7).unwrap();
            let mut sum = 0;
            for other in others {
                sum += other.await?;
            }
            Ok(sum)
        });
        assert_eq!(sum.await.unwrap(), 70);
    });
}

// S5: dropping a handle detaches nothing, and a wait that is given up takes nothing with it.
#[test]
fn dropping_a_handle_detaches_nothing() {
    everywhere(|| async {
        let log = Log::default();
        group(async |group| {
            let (seen, dropped) = (log.clone(), Steps::default());
            let is_dropped = dropped.clone();
            let mut handle = group.spawn(async move {
                is_dropped.reached(1).await;
                seen.add("ran to its end");
            });
            tokio::select! {
                biased;
                _ = &mut handle => unreachable!("it waits"),
                () = std::future::ready(()) => {}
            }
            drop(handle);
            dropped.step();
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["ran to its end"]);
    });
}

// S6: a failure that is passed on by those who awaited it is one leaf.
#[test]
fn a_failure_that_is_passed_on_is_counted_once() {
    everywhere(|| async {
        let error = group(async |group| -> Outcome {
            let bad = group.task("bad").spawn(async {
                turns(1).await;
                Outcome::<()>::Err("boom".into())
            });
            bad.await?;
            Ok(())
        });
        let error = error.await.unwrap_err();
        assert_eq!(messages(&error), ["boom"]);
        assert_eq!(error.cause().name(), "bad");
    });
}

// S6: body and children all fail: all come out, the first one is the cause.
#[test]
fn all_errors_come_out_and_the_first_is_the_cause() {
    paused(async {
        let error = group(async |group| -> Outcome {
            for number in 0..3 {
                group.spawn(async move {
                    let _cancelled = until_cancelled(sleep(10 + number)).await;
                    Outcome::<()>::Err(format!("child {number}").into())
                });
            }
            let _cancelled = until_cancelled(forever()).await;
            sleep(1).await;
            Err("body".into())
        })
        .await
        .unwrap_err();
        assert_eq!(error.cause().error().unwrap().to_string(), "child 0");
        assert_eq!(messages(&error), ["child 0", "child 1", "child 2", "body"]);
    });
}

// S7: the handle of a cancelled child says so; the group does not fail. A finished child cannot be
// cancelled.
#[test]
fn a_cancelled_child_is_not_an_error() {
    everywhere(|| async {
        group(async |group| {
            let child = group.spawn(forever());
            child.cancel();
            child.cancel();
            let Err(JoinError::Cancelled(cancelled)) = child.await else {
                panic!()
            };
            assert_eq!(cancelled.reason().kind(), ReasonKind::CancelCalled);
            let done = group.spawn(async { Outcome::Ok(7) });
            done.ended().await;
            done.cancel();
            assert_eq!(done.await?, 7);
            Ok(())
        })
        .await
        .unwrap();
    });
}

// S8: idempotent, from body and children, and the outcome is an error of `run` that says cancelled.
#[test]
fn a_cancelled_group_has_no_error_of_its_own() {
    everywhere(|| async {
        let error = group(async |group| {
            group.spawn(forever());
            group.cancel();
            group.cancel();
            forever().await;
            Ok(())
        })
        .await
        .unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(error.leaf_count(), 1);
    });
}

// S9: cancelled: the future comes back, unpolled, with the reason.
#[test]
fn try_spawn_gives_the_future_back() {
    everywhere(|| async {
        let log = Log::default();
        let ended = builder().run_cancellable(async |group| {
            group.cancel();
            let refused = group.try_spawn(log.forever("future")).unwrap_err();
            assert_eq!(refused.reason().kind(), ReasonKind::CancelCalled);
            assert!(
                refused.to_string().contains("takes no more tasks"),
                "{refused}"
            );
            let future = refused.into_future();
            assert_eq!(log.take(), [""; 0]);
            drop(future);
            assert_eq!(log.take(), ["future"]);
            Ok(())
        });
        ended.await.unwrap();
        // Closed.
        let closed = group(async |group| Ok(group)).await.unwrap();
        let refused = closed
            .task("late")
            .try_spawn(log.forever("future"))
            .unwrap_err();
        assert_eq!(refused.reason().kind(), ReasonKind::Closed);
    });
}

// S9: a thread spawns as fast as it can while the group ends. Each round sees both sides: children
// that were taken, and have all run when `run` resolves; then one that was refused, and never runs.
#[test]
fn closing_and_spawning_race_without_a_gap() {
    struct Round {
        ran: AtomicUsize,
        over: AtomicBool,
        late: AtomicUsize,
    }
    everywhere(|| async {
        for _ in 0..200 {
            let round = Arc::new(Round {
                ran: AtomicUsize::new(0),
                over: AtomicBool::new(false),
                late: AtomicUsize::new(0),
            });
            let first = Steps::default();
            let spawner = |group: TaskGroup| {
                let (round, first) = (round.clone(), first.clone());
                move || {
                    let mut taken = 0;
                    loop {
                        let (round, steps) = (round.clone(), first.clone());
                        let child = async move {
                            round.ran.fetch_add(1, Ordering::SeqCst);
                            if round.over.load(Ordering::SeqCst) {
                                round.late.fetch_add(1, Ordering::SeqCst);
                            }
                            steps.step();
                        };
                        match group.try_spawn(child) {
                            Ok(handle) => {
                                taken += 1;
                                // Let the group become quiet: it may close now or after the next
                                // spawn.
                                while !handle.is_finished() {
                                    std::thread::yield_now();
                                }
                            }
                            Err(refused) => {
                                assert_eq!(refused.reason().kind(), ReasonKind::Closed);
                                return taken;
                            }
                        }
                    }
                }
            };
            let thread = group(async |group| {
                let thread = std::thread::spawn(spawner(group.clone()));
                first.reached(1).await;
                Ok(thread)
            });
            let thread = thread.await.unwrap();
            let ran = round.ran.load(Ordering::SeqCst);
            round.over.store(true, Ordering::SeqCst);
            let taken = tokio::task::spawn_blocking(move || thread.join().unwrap())
                .await
                .unwrap();
            assert!(taken >= 1);
            assert_eq!(taken, ran);
            assert_eq!(round.late.load(Ordering::SeqCst), 0);
        }
    });
}

// S9: the same against a cancel: every future is dropped exactly once, whether it ran or not.
#[test]
fn cancelling_and_spawning_race_without_a_leak() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    everywhere(|| async {
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..100 {
            let dropped = Arc::new(AtomicUsize::new(0));
            let first = Steps::default();
            let ended = builder().run_cancellable(async |group| {
                let (late, counter, first) = (group.clone(), dropped.clone(), first.clone());
                let started = first.clone();
                let thread = std::thread::spawn(move || {
                    let mut taken = 0;
                    loop {
                        let counted = Counted(counter.clone());
                        let child = async move {
                            let _counted = counted;
                            forever().await;
                        };
                        match late.try_spawn(child) {
                            Ok(_) => taken += 1,
                            Err(_) => return taken,
                        }
                        first.step();
                    }
                });
                started.reached(1).await;
                group.cancel();
                Ok(thread)
            });
            let thread = ended.await.unwrap().expect("the body was done");
            let accepted = tokio::task::spawn_blocking(move || thread.join().unwrap())
                .await
                .unwrap();
            // The one that was refused is dropped with its refusal.
            assert_eq!(dropped.load(Ordering::SeqCst), accepted + 1);
            taken += accepted;
            refused += 1;
        }
        assert!(taken >= 100 && refused == 100);
    });
}

// S4: a group does not wait for whatever its pump polls after its last child.
#[test]
fn a_group_ends_while_the_next_child_on_its_worker_blocks() {
    use std::sync::mpsc;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let (all_spawned, wait) = mpsc::channel();
    let (inner_ended, blocked) = mpsc::channel();
    let outer = TaskGroup::run(async |outer| {
        // The one worker is held until all three stand in its queues, so it polls the last two in
        // one turn.
        outer.spawn(async move { wait.recv() });
        let first = async {
            let ended = TaskGroup::run(async |first| {
                first.spawn(async {});
                Ok(())
            });
            ended.await?;
            inner_ended.send(())?;
            Ok::<_, taskgroup::BoxError>(())
        };
        // As deep, so its child stands behind that of the other one.
        let second = TaskGroup::run(async |second| {
            second.spawn(async move { blocked.recv() });
            all_spawned.send(())?;
            Ok(())
        });
        let (first, second) = tokio::join!(first, second);
        first?;
        Ok(second?)
    });
    runtime.block_on(outer).unwrap();
}

// S9: a cancellation from above refuses new children like one of its own, also where children were
// taken before.
#[test]
fn a_group_that_is_cancelled_from_above_takes_no_more() {
    paused(async {
        let log = Log::default();
        let ended = builder().run_cancellable(async |outer| {
            let inner = group(async |inner| {
                inner.spawn(turns(1)).await?;
                outer.cancel();
                inner.try_spawn(log.forever("refused")).unwrap_err();
                Ok(())
            });
            inner.await.unwrap();
            Ok(())
        });
        ended.await.unwrap();
        assert_eq!(log.take(), ["refused"]);
    });
}

// S23: groups are told apart by their numbers, and a child has that of its group.
#[test]
fn every_group_has_a_number_of_its_own() {
    paused(async {
        let failed = async || {
            let error = group(async |group| {
                group.spawn(async { Outcome::<()>::Err("failed".into()) });
                Ok(())
            });
            error.await.unwrap_err()
        };
        let (one, two) = (failed().await, failed().await);
        assert_ne!(one.id().group(), two.id().group());
        for error in [one, two] {
            assert_eq!(error.id().index(), 0);
            assert_eq!(error.cause().id().group(), error.id().group());
            assert_eq!(error.cause().id().index(), 1);
        }
    });
}

// S23: a group that was cancelled because it failed was not being cancelled from outside.
#[test]
fn only_a_cancellation_from_outside_is_a_context() {
    paused(async {
        let fails = async |outer: Option<TaskGroup>| {
            let error = group(async |group| {
                let beside = group.clone();
                group.spawn(async move {
                    outer.unwrap_or(beside).cancel();
                    Outcome::<()>::Err("failed".into())
                });
                forever().await;
                Ok(())
            });
            error.await.unwrap_err()
        };
        let error = group(async |group| {
            group.spawn(async { Outcome::<()>::Err("failed".into()) });
            forever().await;
            Ok(())
        });
        assert!(error.await.unwrap_err().context().is_none());
        let error = fails(None).await;
        assert_eq!(error.context().unwrap().kind(), ReasonKind::CancelCalled);
        let ended = builder().run_cancellable(async |outer| {
            let error = fails(Some(outer)).await;
            assert_eq!(error.context().unwrap().kind(), ReasonKind::CancelCalled);
            Ok(())
        });
        ended.await.unwrap();
    });
}

// S6: the failure of a sibling that is passed on is counted once; the one of another group's child
// is a failure here too.
#[test]
fn the_failure_of_a_child_of_another_group_is_a_failure_here() {
    paused(async {
        let error = group(async |outer| {
            let failing = outer.spawn(async {
                turns(3).await;
                Outcome::<()>::Err("theirs".into())
            });
            let inner = shield(group(async |inner| {
                inner.spawn(async move {
                    failing.await?;
                    Outcome::Ok(())
                });
                Ok(())
            }));
            assert_eq!(messages(&inner.await.unwrap_err()), ["theirs"]);
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["theirs"]);
    });
}

// S3, S4: the task of Tokio's goes with its child, whatever drops that.
#[test]
fn no_task_of_tokio_outlives_its_child() {
    paused(async {
        let alive = || {
            tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks()
        };
        for opens_a_scope in [false, true] {
            let before = alive();
            let run = TaskGroup::builder().light_tasks().run(async |outer| {
                outer.spawn(async move {
                    if opens_a_scope {
                        let _ = group(async |_| {
                            forever().await;
                            Ok(())
                        })
                        .await;
                    }
                    forever().await;
                });
                turns(5).await;
                assert!(alive() > before);
                outer.spawn(async { Outcome::<()>::Err("no".into()) });
                Ok(())
            });
            run.await.unwrap_err();
            turns(5).await;
            assert_eq!(alive(), before);
        }
    });
}

// S3: each child is a Tokio task; light ones share one.
#[test]
fn a_child_is_a_task_of_tokio_unless_it_is_light() {
    paused(async {
        let ids = async |builder: taskgroup::GroupBuilder| {
            let ids = builder.run(async |group| {
                let one = group.spawn(async { Outcome::Ok(tokio::task::id()) });
                let two = group.spawn(async { Outcome::Ok(tokio::task::id()) });
                Ok((one.await?, two.await?))
            });
            ids.await.unwrap()
        };
        let (one, two) = ids(TaskGroup::builder()).await;
        assert_ne!(one, two);
        let (one, two) = ids(TaskGroup::builder().light_tasks()).await;
        assert_eq!(one, two);
    });
}
