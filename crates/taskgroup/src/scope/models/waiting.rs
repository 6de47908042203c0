//! Waits that are given up, and wakers that come back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::thread;

use super::{Bell, Count, Model, Seen, Stage};
use crate::TaskGroup;

pub(super) const MODELS: &[Model] = &[
    Model {
        name: "waiters: a free place versus a wait given up",
        preemptions: Some(2),
        outcomes: &["called and passed on", "left before"],
        run: place_versus_given_up,
    },
    Model {
        name: "waiters: a destructor gives a wait up versus a free place",
        preemptions: Some(1),
        outcomes: &["called and passed on", "left before"],
        run: place_versus_destructor,
    },
    Model {
        name: "waiters: end of a task versus a wait given up",
        preemptions: Some(2),
        outcomes: &["woken", "left before"],
        run: end_versus_given_up,
    },
    Model {
        name: "waiters: a waker that cancels versus a wait given up",
        preemptions: Some(3),
        outcomes: &["cancelled", "left before"],
        run: waker_cancels,
    },
];

/// Polls once with the waker of `bell`.
fn poll_with<F: Future + ?Sized>(future: Pin<&mut F>, bell: &Arc<Bell>) -> Poll<F::Output> {
    let waker = Waker::from(bell.clone());
    future.poll(&mut Context::from_waker(&waker))
}

fn wait_for_place(group: &TaskGroup) -> Pin<Box<impl Future<Output = ()> + Send + use<>>> {
    let group = group.clone();
    Box::pin(async move {
        group.spawn_when_free(async {}).await;
    })
}

/// What became of a wait, if it came to that: it was given up before it was called so often, or
/// after.
fn saw(seen: &Seen, waited: bool, called: u64, if_called: &'static str) {
    if waited {
        seen.saw(if called == 0 {
            "left before"
        } else {
            if_called
        });
    }
}

/// W2, S44: two wait for a place. The first one gives up on another thread while the place becomes
/// free: the second one gets it.
fn place_versus_given_up(seen: &Seen) {
    let stage = Stage::of_tokio(1, false);
    let (bell, ran) = (Bell::new(), Count::default());
    let (first_bell, counted) = (bell.clone(), ran.clone());
    let mut waited = false;
    let run = TaskGroup::builder().limit(1).run(async |group| {
        group.spawn(async {});
        let mut first = wait_for_place(&group);
        if poll_with(first.as_mut(), &first_bell).is_pending() {
            waited = true;
            thread::spawn(move || drop(first));
        }
        group.spawn_when_free(async move { counted.up() }).await;
        Ok(())
    });
    stage.block_on_only(run).unwrap();
    assert_eq!(ran.get(), 1);
    saw(seen, waited, bell.rung(), "called and passed on");
    stage.end();
}

/// The same where the wait is in a child, which is cancelled: its destructor gives it up.
fn place_versus_destructor(seen: &Seen) {
    let stage = Stage::of_tokio(1, true);
    let (bell, ran) = (Bell::new(), Count::default());
    let (first_bell, counted) = (bell.clone(), ran.clone());
    let mut waited = false;
    let run = TaskGroup::run(async |group| {
        let limited = TaskGroup::builder().limit(1).run(async |limited| {
            limited.spawn(async {});
            let mut first = wait_for_place(&limited);
            waited = poll_with(first.as_mut(), &first_bell).is_pending();
            let child = group.spawn(async move {
                let _first = first;
                std::future::pending::<()>().await;
            });
            child.cancel();
            limited.spawn_when_free(async move { counted.up() }).await;
            Ok(())
        });
        limited.await?;
        Ok(())
    });
    stage.block_on(run).unwrap();
    assert_eq!(ran.get(), 1);
    saw(seen, waited, bell.rung(), "called and passed on");
    stage.end();
}

/// W2, S44: two have borrowed a handle. The first one gives up on another thread while the task
/// ends: the second one is woken.
fn end_versus_given_up(seen: &Seen) {
    let stage = Stage::of_tokio(1, false);
    let bell = Bell::new();
    let first_bell = bell.clone();
    let mut waited = false;
    let run = TaskGroup::run(async |group| {
        let handle = Arc::new(group.spawn(async {}));
        let lent = handle.clone();
        let mut first = Box::pin(async move { lent.ended().await });
        if poll_with(first.as_mut(), &first_bell).is_pending() {
            waited = true;
            thread::spawn(move || drop(first));
        }
        handle.ended().await;
        Ok(())
    });
    stage.block_on_only(run).unwrap();
    saw(seen, waited, bell.rung(), "woken");
    stage.end();
}

/// Cancels a group when it is woken.
struct Cancels(TaskGroup, Count);

impl Wake for Cancels {
    fn wake(self: Arc<Self>) {
        self.1.up();
        self.0.cancel();
    }
}

impl Drop for Cancels {
    /// Wherever it is let go, no lock of the group is held.
    fn drop(&mut self) {
        let _ = self.0.live();
        self.0.cancel();
    }
}

/// W3, G1: the waker of one who waits for a place cancels the group, when it is woken and when it
/// is dropped.
fn waker_cancels(seen: &Seen) {
    let stage = Stage::of_tokio(1, false);
    let woken = Count::default();
    let counted = woken.clone();
    let mut waited = false;
    let run = TaskGroup::builder().limit(1).run(async |group| {
        group.spawn(async {});
        let mut first = Box::pin(group.spawn_when_free(async {}));
        let waker = Waker::from(Arc::new(Cancels(group.clone(), counted)));
        let polled = first.as_mut().poll(&mut Context::from_waker(&waker));
        waited = polled.is_pending();
        drop(waker);
        drop(first);
        Ok(())
    });
    stage.block_on_only(run).unwrap();
    saw(seen, waited, woken.get(), "cancelled");
    stage.end();
}
