//! S48: children that borrow or are not `Send`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use taskgroup::{
    BoxError, JoinError, LocalGroup, Policy, Progress, ReasonKind, TaskGroup, checkpoint, shield,
    timeout, until_cancelled,
};

use crate::support::{Steps, everywhere, forever, messages, ms, paused, turns};

type Outcome<T> = Result<T, BoxError>;

// S48: empty, one, many; borrowed from outside the run, shared and exclusively.
#[test]
fn children_borrow() {
    everywhere(|| async {
        LocalGroup::run(async |_| Ok(())).await.unwrap();

        let words = ["a".to_string(), "bcd".into()];
        let mut lengths = [0, 0];
        let first = LocalGroup::run(async |group| {
            for (word, length) in words.iter().zip(&mut lengths) {
                group.spawn(async move {
                    turns(2).await;
                    *length = word.len();
                });
            }
            Ok(group.spawn(async { words[0].len() }.into_ok()).await?)
        });
        assert_eq!(first.await.unwrap(), 1);
        assert_eq!(lengths, [1, 3]);

        let sum = Cell::new(0);
        LocalGroup::run(async |group| {
            for number in 0..1000 {
                let sum = &sum;
                group.spawn(async move {
                    turns(number % 3).await;
                    sum.set(sum.get() + number);
                });
            }
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(sum.get(), 499_500);
    });
}

/// Polls once.
async fn is_pending(mut future: std::pin::Pin<&mut impl Future>) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

/// A value as the result that children return.
trait IntoOk: Future + Sized {
    async fn into_ok(self) -> Outcome<Self::Output> {
        Ok(self.await)
    }
}

impl<F: Future> IntoOk for F {}

// S48: a child spawns siblings by a clone, and a value that is not `Send` comes out.
#[test]
fn children_spawn_siblings() {
    everywhere(|| async {
        let log = Rc::new(RefCell::new(Vec::new()));
        let value = LocalGroup::run(async |group| {
            let (inner, in_child) = (group.clone(), log.clone());
            let child = group.spawn(async move {
                let sibling = inner.spawn(async move {
                    turns(1).await;
                    in_child.borrow_mut().push("sibling");
                    Outcome::Ok(Rc::new(7))
                });
                Outcome::Ok(sibling.await?)
            });
            Ok(child.await?)
        });
        assert_eq!(*value.await.unwrap(), 7);
        assert_eq!(*log.borrow(), ["sibling"]);
        assert_eq!(Rc::strong_count(&log), 1, "LG2: nothing is kept");
    });
}

// S48, S2: a failure cancels the siblings and the body, and all failures come out.
#[test]
fn a_failure_cancels_the_rest() {
    everywhere(|| async {
        let log = RefCell::new(Vec::new());
        let error = LocalGroup::builder()
            .settings(TaskGroup::builder().name("pages"))
            .run(async |group| {
                group.task("first").spawn(async {
                    turns(2).await;
                    Outcome::<()>::Err("no page".into())
                });
                group.task("second").spawn(async {
                    let cancelled = until_cancelled(forever()).await.unwrap_err();
                    turns(3).await; // cleanup may await
                    log.borrow_mut().push("cleaned");
                    let _ = cancelled;
                    Outcome::<()>::Err("cleanup failed".into())
                });
                let dropped = OnDrop(&log, "body dropped");
                forever().await;
                drop(dropped);
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(messages(&error), ["no page", "cleanup failed"]);
        assert_eq!(error.cause().name(), "first");
        assert_eq!(error.name(), "pages");
        assert_eq!(*log.borrow(), ["body dropped", "cleaned"]);
    });
}

struct OnDrop<'a>(&'a RefCell<Vec<&'static str>>, &'static str);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.borrow_mut().push(self.1);
    }
}

// S48: all fail, with both sides of the outcome.
#[test]
fn all_fail() {
    everywhere(|| async {
        let run = TaskGroup::builder()
            .policy(Policy::collect())
            .local()
            .run_to_end(async |group| {
                for number in 0..20 {
                    group.spawn(async move { Outcome::<()>::Err(format!("{number}").into()) });
                }
                Ok("value")
            });
        let (value, errors) = run.await;
        assert_eq!(value, Some("value"));
        let errors = errors.unwrap();
        assert_eq!(errors.len(), 20);
        assert_eq!(messages(&errors)[3], "3");
    });
}

// S48, S31: a panic of a child is a failure; one of the body goes on in the caller when the
// children have ended.
#[test]
fn panics() {
    everywhere(|| async {
        let error = LocalGroup::run(async |group| {
            group.spawn(async { panic!("child") }.into_ok());
            Ok(())
        });
        assert_eq!(messages(&error.await.unwrap_err()), ["panic: child"]);

        let log = RefCell::new(Vec::new());
        let caught = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(async {
            LocalGroup::run(async |group| {
                group.spawn(async {
                    let _cancelled = until_cancelled(forever()).await.unwrap_err();
                    turns(2).await;
                    log.borrow_mut().push("cleaned");
                });
                turns(2).await;
                if !group.is_cancelled() {
                    panic!("body");
                }
                Ok(())
            })
            .await
        }));
        let payload = caught.await.unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"body"));
        assert_eq!(*log.borrow(), ["cleaned"]);
    });
}

