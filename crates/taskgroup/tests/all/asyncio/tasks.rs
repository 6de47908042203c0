//! `wait_for`, `shield` and cancelled tasks, as in CPython's test_waitfor and test_tasks.

use taskgroup::{JoinError, shield, timeout};

use crate::support::{Log, Outcome, everywhere, forever, group, messages, ms, paused, sleep, took};

// WF8, S13, S20: the inner task of a shielded wait runs on in asyncio; here the deadline waits for
// the shield and has its value.
#[test]
fn wf8_a_deadline_waits_for_the_shield_inside() {
    paused(async {
        let work = shield(async {
            sleep(50).await;
            "value"
        });
        let (millis, ended) = took(timeout(ms(10), work)).await;
        assert_eq!((millis, ended.unwrap()), (50, "value"));
        let log = Log::default();
        let (millis, ended) = took(timeout(ms(10), async {
            shield(sleep(50)).await;
            log.add("after the shield");
            sleep(50).await;
            log.add("never");
        }))
        .await;
        assert_eq!((millis, ended.is_err()), (50, true));
        assert_eq!(log.take(), ["after the shield"]);
    });
}

// WF7, S7: a cancel in the instant of the completion: one of the two is the outcome, and the group
// hears of no failure.
#[test]
fn wf7_a_cancel_in_the_instant_of_the_end() {
    everywhere(|| async {
        for _ in 0..100 {
            let outcome = group(async |group| {
                let task = group.spawn(async {
                    tokio::task::yield_now().await;
                    Ok::<_, taskgroup::BoxError>("value")
                });
                tokio::task::yield_now().await;
                task.cancel();
                Ok(task.await)
            });
            match outcome.await.unwrap() {
                Ok(value) => assert_eq!(value, "value"),
                Err(error) => assert!(error.is_cancelled()),
            }
        }
    });
}

// CA6, S5, S7: asyncio cancels what a cancelled task waits for. Here a handle only looks: the
// awaited child is the group's.
#[test]
fn ca6_cancelling_who_waits_leaves_the_awaited_child() {
    paused(async {
        group(async |group| {
            let awaited = group.spawn(async {
                sleep(50).await;
                Ok::<_, taskgroup::BoxError>("value")
            });
            let (hand_over, handed) = tokio::sync::oneshot::channel();
            let waits = group.spawn(async move {
                let awaited = &handed.await?;
                let value = awaited.await;
                Outcome::Ok(value.is_ok())
            });
            let _ = hand_over.send(awaited);
            sleep(10).await;
            assert_eq!(group.live(), 2);
            waits.cancel();
            assert!(matches!(waits.await, Err(JoinError::Cancelled(_))));
            // Its handle is gone with who waited; the child is not.
            assert_eq!(group.live(), 1);
            Ok(())
        })
        .await
        .unwrap();
    });
}

// CA6, S11: what it polls itself is dropped with it.
#[test]
fn ca6_futures_inside_go_with_the_task() {
    paused(async {
        let log = Log::default();
        group(async |group| {
            let inner = log.forever("inner");
            let task = group.spawn(async {
                Box::pin(inner).await;
            });
            log.started(1).await;
            task.cancel();
            assert!(task.await.is_err());
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["inner"]);
    });
}

// CA7: an error in the course of a cancellation makes the task failed, not cancelled.
#[test]
fn ca7_a_panic_while_it_is_cancelled() {
    paused(async {
        let errors = group(async |group| {
            let task = group.spawn(async {
                let _cancelled = taskgroup::until_cancelled(forever()).await;
                if true {
                    std::panic::resume_unwind(Box::new("in the cleanup"));
                }
            });
            sleep(10).await;
            task.cancel();
            assert!(task.await.unwrap_err().failure().is_some());
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(messages(&errors), ["panic: in the cleanup"]);
    });
}

// SH3, S13: an error inside a shield after the outer cancel is reported once; a value is silent.
#[test]
fn sh3_an_error_after_the_outer_cancel() {
    for fails in [true, false] {
        let ended = paused(async {
            group(async |group| {
                group.spawn(async move {
                    shield(async {
                        sleep(50).await;
                        if fails { Err("inner") } else { Ok(()) }
                    })
                    .await
                });
                sleep(10).await;
                group.cancel();
                Ok(())
            })
            .await
        });
        match ended {
            Ok(()) => assert!(!fails),
            Err(errors) => assert_eq!((messages(&errors), fails), (vec!["inner".to_owned()], true)),
        }
    }
}
