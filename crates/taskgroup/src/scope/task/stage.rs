//! One child task: its future, later its outcome, behind the header of its node, in one allocation.
//!
//! The invariants K1–K7 stand in [`header`](super::header): which thread may touch the stage, and
//! what keeps the node. The future is never moved: it is polled and dropped where it was built.

#![allow(unsafe_code)]

use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use super::birth::{Birth, Spec};
use super::ended::End;
use super::extra::Inside;
use super::header::{Allowed, Header, Step, TaskRef, Vtable};
use super::joiner::Joiner;
use super::kept::{Boxing, OutcomeCell, is_large};
use super::outcome::JoinError;
use super::output::{TaskOutput, converted};
use super::pool;
use super::state::LIMITED;
use crate::error::{Began, BoxError};
use crate::gate::{self, Payload};
use crate::scope::cancelled::Cancelled;
use crate::scope::current;
use crate::scope::events;
use crate::scope::section::poll_winding;
use crate::scope::tree::{self, Scope};
use crate::sync::UnsafeCell;

pub(super) enum Stage<F: Future<Output: TaskOutput>> {
    Future(F),
    /// The future has ended; what it left inside the task has not.
    Winding(End<<F::Output as TaskOutput>::Value>),
    /// Until the joiner takes it.
    Outcome(OutcomeCell<<F::Output as TaskOutput>::Value>),
    Empty,
}

/// The node of a task.
// The header comes first: a pointer to it is one to the node.
#[repr(C)]
pub(super) struct Task<F: Future<Output: TaskOutput>> {
    pub(super) header: Header,
    stage: UnsafeCell<Stage<F>>,
}

/// A new task, which the caller submits to its driver, and its joiner. The token of its owner has
/// been taken. The future is not large.
#[inline]
pub(crate) fn new<F, V>(spec: Spec, future: F) -> (TaskRef, Joiner<V>)
where
    F: Future<Output: TaskOutput<Value = V>> + Send + 'static,
    V: Send + 'static,
{
    let node = if const { is_large::<V>() } {
        Task::allocate(spec, Birth::Spawned, || Stage::Future(Boxing { future }))
    } else {
        Task::allocate(spec, Birth::Spawned, || Stage::Future(future))
    };
    // SAFETY: K4, K6: it is a new node, born with a reference for its driver.
    let task = unsafe { TaskRef::from_raw(node) };
    // SAFETY: K2, K4, K6: it is born with a reference for its one joiner. It keeps values as the
    // joiner looks for them: of type `V`, or of type `Box<V>` if they are large.
    let joiner = unsafe { Joiner::from_raw(node) };
    events::spawned(task.header());
    (task, joiner)
}

/// The joiner of a task that was refused: it has ended before it began.
pub(crate) fn refused<V: Send + 'static>(spec: Spec, cancelled: Cancelled) -> Joiner<V> {
    let node = if const { is_large::<V>() } {
        refused_node::<Box<V>>(spec, cancelled)
    } else {
        refused_node::<V>(spec, cancelled)
    };
    // SAFETY: K2, K4, K6: it is a new node, born with a reference for its one joiner. It keeps
    // values as in `new`.
    unsafe { Joiner::from_raw(node) }
}

fn refused_node<K: Send + 'static>(spec: Spec, cancelled: Cancelled) -> NonNull<Header> {
    let outcome = || Stage::Outcome(OutcomeCell::new(Some(Err(JoinError::Cancelled(cancelled)))));
    // There never was a future.
    Task::<std::future::Pending<Result<K, BoxError>>>::allocate(spec, Birth::Refused, outcome)
}

