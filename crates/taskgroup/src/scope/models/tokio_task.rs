//! Children on Tokio tasks, which are threads of the model here: one for each.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use loom::thread::{self, JoinHandle};

use super::{Bell, Count, Dropped, Model, Seen, Stage, yield_once};
use crate::scope::current;
use crate::scope::driver::Runtime;
use crate::{BoxError, TaskGroup};

pub(super) const MODELS: &[Model] = &[
    Model {
        name: "Tokio task: wake versus end of a poll",
        preemptions: Some(2),
        outcomes: &["while it was polled", "while it was idle"],
        run: wake_versus_poll_end,
    },
    Model {
        name: "Tokio task: handle awaited versus first poll",
        preemptions: Some(3),
        outcomes: &["waited", "was there"],
        run: awaited_versus_first_poll,
    },
    Model {
        name: "Tokio task: drop in place versus poll",
        preemptions: Some(1),
        outcomes: &["ended", "dropped"],
        run: drop_in_place_versus_poll,
    },
    Model {
        name: "Tokio task: wake versus shutdown",
        preemptions: Some(5),
        outcomes: &["woken first", "dropped first"],
        run: wake_versus_shutdown,
    },
];

/// The thread that is the next Tokio task.
fn drive(runtime: &Arc<Runtime>) -> JoinHandle<()> {
    let mut drive = runtime.drive();
    thread::spawn(move || {
        let bell = Bell::new();
        let waker = Waker::from(bell.clone());
        let mut cx = Context::from_waker(&waker);
        while Pin::new(&mut drive).poll(&mut cx).is_pending() {
            bell.notify.wait();
        }
    })
}

/// X1, K1: a child is woken from another thread while its poll ends.
fn wake_versus_poll_end(seen: &Seen) {
    let stage = Stage::of_tokio(0, false);
    let runtime = stage.runtime.clone();
    let polled_then = Arc::new(Mutex::new(None));
    let told = polled_then.clone();
    let run = TaskGroup::run(async |group| {
        let polls = Count::default();
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
        Ok(drive(&runtime))
    });
    let driver = stage.block_on_only(run).unwrap();
    driver.join().unwrap();
    let polled = polled_then.lock().unwrap().unwrap();
    seen.saw(if polled {
        "while it was polled"
    } else {
        "while it was idle"
    });
    stage.end();
}

/// X1: the thread that awaits the handle makes the box while the driver puts itself into the word.
fn awaited_versus_first_poll(seen: &Seen) {
    let stage = Stage::of_tokio(0, false);
    let runtime = stage.runtime.clone();
    let waits = Count::default();
    let counted = waits.clone();
    let run = TaskGroup::run(async |group| {
        let mut handle = group.spawn(async {
            yield_once().await;
            Ok::<_, BoxError>(7)
        });
        let driver = drive(&runtime);
        let value = poll_fn(|cx| {
            let polled = Pin::new(&mut handle).poll(cx);
            if polled.is_pending() {
                counted.up();
            }
            polled
        });
        assert_eq!(value.await.unwrap(), 7);
        Ok(driver)
    });
    let driver = stage.block_on_only(run).unwrap();
    driver.join().unwrap();
    seen.saw(if waits.get() == 0 {
        "was there"
    } else {
        "waited"
    });
    stage.end();
}

/// S6, K1: a sibling fails while the child is polled: its driver is told when another thread
/// drops it.
fn drop_in_place_versus_poll(seen: &Seen) {
    let stage = Stage::of_tokio(0, false);
    let runtime = stage.runtime.clone();
    let (ended, dropped) = (Count::default(), Count::default());
    let (counted, value) = (ended.clone(), Dropped(dropped.clone()));
    let drivers = Mutex::new(Vec::new());
    let run = TaskGroup::run(async |group| {
        let mut polls = 0;
        group.spawn(poll_fn(move |cx| {
            let _value = &value;
            polls += 1;
            if polls == 2 {
                counted.up();
                return Poll::Ready(());
            }
            let waker = cx.waker().clone();
            thread::spawn(move || waker.wake());
            Poll::Pending
        }));
        group.spawn(async { Err::<(), _>("no") });
        let both = [drive(&runtime), drive(&runtime)];
        drivers.lock().unwrap().extend(both);
        Ok(())
    });
    let errors = stage.block_on_only(run);
    assert_eq!(errors.unwrap_err().len(), 1);
    for driver in drivers.into_inner().unwrap() {
        driver.join().unwrap();
    }
    assert_eq!(dropped.get(), 1);
    seen.saw(if ended.get() == 1 { "ended" } else { "dropped" });
    stage.end();
}

/// DR3: a child is woken while the runtime drops its driver: it is dropped, once, and the group
/// ends.
fn wake_versus_shutdown(seen: &Seen) {
    let stage = Stage::of_tokio(0, false);
    let runtime = stage.runtime.clone();
    let dropped = Count::default();
    let value = Dropped(dropped.clone());
    let first = Arc::new(Mutex::new(None));
    let told = first.clone();
    let woken = Mutex::new(None);
    let run = TaskGroup::builder().run_to_end(async |group| {
        let waker = Arc::new(Mutex::new(None));
        let shown = waker.clone();
        group.spawn(async move {
            let _value = value;
            poll_fn(|cx| {
                *shown.lock().unwrap() = Some(cx.waker().clone());
                Poll::<()>::Pending
            })
            .await;
            pending::<()>().await;
        });
        let mut drive = runtime.drive();
        let _ = Pin::new(&mut drive).poll(&mut Context::from_waker(Waker::noop()));
        let waker = waker.lock().unwrap().take().unwrap();
        let waking = thread::spawn(move || {
            waker.wake();
            told.lock().unwrap().get_or_insert("woken first");
        });
        drop(drive);
        first.lock().unwrap().get_or_insert("dropped first");
        *woken.lock().unwrap() = Some(waking);
        Ok(())
    });
    // S46: what was cut off is no success, so the value of the body is withheld.
    let (value, _) = stage.block_on_only(run);
    assert!(value.is_none());
    let waking = woken.lock().unwrap().take();
    waking.expect("the body began").join().unwrap();
    assert_eq!(dropped.get(), 1);
    let first = first.lock().unwrap().take();
    seen.saw(first.unwrap());
    stage.end();
}
