//! `asyncio.timeout`. TO1–TO18, S20, S21.

use taskgroup::{
    Deadline, ErrorGroup, JoinError, TimedOut, is_cancelled, move_on_after, timeout, timeout_at,
    timeout_with, until_cancelled,
};
use tokio::time::Instant;

use crate::support::{
    Log, Outcome, everywhere, forever, group, messages, ms, paused, sleep, took, turns,
};

// TO1, S20
#[test]
fn to1_the_error_and_the_handle_say_that_it_expired() {
    paused(async {
        let mut handle = None;
        let (after, error) = took(timeout_with(ms(10), async |deadline: Deadline| {
            handle = Some(deadline);
            forever().await;
        }))
        .await;
        let error: TimedOut = error.unwrap_err();
        assert_eq!((after, error.limit()), (10, Some(ms(10))));
        assert!(handle.unwrap().expired());
    });
}

// TO2, S20
#[test]
fn to2_an_instant_is_kept() {
    paused(async {
        let at = Instant::now() + ms(10);
        let error = timeout_at(at, forever()).await.unwrap_err();
        assert_eq!((error.deadline(), error.limit()), (at, None));
        timeout_with(None, async |deadline: Deadline| {
            assert!(deadline.reschedule(at + ms(100)));
            assert_eq!(deadline.when(), Some(at + ms(100)));
        })
        .await
        .unwrap();
    });
}

// TO3, S21
#[test]
fn to3_of_equal_deadlines_only_the_outer_one_speaks() {
    paused(async {
        let log = Log::default();
        let at = Instant::now() + ms(10);
        let mut handle = None;
        let outer = timeout_at(at, async {
            let inner = timeout_with(ms(10), async |deadline: Deadline| {
                handle = Some(deadline);
                log.forever("inner work cancelled").await;
            });
            let _ = inner.await;
            log.add("the inner deadline spoke");
        });
        assert_eq!(outer.await.unwrap_err().deadline(), at);
        assert_eq!(log.take(), ["inner work cancelled"]);
        assert!(handle.unwrap().expired());
    });
}

// TO3, S21: the same, with work that cleans up first.
#[test]
fn to3_of_equal_deadlines_only_the_outer_one_speaks_after_cleanup() {
    paused(async {
        let log = Log::default();
        let (after, outer) = took(timeout(ms(10), async {
            let inner = timeout(ms(10), async {
                let cancelled = until_cancelled(forever()).await;
                sleep(5).await;
                log.add("cleaned up");
                drop(cancelled);
                forever().await;
            });
            let _ = inner.await;
        }))
        .await;
        assert_eq!(after, 15);
        outer.unwrap_err();
        assert_eq!(log.take(), ["cleaned up"]);
    });
}

// TO4, S12, S17, S20
#[test]
fn to4_the_work_sees_the_cancellation_first() {
    paused(async {
        let log = Log::default();
        let result = timeout(ms(10), async {
            let Err(cancelled) = until_cancelled(forever()).await else {
                unreachable!()
            };
            log.add(format!("{:?}", cancelled.reason().kind()));
            Err::<(), _>(cancelled)
        });
        result.await.unwrap_err();
        assert_eq!(log.take(), ["Deadline"]);
    });
}

// TO5, S21
#[test]
fn to5_a_deadline_that_is_met_did_not_expire() {
    everywhere(|| async {
        let mut handle = None;
        let value = timeout_with(ms(3_600_000), async |deadline: Deadline| {
            turns(3).await;
            handle = Some(deadline);
            7
        });
        assert_eq!(value.await.unwrap(), 7);
        let handle = handle.unwrap();
        assert!(!handle.expired());
        assert!(!handle.reschedule_after(ms(1)), "the work is done");
    });
}

// TO6, S21
#[test]
fn to6_none_disables() {
    paused(async {
        let (after, value) = took(timeout_with(None, async |deadline: Deadline| {
            assert_eq!((deadline.when(), deadline.remaining()), (None, None));
            sleep(100_000).await;
        }))
        .await;
        value.unwrap();
        assert_eq!(after, 100_000);
    });
}

// TO7, S21
#[test]
fn to7_zero_and_past_fire_at_the_first_suspension_point() {
    everywhere(|| async {
        let log = Log::default();
        let zero = timeout(ms(0), async {
            log.add("started");
            turns(1).await;
            log.add("went on");
        });
        zero.await.unwrap_err();
        assert_eq!(log.take(), ["started"]);
        let past = Instant::now()
            .checked_sub(ms(1))
            .unwrap_or_else(Instant::now);
        timeout_at(past, turns(1)).await.unwrap_err();
        // Work that does not suspend is not cut off.
        assert_eq!(timeout_at(past, async { 7 }).await.unwrap(), 7);
    });
}

