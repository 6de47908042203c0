//! S27: at most so many run, the rest queue in order, and places come back.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use taskgroup::{Policy, TaskGroup};

use crate::support::{
    Log, Outcome, Steps, builder, everywhere, forever, ms, paused, sleep, took, turns,
};

/// Counts who is inside, and the most there ever were.
#[derive(Clone, Default)]
struct Room(Arc<(AtomicUsize, AtomicUsize)>);

impl Room {
    fn enter(&self) -> Inside {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        Inside(self.clone())
    }

    fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

struct Inside(Room);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

// S27
#[test]
fn never_more_than_the_limit() {
    everywhere(|| async {
        let room = Room::default();
        builder()
            .limit(3)
            .run(async |group| {
                for _ in 0..200 {
                    let room = room.clone();
                    group.spawn(async move {
                        let _inside = room.enter();
                        turns(3).await;
                    });
                }
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(room.most(), 3);
    });
}

// S27: in spawn order, and not polled before.
#[test]
fn in_order() {
    paused(async {
        let log = Log::default();
        let (time, result) = took(builder().limit(2).run(async |group| {
            for number in 0..6 {
                let log = log.clone();
                group.spawn(async move {
                    log.add(number.to_string());
                    sleep(10).await;
                });
            }
            sleep(5).await;
            assert_eq!(log.take(), ["0", "1"]);
            Ok(())
        }))
        .await;
        result.unwrap();
        assert_eq!(time, 30);
        assert_eq!(log.take(), ["2", "3", "4", "5"]);
    });
}

// S27: a place comes back from each that had it: success, failure, panic, cancel; and from each
// never started there is none to come back. Afterwards the limit is what it was.
#[test]
fn places_never_leak() {
    everywhere(|| async {
        let room = Room::default();
        builder()
            .policy(Policy::collect())
            .limit(4)
            .run_to_end(async |group| {
                for round in 0..300 {
                    let room = room.clone();
                    let task = group.spawn(async move {
                        let _inside = room.enter();
                        turns(round % 3).await;
                        match round % 4 {
                            0 => Err::<(), _>("failed"),
                            1 => panic!("panicked"),
                            2 => {
                                forever().await;
                                Ok(())
                            }
                            _ => Ok(()),
                        }
                    });
                    if round % 4 == 2 || round % 7 == 0 {
                        turns(round % 2).await;
                        task.cancel();
                    }
                }
                while group.live() > 0 {
                    turns(1).await;
                }
                // All four places are there still: four that wait for each other can only end
                // together.
                let met = Arc::new(tokio::sync::Barrier::new(4));
                for _ in 0..4 {
                    let (met, room) = (met.clone(), room.clone());
                    group.spawn(async move {
                        let _inside = room.enter();
                        met.wait().await;
                    });
                }
                Ok(())
            })
            .await;
        assert_eq!(room.most(), 4);
    });
}

// S27, S7: a queued child that is cancelled through its handle ends at once, not when a place is
// free, and never runs.
#[test]
fn cancelling_a_queued_child() {
    paused(async {
        let log = Log::default();
        let result = builder()
            .limit(1)
            .run(async |group| {
                let first = group.spawn(async { forever().await });
                let queued = group.spawn(log.forever("gone"));
                let last = group.spawn(async { Ok::<_, String>("ran") });
                turns(5).await;
                queued.cancel();
                let (time, outcome) = took(queued).await;
                assert_eq!(time, 0);
                assert!(outcome.unwrap_err().is_cancelled());
                assert_eq!(log.take(), ["gone"]);
                // Its end made no room: the one after it still waits.
                turns(20).await;
                assert!(!last.is_finished());
                first.cancel();
                Ok(last.await?)
            })
            .await;
        assert_eq!(result.unwrap(), "ran");
    });
}

// S27, S11: a cancelled group drops its queue; nothing of it runs.
#[test]
fn cancelling_the_group() {
    paused(async {
        let log = Log::default();
        let result: Outcome<Option<()>> = builder()
            .limit(1)
            .run_cancellable(async |group| {
                group.spawn(log.forever("first"));
                for _ in 0..3 {
                    group.spawn(log.forever("queued"));
                }
                turns(3).await;
                group.cancel();
                forever().await;
                Ok(())
            })
            .await
            .map_err(Into::into);
        assert_eq!(result.unwrap(), None);
        assert_eq!(log.take(), ["first", "queued", "queued", "queued"]);
    });
}

// S27: a failure is what comes out, whatever waited for a place.
#[test]
fn a_failure_is_not_hidden() {
    paused(async {
        let errors = builder()
            .limit(1)
            .run(async |group| {
                group.spawn(async { Err::<(), _>("real") });
                for _ in 0..3 {
                    group.spawn(async { Ok::<_, String>(()) });
                }
                group.spawn_when_free(async { forever().await }).await;
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(
            errors.into_single().unwrap().error().unwrap().to_string(),
            "real"
        );
    });
}

// S27: back-pressure, exactly: never more futures than places, however many callers wait.
#[test]
fn spawn_when_free_waits() {
    everywhere(|| async {
        let room = Room::default();
        let spawned = Steps::default();
        builder()
            .limit(2)
            .run(async |group| {
                let feed = |group: TaskGroup| {
                    let (room, spawned) = (room.clone(), spawned.clone());
                    async move {
                        for _ in 0..50 {
                            let inner = room.clone();
                            group
                                .spawn_when_free(async move {
                                    let _inside = inner.enter();
                                    turns(2).await;
                                })
                                .await;
                            spawned.step();
                        }
                    }
                };
                tokio::join!(
                    feed(group.clone()),
                    feed(group.clone()),
                    feed(group.clone())
                );
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(room.most(), 2);
        spawned.reached(150).await;
    });
}

// S27: a wait that is given up takes no place with it.
#[test]
fn spawn_when_free_given_up() {
    paused(async {
        let (time, result) = took(builder().limit(1).run(async |group| {
            group.spawn(async { sleep(10).await });
            let given_up = taskgroup::move_on_after(ms(5), group.spawn_when_free(async {})).await;
            assert!(given_up.is_none());
            group.spawn_when_free(async { sleep(10).await }).await;
            assert_eq!(group.live(), 1);
            Ok(())
        }))
        .await;
        result.unwrap();
        assert_eq!(time, 20);
    });
}

// S27: a child with a name waits for its place like any other; a background child takes none.
#[test]
fn a_named_child_spawns_when_free() {
    paused(async {
        let (time, result) = took(builder().limit(1).run(async |group| {
            group.spawn(async { sleep(10).await });
            let heartbeat = group.task("heartbeat").background();
            let heartbeat = heartbeat.spawn_when_free(forever()).await;
            let second = group
                .task("second")
                .spawn_when_free(async { sleep(10).await });
            let second = second.await;
            assert_eq!((second.name().as_ref(), group.live()), ("second", 2));
            assert!(!heartbeat.is_finished());
            second.await?;
            Ok(())
        }))
        .await;
        result.unwrap();
        assert_eq!(time, 20);
    });
}

// S27, S9: waiting for a place ends with the group; the future is dropped.
#[test]
fn spawn_when_free_into_a_cancelled_group() {
    paused(async {
        let log = Log::default();
        let (group, result) = {
            let mut out = None;
            let result = builder()
                .limit(1)
                .run_cancellable(async |group| {
                    out = Some(group.clone());
                    group.spawn(async { forever().await });
                    group.cancel();
                    Ok(())
                })
                .await;
            (out.unwrap(), result)
        };
        assert_eq!(result.unwrap(), Some(()));
        let task = group.spawn_when_free(log.forever("refused")).await;
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["refused"]);
    });
}

// S27, S9: who waits for a place ends with the group's cancellation, not when those who have the
// places have cleaned up.
#[test]
fn a_queued_child_does_not_wait_for_the_cleanup_of_others() {
    everywhere(|| async {
        let (open, gate) = tokio::sync::oneshot::channel::<()>();
        let (give, got) = tokio::sync::oneshot::channel();
        let run = builder().limit(1).run_cancellable(async |group| {
            let (begun, is_begun) = tokio::sync::oneshot::channel();
            group.spawn(taskgroup::shield(async move {
                let _ = begun.send(());
                let _ = gate.await;
            }));
            let queued = group.spawn(forever());
            is_begun.await?;
            let _ = give.send((group, queued));
            forever().await;
            Ok(())
        });
        let outside = async {
            let (group, queued) = got.await.unwrap();
            group.cancel();
            assert!(queued.await.unwrap_err().is_cancelled());
            open.send(()).unwrap();
        };
        let (ended, ()) = tokio::join!(run, outside);
        ended.unwrap();
    });
}

/// Counts how often what is inside is polled.
async fn counted<F: Future>(polls: Arc<AtomicUsize>, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let poll = |cx: &mut std::task::Context<'_>| {
        let polled = future.as_mut().poll(cx);
        // Afterwards: who sees the count finds it waiting.
        polls.fetch_add(1, Ordering::SeqCst);
        polled
    };
    std::future::poll_fn(poll).await
}

// S27, S44: a place that is given back is handed to the one that waits longest, and no other one is
// woken.
#[test]
fn fault_d2_a_free_place_wakes_one_waiter_in_turn() {
    const WAITERS: usize = 500;
    everywhere(|| async {
        let (log, polls) = (Log::default(), Arc::new(AtomicUsize::new(0)));
        builder()
            .limit(1)
            .run(async |group| {
                let first = group.spawn(forever());
                TaskGroup::run(async |waiters| {
                    for number in 0..WAITERS {
                        let (group, log) = (group.clone(), log.clone());
                        let spawned = async move {
                            let child = async move { log.add(number.to_string()) };
                            group.spawn_when_free(child).await;
                        };
                        let waiter = waiters.spawn(counted(polls.clone(), spawned));
                        // In this order.
                        while polls.load(Ordering::SeqCst) <= number {
                            tokio::task::yield_now().await;
                        }
                        drop(waiter);
                    }
                    first.cancel();
                    Ok(())
                })
                .await?;
                Ok(())
            })
            .await
            .unwrap();
        let expected: Vec<_> = (0..WAITERS).map(|number| number.to_string()).collect();
        assert_eq!(log.take(), expected);
        assert_eq!(polls.load(Ordering::SeqCst), 2 * WAITERS);
    });
}

/// Polls once, and tells whether it is ready.
async fn is_ready<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_ready())).await
}

// S44: a place that was handed over, and whose taker has gone, goes to the next one.
#[test]
fn fault_d2_a_place_that_is_not_taken_goes_on() {
    everywhere(|| async {
        builder()
            .limit(1)
            .run(async |group| {
                let (first, log) = (group.spawn(forever()), Log::default());
                let mut waiters: Vec<_> = (0..4)
                    .map(|number| {
                        let log = log.clone();
                        Box::pin(group.spawn_when_free(async move { log.add(number.to_string()) }))
                    })
                    .collect();
                for waiter in &mut waiters {
                    assert!(!is_ready(waiter).await);
                }
                // One goes before its turn, one when it has been handed the place.
                drop(waiters.remove(1));
                first.cancel();
                first.ended().await;
                let mut last = Box::pin(group.spawn_when_free(async {}));
                while group.live() > 0 {
                    tokio::task::yield_now().await;
                }
                assert!(!is_ready(&mut last).await, "the place is that of another");
                assert!(!is_ready(&mut waiters[2]).await, "not in its turn");
                drop(waiters.remove(0));
                assert!(!is_ready(&mut waiters[1]).await, "not in its turn");
                waiters.remove(0).await.await?;
                assert_eq!(log.take(), ["2"]);
                waiters.remove(0).await.await?;
                last.await.await?;
                Ok(())
            })
            .await
            .unwrap();
    });
}

// S27, S44: when the group is cancelled all those who wait for a place are woken.
#[test]
fn cancelled_with_waiters() {
    everywhere(|| async {
        let polls = Arc::new(AtomicUsize::new(0));
        TaskGroup::run(async |waiters| {
            builder()
                .limit(1)
                .run_cancellable(async |group| {
                    group.spawn(forever());
                    for _ in 0..20 {
                        let group = group.clone();
                        let spawned = async move {
                            let refused = group.spawn_when_free(forever()).await;
                            assert!(refused.await.unwrap_err().is_cancelled());
                        };
                        waiters.spawn(counted(polls.clone(), spawned));
                    }
                    while polls.load(Ordering::SeqCst) < 20 {
                        tokio::task::yield_now().await;
                    }
                    group.cancel();
                    Ok(())
                })
                .await?;
            Ok(())
        })
        .await
        .unwrap();
    });
}
