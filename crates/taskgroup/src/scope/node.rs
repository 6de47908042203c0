//! What is the same in every task, whatever its future: the header of its node, and the counted reference to it.
//!
//! # The state word
//!
//! The low bits are flags, the rest counts the references.
//!
//! - `SCHEDULED`: the task is in exactly one queue of its driver (or will be put there by whoever has it `RUNNING`).
//! - `RUNNING`: one thread has the stage. Set by the driver that took the task from its queue (which clears `SCHEDULED`), or by
//!   a canceller that found the task idle, that is neither `SCHEDULED` nor `RUNNING` nor `DONE`. A new task has it from the start: whoever
//!   takes it from the one queue that it is in runs it.
//! - `DONE`: the outcome is in the stage; set once, together with clearing `RUNNING`.
//! - `DETACHED`: the joiner is gone; set once, by its drop.
//! - `CANCELLED`, `FORCED`: as in the tree. `SHIELDED`: only `FORCED` counts (adopted cleanup).
//! - `OPENED`: there is a scope inside, which knows the task.
//!
//! # Who may touch the stage
//!
//! - **K1** While `DONE` is unset: only the thread that set `RUNNING`, until it clears it.
//! - **K2** Once `DONE` is set and `DETACHED` is not: only the owner of the one [`Joiner`](super::task::Joiner).
//! - **K3** Whoever sets the second of `DONE` and `DETACHED` (it sees the other one set in the old value) owns the outcome and drops
//!   it. Nobody touches the stage after that.
//!
//! Setting and clearing these bits are `AcqRel` or stronger read-modify-writes on one word, so each change of owner is a
//! synchronisation.
//!
//! # Who keeps the node
//!
//! - **K4** Each [`TaskRef`], each waker and the joiner is counted. One reference belongs to the tree from the birth of the task to its `DONE`: it
//!   stands in the owner's list once the task is linked, and nowhere before that. Whoever gives the last one back frees the node, so while there is
//!   a `TaskRef` the header can be read.
//! - **K5** A task keeps the scope inside it. That one knows the task by a reference that is not counted, until whoever ends the task, or finds it
//!   ended after it has made the scope, [takes it out](TaskLink::forget), with a counted one in hand.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::driver;
use super::extra::{Extra, Inside};
use super::group::Fate;
use super::owner::Owner;
use super::task::Spec;
use super::tree::{self, CANCELLED, Dropping, FORCED, NO_SLOT, Scope};
use super::waiters::Key;
use crate::cancel::{CancelReason, Cancelled};
use crate::error::TaskInfo;
use crate::handle::JoinError;
use crate::observe::events;
use crate::observe::mark::Mark;
use crate::sync::{AtomicU32, AtomicUsize, Mutex, Ordering};

// CANCELLED and FORCED are bits 0 and 2.
const SCHEDULED: usize = 1 << 3;
const RUNNING: usize = 1 << 4;
const DONE: usize = 1 << 5;
const DETACHED: usize = 1 << 6;
/// Somebody may wait for the end.
const AWAITED: usize = 1 << 7;
const OPENED: usize = 1 << 8;
/// The task listens to force only.
pub(crate) const SHIELDED: usize = 1 << 9;
/// The task does not keep its group open.
pub(crate) const BACKGROUND: usize = 1 << 10;
/// The task is driven by a Tokio task of its own.
pub(crate) const TOKIO: usize = 1 << 11;
/// The group counts the task against its limit.
pub(crate) const LIMITED: usize = 1 << 12;
/// The place of what was polled and is not linked.
const STARTED: u32 = NO_SLOT - 1;

/// One reference.
const REF: usize = 1 << 13;
/// More references than that are a leak in a loop. Beyond it the count would overflow, so the process ends, as with `Arc`.
const MANY: usize = usize::MAX / 2;

const TO_END: usize = (CANCELLED | FORCED) as usize;

