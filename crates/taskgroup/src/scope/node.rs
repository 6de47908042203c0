//! What is the same in every task, whatever its future: the header of its node, and the counted reference to it.
//!
//! # Who may touch the stage
//!
//! - **K1** While `DONE` is unset: only the thread that set `RUNNING`, until it clears it.
//! - **K2** Once `DONE` is set and `DETACHED` is not: only the owner of the one [`Joiner`](super::task::Joiner).
//! - **K3** The thread that sets the second of `DONE` and `DETACHED` owns the outcome and drops it. Nothing touches the stage after that.
//!
//! These bits stand in one word ([`State`]) and change by read-modify-writes, so each change of owner is a synchronisation.
//!
//! # Who keeps the node
//!
//! - **K4** Each [`TaskRef`], each waker and the joiner is counted. One reference belongs to the tree from the birth of the task to its
//!   `DONE`: it stands in the owner's list once the task is linked, and nowhere before that. The thread that drops the last reference
//!   frees the node. A `TaskRef` therefore keeps the header readable.
//! - **K5** A task keeps the scope inside it. That scope refers to the task without counting, until the thread that ends the task, or
//!   finds it ended after it has made the scope, [takes the reference out](TaskLink::forget), with a counted one in hand.
//!
//! # What the pointers are good for
//!
//! - **K6** A pointer to a node is the one that `Task::allocate` got. So it is valid for the
//!   whole node. The header is the node's first field. The table in the header is the one made for
//!   the type of the node, and its functions are called in no other way.
//! - **K7** A borrow of the stage ends before the next one begins. A poll and the drop of a future
//!   or of an outcome keep theirs while foreign code runs. That code finds the bits of K1–K3 as
//!   they were, so it has no way to the stage. A future is dropped where it was written, and
//!   nothing is moved out of `Stage::Future`. An outcome leaves the stage through its cell.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::cancelled::Cancelled;
use super::driver;
use super::events;
use super::extra::{Extra, Inside};
use super::mark::Mark;
use super::outcome::JoinError;
use super::state::{GivenUp, Snapshot, State, Woken};
use super::task::Spec;
use super::tree::{CANCELLED, Dropping, NO_SLOT, Scope};
use super::waiters::Key;
use crate::error::TaskInfo;
use crate::gate::{self, Payload};
use crate::progress::Fate;
use crate::reason::CancelReason;
use crate::sync::{AtomicU32, Mutex, Ordering};

pub(crate) use super::state::{BACKGROUND, LIMITED, SHIELDED, TOKIO};

/// The place of what was polled and is not linked.
const STARTED: u32 = NO_SLOT - 1;

/// The part of a task that does not depend on its future.
pub(crate) struct Header {
    state: State,
    vtable: &'static Vtable,
    pub(crate) owner: Arc<Scope>,
    pub(crate) mark: Mark,
    pub(crate) index: u32,
    slot: AtomicU32,
    extra: Extra,
    #[cfg(feature = "tracing")]
    pub(crate) span: super::spans::Span,
}

/// What depends on the future.
pub(super) struct Vtable {
    /// Polls once as the thread that has `RUNNING`; or only drops the future, without `may_poll`.
    pub(super) step: fn(&TaskRef, may_poll: bool) -> Step,
    /// Ends the task as panicked, for the thread that has `RUNNING`: code unwound that no part of the step caught.
    pub(super) fail: fn(&TaskRef, Payload) -> Step,
    /// Drops the outcome. By K3.
    pub(super) drop_outcome: fn(&TaskRef),
    /// Whether the future has not ended. For the thread that has `RUNNING`.
    pub(super) has_future: fn(&TaskRef) -> bool,
    /// Where the outcome is: an `UnsafeCell<Option<Result<V, JoinError>>>`. By K2 for the joiner after `DONE`.
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

/// What a new task is.
#[derive(Clone, Copy)]
pub(super) enum Birth {
    Spawned,
    /// It was refused, and has ended.
    Refused,
}

impl Header {
    #[inline]
    pub(super) fn new(spec: Spec, birth: Birth, vtable: &'static Vtable) -> Self {
        let state = match birth {
            Birth::Spawned => State::spawned(spec.bits),
            Birth::Refused => State::refused(spec.bits),
        };
        Self {
            #[cfg(feature = "tracing")]
            span: super::spans::of_task(&spec),
            state,
            vtable,
            owner: spec.owner,
            mark: Mark::new(spec.name, spec.location),
            index: spec.index,
            slot: AtomicU32::new(NO_SLOT),
            extra: Extra::default(),
        }
    }

