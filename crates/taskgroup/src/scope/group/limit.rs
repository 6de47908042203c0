//! The limit of a group: children that wait for a place, and places that are given back.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};

use super::places::{Limiter, PlaceGoesTo, Places, WaitsFor};
use super::view::Group;
use super::{AnyLimiter, GroupState, Limit};
use crate::gate::{self, StoredWaker};
use crate::progress::Progress;
use crate::scope::task::TaskRef;
use crate::scope::tree::Scope;
use crate::scope::waiters::{Key, Removed};
use crate::sync::Mutex;

impl Limit {
    pub(crate) fn new(places: usize) -> Self {
        let make = |places| -> Box<AnyLimiter> { Box::new(Limited::new(places)) };
        Self { places, make }
    }

    pub(super) fn limiter(self) -> Box<AnyLimiter> {
        (self.make)(self.places)
    }
}

/// The places of a group with a limit.
pub(super) struct Limited {
    pub(super) places: Mutex<Places<TaskRef>>,
    /// There are notes in `places` of what children wait for.
    pub(super) has_notes: AtomicBool,
}

impl Limited {
    fn new(limit: usize) -> Self {
        Self {
            places: Mutex::new(Places::new(limit)),
            has_notes: AtomicBool::new(false),
        }
    }
}

impl Limiter<Scope, GroupState, TaskRef> for Limited {
    fn places(&self) -> &Mutex<Places<TaskRef>> {
        &self.places
    }

    fn start(&self, scope: &Arc<Scope>, task: TaskRef) -> Option<TaskRef> {
        let mut places = self.places.lock();
        // A canceller sets the flag before it takes the queue, so nothing is left behind in it.
        let next = if places.placed >= places.limit && !scope.is_cancelled() {
            // Numbers wrap after 2^32 children. A child that has waited that long is started, not
            // lost.
            places.queued.insert(task.header().index, task)
        } else {
            Some(task)
        };
        places.placed += usize::from(next.is_some());
        next
    }

    fn take_queued(&self, group: &GroupState) -> Vec<TaskRef> {
        let (queued, waiting) = {
            let mut places = self.places.lock();
            let queued = std::mem::take(&mut places.queued);
            // They have places of their own until they have ended.
            places.placed += queued.len();
            (queued, places.waiting.take_all())
        };
        waiting.into_iter().for_each(StoredWaker::wake);
        for task in queued.values() {
            group.count(task.header(), Progress::started);
        }
        queued.into_values().collect()
    }

    fn unqueue(&self, group: &GroupState, index: u32) {
        let task = {
            let mut places = self.places.lock();
            let task = places.queued.remove(&index);
            places.placed += usize::from(task.is_some());
            task
        };
        if let Some(task) = task {
            group.submit(task);
        }
    }

    fn place_free(&self, group: &GroupState) {
        let next = {
            let mut places = self.places.lock();
            places.placed -= 1;
            places.next()
        };
        if let Some(next) = next {
            group.hand_over(next);
        }
    }

    fn stirs(&self, index: u32) {
        self.forget_note(index);
    }

    fn waits_inside(&self, scope: &Arc<Scope>, what: WaitsFor) -> Option<u32> {
        self.note_wait(scope, what)
    }
}

impl GroupState {
    pub(crate) fn limit(&self) -> Option<usize> {
        self.places().map(|places| places.lock().limit)
    }

    #[inline]
    pub(crate) fn is_limited(&self) -> bool {
        self.limiter().is_some()
    }

    #[inline]
    pub(super) fn limiter(&self) -> Option<&AnyLimiter> {
        self.asked.as_deref()?.limiter.as_deref()
    }

    /// The places, if the group has a limit.
    fn places(&self) -> Option<&Mutex<Places<TaskRef>>> {
        self.limiter().map(Limiter::places)
    }

    /// Changes the limit. More places go to whose turn it is. Whether there is a limit to change.
    pub(crate) fn set_limit(&self, limit: usize) -> bool {
        let Some(places) = self.places() else {
            return false;
        };
        let next: Vec<_> = {
            let mut places = places.lock();
            places.limit = limit;
            std::iter::from_fn(|| places.next()).collect()
        };
        next.into_iter().for_each(|next| self.hand_over(next));
        true
    }

