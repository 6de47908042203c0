//! What deadlines do beyond asyncio's own tests. S20–S22.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use taskgroup::{
    Deadline, TaskGroup, checkpoint, current_deadline, defer, move_on_after, shield, timeout,
    timeout_with, until_cancelled,
};
use tokio::time::Instant;

use crate::support::{
    Log, Outcome, Steps, builder, everywhere, forever, group, messages, ms, paused, sleep, took,
    turns,
};

// S20: never earlier than the inner work has really ended.
#[test]
fn timed_out_comes_after_the_cleanup() {
    paused(async {
        let log = Log::default();
        let (after, ended) = took(timeout(
            ms(10),
            group(async |inner| {
                let seen = log.clone();
                inner.spawn(async move {
                    let cancelled = until_cancelled(forever()).await;
                    sleep(25).await;
                    seen.add("cleaned up");
                    cancelled
                });
                Ok(())
            }),
        ))
        .await;
        assert_eq!(log.take(), ["cleaned up"]);
        assert_eq!(after, 35);
        ended.unwrap_err();
    });
}

// S20: a value at the limit, or after it from under a shield, is returned.
#[test]
fn a_value_at_the_limit_wins() {
    paused(async {
        let at_the_limit = timeout(ms(10), async {
            sleep(10).await;
            7
        });
        assert_eq!(at_the_limit.await.unwrap(), 7);
        let (after, late) = took(timeout(
            ms(10),
            shield(async {
                sleep(20).await;
                8
            }),
        ))
        .await;
        assert_eq!((after, late.unwrap()), (20, 8));
    });
}

// S21: the minimum over what is above, in either nesting.
#[test]
fn current_deadline_is_the_earliest_one_above() {
    paused(async {
        let now = Instant::now();
        assert_eq!(current_deadline(), None);
        timeout(ms(50), async {
            assert_eq!(current_deadline(), Some(now + ms(50)));
            timeout(ms(80), async {
                assert_eq!(current_deadline(), Some(now + ms(50)));
            })
            .await
            .unwrap();
            timeout(ms(20), async {
                assert_eq!(current_deadline(), Some(now + ms(20)));
            })
            .await
            .unwrap();
            group(async |group| {
                // The body is inside, children of a group in here as well.
                assert_eq!(current_deadline(), Some(now + ms(50)));
                let child = group.spawn(async { Outcome::Ok(current_deadline()) });
                assert_eq!(child.await?, Some(now + ms(50)));
                Ok(())
            })
            .await
            .unwrap();
        })
        .await
        .unwrap();
    });
}

// S13, S21: a shield hides what is above it, not what is inside.
#[test]
fn current_deadline_under_a_shield() {
    paused(async {
        let now = Instant::now();
        timeout(ms(50), async {
            shield(async {
                assert_eq!(current_deadline(), None);
                timeout(ms(80), async {
                    assert_eq!(current_deadline(), Some(now + ms(80)));
                })
                .await
                .unwrap();
            })
            .await;
            assert_eq!(current_deadline(), Some(now + ms(50)));
        })
        .await
        .unwrap();
    });
}

// S21: a moved deadline shows; a cancelled scope has no time left.
#[test]
fn current_deadline_follows() {
    paused(async {
        let now = Instant::now();
        let moved = timeout_with(ms(50), async |deadline: Deadline| {
            deadline.reschedule_after(ms(70));
            assert_eq!(current_deadline(), Some(now + ms(70)));
            deadline.reschedule(None);
            assert_eq!(current_deadline(), None);
        });
        moved.await.unwrap();
        group(async |group| {
            group.cancel();
            assert_eq!(current_deadline(), Some(Instant::now()));
            Ok(())
        })
        .await
        .unwrap();
    });
}

// S21: of many equal ones the outermost speaks.
#[test]
fn of_many_equal_deadlines_the_outermost_speaks() {
    paused(async {
        let log = Log::default();
        let inner = async {
            for_each_spoken(&log, "inner", timeout(ms(10), forever())).await;
        };
        let middle = async {
            for_each_spoken(&log, "middle", timeout(ms(10), inner)).await;
        };
        let outer = timeout(ms(10), middle).await;
        assert!(outer.is_err());
        assert_eq!(log.take(), [""; 0]);
    });
}

