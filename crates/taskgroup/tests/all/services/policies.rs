//! S50: failures as they come, and policies by predicate.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use taskgroup::error::Overrun;
use taskgroup::{
    JoinError, OpenGroup, Policy, ReasonKind, TaskError, TaskGroup, bracket, defer, shield,
    until_cancelled,
};

use crate::support::{
    Log, Outcome, Steps, builder, dropped_when, everywhere, forever, messages, ms, paused, turns,
};

/// Collects what the hook gets: the name of the task and the message.
#[derive(Clone, Default)]
struct Reports(Log);

impl Reports {
    fn policy(&self) -> Policy {
        let log = self.0.clone();
        Policy::report(move |failure| log.add(line(failure)))
    }

    fn take(&self) -> Vec<String> {
        self.0.take_sorted()
    }
}

fn line(failure: &TaskError) -> String {
    let what = failure.error().map(ToString::to_string);
    let what = what.or_else(|| Some(format!("panic: {}", failure.panic_message()?)));
    format!("{}: {}", failure.name(), what.unwrap_or_default())
}

// S50: empty, one, many; errors and panics. Each failure comes once, and the group has none.
#[test]
fn a_hook_gets_each_failure() {
    everywhere(|| async {
        let reports = Reports::default();
        let settings = builder().policy(reports.policy());
        settings.clone().run(async |_| Ok(())).await.unwrap();
        assert_eq!(reports.take(), [""; 0]);

        let ran = settings.clone().run(async |group| {
            group.task("a").spawn(async { Err::<(), _>("broken") });
            Ok(group.spawn(async { Outcome::Ok(1) }).await?)
        });
        assert_eq!(ran.await.unwrap(), 1);
        assert_eq!(reports.take(), ["a: broken"]);

        let (value, errors) = settings
            .run_to_end(async |group: TaskGroup| {
                for number in 0..200 {
                    group.task(format!("{number:03}")).spawn(async move {
                        assert!(number % 2 == 0, "odd");
                        Err::<(), _>("even")
                    });
                }
                Ok(2)
            })
            .await;
        assert_eq!(value, Some(2));
        assert!(errors.is_none());
        let reported = reports.take();
        assert_eq!(reported.len(), 200);
        assert_eq!(reported[..2], ["000: even", "001: panic: odd"]);
    });
}

// S50, S6: a failure that a sibling passes on comes once, and so does that of a nested group.
#[test]
fn a_failure_that_is_passed_on_comes_once() {
    everywhere(|| async {
        let reports = Reports::default();
        let settings = builder().policy(reports.policy());
        let ran = settings.clone().run(async |group: TaskGroup| {
            let failing = Arc::new(group.task("a").spawn(async { Err::<(), _>("broken") }));
            let nested = group.task("b").spawn(async {
                let inner = builder().name("inner").run(async |group| {
                    group.task("c").spawn(async { Err::<(), _>("deep") });
                    Ok(())
                });
                inner.await?;
                Outcome::Ok(())
            });
            let nested = Arc::new(nested);
            let siblings: Vec<_> = (0..5)
                .map(|_| {
                    let (failing, nested) = (failing.clone(), nested.clone());
                    group.spawn(async move {
                        let both = ((&*failing).await.is_err(), (&*nested).await.is_err());
                        assert_eq!(both, (true, true));
                    })
                })
                .collect();
            for sibling in siblings {
                sibling.await?;
            }
            let failing = Arc::try_unwrap(failing).expect("the siblings have ended");
            let passing = group.spawn(async move {
                failing.await?;
                Outcome::Ok(())
            });
            assert!(passing.await.is_err());
            Ok(())
        });
        ran.await.unwrap();
        let reported = reports.take();
        assert_eq!(reported.len(), 2, "{reported:?}");
        assert_eq!(reported[0], "a: broken");
        assert!(
            reported[1].starts_with("b: group `inner` failed"),
            "{reported:?}"
        );

        // The body that returns it fails: that comes out.
        let ran = settings.run(async |group| {
            let failing = group.task("a").spawn(async { Err::<(), _>("broken") });
            failing.await?;
            Ok(())
        });
        assert_eq!(messages(&ran.await.unwrap_err()), ["broken"]);
        assert_eq!(reports.take(), ["a: broken"]);
    });
}