    /// Whether one of these settings was made.
    pub(crate) fn has(&self, settings: usize) -> bool {
        self.state.is_set(settings)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state.is_done()
    }

    pub(super) fn is_detached(&self) -> bool {
        self.state.is_detached()
    }

    pub(super) fn is_forced(&self) -> bool {
        self.state.is_forced()
    }

    /// Whether it is being polled or about to be.
    pub(crate) fn is_active(&self) -> bool {
        self.state.is_active()
    }

    pub(super) fn is_scheduled(&self) -> bool {
        self.state.is_scheduled()
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
        self.state.is_cancelled()
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
        self.state.mark(bits)
    }

    /// Tells the scope inside the task what the task was told. The caller has marked the task (Z2):
    /// the thread that makes the scope looks at the word after that, so one of the two has both in
    /// hand.
    fn pass_down(&self) {
        let Some(scope) = self.scope() else {
            return;
        };
        self.hand_down(self.state.now(), &scope);
    }

    fn hand_down(&self, state: Snapshot, scope: &Arc<Scope>) {
        let flags = state.told();
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
        self.state.await_end()
    }

    pub(super) fn forget_waiter(&self, key: Key) {
        self.extra.forget_waiter(key);
    }

    /// The handle is dropped: nobody awaits it.
    #[inline]
    pub(crate) fn stop_awaiting(&self) {
        if self.state.is_awaited() {
            self.extra.forget_owner();
        }
    }

    // ---- the Tokio driver's side ----

    /// Wakes the Tokio task that drives this one. Without effect before that has polled it for the first time: until then the task is
    /// `RUNNING`, so nothing has to wake it.
    pub(super) fn wake_drive(&self) {
        self.extra.wake_drive();
    }

    /// Takes `RUNNING` for the Tokio task that drives this one.
    pub(super) fn begin_scheduled(&self) -> bool {
        self.state.begin_scheduled()
    }

    /// Its runtime is dead: guards and shields hold no longer.
    pub(super) fn force(&self) {
        self.state.force();
    }

    /// Takes `RUNNING` of a task that was taken from a queue of a dead runtime.
    pub(super) fn begin_dead(&self) {
        self.state.force();
        self.state.begin();
    }

    /// Its Tokio task is dropped with its runtime. Returns whether the caller has `RUNNING`.
    pub(super) fn lose_driver(&self, kept: bool) -> bool {
        self.state.lose_driver(kept)
    }

    /// Takes `SCHEDULED` away, as the driver that has kept `RUNNING` between two polls.
    pub(super) fn turn(&self) {
        self.state.turn();
    }
}

/// A counted reference to a task (K4).
pub(crate) struct TaskRef(NonNull<Header>);

// What the header hides from the compiler behind raw pointers, and what a joiner hands out.
const _: () = {
    const fn may_be_shared<T: Send + Sync>() {}
    may_be_shared::<Header>();
    may_be_shared::<super::extra::Rare>();
    may_be_shared::<JoinError>();
};

// SAFETY: K1, K2, K3: a `TaskRef` leads to the header, which may be shared (see above), and to the
// stage, which these rules send from thread to thread. `task::new` asks for a future and a value
// that are `Send`.
#[allow(unsafe_code)]
unsafe impl Send for TaskRef {}
// SAFETY: K1, K2, K3: as above. A shared reference gives no more than a clone.
#[allow(unsafe_code)]
unsafe impl Sync for TaskRef {}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        self.header().state.add_reference();
        Self(self.0)
    }
}