/// The part of a task that does not depend on its future.
pub(crate) struct Header {
    state: AtomicUsize,
    vtable: &'static Vtable,
    pub(crate) owner: Owner,
    pub(crate) mark: Mark,
    pub(crate) index: u32,
    slot: AtomicU32,
    extra: Extra,
    #[cfg(feature = "tracing")]
    pub(crate) span: tracing::Span,
}

/// What depends on the future.
pub(super) struct Vtable {
    /// Polls once as the thread that has `RUNNING`; or only drops the future, without `may_poll`.
    pub(super) step: fn(&TaskRef, may_poll: bool) -> Step,
    /// Drops the outcome. By K3.
    pub(super) drop_outcome: fn(&TaskRef),
    /// Whether the future has not ended. For the thread that has `RUNNING`.
    pub(super) has_future: fn(&TaskRef) -> bool,
    /// Where the outcome is: an `UnsafeCell<Option<Result<V, JoinError>>>`. By K2 for who acts for the joiner after `DONE`.
    pub(super) outcome: unsafe fn(&TaskRef) -> NonNull<()>,
    /// Frees a node to which there is no reference.
    pub(super) free: unsafe fn(NonNull<Header>),
}

/// What came of a step.
pub(super) enum Step {
    Pending,
    /// The outcome is in the stage; or else the joiner was found `gone`, and it was dropped.
    Ended {
        fate: Fate,
        gone: bool,
    },
}

/// Who a new task belongs to while it is born.
#[derive(Clone, Copy)]
pub(super) enum Birth {
    /// Its driver, its joiner and the tree.
    Spawned,
    /// Its joiner: it was refused, and has ended.
    Refused,
}

impl Header {
    #[inline(always)]
    pub(super) fn new(spec: Spec, birth: Birth, vtable: &'static Vtable) -> Self {
        let state = match birth {
            Birth::Spawned => RUNNING + 3 * REF,
            Birth::Refused => DONE + REF,
        };
        Self {
            #[cfg(feature = "tracing")]
            span: crate::observe::spans::of_task(&spec),
            state: AtomicUsize::new(state | spec.bits),
            vtable,
            owner: spec.owner,
            mark: Mark::new(spec.name, spec.location),
            index: spec.index,
            slot: AtomicU32::new(NO_SLOT),
            extra: Extra::default(),
        }
    }

    fn state(&self) -> usize {
        self.state.load(Ordering::SeqCst)
    }

    pub(crate) fn has(&self, bits: usize) -> bool {
        self.state() & bits != 0
    }

    pub(crate) fn is_done(&self) -> bool {
        self.has(DONE)
    }

    pub(super) fn is_detached(&self) -> bool {
        self.has(DETACHED)
    }

    pub(super) fn is_forced(&self) -> bool {
        self.has(FORCED as usize)
    }

    /// Whether it is being polled or about to be.
    pub(crate) fn is_active(&self) -> bool {
        self.has(SCHEDULED | RUNNING)
    }

    pub(super) fn is_scheduled(&self) -> bool {
        self.has(SCHEDULED)
    }

    /// Whether it is in its owner's list.
    pub(crate) fn is_linked(&self) -> bool {
        self.slot() < STARTED
    }

    /// Whether it was never polled.
    pub(super) fn is_new(&self) -> bool {
        self.slot() == NO_SLOT
    }

    pub(super) fn set_started(&self) {
        if self.is_new() {
            self.set_slot(STARTED);
        }
    }

