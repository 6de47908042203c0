//! One task: its state word, its waiters, its handle.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use loom::thread::{self, ThreadId};

use super::{Bell, Count, Dropped, Model, Seen, Stage, yield_once};
use crate::scope::current;
use crate::{BoxError, TaskGroup, until_cancelled};

pub(super) const MODELS: &[Model] = &[
    Model {
        name: "wake versus end of a poll",
        preemptions: None,
        outcomes: &["while it was polled", "while it was idle"],
        run: wake_versus_poll_end,
    },
    Model {
        name: "wake versus completion",
        preemptions: None,
        outcomes: &["while it was polled", "after its end"],
        run: wake_versus_completion,
    },
    Model {
        name: "handle's cancel versus completion",
        preemptions: Some(1),
        outcomes: &["value", "cancelled in time", "never ran"],
        run: cancel_versus_completion,
    },
    Model {
        name: "output read versus end",
        preemptions: Some(5),
        outcomes: &["waited", "was there"],
        run: read_versus_end,
    },
    Model {
        name: "handle's drop versus end",
        preemptions: Some(5),
        outcomes: &["value dropped by the handle", "value dropped by the task"],
        run: detach_versus_end,
    },
    Model {
        name: "waker replacement in a handle",
        preemptions: Some(4),
        outcomes: &["ended first", "first woken", "second woken"],
        run: waker_replacement,
    },
    Model {
        name: "drop in place versus wake",
        preemptions: Some(5),
        outcomes: &["dropped idle", "dropped after a poll"],
        run: drop_in_place_versus_wake,
    },
    Model {
        name: "drop in place versus poll",
        preemptions: Some(2),
        outcomes: &["ended", "dropped"],
        run: drop_in_place_versus_poll,
    },
    Model {
        name: "scope made inside versus cancel",
        preemptions: Some(2),
        outcomes: &["told", "never ran"],
        run: inside_versus_cancel,
    },
    Model {
        name: "handle's cancel versus its word",
        preemptions: Some(1),
        outcomes: &["told", "never ran"],
        run: handle_cancel_versus_word,
    },
    Model {
        name: "handle's cancel versus a group inside",
        preemptions: Some(1),
        outcomes: &["group began", "never ran"],
        run: handle_cancel_versus_group,
    },
];

/// DR1, K1: a child is woken from another thread while its poll ends.
fn wake_versus_poll_end(seen: &Seen) {
    let stage = Stage::new(0);
    let polls = Count::default();
    let polled_then = Arc::new(Mutex::new(None));
    let told = polled_then.clone();
    stage
        .block_on(TaskGroup::run(async |group| {
            group.spawn(poll_fn(move |cx| {
                polls.up();
                if polls.get() == 2 {
                    return Poll::Ready(());
                }
                let (waker, told) = (cx.waker().clone(), told.clone());
                let task = current::task().unwrap();
                thread::spawn(move || {
                    *told.lock().unwrap() = Some(task.header().is_active());
                    drop(task);
                    waker.wake();
                });
                Poll::Pending
            }));
            Ok(())
        }))
        .unwrap();
    let polled = polled_then.lock().unwrap().unwrap();
    seen.saw(if polled {
        "while it was polled"
    } else {
        "while it was idle"
    });
    stage.end();
}

/// K1: a child is woken from another thread while it ends: it is not polled again.
fn wake_versus_completion(seen: &Seen) {
    let stage = Stage::new(0);
    let polls = Count::default();
    let counted = polls.clone();
    let waking = Arc::new(Mutex::new(None));
    let started = waking.clone();
    stage
        .block_on(TaskGroup::run(async |group| {
            group.spawn(poll_fn(move |cx| {
                counted.up();
                let waker = cx.waker().clone();
                let task = current::task().unwrap();
                let thread = thread::spawn(move || {
                    let done = task.header().is_done();
                    waker.wake();
                    done
                });
                *started.lock().unwrap() = Some(thread);
                Poll::Ready(())
            }));
            Ok(())
        }))
        .unwrap();
    let thread = waking.lock().unwrap().take().unwrap();
    let done = thread.join().unwrap();
    assert_eq!(polls.get(), 1);
    seen.saw(if done {
        "after its end"
    } else {
        "while it was polled"
    });
    stage.end();
}

