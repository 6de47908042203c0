//! S47: a group in a field.

use std::sync::Arc;

use taskgroup::{OpenGroup, Policy, ReasonKind, TaskGroup, until_cancelled};

use crate::support::{
    Log, Outcome, Steps, builder, everywhere, forever, group, messages, ms, turns,
};

fn is_send_and_sync<T: Send + Sync + 'static>(value: T) -> T {
    value
}

// S47: empty, one child, many.
#[test]
fn close_waits_for_what_was_spawned() {
    everywhere(|| async {
        builder().open().close().await.unwrap();

        let one = builder().open();
        let child = one.spawn(async { Outcome::Ok(7) }).unwrap();
        one.close().await.unwrap();
        assert!(child.is_finished());
        assert_eq!(child.await.unwrap(), 7);

        let (many, log) = (builder().open(), Log::default());
        for number in 0..200 {
            let log = log.clone();
            let child = async move {
                turns(number % 7).await;
                log.add("done");
            };
            drop(many.spawn(child).unwrap());
        }
        many.close().await.unwrap();
        assert_eq!(log.take().len(), 200);
    });
}

// S47: it lives in an `Arc`, and each owner of that spawns, waits and closes.
#[test]
fn a_service_is_shared() {
    struct Service(OpenGroup, Log);
    impl Service {
        fn work(&self) -> bool {
            let log = self.1.clone();
            self.0.spawn(async move { log.add("worked") }).is_ok()
        }
    }
    everywhere(|| async {
        let service = is_send_and_sync(Arc::new(Service(builder().open(), Log::default())));
        let users: Vec<_> = (0..8)
            .map(|_| {
                let service = service.clone();
                tokio::spawn(async move {
                    assert!(service.work());
                    turns(3).await;
                })
            })
            .collect();
        for user in users {
            user.await.unwrap();
        }
        let closers = [service.clone(), service.clone()]
            .map(|service| tokio::spawn(async move { service.0.close().await }));
        for closer in closers {
            closer.await.unwrap().unwrap();
        }
        assert_eq!(service.1.take().len(), 8);
        assert!(!service.work());
    });
}

// S47, S6, S23: the first failure cancels the others, and every failure comes out, to each caller.
#[test]
fn close_gives_every_failure() {
    everywhere(|| async {
        let jobs = builder().policy(Policy::collect()).name("jobs").open();
        for number in 0..5 {
            jobs.group()
                .task(format!("{number}"))
                .spawn(async move { Err::<(), _>(format!("broken {number}")) });
        }
        let error = jobs.close().await.unwrap_err();
        assert_eq!(error.name(), "jobs");
        let mut all = messages(&error);
        all.sort();
        assert_eq!(
            all,
            ["broken 0", "broken 1", "broken 2", "broken 3", "broken 4"]
        );
        assert_eq!(jobs.close().await.unwrap_err().len(), 5);

        let jobs = builder().open();
        let log = Log::default();
        let other = jobs.spawn(log.forever("gone")).unwrap();
        log.started(1).await;
        drop(jobs.spawn(async { Err::<(), _>("broken") }).unwrap());
        assert_eq!(messages(&jobs.close().await.unwrap_err()), ["broken"]);
        assert!(other.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["gone"]);
    });
}

// S47, S10
#[test]
fn a_panic_is_a_failure() {
    everywhere(|| async {
        let jobs = builder().open();
        drop(
            jobs.spawn(async { assert!(forever_false(), "a bug") })
                .unwrap(),
        );
        assert_eq!(messages(&jobs.close().await.unwrap_err()), ["panic: a bug"]);
    });
}

fn forever_false() -> bool {
    std::hint::black_box(false)
}

