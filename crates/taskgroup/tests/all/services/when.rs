//! S51: futures of a cancellation and of an end.

use taskgroup::{Policy, TaskGroup, shield, until_cancelled, when_cancelled, when_ended};
use tokio::task::JoinHandle;

use crate::support::{
    Log, Outcome, Steps, builder, dropped_when, everywhere, forever, group, turns,
};

fn is_for_a_server<F: Future<Output = ()> + Send + 'static>(future: F) -> F {
    future
}

// S51: for code that runs elsewhere: the scope of the call, whichever task polls the future.
#[test]
fn cancelled_tells_other_tasks() {
    everywhere(|| async {
        let log = Log::default();
        let server = log.clone();
        let ran = group(async |group| {
            let steps = Steps::default();
            let begun = steps.clone();
            let task = group.spawn(async move {
                let stop = is_for_a_server(when_cancelled());
                let told = tokio::spawn(stop);
                begun.step();
                // A graceful stop: what is in flight is finished.
                shield(async move {
                    told.await.unwrap();
                    server.add("stopping");
                    turns(3).await;
                    server.add("stopped");
                })
                .await;
            });
            steps.reached(1).await;
            turns(2).await;
            assert!(log.take().is_empty() && !task.is_finished());
            task.cancel();
            // Nothing was left to cut off.
            task.await?;
            Ok(())
        });
        ran.await.unwrap();
        assert_eq!(log.take(), ["stopping", "stopped"]);
    });
}

// S51: of a group: many watches, each cancelled one and each ended one resolves.
#[test]
fn a_group_is_watched() {
    everywhere(|| async {
        let ran = builder().run_cancellable(async |group: TaskGroup| {
            let mut told = Vec::new();
            for _ in 0..50 {
                told.push(tokio::spawn(is_for_a_server(group.when_cancelled())));
                told.push(tokio::spawn(is_for_a_server(group.when_ended())));
            }
            turns(2).await;
            assert!(told.iter().all(|watch| !watch.is_finished()));
            group.spawn(forever());
            group.cancel();
            Ok((told, group))
        });
        let (told, group) = ran.await.unwrap().unwrap();
        for watch in told {
            watch.await.unwrap();
        }
        // Afterwards they are ready at once.
        group.when_cancelled().await;
        group.when_ended().await;
    });
}

// S51: the end comes after the last child and its cleanup. A scope that ends without having been
// cancelled ends the watch of its cancellation, too.
#[test]
fn ended_is_after_everything() {
    everywhere(|| async {
        let (log, steps) = (Log::default(), Steps::default());
        let (cleaning, begun) = (log.clone(), steps.clone());
        let ended = log.clone();
        let ran = builder().run_cancellable(async |group: TaskGroup| {
            let end = group.when_ended();
            let watch = tokio::spawn(async move {
                end.await;
                ended.add("ended");
            });
            group.spawn(async move {
                begun.step();
                let cancelled = until_cancelled(forever()).await;
                turns(5).await;
                cleaning.add("cleaned");
                cancelled.map(drop)
            });
            steps.reached(1).await;
            group.cancel();
            Ok(watch)
        });
        ran.await.unwrap().unwrap().await.unwrap();
        assert_eq!(log.take(), ["cleaned", "ended"]);

        let ran = group(async |group| {
            let watches = [
                tokio::spawn(group.when_cancelled()),
                tokio::spawn(when_cancelled()),
            ];
            let task = group.spawn(async { Outcome::Ok(tokio::spawn(when_ended())) });
            let task = task.await?;
            Ok((watches, task))
        });
        let (watches, task) = ran.await.unwrap();
        for watch in watches {
            watch.await.unwrap();
        }
        task.await.unwrap();
    });
}

