//! Awaits that are cut off, and code that blocks its thread on one.
//!
//! - **T15** Code that is cut off in a scope without holds is dropped when the poll under way
//!   returns. So each cut wakes its waker: the owner of the scope loses nothing by it, and an
//!   executor that blocks inside that poll comes back. After [`CUTS`] of them in one scope the code
//!   blocks on what was cut off, and the next cut unwinds (G5). In a scope with holds the waker
//!   waits: for the last release, for a guard, or for the alarm that finds the same poll still
//!   under way. After that alarm the cuts ask what holds the scope (T13), in place of its owner,
//!   which cannot.

use std::sync::Arc;
use std::task::{Poll, Waker};

use tokio::time::Instant;

use super::asking::FIRST_PAUSE;
use super::flags::FORCED;
use super::{Blocking, Kind, Rare, Scope};
use crate::gate;
use crate::scope::driver::Runtime;
use crate::scope::time::alarm;
use crate::scope::time::timer::Alarm;

/// So often a scope cuts an await off before it takes the code for blocked (T15). An executor
/// inside the task (`FuturesUnordered`, say) comes back a few times in one poll. Wide code that is
/// unwound instead of dropped loses nothing: it is dropped either way.
const CUTS: u32 = 1_000;

impl Scope {
    /// Ready while a [`Cancelled`](crate::Cancelled) of this scope lives, unless the grace is up.
    pub(super) fn poll_cut_off(self: &Arc<Self>, waker: &Waker) -> Poll<()> {
        let is_forced = self.flags() & FORCED != 0;
        if !self.stop_await(waker, is_forced) {
            return Poll::Ready(());
        }
        let again = if is_forced || self.holds() == 0 {
            if self.rare(Rare::count_cut) > CUTS {
                gate::cut_off();
            }
            true
        } else {
            self.cut_while_held(waker)
        };
        if again {
            gate::wake_by_ref(waker);
        }
        Poll::Pending
    }

    /// Keeps the waker of an await that is cut off, unless a guard lets the await go on. Returns
    /// whether it was kept.
    fn stop_await(&self, waker: &Waker, is_forced: bool) -> bool {
        let mut waker = Some(gate::clone_waker(waker));
        let mut inner = self.inner.lock();
        if inner.masks > 0 && !is_forced {
            drop(inner);
            return false;
        }
        let stopped = &mut inner.rare(&self.flags).stopped;
        // One that is polled again and again is mostly the last one.
        let last = stopped.last();
        if !last.is_some_and(|last| waker.as_ref().is_some_and(|waker| last.is_same(waker))) {
            stopped.extend(waker.take());
        }
        drop(inner);
        true
    }

    /// An await in this scope was cut off, and something holds the code. Returns whether the await
    /// is to be polled again at once.
    fn cut_while_held(self: &Arc<Self>, waker: &Waker) -> bool {
        // The outermost scope that is to end asks for all.
        let inside = self.in_the_same_task();
        let inside = inside.take_while(|scope| !matches!(scope.kind, Kind::Shield));
        let told = inside.filter(|scope| scope.is_to_drop_what_it_runs());
        let outermost = told.last().unwrap_or(self);
        if !Arc::ptr_eq(outermost, self) {
            outermost.stop_await(waker, true);
        }
        match outermost.rare(|rare| rare.blocking.cut()) {
            PollSeen::Blocked => outermost.ask_holders(),
            PollSeen::Watched => false,
            PollSeen::Unwatched => {
                outermost.watch_poll();
                false
            }
        }
    }

    /// Sets the alarm that looks whether the poll under way has returned.
    fn watch_poll(self: &Arc<Self>) {
        if cfg!(loom) {
            // In a model time stands still.
            return;
        }
        // An executor that blocks has entered its runtime.
        if let Some(runtime) = Runtime::with_clock_of(self, true, None) {
            alarm::ring_in(&runtime, FIRST_PAUSE, Alarm::Blocked(Arc::downgrade(self)));
        }
    }

    /// The alarm of [`watch_poll`](Self::watch_poll).
    pub(in crate::scope) fn look_at_poll(self: &Arc<Self>) {
        match self.rare(|rare| rare.blocking.ring()) {
            PollSeen::Blocked => self.wake_stopped(),
            PollSeen::Unwatched => self.watch_poll(),
            PollSeen::Watched => {}
        }
    }

    /// The scope was polled, is to end, and is held.
    pub(super) fn poll_returned(&self) {
        if self.has_rare() {
            self.rare(|rare| rare.blocking.returned());
        }
    }
}

/// What is known of the poll in which an await was cut off.
enum PollSeen {
    /// It goes on since the alarm was set for it.
    Blocked,
    /// An alarm is set, or none is needed.
    Watched,
    /// An alarm is to be set.
    Unwatched,
}

impl Rare {
    fn count_cut(&mut self) -> u32 {
        self.cuts = self.cuts.saturating_add(1);
        self.cuts
    }
}

impl Blocking {
    fn returned(&mut self) {
        self.returns = self.returns.wrapping_add(1);
        self.is_blocked = false;
    }

    fn cut(&mut self) -> PollSeen {
        if self.is_blocked {
            return PollSeen::Blocked;
        }
        self.cut = Some(self.returns);
        self.watch()
    }

    fn ring(&mut self) -> PollSeen {
        let watched = self.watched.take();
        if self.cut != Some(self.returns) {
            return PollSeen::Watched;
        }
        if watched.is_some_and(|(poll, _)| poll == self.returns) {
            self.is_blocked = true;
            return PollSeen::Blocked;
        }
        self.watch()
    }

    fn watch(&mut self) -> PollSeen {
        let now = Instant::now();
        // One that has not rung in time is set in a runtime that is not driven.
        if self.watched.is_some_and(|(_, at)| now <= at + FIRST_PAUSE) {
            return PollSeen::Watched;
        }
        self.watched = Some((self.returns, now + FIRST_PAUSE));
        PollSeen::Unwatched
    }
}
