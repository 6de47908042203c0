//! Panics wherever user code runs. S10.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use taskgroup::{
    Policy, TaskGroup, as_completed, defer, gather, join, map, race, race_staggered, settle,
    shield, timeout, until_cancelled,
};

use crate::support::{
    Log, Outcome, Steps, builder, everywhere, forever, group, messages, ms, turns,
};

/// Panics when it is dropped, unless something panics already.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("{}", self.0);
        }
    }
}

/// Polls until a panic, which it gives.
async fn caught<F: Future>(future: F) -> Option<String> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(std::task::Poll::Pending) => std::task::Poll::Pending,
            Ok(std::task::Poll::Ready(_)) => std::task::Poll::Ready(None),
            Err(payload) => {
                let message = payload.downcast_ref::<&str>().map(ToString::to_string);
                std::task::Poll::Ready(
                    message.or_else(|| payload.downcast_ref::<String>().cloned()),
                )
            }
        }
    })
    .await
}

// S10: the body's panic goes on after the children have ended.
#[test]
fn a_panic_of_the_body_waits_for_the_children() {
    everywhere(|| async {
        let log = Log::default();
        let message = caught(group(async |group| -> Outcome {
            let (work, seen) = (log.forever("work dropped"), log.clone());
            group.spawn(async move {
                let cancelled = until_cancelled(work).await;
                turns(5).await;
                seen.add("cleaned up");
                cancelled
            });
            log.started(1).await;
            panic!("body");
        }))
        .await;
        assert_eq!(message.as_deref(), Some("body"));
        assert_eq!(log.take(), ["work dropped", "cleaned up"]);
    });
}

// S10: the payload of a child is kept and can go on.
#[test]
fn the_panic_of_a_child_can_be_resumed() {
    everywhere(|| async {
        let error = group(async |group| {
            group.spawn(async {
                turns(1).await;
                if true {
                    panic!("child {}", 7);
                }
            });
            Ok(())
        })
        .await
        .unwrap_err();
        let leaf = error.into_single().unwrap();
        assert_eq!(leaf.panic_message(), Some("child 7"));
        let resumed = caught(async { leaf.resume_unwind() }).await;
        assert_eq!(resumed.as_deref(), Some("child 7"));
    });
}

// S6, S10: a panic and an error of siblings both come out.
#[test]
fn a_panic_beside_an_error() {
    everywhere(|| async {
        let error = group(async |group| {
            let ready = Steps::default();
            for number in 0..2 {
                let ready = ready.clone();
                group.spawn(async move {
                    let cancelled = until_cancelled(async {
                        ready.step();
                        ready.reached(2).await;
                        forever().await;
                    })
                    .await;
                    assert_ne!(number, 0, "panic in cleanup");
                    drop(cancelled);
                    Outcome::<()>::Err("error in cleanup".into())
                });
            }
            ready.reached(2).await;
            Outcome::<()>::Err("body".into())
        })
        .await
        .unwrap_err();
        let mut all = messages(&error);
        assert_eq!(all.remove(0), "body");
        all.sort();
        assert_eq!(all[0], "error in cleanup");
        assert!(all[1].contains("panic in cleanup"), "{all:?}");
    });
}

