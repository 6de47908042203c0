//! Which scope is about to drop what it runs, by the guard rule, and which code may go on until
//! then.

use std::sync::Arc;

use super::flags::ORPHAN;
use super::{Kind, Scope, outward};
use crate::scope::current;
use crate::scope::task::TaskRef;

impl Scope {
    /// Whether a cancel is on its way here: `spread` marks from the top down, so between the first
    /// mark and the last one only those above know.
    pub(crate) fn is_reached_by_cancel(self: &Arc<Self>) -> bool {
        for scope in outward(self) {
            if scope.is_cancelled() {
                return true;
            }
            if scope.kind.keeps_cancel_out() {
                return false;
            }
        }
        false
    }

    /// Whether something around this scope, in the same task, is about to drop it by the guard
    /// rule. Then this scope reports nothing and waits to be dropped. So among nested scopes that
    /// end together the outermost one acts (S21).
    pub(crate) fn yields_to_outer(&self) -> bool {
        match self.home() {
            // If other code polls it than the code that opened it, nothing further out would drop
            // it.
            Some(home) => current::is(home) && home.is_about_to_drop(),
            None => false,
        }
    }

    /// Whether this scope, or one around it in the same task, is about to drop what it runs.
    pub(crate) fn is_about_to_drop(self: &Arc<Self>) -> bool {
        for scope in self.in_the_same_task() {
            let acts = scope.drops_what_it_runs();
            if scope.is_forced() || (acts && scope.holds() == 0) {
                return true;
            }
            if matches!(scope.kind, Kind::Shield) {
                return false;
            }
        }
        false
    }

    /// This scope and those around it whose code belongs to the same task, from the inside out. It
    /// ends at a blocking closure and at a foreign call, because neither can be dropped.
    pub(super) fn in_the_same_task(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        let around = std::iter::successors(Some(self), |scope| match scope.home() {
            Some(home) if !scope.is_task_root() => Some(home),
            _ => None,
        });
        around.take_while(|scope| !matches!(scope.kind, Kind::Blocking | Kind::Call))
    }

    /// Whether the end of a grace stops here. Foreign code that has not returned cannot be dropped,
    /// so what it opens and waits for must be able to end (G4). What it leaves behind is cut off
    /// like anything else.
    pub(super) fn keeps_force_out(&self) -> bool {
        matches!(self.kind, Kind::Call) && self.flags() & ORPHAN == 0
    }

    /// Whether the guard rule makes this very scope drop its future, as soon as nothing holds it. A
    /// deadline that is due fires here, in case its alarm is still to ring.
    fn drops_what_it_runs(self: &Arc<Self>) -> bool {
        self.expire_if_due();
        self.is_to_drop_what_it_runs()
    }

    /// The same by what is known already.
    pub(super) fn is_to_drop_what_it_runs(&self) -> bool {
        match &self.kind {
            Kind::Root | Kind::Shield | Kind::Local(..) | Kind::Blocking | Kind::Call => false,
            // A handle's cancel marks the scope inside first and the task right after, so either
            // mark counts.
            Kind::Task(task) => {
                let marked = |task: TaskRef| task.header().is_cancelled();
                self.is_cancelled() || task.upgrade().is_some_and(marked)
            }
            Kind::Deadline(_) => self.is_origin(),
            Kind::Group(_) | Kind::Section | Kind::Inline(_) | Kind::Run => self.is_cancelled(),
        }
    }
}
