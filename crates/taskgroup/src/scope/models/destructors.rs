//! Foreign code that comes back: destructors, run at the gate, that cancel, spawn, wake or drop a
//! handle while another thread is in the same group. Each with children on Tokio tasks and with
//! light ones.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use loom::thread::{self, ThreadId};

use super::{Count, Dropped, Model, Seen, Stage};
use crate::{BoxError, GroupBuilder, TaskGroup};

pub(super) const MODELS: &[Model] = &[
    Model {
        name: "Tokio task: a destructor cancels versus a failure",
        preemptions: Some(2),
        outcomes: &["one failure", "two failures"],
        run: |seen| cancels_versus_failure(seen, TaskGroup::builder()),
    },
    Model {
        name: "light: a destructor cancels versus a failure",
        preemptions: Some(2),
        outcomes: &["one failure", "two failures"],
        run: |seen| cancels_versus_failure(seen, TaskGroup::builder().light_tasks()),
    },
    Model {
        name: "Tokio task: a destructor spawns versus cancel",
        preemptions: Some(1),
        outcomes: &["refused", "never ran", "ran"],
        run: |seen| spawns_versus_cancel(seen, TaskGroup::builder()),
    },
    Model {
        name: "light: a destructor spawns versus cancel",
        preemptions: Some(1),
        outcomes: &["refused", "never ran", "ran"],
        run: |seen| spawns_versus_cancel(seen, TaskGroup::builder().light_tasks()),
    },
    Model {
        name: "Tokio task: a destructor wakes versus end of a poll",
        preemptions: Some(1),
        outcomes: &["woken", "told"],
        run: |seen| wakes_versus_poll_end(seen, TaskGroup::builder()),
    },
    Model {
        name: "light: a destructor wakes versus a pump that falls asleep",
        preemptions: Some(1),
        outcomes: &["woken", "told"],
        run: |seen| wakes_versus_poll_end(seen, TaskGroup::builder().light_tasks()),
    },
    Model {
        name: "Tokio task: a destructor drops a handle versus end",
        preemptions: Some(2),
        outcomes: &["value dropped by the handle", "value dropped by the task"],
        run: |seen| drops_handle_versus_end(seen, TaskGroup::builder()),
    },
    Model {
        name: "light: a destructor drops a handle versus end",
        preemptions: Some(2),
        outcomes: &["value dropped by the handle", "value dropped by the task"],
        run: |seen| drops_handle_versus_end(seen, TaskGroup::builder().light_tasks()),
    },
    Model {
        name: "light: a destructor wakes versus shutdown",
        preemptions: Some(2),
        outcomes: &["dropped here", "dropped with the runtime"],
        run: wakes_versus_shutdown,
    },
];

/// Does something when it is dropped.
struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    fn new(deed: F) -> Self {
        Self(Some(deed))
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(deed) = self.0.take() {
            deed();
        }
    }
}

/// Never ends, and keeps `value`.
async fn keep<T>(value: T) {
    let _value = value;
    pending::<()>().await;
}

/// S6, S39: a child fails and drops its idle sibling, whose destructor cancels the group, while a
/// third one fails on another thread.
fn cancels_versus_failure(seen: &Seen, builder: GroupBuilder) {
    let stage = Stage::of_tokio(1, true);
    let (dropped, failed) = (Count::default(), Count::default());
    let counted = dropped.clone();
    let run = builder.run(async |group| {
        let clone = group.clone();
        let deed = OnDrop::new(move || {
            clone.cancel();
            counted.up();
        });
        group.spawn(keep(deed));
        for _ in 0..2 {
            let failed = failed.clone();
            group.spawn(async move {
                failed.up();
                Err::<(), _>("no")
            });
        }
        Ok(())
    });
    let failures = stage.block_on(run).unwrap_err().len();
    assert_eq!(dropped.get(), 1);
    assert_eq!(failures as u64, failed.get(), "S6: an error is lost");
    seen.saw(match failures {
        1 => "one failure",
        2 => "two failures",
        more => unreachable!("{more} failures"),
    });
    stage.end();
}

/// S2, S9: a child is cancelled here, and its destructor spawns into the group, while another
/// thread cancels that.
fn spawns_versus_cancel(seen: &Seen, builder: GroupBuilder) {
    let stage = Stage::of_tokio(1, false);
    let (ran, dropped) = (Count::default(), Count::default());
    let taken = Arc::new(Mutex::new(None));
    let told = taken.clone();
    let (counted, value) = (ran.clone(), Dropped(dropped.clone()));
    let run = builder.run(async |group| {
        let clone = group.clone();
        let deed = OnDrop::new(move || {
            let child = async move {
                counted.up();
                keep(value).await;
            };
            let spawned = clone.try_spawn(child).is_ok();
            *told.lock().unwrap() = Some(spawned);
        });
        let first = group.spawn(keep(deed));
        thread::spawn(move || group.cancel());
        first.cancel();
        Ok(())
    });
    stage.block_on_only(run).unwrap();
    assert_eq!(dropped.get(), 1, "S2");
    let taken = taken.lock().unwrap().expect("the destructor has run");
    seen.saw_spawn(taken, &ran);
    stage.end();
}

