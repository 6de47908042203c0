//! Cancellation from inside: the guard rule, `until_cancelled`, `checkpoint`, shields. S11–S13,
//! S16, S19.

use taskgroup::combine::Until;
use taskgroup::{
    Cancelled, JoinError, Started, TaskGroup, TaskHandle, as_completed, checkpoint, defer, gather,
    is_cancelled, join, map, race, race_by_key, race_staggered, settle, settle_by_key, shield,
    timeout, until_cancelled, wait, wait_timeout,
};

use crate::support::{
    Log, Outcome, Steps, again, builder, everywhere, forever, group, messages, ms, paused, sleep,
    took, turns,
};

// S11: up to the next suspension point, not before and not beyond.
#[test]
fn a_cancelled_task_ends_at_its_next_suspension_point() {
    everywhere(|| async {
        let log = Log::default();
        let ended = builder().run_cancellable(async |group| {
            let (scope, seen) = (group.clone(), log.clone());
            group.spawn(async move {
                let _dropped = seen.on_drop("destructors ran");
                scope.cancel();
                seen.add(format!("cancelled: {}", is_cancelled()));
                async { seen.add("what is ready does not suspend") }.await;
                turns(1).await;
                seen.add("and beyond");
            });
            forever().await;
            Ok(())
        });
        assert_eq!(ended.await.unwrap(), None);
        assert_eq!(
            log.take(),
            [
                "cancelled: true",
                "what is ready does not suspend",
                "destructors ran"
            ]
        );
    });
}

