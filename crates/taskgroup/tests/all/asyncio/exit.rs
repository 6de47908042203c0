//! The end of a group: waiting, failing, spawning late. TG01–TG05, TG09, TG10, TG20–TG39.

use std::sync::{Arc, Weak};

use taskgroup::{JoinError, TaskGroup, bracket, is_cancelled};

use crate::support::{
    Log, Outcome, Steps, builder, everywhere, forever, group, messages, paused, sleep, turns,
};

// TG01, S2, S5
#[test]
fn tg01_the_end_waits_for_all_and_results_are_there_afterwards() {
    paused(async {
        let log = Log::default();
        let (a, b) = group(async |group| {
            let (one, two) = (log.clone(), log.clone());
            let a = group.spawn(async move {
                sleep(10).await;
                one.add("a");
                Outcome::Ok(42)
            });
            let b = group.spawn(async move {
                sleep(5).await;
                two.add("b");
                Outcome::Ok(11)
            });
            Ok((a, b))
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["b", "a"]);
        assert!(a.is_finished() && b.is_finished());
        assert_eq!((a.await.unwrap(), b.await.unwrap()), (42, 11));
    });
}

// TG02, S4
#[test]
fn tg02_the_body_may_wait_and_spawn_more() {
    paused(async {
        let sum = group(async |group| {
            let a = group.spawn(async { Outcome::Ok(1) });
            sleep(10).await;
            assert!(a.is_finished());
            let b = group.spawn(async { Outcome::Ok(2) });
            Ok(a.await? + b.await?)
        })
        .await
        .unwrap();
        assert_eq!(sum, 3);
    });
}

// TG03, S7
#[test]
fn tg03_cancelling_one_child_leaves_the_others() {
    everywhere(|| async {
        let log = Log::default();
        group(async |group| {
            let one = group.spawn(log.forever("cancelled"));
            let (go, wait) = tokio::sync::oneshot::channel();
            let other = group.spawn(async move { wait.await.map(|()| "went on") });
            log.started(1).await;
            one.cancel();
            assert!(one.await.unwrap_err().is_cancelled());
            assert!(!group.is_cancelled());
            let third = group.spawn(async { Outcome::Ok("spawned later") });
            go.send(()).unwrap();
            assert_eq!(other.await?, "went on");
            assert_eq!(third.await?, "spawned later");
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["cancelled"]);
    });
}

// TG04, S6, S7
#[test]
fn tg04_a_child_fails_while_the_group_waits() {
    paused(async {
        let log = Log::default();
        let error = group(async |group| {
            group.spawn(log.forever("sibling cancelled"));
            group.task("bad").spawn(async {
                sleep(10).await;
                Outcome::<()>::Err("boom".into())
            });
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(log.take(), ["sibling cancelled"]);
        assert_eq!(messages(&error), ["boom"]);
        assert_eq!(error.cause().name(), "bad");
    });
}

// TG05, S6, S11
#[test]
fn tg05_a_failing_child_interrupts_the_body() {
    everywhere(|| async {
        let log = Log::default();
        let error = group(async |group| {
            group.spawn(log.forever("sibling"));
            let body = log.on_drop("body");
            group.spawn(async { Outcome::<()>::Err("boom".into()) });
            forever().await;
            drop(body);
            unreachable!("the body was cancelled");
            #[allow(unreachable_code)]
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(log.take_sorted(), ["body", "sibling"]);
        assert_eq!(messages(&error), ["boom"]);
    });
}

// TG05, S6, S25: failures of one instant all come out, in order of arrival.
#[test]
fn tg05_failures_of_one_instant_all_come_out() {
    paused(async {
        let error = group(async |group| {
            for number in 1..=4 {
                group.spawn(async move {
                    sleep(100).await;
                    if number % 2 == 0 {
                        Err(format!("task {number}"))
                    } else {
                        Ok(())
                    }
                });
            }
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(messages(&error), ["task 2", "task 4"]);
    });
}

// TG09, S6
#[test]
fn tg09_a_failing_body_after_a_wait() {
    everywhere(|| async {
        let log = Log::default();
        let error = group(async |group| -> Outcome {
            group.spawn(log.forever("a"));
            group.spawn(log.forever("b"));
            log.started(2).await;
            Err("body".into())
        })
        .await
        .unwrap_err();
        assert_eq!(log.take_sorted(), ["a", "b"]);
        assert_eq!(messages(&error), ["body"]);
    });
}

// TG10, S6, S16
#[test]
fn tg10_a_failing_body_before_any_wait_runs_no_child() {
    paused(async {
        let log = Log::default();
        let mut handle = None;
        let error = group(async |group| -> Outcome {
            let ran = log.clone();
            let dropped = log.on_drop("dropped");
            handle = Some(group.spawn(async move {
                let _dropped = dropped;
                ran.add("ran");
            }));
            Err("body".into())
        })
        .await
        .unwrap_err();
        assert_eq!(log.take(), ["dropped"]);
        assert_eq!(messages(&error), ["body"]);
        assert!(handle.unwrap().await.unwrap_err().is_cancelled());
    });
}

// TG20, TG20a, S10: ours. A panic of the body goes on bare; failures of children are adopted by the
// scope around.
#[test]
fn tg20_a_panic_of_the_body_goes_on_bare() {
    everywhere(|| async {
        let log = Log::default();
        let error = group(async |outer| {
            let log = log.clone();
            outer.task("outer").spawn(async move {
                group(async |inner| -> Outcome {
                    let work = log.forever("child dropped");
                    inner.spawn(async move {
                        let _cancelled = taskgroup::until_cancelled(work).await;
                        Outcome::<()>::Err("child".into())
                    });
                    log.started(1).await;
                    panic!("body");
                })
                .await
            });
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(log.take(), ["child dropped"]);
        let mut all = messages(&error);
        all.sort();
        assert_eq!(all, ["child", "panic: body"]);
    });
}

// TG21, TG21a, S10: ours. A panic of a child is a failure with its payload.
#[test]
fn tg21_a_panic_of_a_child_is_a_failure() {
    everywhere(|| async {
        let error = group(async |group| {
            group.task("bad").spawn(async {
                if true {
                    std::panic::panic_any(7_u8);
                }
            });
            Ok(())
        })
        .await
        .unwrap_err();
        let leaf = error.into_single().unwrap();
        assert!(leaf.is_panic());
        assert_eq!(leaf.name(), "bad");
        let payload = leaf.take_panic().unwrap();
        assert_eq!(payload.downcast_ref::<u8>(), Some(&7));
    });
}

// TG23, S4, S5: a child that is through is forgotten at once, with its value. `tests/memory.rs`
// counts the bytes.
#[test]
fn tg23_a_finished_child_is_forgotten_at_once() {
    paused(async {
        let log = Log::default();
        group(async |group| {
            let value = log.on_drop("value");
            group.spawn(async { Outcome::Ok(value) });
            sleep(1).await;
            assert_eq!(log.take(), ["value"]);
            assert_eq!(group.live(), 0);
            Ok(())
        })
        .await
        .unwrap();
    });
}

// TG24, S4
#[test]
fn tg24_children_spawn_siblings_while_the_group_waits() {
    everywhere(|| async {
        let log = Log::default();
        group(async |group| {
            let siblings = group.clone();
            let log = log.clone();
            group.spawn(async move {
                turns(3).await;
                let last = siblings.clone();
                siblings.spawn(async move {
                    turns(3).await;
                    last.spawn(async move { log.add("third generation") });
                });
            });
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["third generation"]);
    });
}

// TG25, S6, S9
#[test]
fn tg25_one_failure_stops_endless_spawning() {
    fn again(group: TaskGroup) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            turns(1).await;
            group.spawn(again(group.clone()));
        })
    }
    everywhere(|| async {
        let error = group(async |group| {
            group.spawn(again(group.clone()));
            group.spawn(async {
                turns(20).await;
                Outcome::<()>::Err("stop".into())
            });
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(messages(&error), ["stop"]);
    });
}

// TG26, S17, S23
#[test]
fn tg26_a_name_is_seen_inside_and_by_handle_and_error() {
    paused(async {
        let error = builder()
            .name("fetch")
            .run(async |group| {
                let handle = group
                    .task("user_123")
                    .spawn(async { Outcome::<()>::Err("boom".into()) });
                assert_eq!(handle.name(), "user_123");
                assert_eq!(handle.info().path().to_string(), "fetch/user_123");
                let inside = group.task("inside").spawn(async {
                    Outcome::Ok(
                        taskgroup::observe::current_task()
                            .unwrap()
                            .name()
                            .to_owned(),
                    )
                });
                assert_eq!(inside.await?, "inside");
                let unnamed = group.spawn(async {});
                assert_eq!(unnamed.name(), "#3");
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(error.name(), "fetch");
        assert_eq!(error.cause().path().to_string(), "fetch/user_123");
    });
}

// TG27
#[test]
fn tg27_a_task_local_goes_with_the_future_that_carries_it() {
    tokio::task_local! {
        static SEEN: Arc<std::sync::Mutex<u32>>;
    }
    everywhere(|| async {
        let seen = Arc::new(std::sync::Mutex::new(1));
        group(async |group| {
            group.spawn(SEEN.scope(seen.clone(), async {
                turns(2).await;
                SEEN.with(|seen| *seen.lock().unwrap() += 1);
            }));
            group.spawn(async { assert!(SEEN.try_with(|_| ()).is_err(), "not inherited") });
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(*seen.lock().unwrap(), 2);
    });
}

// TG28, S9
#[test]
fn tg28_nothing_is_spawned_after_a_failure() {
    everywhere(|| async {
        let log = Log::default();
        let error = group(async |group| {
            let (late, log) = (group.clone(), log.clone());
            let steps = Steps::default();
            let started = steps.clone();
            group.spawn(async move {
                started.step();
                let _cancelled = taskgroup::until_cancelled(forever()).await;
                let ran = log.clone();
                let dropped = log.on_drop("dropped");
                let handle = late.spawn(async move {
                    let _dropped = dropped;
                    ran.add("ran");
                });
                assert_eq!(log.take(), ["dropped"]);
                assert!(handle.is_finished());
                log.add("refused");
                drop(handle);
            });
            group.spawn(async move {
                // Who is cancelled before its first poll never runs (S16).
                steps.reached(1).await;
                Outcome::<()>::Err("boom".into())
            });
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(log.take(), ["refused"]);
        assert_eq!(messages(&error), ["boom"]);
    });
}

// TG29, TG35, S14
#[test]
fn tg29_the_exit_of_a_resource_fails_too() {
    everywhere(|| async {
        let error = group(async |group| {
            group.spawn(async { Outcome::<()>::Err("child".into()) });
            bracket(
                async { Outcome::Ok(()) },
                async |(): &mut ()| {
                    forever().await;
                    Outcome::Ok(())
                },
                |()| async { Outcome::<()>::Err("release".into()) },
            )
            .await
        })
        .await
        .unwrap_err();
        assert_eq!(messages(&error), ["child", "release"]);
        assert!(!is_cancelled());
    });
}

// TG32, S9
#[test]
fn tg32_spawning_after_the_end_is_refused() {
    paused(async {
        let log = Log::default();
        let group = group(async |group| Ok(group)).await.unwrap();
        let handle = group.spawn(log.forever("dropped"));
        assert_eq!(log.take(), ["dropped"]);
        assert!(matches!(handle.await, Err(JoinError::Cancelled(_))));
    });
}

// TG34, S3: ours. A group may run outside any task, but children need a Tokio runtime.
#[test]
fn tg34_outside_any_runtime() {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut empty = std::pin::pin!(group(async |_group| Ok(7)));
    assert!(matches!(
        empty.as_mut().poll(&mut context),
        std::task::Poll::Ready(Ok(7))
    ));
    let log = Log::default();
    let mut spawns = std::pin::pin!(group(async |group| {
        group.spawn(log.forever("dropped"));
        Ok(())
    }));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        assert!(spawns.as_mut().poll(&mut context).is_ready());
    }));
    assert!(panicked.is_err());
    assert_eq!(log.take(), ["dropped"]);
}

// TG38
#[test]
fn tg38_nothing_is_kept_after_the_end() {
    #[derive(Debug)]
    struct Heavy(#[allow(dead_code)] Arc<()>);
    impl std::fmt::Display for Heavy {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("heavy")
        }
    }
    impl std::error::Error for Heavy {}
    everywhere(|| async {
        let (in_error, in_child, in_body) = (Arc::new(()), Arc::new(()), Arc::new(()));
        let watch: [Weak<()>; 3] = [&in_error, &in_child, &in_body].map(Arc::downgrade);
        let error = group(async |group| -> Outcome {
            group.spawn(async move {
                let _held = in_child;
                forever().await;
            });
            group.spawn(async { Outcome::<()>::Err(Heavy(in_error).into()) });
            let _held = in_body;
            forever().await;
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(watch[1].strong_count() + watch[2].strong_count(), 0);
        assert_eq!(watch[0].strong_count(), 1);
        drop(error);
        assert_eq!(watch[0].strong_count(), 0);
    });
}

// TG39, S16
#[test]
fn tg39_a_child_spawned_in_the_first_step_of_another_is_cancelled_too() {
    everywhere(|| async {
        let log = Log::default();
        let error = group(async |group| {
            let (inner, log) = (group.clone(), log.clone());
            group.spawn(async move {
                inner.spawn(log.forever("cancelled"));
                Outcome::<()>::Err("first step".into())
            });
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(log.take(), ["cancelled"]);
        assert_eq!(messages(&error), ["first step"]);
    });
}