// S48, S23: the limit counts local children; they begin in spawn order.
#[test]
fn the_limit_holds() {
    everywhere(|| async {
        let (running, most, order) = (Cell::new(0), Cell::new(0), RefCell::new(Vec::new()));
        TaskGroup::builder()
            .limit(3)
            .local()
            .run(async |group| {
                for number in 0..20 {
                    let (running, most, order) = (&running, &most, &order);
                    group.spawn(async move {
                        order.borrow_mut().push(number);
                        running.set(running.get() + 1);
                        most.set(most.get().max(running.get()));
                        turns(number % 4).await;
                        running.set(running.get() - 1);
                    });
                }
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(most.get(), 3);
        assert_eq!(order.into_inner(), Vec::from_iter(0..20));
    });
}

// S48: a child is cancelled alone, while it runs, while it waits for a place, and after its end.
#[test]
fn one_child_is_cancelled() {
    everywhere(|| async {
        TaskGroup::builder()
            .limit(1)
            .local()
            .run(async |group| {
                let running = group.spawn(forever().into_ok());
                let waiting = group.spawn(async { unreachable!("it never runs") }.into_ok());
                turns(2).await;
                let waiting: taskgroup::LocalHandle<()> = waiting;
                waiting.cancel();
                let Err(JoinError::Cancelled(cancelled)) = waiting.await else {
                    panic!("it was cancelled");
                };
                assert_eq!(cancelled.reason().kind(), ReasonKind::CancelCalled);
                assert!(!running.is_finished());
                running.cancel();
                assert!(running.await.unwrap_err().is_cancelled());
                let last = group.spawn(async { 5 }.into_ok());
                while !last.is_finished() {
                    checkpoint().await;
                }
                last.cancel();
                assert_eq!(last.await.unwrap(), 5);
                Ok(())
            })
            .await
            .unwrap();
    });
}

// S48, S16: a cancelled group starts nothing more, and drops the futures of those that wait.
#[test]
fn a_cancelled_group_spawns_nothing() {
    everywhere(|| async {
        let log = RefCell::new(Vec::new());
        let ran = TaskGroup::builder()
            .limit(1)
            .local()
            .run_cancellable(async |group| {
                group.spawn(forever().into_ok());
                let dropped = OnDrop(&log, "waiting dropped");
                let waiting = group.spawn(async move { drop(dropped) });
                turns(2).await;
                group.cancel();
                let dropped = OnDrop(&log, "refused dropped");
                let refused = group.spawn(async move { drop(dropped) });
                assert!(refused.is_finished());
                assert_eq!(*log.borrow(), ["refused dropped"]);
                drop(waiting);
                forever().await;
                Ok(())
            });
        assert_eq!(ran.await.unwrap(), None);
        assert_eq!(*log.borrow(), ["refused dropped", "waiting dropped"]);
    });
}

// S48, S20: a deadline around the run, and one inside a child.
#[test]
fn deadlines() {
    paused(async {
        let log = RefCell::new(Vec::new());
        let run = timeout(
            ms(5),
            LocalGroup::run(async |group| {
                group.spawn(async {
                    let _cancelled = until_cancelled(forever()).await.unwrap_err();
                    shield(tokio::time::sleep(Duration::from_millis(20))).await;
                    log.borrow_mut().push("cleaned");
                });
                group.spawn(async {
                    let inner = timeout(ms(1), forever()).await;
                    log.borrow_mut().push("inner");
                    assert!(inner.is_err());
                });
                forever().await;
                Ok(())
            }),
        );
        assert!(run.await.is_err());
        assert_eq!(*log.borrow(), ["inner", "cleaned"]);
    });
}

// S48: the run is dropped half-way: the children are dropped with it, a clone keeps nothing and
// takes nothing, and a handle that is kept says so.
#[test]
fn dropped_half_way() {
    everywhere(|| async {
        let log = RefCell::new(Vec::new());
        let kept = RefCell::new(None);
        let run = TaskGroup::builder().limit(1).local().run(async |group| {
            let first = OnDrop(&log, "first");
            let running = group.spawn(async move {
                let _first = first;
                forever().await;
            });
            let second = OnDrop(&log, "second");
            let waiting = group.spawn(async move { drop(second) });
            *kept.borrow_mut() = Some((group.clone(), running, waiting));
            forever().await;
            Ok(())
        });
        {
            let mut run = std::pin::pin!(run);
            for _ in 0..3 {
                assert!(is_pending(run.as_mut()).await);
            }
        }
        assert_eq!(*log.borrow(), ["first", "second"]);
        let (group, running, waiting) = kept.take().unwrap();
        assert!(running.await.unwrap_err().is_cancelled());
        assert!(waiting.await.unwrap_err().is_cancelled());
        let late = group.spawn(async { 1 }.into_ok());
        assert!(late.await.unwrap_err().is_cancelled());
    });
}

// S48: a run that is leaked leaks its children; nothing is polled or dropped any more.
#[test]
fn a_leaked_run() {
    everywhere(|| async {
        let log = RefCell::new(Vec::new());
        let mut run = Box::pin(LocalGroup::run(async |group| {
            let value = OnDrop(&log, "never");
            group.spawn(async move {
                let _value = value;
                forever().await;
            });
            forever().await;
            Ok(())
        }));
        for _ in 0..3 {
            assert!(is_pending(run.as_mut()).await);
        }
        std::mem::forget(run);
        assert!(log.borrow().is_empty());
    });
}

// S48: children of both kinds in one group; the group waits for both, and counts both.
#[test]
fn beside_children_that_are_send() {
    everywhere(|| async {
        let progress = Progress::new();
        let seen = Cell::new(0);
        LocalGroup::builder()
            .settings(crate::support::builder().progress(&progress))
            .run(async |group| {
                let seen = &seen;
                for number in 0..4_u32 {
                    let parallel = group.group().spawn(async move { Outcome::Ok(number) });
                    group.spawn(async move {
                        let value = parallel.await?;
                        seen.set(seen.get() + value);
                        Outcome::Ok(())
                    });
                }
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(seen.get(), 6);
        let counts = progress.counts();
        assert_eq!((counts.done, counts.queued, counts.running), (8, 0, 0));
    });
}

// S48: from outside the poll of the run a spawn wakes the run, and so does a cancel.
#[tokio::test(flavor = "current_thread")]
async fn woken_from_outside() {
    let shared = RefCell::new(None);
    let run = LocalGroup::run(async |group| {
        *shared.borrow_mut() = Some(group.clone());
        checkpoint().await;
        Ok(until_cancelled(forever()).await.is_err())
    });
    let other = async {
        turns(5).await;
        let group = shared.borrow().clone().unwrap();
        let value = group.spawn(async { 9 }.into_ok()).await;
        group.cancel();
        value.unwrap()
    };
    let (ran, value) = tokio::join!(run, other);
    assert_eq!(value, 9);
    assert!(ran.unwrap());
}

// S48: inside a `LocalSet`, as servers with one thread per core have it.
#[tokio::test(flavor = "current_thread")]
async fn in_a_local_set() {
    let set = tokio::task::LocalSet::new();
    let task = set.spawn_local(async {
        let sum = Rc::new(Cell::new(0));
        LocalGroup::run(async |group| {
            for number in 0..10 {
                let sum = sum.clone();
                group.spawn(async move {
                    tokio::task::spawn_local(turns(number)).await?;
                    sum.set(sum.get() + number);
                    Outcome::Ok(())
                });
            }
            Ok(())
        })
        .await
        .unwrap();
        sum.get()
    });
    set.await;
    assert_eq!(task.await.unwrap(), 45);
}

/// Counts the destructors that ran, each of which panics unless its thread unwinds already.
struct PanicsOnDrop<'a>(&'a Cell<u32>);

impl Drop for PanicsOnDrop<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        assert!(std::thread::panicking(), "in a destructor");
    }
}

/// Six children of which three run, each with a destructor that panics.
fn children_that_panic<'a>(group: &LocalGroup<'a>, dropped: &'a Cell<u32>) {
    for number in 0..6 {
        let held = PanicsOnDrop(dropped);
        group.task(number.to_string()).spawn(async move {
            let _held = held;
            forever().await;
        });
    }
}

