//! Every cancellation says who, why and where. S17, and S23, S25 for errors. `Shutdown` is in
//! `runner`; `Satisfied` and `GroupEnded` come with the policies and background children.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use taskgroup::{
    CancelReason, JoinError, ReasonKind, shield, timeout, timeout_with, until_cancelled,
};

use crate::support::{
    Log, Outcome, builder, everywhere, forever, group, messages, ms, paused, sleep,
};

/// What a child of `group` is told when `cause` makes it end.
async fn told(cause: impl AsyncFnOnce(&taskgroup::TaskGroup)) -> CancelReason {
    let (tell, told) = tokio::sync::oneshot::channel();
    let log = Log::default();
    let _ = builder()
        .name("group")
        .grace(ms(1000))
        .run(async |group| {
            let work = log.forever("");
            group.task("told").spawn(async move {
                let Err(cancelled) = until_cancelled(work).await else {
                    return Ok(());
                };
                let _ = tell.send(cancelled.reason().clone());
                Err(cancelled)
            });
            log.started(1).await;
            cause(&group).await;
            Ok(())
        })
        .await;
    told.await.unwrap()
}

// S17
#[test]
fn a_sibling_failed() {
    everywhere(|| async {
        let mut line = 0;
        let reason = told(async |group| {
            let bad = group.task("bad");
            line = line!() + 1;
            bad.spawn(async { Outcome::<()>::Err("boom".into()) });
            forever().await;
        })
        .await;
        assert_eq!(reason.kind(), ReasonKind::TaskFailed);
        assert_eq!(reason.task().unwrap().path().to_string(), "group/bad");
        assert_eq!(
            (reason.location().file(), reason.location().line()),
            (file!(), line)
        );
        let text = format!("task `group/bad` failed: boom ({}:{line}:17)", file!());
        assert_eq!(reason.to_string(), text);
    });
}

// S17
#[test]
fn a_sibling_panicked() {
    everywhere(|| async {
        let reason = told(async |group| {
            group.task("bad").spawn(async {
                if true {
                    panic!("boom");
                }
            });
            forever().await;
        })
        .await;
        assert_eq!(reason.kind(), ReasonKind::TaskFailed);
        assert!(
            reason
                .to_string()
                .starts_with("task `group/bad` panicked: boom ("),
            "{reason}"
        );
    });
}

// S17
#[test]
fn the_body_panicked() {
    everywhere(|| async {
        let (tell, told) = tokio::sync::oneshot::channel();
        let log = Log::default();
        let _ = group(async |outer| {
            outer.spawn(async move {
                group(async |inner| {
                    let work = log.forever("");
                    inner.spawn(async move {
                        let cancelled = until_cancelled(work).await;
                        let reason = cancelled.as_ref().unwrap_err().reason().clone();
                        let _ = tell.send(reason);
                        cancelled
                    });
                    log.started(1).await;
                    if true {
                        panic!("body");
                    }
                    Ok(())
                })
                .await
            });
            Ok(())
        })
        .await;
        let reason: CancelReason = told.await.unwrap();
        assert_eq!(reason.kind(), ReasonKind::BodyPanicked);
        assert_eq!(reason.location().file(), file!());
        assert!(
            reason
                .to_string()
                .starts_with("the body of the group panicked ("),
            "{reason}"
        );
    });
}

// S17
#[test]
fn cancel_was_called() {
    everywhere(|| async {
        let line = line!() + 3;
        let by_task = told(async |group| {
            let scope = group.clone();
            group.task("caller").spawn(async move { scope.cancel() });
            forever().await;
        })
        .await;
        assert_eq!(by_task.kind(), ReasonKind::CancelCalled);
        assert_eq!(by_task.task().unwrap().name(), "caller");
        assert_eq!(by_task.location().line(), line);
        assert!(
            by_task
                .to_string()
                .starts_with("cancel was called by task `group/caller` (")
        );
        let by_nobody = told(async |group| {
            group.cancel();
            forever().await;
        })
        .await;
        assert_eq!(by_nobody.kind(), ReasonKind::CancelCalled);
        assert!(by_nobody.task().is_none());
    });
}

// S17: through a handle, as the handle and the task itself see it.
#[test]
fn cancel_was_called_on_a_handle() {
    everywhere(|| async {
        group(async |group| {
            let child = group.spawn(forever());
            let line = line!() + 1;
            child.cancel();
            let Err(JoinError::Cancelled(cancelled)) = child.await else {
                panic!()
            };
            assert_eq!(cancelled.reason().kind(), ReasonKind::CancelCalled);
            assert_eq!(cancelled.reason().location().line(), line);
            assert!(
                cancelled
                    .to_string()
                    .starts_with("cancelled: cancel was called (")
            );
            Ok(())
        })
        .await
        .unwrap();
    });
}

