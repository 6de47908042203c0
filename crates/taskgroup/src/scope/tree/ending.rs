//! The end of a scope: out of the tree, by its section or as an orphan.

use std::sync::Arc;

use super::flags::{CANCELLED, FORCED, ORPHAN};
use super::{Dropping, Kind, Scope};
use crate::error::Member;
use crate::reason::CancelReason;
use crate::scope::events;

impl Scope {
    /// The section has ended, with everything below. The scope leaves the tree.
    pub(crate) fn finish_section(self: &Arc<Self>) {
        debug_assert!(
            self.is_closed(),
            "T3: a section ends only after it has closed"
        );
        if let Some(parent) = self.finish() {
            parent.leave();
        }
    }

    /// Unlinks the scope and hands failures that no code has collected to its home. The caller
    /// gives the home its token back.
    pub(super) fn finish(self: &Arc<Self>) -> Option<&Arc<Scope>> {
        let orphan = self.flags() & ORPHAN != 0;
        if orphan {
            if self.has_deferred() {
                // It came between the last look and the close. The home still waits for this
                // scope, so the work goes there.
                self.adopt_cleanups(self.take_deferred());
            }
            let left = self.take_orphan_failure();
            if let (Some(member), Some(home)) = (left, self.home()) {
                home.adopt_failure(member);
            }
        }
        self.forget_stopped();
        self.wake_watchers();
        if let (Some(inline), true) = (self.inline(), orphan) {
            // It was dropped half-way, and what it left behind has ended now.
            events::inline_ended(self, || inline.ending());
        }
        events::closed(self);
        if let Some(group) = self.group() {
            group.closed();
        }
        let home = self.unlink()?;
        if orphan && matches!(home.kind, Kind::Root) {
            home.root_orphan_ended();
        }
        Some(home)
    }

    /// The section was dropped before its end. Cancels what is below. From now on its home waits
    /// for it (S15). What lives on elsewhere is not below any more (S40).
    pub(crate) fn abandon(self: &Arc<Self>) {
        self.hand_on();
        self.cancel(&CancelReason::dropped(self.location), Dropping::Scheduled);
        self.orphan();
    }

    /// From now on nothing polls this scope. It ends by itself after what is below it and what was
    /// deferred, and its home waits for that. Gives the section's token back.
    pub(crate) fn orphan(self: &Arc<Self>) {
        self.set_orphan();
        self.let_force_in();
        self.hand_on();
        self.leave();
    }

    /// The end of a grace stops at a call that has not returned. What that has left behind is cut
    /// off now, if a grace around it has ended meanwhile. `ORPHAN` is set under the lock of the
    /// home. So a thread that spreads the end of the grace either finds it, or has marked the home
    /// before.
    fn let_force_in(self: &Arc<Self>) {
        let Some(home) = self.home() else { return };
        if home.is_forced() && !self.is_forced() {
            self.cancel_from_above(CANCELLED | FORCED, &home.reason_or_dropped());
        }
    }

    fn take_orphan_failure(self: &Arc<Self>) -> Option<Member> {
        // Only groups and runs have failures. A run that is cut short is an exploration, which has
        // reported its fault already.
        self.as_group()?.take_failure().map(Member::Group)
    }

    /// The task that this is the inside of has ended (K5).
    pub(in crate::scope) fn forget_task(&self) {
        self.forget_stopped();
        if let Kind::Task(task) = &self.kind {
            task.forget();
        }
        self.wake_watchers();
    }
}
