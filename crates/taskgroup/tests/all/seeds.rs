//! The leaks that the seeds warn of: swallowing a cancel, firing and forgetting, dropping in
//! `select!`. None of them leaks here. Each program also counts what is alive at its end: nothing.

use std::sync::Arc;

use taskgroup::{TaskGroup, defer, until_cancelled};

use crate::support::{Log, Outcome, everywhere, forever, group, messages, turns};

// S11, S12: `except CancelledError: return None`. The swallower may run to its next suspension
// point and no further, and the group still ends.
#[test]
fn a_swallowed_cancel_cannot_leak() {
    everywhere(|| async {
        let (log, alive) = (Log::default(), Arc::new(()));
        let error = group(async |group| {
            for _ in 0..3 {
                let (seen, held) = (log.clone(), alive.clone());
                group.spawn(async move {
                    let _held = held;
                    loop {
                        // Tries again and again, as a retry loop with a broad `except` does.
                        let work = seen.forever("work dropped");
                        if until_cancelled(work).await.is_ok() {
                            break;
                        }
                        turns(1).await;
                        seen.add("swallowed");
                    }
                });
            }
            log.started(3).await;
            group.spawn(async { Outcome::<()>::Err("boom".into()) });
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(messages(&error), ["boom"]);
        assert_eq!(log.take(), ["work dropped"; 3]);
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}

// S2, S5: `create_task(background_work())` and forget. There is no way to start a task but in a
// group, and a forgotten handle detaches nothing.
#[test]
fn fire_and_forget_cannot_leak() {
    async fn request(group: TaskGroup, log: Log, alive: Arc<()>) {
        // The caller returns at once; the work belongs to the group all the same.
        group.spawn(async move {
            let _alive = alive;
            turns(5).await;
            log.add("background work done");
        });
    }
    everywhere(|| async {
        let (log, alive) = (Log::default(), Arc::new(()));
        group(async |group| {
            for _ in 0..3 {
                request(group.clone(), log.clone(), alive.clone()).await;
            }
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["background work done"; 3]);
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}

// S6: the same, failing: no code awaits it, and its error comes out.
#[test]
fn a_forgotten_error_is_not_lost() {
    everywhere(|| async {
        let error = group(async |group| {
            group.spawn(async {
                turns(5).await;
                Outcome::<()>::Err("nobody awaits this".into())
            });
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["nobody awaits this"]);
    });
}

// S14, S15: the losing branch of a `select!` is dropped in the middle of a group with children and
// cleanup.
#[test]
fn a_dropped_branch_of_select_cannot_leak() {
    everywhere(|| async {
        let (log, alive) = (Log::default(), Arc::new(()));
        group(async |_| {
            let losing = group(async |inner| {
                let (seen, held) = (log.clone(), alive.clone());
                inner.spawn(async move {
                    let _held = held;
                    let later = seen.clone();
                    defer(async move {
                        turns(3).await;
                        later.add("child's cleanup");
                    });
                    seen.forever("child dropped").await;
                });
                let later = log.clone();
                defer(async move {
                    turns(3).await;
                    later.add("group's cleanup");
                });
                forever().await;
                Ok(())
            });
            tokio::select! {
                _ = losing => unreachable!("it has no end"),
                () = log.started(1) => {}
            }
            Ok(())
        })
        .await
        .unwrap();
        let all = log.take();
        let at = |line: &str| all.iter().position(|other| other == line);
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(at("child dropped") < at("child's cleanup"), "{all:?}");
        assert!(at("child's cleanup") < at("group's cleanup"), "{all:?}");
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}

// S6: `gather` leaves the others running when one fails; a group does not.
#[test]
fn no_sibling_outlives_a_failure() {
    everywhere(|| async {
        let alive = Arc::new(());
        let log = Log::default();
        let error = group(async |group| {
            for _ in 0..10 {
                let (held, work) = (alive.clone(), log.forever("cancelled"));
                group.spawn(async move {
                    let _held = held;
                    work.await;
                });
            }
            log.started(10).await;
            group.spawn(async { Outcome::<()>::Err("one fails".into()) });
            Ok(group.clone())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["one fails"]);
        assert_eq!(Arc::strong_count(&alive), 1);
        assert_eq!(log.take().len(), 10);
    });
}
