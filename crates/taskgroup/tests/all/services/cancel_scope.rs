//! S51: cancelling from afar and with a reason.

use std::sync::Arc;

use taskgroup::{
    CancelScope, Canceller, Policy, ReasonKind, TaskGroup, shield, timeout, until_cancelled,
};

use crate::support::{
    Log, Outcome, Steps, builder, dropped_when, everywhere, forever, group, messages, ms, paused,
    turns,
};

/// Cleans up when it is cancelled, and gives what the reason says.
async fn told(steps: Steps) -> Outcome<(ReasonKind, Option<String>)> {
    steps.step();
    let cancelled = until_cancelled(forever()).await.unwrap_err();
    turns(1).await;
    let reason = cancelled.reason();
    Ok((reason.kind(), reason.message().map(str::to_owned)))
}

// S51, S17: the reason says why, to a task, a group and a section, with the place of the call.
#[test]
fn a_reason_is_passed_on() {
    everywhere(|| async {
        let why = (ReasonKind::CancelCalled, Some("no more coins".to_owned()));
        let ran = group(async |group| {
            let steps = Steps::default();
            let task = group.spawn(told(steps.clone()));
            steps.reached(1).await;
            task.cancel_with("no more coins");
            assert_eq!(task.await?, why);

            let task = group.spawn(forever());
            task.cancel_with("no more coins".to_owned());
            let error = task.await.unwrap_err().to_string();
            assert!(error.contains(": no more coins ("), "{error}");
            assert!(error.contains(file!()), "{error}");

            let mut section = CancelScope::new();
            let stop = section.canceller();
            let work = async { (told(Steps::default()).await, stop.cancel()) };
            stop.cancel_with("no more coins");
            let (said, ()) = section.run(work).await.unwrap();
            assert_eq!(said?, why);
            assert_eq!(section.reason().unwrap().message(), Some("no more coins"));
            Ok(())
        });
        ran.await.unwrap();

        let ran = group(async |group| {
            let steps = Steps::default();
            let task = group.spawn(told(steps.clone()));
            steps.reached(1).await;
            group.cancel_with("no more coins");
            taskgroup::shield(async { assert_eq!(task.await.unwrap(), why) }).await;
            forever().await;
            Ok(())
        });
        let error = ran.await.unwrap_err();
        assert!(error.is_cancelled());
        assert!(error.to_string().contains("no more coins"), "{error}");

        let jobs = builder().open();
        jobs.cancel_with("no more coins");
        assert_eq!(
            jobs.group().reason().unwrap().message(),
            Some("no more coins")
        );
        jobs.close().await.unwrap();
    });
}

// S51: any clone of a canceller does it, from any thread, before, while and after the target runs.
#[test]
fn a_canceller_is_cloned_and_sent() {
    fn is_shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    everywhere(|| async {
        let ran = group(async |group| {
            let (log, others) = (Log::default(), Log::default());
            let task = group.spawn(log.forever("target"));
            let sibling = group.spawn(others.forever("sibling"));
            log.started(1).await;
            let stop = task.canceller();
            is_shared(&stop);
            assert!(!stop.is_cancelled());
            let again = stop.clone();
            std::thread::spawn(move || again.cancel()).join().unwrap();
            assert!(stop.is_cancelled());
            assert!(task.await.unwrap_err().is_cancelled());
            assert_eq!(log.take(), ["target"]);
            stop.cancel();
            assert!(!sibling.is_finished() && others.take().is_empty());
            sibling.cancel();
            Ok(group.canceller())
        });
        // The group has ended.
        ran.await.unwrap().cancel();
    });
}

// S51, S9, S16: a task that waits for its place is cancelled without having run.
#[test]
fn a_canceller_reaches_the_queue() {
    everywhere(|| async {
        let ran = builder().limit(1).run(async |group| {
            let steps = Steps::default();
            let held = steps.clone();
            group.spawn(async move { held.reached(1).await });
            let queued = group.spawn(async { panic!("it never runs") });
            queued.canceller().cancel();
            assert!(queued.await.unwrap_err().is_cancelled());
            steps.step();
            Ok(())
        });
        ran.await.unwrap();
    });
}

// S51: empty, one, many. What ends first is not cut off, and says so.
#[test]
fn work_that_ends_first() {
    everywhere(|| async {
        let mut section = CancelScope::new();
        assert_eq!(section.run(async { 1 }).await, Some(1));
        assert!(!section.has_cut_off() && !section.is_cancelled());
        // A value that the work still produced is returned.
        let stop = section.canceller();
        assert_eq!(
            section
                .run(async {
                    stop.cancel();
                    2
                })
                .await,
            Some(2)
        );
        assert!(section.is_cancelled() && !section.has_cut_off());
        assert_eq!(section.reason().unwrap().kind(), ReasonKind::CancelCalled);
        // The cancellation stays.
        assert_eq!(section.run(turns(1)).await, None);
        assert!(section.has_cut_off());
        for _ in 0..100 {
            assert_eq!(section.run(async { 3 }).await, Some(3));
            assert!(!section.has_cut_off());
        }
    });
}