// TO8, S21
#[test]
fn to8_a_foreign_error_passes_untouched() {
    paused(async {
        let result = timeout(ms(10), async { Outcome::<()>::Err("foreign".into()) });
        assert_eq!(result.await.unwrap().unwrap_err().to_string(), "foreign");
    });
}

// TO8, S21: nor is a timeout further out mistaken for one's own.
#[test]
fn to8_a_foreign_timeout_is_a_value_like_any_other() {
    paused(async {
        let (after, result) = took(timeout(ms(100), timeout(ms(10), forever()))).await;
        assert_eq!(after, 10);
        assert_eq!(result.unwrap().unwrap_err().limit(), Some(ms(10)));
        let passed_on = timeout(ms(100), async {
            timeout(ms(10), forever()).await.map_err(Into::into)
        });
        let error: Result<Outcome, TimedOut> = passed_on.await;
        assert_eq!(
            error
                .unwrap()
                .unwrap_err()
                .downcast_ref::<TimedOut>()
                .unwrap()
                .limit(),
            Some(ms(10))
        );
    });
}

// TO9, S20
#[test]
fn to9_an_error_of_the_cleanup_wins() {
    paused(async {
        let (after, result) = took(timeout(ms(10), async {
            let _cancelled = until_cancelled(forever()).await;
            sleep(5).await;
            Outcome::<()>::Err("cleanup".into())
        }))
        .await;
        assert_eq!(after, 15);
        assert_eq!(result.unwrap().unwrap_err().to_string(), "cleanup");
    });
}