// S17: all the way down, the same reason.
#[test]
fn a_deadline_passed_far_above() {
    paused(async {
        let (tell, told) = tokio::sync::oneshot::channel();
        let line = line!() + 1;
        let ended = timeout(
            ms(10),
            group(async |outer| {
                outer.spawn(async {
                    group(async |inner| {
                        inner.spawn(async {
                            let cancelled = until_cancelled(forever()).await;
                            let _ = tell.send(cancelled.as_ref().unwrap_err().reason().clone());
                            cancelled
                        });
                        Ok(())
                    })
                    .await
                });
                Ok(())
            }),
        );
        ended.await.unwrap_err();
        let reason: CancelReason = told.await.unwrap();
        assert_eq!(reason.kind(), ReasonKind::Deadline);
        assert_eq!(reason.location().line(), line);
        assert!(
            reason.to_string().starts_with("a deadline passed ("),
            "{reason}"
        );
    });
}

// S17
#[test]
fn the_future_around_was_dropped() {
    everywhere(|| async {
        let (tell, told) = tokio::sync::oneshot::channel();
        let log = Log::default();
        group(async |_| {
            let work = log.forever("");
            let inner = group(async |inner| {
                inner.spawn(async move {
                    let cancelled = until_cancelled(work).await;
                    let _ = tell.send(cancelled.as_ref().unwrap_err().reason().clone());
                    cancelled
                });
                forever().await;
                Ok(())
            });
            tokio::select! {
                _ = inner => unreachable!("it has no end"),
                () = log.started(1) => {}
            }
            Ok(())
        })
        .await
        .unwrap();
        let reason: CancelReason = told.await.unwrap();
        assert_eq!(reason.kind(), ReasonKind::Dropped);
        assert_eq!(reason.location().file(), file!());
    });
}

// S17, S18: what was shielded from the first reason sees the second.
#[test]
fn the_grace_was_over() {
    paused(async {
        let log = Log::default();
        let mut handle = None;
        let error = builder().name("group").grace(ms(50)).run(async |group| {
            let log = log.clone();
            handle = Some(
                group.spawn(shield(crate::support::group(async move |inner| {
                    let seen = inner.clone();
                    inner.spawn(async move {
                        struct Says(taskgroup::TaskGroup, Log);
                        impl Drop for Says {
                            fn drop(&mut self) {
                                self.1.add(format!("{:?}", self.0.reason().unwrap().kind()));
                            }
                        }
                        let _says = Says(seen, log);
                        forever().await;
                    });
                    forever().await;
                    Ok(())
                }))),
            );
            sleep(1).await;
            group.cancel();
            forever().await;
            Ok(())
        });
        assert_eq!(error.await.unwrap_err().leaf_count(), 1);
        assert_eq!(log.take(), ["GraceOver"]);
        assert!(handle.unwrap().await.unwrap_err().is_cancelled());
    });
}

// S9, S17
#[test]
fn the_group_had_ended() {
    everywhere(|| async {
        let ended = builder()
            .name("early")
            .run(async |group| Ok(group))
            .await
            .unwrap();
        let Err(JoinError::Cancelled(late)) = ended.spawn(forever()).await else {
            panic!()
        };
        assert_eq!(late.reason().kind(), ReasonKind::Closed);
        assert_eq!(late.reason().location().file(), file!());
    });
}

// S17: a later reason does not replace the first.
#[test]
fn the_first_reason_stays() {
    everywhere(|| async {
        let ended = group(async |group| {
            group.cancel();
            let first = group.reason().unwrap().location().line();
            group.cancel();
            assert_eq!(group.reason().unwrap().location().line(), first);
            Ok(())
        });
        ended.await.unwrap();
    });
}

// S23: a leaf says which task, where it was spawned, and by which way.
#[test]
fn a_leaf_says_who_and_where() {
    everywhere(|| async {
        let line = Arc::new(AtomicU32::new(0));
        let noted = line.clone();
        let error = builder()
            .name("outer")
            .run(async |outer| {
                outer.task("middle").spawn(async move {
                    let inner = builder().name("inner").run(async |inner| {
                        let leaf = inner.task("leaf");
                        noted.store(line!() + 1, Ordering::SeqCst);
                        leaf.spawn(async { Outcome::<()>::Err("boom".into()) });
                        Ok(())
                    });
                    inner.await
                });
                Ok(())
            })
            .await
            .unwrap_err();
        let cause = error.cause();
        assert_eq!(cause.path().to_string(), "outer/middle/inner/leaf");
        assert_eq!(
            (cause.location().file(), cause.location().line()),
            (file!(), line.load(Ordering::SeqCst))
        );
        assert_eq!(cause.name(), "leaf");
        let nested = error.first().as_group().unwrap();
        assert_eq!(nested.returned_by().unwrap().name(), "middle");
        assert!(!error.to_string().contains('\n'), "one line: {error}");
        assert!(format!("{error:#}").contains("outer"), "{error:#}");
        let boxed: taskgroup::BoxError = error.into();
        assert!(boxed.downcast_ref::<taskgroup::ErrorGroup>().is_some());
    });
}

