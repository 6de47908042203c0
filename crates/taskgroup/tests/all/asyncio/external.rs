//! A group that is cancelled from outside. TG06–TG08, TG15–TG19, TG22, TG35, TG37, TG40.

use taskgroup::{JoinError, is_cancelled, shield, until_cancelled};

use crate::support::{
    Log, Outcome, Steps, everywhere, forever, group, messages, paused, sleep, turns,
};

/// Runs `work` as a child, cancels that from outside once it is under way (it was suspended, and
/// `ready` says so too), and gives the child's outcome.
async fn cancelled_from_outside<T, F>(
    ready: impl Future<Output = ()>,
    work: F,
) -> Result<T, JoinError>
where
    T: Send + 'static,
    F: Future<Output = Outcome<T>> + Send + 'static,
{
    let mut outcome = None;
    let suspended = Steps::default();
    // A failure of the child is its own group's, too.
    let _ = group(async |outer| {
        let child = outer.spawn(suspended.at_each_suspension(work));
        ready.await;
        suspended.reached(1).await;
        child.cancel();
        shield(async { outcome = Some(child.await) }).await;
        Ok(())
    })
    .await;
    outcome.expect("the shield kept the body alive")
}

fn failures(outcome: Result<(), JoinError>) -> Vec<String> {
    let Err(JoinError::Failed(failure)) = outcome else {
        panic!("{outcome:?}")
    };
    let group = failure.find::<taskgroup::ErrorGroup>();
    group.map_or_else(|| vec![failure.to_string()], messages)
}