// S10: destructors that panic while their tasks are cancelled: parked ones (dropped by the
// canceller)...
#[test]
fn destructors_that_panic_during_cancellation_hang_nothing() {
    everywhere(|| async {
        let log = Log::default();
        let steps = Steps::default();
        let error = group(async |group| {
            for _ in 0..3 {
                let steps = steps.clone();
                group.spawn(async move {
                    let _bomb = Bomb("destructor");
                    steps.step();
                    forever().await;
                });
            }
            group.spawn(log.forever("the one without"));
            steps.reached(3).await;
            log.started(1).await;
            group.spawn(async { Outcome::<()>::Err("boom".into()) });
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(
            messages(&error),
            [
                "boom",
                "panic: destructor",
                "panic: destructor",
                "panic: destructor"
            ]
        );
        assert_eq!(log.take(), ["the one without"]);
    });
}

// S10: ... and ones that were never polled.
#[test]
fn destructors_that_panic_before_the_first_poll() {
    everywhere(|| async {
        let ended = builder().run_cancellable(async |group| {
            let bomb = Bomb("destructor");
            let child = group.spawn(async move {
                let _bomb = bomb;
                forever().await;
            });
            child.cancel();
            Ok(())
        });
        assert_eq!(messages(&ended.await.unwrap_err()), ["panic: destructor"]);
    });
}

// S10: a destructor in the body, dropped because a child failed.
#[test]
fn a_destructor_of_the_body_that_panics() {
    everywhere(|| async {
        let log = Log::default();
        let message = caught(group(async |group| {
            let _bomb = Bomb("body's destructor");
            group.spawn(log.forever("child dropped"));
            log.started(1).await;
            group.spawn(async { Outcome::<()>::Err("boom".into()) });
            forever().await;
            Ok(())
        }))
        .await;
        assert_eq!(message.as_deref(), Some("body's destructor"));
        assert_eq!(log.take(), ["child dropped"]);
    });
}

// S5, S10: the value of a child whose handle was dropped.
#[test]
fn a_value_whose_destructor_panics() {
    everywhere(|| async {
        let error = group(async |group| {
            group.spawn(async {
                turns(1).await;
                Outcome::Ok(Bomb("value"))
            });
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["panic: value"]);
    });
}

// S10, S12, S13: sections pass panics on after what is below them has ended.
#[test]
fn panics_pass_sections() {
    everywhere(|| async {
        let log = Log::default();
        let inside = || async {
            let _ = group(async |inner| {
                inner.spawn(log.forever("child dropped"));
                log.started(1).await;
                if true {
                    panic!("inside");
                }
                Ok(())
            })
            .await;
        };
        assert_eq!(
            caught(until_cancelled(inside())).await.as_deref(),
            Some("inside")
        );
        assert_eq!(caught(shield(inside())).await.as_deref(), Some("inside"));
        let limited = taskgroup::timeout(std::time::Duration::from_secs(3600), inside());
        assert_eq!(caught(limited).await.as_deref(), Some("inside"));
        assert_eq!(log.take(), ["child dropped"; 3]);
    });
}

// S10: a spawn from a destructor that runs while its task panics.
#[test]
fn spawning_while_unwinding() {
    struct Spawns(taskgroup::TaskGroup, Log);
    impl Drop for Spawns {
        fn drop(&mut self) {
            self.0.spawn(self.1.forever("dropped"));
        }
    }
    everywhere(|| async {
        let log = Log::default();
        let error = group(async |group| {
            let spawns = Spawns(group.clone(), log.clone());
            group.spawn(async move {
                let _spawns = spawns;
                if true {
                    panic!("boom");
                }
            });
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["panic: boom"]);
        assert_eq!(log.take(), ["dropped"]);
    });
}

// S10: a future that panics in its poll and once more in its destructor: what it had to say first
// is said.
#[test]
fn the_first_panic_of_a_future_is_told() {
    struct Twice;
    impl Future for Twice {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            panic!("in its poll");
        }
    }
    impl Drop for Twice {
        fn drop(&mut self) {
            panic!("in its destructor");
        }
    }
    everywhere(|| async {
        for told in [
            caught(shield(Twice)).await,
            caught(timeout(ms(3_600_000), Twice)).await,
        ] {
            assert_eq!(told.as_deref(), Some("in its poll"));
        }
    });
}

/// An error whose `Display` panics or fails, whose `source` panics, and which panics when it is
/// dropped.
#[derive(Debug)]
struct Nasty {
    display_panics: bool,
}

impl std::fmt::Display for Nasty {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        assert!(!self.display_panics, "in Display");
        Err(std::fmt::Error)
    }
}

impl std::error::Error for Nasty {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        panic!("in source")
    }
}

impl Drop for Nasty {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "in Drop of an error");
    }
}

// S39: the group fails with such an error, and its siblings and other groups go on.
#[test]
fn fault_b2_an_error_whose_code_panics_ends_nobody_else() {
    everywhere(|| async {
        for display_panics in [true, false] {
            for policy in [Policy::fail_fast(), Policy::collect()] {
                let ran = Log::default();
                let (failing, sibling) = (builder().policy(policy), ran.clone());
                let error = failing
                    .run(async |group| {
                        let ran = group.spawn(async move { sibling.add("a sibling ran") });
                        ran.ended().await;
                        let child = async move { Err::<(), _>(Nasty { display_panics }) };
                        group.spawn(child).ended().await;
                        Ok(())
                    })
                    .await
                    .unwrap_err();
                assert!(error.cause().is::<Nasty>());
                assert!(
                    format!("{error:#}").contains("(its `Display` "),
                    "{error:#}"
                );
                assert_eq!(ran.take(), ["a sibling ran"]);
                drop(error);
            }
            // In a cancelled task it is asked for its source, too.
            let cancelled = builder().run(async |group| {
                let (started, wait) = tokio::sync::oneshot::channel();
                let child = group.spawn(async move {
                    let _ = started.send(());
                    let cancelled = until_cancelled(forever()).await;
                    drop(cancelled);
                    Err::<(), _>(Nasty { display_panics })
                });
                let _ = wait.await;
                child.cancel();
                child.ended().await;
                Ok(())
            });
            assert!(cancelled.await.unwrap_err().cause().is::<Nasty>());
        }
        let next = group(async |group| Ok(group.spawn(async { Ok::<_, String>(7) }).await?));
        assert_eq!(next.await.unwrap(), 7);
    });
}

