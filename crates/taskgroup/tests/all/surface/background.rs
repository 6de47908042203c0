//! S28: children that the group owns and does not wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use taskgroup::{ReasonKind, TaskGroup, timeout, until_cancelled};

use crate::support::{
    Log, Outcome, builder, everywhere, forever, messages, ms, paused, sleep, took, turns,
};

// S28: cancelled when the body and the ordinary children are done, with cleanup.
#[test]
fn ends_with_the_others() {
    paused(async {
        let log = Log::default();
        let (time, result) = took(builder().run(async |group| {
            let own = log.clone();
            group.task("heartbeat").background().spawn(async move {
                let Err(cancelled) = until_cancelled(forever()).await else {
                    return Ok(());
                };
                own.add(format!("{:?}", cancelled.reason().kind()));
                sleep(5).await;
                own.add("cleaned up");
                Err(cancelled)
            });
            group.spawn(async { sleep(10).await });
            sleep(3).await;
            Ok("value")
        }))
        .await;
        assert_eq!((time, result.unwrap()), (15, "value"));
        assert_eq!(
            log.take(),
            [format!("{:?}", ReasonKind::GroupEnded), "cleaned up".into()]
        );
    });
}

// S28: alone they keep nothing open.
#[test]
fn alone() {
    everywhere(|| async {
        for _ in 0..50 {
            builder()
                .run(async |group| {
                    group
                        .task("service")
                        .background()
                        .spawn(async { forever().await });
                    turns(1).await;
                    Ok(())
                })
                .await
                .unwrap();
        }
    });
}

// S28: one that comes to its end by itself is nothing special.
#[test]
fn may_end_early() {
    paused(async {
        let value = builder()
            .run(async |group| {
                let task = group
                    .task("quick")
                    .background()
                    .spawn(async { Ok::<_, String>(1) });
                Ok(task.await?)
            })
            .await;
        assert_eq!(value.unwrap(), 1);
    });
}

// S28, S6: its failure is one of the group.
#[test]
fn failure() {
    paused(async {
        let run = builder().run(async |group| {
            group.task("service").background().spawn(async {
                sleep(1).await;
                Err::<(), _>("broken")
            });
            forever().await;
            Ok(())
        });
        assert_eq!(messages(&run.await.unwrap_err()), ["broken"]);
    });
}

// S28: also when it fails in the cleanup at the very end.
#[test]
fn failure_at_the_end() {
    paused(async {
        let run = builder().run(async |group| {
            group.task("service").background().spawn(async {
                let _cancelled = until_cancelled(forever()).await;
                Err::<(), _>("not closed")
            });
            turns(2).await;
            Ok(())
        });
        assert_eq!(messages(&run.await.unwrap_err()), ["not closed"]);
    });
}

// S28, S27: it takes no place below the limit.
#[test]
fn takes_no_place() {
    paused(async {
        let (time, result) = took(builder().limit(1).run(async |group| {
            group
                .task("service")
                .background()
                .spawn(async { forever().await });
            group.spawn(async { sleep(1).await });
            group.spawn(async { sleep(1).await });
            Ok(())
        }))
        .await;
        result.unwrap();
        assert_eq!(time, 2);
    });
}

// S28, S4: an ordinary child that a background child spawns is waited for.
#[test]
fn spawns_ordinary_children() {
    paused(async {
        let log = Log::default();
        let (time, result) = took(builder().run(async |group: TaskGroup| {
            let (own, inner) = (log.clone(), group.clone());
            group.task("service").background().spawn(async move {
                sleep(1).await;
                inner.spawn(async move {
                    sleep(10).await;
                    own.add("done");
                });
                forever().await;
            });
            sleep(2).await;
            Ok(())
        }))
        .await;
        result.unwrap();
        assert_eq!(time, 11);
        assert_eq!(log.take(), ["done"]);
    });
}

// S28: spawned from outside while the group already winds up, it does not keep the group open
// either.
#[test]
fn spawned_while_the_group_ends() {
    everywhere(|| async {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..200 {
            let mut spawner = None;
            builder()
                .run(async |group| {
                    let group = group.clone();
                    let stop = stop.clone();
                    let (sent, wait) = tokio::sync::oneshot::channel();
                    spawner = Some(tokio::spawn(async move {
                        let _ = sent.send(());
                        for _ in 0..3 {
                            group
                                .task("late")
                                .background()
                                .spawn(async { forever().await });
                            tokio::task::yield_now().await;
                        }
                        stop.store(true, Ordering::SeqCst);
                    }));
                    let _ = wait.await;
                    Ok(())
                })
                .await
                .unwrap();
            spawner.unwrap().await.unwrap();
        }
        assert!(stop.load(Ordering::SeqCst));
    });
}

// S28, S20: a deadline around it all.
#[test]
fn cancelled_from_outside() {
    paused(async {
        let log = Log::default();
        let run = builder().run(async |group| -> Outcome {
            group
                .task("service")
                .background()
                .spawn(log.forever("dropped"));
            forever().await;
            Ok(())
        });
        assert!(timeout(ms(1), run).await.is_err());
        assert_eq!(log.take(), ["dropped"]);
    });
}