    /// Whether the task is to end: not asked of shielded ones unless forced.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.has(TO_END)
    }

    /// The task's place in its owner's list. Whether there is one only changes while `RUNNING` is ours; which one it is, under
    /// the owner's lock.
    pub(super) fn slot(&self) -> u32 {
        self.slot.load(Ordering::Relaxed)
    }

    pub(super) fn slot_cell(&self) -> &AtomicU32 {
        &self.slot
    }

    pub(super) fn set_slot(&self, slot: u32) {
        self.slot.store(slot, Ordering::Relaxed);
    }

    /// As [`is_cancelled`](Self::is_cancelled), for whoever polls the task: a handle's cancel marks the scope inside first and the task
    /// right after, and between the two the word is out already.
    pub(super) fn is_told(&self) -> bool {
        self.is_cancelled() || self.scope().is_some_and(|inside| inside.is_cancelled())
    }

    /// Whether the code of the task is to see itself as cancelled. In its first poll it is not linked, so no canceller of the owner
    /// finds it.
    pub(super) fn sees_cancel(&self) -> bool {
        self.is_told() || (!self.has(SHIELDED) && self.owner.is_cancelled())
    }

    /// The scope inside the task, if anything asked for one yet.
    #[inline]
    pub(crate) fn scope(&self) -> Option<Inside<'_>> {
        self.extra.inside()
    }

    pub(super) fn holds(&self) -> u32 {
        self.scope().map_or(0, |scope| scope.holds())
    }

    /// Takes over `CANCELLED` and `FORCED`; returns whether that says anything new to the task.
    pub(super) fn mark(&self, bits: u32) -> bool {
        let bits = if self.has(SHIELDED) && bits & FORCED == 0 {
            0
        } else {
            bits as usize & TO_END
        };
        bits != 0 && self.state.fetch_or(bits, Ordering::SeqCst) & bits != bits
    }

    /// Has the scope inside the task know what the task knows. A canceller marks the task first and then looks for the scope;
    /// whoever makes the scope does it the other way round, so one of the two gets here with both in hand.
    ///
    /// The word is read by a write: of two such accesses one comes second, and sees the first and what was done before it. A mere load
    /// may come too early, as the scope is no part of the one order of all `SeqCst` accesses.
    fn pass_down(&self) {
        let Some(scope) = self.scope() else {
            return;
        };
        self.hand_down(self.state.fetch_or(0, Ordering::SeqCst), &scope);
    }

    fn hand_down(&self, state: usize, scope: &Arc<Scope>) {
        let flags = (state & TO_END) as u32;
        if flags != 0 {
            scope.cancel_from_above(flags, &self.reason());
        }
    }

    pub(crate) fn reason(&self) -> CancelReason {
        self.scope()
            .and_then(|scope| scope.reason())
            .or_else(|| self.owner.reason())
            .unwrap_or_else(|| CancelReason::dropped(&self.owner))
    }

    pub(super) fn cancelled(&self) -> JoinError {
        JoinError::Cancelled(Cancelled::plain(self.reason()))
    }

    #[cfg(feature = "testing")]
    pub(crate) fn id(&self) -> crate::error::TaskId {
        super::group::task_id(self)
    }

    pub(crate) fn info(&self) -> TaskInfo {
        super::group::task_info(self)
    }

    // ---- waiting for the end ----

    /// Whether the task has ended; if not, the waker of whoever has the handle is woken when it has.
    #[inline]
    pub(crate) fn poll_done(&self, waker: &Waker) -> bool {
        self.is_done() || {
            self.extra.wake_owner_at_end(waker);
            self.set_awaited()
        }
    }

    /// As [`poll_done`](Self::poll_done), for one of those who have borrowed the handle. It gives its key back when it is dropped.
    pub(super) fn poll_done_by(&self, key: &mut Option<Key>, waker: &Waker) -> bool {
        self.is_done() || {
            self.extra.wake_at_end(key, waker);
            self.set_awaited()
        }
    }

    /// Returns whether the end came before the waker and the bit were there.
    fn set_awaited(&self) -> bool {
        self.state.fetch_or(AWAITED, Ordering::SeqCst) & DONE != 0
    }

    pub(super) fn forget_waiter(&self, key: Key) {
        self.extra.forget_waiter(key);
    }

    /// The handle is dropped: nobody awaits it.
    #[inline]
    pub(crate) fn stop_awaiting(&self) {
        if self.state.load(Ordering::Relaxed) & (AWAITED | DONE) == AWAITED {
            self.extra.forget_owner();
        }
    }

    // ---- the Tokio driver's side ----

    /// Wakes the Tokio task that drives this one: it is scheduled, or has ended. `false` when there is none.
    pub(super) fn wake_drive(&self) -> bool {
        self.extra.wake_drive()
    }

    /// Gives up a new task that nobody will drive: whoever has it next has to take it.
    pub(super) fn requeue(&self) {
        self.state.fetch_xor(SCHEDULED | RUNNING, Ordering::SeqCst);
    }

    /// Its runtime is dead: guards and shields hold no longer.
    pub(super) fn force(&self) {
        self.state.fetch_or(TO_END, Ordering::SeqCst);
    }

    /// Takes `RUNNING`, as whoever has taken the task from its queue.
    #[inline]
    fn begin(&self) {
        if self.state() & RUNNING == 0 {
            let before = self.state.fetch_xor(SCHEDULED | RUNNING, Ordering::SeqCst);
            debug_assert_eq!(
                before & (SCHEDULED | RUNNING | DONE),
                SCHEDULED,
                "K1: only a scheduled task is taken from a queue"
            );
        }
    }

    /// As [`begin`](Self::begin), for a task of Tokio's: that is not a queue, so it may be that it is not scheduled, or that somebody else has `RUNNING`,
    /// who wakes the driver then when they give it up.
    pub(super) fn begin_scheduled(&self) -> bool {
        self.claim(SCHEDULED, RUNNING)
    }

    /// Takes `RUNNING` of a task that nobody polls and that has not ended.
    pub(super) fn seize(&self) -> bool {
        let seized = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| {
                (state & (RUNNING | DONE) == 0).then_some(state & !SCHEDULED | RUNNING)
            });
        seized.is_ok()
    }

    /// Changes exactly `from` among the three bits that say who has the task into `to`.
    fn claim(&self, from: usize, to: usize) -> bool {
        let claimed = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| {
                (state & (SCHEDULED | RUNNING | DONE) == from).then_some(state ^ from ^ to)
            });
        claimed.is_ok()
    }
}