// S51: cancelled from elsewhere, the section ends with all it started, and the code around goes on.
#[test]
fn it_is_cancelled_from_elsewhere() {
    everywhere(|| async {
        let log = Log::default();
        let ran = group(async |group| {
            let mut section = CancelScope::new();
            let stop = section.canceller();
            let (begun, inner) = (log.clone(), log.clone());
            group.spawn(async move {
                begun.started(1).await;
                stop.cancel_with("enough");
            });
            let work = builder().run(async |group| {
                group.spawn(inner.forever("child"));
                shield(async {
                    inner.started(1).await;
                    turns(3).await;
                })
                .await;
                forever().await;
                Ok(())
            });
            assert!(section.run(work).await.is_none());
            assert!(section.has_cut_off());
            assert_eq!(log.take(), ["child"]);
            assert!(!taskgroup::is_cancelled());
            turns(2).await;
            Ok(5)
        });
        assert_eq!(ran.await.unwrap(), 5);
    });
}

// S51, S12: the guard of its own cancellation, passed on, means that it cut the work off.
#[test]
fn its_own_guard_means_cut_off() {
    everywhere(|| async {
        let ran = group(async |_| {
            let mut section = CancelScope::new();
            section.cancel();
            let work = async {
                until_cancelled(forever()).await?;
                Outcome::Ok(())
            };
            assert!(section.run(work).await.is_none());
            assert!(section.has_cut_off());
            Ok(())
        });
        ran.await.unwrap();
    });
}

// S51, S20: the error of a cleanup wins.
#[test]
fn a_failed_cleanup_is_not_hidden() {
    everywhere(|| async {
        let ran = group(async |_| {
            let mut section = CancelScope::new();
            let stop = section.canceller();
            let work = builder().policy(Policy::collect()).run(async |group| {
                let steps = Steps::default();
                for number in 0..3 {
                    let begun = steps.clone();
                    group.spawn(async move {
                        begun.step();
                        let _cleaning = until_cancelled(forever()).await;
                        Err::<(), _>(format!("broken {number}"))
                    });
                }
                steps.reached(3).await;
                stop.cancel();
                Ok(())
            });
            section.run(work).await.unwrap()?;
            Ok(())
        });
        let mut all = messages(&ran.await.unwrap_err());
        all.sort();
        assert_eq!(all, ["broken 0", "broken 1", "broken 2"]);
    });
}

// S51, S21: among nested sections the one that was cancelled acts, and the outer one before the
// inner one.
#[test]
fn the_outer_one_acts() {
    everywhere(|| async {
        let ran = group(async |_| {
            let (mut outer, mut inner) = (CancelScope::new(), CancelScope::new());
            let stop = [outer.canceller(), inner.canceller()];
            let mut reached = false;
            let cut = outer
                .run(async {
                    stop.iter().for_each(Canceller::cancel);
                    let _ = inner.run(forever()).await;
                    reached = true;
                })
                .await;
            assert!(cut.is_none() && !reached);
            assert!(outer.has_cut_off() && !inner.has_cut_off());

            let (mut outer, mut inner) = (CancelScope::new(), CancelScope::new());
            inner.cancel();
            let cut = outer.run(async { inner.run(forever()).await }).await;
            assert_eq!(cut, Some(None));
            assert!(inner.has_cut_off() && !outer.has_cut_off());
            Ok(())
        });
        ran.await.unwrap();
    });
}

// S51, S11: cancelled from outside, it is not the one.
#[test]
fn cancelled_from_outside() {
    everywhere(|| async {
        let log = Log::default();
        let (work, done) = (log.clone(), log.clone());
        let ran = group(async |group| {
            let task = group.spawn(async move {
                let mut section = CancelScope::new();
                section.run(work.forever("work")).await;
                done.add("went on");
            });
            log.started(1).await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
            Ok(())
        });
        ran.await.unwrap();
        assert_eq!(log.take(), ["work"]);
    });
    // Below a deadline, too.
    paused(async {
        let mut section = CancelScope::new();
        assert!(timeout(ms(10), section.run(forever())).await.is_err());
        assert!(!section.has_cut_off() && !section.is_cancelled());
    });
}

// S51, S15: dropped half-way, it leaves what it started to the scope around, and is free again.
#[test]
fn dropped_half_way() {
    everywhere(|| async {
        let log = Log::default();
        let mut section = CancelScope::new();
        let ran = group(async |_| {
            let work = builder().run(async |group| {
                group.spawn(log.forever("child"));
                forever().await;
                Ok(())
            });
            dropped_when(section.run(work), log.started(1)).await;
            // Nothing is inside any more.
            section.cancel();
            Ok(())
        });
        ran.await.unwrap();
        assert_eq!(log.take(), ["child"]);
        assert_eq!(section.run(async { 1 }).await, Some(1));
    });
}

