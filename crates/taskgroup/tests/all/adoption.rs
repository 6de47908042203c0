//! Futures that are dropped half-way: the scope around waits for what they leave. S15.
//! What the process root adopts is in `tests/process_root.rs`.

use std::time::Duration;

use taskgroup::{JoinError, Policy, ReasonKind, defer, shield, timeout, until_cancelled};

use crate::support::{
    Log, Outcome, builder, everywhere, forever, group, messages, ms, paused, sleep, took, turns,
};

/// A group whose child takes its time to clean up.
async fn slow_to_end(log: Log, outcome: Outcome) {
    let _ = group(async |inner| {
        let work = log.forever("work dropped");
        let seen = log.clone();
        inner.task("slow").spawn(async move {
            let Err(cancelled) = until_cancelled(work).await else {
                return Outcome::Ok(());
            };
            seen.add(format!("{:?}", cancelled.reason().kind()));
            turns(5).await;
            seen.add("cleaned up");
            outcome?;
            Err(cancelled.into())
        });
        forever().await;
        Outcome::Ok(())
    })
    .await;
}

async fn cut_off(log: &Log, outcome: Outcome) {
    tokio::select! {
        () = slow_to_end(log.clone(), outcome) => unreachable!("nobody ends it"),
        () = log.started(1) => {}
    }
}

// S15: by the group in whose body it was dropped.
#[test]
fn the_group_around_adopts() {
    everywhere(|| async {
        let log = Log::default();
        group(async |_| {
            cut_off(&log, Ok(())).await;
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(
            log.take(),
            [
                "work dropped",
                &format!("{:?}", ReasonKind::Dropped),
                "cleaned up"
            ]
        );
    });
}

// S15: by the task, whose handle waits for it too.
#[test]
fn the_task_around_adopts() {
    everywhere(|| async {
        let log = Log::default();
        group(async |outer| {
            let seen = log.clone();
            let child = outer.spawn(async move {
                cut_off(&seen, Ok(())).await;
                Outcome::Ok(7)
            });
            assert_eq!(child.await?, 7);
            assert_eq!(log.take().last().unwrap(), "cleaned up");
            Ok(())
        })
        .await
        .unwrap();
    });
}

// S15, S20: by a deadline, a shield, an `until_cancelled`.
#[test]
fn sections_adopt() {
    everywhere(|| async {
        for section in 0..3 {
            let log = Log::default();
            let inside = cut_off(&log, Ok(()));
            match section {
                0 => timeout(Duration::from_secs(3600), inside).await.unwrap(),
                1 => shield(inside).await,
                _ => until_cancelled(inside).await.unwrap(),
            }
            assert_eq!(log.take().last().unwrap(), "cleaned up");
        }
    });
}

// S6, S15: what fails in there fails the scope that adopted it.
#[test]
fn the_failure_of_an_orphan_is_not_lost() {
    everywhere(|| async {
        let log = Log::default();
        let error = group(async |_| {
            cut_off(&log, Err("orphan".into())).await;
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["orphan"]);
        let log = Log::default();
        let error = group(async |group| {
            group
                .task("task")
                .spawn(async move { cut_off(&log, Err("orphan".into())).await });
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["orphan"]);
    });
}

// S5, S15: the handle of the task that adopted it tells of it, unless the task has failed by
// itself.
#[test]
fn the_failure_of_an_orphan_is_that_of_its_task() {
    everywhere(|| async {
        for (own, told) in [(Ok(7), "orphan"), (Err("own"), "own")] {
            let log = Log::default();
            let collects = builder().policy(Policy::collect());
            let error = collects.run(async |group| {
                let child = group.spawn(async move {
                    cut_off(&log, Err("orphan".into())).await;
                    own
                });
                let Err(JoinError::Failed(failed)) = child.await else {
                    panic!("its orphan has failed");
                };
                let message = failed.error().unwrap().to_string();
                assert!(message.ends_with(told), "{message}");
                Ok(())
            });
            assert!(messages(&error.await.unwrap_err()).contains(&"orphan".to_owned()));
        }
    });
}

// S15: deadlines and shields that are dropped half-way with groups inside.
#[test]
fn a_dropped_deadline_hands_over_what_is_below() {
    paused(async {
        let log = Log::default();
        let (after, ()) = took(async {
            group(async |_| {
                let inside = timeout(ms(1000), shield(slow_to_end(log.clone(), Ok(()))));
                assert!(tokio::time::timeout(ms(10), inside).await.is_err());
                Ok(())
            })
            .await
            .unwrap();
        })
        .await;
        assert_eq!(log.take().last().unwrap(), "cleaned up");
        assert_eq!(after, 10);
    });
}

// S15: a future that was never polled leaves nothing behind.
#[test]
fn an_unpolled_future_leaves_nothing() {
    everywhere(|| async {
        let log = Log::default();
        drop(group(async |_| {
            log.add("ran");
            Ok(())
        }));
        drop(timeout(ms(0), forever()));
        drop(shield(forever()));
        assert_eq!(log.take(), [""; 0]);
    });
}

// S15: again and again in a loop, as a server does it.
#[test]
fn a_loop_of_selects_piles_nothing_up() {
    paused(async {
        let log = Log::default();
        group(async |outer| {
            let seen = log.clone();
            outer.spawn(async move {
                for _ in 0..100 {
                    let inner = group(async |inner| {
                        inner.spawn(seen.forever("dropped"));
                        forever().await;
                        Ok(())
                    });
                    assert!(tokio::time::timeout(ms(10), inner).await.is_err());
                }
            });
            sleep(5000).await;
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take().len(), 100);
    });
}

// S15, S14: the cleanups that it left may fail, one as well as several.
#[test]
fn the_failures_of_the_cleanup_of_an_orphan_are_not_lost() {
    everywhere(|| async {
        for failures in [["one"].as_slice(), &["two", "one"]] {
            let error = group(async |_| {
                let cut = timeout(ms(100_000), async {
                    for failure in failures.iter().rev() {
                        defer(async move { Outcome::<()>::Err((*failure).into()) });
                    }
                    forever().await;
                });
                tokio::select! {
                    biased;
                    _ = cut => unreachable!("it takes longer"),
                    () = turns(1) => {}
                }
                Ok(())
            });
            assert_eq!(messages(&error.await.unwrap_err()), failures);
        }
    });
}