// TG06, S7, S11
#[test]
fn tg06_cancelled_while_it_waits_for_its_children() {
    everywhere(|| async {
        let log = Log::default();
        let outcome = cancelled_from_outside(log.started(2), {
            let log = log.clone();
            async move {
                let inner = group(async |inner| {
                    inner.spawn(log.forever("a"));
                    inner.spawn(log.forever("b"));
                    Ok(())
                });
                inner.await?;
                log.add("went on after the group");
                Ok(())
            }
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!(log.take_sorted(), ["a", "b"]);
    });
}

// TG07, S11
#[test]
fn tg07_cancelled_while_the_body_waits() {
    everywhere(|| async {
        let log = Log::default();
        let outcome = cancelled_from_outside(log.started(2), {
            let log = log.clone();
            async move {
                group(async |inner| {
                    inner.spawn(log.forever("child"));
                    log.forever("body").await;
                    Ok(())
                })
                .await?;
                log.add("went on after the group");
                Ok(())
            }
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!(log.take_sorted(), ["body", "child"]);
    });
}

// TG08, S8, S19
#[test]
fn tg08_children_that_fail_in_their_cleanup() {
    everywhere(|| async {
        let log = Log::default();
        let work = [0, 1].map(|_| log.forever("work"));
        let outcome = cancelled_from_outside(log.started(2), async {
            group(async |inner| {
                for (number, work) in work.into_iter().enumerate() {
                    inner.spawn(async move {
                        let _cancelled = until_cancelled(work).await;
                        Outcome::<()>::Err(format!("cleanup {number}").into())
                    });
                }
                Ok(())
            })
            .await?;
            Ok(())
        })
        .await;
        let mut all = failures(outcome);
        all.sort();
        assert_eq!(all, ["cleanup 0", "cleanup 1"]);
    });
}

// TG15, S12, S19
#[test]
fn tg15_a_child_fails_while_the_body_cleans_up() {
    paused(async {
        let outcome = cancelled_from_outside(sleep(1), async {
            group(async |inner| -> Outcome {
                inner.spawn(async {
                    let _cancelled = until_cancelled(forever()).await;
                    sleep(10).await;
                    Outcome::<()>::Err("child".into())
                });
                let Err(cancelled) = until_cancelled(forever()).await else {
                    unreachable!()
                };
                sleep(20).await;
                Err(cancelled.into())
            })
            .await?;
            Ok(())
        })
        .await;
        assert_eq!(failures(outcome), ["child"]);
    });
}

// TG16, S12, S19
#[test]
fn tg16_the_same_through_a_task_in_between() {
    paused(async {
        let outcome = cancelled_from_outside(sleep(1), async {
            group(async |between| {
                let task = between.spawn(async {
                    group(async |inner| -> Outcome {
                        inner.spawn(async {
                            let _cancelled = until_cancelled(forever()).await;
                            sleep(10).await;
                            Outcome::<()>::Err("child".into())
                        });
                        let Err(cancelled) = until_cancelled(forever()).await else {
                            unreachable!()
                        };
                        sleep(20).await;
                        Err(cancelled.into())
                    })
                    .await
                });
                task.await?;
                Ok(())
            })
            .await?;
            Ok(())
        })
        .await;
        assert_eq!(failures(outcome), ["child"]);
    });
}

// TG17, S11
#[test]
fn tg17_cancelled_without_children() {
    everywhere(|| async {
        let log = Log::default();
        let outcome = cancelled_from_outside(log.started(1), {
            let log = log.clone();
            async move {
                group(async |_inner| {
                    log.forever("body").await;
                    Ok(())
                })
                .await?;
                log.add("went on after the group");
                Ok(())
            }
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["body"]);
    });
}

// TG18, S12
#[test]
fn tg18_the_body_makes_another_error_of_it() {
    everywhere(|| async {
        let log = Log::default();
        let work = log.forever("work");
        let outcome = cancelled_from_outside(log.started(1), async {
            group(async |_inner| -> Outcome {
                let _cancelled = until_cancelled(work).await;
                Err("instead".into())
            })
            .await?;
            Ok(())
        })
        .await;
        assert_eq!(failures(outcome), ["instead"]);
    });
}

// TG19, S6
#[test]
fn tg19_a_child_fails_and_then_the_cancelled_body() {
    everywhere(|| async {
        let error = group(async |group| -> Outcome {
            group.spawn(async {
                turns(3).await;
                Outcome::<()>::Err("child".into())
            });
            let _cancelled = until_cancelled(forever()).await;
            Err("body".into())
        })
        .await
        .unwrap_err();
        assert_eq!(messages(&error), ["child", "body"]);
    });
}

// TG22, S16
#[test]
fn tg22_cancelled_before_the_children_start() {
    paused(async {
        let log = Log::default();
        group(async |outer| {
            let (scope, ran) = (outer.clone(), log.clone());
            let child = outer.spawn(async move {
                group(async |inner| {
                    let ran = ran.clone();
                    inner.spawn(async move { ran.add("ran") });
                    scope.cancel();
                    Ok(())
                })
                .await?;
                ran.add("went on");
                Outcome::Ok(())
            });
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), [""; 0]);
    });
}

// TG35, TG40, S11
#[test]
fn tg35_tg40_a_handled_error_leaves_nothing_cancelled() {
    everywhere(|| async {
        let after = group(async |outer| {
            let child = outer.spawn(async {
                let inner = group(async |inner| {
                    inner.spawn(async { Outcome::<()>::Err("handled".into()) });
                    forever().await;
                    Ok(())
                });
                assert_eq!(messages(&inner.await.unwrap_err()), ["handled"]);
                assert!(!is_cancelled());
                turns(3).await;
                Outcome::Ok("went on")
            });
            Ok(child.await?)
        });
        assert_eq!(after.await.unwrap(), "went on");
    });
}

// TG37, S19
#[test]
fn tg37_an_error_and_an_outer_cancel_at_once() {
    everywhere(|| async {
        let log = Log::default();
        let outcome = {
            group(async |outer| {
                let scope = outer.clone();
                let log = log.clone();
                let child = outer.spawn(async move {
                    let inner = group(async |inner| {
                        inner.spawn(async move {
                            scope.cancel();
                            Outcome::<()>::Err("boom".into())
                        });
                        forever().await;
                        Ok(())
                    });
                    log.add(messages(&inner.await.unwrap_err()).join(" "));
                    assert!(is_cancelled());
                    turns(1).await;
                    log.add("the outer cancel was lost");
                    Outcome::Ok(())
                });
                shield(async { assert!(child.await.unwrap_err().is_cancelled()) }).await;
                Ok(())
            })
            .await
        };
        outcome.unwrap();
        assert_eq!(log.take(), ["boom"]);
    });
}

// TG17, S11: many times on two threads: the canceller marks the scope inside the task before the
// task itself, and the task may be polled in between.
#[test]
fn tg17_a_group_never_goes_on_while_its_task_is_being_cancelled() {
    everywhere(|| async {
        for _ in 0..300 {
            let log = Log::default();
            let seen = log.clone();
            let outcome = cancelled_from_outside(log.started(1), async move {
                group(async |_inner| {
                    seen.forever("body").await;
                    Ok(())
                })
                .await?;
                Ok(())
            });
            assert!(outcome.await.unwrap_err().is_cancelled());
        }
    });
}