/// A child that waits for the destructor of a sibling.
#[derive(Clone, Default)]
struct Notice(Arc<Mutex<(bool, Option<Waker>)>>);

impl Notice {
    fn give(&self) {
        let waker = {
            let mut inner = self.0.lock().unwrap();
            inner.0 = true;
            inner.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Returns whether it had to wait.
    async fn wait(&self) -> bool {
        let mut waited = false;
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            let mut inner = self.0.lock().unwrap();
            if inner.0 {
                drop(inner);
                return Poll::Ready(waited);
            }
            waited = true;
            let old = inner.1.replace(waker);
            drop(inner);
            drop(old);
            Poll::Pending
        })
        .await
    }
}

/// DR1, DR2, L1: the destructor of a child wakes a sibling, which goes to sleep on another thread.
fn wakes_versus_poll_end(seen: &Seen, builder: GroupBuilder) {
    let stage = Stage::of_tokio(1, true);
    let notice = Notice::default();
    let waited = stage.block_on(builder.run(async |group| {
        let waiting = notice.clone();
        let second = group.spawn(async move { Ok::<_, BoxError>(waiting.wait().await) });
        let deed = OnDrop::new(move || notice.give());
        let first = group.spawn(keep(deed));
        first.cancel();
        Ok(second.await?)
    }));
    seen.saw(if waited.unwrap() { "woken" } else { "told" });
    stage.end();
}

/// Says on which thread something is in progress.
type Place = Arc<Mutex<Option<ThreadId>>>;

/// A value that says whether it was dropped by the thread that `handle` names.
struct Owned {
    handle: Place,
    drops: Arc<Mutex<Vec<bool>>>,
}

impl Drop for Owned {
    fn drop(&mut self) {
        let by_handle = *self.handle.lock().unwrap() == Some(thread::current().id());
        self.drops.lock().unwrap().push(by_handle);
    }
}

/// K3: the destructor of a child drops the handle of a sibling, which ends on another thread.
fn drops_handle_versus_end(seen: &Seen, builder: GroupBuilder) {
    let stage = Stage::of_tokio(1, true);
    let handle = Place::default();
    let drops = Arc::new(Mutex::new(Vec::new()));
    let value = Owned {
        handle: handle.clone(),
        drops: drops.clone(),
    };
    let run = builder.run(async |group| {
        let second = group.spawn(async { Ok::<_, BoxError>(value) });
        let deed = OnDrop::new(move || {
            *handle.lock().unwrap() = Some(thread::current().id());
            drop(second);
            *handle.lock().unwrap() = None;
        });
        group.spawn(keep(deed)).cancel();
        Ok(())
    });
    stage.block_on(run).unwrap();
    let drops = drops.lock().unwrap().clone();
    assert_eq!(drops.len(), 1, "K3");
    seen.saw(if drops[0] {
        "value dropped by the handle"
    } else {
        "value dropped by the task"
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

/// L5, DR3: a child is cancelled here, and its destructor wakes a sibling, while the runtime drops
/// their pump. Both are dropped once, and the group ends.
fn wakes_versus_shutdown(seen: &Seen) {
    let stage = Stage::of_tokio(0, false);
    let runtime = stage.runtime.clone();
    let (notice, dropped) = (Notice::default(), Count::default());
    let by = Arc::new(Mutex::new(Vec::new()));
    let (value, place) = (Dropped(dropped.clone()), DroppedBy(by.clone()));
    let down = Mutex::new(None);
    let run = TaskGroup::builder().light_tasks().run(async |group| {
        let waiting = notice.clone();
        group.spawn(async move {
            let _value = value;
            waiting.wait().await;
            pending::<()>().await;
        });
        let deed = OnDrop::new(move || {
            notice.give();
            drop(place);
        });
        let first = group.spawn(keep(deed));
        let mut pump = runtime.drive();
        let polled = Pin::new(&mut pump).poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "the resident pump sleeps");
        *down.lock().unwrap() = Some(thread::spawn(move || drop(pump)));
        first.cancel();
        Ok(())
    });
    assert!(stage.block_on_only(run).is_err(), "S46");
    let down = down.lock().unwrap().take();
    down.expect("the body began").join().unwrap();
    assert_eq!(dropped.get(), 1);
    let by = by.lock().unwrap().clone();
    assert_eq!(by.len(), 1);
    seen.saw(if by[0] == thread::current().id() {
        "dropped here"
    } else {
        "dropped with the runtime"
    });
    stage.end();
}