/// A counted reference to a task (K4).
pub(crate) struct TaskRef(NonNull<Header>);

// SAFETY: what is reached through a `TaskRef` is the header, which is `Sync` like everything in it, and the stage by the rules K1–K3, which
// send it from thread to thread; `Task::new` asks for a future and a value that are `Send`.
#[allow(unsafe_code)]
unsafe impl Send for TaskRef {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for TaskRef {}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        let before = self.header().state.fetch_add(REF, Ordering::Relaxed);
        if before > MANY {
            std::process::abort();
        }
        Self(self.0)
    }
}

impl Drop for TaskRef {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        let state = &self.header().state;
        // The last one has nobody to race with: only who has a reference makes another one.
        if state.load(Ordering::Acquire) / REF == 1
            || state.fetch_sub(REF, Ordering::AcqRel) / REF == 1
        {
            let free = self.header().vtable.free;
            // SAFETY: K4: that was the last reference; what others did with theirs happened before, by the `AcqRel` of the count.
            unsafe { free(self.0) };
        }
    }
}

impl TaskRef {
    /// Takes over a reference that is counted already.
    ///
    /// # Safety
    /// `node` is the header of a node from [`Task::new`](super::task::Task::new), with the provenance of the whole node, and the caller gives up one
    /// reference to it, or keeps the result from being dropped.
    #[allow(unsafe_code)]
    pub(super) unsafe fn from_raw(node: NonNull<Header>) -> Self {
        Self(node)
    }

    pub(super) fn as_raw(&self) -> NonNull<Header> {
        self.0
    }

