//! What wakes a task when a deadline without a scope has come: an alarm with the task's waker. The
//! task looks at the clock itself.
//!
//! A bell that was not needed is left for the next deadline of the same task on this thread. It
//! rings too early for that one, which then takes a new one. So a task with one deadline after the
//! other, none of which comes, arms an alarm now and then, and is woken in vain as often.
//!
//! - **BE1** An alarm has its waker until it rings. If no alarm of its runtime has rung since a
//!   bell was armed, an equal waker means the same task. That task may be in another runtime by
//!   now. A multi-thread runtime rings all the same, and its clock is the common one. Of any other
//!   runtime it is checked that this thread is inside it.
//! - **BE2** A bell that was left keeps the task's memory. It does so until another bell is left on
//!   the thread, it rings, or its runtime goes. If a driver of the engine polls the task, the bell
//!   goes with the driver's turn at the latest.

use std::cell::RefCell;
use std::task::{RawWakerVTable, Waker};

use tokio::time::Instant;

use super::timer::{Alarm, SetAlarm};
use crate::gate;
use crate::scope::driver::Runtime;

pub(crate) struct Bell {
    alarm: SetAlarm,
    /// Data and table of the waker, as it is the alarm that has it.
    waker: (usize, &'static RawWakerVTable),
    /// How often anything had rung when it was armed.
    rings: u64,
    /// Not in a model, where each run begins without what another one has left.
    is_reusable: bool,
}

std::thread_local! {
    static LEFT: RefCell<Option<Bell>> = const { RefCell::new(None) };
}

impl Bell {
    /// Rings at `at` or before. In the runtime that we are in.
    ///
    /// # Panics
    /// Outside a Tokio runtime, and in one that has been shut down.
    pub(crate) fn for_deadline(at: Instant, waker: &Waker) -> Self {
        let serves = |left: &mut Bell| left.serves(at, waker);
        let left = LEFT.try_with(|left| left.borrow_mut().take_if(serves));
        left.ok().flatten().unwrap_or_else(|| Self::new(at, waker))
    }

    fn new(at: Instant, waker: &Waker) -> Self {
        let runtime = Runtime::with_clock();
        let rings = runtime.timers().rings();
        Self {
            alarm: SetAlarm::new(&runtime, at, Alarm::Wake(gate::clone_waker(waker))),
            waker: (waker.data().addr(), waker.vtable()),
            rings,
            is_reusable: !runtime.is_explored(),
        }
    }

    fn wakes(&self, waker: &Waker) -> bool {
        let (data, table) = self.waker;
        data == waker.data().addr() && std::ptr::eq(table, waker.vtable())
    }

    /// BE1
    fn serves(&self, at: Instant, waker: &Waker) -> bool {
        self.wakes(waker)
            && self.alarm.at() <= at
            && self.alarm.rings() == self.rings
            && self.is_reusable
            && self.alarm.rings_here()
    }

    /// Whether it will still ring for the task that has it.
    pub(crate) fn is_set(&self, now: Instant, waker: &Waker) -> bool {
        self.wakes(waker) && now < self.alarm.at() && self.alarm.rings_here()
    }

    /// The deadline has not come; maybe there is another one.
    pub(crate) fn leave(self) {
        if self.is_reusable {
            let mut next = Some(self);
            let _ = LEFT.try_with(|left| std::mem::swap(&mut *left.borrow_mut(), &mut next));
            drop(next);
        }
    }
}

/// BE2: the turn of a driver ends.
#[inline]
pub(in crate::scope) fn end_turn() {
    let is_left = LEFT.try_with(|left| left.borrow().is_some());
    if is_left.unwrap_or(false) {
        drop_left();
    }
}

#[cold]
fn drop_left() {
    let left = LEFT.try_with(RefCell::take);
    drop(left);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake};
    use std::time::Duration;

    use super::*;
    use crate::timeout;

    const SECOND: Duration = Duration::from_secs(1);