    /// Takes a place if one is free: the caller spawns with it or gives it back.
    pub(crate) fn take_place(&self) -> bool {
        let Some(places) = self.places() else {
            return true;
        };
        let mut places = places.lock();
        let is_free = places.is_free();
        places.placed += usize::from(is_free);
        is_free
    }

    /// A place goes to whose turn it is.
    fn hand_over(&self, next: PlaceGoesTo<TaskRef>) {
        match next {
            PlaceGoesTo::Child(task) => self.submit(task),
            PlaceGoesTo::Waiter(waker) => waker.wake(),
        }
    }

    /// Whether a limited child would start at once. Then the caller has the place, and spawns with
    /// it or gives it back. Otherwise the waker is woken when a place was handed to the caller or
    /// the group is cancelled.
    fn poll_place(&self, key: &mut Option<Key>, waker: &Waker) -> bool {
        let Some(places) = self.places() else {
            return true;
        };
        let known = {
            let mut places = places.lock();
            match *key {
                Some(own) if places.waiting.is_called(own) => {
                    let _called = places.waiting.remove(own);
                    *key = None;
                    return true;
                }
                own => own.is_some_and(|own| places.waiting.has(own, waker)),
            }
        };
        if known {
            return false;
        }
        let waker = gate::clone_waker(waker);
        // Wakers are dropped after the lock.
        let (placed, _not_needed) = {
            let mut places = places.lock();
            if key.is_some_and(|own| places.waiting.is_called(own)) {
                let _called = key.take().map(|own| places.waiting.remove(own));
                (true, Some(waker))
            } else if key.is_none() && places.is_free() {
                places.placed += 1;
                (true, Some(waker))
            } else {
                (false, places.waiting.put(key, waker))
            }
        };
        placed
    }

    /// A wait for a place was given up. If the place had been handed over, it goes on to the next
    /// one.
    fn stop_waiting_for_place(&self, key: Key) {
        let Some(places) = self.places() else {
            return;
        };
        let removed = places.lock().waiting.remove(key);
        if let Removed::Called = removed {
            self.place_free();
        }
    }

    /// The group is cancelled, so each waiting child gets a place: a cancelled child only ends. The
    /// caller submits them.
    pub(in crate::scope) fn take_queued(&self) -> Vec<TaskRef> {
        self.limiter()
            .map_or_else(Vec::new, |limiter| limiter.take_queued(self))
    }

    /// A child was cancelled alone. It needs no place to end, so it does not wait for one.
    pub(crate) fn unqueue(&self, index: u32) {
        if let Some(limiter) = self.limiter() {
            limiter.unqueue(self, index);
        }
    }

    /// A place was given back. The next child starts, unless cancelled children still take more
    /// places than the limit allows.
    pub(crate) fn place_free(&self) {
        if let Some(limiter) = self.limiter() {
            limiter.place_free(self);
        }
    }

    /// How many places of the limit are taken, and how many children wait for one.
    #[cfg(feature = "testing")]
    pub(crate) fn placed_and_queued(&self) -> (usize, usize) {
        self.places().map_or((0, 0), |places| {
            let places = places.lock();
            (places.placed, places.queued.len())
        })
    }
}

/// Ready with `true` when a child of the group would start at once, which the caller then has to
/// spawn. Ready with `false` when the group is cancelled. If it is dropped, the wait is forgotten
/// (S44), and a place that was handed to it goes to the next waiter.
pub(crate) struct FreePlace<'a> {
    group: Group<'a>,
    key: Option<Key>,
    /// The child of the group that has a note of this wait.
    noted_by: Option<u32>,
}

impl<'a> FreePlace<'a> {
    pub(crate) fn new(group: Group<'a>) -> Self {
        Self {
            group,
            key: None,
            noted_by: None,
        }
    }
}

impl Future for FreePlace<'_> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let this = &mut *self;
        if this.group.poll_place(&mut this.key, cx.waker()) {
            Poll::Ready(true)
        } else if this.group.scope.is_cancelled() {
            // The canceller sets the flag before it looks at the waiters.
            Poll::Ready(false)
        } else {
            this.noted_by = this.group.waits_inside(WaitsFor::Place);
            Poll::Pending
        }
    }
}

impl Drop for FreePlace<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.group.stop_waiting_for_place(key);
        }
        if let Some(child) = self.noted_by {
            self.group.stirs(child);
        }
    }
}