    /// For [`from_raw`](Self::from_raw).
    pub(super) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).0
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: K4: a reference keeps the node.
        #[allow(unsafe_code)]
        unsafe {
            self.0.as_ref()
        }
    }

    /// Where the outcome is.
    ///
    /// # Safety
    /// K2: the task has ended, and the caller acts for its joiner.
    #[allow(unsafe_code)]
    pub(super) unsafe fn outcome(&self) -> NonNull<()> {
        // SAFETY: the caller's.
        unsafe { (self.header().vtable.outcome)(self) }
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn references(&self) -> usize {
        self.header().state() / REF
    }

    /// The same reference a second time, so it must not outlive `self`.
    fn alias(&self) -> ManuallyDrop<Self> {
        ManuallyDrop::new(Self(self.0))
    }

    /// The waker of a poll: not counted, for as long as `self` is.
    #[allow(unsafe_code)]
    pub(super) fn waker(&self) -> ManuallyDrop<Waker> {
        // SAFETY: the table keeps the contract of a raw waker: see there. The reference that the result stands for is that of `self`.
        ManuallyDrop::new(unsafe { Waker::new(self.0.as_ptr().cast(), &WAKER) })
    }

    /// Polls once. The caller took the task from its queue.
    #[inline]
    pub(crate) fn run(self) {
        self.header().begin();
        self.drive(true);
    }

    /// As [`run`](Self::run), in a dead runtime.
    pub(super) fn run_dead(self) {
        self.header().begin();
        self.drive(false);
    }

    /// Polls once, or only drops where polling is over. The caller has `RUNNING`.
    #[inline]
    pub(super) fn drive(self, may_poll: bool) {
        if let Step::Ended { fate, gone } = (self.header().vtable.step)(&self, may_poll) {
            // A driver of Tokio's is not here, and has to hear of it.
            return self.end(fate, gone, AWAITED | OPENED | TOKIO);
        }
        let state = &self.header().state;
        let idle = state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| {
            // Our reference goes too. It is not the last one: the tree's is there until `DONE` (K4).
            (state & SCHEDULED == 0).then_some(state - RUNNING - REF)
        });
        if idle.is_ok() {
            return std::mem::forget(self);
        }
        // It stays scheduled: nobody clears that but whoever takes it from the queue.
        state.fetch_sub(RUNNING, Ordering::SeqCst);
        driver::resubmit(self);
    }

    /// Polls once, as the Tokio task that `waker` wakes. Comes back unless it has ended, and says whether it is to be polled again at once: then it stays
    /// `RUNNING`. The caller has that.
    pub(super) fn drive_as(self, waker: &Waker) -> Option<(Self, bool)> {
        let header = self.header();
        if !header.is_detached() {
            // Tokio's cell goes with the node.
            header.extra.set_drive(waker);
        }
        if let Step::Ended { fate, gone } = (header.vtable.step)(&self, true) {
            self.end(fate, gone, AWAITED | OPENED);
            return None;
        }
        // Whoever schedules it when it is idle sees this.
        header.extra.set_drive(waker);
        let idle = header
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| {
                (state & SCHEDULED == 0).then_some(state - RUNNING)
            });
        Some((self, idle.is_err()))
    }

    /// The joiner goes: says so and gives its reference, this one, back; unless the outcome is there and has to be dropped first.
    #[inline]
    pub(super) fn detach(&self) -> bool {
        // Of the node only an atomic is borrowed when the reference is gone.
        let state = &self.header().state;
        let gone = state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| {
            // The tree's reference is there until DONE, so this one is not the last.
            (state & DONE == 0).then_some((state | DETACHED) - REF)
        });
        gone.is_ok()
    }

    /// As the canceller that has claimed an idle task: one step that drops the future, or finds that it may not.
    fn drop_in_place(self) {
        let header = self.header();
        if (header.vtable.has_future)(&self) && header.holds() == 0 {
            self.drive(false);
        } else {
            // A guard came to life meanwhile, or the task is winding up: whoever drives it has to poll it.
            header.state.fetch_or(SCHEDULED, Ordering::SeqCst);
            header.state.fetch_and(!RUNNING, Ordering::SeqCst);
            driver::resubmit(self);
        }
    }

    /// The task was just marked as cancelled: drop it if it is idle and may be dropped here, wake it otherwise.
    pub(super) fn cancelled(self, dropping: Dropping) {
        let header = self.header();
        if dropping == Dropping::InPlace && header.holds() == 0 && header.claim(0, RUNNING) {
            self.drop_in_place();
        } else {
            self.wake();
        }
    }

    /// As the canceller that finds the task in its owner's list, under the lock: marks it and takes it out of there if it is idle and nothing
    /// inside it has to know. It is the caller's to [drop](Self::drop_claimed) then; otherwise it is given back.
    pub(super) fn claim_idle(self, bits: u32) -> Result<Self, Self> {
        let header = self.header();
        if header.scope().is_some() {
            return Err(self);
        }
        let claimed = header
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| {
                let busy = state & (SCHEDULED | RUNNING | DONE | SHIELDED);
                (busy == 0).then_some((state | RUNNING | bits as usize & TO_END) + REF)
            });
        if claimed.is_err() {
            return Err(self);
        }
        header.set_slot(STARTED);
        // K4: the tree's reference has no place again. This is the one that was just counted.
        Ok(self)
    }

    /// Drops the future of a task that was claimed in its owner's list.
    pub(super) fn drop_claimed(self) {
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
    pub(super) fn wake(self) {
        if self.header().schedule() {
            driver::resubmit(self);
        }
    }

    /// The scope inside the task, made on the first ask.
    pub(crate) fn inside(&self) -> Arc<Scope> {
        let header = self.header();
        if let Some(inside) = header.scope() {
            return inside.clone();
        }
        let owner = Arc::clone(&header.owner);
        let new = Scope::for_task(self, owner, header.mark.location());
        let scope = header.extra.inside_or(new).clone();
        let before = header.state.fetch_or(OPENED, Ordering::SeqCst);
        if before & DONE != 0 {
            // K5: its end came first and found no scope.
            scope.forget_task();
        }
        // As in `pass_down`: the word was read by a write, after the scope was there.
        header.hand_down(before, &scope);
        scope
    }

    /// The same for the thread that polls the task.
    pub(crate) fn inside_running(&self) -> Arc<Scope> {
        // What opens below must be found by a canceller at once, not only after the first poll.
        self.link();
        self.inside()
    }

    /// Makes the task visible to cancellers and to the tree, once. `RUNNING` is ours.
    pub(super) fn link(&self) {
        let header = self.header();
        if header.is_linked() {
            return;
        }
        header.mark.linked();
        // K4: the tree's reference, which goes to its place.
        let of_tree = ManuallyDrop::into_inner(self.alias());
        let flags = header.owner.link_task(of_tree);
        tree::inherit(header, flags);
        header.pass_down();
    }

    /// The outcome is in the stage, or was dropped because the joiner is `gone`: says so to everybody, gives the tree's reference back and ours. `RUNNING`
    /// was ours. `care`: what says that somebody else has to hear of it.
    #[inline]
    fn end(self, fate: Fate, gone: bool, care: usize) {
        let header = self.header();
        if header.is_linked() {
            // K4: what stood in the list is given back below.
            let _ = header.owner.unlink_task(header).map(ManuallyDrop::new);
        }
        let inside = header.scope();
        if let Some(inside) = &inside {
            inside.forget_task();
        }
        // What is made inside from here on has to be told, K5.
        let care = if inside.is_some() {
            care & !OPENED
        } else {
            care
        };
        // Nothing is left to do then for which we would need our reference.
        let plain = super::group::ends_plainly(header);
        let is_last_act = |state| {
            let others_care = state & care != 0 || (state & DETACHED != 0 && !gone);
            plain && !others_care
        };
        let state = &header.state;
        let mut before = state.load(Ordering::Relaxed);
        let last_act = loop {
            let last_act = is_last_act(before);
            // RUNNING is set and DONE is not, and both the tree's reference and ours are there.
            let after = before + DONE - RUNNING - REF * (1 + usize::from(last_act));
            match state.compare_exchange_weak(before, after, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) if last_act && after / REF == 0 => {
                    // SAFETY: K4: the two were the last references.
                    #[allow(unsafe_code)]
                    unsafe {
                        (header.vtable.free)(self.0);
                    }
                    break true;
                }
                Ok(_) => break last_act,
                Err(now) => before = now,
            }
        };
        if last_act {
            driver::count_ended();
            return std::mem::forget(self);
        }
        if before & care & OPENED != 0 {
            if let Some(inside) = header.scope() {
                inside.forget_task();
            }
        }
        if before & AWAITED != 0 {
            header.extra.wake_waiters();
        }
        if before & care & TOKIO != 0 {
            header.wake_drive();
        }
        if before & DETACHED != 0 && !gone {
            // K3: the joiner went meanwhile.
            (header.vtable.drop_outcome)(&self);
        }
        super::group::child_ended(header, fate);
    }
}