// S24: the clauses on an error that a group made; `src/error/tests` has all of their rules.
#[test]
fn clauses_take_the_matching_part() {
    #[derive(Debug)]
    struct Other;
    impl std::fmt::Display for Other {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("other")
        }
    }
    impl std::error::Error for Other {}
    paused(async {
        let error = group(async |group| {
            group.spawn(async {
                sleep(10).await;
                Err::<(), _>(std::io::Error::other("io"))
            });
            group.spawn(async {
                sleep(10).await;
                Err::<(), _>(Other)
            });
            Ok(())
        });
        let mut seen = Vec::new();
        let rest = error
            .await
            .unwrap_err()
            .on::<std::io::Error>(|matched: taskgroup::ErrorGroup| seen.extend(messages(&matched)))
            .rest();
        assert_eq!(seen, ["io"]);
        assert_eq!(messages(&rest.unwrap_err()), ["other"]);
    });
}

// S25: children are cancelled in spawn order, also many.
#[test]
fn children_are_cancelled_in_spawn_order() {
    paused(async {
        let log = Log::default();
        let names: Vec<_> = (0..100).map(|number| format!("{number}")).collect();
        let ended = builder().run_cancellable(async |group| {
            for name in &names {
                group.spawn(log.forever(name));
            }
            log.started(100).await;
            sleep(1).await;
            group.cancel();
            forever().await;
            Ok(())
        });
        assert_eq!(ended.await.unwrap(), None);
        assert_eq!(log.take(), names);
    });
}

// S25: also when places below were used again in between, and when a failing child cancels them.
#[test]
fn spawn_order_is_kept_when_places_are_used_again() {
    paused(async {
        let log = Log::default();
        let error = group(async |group| {
            let short = group.spawn(sleep(5));
            group.spawn(log.forever("first"));
            let other = group.spawn(sleep(5));
            group.spawn(log.forever("second"));
            short.await?;
            other.await?;
            group.spawn(log.forever("third"));
            group.spawn(log.forever("fourth"));
            sleep(1).await;
            group.spawn(async { Outcome::<()>::Err("boom".into()) });
            forever().await;
            Ok(())
        });
        error.await.unwrap_err();
        assert_eq!(log.take(), ["first", "second", "third", "fourth"]);
    });
}

// S25: whatever the code of a child stands in, and whether it is woken or dropped where it stands.
#[test]
fn spawn_order_is_kept_by_what_stands_in_scopes() {
    paused(async {
        for fails in [false, true] {
            let log = Log::default();
            let ended = builder().run_cancellable(async |outer| {
                outer.spawn(log.forever("a plain one"));
                let work = log.forever("in a group");
                outer.spawn(group(async |_| {
                    work.await;
                    Ok(())
                }));
                outer.spawn(log.forever("another plain one"));
                let work = log.forever("with a deadline");
                outer.spawn(timeout_with(None, async |_| work.await));
                log.started(4).await;
                sleep(1).await;
                if fails {
                    outer.spawn(async { Outcome::<()>::Err("boom".into()) });
                } else {
                    outer.cancel();
                }
                forever().await;
                Ok(())
            });
            assert_eq!(ended.await.is_err(), fails);
            assert_eq!(
                log.take(),
                [
                    "a plain one",
                    "in a group",
                    "another plain one",
                    "with a deadline"
                ]
            );
        }
    });
}

// S25: from the top down: the body of a group is told before its children.
#[test]
fn a_body_is_cancelled_before_its_children() {
    paused(async {
        let log = Log::default();
        let ended = builder().run_cancellable(async |outer| {
            let (give, inner) = tokio::sync::oneshot::channel();
            let [body, first, second] = ["body", "first", "second"].map(|name| log.forever(name));
            outer.spawn(group(async move |inner| {
                inner.spawn(first);
                inner.spawn(second);
                give.send(inner).unwrap();
                body.await;
                Ok(())
            }));
            let inner = inner.await?;
            log.started(3).await;
            sleep(1).await;
            inner.cancel();
            forever().await;
            Ok(())
        });
        ended.await.unwrap_err();
        assert_eq!(log.take(), ["body", "first", "second"]);
    });
}

// S25: errors stand in order of arrival, not of spawning.
#[test]
fn errors_stand_in_order_of_arrival() {
    paused(async {
        let error = group(async |group| {
            for delay in [30, 10, 20] {
                group.spawn(async move {
                    shield(sleep(delay)).await;
                    Outcome::<()>::Err(format!("after {delay}").into())
                });
            }
            Ok(())
        });
        assert_eq!(
            messages(&error.await.unwrap_err()),
            ["after 10", "after 20", "after 30"]
        );
    });
}