/// S7: a handle cancels its task while that ends on another thread. One of the two is the outcome,
/// and the value is dropped once.
fn cancel_versus_completion(seen: &Seen) {
    let stage = Stage::new(1);
    let (ran, dropped) = (Count::default(), Count::default());
    let (counted, value) = (ran.clone(), Dropped(dropped.clone()));
    let outcome = stage.block_on_only(async {
        let run = TaskGroup::run(async |group| {
            let handle = group.spawn(async move {
                counted.up();
                yield_once().await;
                Ok::<_, BoxError>(value)
            });
            handle.cancel();
            Ok(handle.await.map(drop))
        });
        run.await.unwrap()
    });
    assert_eq!(dropped.get(), 1);
    seen.saw(match (outcome, ran.get()) {
        (Ok(()), 1) => "value",
        (Err(error), 1) if error.is_cancelled() => "cancelled in time",
        (Err(error), 0) if error.is_cancelled() => "never ran",
        other => unreachable!("{other:?}"),
    });
    stage.end();
}

/// K2: a handle is awaited while its task ends on another thread.
fn read_versus_end(seen: &Seen) {
    let stage = Stage::new(1);
    let waits = Count::default();
    let counted = waits.clone();
    let value = stage.block_on_only(TaskGroup::run(async |group| {
        let mut handle = group.spawn(async { Ok::<_, BoxError>(7) });
        let value = poll_fn(move |cx| {
            let polled = Pin::new(&mut handle).poll(cx);
            if polled.is_pending() {
                counted.up();
            }
            polled
        });
        Ok(value.await?)
    }));
    assert_eq!(value.unwrap(), 7);
    seen.saw(if waits.get() == 0 {
        "was there"
    } else {
        "waited"
    });
    stage.end();
}

/// Says which thread dropped it.
struct DroppedBy(Arc<Mutex<Vec<ThreadId>>>);

impl Drop for DroppedBy {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(thread::current().id());
    }
}

/// K3: a handle is dropped while its task ends on another thread: the value is dropped once, by the
/// second of the two.
fn detach_versus_end(seen: &Seen) {
    let stage = Stage::new(1);
    let by = Arc::new(Mutex::new(Vec::new()));
    let value = DroppedBy(by.clone());
    stage
        .block_on_only(TaskGroup::run(async |group| {
            drop(group.spawn(async { Ok::<_, BoxError>(value) }));
            Ok(())
        }))
        .unwrap();
    let by = by.lock().unwrap().clone();
    assert_eq!(by.len(), 1);
    seen.saw(if by[0] == thread::current().id() {
        "value dropped by the handle"
    } else {
        "value dropped by the task"
    });
    stage.end();
}

/// A handle is polled with one waker and then with another one while its task ends on another
/// thread.
fn waker_replacement(seen: &Seen) {
    let stage = Stage::new(1);
    let (first, second) = (Bell::new(), Bell::new());
    let bells = (first.clone(), second.clone());
    stage
        .block_on_only(TaskGroup::run(async |group| {
            let mut handle = group.spawn(async {});
            let mut poll = |bell: &Arc<Bell>| {
                let waker = Waker::from(bell.clone());
                Pin::new(&mut handle)
                    .poll(&mut Context::from_waker(&waker))
                    .is_ready()
            };
            let mut ended = poll(&bells.0);
            while !ended {
                ended = poll(&bells.1);
                if !ended {
                    bells.1.notify.wait();
                }
            }
            Ok(())
        }))
        .unwrap();
    seen.saw(match (first.rung(), second.rung()) {
        (0, 0) => "ended first",
        (_, 0) => "first woken",
        _ => "second woken",
    });
    stage.end();
}