impl Header {
    /// Takes `SCHEDULED` away, as the driver that has kept `RUNNING` between two polls.
    pub(super) fn turn(&self) {
        if self.is_scheduled() {
            self.state.fetch_and(!SCHEDULED, Ordering::SeqCst);
        }
    }

    /// Marks the task as scheduled; returns whether the caller has to put it into a queue.
    fn schedule(&self) -> bool {
        let before = self.state.fetch_or(SCHEDULED, Ordering::SeqCst);
        before & (SCHEDULED | RUNNING | DONE) == 0
    }
}

/// The scope inside a task knows its task, until that ends (K5).
pub(crate) struct TaskLink(Mutex<Option<ManuallyDrop<TaskRef>>>);

impl TaskLink {
    pub(super) fn new(task: &TaskRef) -> Self {
        Self(Mutex::new(Some(task.alias())))
    }

    pub(crate) fn upgrade(&self) -> Option<TaskRef> {
        // K5: whoever takes it out waits for the lock, with a reference that keeps the task.
        self.0.lock().as_deref().cloned()
    }

    pub(super) fn forget(&self) {
        *self.0.lock() = None;
    }
}

// SAFETY of the four: the data of such a waker is what `TaskRef::waker` and `clone` put there, the raw pointer of a reference that the waker
// stands for and that is counted, or else borrowed by a `ManuallyDrop`, which has neither `wake` nor `drop` called.
static WAKER: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

