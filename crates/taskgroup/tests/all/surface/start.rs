//! S29: children that say when they are ready (Trio's TR17).

use std::sync::{Arc, Mutex};
use std::task::Poll;

use taskgroup::{StartError, Started, TaskGroup, shield, timeout, until_cancelled};

use crate::support::{
    Log, Outcome, Steps, builder, everywhere, forever, messages, ms, paused, sleep, took, turns,
};

// S29, TR17: waits for the word and gives its value; from then on the child is one like any other.
#[test]
fn ready() {
    paused(async {
        let (time, result) = took(builder().run(async |group| {
            let serve = async |started: Started<u16>| {
                sleep(5).await;
                started.ready(8080);
                sleep(5).await;
                Ok::<_, String>("served")
            };
            let (time, started) = took(group.task("server").start(serve)).await;
            let (port, server) = started?;
            assert_eq!((time, port, &*server.name()), (5, 8080, "server"));
            assert_eq!(group.live(), 1);
            Ok(server.await?)
        }))
        .await;
        assert_eq!((time, result.unwrap()), (10, "served"));
    });
}

// S29, TR17: a failure before the word comes out of `start` bare, and the group does not have it.
#[test]
fn failure_before() {
    paused(async {
        let result = builder()
            .run(async |group| {
                let broken = async |_started: Started<()>| {
                    sleep(1).await;
                    Err::<(), _>(std::io::Error::other("no socket"))
                };
                let Err(StartError::Failed(error)) = group.start(broken).await else {
                    panic!("it failed");
                };
                assert!(error.is::<std::io::Error>());
                turns(3).await;
                assert!(!group.is_cancelled());
                assert_eq!(group.live(), 0);
                Ok("goes on")
            })
            .await;
        assert_eq!(result.unwrap(), "goes on");
    });
}

// S29, S6: passed on by `?` it is the failure of the body, once.
#[test]
fn failure_before_passed_on() {
    paused(async {
        let run = builder().run(async |group| {
            let broken = async |_started: Started<()>| Err::<(), _>("no socket");
            group.start(broken).await?;
            Ok(())
        });
        let errors = run.await.unwrap_err();
        assert_eq!(
            messages(&errors),
            ["the task failed before it was ready: no socket"]
        );
    });
}

// S29: a panic before the word goes on in the caller.
#[test]
fn panic_before() {
    paused(async {
        let run = builder().run(async |group| {
            group.spawn(async {
                sleep(50).await;
            });
            let inner = group.clone();
            let caller = group.spawn(async move {
                let broken = async |_started: Started<()>| -> Outcome { panic!("oh") };
                inner.start(broken).await?;
                Ok::<_, taskgroup::BoxError>(())
            });
            let _ = caller.await;
            forever().await;
            Ok(())
        });
        let errors = run.await.unwrap_err();
        assert_eq!(messages(&errors), ["panic: oh"]);
    });
}

// S29, TR17: an end without the word is an error, also when the promise of a word was given away.
#[test]
fn ends_without_a_word() {
    paused(async {
        let kept = Arc::new(Mutex::new(None));
        let result = builder()
            .run(async |group| {
                let silent = async |_started: Started<u8>| Ok::<_, String>(1);
                let error = group.start(silent).await.unwrap_err();
                assert!(matches!(error, StartError::NeverReady));
                let kept = kept.clone();
                let hoarder = async move |started: Started<u8>| {
                    *kept.lock().unwrap() = Some(started);
                };
                let error = group.start(hoarder).await.unwrap_err();
                assert!(matches!(error, StartError::NeverReady));
                Ok(())
            })
            .await;
        result.unwrap();
        // Too late: without effect.
        kept.lock().unwrap().take().unwrap().ready(1);
    });
}

// S29: a failure after the word is the group's.
#[test]
fn failure_after() {
    paused(async {
        let run = builder().run(async |group| {
            let fails = async |started: Started<()>| {
                started.ready(());
                sleep(1).await;
                Err::<(), _>("later")
            };
            group.start(fails).await?;
            forever().await;
            Ok(())
        });
        assert_eq!(messages(&run.await.unwrap_err()), ["later"]);
    });
}