// S50, S42, S15: what is left behind and what cleanup fails with goes to the hook as well.
#[test]
fn cleanup_goes_to_the_hook() {
    everywhere(|| async {
        let reports = Reports::default();
        let ran = builder().policy(reports.policy()).run(async |group| {
            defer(async { Err::<(), _>("deferred") });
            let child = group.task("child").spawn(async {
                bracket(
                    async { Ok(()) },
                    async |()| Outcome::Ok(()),
                    |()| async { Err::<(), _>("release") },
                )
                .await
            });
            let _ = child.await;
            Ok(())
        });
        ran.await.unwrap();
        let reported = reports.take();
        assert_eq!(reported.len(), 2, "{reported:?}");
        assert!(reported.iter().any(|line| line.ends_with(": deferred")));
        assert!(
            reported.iter().any(|line| line.ends_with("release")),
            "{reported:?}"
        );
    });
}

// S50: the body is no child. Its failure ends the group and comes out.
#[test]
fn the_body_fails_as_ever() {
    everywhere(|| async {
        let reports = Reports::default();
        let ran = builder().policy(reports.policy()).run(async |group| {
            group.spawn(forever());
            Err::<(), _>("the body".into())
        });
        assert_eq!(messages(&ran.await.unwrap_err()), ["the body"]);
        assert_eq!(reports.take(), [""; 0]);
    });
}

// S50: with a limit of failures, those that stop the group come out of it, and the others do not.
#[test]
fn reporting_up_to_a_number() {
    everywhere(|| async {
        let reports = Reports::default();
        let policy = reports.policy().or_stop_after(3);
        let ran = builder().policy(policy).run(async |group: TaskGroup| {
            for number in 1..=3 {
                let failing = group
                    .task(format!("{number}"))
                    .spawn(async { Err::<(), _>("broken") });
                let _ = shield(failing).await;
            }
            forever().await;
            Ok(())
        });
        let error = ran.await.unwrap_err();
        assert_eq!((error.leaf_count(), error.cause().name()), (1, "3"));
        assert_eq!(reports.take(), ["1: broken", "2: broken"]);
    });
}

/// Whether the task ran out of space.
fn out_of_space(failure: &TaskError) -> bool {
    let error = failure.find::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
}

async fn failing(kind: io::ErrorKind) -> io::Result<()> {
    Err(io::Error::from(kind))
}

// S50: this kind stops the group, and that kind does not. Every failure comes out.
#[test]
fn a_predicate_decides() {
    everywhere(|| async {
        let settings = builder().policy(Policy::stop_if(out_of_space));
        // None of the kind: nothing is cancelled.
        let (value, errors) = settings
            .clone()
            .run_to_end(async |group: TaskGroup| {
                for _ in 0..20 {
                    let child = group.spawn(failing(io::ErrorKind::NotFound));
                    assert!(child.await.is_err());
                }
                Ok(group.spawn(async { Outcome::Ok(1) }).await?)
            })
            .await;
        assert_eq!((value, errors.unwrap().len()), (Some(1), 20));

        // One of the kind.
        let (log, reason) = (Log::default(), Mutex::new(None));
        let ran = settings.run(async |group: TaskGroup| {
            group.spawn(log.forever("sibling"));
            log.started(1).await;
            let child = group.spawn(failing(io::ErrorKind::NotFound));
            assert!(child.await.is_err() && !group.is_cancelled());
            let full = group
                .task("full")
                .spawn(failing(io::ErrorKind::StorageFull));
            shield(async {
                let _ = full.await;
                *reason.lock().unwrap() = group.reason();
            })
            .await;
            forever().await;
            Ok(())
        });
        let error = ran.await.unwrap_err();
        assert_eq!(error.len(), 2);
        assert_eq!(log.take(), ["sibling"]);
        let reason = reason.lock().unwrap().take().unwrap();
        assert_eq!(reason.kind(), ReasonKind::TaskFailed);
        assert_eq!(reason.task().unwrap().name(), "full");
    });
}

