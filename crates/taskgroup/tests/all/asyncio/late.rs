//! `cancel()` on a group, which asyncio has from 3.15 on. TG41–TG43.

use taskgroup::{JoinError, until_cancelled};

use crate::support::{
    Log, Outcome, builder, everywhere, forever, group, messages, paused, sleep, turns,
};

// TG41, S8
#[test]
fn tg41_cancel_ends_body_and_children_without_an_error() {
    everywhere(|| async {
        let log = Log::default();
        let ended = builder()
            .run_cancellable(async |group| {
                group.spawn(log.forever("child"));
                let (scope, seen) = (group.clone(), log.clone());
                group.spawn(async move {
                    seen.started(2).await;
                    scope.cancel();
                    scope.cancel();
                });
                log.forever("body").await;
                Ok(())
            })
            .await;
        assert_eq!(ended.unwrap(), None);
        assert_eq!(log.take_sorted(), ["body", "child"]);
    });
}

// TG41, S8: the value of a body that was done counts.
#[test]
fn tg41_cancel_after_the_body_is_done() {
    everywhere(|| async {
        let log = Log::default();
        let ended = group(async |group| {
            let scope = group.clone();
            group.spawn(log.forever("child"));
            group.spawn(async move { scope.cancel() });
            Ok(7)
        });
        assert_eq!(ended.await.unwrap(), 7);
        assert_eq!(log.take(), ["child"]);
    });
}

// TG41, S8
#[test]
fn tg41_errors_still_come_out_of_a_cancelled_group() {
    everywhere(|| async {
        let log = Log::default();
        let error = group(async |group| -> Outcome {
            let work = log.forever("work");
            group.spawn(async {
                let _cancelled = until_cancelled(work).await;
                Outcome::<()>::Err("child".into())
            });
            log.started(1).await;
            group.cancel();
            Err("body".into())
        })
        .await
        .unwrap_err();
        let mut all = messages(&error);
        all.sort();
        assert_eq!(all, ["body", "child"]);
    });
}

// TG41, S8, S9
#[test]
fn tg41_spawning_after_cancel_is_refused_and_cancel_after_the_end_does_nothing() {
    everywhere(|| async {
        let log = Log::default();
        let group = group(async |group| {
            group.cancel();
            let handle = group.spawn(log.forever("dropped"));
            assert_eq!(log.take(), ["dropped"]);
            taskgroup::shield(async { assert!(handle.await.unwrap_err().is_cancelled()) }).await;
            Ok(group)
        });
        // Cancelled, but the body had a value and nothing failed.
        let group = group.await.unwrap();
        group.cancel();
        assert_eq!(group.live(), 0);
    });
}

// TG42, S8, S17, S19
#[test]
fn tg42_an_outer_cancel_after_cancel_comes_out() {
    paused(async {
        let log = Log::default();
        group(async |outer| {
            let log = log.clone();
            let child = outer.spawn(async move {
                let inner = builder().run_cancellable(async |inner| {
                    inner.spawn(async {
                        let Err(cancelled) = until_cancelled(forever()).await else {
                            return Ok(());
                        };
                        sleep(100).await;
                        Err(cancelled)
                    });
                    sleep(1).await;
                    inner.cancel();
                    forever().await;
                    Ok(())
                });
                inner.await?;
                log.add("went on after the group");
                sleep(1).await;
                log.add("the outer cancel was lost");
                Outcome::Ok(())
            });
            sleep(50).await;
            let line = line!() + 1;
            child.cancel();
            let Err(JoinError::Cancelled(cancelled)) = child.await else {
                panic!()
            };
            assert_eq!(cancelled.reason().location().line(), line);
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), [""; 0]);
    });
}

// TG43, S11
#[test]
fn tg43_a_child_that_cancels_its_group_is_cancelled_itself() {
    everywhere(|| async {
        let log = Log::default();
        let ended = builder()
            .run_cancellable(async |group| {
                let (scope, log) = (group.clone(), log.clone());
                group.spawn(async move {
                    scope.cancel();
                    log.add("up to the next suspension point");
                    turns(1).await;
                    log.add("and no further");
                });
                forever().await;
                Ok(())
            })
            .await;
        assert_eq!(ended.unwrap(), None);
        assert_eq!(log.take(), ["up to the next suspension point"]);
    });
}
