//! `bracket` and `defer` on every way out. S2, S14.

use taskgroup::{Policy, bracket, defer, shield, timeout, until_cancelled};

use crate::support::{
    Log, Outcome, Steps, builder, everywhere, forever, group, messages, ms, paused, sleep, took,
    turns,
};

/// A bracket that logs: the release takes some turns, so that it is seen to be waited for.
async fn held<T>(log: &Log, work: impl AsyncFnOnce(&mut u32) -> Outcome<T>) -> Outcome<T> {
    let seen = log.clone();
    bracket(async { Outcome::Ok(1) }, work, |number| async move {
        turns(3).await;
        seen.add(format!("released {number}"));
    })
    .await
}

// S14: success, and the resource is the work's to change.
#[test]
fn bracket_releases_after_success() {
    everywhere(|| async {
        let log = Log::default();
        let value = held(&log, async |number| {
            *number += 1;
            turns(1).await;
            log.add("used");
            Ok(7)
        });
        assert_eq!(value.await.unwrap(), 7);
        assert_eq!(log.take(), ["used", "released 2"]);
    });
}

// S14: error.
#[test]
fn bracket_releases_after_an_error() {
    everywhere(|| async {
        let log = Log::default();
        let error = held::<()>(&log, async |_| Err("work".into()))
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "work");
        assert_eq!(log.take(), ["released 1"]);
    });
}

// S14: nothing was acquired, nothing is released.
#[test]
fn bracket_without_a_resource() {
    everywhere(|| async {
        let log = Log::default();
        let error = bracket(
            async { Outcome::<()>::Err("acquire".into()) },
            async |(): &mut ()| {
                log.add("used");
                Outcome::Ok(())
            },
            {
                let log = log.clone();
                move |()| async move { log.add("released") }
            },
        );
        assert_eq!(error.await.unwrap_err().to_string(), "acquire");
        assert_eq!(log.take(), [""; 0]);
    });
}