// S11: a child whose wake-up has come runs on to its next suspension point, as in asyncio and Trio.
#[test]
fn a_child_that_is_due_anyway_is_polled_once_more() {
    paused(async {
        let error = group(async |group| {
            for name in ["first", "second"] {
                group.spawn(async move {
                    sleep(10).await;
                    Outcome::<()>::Err(name.into())
                });
            }
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(messages(&error), ["first", "second"]);
    });
}

// S11: also when it has run only once, for a moment, and has woken itself.
#[test]
fn a_child_that_woke_itself_is_polled_once_more() {
    paused(async {
        let log = Log::default();
        let ended = builder().run_cancellable(async |group| {
            let (scope, seen) = (group.clone(), log.clone());
            group.spawn(async move {
                let _dropped = seen.on_drop("dropped");
                again().await;
                seen.add("due");
                forever().await;
            });
            group.spawn(async move { scope.cancel() });
            forever().await;
            Ok(())
        });
        assert_eq!(ended.await.unwrap(), None);
        assert_eq!(log.take(), ["due", "dropped"]);
    });
}

// S11: but not one that was cancelled by itself before it woke itself.
#[test]
fn waking_oneself_does_not_put_the_end_off() {
    everywhere(|| async {
        let log = Log::default();
        let ended = builder().run_cancellable(async |group| {
            let (scope, seen) = (group.clone(), log.clone());
            group.spawn(async move {
                let _dropped = seen.on_drop("dropped");
                scope.cancel();
                again().await;
                seen.add("and beyond");
            });
            forever().await;
            Ok(())
        });
        assert_eq!(ended.await.unwrap(), None);
        assert_eq!(log.take(), ["dropped"]);
    });
}

// S11: a group that is cancelled from outside in its last step has its value, and nothing to wait
// for.
#[test]
fn a_group_whose_task_is_cancelled_in_its_last_step_gives_its_value() {
    everywhere(|| async {
        let log = Log::default();
        let ended = builder().run_cancellable(async |outer| {
            let (scope, seen) = (outer.clone(), log.clone());
            outer.spawn(async move {
                let value = group(async |_| {
                    turns(1).await;
                    scope.cancel();
                    Ok(7)
                });
                seen.add(format!("{}", value.await.unwrap()));
                turns(1).await;
                seen.add("and beyond");
            });
            forever().await;
            Ok(())
        });
        assert_eq!(ended.await.unwrap(), None);
        assert_eq!(log.take(), ["7"]);
    });
}

// S12: while the value lives the task may wait; returned, it ends the task as cancelled.
#[test]
fn a_guard_lets_the_cleanup_wait() {
    everywhere(|| async {
        let log = Log::default();
        group(async |group| {
            let (work, seen) = (log.forever("work dropped"), log.clone());
            let child = group.spawn(async move {
                let Err(cancelled) = until_cancelled(work).await else {
                    return Ok(());
                };
                turns(3).await;
                checkpoint().await;
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

// S12: dropped, it re-arms the cancellation: the seeds' swallowed cancel cannot be written.
#[test]
fn a_dropped_guard_rearms_the_cancellation() {
    everywhere(|| async {
        let log = Log::default();
        group(async |group| {
            let (work, seen) = (log.forever("work dropped"), log.clone());
            let child = group.spawn(async move {
                let Err(cancelled) = until_cancelled(work).await else {
                    return;
                };
                turns(2).await;
                drop(cancelled);
                seen.add("swallowed");
                turns(1).await;
                seen.add("and went on");
            });
            log.started(1).await;
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["work dropped", "swallowed"]);
    });
}

// S12: through layers of code that each clean up and pass it on.
#[test]
fn a_guard_protects_every_layer_on_its_way_out() {
    async fn layer(log: &Log, depth: u32) -> Result<(), Cancelled> {
        let inside = async {
            if depth == 0 {
                log.forever("work dropped").await;
                return Ok(());
            }
            Box::pin(layer(log, depth - 1)).await
        };
        let ended = match until_cancelled(inside).await {
            Ok(ended) => ended,
            Err(cancelled) => Err(cancelled),
        };
        if ended.is_err() {
            turns(2).await;
            log.add(format!("layer {depth}"));
        }
        ended
    }
    everywhere(|| async {
        let log = Log::default();
        group(async |group| {
            let seen = log.clone();
            let child = group.spawn(async move { layer(&seen, 2).await });
            log.started(1).await;
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(
            log.take(),
            ["work dropped", "layer 0", "layer 1", "layer 2"]
        );
    });
}

// S12: the word comes after everything that the work had started has ended.
#[test]
fn until_cancelled_waits_for_what_is_below() {
    paused(async {
        group(async |group| {
            let child = group.spawn(async {
                let (after, ended) = took(until_cancelled(crate::support::group(async |inner| {
                    inner.spawn(async {
                        let cancelled = until_cancelled(forever()).await;
                        sleep(50).await;
                        cancelled
                    });
                    forever().await;
                    Ok(())
                })))
                .await;
                assert_eq!(after, 60);
                ended.map(|_| ())
            });
            sleep(10).await;
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
    });
}

// S12: a value that the work still produced is given.
#[test]
fn until_cancelled_gives_a_value_that_came_meanwhile() {
    paused(async {
        group(async |group| {
            let child = group.spawn(async {
                let value = until_cancelled(shield(async {
                    sleep(50).await;
                    7
                }));
                assert_eq!(value.await.unwrap(), 7);
                Outcome::Ok(8)
            });
            sleep(10).await;
            child.cancel();
            assert_eq!(child.await?, 8);
            Ok(())
        })
        .await
        .unwrap();
    });
}

// S12: in a scope that is cancelled already the work gets to its first suspension point.
#[test]
fn until_cancelled_in_a_cancelled_scope() {
    everywhere(|| async {
        let log = Log::default();
        let ended = builder().run_cancellable(async |group| {
            group.cancel();
            assert_eq!(until_cancelled(async { 7 }).await.unwrap(), 7);
            let Err(cancelled) = until_cancelled(log.forever("dropped")).await else {
                panic!()
            };
            turns(2).await;
            log.add("cleaned up");
            Err::<(), _>(cancelled.into())
        });
        assert_eq!(ended.await.unwrap(), None);
        assert_eq!(log.take(), ["dropped", "cleaned up"]);
    });
}

// S12: a scope that is opened for cleanup, under a live guard, is not born cancelled.
#[test]
fn cleanup_may_open_groups_and_deadlines() {
    everywhere(|| async {
        let log = Log::default();
        group(async |group| {
            let (work, seen) = (log.forever("work dropped"), log.clone());
            let child = group.spawn(async move {
                let Err(cancelled) = until_cancelled(work).await else {
                    return Ok(());
                };
                let said = crate::support::group(async |cleanup| {
                    let said = cleanup.spawn(async {
                        turns(2).await;
                        Outcome::Ok("from a child")
                    });
                    Ok(timeout(ms(3_600_000), said).await??)
                });
                seen.add(said.await.unwrap());
                Err(cancelled)
            });
            log.started(1).await;
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["work dropped", "from a child"]);
    });
}

// S12: the guard gone, what was opened under it is cancelled as well.
#[test]
fn dropping_the_guard_cancels_what_was_opened_under_it() {
    paused(async {
        let log = Log::default();
        group(async |group| {
            let (work, seen) = (log.forever("work dropped"), log.clone());
            let child = group.spawn(async move {
                let Err(cancelled) = until_cancelled(work).await else {
                    return;
                };
                let mut cancelled = Some(cancelled);
                let _ = crate::support::group(async |cleanup| {
                    cleanup.spawn(seen.forever("cleanup's child dropped"));
                    seen.started(2).await;
                    drop(cancelled.take());
                    forever().await;
                    Ok(())
                })
                .await;
                seen.add("went on");
            });
            log.started(1).await;
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["work dropped", "cleanup's child dropped"]);
    });
}

// S12: of two guards in one task the last one to go re-arms the cancellation.
#[test]
fn a_guard_that_goes_leaves_the_cleanup_of_the_other_alone() {
    paused(async {
        let log = Log::default();
        group(async |outer| {
            let (one, other) = (log.forever("one dropped"), log.forever("other dropped"));
            let seen = log.clone();
            let child = outer.spawn(async move {
                let short = async {
                    let cancelled = until_cancelled(one).await;
                    turns(1).await;
                    drop(cancelled);
                };
                let long = async {
                    let Err(cancelled) = until_cancelled(other).await else {
                        return Ok(());
                    };
                    let said = group(async |cleanup| {
                        let said = cleanup.spawn(async {
                            turns(5).await;
                            Outcome::Ok("cleaned up")
                        });
                        Ok(said.await?)
                    });
                    seen.add(said.await.unwrap());
                    Err(cancelled)
                };
                tokio::join!(biased; short, long).1
            });
            log.started(2).await;
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["one dropped", "other dropped", "cleaned up"]);
    });
}

// S12: whichever thread drops it.
#[test]
fn a_guard_that_is_dropped_elsewhere_rearms_the_cancellation() {
    paused(async {
        let log = Log::default();
        group(async |outer| {
            let (give, take) = tokio::sync::oneshot::channel();
            let (work, dropped) = (log.forever("work dropped"), log.on_drop("task dropped"));
            let child = outer.spawn(async move {
                let _dropped = dropped;
                let Err(cancelled) = until_cancelled(work).await else {
                    return;
                };
                give.send(cancelled).unwrap();
                forever().await;
            });
            log.started(1).await;
            child.cancel();
            let cancelled = take.await?;
            turns(3).await;
            assert!(!child.is_finished());
            drop(cancelled);
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["work dropped", "task dropped"]);
    });
}

// S12: the `Cancelled` of another task guards nothing, and passed on it is a failure: what was
// awaited did not come.
#[test]
fn the_cancelled_of_another_task_is_a_failure() {
    everywhere(|| async {
        let error = group(async |group| {
            let other = group.task("other").spawn(forever());
            other.cancel();
            group.task("waits").spawn(other);
            Ok(())
        })
        .await
        .unwrap_err();
        let leaf = error.into_single().unwrap();
        assert_eq!(leaf.name(), "waits");
        assert!(leaf.find::<Cancelled>().is_some() || leaf.is::<JoinError>());
    });
}

// S11: for loops that await nothing.
#[test]
fn checkpoint_ends_a_computing_loop() {
    everywhere(|| async {
        let log = Log::default();
        group(async |group| {
            let (seen, steps) = (log.clone(), Steps::default());
            let running = steps.clone();
            let child = group.spawn(async move {
                let _dropped = seen.on_drop("ended");
                while !running.is_at(usize::MAX) {
                    running.step();
                    checkpoint().await;
                }
            });
            steps.reached(3).await;
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["ended"]);
    });
}

// S13: not dropped while the shield is up, dropped at the first suspension point after it.
#[test]
fn a_shield_is_over_before_the_cancellation_takes_effect() {
    everywhere(|| async {
        let log = Log::default();
        let steps = Steps::default();
        group(async |group| {
            let (seen, entered) = (log.clone(), steps.clone());
            let (go, wait) = tokio::sync::oneshot::channel::<()>();
            let child = group.spawn(async move {
                shield(async {
                    entered.step();
                    wait.await.unwrap();
                    seen.add(format!("saved, cancelled: {}", is_cancelled()));
                })
                .await;
                seen.add(format!("after the shield, cancelled: {}", is_cancelled()));
                turns(1).await;
                seen.add("and beyond");
            });
            steps.reached(1).await;
            child.cancel();
            turns(5).await;
            assert!(!child.is_finished());
            go.send(()).unwrap();
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(
            log.take(),
            [
                "saved, cancelled: false",
                "after the shield, cancelled: true"
            ]
        );
    });
}

// S13: what is below the shield does not see the outer cancel either, also what is spawned later.
#[test]
fn a_shield_protects_groups_below_it() {
    paused(async {
        let log = Log::default();
        group(async |group| {
            let seen = log.clone();
            let child = group.spawn(async move {
                shield(crate::support::group(async |inner| {
                    let early = inner.spawn(async {
                        sleep(20).await;
                        Outcome::Ok("early")
                    });
                    sleep(15).await;
                    let late = inner.spawn(async { Outcome::Ok("late") });
                    seen.add(early.await?);
                    seen.add(late.await?);
                    Ok(())
                }))
                .await
                .unwrap();
                sleep(1).await;
                seen.add("and beyond");
            });
            sleep(10).await;
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["early", "late"]);
    });
}

// S13: a shield keeps out what comes from outside, not what belongs inside.
#[test]
fn a_deadline_and_a_failure_inside_a_shield_work() {
    paused(async {
        shield(async {
            timeout(ms(10), forever()).await.unwrap_err();
            let error = group(async |inner| {
                inner.spawn(async { Outcome::<()>::Err("inside".into()) });
                forever().await;
                Ok(())
            });
            assert_eq!(messages(&error.await.unwrap_err()), ["inside"]);
        })
        .await;
    });
}

// S13: in the body of a group that a child fails.
#[test]
fn a_shield_in_the_body() {
    everywhere(|| async {
        let log = Log::default();
        let error = group(async |group| {
            let (failed, wait) = tokio::sync::oneshot::channel::<()>();
            group.spawn(async move {
                let _dropped = failed;
                Outcome::<()>::Err("child".into())
            });
            shield(async {
                let _ = wait.await;
                turns(5).await;
                log.add("saved");
            })
            .await;
            turns(1).await;
            // The failure is known by now or will be; the body is not let out of here.
            forever().await;
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(log.take(), ["saved"]);
        assert_eq!(messages(&error), ["child"]);
    });
}

// S13: panics and values pass.
#[test]
fn a_shield_is_transparent() {
    everywhere(|| async {
        assert_eq!(shield(async { 7 }).await, 7);
        let error = group(async |group| {
            group.spawn(shield(async {
                turns(1).await;
                if true {
                    panic!("inside the shield");
                }
            }));
            Ok(())
        });
        assert_eq!(
            messages(&error.await.unwrap_err()),
            ["panic: inside the shield"]
        );
    });
}

// S16: cancelled between its spawn and its first poll, it never runs.
#[test]
fn a_child_cancelled_before_its_first_poll_never_runs() {
    paused(async {
        let log = Log::default();
        group(async |group| {
            let (ran, dropped) = (log.clone(), log.on_drop("dropped"));
            let child = group.spawn(async move {
                let _dropped = dropped;
                ran.add("ran");
            });
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["dropped"]);
    });
}

// S16: no lock of the engine is held while a destructor runs: it may use the group, and cancel
// again.
#[test]
fn a_destructor_may_use_the_group() {
    struct Meddles(taskgroup::TaskGroup, Log);
    impl Drop for Meddles {
        fn drop(&mut self) {
            self.0.cancel();
            assert!(self.0.is_cancelled());
            assert!(self.0.live() > 0);
            drop(self.0.spawn(self.1.forever("refused")));
            defer(async {});
        }
    }
    everywhere(|| async {
        let log = Log::default();
        let error = group(async |group| {
            let steps = Steps::default();
            for _ in 0..2 {
                let (meddles, steps) = (Meddles(group.clone(), log.clone()), steps.clone());
                group.spawn(async move {
                    let _meddles = meddles;
                    steps.step();
                    forever().await;
                });
            }
            steps.reached(2).await;
            group.spawn(async { Outcome::<()>::Err("boom".into()) });
            forever().await;
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(messages(&error), ["boom"]);
        assert_eq!(log.take(), ["refused", "refused"]);
    });
}

// S16: a caller of `cancel` may hold a lock that a destructor of the cancelled wants.
#[test]
fn cancel_under_a_lock_that_a_destructor_wants() {
    use std::sync::{Arc, Mutex};
    struct Wants(Arc<Mutex<u32>>);
    impl Drop for Wants {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    everywhere(|| async {
        let lock = Arc::new(Mutex::new(0));
        let steps = Steps::default();
        let ended = builder().run_cancellable(async |group| {
            let (wants, parked) = (Wants(lock.clone()), steps.clone());
            let child = group.spawn(async move {
                let _wants = wants;
                parked.step();
                forever().await;
            });
            steps.reached(1).await;
            turns(3).await;
            {
                let _held = lock.lock().unwrap();
                child.cancel();
                group.cancel();
            }
            forever().await;
            Ok(())
        });
        assert_eq!(ended.await.unwrap(), None);
        assert_eq!(*lock.lock().unwrap(), 1);
    });
}

// S13: who asks inside a shield is told of no outer cancel, and inside a deadline of each, also
// where neither has suspended yet.
#[test]
fn whether_it_is_cancelled_is_known_before_the_first_suspension() {
    paused(async {
        let ended = builder().run_cancellable(async |group| {
            group.cancel();
            assert!(is_cancelled());
            shield(async { assert!(!is_cancelled()) }).await;
            let told = timeout(ms(10), async { is_cancelled() }).await;
            assert!(told.unwrap());
            forever().await;
            Ok(())
        });
        assert_eq!(ended.await.unwrap(), None);
    });
}

// S15: children of a group that is dropped are dropped by what drives them, not in the middle of
// another destructor.
#[tokio::test]
async fn a_dropped_group_runs_no_destructor_of_its_children_at_once() {
    let log = Log::default();
    let told = log.on_drop("dropped");
    {
        let run = group(async |group| {
            group.spawn(async move {
                let _told = told;
                forever().await;
            });
            forever().await;
            Outcome::Ok(())
        });
        tokio::select! {
            _ = run => unreachable!("nobody ends it"),
            () = turns(3) => {}
        }
    }
    assert!(log.take().is_empty(), "not on this stack");
    turns(3).await;
    assert_eq!(log.take(), ["dropped"]);
}

// S15: a task is not dropped while a group in it has children: it hears from the group how they
// ended.
#[test]
fn a_task_hears_how_its_group_ended_when_it_is_cancelled() {
    everywhere(|| async {
        let log = Log::default();
        let said = log.clone();
        let ended = group(async |outer| {
            let (begun, is_begun) = tokio::sync::oneshot::channel();
            outer.spawn(async move {
                let ended = group(async |inner| {
                    inner.spawn(async move {
                        let _ = begun.send(());
                        let cancelled = until_cancelled(forever()).await.unwrap_err();
                        drop(cancelled);
                        Err::<(), _>("late")
                    });
                    forever().await;
                    Outcome::Ok(())
                });
                let failed = ended.await.unwrap_err();
                said.add(messages(&failed).join(" "));
                Err::<(), _>(failed)
            });
            is_begun.await?;
            outer.spawn(async { Err::<(), _>("first") });
            forever().await;
            Outcome::Ok(())
        });
        ended.await.unwrap_err();
        assert_eq!(log.take(), ["late"]);
    });
}

type Awaited = futures_util::future::BoxFuture<'static, ()>;
type Once = Box<dyn Fn(&TaskGroup) -> Awaited + Send>;

/// Awaits `once` again and again in a child that has cancelled its group, and says how often it
/// came back.
async fn rounds_when_cancelled(once: impl Fn(&TaskGroup) -> Awaited + Send + 'static) -> usize {
    let rounds = Steps::default();
    let seen = rounds.clone();
    let run = builder().run_cancellable(async |group| {
        let own = group.clone();
        group.spawn(async move {
            own.cancel();
            loop {
                once(&own).await;
                seen.step();
                assert!(!seen.is_at(10), "the loop goes on in a cancelled scope");
            }
        });
        forever().await;
        Ok(())
    });
    assert_eq!(run.await.unwrap(), None);
    (0..10).find(|count| rounds.is_at(*count)).unwrap()
}

// S37
#[test]
fn fault_c3_no_await_comes_back_at_once_in_a_cancelled_scope() {
    everywhere(|| async {
        let mut awaits: Vec<(&str, Once)> = Vec::new();
        macro_rules! awaits {
            ($($name:literal: |$group:ident| $future:expr;)+) => {$(
                awaits.push(($name, Box::new(|$group: &TaskGroup| {
                    let $group = $group.clone();
                    Box::pin(async move { let _ = ($group.live(), $future); })
                })));
            )+};
        }
        awaits! {
            "handle": |group| group.spawn(async {}).await;
            "handle, by reference": |group| (&group.spawn(async {})).await.is_ok();
            "handle, by mutable reference": |group| (&mut group.spawn(async {})).await;
            "ended": |group| group.spawn(async {}).ended().await;
            "spawn_blocking": |group| group.spawn_blocking(|_| ()).await;
            "spawn_when_free": |group| group.spawn_when_free(async {}).await;
            "start": |group| group.start(async |word: Started<()>| word.ready(())).await.is_ok();
            "run": |group| TaskGroup::run(async |_| Ok(())).await;
            "run_cancellable": |group| builder().run_cancellable(async |_| Ok(())).await;
            "run_to_end": |group| builder().run_to_end(async |_| Ok(())).await;
            "gather": |group| gather([async { Ok::<_, String>(()) }]).await;
            "gather, a tuple": |group| gather((async { Ok::<_, String>(()) },)).await;
            "settle": |group| settle([async {}]).await;
            "settle_by_key": |group| settle_by_key([(1, async {})]).await;
            "race": |group| race([async {}]).await;
            "race_by_key": |group| race_by_key([(1, async {})]).await;
            "race_staggered": |group| race_staggered(ms(0), [async {}]).await;
            "map": |group| map(1, [1], async |n| Ok::<_, String>(n)).await;
            "join": |group| join([async {}]).await;
            "join, a tuple": |group| join((async {}, async {})).await;
            "as_completed": |group| as_completed([async {}]).next().await;
            "as_completed, a stream": |group| {
                futures_util::StreamExt::next(&mut as_completed([async {}])).await
            };
            "wait": |group| wait(&Vec::<TaskHandle<()>>::new(), Until::All).await.done.len();
            "wait_timeout": |group| {
                let none = Vec::<TaskHandle<()>>::new();
                wait_timeout(ms(0), &none, Until::All).await.done.len()
            };
            "checkpoint": |group| checkpoint().await;
        }
        for (name, once) in awaits {
            assert_eq!(rounds_when_cancelled(once).await, 0, "{name}");
        }
        // Each cancellation is told once, in whatever scope.
        let told =
            rounds_when_cancelled(|_| Box::pin(async { drop(until_cancelled(forever()).await) }));
        assert_eq!(told.await, 1);
        let told = rounds_when_cancelled(|_| {
            Box::pin(async { drop(timeout(ms(600_000), until_cancelled(forever())).await) })
        });
        assert_eq!(told.await, 1);
    });
}

// S37: a value that was really waited for is there; only the next await suspends.
#[test]
fn what_was_waited_for_comes_back_in_a_cancelled_scope() {
    everywhere(|| async {
        let log = Log::default();
        let seen = log.clone();
        let run = builder().run_cancellable(async |group| {
            let own = group.clone();
            let (word, told) = tokio::sync::oneshot::channel::<()>();
            let (waiting, taken) = (Steps::default(), Steps::default());
            let (begun, got) = (waiting.clone(), taken.clone());
            let sibling = group.spawn(shield(async move {
                begun.step();
                let _ = told.await;
                Outcome::Ok(7)
            }));
            // The shield keeps the code around it from being dropped before the handle is ready.
            let waits = async move {
                let value = sibling.await;
                got.step();
                seen.add(format!("{:?}", value.ok()));
                own.spawn(async {}).await.ok();
                seen.add("never");
            };
            let shielded = async move {
                waiting.reached(1).await;
                turns(2).await;
                group.cancel();
                let _ = word.send(());
                taken.reached(1).await;
            };
            tokio::join!(shield(async {}), waits, shield(shielded));
            Ok(())
        });
        run.await.unwrap();
        assert_eq!(log.take(), ["Some(7)"]);
    });
}

// S12, S37: what was stopped in one branch goes on when another branch of the same task has a
// guard.
#[test]
fn a_guard_lets_a_stopped_await_go_on() {
    everywhere(|| async {
        let run = group(async |group| {
            let child = group.spawn(async {
                let inner = builder().run_cancellable(async |inner| {
                    let ended = inner.spawn(async { Outcome::Ok(7) });
                    turns(3).await;
                    inner.cancel();
                    let (value, cancelled) = tokio::join!(ended, until_cancelled(forever()));
                    assert!(cancelled.is_err());
                    Ok(value.unwrap())
                });
                Outcome::Ok(inner.await?)
            });
            Ok(child.await?)
        });
        assert_eq!(run.await.unwrap(), Some(7));
    });
}

// S37: the loops that did not end.
#[test]
fn fault_c3_loops_end_with_their_scope() {
    everywhere(|| async {
        let rounds = Steps::default();
        let next = || {
            rounds.step();
            assert!(!rounds.is_at(1000), "the loop goes on in a cancelled scope");
        };
        let pages = builder().limit(2).run(async |group| {
            for page in 0_u64.. {
                next();
                let fetch = async move { if page == 3 { Err("bad page") } else { Ok(()) } };
                group.spawn_when_free(fetch).await;
            }
            Ok(())
        });
        assert_eq!(messages(&pages.await.unwrap_err()), ["bad page"]);

        let children = group(async |group| {
            group.spawn(async { Err::<(), _>("x") });
            loop {
                next();
                let _ = group.spawn(async {}).await;
            }
            #[allow(unreachable_code)]
            Ok(())
        });
        assert_eq!(messages(&children.await.unwrap_err()), ["x"]);

        let groups = timeout(ms(0), async {
            loop {
                next();
                let body = async |group: TaskGroup| {
                    group.spawn(forever());
                    Ok(())
                };
                let _ = builder().run_to_end(body).await;
            }
        });
        assert!(groups.await.is_err());
    });
}