// S51, S10
#[test]
fn a_panic_passes_through() {
    everywhere(|| async {
        let error = group(async |group| {
            group.spawn(async {
                let mut section = CancelScope::new();
                section.run(async { panic!("a bug") }).await;
            });
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["panic: a bug"]);
    });
}

// S51: it needs no runtime and no clock.
#[test]
fn without_a_runtime() {
    let mut section = CancelScope::new();
    let stop = section.canceller();
    let work = section.run(async move {
        let waker = std::future::poll_fn(|cx| std::task::Poll::Ready(cx.waker().clone())).await;
        stop.cancel();
        waker.wake();
        forever().await;
    });
    assert_eq!(futures_util::FutureExt::now_or_never(work), Some(None));
}

// S51, S33: the tree shows it.
#[test]
fn the_tree_shows_it() {
    everywhere(|| async {
        let ran = group(async |group: TaskGroup| {
            let mut section = CancelScope::new();
            let tree = section.run(async { builder().run(async |_| Ok(group.tree())).await });
            let tree = tree.await.unwrap()?.to_string();
            assert!(tree.contains("cancel scope"), "{tree}");
            Ok(())
        });
        ran.await.unwrap();
    });
}

// S51, S44: what has ended is not kept by its canceller.
#[test]
fn a_canceller_keeps_no_future() {
    everywhere(|| async {
        let ran = group(async |group| {
            let held = Arc::new(());
            let inside = held.clone();
            let task = group.spawn(async move { drop(inside) });
            let stop = task.canceller();
            task.await?;
            assert_eq!(Arc::strong_count(&held), 1);
            stop.cancel();
            Ok(())
        });
        ran.await.unwrap();
    });
}

// S51, S17: many cancellers at once are one cancellation, with the reason of one of them. One that
// is dropped cancels nothing.
#[test]
fn many_cancellers_are_one_cancellation() {
    everywhere(|| async {
        let empty = builder().run_cancellable(async |group: TaskGroup| {
            group.canceller().cancel();
            forever().await;
            Ok(())
        });
        assert_eq!(empty.await.unwrap(), None);

        let ran = group(async |group| {
            let log = Log::default();
            let task = group.spawn(log.forever("target"));
            log.started(1).await;
            let threads: Vec<_> = (0..8)
                .map(|number| {
                    let stop = task.canceller();
                    std::thread::spawn(move || stop.cancel_with(format!("from thread {number}")))
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            let error = task.await.unwrap_err().to_string();
            assert_eq!(error.matches("from thread").count(), 1, "{error}");
            assert_eq!(log.take(), ["target"]);

            let other = group.spawn(async {
                turns(2).await;
                Outcome::Ok(1)
            });
            drop(other.canceller());
            assert_eq!(other.await?, 1);
            Ok(())
        });
        ran.await.unwrap();
    });
}

// S51: what has failed, panicked, been cancelled from outside or been dropped half-way is as it
// was, whatever its canceller does.
#[test]
fn a_canceller_comes_too_late() {
    everywhere(|| async {
        let collect = builder().policy(Policy::collect());
        let (stops, errors) = collect
            .run_to_end(async |group: TaskGroup| {
                let failing = group.spawn(async { Err::<(), _>("broken") });
                let panicking =
                    group.spawn(async { assert!(std::hint::black_box(false), "a bug") });
                let stops = [failing.canceller(), panicking.canceller()];
                assert!(failing.await.is_err() && panicking.await.is_err());
                stops.iter().for_each(Canceller::cancel);
                assert!(!group.is_cancelled());
                Ok([group.canceller()])
            })
            .await;
        stops.unwrap().iter().for_each(Canceller::cancel);
        let mut all = messages(&errors.unwrap());
        all.sort();
        assert_eq!(all, ["broken", "panic: a bug"]);

        let ran = group(async |outer| {
            let (log, mut stops) = (Log::default(), Vec::new());
            let inner = builder().run(async |group: TaskGroup| {
                let child = group.spawn(log.forever("child"));
                stops.extend([group.canceller(), child.canceller()]);
                forever().await;
                Ok(())
            });
            dropped_when(inner, log.started(1)).await;
            assert!(stops[0].is_cancelled());
            stops.iter().for_each(|stop| stop.cancel_with("too late"));
            let task = outer.spawn(forever());
            task.cancel_with("in time");
            task.canceller().cancel_with("too late");
            let error = task.await.unwrap_err().to_string();
            assert!(
                error.contains("in time") && !error.contains("too late"),
                "{error}"
            );
            Ok(log)
        });
        assert_eq!(ran.await.unwrap().take(), ["child"]);
    });
}