// S48, S39: each child of a cancelled group is dropped and has its own panic, whether it ran or
// waited for a place.
#[test]
fn destructors_that_panic_when_the_group_is_cancelled() {
    everywhere(|| async {
        let dropped = Cell::new(0);
        let run = TaskGroup::builder().limit(3).local().run(async |group| {
            children_that_panic(&group, &dropped);
            turns(2).await;
            group.cancel();
            forever().await;
            Ok(())
        });
        let error = run.await.unwrap_err();
        assert_eq!(dropped.get(), 6);
        let mut names: Vec<_> = error.leaves().map(|leaf| leaf.task().name()).collect();
        names.sort();
        assert_eq!(names, ["0", "1", "2", "3", "4", "5"]);
    });
}

// S48, S39: a run that is dropped drops each child, whatever the destructors of the others do, and
// a panic of the body goes on in the code that drops the run.
#[test]
fn destructors_that_panic_when_the_run_is_dropped() {
    everywhere(|| async {
        for body_panics in [false, true] {
            for polls in 1..4 {
                let (dropped, body) = (Cell::new(0), Cell::new(0));
                let mut run = Box::pin(TaskGroup::builder().limit(3).local().run(async |group| {
                    let held = body_panics.then(|| PanicsOnDrop(&body));
                    children_that_panic(&group, &dropped);
                    forever().await;
                    drop(held);
                    Ok(())
                }));
                for _ in 0..polls {
                    assert!(is_pending(run.as_mut()).await);
                }
                let drops = std::panic::AssertUnwindSafe(|| drop(run));
                assert_eq!(std::panic::catch_unwind(drops).is_err(), body_panics);
                assert_eq!(dropped.get(), 6);
            }
        }
    });
}