// S50: both: what is fatal stops the group and comes out, the rest goes to the hook.
#[test]
fn a_predicate_and_a_hook() {
    everywhere(|| async {
        let reports = Reports::default();
        let policy = reports.policy().or_stop_if(out_of_space);
        let server = builder().policy(policy).open();
        for number in 0..50 {
            let request = server.group().task(format!("{number:02}"));
            let child = request.spawn(failing(io::ErrorKind::NotFound));
            assert!(child.await.is_err());
        }
        assert!(!server.is_cancelled());
        assert_eq!(reports.take().len(), 50);
        server
            .group()
            .task("full")
            .spawn(failing(io::ErrorKind::StorageFull));
        assert_eq!(server.failed().await.unwrap().name(), "full");
        let error = server.close().await.unwrap_err();
        assert_eq!((error.leaf_count(), error.cause().name()), (1, "full"));
        assert_eq!(reports.take(), [""; 0]);
    });
}

// S50, S26: with a policy that wants successes, too.
#[test]
fn a_quorum_that_reports() {
    everywhere(|| async {
        let reports = Reports::default();
        let policy = Policy::first_success().reporting({
            let log = reports.0.clone();
            move |failure| log.add(line(failure))
        });
        let ran = builder()
            .policy(policy.clone())
            .run(async |group: TaskGroup| {
                let bad = group.task("bad").spawn(async { Err::<(), _>("broken") });
                let _ = bad.await;
                group.spawn(async {});
                forever().await;
                Ok(())
            });
        // It is satisfied, without a value of the body.
        assert!(ran.await.unwrap_err().is_cancelled());
        assert_eq!(reports.take(), ["bad: broken"]);
        let ran = builder().policy(policy).run(async |group: TaskGroup| {
            group.task("bad").spawn(async { Err::<(), _>("broken") });
            Ok(())
        });
        let error = ran.await.unwrap_err();
        assert!(
            error.contains::<taskgroup::error::QuorumMissed>(),
            "{error:#}"
        );
        assert_eq!(reports.take(), ["bad: broken"]);
    });
}

// S50, S11: a cancellation from outside is no failure. A failure of cleanup goes to the hook.
#[test]
fn cancelled_from_outside() {
    everywhere(|| async {
        let (reports, steps) = (Reports::default(), Steps::default());
        let ran = builder().run_cancellable(async |outer: TaskGroup| {
            let (policy, begun) = (reports.policy(), steps.clone());
            outer.spawn(async move {
                let inner = builder().policy(policy).run(async |group| {
                    group.spawn(forever());
                    let cleaning = begun.clone();
                    group.task("cleaning").spawn(async move {
                        cleaning.step();
                        let _guard = until_cancelled(forever()).await;
                        Err::<(), _>("half done")
                    });
                    forever().await;
                    Ok(())
                });
                inner.await
            });
            steps.reached(1).await;
            outer.cancel();
            Ok(())
        });
        assert_eq!(ran.await.unwrap(), Some(()));
        assert_eq!(reports.take(), ["cleaning: half done"]);
    });
}

// S50, S18: an overrun goes to the hook. Nothing is lost.
#[test]
fn an_overrun_goes_to_the_hook() {
    paused(async {
        let overruns = Arc::new(Mutex::new(0));
        let count = overruns.clone();
        let policy = Policy::report(move |failure| {
            assert!(failure.is::<Overrun>());
            *count.lock().unwrap() += 1;
        });
        let server = builder().policy(policy).grace(ms(10)).open();
        drop(server.spawn(shield(forever())).unwrap());
        turns(2).await;
        server.cancel();
        server.close().await.unwrap();
        assert_eq!(*overruns.lock().unwrap(), 1);
    });
}

// S50, S15: dropped half-way, the failures still go to the hook, and not to the scope around.
#[test]
fn dropped_half_way() {
    everywhere(|| async {
        let reports = Reports::default();
        let ran = builder().run(async |_| {
            let steps = Steps::default();
            let inner = builder().policy(reports.policy()).run(async |group| {
                let begun = steps.clone();
                group.task("cleaning").spawn(async move {
                    begun.step();
                    let _guard = until_cancelled(forever()).await;
                    Err::<(), _>("half done")
                });
                forever().await;
                Ok(())
            });
            dropped_when(inner, steps.reached(1)).await;
            Ok(())
        });
        ran.await.unwrap();
        assert_eq!(reports.take(), ["cleaning: half done"]);
    });
}

