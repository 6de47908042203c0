//! Holds: what forbids dropping a future, and what happens when the last of them goes (T6, S40).
//!
//! - **T12** A section adds up to two holds to its home: one if `HOLDING` is set, and one if its
//!   own count is above 0 (a guard is alive in it, or in a section further in) and it is not
//!   `PARKED`. All these change, together with the count of the home, under the lock of the
//!   section. So does its home (T10); a count that stays above 0 needs no lock. Locks are taken
//!   outwards only.

use std::sync::Arc;

use smallvec::SmallVec;

use super::flags::{CANCELLED, HOLDING, OWN, PARKED, REPORTED};
use super::{Kind, Scope, ScopeData, task_of};
use crate::sync::{MutexGuard, Ordering};

/// The scopes that have to look again whether they may be dropped now.
type Freed<'a> = SmallVec<[&'a Arc<Scope>; 4]>;

impl Scope {
    pub(crate) fn holds(&self) -> u32 {
        // SeqCst: T14: counts after `CANCELLED` was set.
        self.holds.load(Ordering::SeqCst)
    }

    /// Forbids dropping this scope's future and those around it in the same task.
    pub(crate) fn hold(self: &Arc<Self>) {
        hold_from(self, None);
    }

    pub(crate) fn release(self: &Arc<Self>) {
        let mut freed = Freed::new();
        release_from(self, None, &mut freed);
        freed.into_iter().for_each(Scope::look_again);
    }

    /// The drop rule may apply now: has the task that polls this scope look again. Nothing else
    /// looks at code that blocks on an await in there (T15).
    pub(in crate::scope) fn look_again(self: &Arc<Self>) {
        self.wake_stopped();
        match &self.kind {
            Kind::Task(_) => {
                if let Some(task) = task_of(self) {
                    task.wake();
                }
            }
            _ => self.wake(),
        }
    }

    /// Its section holds its home.
    pub(in crate::scope) fn hold_home(&self) {
        if self.is_holding() {
            return;
        }
        let own = self.inner.lock();
        let before = self.flags.set(HOLDING);
        if let (0, Some(home)) = (before & HOLDING, self.home()) {
            hold_from(home, Some(own));
        }
    }

    /// Its section holds its home no longer. A thread that finds this done already has nothing to
    /// do.
    pub(in crate::scope) fn release_home(&self) {
        if !self.is_holding() {
            return;
        }
        let mut freed = Freed::new();
        let own = self.inner.lock();
        let before = self.flags.clear(HOLDING);
        if let (HOLDING, Some(home)) = (before & HOLDING, self.home()) {
            release_from(home, Some(own), &mut freed);
        } else {
            drop(own);
        }
        freed.into_iter().for_each(Scope::look_again);
    }

    /// It is not polled within its home, so what its code forbids does not keep the home.
    pub(in crate::scope) fn park(&self) {
        let mut freed = Freed::new();
        let own = self.inner.lock();
        let before = self.flags.set(PARKED);
        self.flags.clear(HOLDING);
        if let Some(home) = self.home() {
            if before & HOLDING != 0 {
                release_from(home, None, &mut freed);
            }
            if before & PARKED == 0 && self.passes_holds_on() {
                release_from(home, None, &mut freed);
            }
        }
        drop(own);
        freed.into_iter().for_each(Scope::look_again);
    }

    /// It is polled within its home again.
    pub(in crate::scope) fn unpark(&self) {
        if !self.is_parked() {
            return;
        }
        let own = self.inner.lock();
        let before = self.flags.clear(PARKED);
        if let (true, Some(home)) = (before & PARKED != 0, self.home()) {
            if self.passes_holds_on() {
                hold_from(home, Some(own));
            }
        }
    }

    /// Whether something holds it that holds its home as well, if it is not parked.
    fn passes_holds_on(&self) -> bool {
        !self.is_task_root() && self.holds() > 0
    }

    /// Whether its home is kept by it, in either way (T12).
    pub(super) fn keeps_home(&self) -> bool {
        self.is_holding() || (!self.is_parked() && self.passes_holds_on())
    }