// S27, S48, S53: children of both kinds share the places, and a higher limit lets those that wait
// begin.
#[test]
fn both_kinds_share_the_limit() {
    everywhere(|| async {
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let run = TaskGroup::builder().limit(1).local().run(async |group| {
            for number in 0..8 {
                let (running, most) = (running.clone(), most.clone());
                let child = async move {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    turns(5).await;
                    running.fetch_sub(1, Ordering::SeqCst);
                };
                if number % 2 == 0 {
                    drop(group.spawn(child));
                } else {
                    drop(group.group().spawn(child));
                }
            }
            Ok(())
        });
        run.await.unwrap();
        assert_eq!(most.load(Ordering::SeqCst), 1);

        let run = TaskGroup::builder().limit(1).local().run(async |group| {
            group.spawn(forever().into_ok());
            let waiting = group.spawn(async { 7 }.into_ok());
            turns(3).await;
            assert!(group.group().spawn_if_free(async {}).is_err());
            assert!(!waiting.is_finished());
            group.group().set_limit(2);
            assert_eq!(waiting.await?, 7);
            group.cancel();
            Ok(())
        });
        run.await.unwrap();
    });
}

// S48, S44: children that are cancelled alone while they wait cost the same each.
#[test]
fn many_that_wait_are_cancelled_alone() {
    everywhere(|| async {
        let run = TaskGroup::builder().limit(1).local().run(async |group| {
            let all: Vec<_> = (0..40_000)
                .map(|_| group.spawn(forever().into_ok()))
                .collect();
            turns(2).await;
            all[20_000..]
                .iter()
                .for_each(taskgroup::LocalHandle::cancel);
            for waiting in all.into_iter().skip(20_000) {
                assert!(waiting.await.unwrap_err().is_cancelled());
            }
            group.cancel();
            // S8: the value of the body is kept, however many never ran.
            Ok(7)
        });
        assert_eq!(run.await.unwrap(), 7);
    });
}

// S48, S11: cancelled from outside, here by the code beside it. The children clean up, and the code
// after the run does not go on.
#[test]
fn cancelled_from_outside() {
    everywhere(|| async {
        let (log, steps) = (RefCell::new(Vec::new()), Steps::default());
        let ran = crate::support::builder().run_cancellable(async |outer: TaskGroup| {
            let inner = LocalGroup::run(async |group| {
                group.spawn(async {
                    steps.step();
                    let _cancelled = until_cancelled(forever()).await.unwrap_err();
                    turns(2).await;
                    log.borrow_mut().push("cleaned");
                });
                let (held, begun) = (OnDrop(&log, "dropped"), &steps);
                group.spawn(async move {
                    let _held = held;
                    begun.step();
                    forever().await;
                });
                forever().await;
                Ok(())
            });
            let stop = async {
                steps.reached(2).await;
                outer.cancel();
            };
            let _ = tokio::join!(inner, stop);
            log.borrow_mut().push("went on");
            Ok(())
        });
        assert_eq!(ran.await.unwrap(), None);
        assert_eq!(*log.borrow(), ["dropped", "cleaned"]);
    });
}
