//! Where a scope is at home, and what becomes of a section whose future is alive but is not polled
//! where it was opened (S40).
//!
//! A section is linked below its *home*. That is the scope it was opened in, while the code of that
//! one runs. When this code has ended, its local variables are gone, so a section that is still
//! alive below it is held by a value that has left, or was leaked. The scope does not wait for it.
//! It hands it on to the nearest scope further out whose own code still runs, in the end to the
//! process root.
//!
//! - **T10** `home` is null, or points to the `parent` of this scope or of one above it: that never
//!   moves, and a scope keeps all those above it alive. A scope that has not finished has one token
//!   of its home, and one place in its list. Where that is changes, and `ORPHAN` is set, under the
//!   locks of the scope (a change only) and of the home. So a thread that has either lock, and has
//!   found the home unchanged under it, knows where the scope is.
//! - **T11** `OVER` is set under the lock of the scope once its code has ended. From then on no
//!   live section is moved below it.

#![allow(unsafe_code)]

use std::sync::Arc;

use smallvec::SmallVec;

use super::flags::{CANCELLED, CUT, FORCED, HOLDING, ORPHAN, OVER, OWN, PARKED};
use super::links::{NO_SLOT, place, take_at};
use super::{Kind, Scope};
use crate::reason::CancelReason;
use crate::scope::task::{BACKGROUND, Header, SHIELDED};
use crate::sync::Ordering;

/// What came of an attempt to move a section.
enum Moved {
    /// It was moved. This is what it has to take over from its new home.
    There(Option<(u32, CancelReason)>),
    /// It has ended, was dropped or was moved meanwhile.
    Stays,
    /// The code of the scope that it should go to has ended as well.
    Over,
}

impl Scope {
    /// The scope that waits for this one, and that it reports to. The [`parent`](Scope::parent)
    /// stays the one in whose code it was opened.
    #[inline]
    pub(crate) fn home(&self) -> Option<&Arc<Scope>> {
        // Acquire: T10, with the store in `move_to`.
        let moved = self.home.load(Ordering::Acquire);
        // SAFETY: T10: it is null, or points to what is not changed in a scope that outlives this
        // one.
        let moved = unsafe { moved.as_ref() };
        moved.or(self.parent.as_ref())
    }

    fn is_at_home_in(&self, home: &Arc<Scope>) -> bool {
        self.home().is_some_and(|now| Arc::ptr_eq(now, home))
    }

    /// Whether there is a future of this scope that has not ended. (Tasks stand in another list,
    /// and a blocking closure runs whether it is polled or not.)
    pub(super) fn is_live_section(&self) -> bool {
        self.flags() & ORPHAN == 0 && !self.is_closed() && !matches!(self.kind, Kind::Blocking)
    }

    /// Whether its code has ended (T11).
    pub(in crate::scope) fn is_over(&self) -> bool {
        self.flags() & OVER != 0
    }

    /// The code of this scope has ended: the sections that are still alive below it go on to the
    /// scope around (T11).
    ///
    /// The caller has a token of this scope.
    pub(in crate::scope) fn hand_on(self: &Arc<Self>) {
        if self.is_over() {
            return;
        }
        let parked: SmallVec<[Arc<Scope>; 2]> = {
            let inner = self.inner.lock();
            self.flags.set(OVER);
            let scopes = inner.scopes.iter();
            scopes
                .filter(|below| below.is_live_section())
                .cloned()
                .collect()
        };
        for section in parked {
            // What is opened in a run ends with it: further out there is no code of the program.
            if !matches!(self.kind, Kind::Run) || !section.let_go_if_by_hand() {
                section.leave_home(self);
            }
        }
    }

    fn leave_home(self: &Arc<Self>, from: &Arc<Scope>) {
        let mut below = from;
        while let Some(home) = below.home() {
            // T2: the token of the new home is taken before that of the old one is given back.
            if home.enter_child().is_ok() {
                match self.move_to(from, home) {
                    Moved::There(inherited) => {
                        if let Some((bits, reason)) = inherited {
                            self.cancel_from_above(bits, &reason);
                        }
                        return from.leave();
                    }
                    Moved::Stays => return home.leave(),
                    Moved::Over => home.leave(),
                }
            }
            below = home;
        }
    }