#[allow(unsafe_code)]
unsafe fn borrowed(data: *const ()) -> ManuallyDrop<TaskRef> {
    // SAFETY: as above; it is not dropped unless the caller may.
    let node = unsafe { NonNull::new_unchecked(data.cast_mut().cast()) };
    // SAFETY: likewise.
    ManuallyDrop::new(unsafe { TaskRef::from_raw(node) })
}

#[allow(unsafe_code)]
unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: as above.
    let task = unsafe { borrowed(data) };
    std::mem::forget(TaskRef::clone(&task));
    RawWaker::new(data, &WAKER)
}

#[allow(unsafe_code)]
unsafe fn wake(data: *const ()) {
    // SAFETY: as above; the waker is used up, and its reference becomes ours.
    ManuallyDrop::into_inner(unsafe { borrowed(data) }).wake();
}

#[allow(unsafe_code)]
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as above.
    let task = unsafe { borrowed(data) };
    // Most wake-ups of a busy task find it scheduled: no reference is counted for those.
    if task.header().schedule() {
        driver::resubmit_by_ref(&task);
    }
}

#[allow(unsafe_code)]
unsafe fn drop_waker(data: *const ()) {
    // SAFETY: as above; the waker is gone, and its reference becomes ours.
    drop(ManuallyDrop::into_inner(unsafe { borrowed(data) }));
}