impl Drop for TaskRef {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        if self.header().state.drop_reference() {
            let free = self.header().vtable.free;
            // SAFETY: K4: that was the last reference. What others did with theirs happened before
            // (Z1).
            unsafe { free(self.0) };
        }
    }
}

impl TaskRef {
    /// Takes over a reference that is counted already.
    ///
    /// # Safety
    /// K6: `node` is a pointer to a node. K4: the caller gives up one reference to it, or keeps the
    /// result from being dropped.
    #[allow(unsafe_code)]
    pub(super) unsafe fn from_raw(node: NonNull<Header>) -> Self {
        Self(node)
    }

    pub(super) fn as_raw(&self) -> NonNull<Header> {
        self.0
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
        // SAFETY: K2: the caller promises it.
        unsafe { (self.header().vtable.outcome)(self) }
    }

    /// The same reference a second time, so it must not outlive `self`.
    fn alias(&self) -> ManuallyDrop<Self> {
        ManuallyDrop::new(Self(self.0))
    }

    /// The waker of a poll. It borrows the reference of `self`.
    #[allow(unsafe_code)]
    pub(super) fn waker(&self) -> PollWaker<'_> {
        // SAFETY: K4, K6: the table keeps the contract of a raw waker, see there. The reference
        // that the waker stands for is that of `self`.
        let waker = unsafe { Waker::new(self.0.as_ptr().cast(), &WAKER) };
        PollWaker(ManuallyDrop::new(waker), PhantomData)
    }

    /// Polls once. The caller took the task from its queue.
    #[inline]
    pub(crate) fn run(self) {
        self.header().state.begin();
        self.drive(true);
    }

    /// One step, as the thread that has `RUNNING`. Nothing unwinds out of it (G2).
    #[inline]
    fn step(&self, may_poll: bool) -> Step {
        let vtable = self.header().vtable;
        gate::call(|| (vtable.step)(self, may_poll))
            .unwrap_or_else(|payload| (vtable.fail)(self, payload))
    }

    /// Polls once, or only drops where polling is over. The caller has `RUNNING`.
    #[inline]
    pub(super) fn drive(self, may_poll: bool) {
        if let Step::Ended { fate, gone } = self.step(may_poll) {
            let header = self.header();
            let is_driven = header.has(TOKIO);
            self.end(fate, gone);
            if is_driven {
                // The Tokio task is not the caller, and still has to end.
                header.wake_drive();
            }
            return;
        }
        match self.header().state.to_idle() {
            GivenUp::Idle => {}
            GivenUp::Again => {
                let woken = self.header().state.unclaim();
                driver::hand_over(self, woken);
            }
        }
    }

    /// Polls once, as the Tokio task that `waker` wakes. Returns whether the task has ended, and if not whether it is to be polled
    /// again at once: then it stays `RUNNING`. The caller has `RUNNING`.
    pub(super) fn drive_as(&self, waker: &Waker) -> Driven {
        let header = self.header();
        if !header.is_detached() {
            // Tokio's cell goes with the node: the thread that has the handle most often made both.
            header.extra.set_drive(waker);
        }
        if let Step::Ended { fate, gone } = self.step(true) {
            self.end(fate, gone);
            return Driven::Ended;
        }
        // A thread that finds the task idle sees this.
        header.extra.set_drive(waker);
        match header.state.to_idle() {
            GivenUp::Idle => Driven::Idle,
            GivenUp::Again => Driven::Again,
        }
    }

    /// The joiner goes: gives its reference, this one, back; unless the outcome is there and has to be dropped first.
    #[inline]
    pub(super) fn detach(&self) -> bool {
        // Of the node only an atomic is borrowed when the reference is gone.
        self.header().state.detach()
    }

    /// As the canceller that has claimed an idle task: one step that drops the future, or finds that it may not.
    fn drop_in_place(self) {
        let header = self.header();
        if (header.vtable.has_future)(&self) && header.holds() == 0 {
            self.drive(false);
        } else {
            // A guard came to life meanwhile, or the task is winding up: its driver has to poll it.
            let woken = header.state.unclaim();
            driver::hand_over(self, woken);
        }
    }

    /// The task was just marked as cancelled: drop it if it is idle and may be dropped here, wake it otherwise.
    pub(super) fn cancelled(self, dropping: Dropping) {
        let header = self.header();
        if dropping == Dropping::InPlace && header.holds() == 0 && header.state.claim() {
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
        if !header.state.claim_linked(bits) {
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
        let woken = self.header().state.schedule();
        driver::hand_over(self, woken);
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
        header.inherit(flags);
        header.pass_down();
    }

    /// The outcome is in the stage, or was dropped because the joiner is `gone`. Publishes the end, gives the tree's reference back and
    /// tells the owner. `RUNNING` was the caller's.
    fn end(&self, fate: Fate, gone: bool) {
        let header = self.header();
        if header.is_linked() {
            // K4: the reference in the list is the tree's, which `State::end` gives back.
            let _ = header.owner.unlink_task(header).map(ManuallyDrop::new);
        }
        if let Some(inside) = header.scope() {
            inside.forget_task();
        }
        let todo = header.state.end(gone);
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
            (header.vtable.drop_outcome)(self);
        }
        super::group::child_ended(header, fate);
    }
}

