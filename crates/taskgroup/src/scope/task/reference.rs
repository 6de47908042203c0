//! What is done with a task by a reference to it: it is polled, cancelled, woken, linked and ended.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::task::Waker;

use super::header::{Allowed, Header, STARTED, Step, TaskRef};
use super::state::{GivenUp, OutcomeIs, TOKIO, Woken};
use crate::progress::Fate;
use crate::scope::events;
use crate::scope::tree::{CANCELLED, Dropping, Scope};

/// What came of a poll by a Tokio task.
pub(in crate::scope) enum Driven {
    Ended,
    Idle,
    Again,
}

impl TaskRef {
    /// Polls once. The caller took the task from its queue.
    #[cfg(any(feature = "testing", loom))]
    pub(crate) fn run(self) {
        if let Some(task) = self.poll_once() {
            task.hand_over(Woken::Submit);
        }
    }

    /// Polls once. The caller took the task from its queue, and puts it back if it is returned.
    #[inline]
    pub(in crate::scope) fn poll_once(self) -> Option<Self> {
        self.header().state.begin();
        self.take_step(Allowed::Poll)
    }

    /// Takes one step. The caller has `RUNNING`.
    pub(in crate::scope) fn drive(self, allowed: Allowed) {
        if let Some(task) = self.take_step(allowed) {
            task.hand_over(Woken::Submit);
        }
    }

    /// Takes one step. Returns the task if it is to be polled again. The caller has `RUNNING`.
    #[inline]
    fn take_step(self, allowed: Allowed) -> Option<Self> {
        if let Step::Ended { fate, outcome } = self.step(allowed) {
            let header = self.header();
            let is_driven = header.has(TOKIO);
            self.end(fate, outcome);
            if is_driven {
                // The Tokio task is not the caller, and still has to end.
                header.wake_drive();
            }
            return None;
        }
        match self.header().state.to_idle() {
            GivenUp::Idle => None,
            GivenUp::Again => match self.header().state.unclaim() {
                Woken::Submit => Some(self),
                woken => {
                    self.hand_over(woken);
                    None
                }
            },
        }
    }

    /// Polls once, as the Tokio task that `waker` wakes. Returns whether the task has ended, and if
    /// not whether it is to be polled again at once: then it stays `RUNNING`. The caller has
    /// `RUNNING`.
    pub(in crate::scope) fn drive_as(&self, waker: &Waker) -> Driven {
        let header = self.header();
        if !header.is_detached() {
            // Tokio's cell goes with the node, because the thread that drops the handle most often
            // made both.
            header.extra.set_drive(waker);
        }
        if let Step::Ended { fate, outcome } = self.step(Allowed::Poll) {
            self.end(fate, outcome);
            return Driven::Ended;
        }
        // A thread that finds the task idle sees this.
        header.extra.set_drive(waker);
        match header.state.to_idle() {
            GivenUp::Idle => Driven::Idle,
            GivenUp::Again => Driven::Again,
        }
    }

    /// The joiner goes: gives its reference, this one, back; unless the outcome is there and has to
    /// be dropped first.
    #[inline]
    pub(in crate::scope) fn detach(&self) -> bool {
        // Of the node only an atomic is borrowed when the reference is gone.
        self.header().state.detach()
    }

    /// As the canceller that has claimed an idle task: one step that drops the future, or finds
    /// that it may not.
    fn drop_in_place(self) {
        let header = self.header();
        if self.has_future() && header.holds() == 0 {
            self.drive(Allowed::Drop);
        } else {
            // A guard came to life meanwhile, or the task is winding up: its driver has to poll it.
            let woken = header.state.unclaim();
            self.hand_over(woken);
        }
    }

    /// The task was just marked as cancelled: drop it if it is idle and may be dropped here, wake
    /// it otherwise.
    pub(in crate::scope) fn cancelled(self, dropping: Dropping) {
        let header = self.header();
        if dropping == Dropping::InPlace && header.holds() == 0 && header.state.claim() {
            self.drop_in_place();
        } else {
            self.wake();
        }
    }