// S29, TR17, S20: `start` that is cancelled takes the child with it and waits for its cleanup; a
// word then has no effect.
#[test]
fn start_is_cancelled() {
    paused(async {
        let log = Log::default();
        let result = builder()
            .run(async |group| {
                let own = log.clone();
                let slow = async move |started: Started<()>| {
                    let Err(cancelled) = until_cancelled(forever()).await else {
                        return Ok(());
                    };
                    sleep(5).await;
                    started.ready(());
                    own.add("cleaned up");
                    Err(cancelled)
                };
                let (time, started) = took(timeout(ms(10), group.start(slow))).await;
                assert!(started.is_err());
                assert_eq!((time, log.take()), (15, vec!["cleaned up".to_owned()]));
                assert_eq!(group.live(), 0);
                Ok(())
            })
            .await;
        result.unwrap();
    });
}

// S29, S15: dropped half-way by other code, it takes the child with it; the group waits.
#[test]
fn start_is_dropped() {
    paused(async {
        let log = Log::default();
        builder()
            .run(async |group| {
                let dropped = log.on_drop("dropped");
                let slow = async move |_started: Started<()>| {
                    let _dropped = dropped;
                    forever().await;
                };
                let mut start = Box::pin(group.start(slow));
                tokio::select! {
                    biased;
                    _ = &mut start => panic!("never ready"),
                    () = sleep(1) => {}
                }
                drop(start);
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(log.take(), ["dropped"]);
    });
}

// S29, S9: no child without a group.
#[test]
fn into_a_cancelled_group() {
    paused(async {
        let mut outside = None;
        builder()
            .run(async |group| {
                outside = Some(group.clone());
                Ok(())
            })
            .await
            .unwrap();
        let never = async |_started: Started<()>| Ok::<(), String>(());
        let error = outside.unwrap().start(never).await.unwrap_err();
        assert!(matches!(error, StartError::Cancelled(_)));
    });
}

// S29: the group is cancelled while the child starts.
#[test]
fn the_group_is_cancelled() {
    paused(async {
        let result = builder()
            .run(async |outer| {
                let inner = outer.clone();
                let starter = builder().run(async move |group| {
                    let slow = async |_started: Started<()>| forever().await;
                    // The child stands in the outer group, the starter does not.
                    let child = inner.clone();
                    group.spawn(async move { child.cancel() });
                    Ok(inner.start(slow).await.map(|_| ())?)
                });
                let _ = starter.await;
                Ok(())
            })
            .await;
        assert!(result.unwrap_err().is_cancelled());
    });
}

/// A group that runs in a child of `outer` until it is cancelled.
async fn target_in(outer: &TaskGroup) -> TaskGroup {
    let (send, target) = tokio::sync::oneshot::channel();
    outer.spawn(async move {
        let run = builder().run_cancellable(async move |target| {
            let _ = send.send(target);
            forever().await;
            Ok(())
        });
        run.await.map(drop)
    });
    target.await.unwrap()
}

/// Cancels `target` after 5 ms.
fn cancel_later(outer: &TaskGroup, target: &TaskGroup) {
    let target = target.clone();
    outer.spawn(async move {
        sleep(5).await;
        target.cancel_with("no longer needed");
    });
}

// S29, S1: the child is in the group from the beginning, so a cancellation of the group does not
// wait for its word. The starter is elsewhere and goes on.
#[test]
fn fault_f2_a_cancelled_group_does_not_wait_for_the_word() {
    paused(async {
        let log = Log::default();
        let result = builder().run(async |outer| {
            let target = target_in(&outer).await;
            cancel_later(&outer, &target);
            let own = log.clone();
            let slow = async move |started: Started<u16>| {
                sleep(50).await;
                own.add("ready");
                started.ready(8080);
                Ok::<_, String>(())
            };
            let (time, started) = took(target.start(slow)).await;
            let Err(StartError::Cancelled(cancelled)) = started else {
                panic!("it was cancelled");
            };
            assert_eq!(cancelled.reason().message(), Some("no longer needed"));
            assert_eq!((time, log.take()), (5, Vec::new()));
            drop(cancelled);
            assert!(!outer.is_cancelled());
            Ok("goes on")
        });
        assert_eq!(result.await.unwrap(), "goes on");
    });
}

// S29, S13: in a shield it comes to the word, which is delivered; then the child is cancelled.
#[test]
fn fault_f2_a_shielded_start_delivers_its_value_first() {
    paused(async {
        let result = builder().run(async |outer| {
            let target = target_in(&outer).await;
            cancel_later(&outer, &target);
            let slow = async |started: Started<u16>| {
                shield(async {
                    sleep(50).await;
                    started.ready(8080);
                })
                .await;
                forever().await;
            };
            let (time, started) = took(target.start(slow)).await;
            let (port, server) = started?;
            assert_eq!((time, port), (50, 8080));
            assert!(server.await.unwrap_err().is_cancelled());
            Ok(())
        });
        result.await.unwrap();
    });
}

// S29: the word came before the cancellation, so it counts, also if the starter looks later.
#[test]
fn fault_f2_a_word_before_the_cancellation_counts() {
    everywhere(|| async {
        let result = builder().run(async |outer| {
            let target = target_in(&outer).await;
            let own = target.clone();
            let quick = async move |started: Started<u16>| {
                started.ready(8080);
                own.cancel();
                forever().await;
            };
            let (port, server) = target.start(quick).await?;
            assert_eq!(port, 8080);
            assert!(server.await.unwrap_err().is_cancelled());
            Ok(())
        });
        result.await.unwrap();
    });
}

// S41: a failure that the starter has not returned is the group's.
#[test]
fn fault_b4_a_starter_that_is_dropped_leaves_the_failure_to_the_group() {
    everywhere(|| async {
        let error = builder().run(async |group| {
            let ended = Steps::default();
            let own = ended.clone();
            let (open, gate) = tokio::sync::oneshot::channel::<()>();
            let mut start = Box::pin(group.start(async move |_started: Started<()>| {
                let _ = gate.await;
                own.step();
                Err::<(), _>("boom")
            }));
            // The child fails after that: before, the starter would return the failure.
            assert!(poll_once(start.as_mut()).await.is_none());
            let _ = open.send(());
            ended.reached(1).await;
            turns(3).await;
            drop(start);
            Ok(())
        });
        let error = error.await.unwrap_err();
        assert_eq!(messages(&error), ["boom"]);

        let error = builder().run(async |group| {
            let ended = Steps::default();
            let own = ended.clone();
            let (open, gate) = tokio::sync::oneshot::channel::<()>();
            let child = async move |_started: Started<()>| -> Outcome {
                let _ = gate.await;
                own.step();
                panic!("boom")
            };
            let mut start = Box::pin(group.task("server").start(child));
            // The child fails after that: before, the starter would return the failure.
            assert!(poll_once(start.as_mut()).await.is_none());
            let _ = open.send(());
            ended.reached(1).await;
            turns(3).await;
            drop(start);
            Ok(())
        });
        let error = error.await.unwrap_err();
        assert_eq!(messages(&error), ["panic: boom"]);
        assert_eq!(error.cause().name(), "server");
    });
}

/// Polls once.
async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

// S41: the deadline passes while the failed child is waited for.
#[test]
fn fault_b4_a_starter_that_times_out_leaves_the_failure_to_the_group() {
    paused(async {
        let error = builder().run(async |group| {
            let child = async |_started: Started<()>| {
                // Past the deadline of the starter, in one go.
                let mut past = std::pin::pin!(tokio::time::advance(ms(30)));
                assert!(poll_once(past.as_mut()).await.is_none());
                Err::<(), _>("boom")
            };
            assert!(timeout(ms(20), group.start(child)).await.is_err());
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["boom"]);
    });
}

// S41: the group has ended by the time the starter, who is elsewhere, is dropped.
#[test]
fn a_starter_outside_the_group_keeps_the_failure_in_its_own_scope() {
    paused(async {
        let error = builder().run(async |outer| {
            let (send, receive) = tokio::sync::oneshot::channel();
            outer.spawn(async move {
                builder()
                    .run(async |inner| {
                        let _ = send.send(inner.clone());
                        sleep(10).await;
                        Ok(())
                    })
                    .await
            });
            let inner = receive.await?;
            let start = inner.start(async |_started: Started<()>| {
                sleep(5).await;
                Err::<(), _>("boom")
            });
            let mut start = Box::pin(start);
            drop(poll_once(start.as_mut()).await);
            sleep(20).await;
            drop(start);
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["boom"]);
    });
}