// S51, S37: in the cancelled scope itself it does not come back without a guard.
#[test]
fn it_ends_a_cancelled_loop() {
    everywhere(|| async {
        let rounds = Steps::default();
        let ran = builder().run_cancellable(async |group: TaskGroup| {
            group.cancel();
            loop {
                when_cancelled().await;
                rounds.step();
            }
            #[allow(unreachable_code)]
            Ok(())
        });
        assert_eq!(ran.await.unwrap(), None);
        assert!(rounds.is_at(0));

        // Under the guard it is ready.
        let ran = group(async |group: TaskGroup| {
            let own = group.clone();
            let guarded = group.spawn(async move {
                own.cancel();
                let cancelled = until_cancelled(forever()).await.unwrap_err();
                own.when_cancelled().await;
                drop(cancelled);
                Outcome::Ok(1)
            });
            shield(async { assert_eq!(guarded.await.unwrap(), 1) }).await;
            Ok(())
        });
        ran.await.unwrap();
    });
}

// S51, S44: a watch that is dropped is forgotten: its waker, and what that keeps, is gone.
#[test]
fn a_dropped_watch_is_forgotten() {
    use std::sync::Arc;
    use std::task::{Context, Wake, Waker};
    struct Idle;
    impl Wake for Idle {
        fn wake(self: Arc<Self>) {}
    }
    everywhere(|| async {
        let ran = group(async |group| {
            let idle = Arc::new(Idle);
            let waker = Waker::from(idle.clone());
            for _ in 0..100 {
                let mut watch = std::pin::pin!(group.when_ended());
                let polled = watch.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(polled.is_pending());
                assert_eq!(Arc::strong_count(&idle), 3);
            }
            assert_eq!(Arc::strong_count(&idle), 2);
            // Polled again it has one place, and the newest waker.
            let mut watch = std::pin::pin!(group.when_cancelled());
            for _ in 0..3 {
                let polled = watch.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(polled.is_pending());
            }
            assert_eq!(Arc::strong_count(&idle), 3);
            Ok(())
        });
        ran.await.unwrap();
    });
}

fn watch(group: &TaskGroup) -> [JoinHandle<()>; 2] {
    [
        tokio::spawn(group.when_cancelled()),
        tokio::spawn(group.when_ended()),
    ]
}

// S51: a watch resolves in whatever way its group ends: without a child, when all fail or panic,
// cancelled from outside, and dropped half-way.
#[test]
fn each_end_resolves_a_watch() {
    everywhere(|| async {
        let empty = builder().run(async |group: TaskGroup| Ok(watch(&group)));
        let mut watches = Vec::from(empty.await.unwrap());

        let collect = builder().policy(Policy::collect());
        let (all_fail, errors) = collect
            .run_to_end(async |group: TaskGroup| {
                let watches = watch(&group);
                for number in 0..10 {
                    group.spawn(async move {
                        assert!(number % 2 == 0, "odd");
                        Err::<(), _>("even")
                    });
                }
                Ok(watches)
            })
            .await;
        assert_eq!(errors.unwrap().len(), 10);
        watches.extend(all_fail.unwrap());

        let log = Log::default();
        let outer = builder().run_cancellable(async |outer: TaskGroup| {
            let (child, (tell, told)) = (log.forever("child"), tokio::sync::oneshot::channel());
            outer.spawn(async move {
                let inner = builder().run(async |group: TaskGroup| {
                    group.spawn(child);
                    let _ = tell.send(watch(&group));
                    forever().await;
                    Ok(())
                });
                inner.await
            });
            watches.extend(told.await?);
            log.started(1).await;
            assert!(!watches[4].is_finished());
            outer.cancel();
            Ok(())
        });
        outer.await.unwrap();

        let ran = group(async |_| {
            let inner = builder().run(async |group: TaskGroup| {
                watches.extend(watch(&group));
                group.spawn(log.forever("child"));
                forever().await;
                Ok(())
            });
            dropped_when(inner, log.started(2)).await;
            Ok(())
        });
        ran.await.unwrap();

        assert_eq!(watches.len(), 8);
        for watch in watches {
            watch.await.unwrap();
        }
        assert_eq!(log.take(), ["child", "child"]);
    });
}