    /// As the canceller that finds the task in its owner's list, under the lock: marks it and takes
    /// it out of there if it is idle and nothing inside it has to know. It is the caller's to
    /// [drop](Self::drop_claimed) then; otherwise it is given back.
    pub(in crate::scope) fn claim_idle(self, bits: u32) -> Result<Self, Self> {
        let header = self.header();
        if header.scope().is_some() {
            return Err(self);
        }
        if !header.state.claim_linked(bits) {
            return Err(self);
        }
        header.set_slot(STARTED);
        // K4: the tree's reference has no place again. This is the one that was just counted.
        Ok(self)
    }

    /// Drops the future of a task that was claimed in its owner's list.
    pub(in crate::scope) fn drop_claimed(self) {
        // A scope may have been made inside just before the claim.
        self.header().pass_down();
        self.drop_in_place();
    }

    /// Marks and wakes this task only; its scope knows already.
    pub(crate) fn cancel_alone(&self) {
        if self.header().mark(CANCELLED) {
            events::found_cancelled(self.header());
            self.clone().wake();
        }
    }

    /// As `Waker::wake`.
    pub(in crate::scope) fn wake(self) {
        let woken = self.header().state.schedule();
        self.hand_over(woken);
    }

    /// The scope inside the task, made on the first ask.
    pub(crate) fn inside(&self) -> Arc<Scope> {
        let header = self.header();
        if let Some(inside) = header.scope() {
            return inside.clone();
        }
        let owner = Arc::clone(&header.owner);
        let new = Scope::for_task(self, owner, header.label.location());
        let scope = header.extra.inside_or(new).clone();
        let before = header.state.open();
        if before.is_done() {
            // K5: its end came first and found no scope.
            scope.forget_task();
        }
        header.hand_down(before, &scope);
        scope
    }

    /// The same for the thread that polls the task.
    pub(crate) fn inside_running(&self) -> Arc<Scope> {
        // What opens below must be found by a canceller at once, not only after the first poll.
        self.link();
        self.inside()
    }

    /// Makes the task visible to cancellers and to the tree, once. The caller has `RUNNING`.
    pub(in crate::scope) fn link(&self) {
        let header = self.header();
        if header.is_linked() {
            return;
        }
        header.label.linked();
        // K4: the tree's reference, which goes to its place.
        let of_tree = ManuallyDrop::into_inner(self.alias());
        let flags = header.owner.link_task(of_tree);
        header.inherit(flags);
        header.pass_down();
    }

    /// Publishes the end, gives the tree's reference back and tells the owner. The caller had
    /// `RUNNING`.
    fn end(&self, fate: Fate, outcome: OutcomeIs) {
        let header = self.header();
        if header.is_linked() {
            // K4: the reference in the list is the tree's, which `StateWord::end` gives back.
            let _ = header.owner.unlink_task(header).map(ManuallyDrop::new);
        }
        if let Some(inside) = header.scope() {
            inside.forget_task();
        }
        let todo = header.state.end(outcome);
        if todo.forget_inside {
            // K5: a scope that was made inside after the look above.
            if let Some(inside) = header.scope() {
                inside.forget_task();
            }
        }
        if todo.wake_waiters {
            header.extra.wake_waiters();
        }
        if todo.drop_outcome {
            // K3: the joiner went meanwhile.
            self.drop_outcome();
        }
        header.tell_owner(fate);
    }
}

impl Header {
    // ---- the driver's side ----

    /// Wakes the Tokio task that drives this one. Without effect before that has polled it for the
    /// first time: until then the task is `RUNNING`, so nothing has to wake it.
    pub(in crate::scope) fn wake_drive(&self) {
        self.extra.wake_drive();
    }

    /// Takes `RUNNING` for the Tokio task that drives this one.
    pub(in crate::scope) fn begin_scheduled(&self) -> bool {
        self.state.begin_scheduled()
    }

    /// Its runtime is dead: guards and shields hold no longer.
    pub(in crate::scope) fn force(&self) {
        self.state.force();
    }

    /// Takes `RUNNING` of a task that was taken from a queue of a dead runtime.
    pub(in crate::scope) fn begin_dead(&self) {
        self.state.force();
        self.state.begin();
    }

    /// Its Tokio task is dropped with its runtime. Returns whether this took `RUNNING`.
    pub(in crate::scope) fn lose_driver(&self) -> bool {
        self.state.lose_driver()
    }

    /// Takes `SCHEDULED` away, as the driver that has kept `RUNNING` between two polls.
    pub(in crate::scope) fn turn(&self) {
        self.state.turn();
    }
}
