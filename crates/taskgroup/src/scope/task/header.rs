//! What is the same in every task, whatever its future: the header of its node, and the counted
//! reference to it.
//!
//! # Who may touch the stage
//!
//! - **K1** While `DONE` is unset: only the thread that set `RUNNING`, until it clears it.
//! - **K2** Once `DONE` is set and `DETACHED` is not: only the owner of the one
//!   [`Joiner`](super::Joiner).
//! - **K3** The thread that sets the second of `DONE` and `DETACHED` owns the outcome and drops it.
//!   Nothing touches the stage after that.
//!
//! These bits stand in one word ([`StateWord`]) and change by read-modify-writes, so each change of
//! owner is a synchronisation.
//!
//! # Who keeps the node
//!
//! - **K4** Each [`TaskRef`], each waker and the joiner is counted. One reference belongs to the
//!   tree from the birth of the task to its `DONE`: it stands in the owner's list once the task is
//!   linked, and nowhere before that. The thread that drops the last reference frees the node. A
//!   `TaskRef` therefore keeps the header readable.
//! - **K5** A task keeps the scope inside it. That scope refers to the task without counting, until
//!   the thread that ends the task, or finds it ended after it has made the scope, [takes the
//!   reference out](TaskLink::forget), with a counted one in hand.
//!
//! # What the pointers are good for
//!
//! - **K6** A pointer to a node is the one that `Header::born` got. So it is valid for the whole
//!   node. The header is the node's first field. The table in the header is the one made for the
//!   type of the node, and its functions are called in no other way.
//! - **K7** A borrow of the stage ends before the next one begins. A poll and the drop of a future
//!   or of an outcome keep theirs while foreign code runs. That code finds the bits of K1–K3 as
//!   they were, so it has no way to the stage. A future is dropped where it was written, and
//!   nothing is moved out of `Stage::Future`. An outcome leaves the stage through its cell.

#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Context;

use super::ended::{End, NoValue};
use super::extra::{Extra, Inside};
use super::label::Label;
use super::pool::Memory;
use super::state::{OutcomeIs, SHIELDED, Snapshot, StateWord};
use crate::error::BoxError;
use crate::gate::Payload;
use crate::progress::Fate;
use crate::reason::CancelReason;
use crate::scope::tree::{NO_SLOT, Scope};
use crate::sync::{AtomicU32, Mutex, Ordering};

/// The place of what was polled and is not linked.
pub(super) const STARTED: u32 = NO_SLOT - 1;

/// The part of a task that does not depend on its future.
pub(crate) struct Header {
    pub(super) state: StateWord,
    pub(super) vtable: &'static Vtable,
    pub(crate) owner: Arc<Scope>,
    pub(crate) label: Label,
    pub(crate) index: u32,
    pub(super) slot: AtomicU32,
    pub(super) extra: Extra<Scope>,
    #[cfg(feature = "tracing")]
    pub(crate) span: crate::scope::spans::Span,
    #[cfg(feature = "metrics")]
    pub(crate) meter: crate::scope::meters::Meter,
}

/// What depends on the future.
pub(super) struct Vtable {
    /// Polls the future, for the thread that has `RUNNING`.
    pub(super) poll: fn(&TaskRef, &mut Context<'_>) -> Polled,
    /// By K1, by K2 for a task that was refused, or by K3.
    pub(super) change: fn(&TaskRef, Change<'_>),
    /// What the stage is. By K1, or by K2 for the joiner after `DONE`.
    pub(super) look: unsafe fn(&TaskRef) -> StageIs,
    /// The memory of the node.
    pub(super) memory: Memory,
    /// Whether a value does something when it is dropped.
    pub(super) drops_value: bool,
}

/// What came of a poll.
pub(super) enum Polled {
    Pending,
    /// The value is the outcome in the stage, and the future is gone.
    Value,
    /// As `Value`, and the drop of the future has panicked.
    DropPanicked(Payload),
    /// The future is still there.
    Failed(BoxError),
}

/// A change of the stage.
pub(super) enum Change<'a> {
    /// Drops what is there.
    Empty,
    /// Keeps how the future ended, if that was without a value. The stage is empty.
    Keep(End),
    /// Takes that out; leaves a value where it is.
    Take(&'a mut End),
    /// This becomes the outcome. The stage is empty.
    Fail(NoValue),
}

/// What is in the stage.
pub(super) enum StageIs {
    Future,
    /// It is an `UnsafeCell<Option<Result<V, JoinError>>>`.
    Outcome(NonNull<()>),
    /// The future has ended, and its outcome is not there yet or was dropped.
    Neither,
}

/// What a step may do with the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scope) enum Allowed {
    Poll,
    /// The future may only be dropped.
    Drop,
}

/// What came of a step.
pub(super) enum Step {
    Pending,
    Ended { fate: Fate, outcome: OutcomeIs },
}

impl Header {
    /// Whether one of these settings was made.
    pub(crate) fn has(&self, settings: usize) -> bool {
        self.state.is_set(settings)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state.is_done()
    }

    pub(in crate::scope) fn is_detached(&self) -> bool {
        self.state.is_detached()
    }

    pub(in crate::scope) fn is_forced(&self) -> bool {
        self.state.is_forced()
    }

    /// Whether it is being polled or about to be.
    pub(crate) fn is_active(&self) -> bool {
        self.state.is_active()
    }

    pub(in crate::scope) fn is_scheduled(&self) -> bool {
        self.state.is_scheduled()
    }