impl<F> Task<F>
where
    F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
{
    const VTABLE: Vtable = Vtable {
        step: |task, allowed| Self::of(task).step(task, allowed),
        fail: |task, payload| Self::of(task).fail(payload),
        has_future: |task| Self::of(task).has_future(),
        drop_outcome: |task| {
            let task = Self::of(task);
            task.drop_outcome(|| *task.own_stage() = Stage::Empty);
        },
        outcome: Self::outcome,
        free: Self::free,
    };

    #[inline]
    fn allocate(spec: Spec, birth: Birth, stage: impl FnOnce() -> Stage<F>) -> NonNull<Header> {
        // First: so the node is written where it stays. If making it panics (the name) the place is
        // lost.
        let node = pool::place::<Self>();
        // SAFETY: M2: the place is as large as a node, and ours alone.
        unsafe {
            node.write(Self {
                header: Header::new(spec, birth, &Self::VTABLE),
                stage: UnsafeCell::new(stage()),
            });
        }
        node.cast()
    }

    fn of(task: &TaskRef) -> &Self {
        // SAFETY: K4, K6: it is called through the table of this type only, so this is the type of
        // the node. `task` keeps the node.
        unsafe { task.as_raw().cast::<Self>().as_ref() }
    }

    /// # Safety
    /// K4: the last reference to the node is gone.
    unsafe fn free(node: NonNull<Header>) {
        // SAFETY: K4, K6: no reference to the node is left, and `allocate` wrote it for this table.
        unsafe { pool::free(node.cast::<Self>()) };
    }

    /// # Safety
    /// K2: the task has ended, and the caller acts for its joiner.
    unsafe fn outcome(task: &TaskRef) -> NonNull<()> {
        // SAFETY: K2: the caller acts for the joiner, so nothing is written to the stage but
        // through the cell in it.
        match unsafe { &*Self::of(task).stage.get() } {
            Stage::Outcome(outcome) => NonNull::from(outcome).cast(),
            _ => unreachable!("K2: the outcome is there until the joiner goes"),
        }
    }

    /// The caller has `RUNNING` (K1).
    fn step(&self, task: &TaskRef, allowed: Allowed) -> Step {
        let waker = task.waker();
        let mut cx = Context::from_waker(&waker);
        if self.header.has(LIMITED) {
            self.header.stirs();
        }
        let _ambient = current::enter_task(task);
        #[cfg(feature = "tracing")]
        let _span = self.header.span.enter();
        if self.has_future() {
            let Some(end) = self.poll_future(task, &mut cx, allowed) else {
                return Step::Pending;
            };
            let inside = self.header.scope();
            if inside.is_none_or(|inside| inside.try_close_at_once()) {
                return self.complete(end);
            }
            *self.own_stage() = Stage::Winding(end);
        }
        if let Some(inside) = self.header.scope() {
            if poll_winding(&inside, &mut cx).is_pending() {
                if self.header.is_cancelled() {
                    events::cleaning(&self.header);
                }
                return Step::Pending;
            }
        }
        let Stage::Winding(end) = std::mem::replace(self.own_stage(), Stage::Empty) else {
            unreachable!("K1: a task is completed once, after its future has ended");
        };
        self.complete(end)
    }

    /// The stage, for as long as one statement needs it. The caller has it by K1 or by K3.
    #[allow(clippy::mut_from_ref)]
    pub(super) fn own_stage(&self) -> &mut Stage<F> {
        // SAFETY: K1, K3: the stage is the caller's alone. K7: no other borrow of it is alive.
        unsafe { &mut *self.stage.get() }
    }

    /// In place; the stage is empty even if that panics.
    fn drop_future(&self) -> Result<(), Payload> {
        if std::mem::needs_drop::<F>() {
            gate::call_apart(|| *self.own_stage() = Stage::Empty)
        } else {
            *self.own_stage() = Stage::Empty;
            Ok(())
        }
    }

    pub(super) fn has_future(&self) -> bool {
        matches!(self.own_stage(), Stage::Future(_))
    }

    /// Polls the future, or drops it by the guard rule. Once it has ended the stage is empty. The
    /// caller has `RUNNING` (K1).
    fn poll_future(
        &self,
        task: &TaskRef,
        cx: &mut Context<'_>,
        allowed: Allowed,
    ) -> Option<End<<F::Output as TaskOutput>::Value>> {
        let header = &self.header;
        let began = Began::now();
        let first = header.is_new();
        let mut may_poll = allowed == Allowed::Poll;
        if !header.is_linked() {
            // No canceller finds it, so it asks.
            let flags = header.owner.flags();
            header.inherit(flags);
            if flags & tree::NAMED != 0 {
                task.link();
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
            let stage = self.own_stage();
            let poll = || {
                let Stage::Future(future) = stage else {
                    unreachable!("the stage was looked at by the caller")
                };
                // SAFETY: K7: the future is not moved before it is dropped in place.
                let future = unsafe { Pin::new_unchecked(future) };
                future.poll(cx).map(converted)
            };
            // S43: dated before the drop of the future tells others.
            let polled = gate::call(poll);
            end = if polled.as_ref().is_err_and(gate::is_cut_off) && header.is_to_end() {
                Some(End::Cancelled)
            } else {
                match began.polled(polled) {
                    Poll::Ready(Ok(value)) => Some(End::Value(value)),
                    Poll::Ready(Err(failed)) => Some(End::Failed(Box::new(failed))),
                    Poll::Pending => None,
                }
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
                task.link();
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
        if self.has_future() {
            // A panic of that is no worse than an error.
            if let Err(payload) = self.drop_future() {
                if matches!(end, Some(End::Failed(_))) {
                    gate::discard(payload);
                } else {
                    let lost = end.replace(End::panic(payload, began));
                    gate::drop_or_report("the value of a task", lost);
                }
            }
        }
        end
    }
}