// S47: `failed` gives the first failure, and nothing once the group has ended without one.
#[test]
fn failed_gives_the_first_failure() {
    everywhere(|| async {
        let jobs = Arc::new(builder().open());
        let failing = jobs.clone();
        let waiting = tokio::spawn(async move { failing.failed().await });
        turns(3).await;
        assert!(!waiting.is_finished());
        jobs.group()
            .task("bad")
            .spawn(async { Err::<(), _>("broken") });
        assert_eq!(waiting.await.unwrap().unwrap().name(), "bad");
        assert_eq!(jobs.failed().await.unwrap().name(), "bad");
        assert!(jobs.close().await.is_err());
        assert_eq!(jobs.failed().await.unwrap().name(), "bad");

        // Also one that the policy tolerates.
        let tolerant = builder().policy(Policy::first_success()).open();
        tolerant
            .group()
            .task("bad")
            .spawn(async { Err::<(), _>("broken") });
        assert_eq!(tolerant.failed().await.unwrap().name(), "bad");
        drop(tolerant.spawn(async { Outcome::Ok(()) }).unwrap());
        tolerant.close().await.unwrap();
        assert_eq!(tolerant.failed().await.unwrap().name(), "bad");

        let fine = Arc::new(builder().open());
        let failing = fine.clone();
        let waiting = tokio::spawn(async move { failing.failed().await });
        drop(fine.spawn(turns(3)).unwrap());
        fine.close().await.unwrap();
        assert!(waiting.await.unwrap().is_none());
        assert!(fine.failed().await.is_none());
    });
}

// S47, S8: cancelled by its owner it ends without an error of its own, after its cleanup, and the
// failure of a cleanup comes out.
#[test]
fn cancel_ends_the_children() {
    everywhere(|| async {
        let (jobs, log) = (builder().open(), Log::default());
        let cleaning = log.clone();
        let child = jobs.spawn(async move {
            let Err(cancelled) = until_cancelled(forever()).await else {
                return Outcome::Ok(());
            };
            turns(2).await;
            cleaning.add("cleaned");
            Err(cancelled.into())
        });
        turns(2).await;
        jobs.cancel();
        jobs.cancel();
        assert!(jobs.is_cancelled());
        jobs.close().await.unwrap();
        assert!(child.unwrap().await.unwrap_err().is_cancelled());
        // S9, S16: a child that was cancelled before its first poll has not run.
        assert!(matches!(&*log.take(), [] | [_]));

        let (jobs, steps) = (builder().open(), Steps::default());
        let begun = steps.clone();
        let cleanup = async move {
            begun.step();
            let _cleaning = until_cancelled(forever()).await;
            turns(1).await;
            Err::<(), _>("half done")
        };
        drop(jobs.spawn(cleanup).unwrap());
        steps.reached(1).await;
        jobs.cancel();
        assert_eq!(messages(&jobs.close().await.unwrap_err()), ["half done"]);
    });
}

// S47, S9: a refused spawn gives the future back, with the reason.
#[test]
fn a_refused_spawn_is_not_silent() {
    everywhere(|| async {
        let jobs = builder().open();
        jobs.cancel();
        let refused = jobs.spawn(async { Outcome::Ok(7) }).unwrap_err();
        assert_eq!(refused.reason().kind(), ReasonKind::CancelCalled);
        assert_eq!(refused.into_future().await.unwrap(), 7);

        // From the moment `close` is called, also while it still waits.
        let jobs = Arc::new(builder().open());
        let steps = Steps::default();
        let (held, sibling) = (steps.clone(), jobs.group().clone());
        let child = async move {
            held.reached(1).await;
            // A child may still have helpers.
            drop(sibling.spawn(held.at_each_suspension(turns(1))));
        };
        drop(jobs.spawn(child).unwrap());
        let closing = jobs.clone();
        let closed = tokio::spawn(async move { closing.close().await });
        while !jobs.is_closing() {
            turns(1).await;
        }
        let refused = jobs.spawn(async {}).unwrap_err();
        assert_eq!(refused.reason().kind(), ReasonKind::Closed);
        assert!(!closed.is_finished());
        steps.step();
        closed.await.unwrap().unwrap();
        assert!(steps.is_at(2));
        assert!(jobs.group().try_spawn(async {}).is_err());
    });
}

