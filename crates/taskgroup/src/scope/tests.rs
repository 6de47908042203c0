//! What the engine keeps of what has ended, and wakers that come back into it.

#![allow(unsafe_code)]

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, RawWaker, RawWakerVTable, Waker};

use super::current;
use super::tree::{Scope, task_of};
use crate::{TaskGroup, bracket, shield, until_cancelled};

// S4, TG23
#[tokio::test]
async fn tasks_that_opened_scopes_are_freed() {
    type Seen = Arc<Mutex<Vec<Weak<Scope>>>>;
    async fn opens(seen: Seen) -> Result<(), crate::BoxError> {
        // The scope inside goes with the task that it is in.
        let here = || Arc::downgrade(&current::task().expect("in a task").inside());
        seen.lock().unwrap().push(here());
        let work = async |_: &mut ()| {
            let _ = until_cancelled(tokio::task::yield_now()).await;
            shield(tokio::task::yield_now()).await;
            Ok::<_, crate::BoxError>(())
        };
        bracket(async { Ok(()) }, work, |()| async {}).await?;
        TaskGroup::run(async |group| {
            group.spawn(tokio::task::yield_now());
            Ok(())
        })
        .await?;
        Ok(())
    }
    let seen = Seen::default();
    let group = TaskGroup::run(async |group| {
        for _ in 0..3 {
            group.spawn(opens(seen.clone()));
        }
        Ok(group)
    });
    let _kept = group.await.unwrap();
    // The driver lets go of the last one in another turn.
    tokio::task::yield_now().await;
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|inside| inside.strong_count() == 0));
}

// S4: a task that has ended leaves nothing in its group, whatever held a reference to it last.
#[tokio::test]
async fn every_node_gives_its_group_back() {
    let seen = Arc::new(Mutex::new(None));
    let kept = TaskGroup::run(async |group| {
        *seen.lock().unwrap() = Some(Arc::downgrade(group.scope()));
        drop(group.spawn(async {}));
        let cancelled = group
            .task("cancelled".to_owned())
            .spawn(std::future::pending::<()>());
        let awaited = group.spawn(tokio::task::yield_now());
        let kept = group.spawn(async { Ok::<_, crate::BoxError>(7) });
        tokio::task::yield_now().await;
        cancelled.cancel();
        awaited.await?;
        Ok((kept, cancelled))
    });
    let (kept, cancelled) = kept.await.unwrap();
    tokio::task::yield_now().await;
    let group = seen.lock().unwrap().take().unwrap();
    // One for each handle, and one for the scope that the cancel opened.
    assert_eq!(group.strong_count(), 3);
    assert_eq!(cancelled.name(), "cancelled");
    drop(cancelled);
    assert_eq!(group.strong_count(), 1);
    assert_eq!(kept.await.unwrap(), 7);
    assert_eq!(group.strong_count(), 0);
}

// K5: also when the scope is made after the end.
#[tokio::test]
async fn the_scope_inside_forgets_a_task_that_has_ended() {
    let run = TaskGroup::run(async |group| {
        let child = async {
            let task = current::task().expect("in a task");
            let inside = task.inside();
            assert!(task_of(&inside).is_some());
            Ok::<_, crate::BoxError>((task, inside))
        };
        let (_task, inside) = group.spawn(child).await?;
        assert!(task_of(&inside).is_none());
        let late = async { Ok::<_, crate::BoxError>(current::task().expect("in a task")) };
        let task = group.spawn(late).await?;
        assert!(task_of(&task.inside()).is_none());
        Ok(())
    });
    run.await.unwrap();
}

/// What the clone and the drop of the waker below do: any number of times, but not inside each
/// other.
type Reentrant = std::sync::OnceLock<Box<dyn Fn() + Send + Sync>>;

std::thread_local! {
    static ENTERED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

fn come_back(data: *const ()) {
    // SAFETY: `waker_of` made it of a reference without an end.
    let what = unsafe { &*data.cast::<Reentrant>() };
    if !ENTERED.replace(true) {
        if let Some(what) = what.get() {
            what();
        }
        ENTERED.set(false);
    }
}

fn waker_of(what: &'static Reentrant) -> Waker {
    static TABLE: RawWakerVTable = RawWakerVTable::new(
        |data| {
            come_back(data);
            RawWaker::new(data, &TABLE)
        },
        come_back,
        come_back,
        come_back,
    );
    // SAFETY: the data live as long as the process, and may be used on any thread.
    unsafe { Waker::new(std::ptr::from_ref(what).cast(), &TABLE) }
}

// Fault C10, G1: a waker whose clone, wake and drop come back into the very thing that keeps
// it.
#[tokio::test]
async fn fault_c10_wakers_that_come_back_meet_no_lock() {
    fn poll_once<F: Future>(future: F, waker: &Waker) {
        let polled = pin!(future).poll(&mut Context::from_waker(waker));
        assert!(polled.is_pending());
    }
    // At the end of the group there is nothing to wait for any more.
    fn poll_any<F: Future>(future: F) {
        let _ = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    }
    let what: &'static Reentrant = Box::leak(Box::default());
    let times: &'static AtomicUsize = Box::leak(Box::default());
    let run = TaskGroup::builder()
        .limit(1)
        .run_cancellable(async |group| {
            let child = Arc::new(group.spawn(std::future::pending::<()>()));
            let (handle, outer) = (child.clone(), group.clone());
            let back = move || {
                times.fetch_add(1, Ordering::SeqCst);
                poll_any(handle.ended());
                poll_any(outer.spawn_when_free(async {}));
                assert!(outer.reason().is_none() || outer.is_cancelled());
            };
            let _ = what.set(Box::new(back));
            let waker = waker_of(what);
            poll_once(child.ended(), &waker);
            poll_once((&*child).into_future(), &waker);
            poll_once(group.spawn_when_free(async {}), &waker);
            let mut own = group.spawn(std::future::pending::<()>());
            poll_once(&mut own, &waker);
            drop(own);
            let section = until_cancelled(std::future::pending::<()>());
            poll_once(section, &waker);
            let mut kept = pin!(child.ended());
            let polled = kept.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            let mut place = pin!(group.spawn_when_free(async {}));
            let polled = place.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            // Both are woken by the end of the group.
            group.cancel();
            place.await;
            kept.await;
            Ok(())
        });
    run.await.unwrap();
    assert!(times.load(Ordering::SeqCst) > 10);
}
