//! One step of a task, the same for all: its future is polled or dropped, by the guard rule, and
//! then what is inside is waited for. The caller has `RUNNING` (K1).

#![allow(unsafe_code)]

use std::task::Context;

use super::ended::End;
use super::extra::Inside;
use super::header::{Allowed, Change, Polled, StageIs, Step, TaskRef};
use super::state::LIMITED;
use crate::error::{Began, Fault};
use crate::gate::{self, Payload};
use crate::scope::current;
use crate::scope::events;
use crate::scope::section::poll_winding;
use crate::scope::tree::{self, Scope};

impl TaskRef {
    /// One step. Nothing unwinds out of it (G2).
    #[inline]
    pub(super) fn step(&self, allowed: Allowed) -> Step {
        let mut step = Step::Pending;
        let unwound = gate::call(|| {
            let header = self.header();
            let waker = self.waker();
            let mut cx = Context::from_waker(&waker);
            if header.has(LIMITED) {
                header.stirs();
            }
            let _ambient = current::enter_task(self);
            #[cfg(feature = "tracing")]
            let _span = header.span.enter();
            step = self.take_turn(&mut cx, allowed);
        });
        let step = match (unwound, &step) {
            (Ok(()), _) => step,
            (Err(payload), Step::Pending) => self.fail(payload),
            (Err(payload), Step::Ended { .. }) => {
                // The outcome is there already, so what unwound came after it. The end of the task
                // tells the others.
                gate::report("the end of a task", payload);
                step
            }
        };
        #[cfg(feature = "tracing")]
        if let Step::Ended { .. } = step {
            self.header().span.close();
        }
        step
    }

    // Always inlined, as the other parts of a step: each passes on what is kept in registers then.
    #[inline(always)]
    fn take_turn(&self, cx: &mut Context<'_>, allowed: Allowed) -> Step {
        let header = self.header();
        if self.has_future() {
            let Some(end) = self.poll_future(cx, allowed) else {
                return Step::Pending;
            };
            let inside = header.scope();
            if inside.is_none_or(|inside| inside.try_close_at_once()) {
                return self.complete(end);
            }
            if !matches!(end, End::Value) {
                self.change(Change::Keep(end));
            }
        }
        self.wind_up(cx)
    }

    /// The future has ended: waits for what is inside.
    #[inline(never)]
    fn wind_up(&self, cx: &mut Context<'_>) -> Step {
        let header = self.header();
        if let Some(inside) = header.scope() {
            if poll_winding(&inside, cx).is_pending() {
                if header.is_cancelled() {
                    events::cleaning(header);
                }
                return Step::Pending;
            }
        }
        let mut end = End::Value;
        self.change(Change::Take(&mut end));
        self.complete(end)
    }

    /// Whether the future has not ended. A task winds up only if it has a scope inside.
    #[inline]
    pub(super) fn has_future(&self) -> bool {
        self.header().scope().is_none() || matches!(self.look(), StageIs::Future)
    }

    /// What the stage is, for a thread that has it by K1.
    pub(super) fn look(&self) -> StageIs {
        // SAFETY: K1: the caller has the stage.
        unsafe { (self.header().vtable.look)(self) }
    }

    #[inline]
    pub(super) fn change(&self, change: Change<'_>) {
        (self.header().vtable.change)(self, change);
    }

    /// Drops what is in the stage, in place. It is empty even if that panics.
    pub(super) fn empty_stage(&self) -> Result<(), Payload> {
        gate::call_apart(|| self.change(Change::Empty))
    }

    /// Polls the future, or drops it by the guard rule. Once it has ended it is gone.
    #[inline(always)]
    fn poll_future(&self, cx: &mut Context<'_>, allowed: Allowed) -> Option<End> {
        let header = self.header();
        let began = Began::now();
        let first = header.is_new();
        let mut may_poll = allowed == Allowed::Poll;
        if !header.is_linked() {
            // No canceller finds it, so it asks.
            let flags = header.owner.flags();
            header.inherit(flags);
            if flags & tree::NAMED != 0 {
                self.link();
            }
            // S16: a task that was cancelled before its first poll never runs.
            may_poll &= !(first && header.is_cancelled());
        }
        let mut end = None;
        if may_poll {
            if first {
                header.set_started();
                events::started(header);
            }
            // S43: dated before the drop of the future tells others.
            end = match gate::call(|| (header.vtable.poll)(self, cx)) {
                Ok(Polled::Pending) => None,
                Ok(Polled::Value) => return Some(End::Value),
                Ok(Polled::DropPanicked(payload)) => {
                    let end = End::failed(Fault::Panic(payload), began);
                    self.lose_value();
                    return Some(end);
                }
                Ok(Polled::Failed(error)) => Some(End::failed(Fault::Error(error), began)),
                Err(payload) if gate::is_cut_off(&payload) && header.is_to_end() => {
                    Some(End::Cancelled)
                }
                Err(payload) => Some(End::failed(Fault::Panic(payload), began)),
            };
        }
        if end.is_none() {
            let to_drop = || {
                allowed == Allowed::Drop
                    || header.is_forced()
                    || header.is_to_end() && header.holds() == 0
            };
            if !to_drop() {
                // A task that only yields is polled again at once and asks then, so it need not be
                // found. But one that keeps yielding has to show in the tree.
                if first && header.is_scheduled() && !header.sees_cancel() {
                    return None;
                }
                self.link();
                if !to_drop() {
                    let asks = |inside: Inside<'_, Scope>| inside.ask();
                    if header.is_to_end() && header.scope().is_some_and(asks) {
                        gate::wake_by_ref(cx.waker());
                    }
                    return None;
                }
            }
            end = Some(End::Cancelled);
        }
        // A panic of that is no worse than an error.
        if let Err(payload) = self.empty_stage() {
            if matches!(end, Some(End::Failed(_))) {
                gate::discard(payload);
            } else {
                end = Some(End::failed(Fault::Panic(payload), began));
            }
        }
        end
    }

    /// Drops the value, because the task has failed.
    #[cold]
    pub(super) fn lose_value(&self) {
        if let Err(payload) = self.empty_stage() {
            gate::report("the value of a task", payload);
        }
    }
}