// S50, S39: the hook may use the group: no lock is held.
#[test]
fn a_hook_may_use_the_group() {
    everywhere(|| async {
        let server: Arc<Mutex<Option<Arc<OpenGroup>>>> = Arc::default();
        let restarts = Log::default();
        let (own, log) = (server.clone(), restarts.clone());
        let policy = Policy::report(move |failure| {
            let server = own.lock().unwrap().clone().unwrap();
            let name = failure.name();
            log.add(format!(
                "{name} failed with {} alive",
                server.group().live()
            ));
            if name == "first" {
                let again = server.group().task("second");
                again.spawn(async { Err::<(), _>("broken again") });
            } else {
                server.cancel();
            }
        });
        *server.lock().unwrap() = Some(Arc::new(builder().policy(policy).open()));
        let group = server.lock().unwrap().clone().unwrap();
        group
            .group()
            .task("first")
            .spawn(async { Err::<(), _>("broken") });
        drop(group.spawn(forever()).unwrap());
        group.close().await.unwrap();
        let lines = restarts.take();
        assert_eq!(lines.len(), 2, "{lines:?}");
        *server.lock().unwrap() = None;
    });
}

// S50, S39: a hook that panics is reported, and the group keeps that failure: no error is lost. A
// predicate that panics stops the group.
#[test]
fn a_hook_that_panics_loses_nothing() {
    everywhere(|| async {
        let policy =
            Policy::report(|failure| assert!(failure.name() != "bad", "a bug in the hook"));
        let ran = builder().policy(policy).run(async |group: TaskGroup| {
            for name in ["good", "bad", "fine"] {
                let child = group.task(name).spawn(async { Err::<(), _>("broken") });
                let _ = child.await;
            }
            Ok(())
        });
        let error = ran.await.unwrap_err();
        assert_eq!((error.leaf_count(), error.cause().name()), (1, "bad"));

        let policy = Policy::stop_if(|_| panic!("a bug in the predicate"));
        let ran = builder().policy(policy).run(async |group: TaskGroup| {
            group.spawn(async { Err::<(), _>("broken") });
            forever().await;
            Ok(())
        });
        assert_eq!(messages(&ran.await.unwrap_err()), ["broken"]);
    });
}

// S50: predicate and hook get each failure once, also when a sibling or the body passes it on.
#[test]
fn what_is_passed_on_is_judged_once() {
    everywhere(|| async {
        for reports in [false, true] {
            let asked = Arc::new(AtomicUsize::new(0));
            let told = Arc::new(AtomicUsize::new(0));
            let (asks, tells) = (asked.clone(), told.clone());
            let mut policy = Policy::stop_if(move |_| {
                asks.fetch_add(1, Ordering::SeqCst);
                false
            });
            if reports {
                policy = policy.reporting(move |_| _ = tells.fetch_add(1, Ordering::SeqCst));
            }
            // Of another group, so this one does not know it beforehand.
            let mut elsewhere = None;
            let ran = TaskGroup::builder()
                .policy(Policy::collect())
                .run(async |group| {
                    let child = group.spawn(async { Err::<(), _>("elsewhere") });
                    if let Err(JoinError::Failed(failed)) = child.await {
                        elsewhere = Some(failed);
                    }
                    Ok(())
                });
            assert!(ran.await.is_err());
            let elsewhere = elsewhere.unwrap();
            let ran = builder().policy(policy).run(async |group: TaskGroup| {
                for _ in 0..3 {
                    let passed = elsewhere.clone();
                    let child = group.spawn(async move { Err::<(), _>(passed) });
                    // Otherwise the failure of the body could drop it unpolled.
                    assert!(child.await.is_err());
                }
                let failing = group.spawn(async { Err::<(), _>("here") });
                let passes = group.spawn(async move { Outcome::Ok(failing.await?) });
                passes.await?;
                Ok(())
            });
            let ran = ran.await.map_err(|error| error.leaf_count());
            assert_eq!(asked.load(Ordering::SeqCst), 2);
            assert_eq!(told.load(Ordering::SeqCst), if reports { 2 } else { 0 });
            // What the body fails with comes out.
            assert_eq!(ran, Err(if reports { 1 } else { 2 }));
        }
    });
}