// TO10, S21
#[test]
fn to10_a_foreign_cancel_is_no_timeout() {
    everywhere(|| async {
        let log = Log::default();
        group(async |outer| {
            let seen = log.clone();
            let child = outer.spawn(async move {
                let limited = timeout(ms(3_600_000), seen.forever("cancelled")).await;
                seen.add(format!("{limited:?}"));
            });
            log.started(1).await;
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["cancelled"]);
    });
}

// TO11, S21
#[test]
fn to11_the_task_is_not_left_cancelled() {
    paused(async {
        group(async |group| {
            let child = group.spawn(async {
                timeout(ms(10), forever()).await.unwrap_err();
                assert!(!is_cancelled());
                sleep(10).await;
                Outcome::Ok("went on")
            });
            assert_eq!(child.await?, "went on");
            Ok(())
        })
        .await
        .unwrap();
    });
}

// TO12, S21: ours. Where both are due after a stall, the outer one speaks at once.
#[test]
fn to12_after_a_stall_the_outer_deadline_speaks() {
    paused(async {
        let log = Log::default();
        let mut handle = None;
        let outer = timeout(ms(20), async {
            let inner = timeout_with(ms(10), async |deadline: Deadline| {
                handle = Some(deadline);
                tokio::time::advance(ms(50)).await;
                forever().await;
            });
            let _ = inner.await;
            log.add("inner spoke");
            turns(1).await;
            log.add("later code of the outer deadline");
        });
        outer.await.unwrap_err();
        assert!(handle.unwrap().expired());
        assert_eq!(log.take(), [""; 0]);
    });
}

// TO13, S21
#[test]
fn to13_moving_a_deadline() {
    paused(async {
        let (after, result) = took(timeout_with(ms(10), async |deadline: Deadline| {
            assert_eq!(deadline.remaining(), Some(ms(10)));
            assert!(deadline.reschedule_after(ms(30)));
            sleep(20).await;
            assert_eq!(deadline.remaining(), Some(ms(10)));
            assert!(deadline.reschedule(None));
            sleep(1000).await;
            assert!(deadline.reschedule_after(ms(5)));
            forever().await;
        }))
        .await;
        result.unwrap_err();
        assert_eq!(after, 1025);
        // Earlier than it was, and to the past.
        let (after, result) = took(timeout_with(ms(1000), async |deadline: Deadline| {
            deadline.reschedule_after(ms(7));
            forever().await;
        }))
        .await;
        result.unwrap_err();
        assert_eq!(after, 7);
        let (after, result) = took(timeout_with(ms(1000), async |deadline: Deadline| {
            sleep(3).await;
            assert!(deadline.reschedule(Instant::now() - ms(1)));
            turns(1).await;
            unreachable!("it fires at the next suspension point");
        }))
        .await;
        result.unwrap_err();
        assert_eq!(after, 3);
        // Too late: it has fired.
        let result = timeout_with(ms(10), async |deadline: Deadline| {
            let Err(cancelled) = until_cancelled(forever()).await else {
                unreachable!()
            };
            assert!(
                deadline.expired()
                    && !deadline.reschedule_after(ms(100))
                    && !deadline.reschedule(None)
            );
            assert_eq!(deadline.remaining(), Some(ms(0)));
            Err::<(), _>(cancelled)
        });
        result.await.unwrap_err();
    });
}

// TO13, S21: from another task.
#[test]
fn to13_another_task_moves_it() {
    paused(async {
        group(async |group| {
            let (after, result) = took(timeout_with(ms(10), async |deadline: Deadline| {
                let mover = deadline.clone();
                group.spawn(async move {
                    sleep(5).await;
                    assert!(mover.reschedule_after(ms(15)));
                });
                forever().await;
            }))
            .await;
            result.unwrap_err();
            assert_eq!(after, 20);
            Ok(())
        })
        .await
        .unwrap();
    });
}

// TO14, S3: no task is needed.
#[test]
fn to14_outside_any_task() {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let ready = std::pin::pin!(timeout(ms(10), async { 7 }));
    assert!(matches!(
        ready.poll(&mut context),
        std::task::Poll::Ready(Ok(7))
    ));
}

// TO15
#[test]
fn to15_debug_shows_the_state() {
    paused(async {
        let mut handle = None;
        let result = timeout_with(ms(10), async |deadline: Deadline| {
            assert_eq!(
                format!("{deadline:?}"),
                "Deadline { remaining: Some(10ms), expired: false }"
            );
            handle = Some(deadline);
            forever().await;
        });
        let error = result.await.unwrap_err();
        assert_eq!(
            format!("{:?}", handle.unwrap()),
            "Deadline { remaining: Some(0ns), expired: true }"
        );
        assert_eq!(error.to_string(), "timed out after 10ms");
    });
}

// TO16, S12, S20
#[test]
fn to16_a_deadline_in_the_cleanup_of_a_timed_out_one() {
    paused(async {
        let log = Log::default();
        let (after, result) = took(timeout(ms(10), async {
            let Err(cancelled) = until_cancelled(forever()).await else {
                unreachable!()
            };
            let cleanup = timeout(ms(20), forever()).await;
            log.add(format!("{}", cleanup.unwrap_err()));
            assert_eq!(
                timeout(ms(20), async {
                    sleep(5).await;
                    7
                })
                .await
                .unwrap(),
                7
            );
            Err::<(), _>(cancelled)
        }))
        .await;
        assert_eq!(log.take(), ["timed out after 20ms"]);
        assert_eq!(after, 35);
        result.unwrap_err();
    });
}

// TO17, S12, S14
#[test]
fn to17_a_deadline_in_the_cleanup_of_a_cancelled_task() {
    paused(async {
        let log = Log::default();
        group(async |group| {
            let seen = log.clone();
            let child = group.spawn(async move {
                let Err(cancelled) = until_cancelled(forever()).await else {
                    return Ok(());
                };
                seen.add(format!("{:?}", move_on_after(ms(20), forever()).await));
                Err(cancelled)
            });
            sleep(1).await;
            let (after, ended) = took(async {
                child.cancel();
                child.await
            })
            .await;
            assert_eq!(after, 20);
            assert!(matches!(ended, Err(JoinError::Cancelled(_))));
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["None"]);
    });
}

// TO18, S20
#[test]
fn to18_a_group_under_a_deadline_with_a_child_that_fails_in_cleanup() {
    paused(async {
        let (after, result) = took(timeout(
            ms(10),
            group(async |inner| {
                inner.spawn(async {
                    let _cancelled = until_cancelled(forever()).await;
                    sleep(5).await;
                    Outcome::<()>::Err("cleanup".into())
                });
                Ok(())
            }),
        ))
        .await;
        assert_eq!(after, 15);
        let error: ErrorGroup = result.unwrap().unwrap_err();
        assert_eq!(messages(&error), ["cleanup"]);
        let context = error.context().unwrap().to_string();
        assert!(context.contains("deadline"), "{context}");
    });
}
