//! Awaits that are cut off, and code that blocks its thread on one.
//!
//! - **T15** Code that is cut off in a scope without holds is dropped when the poll under way
//!   returns, if that is a poll of the scope's owner. So each such cut wakes its waker: the owner
//!   loses nothing by it, and an executor that blocks inside that poll comes back. After [`CUTS`]
//!   of them in one scope the code blocks on what was cut off, and the next cut unwinds (G5). In a
//!   scope with holds, and where other code polls a section of the scope (`AWAY`), nothing is
//!   counted, and the waker waits for the last release or for a guard.

use std::sync::Arc;
use std::task::{Poll, Waker};

use super::flags::AWAY;
use super::{Kind, Rare, Scope};
use crate::gate;

/// So often a scope cuts an await off before it takes the code for blocked (T15). An executor
/// inside the task (`FuturesUnordered`, say) comes back a few times in one poll. Wide code that is
/// unwound instead of dropped loses nothing: it is dropped either way.
const CUTS: u32 = 1_000;

/// Whether a guard of the code lets an await in a cancelled scope go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guards {
    Count,
    DoNotCount,
}

impl Scope {
    /// Pending in a cancelled scope where no guard lets the code go on (S37). The section or task
    /// of that scope drops the code after its poll has returned, or as soon as nothing holds the
    /// scope. Ready in a destructor that blocks while its thread unwinds: it cannot be dropped.
    ///
    /// # Panics
    /// With a `CutOff`, where that poll does not return because the code blocks on this await.
    #[cold]
    pub(crate) fn poll_may_go_on(self: &Arc<Self>, waker: &Waker) -> Poll<()> {
        if std::thread::panicking() {
            return Poll::Ready(());
        }
        self.poll_cut_off(waker, Guards::Count)
    }

    /// As [`poll_may_go_on`](Self::poll_may_go_on), for code that has nothing to go on with.
    #[cold]
    pub(crate) fn poll_over(self: &Arc<Self>, waker: &Waker) -> Poll<()> {
        self.poll_cut_off(waker, Guards::DoNotCount)
    }

    fn poll_cut_off(self: &Arc<Self>, waker: &Waker, guards: Guards) -> Poll<()> {
        let mut is_away = false;
        for scope in self.in_the_same_task() {
            let is_forced = scope.is_forced();
            // A deadline that is due fires where the code is suspended, which is not here yet
            // (S21).
            if is_forced || scope.is_to_drop_what_it_runs() {
                let guards = if is_forced {
                    Guards::DoNotCount
                } else {
                    guards
                };
                if !scope.stop_await(waker, guards) {
                    return Poll::Ready(());
                }
                if !is_away && (is_forced || scope.holds() == 0) {
                    scope.count_cut(waker);
                }
                return Poll::Pending;
            }
            if matches!(scope.kind, Kind::Shield) {
                break;
            }
            is_away |= scope.flags() & AWAY != 0;
        }
        // No scope around this one would drop it.
        Poll::Ready(())
    }

    /// Keeps the waker of an await that is cut off, unless a guard lets the await go on. Returns
    /// whether it was kept.
    fn stop_await(&self, waker: &Waker, guards: Guards) -> bool {
        let mut waker = Some(gate::clone_waker(waker));
        let mut inner = self.inner.lock();
        if inner.masks > 0 && guards == Guards::Count {
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

    fn count_cut(&self, waker: &Waker) {
        let count = |rare: &mut Rare| {
            rare.cuts = rare.cuts.saturating_add(1);
            rare.cuts
        };
        if self.rare(count) > CUTS {
            // Where it returns, the await stays suspended.
            gate::cut_off();
        } else {
            gate::wake_by_ref(waker);
        }
    }
}
