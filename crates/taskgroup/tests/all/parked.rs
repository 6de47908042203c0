//! Sections that are alive and not polled: groups, deadlines and shields that were polled once and
//! then left among the local variables, kept in a value, sent elsewhere. S40.

// Futures that come out of futures are what this is about.
#![allow(clippy::async_yields_async)]

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use taskgroup::{
    ErrorGroup, JoinError, ReasonKind, TaskGroup, bracket, current_deadline, is_cancelled, shield,
    timeout, until_cancelled,
};
use tokio::sync::oneshot;

use crate::support::{
    Log, Outcome, Steps, again, builder, everywhere, forever, group, messages, ms, paused, sleep,
    took, turns,
};

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T, ErrorGroup>> + Send>>;

/// Polls a future that is not ready yet, and lets it be.
async fn once<F: Future + ?Sized>(mut future: Pin<&mut F>) {
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// A group with a child that waits for a step, polled once. Its value is 7.
async fn parked(step: &Steps) -> Boxed<u32> {
    let step = step.clone();
    let mut parked: Boxed<u32> = Box::pin(group(async move |inner| {
        inner.spawn(async move { step.reached(1).await });
        Ok(7)
    }));
    once(parked.as_mut()).await;
    parked
}

/// The same, with a child that never ends by itself and takes its time to clean up.
async fn slow(log: &Log, outcome: Outcome) -> Boxed<u32> {
    let log = log.clone();
    let mut parked: Boxed<u32> = Box::pin(group(async move |inner| {
        inner.task("slow").spawn(async move {
            let Err(cancelled) = until_cancelled(log.forever("work dropped")).await else {
                return Outcome::Ok(());
            };
            turns(5).await;
            log.add("cleaned up");
            outcome?;
            Err(cancelled.into())
        });
        Ok(7)
    }));
    once(parked.as_mut()).await;
    parked
}

// ---- handing on ----

// S40
#[test]
fn fault_b8_a_deadline_around_each_item_of_a_stream_with_a_group_in_it() {
    everywhere(|| async {
        let (step, stay) = (Steps::default(), Duration::from_secs(3600));
        let mut inner = None;
        for item in 0..3 {
            let next = async {
                match &mut inner {
                    None => inner = Some(parked(&step).await),
                    Some(inner) => once(inner.as_mut()).await,
                }
                item
            };
            assert_eq!(timeout(stay, next).await.unwrap(), item);
        }
        step.step();
        assert_eq!(inner.unwrap().await.unwrap(), 7);
    });
}

// S40, S20: the deadline is that of the connecting, not that of the connection.
#[test]
fn fault_b8_a_deadline_around_what_gives_a_running_group() {
    paused(async {
        let step = Steps::default();
        let (after, connected) = took(timeout(ms(100), parked(&step))).await;
        assert_eq!(after, 0);
        sleep(1000).await;
        step.step();
        assert_eq!(connected.unwrap().await.unwrap(), 7);
    });
}

// S40
#[test]
fn fault_b8_the_body_of_a_group_polls_another_one_and_leaves_it() {
    everywhere(|| async {
        let step = Steps::default();
        let later = group(async |_| Ok(parked(&step).await)).await.unwrap();
        step.step();
        assert_eq!(later.await.unwrap(), 7);
    });
}

// S40: by a task, whose group may have nothing left to do but wait.
#[test]
fn what_a_child_returns_goes_on_to_its_group_and_further() {
    everywhere(|| async {
        let step = Steps::default();
        let child = group(async |outer| {
            let below = step.clone();
            Ok(outer.spawn(async move { Outcome::Ok(parked(&below).await) }))
        });
        let later = child.await.unwrap().await.unwrap();
        step.step();
        assert_eq!(later.await.unwrap(), 7);
    });
}

// S40: through scopes that end one after the other.
#[test]
fn nested_scopes_hand_on_one_after_the_other() {
    everywhere(|| async {
        let (step, stay) = (Steps::default(), Duration::from_secs(3600));
        let inner = async { until_cancelled(shield(parked(&step))).await.unwrap() };
        let later = timeout(stay, timeout(stay, inner)).await.unwrap().unwrap();
        let later = group(async move |_| Ok(later)).await.unwrap();
        step.step();
        assert_eq!(later.await.unwrap(), 7);
    });
}

// S40: a parked group with a parked group in it; the outer one is dropped, the inner one lives on.
#[test]
fn a_parked_group_that_is_dropped_hands_on_what_lives() {
    everywhere(|| async {
        let (step, stay) = (Steps::default(), Duration::from_secs(3600));
        let (sender, receiver) = oneshot::channel();
        let below = step.clone();
        let outer = async {
            let mut outer: Boxed<()> = Box::pin(group(async move |_| {
                let _ = sender.send(parked(&below).await);
                forever().await;
                Ok(())
            }));
            once(outer.as_mut()).await;
            outer
        };
        let outer = timeout(stay, outer).await.unwrap();
        let inner = receiver.await.unwrap();
        drop(outer);
        step.step();
        assert_eq!(inner.await.unwrap(), 7);
    });
}

// S40, S15: a section that is dropped half-way cancels what it left, not what lives on elsewhere.
#[test]
fn a_section_that_is_dropped_cancels_nothing_that_lives_elsewhere() {
    everywhere(|| async {
        let (step, stay) = (Steps::default(), Duration::from_secs(3600));
        let mut inner = None;
        let mut section = Box::pin(timeout(stay, async {
            inner = Some(parked(&step).await);
            forever().await;
        }));
        once(section.as_mut()).await;
        drop(section);
        step.step();
        assert_eq!(inner.unwrap().await.unwrap(), 7);
    });
}

// S40
#[test]
fn what_is_leaked_holds_nothing_up() {
    everywhere(|| async {
        let step = Steps::default();
        let below = step.clone();
        group(async |outer| {
            outer.spawn(async move { std::mem::forget(parked(&below).await) });
            Ok(())
        })
        .await
        .unwrap();
        step.step();
    });
}

// S40, S2: polled by another task, on another thread.
#[test]
fn another_task_goes_on_with_it() {
    everywhere(|| async {
        let step = Steps::default();
        let (sender, receiver) = oneshot::channel();
        let value = group(async |outer| {
            let below = step.clone();
            let first = outer.spawn(async move {
                let _ = sender.send(parked(&below).await);
            });
            let second = outer.spawn(async move { Outcome::Ok(receiver.await?.await?) });
            first.await?;
            step.step();
            Ok(second.await?)
        });
        assert_eq!(value.await.unwrap(), 7);
    });
}

// S40: its children end on one thread while it is handed on, polled and dropped on others.
#[test]
fn handing_on_races_with_the_end() {
    everywhere(|| async {
        for round in 0..200 {
            let (step, count) = (Steps::default(), Arc::new(AtomicUsize::new(0)));
            let (sender, receiver) = oneshot::channel();
            group(async |outer| {
                let (below, seen) = (step.clone(), count.clone());
                outer.spawn(async move {
                    let mut inner: Boxed<()> = Box::pin(group(async move |inner| {
                        for _ in 0..2 {
                            let (below, seen) = (below.clone(), seen.clone());
                            inner.spawn(async move {
                                below.reached(1).await;
                                seen.fetch_add(1, Ordering::SeqCst);
                            });
                        }
                        Ok(())
                    }));
                    let polled = poll_fn(|cx| Poll::Ready(inner.as_mut().poll(cx))).await;
                    if polled.is_pending() {
                        let _ = sender.send(inner);
                    }
                });
                outer.spawn(async move {
                    let Ok(inner) = receiver.await else {
                        // The step was taken before its first poll was over.
                        return Ok(());
                    };
                    if round % 2 == 0 {
                        inner.await?;
                        assert_eq!(count.load(Ordering::SeqCst), 2);
                    }
                    Outcome::Ok(())
                });
                step.step();
                Ok(())
            })
            .await
            .unwrap();
        }
    });
}

// S40, S15: dropped later, its children are waited for where it is at home now.
#[test]
fn the_new_home_adopts_what_is_dropped_later() {
    everywhere(|| async {
        let log = Log::default();
        group(async |_| {
            let later = timeout(Duration::from_secs(3600), slow(&log, Ok(()))).await?;
            log.started(1).await;
            drop(later);
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["work dropped", "cleaned up"]);
    });
}

// S40, S6: and a failure of its cleanup fails the group where it is at home now.
#[test]
fn the_new_home_answers_for_what_fails_later() {
    everywhere(|| async {
        let log = Log::default();
        let error = group(async |outer| {
            let seen = log.clone();
            let child =
                outer.spawn(async move { Outcome::Ok(slow(&seen, Err("late".into())).await) });
            let later = child.await?;
            log.started(1).await;
            drop(later);
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["late"]);
    });
}

// S40, S6: polled to its end, it fails by itself.
#[test]
fn what_fails_after_it_was_handed_on_says_so_itself() {
    everywhere(|| async {
        let step = Steps::default();
        let below = step.clone();
        let later = group(async move |_| {
            let mut later: Boxed<()> = Box::pin(group(async move |inner| {
                inner.spawn(async move {
                    below.reached(1).await;
                    Outcome::<()>::Err("late".into())
                });
                Ok(())
            }));
            once(later.as_mut()).await;
            Ok(later)
        });
        let later = later.await.unwrap();
        step.step();
        assert_eq!(messages(&later.await.unwrap_err()), ["late"]);
    });
}

// S40, S21: the deadline that it was opened under neither fires on it nor binds its code.
#[test]
fn an_old_deadline_limits_nothing() {
    paused(async {
        let opened = async {
            let mut inner: Boxed<_> = Box::pin(group(async |_| {
                let before = current_deadline();
                sleep(500).await;
                Ok((before, current_deadline()))
            }));
            once(inner.as_mut()).await;
            inner
        };
        let later = timeout(ms(100), opened).await.unwrap();
        let (before, after) = later.await.unwrap();
        assert!(before.is_some());
        assert_eq!(after, None);
    });
}

// S40, S13: the shield that it was opened under keeps nothing out any more.
#[test]
fn an_old_shield_protects_nothing() {
    everywhere(|| async {
        let log = Log::default();
        group(async |outer| {
            let seen = log.clone();
            let child = outer.spawn(async move {
                let inner = shield(slow(&seen, Ok(()))).await;
                let _ = inner.await;
                seen.add("went on");
            });
            log.started(1).await;
            child.cancel();
            assert!(matches!(child.await, Err(JoinError::Cancelled(_))));
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["work dropped", "cleaned up"]);
    });
}

// S40, S11: a cancellation of the new home reaches it, polled or not, and one that was there before
// it came.
#[test]
fn the_new_home_cancels_it() {
    everywhere(|| async {
        for before in [false, true] {
            let log = Log::default();
            let ended = builder().run_cancellable(async |outer| {
                let moved = async {
                    let later = slow(&log, Ok(())).await;
                    log.started(1).await;
                    if before {
                        shield(turns(1)).await;
                        outer.cancel();
                    }
                    later
                };
                let later = shield(moved).await;
                outer.cancel();
                let error = shield(later).await.unwrap_err();
                assert!(error.is_cancelled());
                Ok(())
            });
            ended.await.unwrap();
            assert_eq!(log.take(), ["work dropped", "cleaned up"]);
        }
    });
}

// S40, S14: a `bracket` that outlives the scope it began in releases in the one around.
#[test]
fn a_bracket_that_is_dropped_after_its_scope_has_ended_releases() {
    everywhere(|| async {
        let log = Log::default();
        let seen = log.clone();
        group(async |_| {
            let opened = async {
                let mut inner = Box::pin(bracket(
                    async { Outcome::Ok(()) },
                    async |()| {
                        forever().await;
                        Outcome::Ok(())
                    },
                    |()| async move {
                        turns(3).await;
                        seen.add("released");
                    },
                ));
                once(inner.as_mut()).await;
                inner
            };
            drop(timeout(Duration::from_secs(3600), opened).await?);
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["released"]);
    });
}

// ---- holds ----

// S40, S11: its child is cut off, waited for, and that is that.
#[test]
fn fault_b8_a_parked_group_does_not_hold_off_a_cancellation() {
    everywhere(|| async {
        let log = Log::default();
        group(async |outer| {
            let seen = log.clone();
            let child = outer.spawn(async move {
                let _parked = slow(&seen, Ok(())).await;
                seen.forever("reply dropped").await;
            });
            log.started(2).await;
            child.cancel();
            assert!(matches!(child.await, Err(JoinError::Cancelled(_))));
            // The handle waits for all of it. The work is cancelled with the child, so it may end
            // before that is dropped.
            assert_eq!(
                log.take_sorted(),
                ["cleaned up", "reply dropped", "work dropped"]
            );
            Ok(())
        })
        .await
        .unwrap();
    });
}

// S40, S18, S20: under a grace and a deadline, which both are kept.
#[test]
fn fault_b8_a_parked_group_does_not_use_up_a_grace() {
    paused(async {
        let log = Log::default();
        let run = builder().grace(ms(100)).run(async |outer| {
            let seen = log.clone();
            outer.spawn(async move {
                let _parked = slow(&seen, Ok(())).await;
                forever().await;
            });
            Ok(())
        });
        let (after, ended) = took(timeout(ms(100), run)).await;
        assert!(ended.is_err());
        assert_eq!(after, 100);
        assert_eq!(log.take(), ["work dropped", "cleaned up"]);
    });
}

// S40: sections of all kinds, in the body of a group and in a deadline as well.
#[test]
fn nothing_that_is_parked_holds_off_the_end() {
    paused(async {
        for kind in 0..5 {
            let (after, ended) = took(timeout(ms(100), async {
                let step = Steps::default();
                let mut section: Pin<Box<dyn Future<Output = ()>>> = match kind {
                    0 => Box::pin(shield(forever())),
                    1 => Box::pin(async { drop(until_cancelled(forever()).await) }),
                    2 => Box::pin(async { drop(timeout(ms(9999), shield(forever())).await) }),
                    3 => Box::pin(shield(async {
                        let _inner = parked(&step).await;
                        forever().await;
                    })),
                    _ => Box::pin(async {
                        let _inner = group(async |_| {
                            let _innermost = parked(&step).await;
                            forever().await;
                            Ok(())
                        });
                        _inner.await.unwrap();
                    }),
                };
                once(section.as_mut()).await;
                forever().await;
            }))
            .await;
            assert!(ended.is_err(), "{kind}");
            assert_eq!(after, 100, "{kind}");
        }
    });
}

// S40: also where the task never waits for anything.
#[test]
fn a_busy_task_with_a_parked_group_is_dropped() {
    everywhere(|| async {
        let log = Log::default();
        group(async |outer| {
            let seen = log.clone();
            let child = outer.spawn(async move {
                let _parked = slow(&seen, Ok(())).await;
                loop {
                    again().await;
                }
            });
            log.started(1).await;
            child.cancel();
            assert!(matches!(child.await, Err(JoinError::Cancelled(_))));
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["work dropped", "cleaned up"]);
    });
}

// S40: it was polled when the cancellation came, and left alone later.
#[test]
fn what_is_parked_after_the_cancellation_does_not_hold_either() {
    paused(async {
        let (after, ended) = took(timeout(ms(100), async {
            let mut shielded = pin!(shield(forever()));
            tokio::select! {
                () = shielded.as_mut() => {}
                () = sleep(500) => {}
            }
            forever().await;
        }))
        .await;
        assert!(ended.is_err());
        // It looks again after pauses that grow.
        assert!((500..1500).contains(&after), "{after}");
    });
}

// S40, S13: a shield that an executor inside the task polls only when it is woken is not parked.
// Nothing spins meanwhile.
#[test]
fn a_shield_in_an_executor_inside_the_task_is_not_cut_off() {
    paused(async {
        for shields in [1, 3, 500] {
            let (log, polls) = (Log::default(), AtomicUsize::new(0));
            let work = async {
                let mut all = FuturesUnordered::new();
                for number in 0..shields {
                    let seen = log.clone();
                    all.push(shield(async move {
                        sleep(1000 + number % 7).await;
                        seen.add("saved");
                    }));
                }
                let mut drain = pin!(async { while all.next().await.is_some() {} });
                poll_fn(|cx| {
                    polls.fetch_add(1, Ordering::Relaxed);
                    drain.as_mut().poll(cx)
                })
                .await;
            };
            let (after, _) = took(timeout(ms(10), work)).await;
            assert_eq!(after, 1000 + u128::from((shields - 1).min(6)));
            assert_eq!(log.take().len() as u64, shields);
            assert!(polls.into_inner() < 100);
        }
    });
}

// S40, S12: a guard is a value, and holds wherever it is. Then the parked group does not.
#[test]
fn a_guard_holds_beside_what_is_parked() {
    everywhere(|| async {
        let log = Log::default();
        group(async |outer| {
            let seen = log.clone();
            let child = outer.spawn(async move {
                let _parked = slow(&seen, Ok(())).await;
                let cancelled = until_cancelled(seen.forever("waiting dropped")).await;
                turns(200).await;
                seen.add("guarded");
                drop(cancelled);
                forever().await;
            });
            log.started(2).await;
            child.cancel();
            assert!(child.await.is_err());
            Ok(())
        })
        .await
        .unwrap();
        assert!(log.take().contains(&"guarded".to_owned()));
    });
}

// S40: polled in another task, it holds nothing off where it was opened.
#[test]
fn what_is_polled_elsewhere_does_not_hold() {
    everywhere(|| async {
        let (log, step) = (Log::default(), Steps::default());
        let (sender, receiver) = oneshot::channel();
        group(async |outer| {
            let (seen, below) = (log.clone(), step.clone());
            let first = outer.spawn(async move {
                let mut shielded: Pin<Box<dyn Future<Output = ()> + Send>> =
                    Box::pin(shield(async move { below.reached(1).await }));
                once(shielded.as_mut()).await;
                let _ = sender.send(shielded);
                seen.forever("first dropped").await;
            });
            outer.spawn(async move {
                receiver.await?.await;
                Outcome::Ok(())
            });
            log.started(1).await;
            first.cancel();
            assert!(first.await.is_err());
            assert_eq!(log.take(), ["first dropped"]);
            step.step();
            Ok(())
        })
        .await
        .unwrap();
    });
}

// S40: polled again, a section holds again.
#[test]
fn what_is_polled_again_holds_again() {
    paused(async {
        let (after, ended) = took(timeout(ms(100), async {
            let cut = timeout(ms(20), async {
                let mut inner = Box::pin(shield(sleep(200)));
                once(inner.as_mut()).await;
                let guard = shield(sleep(50));
                guard.await;
                inner
            });
            let Ok(inner) = cut.await else {
                unreachable!("a value comes out")
            };
            inner.await;
            7
        }))
        .await;
        assert_eq!(ended.unwrap(), 7);
        assert_eq!(after, 200);
    });
}

// ---- what was cut off ----

/// A group whose child takes 100 ms, or is cut off.
fn long(log: &Log) -> Boxed<u32> {
    let log = log.clone();
    Box::pin(group(async move |inner| {
        inner.spawn(async move {
            sleep(100).await;
            log.add("came to its end");
        });
        Ok(7)
    }))
}

// S40
#[test]
fn fault_b8_what_was_cut_off_does_not_say_ok() {
    paused(async {
        let log = Log::default();
        let mut work = long(&log);
        assert!(timeout(ms(20), work.as_mut()).await.is_err());
        let error = work.await.unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(log.take(), [""; 0]);

        let mut work = pin!(builder().run_cancellable(async |inner| {
            inner.spawn(forever());
            Ok(7)
        }));
        assert!(timeout(ms(20), work.as_mut()).await.is_err());
        assert_eq!(work.await.unwrap(), None);
    });
}

// S20: a value is not thrown away where all came to its end in spite of the cancellation.
#[test]
fn what_came_to_its_end_says_ok() {
    paused(async {
        let log = Log::default();
        let mut work = pin!(group(async |inner| {
            let seen = log.clone();
            inner.spawn(shield(async move {
                sleep(100).await;
                seen.add("came to its end");
            }));
            inner.task("heart").background().spawn(forever());
            Ok(7)
        }));
        assert!(timeout(ms(20), work.as_mut()).await.is_err());
        assert_eq!(work.await.unwrap(), 7);
        assert_eq!(log.take(), ["came to its end"]);
    });
}

// S8, S7: a group that ends its children by itself, or one of them by its handle, was not cut off.
#[test]
fn what_the_group_cancels_itself_is_not_cut_off() {
    everywhere(|| async {
        let ended = group(async |inner| {
            let child = inner.spawn(forever());
            inner.spawn(forever());
            turns(2).await;
            child.cancel();
            assert!(child.await.is_err());
            inner.cancel();
            Ok(7)
        });
        assert_eq!(ended.await.unwrap(), 7);
    });
}

// S17: the reason stays that of the one who cancelled.
#[test]
fn what_was_cut_off_tells_why() {
    paused(async {
        let mut work = long(&Log::default());
        assert!(timeout(ms(20), work.as_mut()).await.is_err());
        let error = work.await.unwrap_err();
        let leaf = error.leaves().next().unwrap();
        let cancelled = leaf.task().downcast_ref::<taskgroup::Cancelled>().unwrap();
        assert_eq!(cancelled.reason().kind(), ReasonKind::Deadline);
        assert!(!is_cancelled());
    });
}

// S40, S12: a section that was cancelled and not woken yet, because the canceller is held up by a
// waker before it, is in use, however often the code around is polled meanwhile.
#[test]
fn a_canceller_that_is_held_up_parks_nothing() {
    /// Its wake lasts until it is released.
    struct HeldUp(Mutex<mpsc::Receiver<()>>);
    impl Wake for HeldUp {
        fn wake(self: Arc<Self>) {
            let _ = self.0.lock().unwrap().recv();
        }
    }
    everywhere(|| async {
        let log = Log::default();
        let (release, held) = mpsc::channel();
        let held_up = Waker::from(Arc::new(HeldUp(Mutex::new(held))));
        let (mut release, mut canceller) = (Some(release), None);
        let ran = builder().run_cancellable(async |group: TaskGroup| {
            let mut watch = pin!(group.when_cancelled());
            let watched = watch.as_mut().poll(&mut Context::from_waker(&held_up));
            assert!(watched.is_pending());
            // It polls only what was woken.
            let mut inside = FuturesUnordered::new();
            inside.push(async {
                let _cancelled = until_cancelled(forever()).await.unwrap_err();
                turns(2).await;
                log.add("cleaned");
            });
            let mut polls = 0;
            poll_fn(|cx| {
                let polled = inside.poll_next_unpin(cx);
                canceller.get_or_insert_with(|| {
                    let stop = group.canceller();
                    std::thread::spawn(move || stop.cancel())
                });
                polls += usize::from(group.is_cancelled());
                if polls > 300 {
                    release = None;
                } else {
                    cx.waker().wake_by_ref();
                }
                polled.map(drop)
            })
            .await;
            Ok(())
        });
        let ran = ran.await;
        // If the body was dropped, the canceller is still held up.
        drop(release);
        canceller.take().unwrap().join().unwrap();
        assert_eq!(log.take(), ["cleaned"]);
        assert_eq!(ran.unwrap(), Some(()));
    });
}