// S47, S15: dropped, it cancels, and the scope where it was opened waits and has the failures.
#[test]
fn dropped_it_is_adopted() {
    everywhere(|| async {
        let log = Log::default();
        let ran = group(async |_| {
            let jobs = builder().open();
            let steps = Steps::default();
            let (begun, cleaning) = (steps.clone(), log.clone());
            let child = async move {
                begun.step();
                let cancelled = until_cancelled(forever()).await.unwrap_err();
                assert_eq!(cancelled.reason().kind(), ReasonKind::Dropped);
                turns(3).await;
                cleaning.add("cleaned");
                Err::<(), _>("half done")
            };
            drop(jobs.spawn(child).unwrap());
            steps.reached(1).await;
            drop(jobs);
            Ok(())
        });
        assert_eq!(messages(&ran.await.unwrap_err()), ["half done"]);
        assert_eq!(log.take(), ["cleaned"]);
    });
}

// S47: nothing fails, so the scope that adopts has no failure.
#[test]
fn dropped_without_children_it_is_gone() {
    everywhere(|| async {
        let ran = group(async |group| {
            drop(builder().open());
            let jobs = builder().open();
            let child = jobs.spawn(forever()).unwrap();
            drop(jobs);
            assert!(child.await.unwrap_err().is_cancelled());
            group.spawn(async {});
            Ok(1)
        });
        assert_eq!(ran.await.unwrap(), 1);
    });
}

// S47, S11, S40: a cancellation from outside reaches the children. Cut off, it does not say `Ok`.
#[test]
fn cancelled_from_outside() {
    everywhere(|| async {
        let log = Log::default();
        let kept = Arc::new(std::sync::Mutex::new(None));
        let ran = builder().run_cancellable(async |group: TaskGroup| {
            let jobs = Arc::new(builder().open());
            drop(jobs.spawn(log.forever("child")).unwrap());
            log.started(1).await;
            *kept.lock().unwrap() = Some(jobs);
            group.cancel();
            turns(1).await;
            Ok(())
        });
        assert_eq!(ran.await.unwrap(), None);
        let jobs = kept.lock().unwrap().take().unwrap();
        let error = jobs.close().await.unwrap_err();
        assert!(error.is_cancelled(), "{error:#}");
        assert_eq!(log.take(), ["child"]);
        assert!(jobs.spawn(async {}).is_err());
    });
}

// S47, S37: in a cancelled scope no wait for it comes back at once.
#[test]
fn its_awaits_end_a_cancelled_loop() {
    everywhere(|| async {
        let jobs = Arc::new(builder().open());
        let rounds = Steps::default();
        let ran = builder().run_cancellable(async |group: TaskGroup| {
            group.cancel();
            loop {
                let _ = jobs.close().await;
                let _ = jobs.failed().await;
                rounds.step();
            }
            #[allow(unreachable_code)]
            Ok(())
        });
        assert_eq!(ran.await.unwrap(), None);
        assert!(rounds.is_at(0));
    });
}

// S47: a `close` that is given up loses nothing, and the next one goes on.
#[test]
fn a_close_that_is_dropped_half_way() {
    everywhere(|| async {
        let (jobs, steps) = (builder().open(), Steps::default());
        let go = steps.clone();
        let child = async move {
            go.reached(1).await;
            Err::<(), _>("late")
        };
        drop(jobs.spawn(child).unwrap());
        tokio::select! {
            biased;
            _ = jobs.close() => panic!("a child runs"),
            () = turns(2) => {}
        }
        assert!(jobs.spawn(async {}).is_err());
        steps.step();
        assert_eq!(messages(&jobs.close().await.unwrap_err()), ["late"]);
    });
}