    /// Whether it is in its owner's list.
    pub(crate) fn is_linked(&self) -> bool {
        self.slot() < STARTED
    }

    /// Whether it was never polled.
    pub(in crate::scope) fn is_new(&self) -> bool {
        self.slot() == NO_SLOT
    }

    pub(in crate::scope) fn set_started(&self) {
        if self.is_new() {
            self.set_slot(STARTED);
        }
    }

    /// Whether the task is to end: not asked of shielded ones unless forced.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.state.is_cancelled()
    }

    /// The task's place in its owner's list. Only the thread that has `RUNNING` changes whether
    /// there is one. Which one it is changes under the owner's lock.
    pub(in crate::scope) fn slot(&self) -> u32 {
        self.slot.load(Ordering::Relaxed)
    }

    pub(in crate::scope) fn slot_cell(&self) -> &AtomicU32 {
        &self.slot
    }

    pub(in crate::scope) fn set_slot(&self, slot: u32) {
        self.slot.store(slot, Ordering::Relaxed);
    }

    /// As [`is_cancelled`](Self::is_cancelled), for the thread that polls the task. A handle's
    /// `cancel` marks the scope inside and then the task; the task is cancelled as soon as either
    /// is marked.
    pub(in crate::scope) fn is_to_end(&self) -> bool {
        self.is_cancelled() || self.scope().is_some_and(|inside| inside.is_cancelled())
    }

    /// Whether the code of the task is to see itself as cancelled. In its first poll it is not
    /// linked, so no canceller of the owner finds it.
    pub(in crate::scope) fn sees_cancel(&self) -> bool {
        self.is_to_end() || (!self.has(SHIELDED) && self.owner.is_cancelled())
    }

    /// The scope inside the task, if anything asked for one yet.
    #[inline]
    pub(crate) fn scope(&self) -> Option<Inside<'_, Scope>> {
        self.extra.inside()
    }

    pub(in crate::scope) fn holds(&self) -> u32 {
        self.scope().map_or(0, |scope| scope.holds())
    }

    /// Takes over `CANCELLED` and `FORCED`; returns whether that says anything new to the task.
    pub(in crate::scope) fn mark(&self, bits: u32) -> bool {
        self.state.mark(bits)
    }

    /// Tells the scope inside the task what the task was told. The caller has marked the task (Z2):
    /// the thread that makes the scope looks at the word after that, so one of the two threads sees
    /// both.
    pub(super) fn pass_down(&self) {
        let Some(scope) = self.scope() else {
            return;
        };
        self.hand_down(self.state.now(), &scope);
    }

    pub(super) fn hand_down(&self, state: Snapshot, scope: &Arc<Scope>) {
        let flags = state.cancel_bits();
        if flags != 0 {
            scope.cancel_from_above(flags, &self.reason());
        }
    }

    pub(crate) fn reason(&self) -> CancelReason {
        self.scope()
            .and_then(|scope| scope.reason())
            .or_else(|| self.owner.reason())
            .unwrap_or_else(|| CancelReason::dropped(self.owner.location))
    }
}

/// A counted reference to a task (K4).
pub(crate) struct TaskRef(pub(super) NonNull<Header>);

// What the header hides from the compiler behind raw pointers, and what a joiner hands out.
const _: () = {
    const fn may_be_shared<T: Send + Sync>() {}
    may_be_shared::<Header>();
    may_be_shared::<super::extra::ExtraBox<Scope>>();
};

// SAFETY: K1, K2, K3: a `TaskRef` leads to the header, which may be shared (see above), and to the
// stage, which these rules send from thread to thread. `task::new` asks for a future and a value
// that are `Send`.
unsafe impl Send for TaskRef {}
// SAFETY: K1, K2, K3: as above. A shared reference gives no more than a clone.
unsafe impl Sync for TaskRef {}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        self.header().state.add_reference();
        Self(self.0)
    }
}

impl Drop for TaskRef {
    fn drop(&mut self) {
        if self.header().state.drop_reference() {
            // SAFETY: K4: that was the last reference. What others did with theirs happened before
            // (Z1).
            unsafe { Header::free(self.0) };
        }
    }
}

impl TaskRef {
    /// Takes over a reference that is counted already.
    ///
    /// # Safety
    /// K6: `node` is a pointer to a node. K4: the caller gives up one reference to it, or keeps the
    /// result from being dropped.
    pub(super) unsafe fn from_raw(node: NonNull<Header>) -> Self {
        Self(node)
    }

    pub(super) fn as_raw(&self) -> NonNull<Header> {
        self.0
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: K4: a reference keeps the node.
        unsafe { self.0.as_ref() }
    }

    /// The same reference a second time, so it must not outlive `self`.
    pub(super) fn alias(&self) -> ManuallyDrop<Self> {
        ManuallyDrop::new(Self(self.0))
    }
}

/// The scope inside a task knows its task, until that ends (K5).
pub(crate) struct TaskLink(Mutex<Option<ManuallyDrop<TaskRef>>>);

impl TaskLink {
    pub(in crate::scope) fn new(task: &TaskRef) -> Self {
        Self(Mutex::new(Some(task.alias())))
    }

    pub(crate) fn upgrade(&self) -> Option<TaskRef> {
        // K5: a thread that takes it out waits for the lock, with a reference that keeps the task.
        self.0.lock().as_deref().cloned()
    }

    pub(in crate::scope) fn forget(&self) {
        *self.0.lock() = None;
    }
}