// S39: a failure that the policy puts up with, and whose payload panics when it is dropped.
#[test]
fn fault_b14_a_payload_that_panics_when_it_is_dropped() {
    everywhere(|| async {
        let value = builder()
            .policy(Policy::first_success())
            .run(async |group| {
                let bad = group.spawn(async { std::panic::panic_any(Bomb("a payload")) });
                bad.ended().await;
                drop(bad);
                group.spawn(async {});
                Ok(7)
            })
            .await;
        assert_eq!(value.unwrap(), 7);
    });
}

// S41: a body has panicked, and its group is dropped before it could go on unwinding.
#[test]
fn fault_b4_the_panic_of_a_body_is_not_lost_with_its_group() {
    everywhere(|| async {
        let error = group(async |outer| {
            outer.spawn(async {
                let inner = group(async |inner| {
                    inner.spawn(async {
                        let cancelled = until_cancelled(forever()).await;
                        turns(20).await;
                        drop(cancelled);
                    });
                    turns(2).await;
                    if true {
                        panic!("body");
                    }
                    Outcome::Ok(())
                });
                tokio::select! {
                    biased;
                    _ = inner => unreachable!("it winds up"),
                    () = turns(6) => {}
                }
            });
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["panic: body"]);
    });
}

// S41: the same for any section, and for what runs inline.
#[test]
fn a_panic_or_an_error_that_waits_for_cleanup_is_not_lost() {
    everywhere(|| async {
        let error = group(async |_| {
            let (release, released) = tokio::sync::watch::channel(());
            let cleanup = || {
                let mut released = released.clone();
                async move { drop(released.changed().await) }
            };
            let panics = shield(async {
                defer(cleanup());
                if true {
                    panic!("shielded");
                }
            });
            let fails = gather([async {
                defer(cleanup());
                Err::<(), _>("inline")
            }]);
            tokio::select! {
                biased;
                () = panics => unreachable!("its cleanup is not over"),
                _ = fails => unreachable!("its cleanup is not over"),
                () = turns(3) => {}
            }
            drop(release);
            Ok(())
        });
        let mut failures = messages(&error.await.unwrap_err());
        failures.sort();
        assert_eq!(failures, ["inline", "panic: shielded"]);
    });
}

/// Five futures with a child each, of which the third one has a destructor that panics.
fn side_by_side(log: &Log) -> Vec<Pin<Box<dyn Future<Output = Outcome> + Send>>> {
    let one = |number| -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        let (work, bomb) = (log.forever("gone"), (number == 2).then(|| Bomb("bomb")));
        Box::pin(async move {
            let _bomb = bomb;
            let run = TaskGroup::run(async |group| {
                group.spawn(work);
                forever().await;
                Ok(())
            });
            run.await?;
            Ok(())
        })
    };
    (0..5).map(one).collect()
}

// S2, S39: the destructor of one future panics when its helper is dropped. Its siblings are dropped
// all the same, and the group around waits for what they had started.
#[test]
fn siblings_of_a_future_whose_destructor_panics() {
    type Dropped = Pin<Box<dyn Future<Output = ()> + Send>>;
    type Helper = fn(&Log) -> Dropped;
    let helpers: [(&str, Helper); 7] = [
        ("gather", |log| {
            let futures = side_by_side(log);
            Box::pin(async move { drop(gather(futures).await) })
        }),
        ("settle", |log| {
            let futures = side_by_side(log);
            Box::pin(async move { drop(settle(futures).await) })
        }),
        ("race", |log| {
            let futures = side_by_side(log);
            Box::pin(async move { drop(race(futures).await) })
        }),
        ("race_staggered", |log| {
            let futures = side_by_side(log);
            Box::pin(async move { drop(race_staggered(ms(0), futures).await) })
        }),
        ("map", |log| {
            let futures = side_by_side(log);
            Box::pin(async move { drop(map(5, futures, |future| future).await) })
        }),
        ("as_completed", |log| {
            let futures = side_by_side(log);
            Box::pin(async move {
                let mut running = as_completed(futures);
                while running.next().await.is_some() {}
            })
        }),
        // More than futures-util drives by a plain list.
        ("join", |log| {
            let futures = (0..8).flat_map(|_| side_by_side(log)).collect::<Vec<_>>();
            Box::pin(async move { drop(join(futures).await) })
        }),
    ];
    everywhere(|| async {
        for (name, helper) in helpers {
            let log = Log::default();
            let count = if name == "join" { 40 } else { 5 };
            let run = group(async |_| {
                let mut running = helper(&log);
                let started = log.started(count);
                tokio::select! {
                    () = &mut running => {}
                    () = started => {}
                }
                let dropped = std::panic::catch_unwind(AssertUnwindSafe(|| drop(running)));
                assert!(dropped.is_err(), "{name}");
                Ok(())
            });
            run.await.unwrap();
            assert_eq!(log.take().len(), count, "{name}");
        }
    });
}