    fn left() -> Option<Instant> {
        LEFT.with_borrow(|left| left.as_ref().map(|bell| bell.alarm.at()))
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    // S9: a bell that was left serves later deadlines, not earlier ones, and each rings in time.
    #[tokio::test(start_paused = true)]
    async fn a_bell_serves_the_next_deadline_of_its_task() {
        let begin = Instant::now();
        let waiting = || async {
            tokio::task::yield_now().await;
        };
        timeout(10 * SECOND, waiting()).await.unwrap();
        let first = begin + 10 * SECOND;
        assert_eq!(left(), Some(first));
        tokio::time::advance(4 * SECOND).await;
        timeout(10 * SECOND, waiting()).await.unwrap();
        assert_eq!(left(), Some(first), "the same one");
        let late = timeout(10 * SECOND, std::future::pending::<()>()).await;
        assert!(late.is_err());
        assert_eq!(begin.elapsed(), 14 * SECOND, "woken at 10 in vain");
        timeout(10 * SECOND, waiting()).await.unwrap();
        let early = timeout(SECOND, std::future::pending::<()>()).await;
        assert!(early.is_err());
        assert_eq!(begin.elapsed(), 15 * SECOND);
    }

    // BE1: a bell that has rung is not used again, and neither is the bell of another task.
    #[tokio::test(start_paused = true)]
    async fn a_bell_serves_only_its_task_and_only_before_it_rings() {
        let woken = [Arc::new(Woken::default()), Arc::new(Woken::default())];
        let wakers = woken.clone().map(Waker::from);
        let at = Instant::now() + SECOND;
        Bell::for_deadline(at, &wakers[0]).leave();
        Bell::for_deadline(at + SECOND, &wakers[1]).leave();
        assert_eq!(left(), Some(at + SECOND));
        assert_eq!(Arc::strong_count(&woken[0]), 2, "the other one is gone");
        tokio::time::sleep(3 * SECOND).await;
        assert_eq!(woken[1].0.load(Ordering::SeqCst), 1);
        let bell = Bell::for_deadline(at + 5 * SECOND, &wakers[1]);
        assert_eq!(bell.alarm.at(), at + 5 * SECOND);
        drop(bell);
        assert_eq!(woken[0].0.load(Ordering::SeqCst), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bell_is_set_for_its_task_until_it_rings() {
        let wakers = [(); 2].map(|()| Waker::from(Arc::new(Woken::default())));
        let now = Instant::now();
        let bell = Bell::for_deadline(now + SECOND, &wakers[0]);
        assert!(bell.is_set(now, &wakers[0]));
        assert!(!bell.is_set(now, &wakers[1]));
        assert!(!bell.is_set(now + SECOND, &wakers[0]));
    }

    // BE1, BE2: a bell of another runtime is not taken where that may stand still, and goes with
    // its runtime.
    #[test]
    fn a_bell_stays_in_its_runtime() {
        let runtime = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_time().build().unwrap()
        };
        let (one, two) = (runtime(), runtime());
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let at = Instant::now() + 60 * SECOND;
        one.block_on(async { Bell::for_deadline(at, &waker).leave() });
        let other = two.block_on(async { Bell::for_deadline(at, &waker) });
        assert_eq!(other.alarm.only_in, Some(two.handle().id()));
        drop(other);
        assert_eq!(Arc::strong_count(&woken), 3, "ours, and that of the first");
        drop(one);
        assert_eq!(Arc::strong_count(&woken), 2, "the sleeper has dropped it");
    }

    // BE2: no child is kept beyond the turn of its driver.
    #[tokio::test(start_paused = true)]
    async fn no_bell_of_a_child_is_left() {
        let builders = [
            crate::TaskGroup::builder(),
            crate::TaskGroup::builder().light_tasks(),
        ];
        for builder in builders {
            let child = async {
                timeout(SECOND, tokio::task::yield_now()).await.unwrap();
                assert!(left().is_some());
            };
            let run = builder.run(async |group| {
                group.spawn(child);
                Ok(())
            });
            run.await.unwrap();
            tokio::task::yield_now().await;
            assert!(left().is_none());
        }
    }

    // A bell in use that serves a later deadline than its own is replaced when it has rung.
    #[tokio::test(start_paused = true)]
    async fn a_bell_that_is_too_early_is_replaced() {
        let begin = Instant::now();
        timeout(2 * SECOND, tokio::task::yield_now()).await.unwrap();
        let slow = pin!(timeout(5 * SECOND, tokio::time::sleep(4 * SECOND)));
        let mut slow = slow;
        let mut polls = 0;
        let ended = std::future::poll_fn(|cx: &mut Context<'_>| {
            polls += 1;
            slow.as_mut().poll(cx)
        });
        ended.await.unwrap();
        assert_eq!(begin.elapsed(), 4 * SECOND);
        assert_eq!(polls, 3, "at first, in vain, at the end");
        assert_eq!(left(), Some(begin + 5 * SECOND));
    }

    // BE1: one of a runtime with workers of its own rings all the same, so it serves in others too.
    #[test]
    fn a_bell_of_a_runtime_with_workers_serves_anywhere() {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let many = builder.worker_threads(1).enable_time().build().unwrap();
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let one = builder.enable_time().build().unwrap();
        let waker = Waker::from(Arc::new(Woken::default()));
        let at = Instant::now() + 60 * SECOND;
        many.block_on(async { Bell::for_deadline(at, &waker).leave() });
        let bell = one.block_on(async { Bell::for_deadline(at, &waker) });
        assert_eq!(bell.alarm.only_in, None);
    }

    // BE1: in a turn of a driver it serves the next deadline of the child.
    #[tokio::test(start_paused = true)]
    async fn a_bell_serves_within_a_turn() {
        let first = Instant::now() + SECOND;
        let soon = || {
            let mut is_polled = false;
            std::future::poll_fn(move |cx: &mut Context<'_>| {
                if std::mem::replace(&mut is_polled, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
        };
        let child = async move {
            timeout(SECOND, soon()).await.unwrap();
            assert_eq!(left(), Some(first));
            timeout(2 * SECOND, soon()).await.unwrap();
            assert_eq!(left(), Some(first), "the same one");
        };
        let run = crate::TaskGroup::run(async |group| {
            group.spawn(child);
            Ok(())
        });
        run.await.unwrap();
    }

    // BE2: an exploration looks at what is alive, so nothing is left there.
    #[cfg(feature = "testing")]
    #[test]
    fn no_bell_is_left_in_an_exploration() {
        let program = async || {
            drop_left();
            timeout(SECOND, tokio::task::yield_now()).await.unwrap();
            assert!(left().is_none());
        };
        let explored = crate::testing::Explorer::new().run(0..1, program);
        assert!(explored.is_ok());
    }
}