    /// Moves the link and the holds of this section, the latter without its own one: it is not
    /// polled here.
    fn move_to(self: &Arc<Self>, from: &Arc<Scope>, home: &Arc<Scope>) -> Moved {
        let own = self.inner.lock();
        let inherited = {
            let mut old = from.inner.lock();
            let slot = self.slot.load(Ordering::Relaxed);
            if slot == NO_SLOT || !self.is_at_home_in(from) || !self.is_live_section() {
                return Moved::Stays;
            }
            let mut new = home.inner.lock();
            let flags = home.flags();
            if flags & OVER != 0 {
                return Moved::Over;
            }
            let link = take_at(&mut old.scopes, slot, |scope| &scope.slot);
            self.slot.store(place(&new.scopes), Ordering::Relaxed);
            new.scopes.extend(link);
            let pointer = std::ptr::from_ref(home).cast_mut();
            // Release: T10, with `home`: what it points to was written before.
            self.home.store(pointer, Ordering::Release);
            // T4, as for a scope that is opened there.
            let mut bits = flags & FORCED;
            if flags & CANCELLED != 0 && new.masks == 0 && !self.kind.keeps_cancel_out() {
                bits |= CANCELLED;
            }
            let reason = (bits != 0).then(|| new.reason.clone()).flatten();
            reason.map(|reason| (bits | CANCELLED, reason))
        };
        self.move_holds(own, from, home);
        Moved::There(inherited)
    }

    /// Takes this scope out of the list of its home, to which the caller gives the token back.
    pub(super) fn unlink(&self) -> Option<&Arc<Scope>> {
        loop {
            let home = self.home()?;
            let mut inner = home.inner.lock();
            if !self.is_at_home_in(home) {
                continue;
            }
            // Only ever written under this lock.
            let slot = self.slot.load(Ordering::Relaxed);
            self.slot.store(NO_SLOT, Ordering::Relaxed);
            let unlinked = take_at(&mut inner.scopes, slot, |scope| &scope.slot);
            drop(inner);
            drop(unlinked);
            return Some(home);
        }
    }

    /// From now on it stays where it is (T10). The process root counts its orphans.
    pub(super) fn set_orphan(&self) {
        while let Some(home) = self.home() {
            let mut inner = home.inner.lock();
            if !self.is_at_home_in(home) {
                continue;
            }
            self.flags.set(ORPHAN);
            if matches!(home.kind, Kind::Root) {
                inner.rare(&home.flags).orphans += 1;
            }
            return;
        }
    }

    /// Whether its section holds its home by itself.
    pub(super) fn is_holding(&self) -> bool {
        self.flags() & HOLDING != 0
    }

    pub(super) fn is_parked(&self) -> bool {
        self.flags() & PARKED != 0
    }

    // ---- what was cut off ----

    /// Something below this group was cut off from outside, so the group must not report success.
    pub(crate) fn set_cut(&self) {
        if self.flags() & CUT == 0 {
            self.flags.set(CUT);
        }
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.flags() & CUT != 0
    }

    /// A child ended as cancelled. It was cut off if the group was cancelled by something further
    /// out, and did not cancel itself.
    #[cold]
    pub(crate) fn child_cancelled(&self) {
        if self.flags() & (CANCELLED | OWN) == CANCELLED {
            self.set_cut();
        }
    }
}

impl Header {
    /// As [`child_cancelled`](Scope::child_cancelled), for a task that has ended as cancelled. What
    /// the group itself ends when it is done, and its cleanups, are no part of its work.
    #[cold]
    pub(in crate::scope) fn ended_cancelled(&self) {
        if !self.has(BACKGROUND | SHIELDED) {
            self.owner.child_cancelled();
        }
    }
}