/// A waker that has no reference of its own.
pub(super) struct PollWaker<'a>(ManuallyDrop<Waker>, PhantomData<&'a TaskRef>);

impl Deref for PollWaker<'_> {
    type Target = Waker;
    fn deref(&self) -> &Waker {
        &self.0
    }
}

/// What came of a poll by a Tokio task.
pub(super) enum Driven {
    Ended,
    Idle,
    Again,
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

/// The data of such a waker is the pointer to a node (K6): [`TaskRef::waker`] and [`clone`] put it
/// there. The waker stands for one reference (K4). That is counted, unless the waker is a
/// [`PollWaker`], which only lends itself, so that it is neither woken by value nor dropped.
static WAKER: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// The reference that a waker stands for.
///
/// # Safety
/// K4, K6: `data` is that of a waker with the table [`WAKER`]. The caller keeps the result from
/// being dropped, unless the waker is used up.
#[allow(unsafe_code)]
unsafe fn borrowed(data: *const ()) -> ManuallyDrop<TaskRef> {
    // SAFETY: K6: it is the pointer to a node, so it is not null.
    let node = unsafe { NonNull::new_unchecked(data.cast_mut().cast()) };
    // SAFETY: K4, K6: the caller promises it.
    ManuallyDrop::new(unsafe { TaskRef::from_raw(node) })
}

/// # Safety
/// K4, K6: `data` is that of a waker with the table [`WAKER`], which is borrowed meanwhile.
#[allow(unsafe_code)]
unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: K4, K6: the caller promises it, and the result is not dropped.
    let task = unsafe { borrowed(data) };
    std::mem::forget(TaskRef::clone(&task));
    RawWaker::new(data, &WAKER)
}

/// # Safety
/// K4, K6: `data` is that of a waker with the table [`WAKER`], which is used up.
#[allow(unsafe_code)]
unsafe fn wake(data: *const ()) {
    // SAFETY: K4, K6: the caller promises it, and the reference of the waker becomes ours.
    ManuallyDrop::into_inner(unsafe { borrowed(data) }).wake();
}

/// # Safety
/// K4, K6: `data` is that of a waker with the table [`WAKER`], which is borrowed meanwhile.
#[allow(unsafe_code)]
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: K4, K6: the caller promises it, and the result is not dropped.
    let task = unsafe { borrowed(data) };
    // Most wake-ups of a busy task find it scheduled: no reference is counted for those.
    match task.header().state.schedule() {
        Woken::Noticed => {}
        Woken::Submit if task.header().has(TOKIO) => task.header().wake_drive(),
        woken => driver::hand_over(TaskRef::clone(&task), woken),
    }
}

/// # Safety
/// K4, K6: `data` is that of a waker with the table [`WAKER`], which is used up.
#[allow(unsafe_code)]
unsafe fn drop_waker(data: *const ()) {
    // SAFETY: K4, K6: the caller promises it, and the reference of the waker becomes ours.
    drop(ManuallyDrop::into_inner(unsafe { borrowed(data) }));
}