// S44: the error is gone when the hook has returned, and a handle that keeps one keeps one.
#[test]
fn nothing_is_kept() {
    #[derive(Debug)]
    struct Counted(#[allow(dead_code)] Arc<()>);
    impl std::fmt::Display for Counted {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("broken")
        }
    }
    impl std::error::Error for Counted {}
    everywhere(|| async {
        let alive = Arc::new(());
        let server = builder().policy(Policy::report(|_| ())).open();
        let mut kept = Vec::new();
        for number in 0..500 {
            let error = Counted(alive.clone());
            let child = server.spawn(async move { Err::<(), _>(error) }).unwrap();
            child.ended().await;
            if number % 100 == 0 {
                kept.push(child);
            }
        }
        server.close().await.unwrap();
        assert_eq!(Arc::strong_count(&alive), 1 + kept.len());
        drop(kept);
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}

// S50: what a policy is, for its users.
#[test]
fn policies_are_values() {
    let hook = |_: &TaskError| ();
    let policy = Policy::report(hook);
    assert_eq!(policy, policy.clone());
    assert_ne!(policy, Policy::report(hook));
    assert_ne!(policy, Policy::collect());
    assert_ne!(Policy::stop_if(|_| true), Policy::collect());
    let text = format!("{policy:?}");
    assert!(text.contains("reports: true"), "{text}");
}

// S50: a predicate judges failures: none in an empty group, none where all succeed, a panic like an
// error. A child that is cancelled from outside is none. What a group that is dropped half-way
// leaves behind goes to the scope around it.
#[test]
fn a_predicate_judges_failures_only() {
    everywhere(|| async {
        let judged = Log::default();
        let log = judged.clone();
        let settings = builder().policy(Policy::stop_if(move |failure| {
            log.add(line(failure));
            failure.is_panic()
        }));
        settings.clone().run(async |_| Ok(())).await.unwrap();
        let ran = settings.clone().run(async |group: TaskGroup| {
            for number in 0..20 {
                group.spawn(turns(number % 3));
            }
            Ok(group.spawn(async { Outcome::Ok(1) }).await?)
        });
        assert_eq!(ran.await.unwrap(), 1);
        assert_eq!(judged.take(), [""; 0]);

        let ran = settings.clone().run(async |group: TaskGroup| {
            let tolerated = group.task("a").spawn(async { Err::<(), _>("broken") });
            assert!(tolerated.await.is_err());
            group.task("b").spawn(async { panic!("a bug") });
            forever().await;
            Ok(())
        });
        let mut all = messages(&ran.await.unwrap_err());
        all.sort();
        assert_eq!(all, ["broken", "panic: a bug"]);
        assert_eq!(judged.take(), ["a: broken", "b: panic: a bug"]);

        let ran = builder().run_cancellable(async |outer: TaskGroup| {
            let log = Log::default();
            let (inner, child) = (settings.clone(), log.forever("child"));
            outer.spawn(async move {
                let inner = inner.run(async |group| {
                    group.spawn(child);
                    forever().await;
                    Ok(())
                });
                inner.await
            });
            log.started(1).await;
            outer.cancel();
            forever().await;
            Ok(())
        });
        assert_eq!(ran.await.unwrap(), None);
        assert_eq!(judged.take(), [""; 0]);

        let ran = builder().run(async |_| {
            let steps = Steps::default();
            let inner = settings.clone().run(async |group| {
                let begun = steps.clone();
                group.spawn(async move {
                    begun.step();
                    let _guard = until_cancelled(forever()).await;
                    Err::<(), _>("half done")
                });
                forever().await;
                Ok(())
            });
            dropped_when(inner, steps.reached(1)).await;
            Ok(())
        });
        assert_eq!(messages(&ran.await.unwrap_err()), ["half done"]);
    });
}