    /// Its home has changed just now, under `own`, its lock. What its code forbids (a guard in
    /// there) holds the new home.
    pub(super) fn move_holds(
        &self,
        own: MutexGuard<'_, ScopeData>,
        from: &Arc<Scope>,
        home: &Arc<Scope>,
    ) {
        let mut freed = Freed::new();
        if !self.is_parked() && self.passes_holds_on() {
            hold_from(home, None);
            release_from(from, None, &mut freed);
        }
        if self.flags.clear(HOLDING) & HOLDING != 0 {
            release_from(from, None, &mut freed);
        }
        drop(own);
        freed.into_iter().for_each(Scope::look_again);
    }

    /// Whether the cancellation was asked of this very scope.
    pub(crate) fn is_origin(&self) -> bool {
        self.flags() & OWN != 0
    }

    /// Whether there was a [`Cancelled`](crate::Cancelled) of this scope.
    pub(crate) fn was_reported(&self) -> bool {
        self.flags() & REPORTED != 0
    }

    /// Whether a [`Cancelled`](crate::Cancelled) of this scope lives.
    pub(crate) fn is_masked(&self) -> bool {
        self.masks() > 0
    }

    /// How many of them there are.
    pub(crate) fn masks(&self) -> u32 {
        self.inner.lock().masks
    }

    /// A [`Cancelled`](crate::Cancelled) of this scope came to life. What it forbids is another
    /// matter, see [`hold`](Scope::hold).
    pub(crate) fn mask(self: &Arc<Self>) {
        self.flags.set(REPORTED);
        self.inner.lock().masks += 1;
        self.wake_stopped();
    }

    /// A [`Cancelled`](crate::Cancelled) of this scope is gone. The last one re-arms the
    /// cancellation, also for what was opened below meanwhile.
    pub(crate) fn unmask(self: &Arc<Self>) {
        let again = {
            let mut inner = self.inner.lock();
            inner.masks -= 1;
            (inner.masks == 0 && self.is_cancelled()).then(|| {
                let below = inner.scopes.to_vec();
                (below, inner.reason.clone())
            })
        };
        if let Some((below, Some(reason))) = again {
            for scope in below {
                if !scope.kind.keeps_cancel_out() {
                    scope.cancel_from_above(CANCELLED, &reason);
                }
            }
        }
    }
}

/// Counts a hold of `scope` and, where its count leaves 0 and it is not parked, of its home, and so
/// on. `below` is the lock of what holds it, if it is a scope.
///
/// SeqCst: T14, as each write of `holds`.
fn hold_from<'a>(mut scope: &'a Arc<Scope>, mut below: Option<MutexGuard<'a, ScopeData>>) {
    loop {
        if scope.is_task_root() {
            scope.holds.fetch_add(1, Ordering::SeqCst);
            return;
        }
        let held = |holds| (holds > 0).then_some(holds + 1);
        let counted = scope
            .holds
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, held);
        if counted.is_ok() {
            return;
        }
        let own = scope.inner.lock();
        let crossed = scope.holds.fetch_add(1, Ordering::SeqCst) == 0;
        drop(below.replace(own));
        match scope.home() {
            Some(home) if crossed && !scope.is_parked() => scope = home,
            _ => return,
        }
    }
}

/// Takes a hold off again. A scope whose count comes to 0 is added to `freed`, if it is cancelled.
///
/// SeqCst: T14: the last hold of a task is taken off before `is_cancelled` looks for `CANCELLED`.
/// The others are as each write of `holds`.
fn release_from<'a>(
    mut scope: &'a Arc<Scope>,
    mut below: Option<MutexGuard<'a, ScopeData>>,
    freed: &mut Freed<'a>,
) {
    loop {
        if scope.is_task_root() {
            let last = scope.holds.fetch_sub(1, Ordering::SeqCst) == 1;
            freed.extend((last && scope.is_cancelled()).then_some(scope));
            return;
        }
        let kept = |holds| (holds > 1).then(|| holds - 1);
        let counted = scope
            .holds
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, kept);
        if counted.is_ok() {
            return;
        }
        let own = scope.inner.lock();
        let crossed = scope.holds.fetch_sub(1, Ordering::SeqCst) == 1;
        drop(below.replace(own));
        freed.extend((crossed && scope.is_cancelled()).then_some(scope));
        match scope.home() {
            Some(home) if crossed && !scope.is_parked() => scope = home,
            _ => return,
        }
    }
}