async fn for_each_spoken<T, E>(log: &Log, name: &str, limited: impl Future<Output = Result<T, E>>) {
    if limited.await.is_err() {
        log.add(name);
    }
}

// S21: equal deadlines with a group and a child between them.
#[test]
fn equal_deadlines_across_a_task() {
    paused(async {
        let log = Log::default();
        let outer = timeout(
            ms(10),
            group(async |group| {
                let seen = log.clone();
                group.spawn(async move {
                    let _ = timeout(ms(10), forever()).await;
                    seen.add("the child's own deadline spoke");
                    turns(1).await;
                    seen.add("and the child went on");
                });
                Ok(())
            }),
        );
        outer.await.unwrap_err();
        // Which alarm rings first is a matter of arming; the outer cut is never lost.
        assert!(!log.take().contains(&"and the child went on".to_owned()));
    });
}

// S19, S21: an outer cancel while the inner work cleans up after its deadline.
#[test]
fn an_outer_cancel_during_the_cleanup_of_a_deadline() {
    paused(async {
        let log = Log::default();
        group(async |outer| {
            let seen = log.clone();
            let child = outer.spawn(async move {
                let limited = timeout(ms(10), async {
                    let cancelled = until_cancelled(forever()).await;
                    sleep(30).await;
                    seen.add("cleaned up");
                    cancelled
                });
                let _ = limited.await;
                seen.add("the deadline spoke");
                turns(1).await;
                seen.add("the outer cancel was lost");
            });
            sleep(20).await;
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["cleaned up"]);
    });
}

// S22
#[test]
fn move_on_after_is_silent() {
    paused(async {
        assert_eq!(move_on_after(ms(10), async { 7 }).await, Some(7));
        let (after, nothing) = took(move_on_after(ms(10), forever())).await;
        assert_eq!((after, nothing), (10, None));
    });
}

// S22: one line for a task, one for the whole group.
#[test]
fn a_limit_for_each_task_and_one_for_the_group() {
    paused(async {
        let (after, sums) = took(timeout(
            ms(100),
            group(async |group| {
                let tasks: Vec<_> = [5, 500, 7]
                    .map(|delay| {
                        group.spawn(async move {
                            let value = move_on_after(ms(50), async {
                                sleep(delay).await;
                                delay
                            });
                            Outcome::Ok(value.await)
                        })
                    })
                    .into();
                let mut values = Vec::new();
                for task in tasks {
                    values.push(task.await?);
                }
                Ok(values)
            }),
        ))
        .await;
        assert_eq!(after, 50);
        assert_eq!(sums.unwrap().unwrap(), [Some(5), None, Some(7)]);
    });
}

// S20, S22: a task's own limit fails its group with `TimedOut`, and that names the task.
#[test]
fn a_limit_that_fails_the_group() {
    paused(async {
        let error = group(async |group| {
            group
                .task("slow")
                .spawn(async { timeout(ms(10), forever()).await });
            Ok(())
        });
        let error = error.await.unwrap_err();
        assert_eq!(messages(&error), ["timed out after 10ms"]);
        assert!(error.cause().is::<taskgroup::TimedOut>());
        assert_eq!(error.cause().name(), "slow");
    });
}

// S21: as far away as can be.
#[test]
fn a_limit_beyond_what_a_clock_can_say() {
    everywhere(|| async {
        let value = timeout(std::time::Duration::MAX, async {
            turns(2).await;
            assert_eq!(current_deadline(), None);
            7
        });
        assert_eq!(value.await.unwrap(), 7);
    });
}

// S3, S21: moved by a thread that knows no runtime.
#[test]
fn a_plain_thread_moves_a_deadline() {
    everywhere(|| async {
        let ended = timeout_with(None, async |deadline: Deadline| {
            let suspended = Steps::default();
            let seen = suspended.clone();
            let mover = async {
                suspended.reached(1).await;
                let moved = std::thread::spawn(move || deadline.reschedule(Instant::now()));
                assert!(moved.join().unwrap());
                forever().await;
            };
            tokio::join!(seen.at_each_suspension(forever()), mover);
        });
        ended.await.unwrap_err();
    });
}

// S3: and one spawns: the child runs where the group does.
#[test]
fn a_plain_thread_spawns() {
    everywhere(|| async {
        let value = group(async |group: TaskGroup| {
            let here = tokio::runtime::Handle::current().id();
            let spawner = group.clone();
            let child = std::thread::spawn(move || {
                spawner.spawn(async { Outcome::Ok(tokio::runtime::Handle::current().id()) })
            });
            Ok(child.join().unwrap().await? == here)
        });
        assert!(value.await.unwrap());
    });
}

// TR12, S20: a duration counts from the entry, which is the first poll, not from the call.
#[test]
fn a_duration_counts_from_the_first_poll() {
    paused(async {
        let limited = timeout(ms(10), forever());
        sleep(50).await;
        let (millis, ended) = took(limited).await;
        assert_eq!((millis, ended.is_err()), (10, true));
    });
}

// S21: two deadlines at once, but the inner one is polled by code that the outer one does not
// drop: both are reported.
#[test]
fn a_deadline_that_is_polled_elsewhere_speaks_for_itself() {
    paused(async {
        let (give, take) = tokio::sync::oneshot::channel();
        let outer = timeout(ms(10), async {
            let mut inner = Box::pin(timeout_with(ms(10), async |_| forever().await));
            // From now on it is open below the outer one.
            let first = poll_fn(|cx| Poll::Ready(inner.as_mut().poll(cx))).await;
            assert!(first.is_pending());
            give.send(inner).ok().unwrap();
            forever().await;
        });
        let elsewhere = async { take.await.unwrap().await };
        let (outer, inner) = tokio::join!(outer, elsewhere);
        outer.unwrap_err();
        inner.unwrap_err();
    });
}

// S21: a deadline that has passed already fires at the first suspension point, whether any code has
// its handle or not.
#[test]
fn a_deadline_without_time_fires_in_the_first_poll() {
    paused(async {
        let mut cx = Context::from_waker(Waker::noop());
        let mut plain = pin!(timeout(ms(0), forever()));
        let mut with_handle = pin!(timeout_with(ms(0), async |_| forever().await));
        let plain = plain.as_mut().poll(&mut cx);
        assert!(matches!(plain, Poll::Ready(Err(_))));
        let with_handle = with_handle.as_mut().poll(&mut cx);
        assert!(matches!(with_handle, Poll::Ready(Err(_))));
    });
}

// S12, S20: the word of an outer cancellation passes through, and is a guard behind the deadline,
// too.
#[test]
fn a_deadline_passes_on_that_the_task_is_cancelled() {
    everywhere(|| async {
        let log = Log::default();
        group(async |outer| {
            let (work, seen) = (log.forever("work dropped"), log.clone());
            let child = outer.spawn(async move {
                let ended = timeout(ms(3_600_000), until_cancelled(work)).await;
                let Err(cancelled) = ended.expect("an hour has not passed") else {
                    return Ok(());
                };
                turns(2).await;
                seen.add("cleaned up");
                Err(cancelled)
            });
            log.started(1).await;
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["work dropped", "cleaned up"]);
    });
}

// S14, S21: deferred work is not dropped with its cancelled group, so a deadline in it speaks.
#[test]
fn a_deadline_in_the_deferred_work_of_a_cancelled_group() {
    paused(async {
        let log = Log::default();
        let ended = builder().run_cancellable(async |group| {
            let seen = log.clone();
            defer(async move {
                let cut = timeout(ms(10), forever()).await.unwrap_err();
                seen.add(cut.to_string());
            });
            group.cancel();
            forever().await;
            Ok(())
        });
        assert_eq!(ended.await.unwrap(), None);
        assert_eq!(log.take(), ["timed out after 10ms"]);
    });
}

// S20: a deadline that is not waited for any more keeps nothing of what did.
#[test]
fn a_deadline_that_is_gone_has_no_waker() {
    struct Nobody;
    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }
    paused(async {
        let nobody = Arc::new(Nobody);
        let mut limited = Box::pin(timeout(ms(3_600_000), forever()));
        {
            let waker = Waker::from(nobody.clone());
            let polled = limited.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        assert_eq!(Arc::strong_count(&nobody), 2, "its alarm has one");
        drop(limited);
        assert_eq!(Arc::strong_count(&nobody), 1);
    });
}

/// Time goes by, as it does while a task computes: nothing else has a turn.
async fn compute(millis: u64) {
    let mut advance = Box::pin(tokio::time::advance(ms(millis)));
    poll_fn(|cx| {
        assert!(advance.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

// S37, S20: a loop that computes and yields by `checkpoint` alone sees the deadline around it.
#[test]
fn fault_c4_checkpoint_is_a_suspension_point_for_deadlines() {
    paused(async {
        let log = Log::default();
        let rounds = async {
            for round in 0..60 {
                compute(20).await;
                log.add(format!("{round}"));
                checkpoint().await;
            }
        };
        let (time, result) = took(timeout(ms(110), rounds)).await;
        assert!(result.is_err());
        // The time counts from the end of the first round.
        assert_eq!((time, log.take().len()), (140, 7));

        let with_scope = timeout_with(ms(110), async |_: Deadline| {
            for round in 0..60 {
                compute(20).await;
                log.add(format!("{round}"));
                checkpoint().await;
            }
        });
        let (time, result) = took(with_scope).await;
        assert!(result.is_err());
        assert_eq!((time, log.take().len()), (120, 6));
    });
}

// S37, S38: and so does a child, whose deadline is that of another task.
#[test]
fn fault_c4_checkpoint_lets_the_timer_have_its_turn() {
    paused(async {
        let rounds = Steps::default();
        let own = rounds.clone();
        let result = timeout(
            ms(100),
            group(async |group| {
                group.spawn(async move {
                    while !own.is_at(1000) {
                        own.step();
                        compute(1).await;
                        checkpoint().await;
                    }
                });
                Ok(())
            }),
        );
        assert!(result.await.is_err());
        assert!(!rounds.is_at(1000), "it was cut off");
    });
}

// S37: what is ready has a turn between two checkpoints.
#[test]
fn checkpoint_always_yields() {
    everywhere(|| async {
        let steps = Steps::default();
        let counted = steps.at_each_suspension(async {
            for _ in 0..3 {
                checkpoint().await;
            }
        });
        counted.await;
        assert!(steps.is_at(3));
    });
}

/// Runs `test` in a runtime that has no clock; says how it panicked.
fn without_a_clock<F: Future<Output = ()>>(test: F) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(test)));
    ended.err().map(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned());
        text.or_else(|| payload.downcast_ref().cloned()).unwrap()
    })
}

// S20: the panic that is documented is the caller's, and no code waits for a clock that does not
// tick.
#[test]
fn fault_c8_without_a_clock_a_deadline_panics_where_it_is_needed() {
    let disabled = |message: Option<String>| message.unwrap().contains("enable_time");
    assert_eq!(
        without_a_clock(async { timeout(ms(5), async {}).await.unwrap() }),
        None,
        "what is ready needs none"
    );
    let pending = async { drop(timeout(ms(5), forever()).await) };
    assert!(disabled(without_a_clock(pending)));
    // With a scope, and again in the same runtime.
    let with_scope = async {
        let around = async {
            let _ = timeout(
                ms(5),
                group(async |group| {
                    group.spawn(forever());
                    Ok(())
                }),
            )
            .await;
        };
        let first = std::panic::AssertUnwindSafe(around);
        let first = futures_util::FutureExt::catch_unwind(first).await;
        assert!(first.is_err());
        drop(timeout(ms(5), forever()).await);
    };
    assert!(disabled(without_a_clock(with_scope)));
    // In a child it is the failure of the child.
    let child = async {
        let error = group(async |group| {
            group.spawn(async { drop(timeout(ms(5), forever()).await) });
            Ok(())
        });
        let error = error.await.unwrap_err();
        assert!(
            error
                .cause()
                .panic_message()
                .unwrap()
                .contains("enable_time")
        );
    };
    assert_eq!(without_a_clock(child), None);
    // What needs no time works.
    let no_time = async {
        let run = builder().run_cancellable(async |group| {
            group.spawn_blocking(|_| ());
            group.spawn(forever());
            checkpoint().await;
            group.cancel();
            Ok(1)
        });
        assert_eq!(run.await.unwrap(), Some(1));
    };
    assert_eq!(without_a_clock(no_time), None);
    // Nor does a grace that is never armed.
    let grace = async {
        let run = builder().grace(ms(5)).run(async |group| {
            group.spawn(checkpoint());
            Ok(())
        });
        run.await.unwrap();
    };
    assert_eq!(without_a_clock(grace), None);
}