/// S6, K1: a sibling fails and the idle child is dropped in place, while another thread wakes it.
fn drop_in_place_versus_wake(seen: &Seen) {
    let stage = Stage::new(0);
    let (polls, dropped) = (Count::default(), Count::default());
    let (counted, value) = (polls.clone(), Dropped(dropped.clone()));
    let errors = stage.block_on(TaskGroup::run(async |group| {
        group.spawn(poll_fn(move |cx| {
            let _value = &value;
            counted.up();
            if counted.get() == 1 {
                let waker = cx.waker().clone();
                thread::spawn(move || waker.wake());
            }
            Poll::<()>::Pending
        }));
        group.spawn(async { Err::<(), _>("no") });
        Ok(())
    }));
    assert_eq!(errors.unwrap_err().len(), 1);
    assert_eq!(dropped.get(), 1);
    seen.saw(if polls.get() == 1 {
        "dropped idle"
    } else {
        "dropped after a poll"
    });
    stage.end();
}

/// S6, K1: a sibling fails on one thread while another one polls the child.
fn drop_in_place_versus_poll(seen: &Seen) {
    let stage = Stage::new(1);
    let (ended, dropped) = (Count::default(), Count::default());
    let (counted, value) = (ended.clone(), Dropped(dropped.clone()));
    let errors = stage.block_on(TaskGroup::run(async |group| {
        group.spawn(async move {
            let _value = value;
            yield_once().await;
            counted.up();
        });
        group.spawn(async { Err::<(), _>("no") });
        Ok(())
    }));
    assert_eq!(errors.unwrap_err().len(), 1);
    assert_eq!(dropped.get(), 1);
    seen.saw(if ended.get() == 1 { "ended" } else { "dropped" });
    stage.end();
}

/// S12: a child makes the scope inside it, on another thread, while its group is cancelled: it is
/// told.
fn inside_versus_cancel(seen: &Seen) {
    let stage = Stage::new(1);
    let told = Count::default();
    let counted = told.clone();
    stage
        .block_on_only(TaskGroup::run(async |group| {
            group.spawn(async move {
                let Err(cancelled) = until_cancelled(pending::<()>()).await else {
                    unreachable!()
                };
                counted.up();
                Err::<(), _>(cancelled)
            });
            group.cancel();
            Ok(())
        }))
        .unwrap();
    seen.saw(if told.get() == 1 { "told" } else { "never ran" });
    stage.end();
}

/// S7, S12: a handle's cancel marks the scope inside the task and then the task. A task that is
/// told between the two ends as cancelled, not as failed.
fn handle_cancel_versus_word(seen: &Seen) {
    let stage = Stage::new(1);
    let told = Count::default();
    let counted = told.clone();
    let outcome = stage.block_on_only(TaskGroup::run(async |group| {
        let handle = group.spawn(async move {
            let Err(cancelled) = until_cancelled(pending::<()>()).await else {
                unreachable!()
            };
            counted.up();
            Err::<(), _>(cancelled)
        });
        handle.cancel();
        Ok(handle.await)
    }));
    assert!(outcome.unwrap().unwrap_err().is_cancelled());
    seen.saw(if told.get() == 1 { "told" } else { "never ran" });
    stage.end();
}

/// S7, S11: the same with a group inside the task, which does not take the cancel for its own.
fn handle_cancel_versus_group(seen: &Seen) {
    let stage = Stage::new(1);
    let began = Count::default();
    let counted = began.clone();
    let outcome = stage.block_on_only(TaskGroup::run(async |group| {
        let handle = group.spawn(async move {
            let inner = TaskGroup::builder().run_cancellable(async |_inner| {
                counted.up();
                pending::<()>().await;
                Ok(())
            });
            inner.await.map(drop)
        });
        handle.cancel();
        Ok(handle.await)
    }));
    assert!(
        outcome.unwrap().unwrap_err().is_cancelled(),
        "the cancel was lost"
    );
    seen.saw(if began.get() == 1 {
        "group began"
    } else {
        "never ran"
    });
    stage.end();
}