// S47, S28: background children serve as long as there are others.
#[test]
fn background_children_end_with_it() {
    everywhere(|| async {
        let (jobs, log) = (builder().open(), Log::default());
        jobs.group()
            .task("heartbeat")
            .background()
            .spawn(log.forever("heartbeat"));
        log.started(1).await;
        drop(jobs.spawn(turns(5)).unwrap());
        jobs.close().await.unwrap();
        assert_eq!(log.take(), ["heartbeat"]);
    });
}

// S47, S18: its grace bounds the cleanup.
#[test]
fn a_grace_bounds_it() {
    crate::support::paused(async {
        let jobs = builder().grace(ms(50)).open();
        drop(jobs.spawn(taskgroup::shield(forever())).unwrap());
        turns(2).await;
        jobs.cancel();
        let error = jobs.close().await.unwrap_err();
        assert!(error.contains::<taskgroup::error::Overrun>(), "{error:#}");
        assert_eq!(error.leaf_count(), 1);
    });
}

// S47, S40: it moves with its owner out of the code in which it was opened.
#[test]
fn it_moves_with_its_owner() {
    everywhere(|| async {
        let log = Log::default();
        let open = async |log: &Log| {
            let jobs = builder().open();
            drop(jobs.spawn(log.forever("child")).unwrap());
            log.started(1).await;
            jobs
        };
        // Out of a deadline, a task and a group.
        let jobs = taskgroup::timeout(ms(100_000), open(&log)).await.unwrap();
        assert!(!jobs.is_cancelled());
        jobs.cancel();
        jobs.close().await.unwrap();
        assert_eq!(log.take(), ["child"]);

        let inner = Log::default();
        let ran = group(async |_| {
            let given = inner.clone();
            let inside = group(async |group| {
                let task = group.spawn(async move { Outcome::Ok(open(&given).await) });
                Ok(task.await?)
            });
            let jobs = inside.await?;
            assert!(!jobs.is_cancelled() && inner.take().is_empty());
            // Here it is at home now.
            drop(jobs);
            Ok(())
        });
        ran.await.unwrap();
        assert_eq!(inner.take(), ["child"]);
    });
}

// S47: a run ends what is still open in it, waits for it, and has the failures.
#[test]
#[cfg(feature = "runner")]
fn a_run_does_not_leave_it_open() {
    for threads in [true, false] {
        let kept = Arc::new(std::sync::Mutex::new(None));
        let log = Log::default();
        let main = async || {
            let jobs = Arc::new(builder().open());
            let steps = Steps::default();
            let (begun, cleaning) = (steps.clone(), log.clone());
            let child = async move {
                begun.step();
                let _cleaning = until_cancelled(forever()).await;
                turns(3).await;
                cleaning.add("cleaned");
                Err::<(), _>("half done")
            };
            drop(jobs.spawn(child).unwrap());
            steps.reached(1).await;
            *kept.lock().unwrap() = Some(jobs);
        };
        let runner = taskgroup::Runner::new();
        let ran = if threads {
            runner.run(main)
        } else {
            runner.current_thread().run(main)
        };
        let error = ran.unwrap_err();
        assert_eq!(messages(error.failures().unwrap()), ["half done"]);
        assert_eq!(log.take(), ["cleaned"]);
        let jobs = kept.lock().unwrap().take().unwrap();
        assert!(jobs.spawn(async {}).is_err());
        // The failures are the run's.
        let end = crate::support::paused(async move { jobs.close().await });
        assert!(end.is_ok(), "{end:?}");
    }
}

// S44: a group that lives long keeps nothing of its children, and nothing of waits given up.
#[test]
fn it_forgets_its_children() {
    everywhere(|| async {
        let jobs = builder().open();
        for _ in 0..1_000 {
            let child = jobs.spawn(async { Outcome::Ok(1) }).unwrap();
            assert_eq!(child.await.unwrap(), 1);
            tokio::select! {
                biased;
                _ = jobs.failed() => panic!("nothing has failed"),
                () = std::future::ready(()) => {}
            }
        }
        jobs.close().await.unwrap();
        assert_eq!(jobs.group().live(), 0);
    });
}