// S14: cancel, with the release awaited by the group.
#[test]
fn bracket_releases_after_a_cancel() {
    everywhere(|| async {
        let log = Log::default();
        group(async |group| {
            let seen = log.clone();
            let child = group.spawn(async move {
                held(&seen, async |_| {
                    seen.forever("work dropped").await;
                    Ok(())
                })
                .await
            });
            log.started(1).await;
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            log.add("the child has ended");
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(
            log.take(),
            ["work dropped", "released 1", "the child has ended"]
        );
    });
}

// S14: panic.
#[test]
fn bracket_releases_after_a_panic() {
    everywhere(|| async {
        let log = Log::default();
        let error = group(async |group| {
            let seen = log.clone();
            group.spawn(async move {
                held(&seen, async |_| {
                    turns(1).await;
                    if true {
                        panic!("work");
                    }
                    Ok(())
                })
                .await
            });
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(messages(&error), ["panic: work"]);
        assert_eq!(log.take(), ["released 1"]);
    });
}

// S14, S15: the future itself is dropped.
#[test]
fn bracket_releases_when_its_future_is_dropped() {
    everywhere(|| async {
        let log = Log::default();
        group(async |_group| {
            tokio::select! {
                _ = held(&log, async |_| { log.forever("work dropped").await; Ok(()) }) => unreachable!(),
                () = log.started(1) => {}
            }
            log.add("body is done");
            Ok(())
        })
        .await
        .unwrap();
        let mut all = log.take();
        assert_eq!(all.remove(0), "work dropped");
        all.sort();
        assert_eq!(all, ["body is done", "released 1"]);
    });
}

// S14, S15: what the work leaves behind may use the resource, so it is released after that.
#[test]
fn bracket_releases_after_the_children_that_its_work_left() {
    everywhere(|| async {
        let log = Log::default();
        group(async |_| {
            let used = held(&log, async |_| {
                group(async |inner| {
                    let (work, seen) = (log.forever("work dropped"), log.clone());
                    inner.spawn(async move {
                        let cancelled = until_cancelled(work).await;
                        turns(5).await;
                        seen.add("child cleaned up");
                        cancelled
                    });
                    forever().await;
                    Ok(())
                })
                .await?;
                Ok(())
            });
            tokio::select! {
                _ = used => unreachable!("it has no end"),
                () = log.started(1) => {}
            }
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(
            log.take(),
            ["work dropped", "child cleaned up", "released 1"]
        );
    });
}

// S14, S15: the future is dropped in the middle of the release, which goes on where it was and is
// not begun again.
#[test]
fn bracket_goes_on_with_a_release_that_was_dropped() {
    paused(async {
        let log = Log::default();
        let (after, ()) = took(async {
            group(async |_group| {
                let seen = log.clone();
                let bracketed = bracket(
                    async { Outcome::Ok(()) },
                    async |(): &mut ()| Outcome::Ok(()),
                    |()| async move {
                        seen.add("release begun");
                        sleep(20).await;
                        seen.add("release done");
                    },
                );
                let cut = tokio::time::timeout(ms(10), bracketed).await;
                assert!(cut.is_err());
                Ok(())
            })
            .await
            .unwrap();
        })
        .await;
        assert_eq!(log.take(), ["release begun", "release done"]);
        assert_eq!(after, 20);
    });
}

// S14: acquiring and releasing are not interrupted.
#[test]
fn bracket_shields_acquire_and_release() {
    paused(async {
        let log = Log::default();
        group(async |group| {
            let seen = log.clone();
            let child = group.spawn(async move {
                let released = seen.clone();
                bracket(
                    async {
                        sleep(20).await;
                        seen.add("acquired");
                        Outcome::Ok(())
                    },
                    async |(): &mut ()| {
                        seen.forever("work dropped").await;
                        Outcome::Ok(())
                    },
                    |()| async move {
                        sleep(20).await;
                        released.add("released");
                    },
                )
                .await
            });
            sleep(10).await;
            let (after, ended) = took(async {
                child.cancel();
                child.await
            })
            .await;
            assert!(ended.unwrap_err().is_cancelled());
            assert_eq!(after, 30);
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["acquired", "work dropped", "released"]);
    });
}

// S14: inside out, one after the other, on a cancel.
#[test]
fn nested_brackets_release_inside_out() {
    paused(async {
        let log = Log::default();
        let release = |name: &'static str| {
            let log = log.clone();
            move |()| async move {
                log.add(format!("{name} closing"));
                sleep(10).await;
                log.add(format!("{name} closed"));
            }
        };
        let (after, ended) = took(timeout(
            ms(8),
            bracket(
                async { Outcome::Ok(()) },
                async |(): &mut ()| {
                    bracket(
                        async { Outcome::Ok(()) },
                        async |(): &mut ()| {
                            forever().await;
                            Outcome::Ok(())
                        },
                        release("transaction"),
                    )
                    .await
                },
                release("connection"),
            ),
        ))
        .await;
        ended.unwrap_err();
        assert_eq!(after, 28);
        assert_eq!(
            log.take(),
            [
                "transaction closing",
                "transaction closed",
                "connection closing",
                "connection closed"
            ]
        );
    });
}

// S14: a release that fails, or panics, fails the task or group around it.
#[test]
fn a_failing_release_is_reported() {
    everywhere(|| async {
        let error = group(async |group| {
            group.task("fails").spawn(bracket(
                async { Outcome::Ok(()) },
                async |(): &mut ()| Outcome::Ok(()),
                |()| async { Outcome::<()>::Err("release".into()) },
            ));
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["release"]);
        let error = group(async |group| {
            group.spawn(bracket(
                async { Outcome::Ok(()) },
                async |(): &mut ()| Outcome::Ok(()),
                |()| async {
                    if true {
                        panic!("release")
                    }
                },
            ));
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["panic: release"]);
    });
}

// S14: a release that panics hides nothing.
#[test]
fn the_work_fails_and_the_release_panics() {
    everywhere(|| async {
        let error = group(async |_group| {
            bracket(
                async { Outcome::Ok(()) },
                async |(): &mut ()| Outcome::<()>::Err("work".into()),
                |()| async {
                    if true {
                        panic!("release");
                    }
                },
            )
            .await
        });
        let mut all = messages(&error.await.unwrap_err());
        all.sort();
        assert_eq!(all, ["panic: release", "work"]);
    });
}

// S14: work and release both fail: both are reported.
#[test]
fn work_and_release_both_fail() {
    everywhere(|| async {
        let error = group(async |_group| {
            bracket(
                async { Outcome::Ok(()) },
                async |(): &mut ()| Outcome::<()>::Err("work".into()),
                |()| async { Outcome::<()>::Err("release".into()) },
            )
            .await
        });
        let mut all = messages(&error.await.unwrap_err());
        all.sort();
        assert_eq!(all, ["release", "work"]);
    });
}

// S2, S14: last in first out, after the children.
#[test]
fn deferred_work_runs_last_in_first_out_after_the_children() {
    everywhere(|| async {
        let log = Log::default();
        group(async |group| {
            for number in 0..3 {
                let seen = log.clone();
                defer(async move {
                    turns(2).await;
                    seen.add(format!("deferred {number}"));
                });
            }
            log.add("body");
            let seen = log.clone();
            group.spawn(async move {
                turns(5).await;
                seen.add("child");
            });
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(
            log.take(),
            ["body", "child", "deferred 2", "deferred 1", "deferred 0"]
        );
    });
}

// S14: one that fails or panics skips none of the others.
#[test]
fn deferred_work_that_fails_skips_nothing() {
    everywhere(|| async {
        let log = Log::default();
        let error = group(async |_group| {
            let seen = log.clone();
            defer(async move { seen.add("first") });
            defer(async { Outcome::<()>::Err("second".into()) });
            defer(async {
                if true {
                    panic!("third")
                }
            });
            let seen = log.clone();
            defer(async move { seen.add("fourth") });
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(log.take(), ["fourth", "first"]);
        assert_eq!(messages(&error), ["panic: third", "second"]);
    });
}

// S14: on an error, a cancel, a panic and a drop, of a task, a body and a deadline.
#[test]
fn deferred_work_runs_on_every_exit() {
    everywhere(|| async {
        let log = Log::default();
        let later = |line: &'static str| {
            let seen = log.clone();
            defer(async move {
                turns(2).await;
                seen.add(line);
            });
        };
        let _ = group(async |_| -> Outcome {
            later("body failed");
            Err("body".into())
        })
        .await;
        assert_eq!(log.take(), ["body failed"]);

        let seen = log.clone();
        let _ = group(async |group| {
            group.spawn(async move {
                defer(async move { seen.add("task panicked") });
                if true {
                    panic!("task");
                }
            });
            Ok(())
        })
        .await;
        assert_eq!(log.take(), ["task panicked"]);

        let seen = log.clone();
        group(async |group| {
            let child = group.spawn(async move {
                let deferred = seen.clone();
                defer(async move {
                    turns(3).await;
                    deferred.add("task cancelled");
                });
                seen.forever("dropped").await;
            });
            log.started(1).await;
            child.cancel();
            let _ = child.await;
            log.add("ended");
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["dropped", "task cancelled", "ended"]);

        let _ = timeout(ms(0), async {
            later("deadline passed");
            forever().await;
        })
        .await;
        assert_eq!(log.take(), ["deadline passed"]);

        shield(async { later("shield over") }).await;
        assert_eq!(log.take(), ["shield over"]);

        let steps = Steps::default();
        group(async |_| {
            let inner = group(async |_| {
                later("group dropped half-way");
                steps.step();
                forever().await;
                Ok(())
            });
            tokio::select! {
                _ = inner => unreachable!(),
                () = steps.reached(1) => {}
            }
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["group dropped half-way"]);
    });
}

// S14: deferred from within deferred work.
#[test]
fn deferred_work_may_defer() {
    everywhere(|| async {
        let log = Log::default();
        group(async |_| {
            let seen = log.clone();
            defer(async move {
                let inner = seen.clone();
                defer(async move { inner.add("inner") });
                seen.add("outer");
            });
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["outer", "inner"]);
    });
}

// S14: deferred work is not interrupted by the cancellation that brought it on.
#[test]
fn deferred_work_is_shielded() {
    paused(async {
        let log = Log::default();
        let (after, ended) = took(timeout(
            ms(10),
            group(async |_| {
                let seen = log.clone();
                defer(async move {
                    sleep(30).await;
                    seen.add("deferred");
                });
                until_cancelled(forever()).await?;
                Ok(())
            }),
        ))
        .await;
        assert_eq!(log.take(), ["deferred"]);
        assert_eq!(after, 40);
        assert!(ended.is_err());
    });
}

/// A bracket that is dropped while it releases what a failed `work` has used.
async fn dropped_while_it_releases(work: impl AsyncFnOnce(&mut ()) -> Outcome) {
    let bracket = bracket(async { Outcome::Ok(()) }, work, |()| turns(3));
    let mut bracket = std::pin::pin!(bracket);
    std::future::poll_fn(|cx| {
        assert!(bracket.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
}

// S41: how the work ended is not lost with the bracket.
#[test]
fn fault_b4_a_bracket_that_is_dropped_while_it_releases_gives_its_failure_on() {
    everywhere(|| async {
        let error = group(async |group| {
            group.spawn(dropped_while_it_releases(async |()| {
                Err("work failed".into())
            }));
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["work failed"]);

        let error = group(async |group| {
            group.spawn(dropped_while_it_releases(async |()| {
                panic!("work panicked")
            }));
            Ok(())
        });
        assert_eq!(
            messages(&error.await.unwrap_err()),
            ["panic: work panicked"]
        );

        // In the body, and while what the work had left behind is not over.
        let error = group(async |_| {
            let work = async |(): &mut ()| {
                defer(turns(5));
                Outcome::Err("work failed".into())
            };
            dropped_while_it_releases(work).await;
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["work failed"]);
    });
}

// S41: the failure of a child, passed on, is counted once; a cancellation is no failure.
#[test]
fn a_dropped_bracket_gives_on_what_is_news() {
    everywhere(|| async {
        let error = builder().policy(Policy::collect()).run(async |group| {
            let failing = group.spawn(async { Err::<(), _>("once") });
            group.spawn(async move {
                let _ = failing.ended().await;
                dropped_while_it_releases(async |()| Ok(failing.await?)).await;
            });
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["once"]);

        let cancelled = builder().run_cancellable(async |group| {
            let own = group.clone();
            let child = async move {
                own.cancel();
                let Err(cancelled) = until_cancelled(forever()).await else {
                    return;
                };
                dropped_while_it_releases(async |()| Err(cancelled.into())).await;
            };
            group.spawn(child);
            forever().await;
            Ok(())
        });
        assert_eq!(cancelled.await.unwrap(), None);
    });
}

// S39: a release that panics as it is made by a drop is a failure of the scope around.
#[test]
fn a_release_that_panics_in_a_drop_is_a_failure() {
    everywhere(|| async {
        let error = group(async |_| {
            let release = |()| -> std::future::Ready<()> { panic!("no release") };
            let work = async |(): &mut ()| {
                forever().await;
                Outcome::Ok(())
            };
            let bracket = bracket(async { Outcome::Ok(()) }, work, release);
            tokio::select! {
                biased;
                _ = bracket => unreachable!("the work has no end"),
                () = turns(2) => {}
            }
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["panic: no release"]);
    });
}
