//! One child task: its state word, its future, its outcome, in one allocation.
//!
//! # The state word
//!
//! - `SCHEDULED`: the task is in exactly one queue of its driver (or will be put there by whoever has it `RUNNING`).
//! - `RUNNING`: one thread has the stage. Set by the driver that took the task from its queue (which clears `SCHEDULED`), or by
//!   a canceller that found the task idle, that is neither `SCHEDULED` nor `RUNNING` nor `DONE`.
//! - `DONE`: the outcome is in the stage; set once, together with clearing `RUNNING`.
//! - `DETACHED`: the handle is gone; set once, by the handle's drop.
//! - `CANCELLED`, `FORCED`: as in the tree. `SHIELDED`: only `FORCED` counts (adopted cleanup).
//!
//! # Who may touch the stage
//!
//! - **K1** While `DONE` is unset: only the thread that set `RUNNING`, until it clears it.
//! - **K2** Once `DONE` is set and `DETACHED` is not: only the owner of the one handle.
//! - **K3** Whoever sets the second of `DONE` and `DETACHED` (it sees the other one set in the old value) owns the outcome and drops
//!   it. Nobody touches the stage after that.
//!
//! Setting and clearing these bits are `AcqRel` or stronger read-modify-writes on one word, so each change of owner is a
//! synchronisation. The future is never moved: it is polled and dropped where it was built.

use std::any::Any;
use std::borrow::Cow;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use super::current;
use super::driver;
use super::section::poll_winding;
use super::tree::{self, CANCELLED, Dropping, FORCED, NO_SLOT, Scope};
use crate::cancel::{CancelReason, Cancelled};
use crate::error::{BoxError, Member, TaskError, TaskInfo};
use crate::handle::JoinError;
use crate::observe::events::{self, Ending};
use crate::observe::mark::Mark;
#[cfg(feature = "tracing")]
use crate::observe::spans;
use crate::sync::{AtomicU32, Mutex, OnceLock, Ordering, UnsafeCell};

const SCHEDULED: u32 = 1 << 8;
const RUNNING: u32 = 1 << 9;
const DONE: u32 = 1 << 10;
const DETACHED: u32 = 1 << 11;
/// The task listens to force only.
pub(crate) const SHIELDED: u32 = 1 << 12;
/// The task does not keep its group open.
pub(crate) const BACKGROUND: u32 = 1 << 13;
/// The task is driven by a Tokio task of its own.
pub(crate) const TOKIO: u32 = 1 << 14;
/// The group counts the task against its limit.
pub(crate) const LIMITED: u32 = 1 << 15;

/// The Tokio task that drives this one exists.
const DRIVEN: u32 = 1 << 16;
/// There may be wakers in `waiters`.
const AWAITED: u32 = 1 << 17;

/// What a child may return: `()`, a `Result` whose error converts into [`BoxError`], or nothing ever (`!`, the type of a loop without
/// an end).
///
/// This trait is what lets [`spawn`](crate::TaskGroup::spawn) take these kinds; it is implemented for nothing else.
pub trait TaskOutput: sealed::Sealed {
    /// What the task's handle gives.
    type Value;
    #[doc(hidden)]
    fn into_result(self) -> Result<Self::Value, BoxError>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl<T, E> Sealed for Result<T, E> {}
    impl Sealed for super::Never {}

    pub trait ReturnType {
        type Output;
    }
    impl<T> ReturnType for fn() -> T {
        type Output = T;
    }
}

/// `!` by a name that stable Rust has for it.
type Never = <fn() -> ! as sealed::ReturnType>::Output;

impl TaskOutput for Never {
    type Value = std::convert::Infallible;
    fn into_result(self) -> Result<Self::Value, BoxError> {
        self
    }
}

impl TaskOutput for () {
    type Value = ();
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<T, E: Into<BoxError>> TaskOutput for Result<T, E> {
    type Value = T;
    fn into_result(self) -> Result<T, BoxError> {
        self.map_err(Into::into)
    }
}

pub(crate) type TaskRef = Arc<dyn TaskObject>;

/// A task, whatever its future.
pub(crate) trait TaskObject: Send + Sync {
    fn header(&self) -> &Header;
    /// Polls once. The caller took the task from its queue.
    fn run(self: Arc<Self>);
    /// Polls once, or only drops when the runtime is dead. The caller has [claimed](Header::claim) the task.
    fn run_claimed(self: Arc<Self>, may_poll: bool);
    /// The task was just marked as cancelled: drop it if it is idle and may be dropped here, wake it otherwise.
    fn cancelled(self: Arc<Self>, dropping: Dropping);
    /// Marks and wakes this task only; its scope knows already.
    fn cancel_alone(self: Arc<Self>);
    /// As `Waker::wake`.
    fn wake(self: Arc<Self>);
    /// The scope inside the task, made on the first ask.
    fn inside(self: Arc<Self>) -> Arc<Scope>;
    /// The same for the thread that polls the task.
    fn inside_running(self: Arc<Self>) -> Arc<Scope>;
}

/// What the handle sees of a task.
pub(crate) trait Joinable<V>: TaskObject {
    fn as_task(self: Arc<Self>) -> TaskRef;
    /// The outcome, if it is there.
    ///
    /// # Safety
    /// The caller owns the one handle of this task exclusively. A second call finds the outcome gone.
    #[allow(unsafe_code)]
    unsafe fn take_outcome(&self) -> Option<Result<V, JoinError>>;
    /// The outcome in place, if it is there.
    ///
    /// # Safety
    /// The caller holds the one handle of this task, shared, for as long as the reference lives.
    #[allow(unsafe_code)]
    unsafe fn outcome(&self) -> Option<&Result<V, JoinError>>;
}

/// The part of a task that does not depend on its future.
pub(crate) struct Header {
    state: AtomicU32,
    pub(crate) index: u32,
    slot: AtomicU32,
    pub(crate) owner: Arc<Scope>,
    pub(crate) mark: Mark,
    inside: OnceLock<Arc<Scope>>,
    waiters: Mutex<Option<Box<Waiters>>>,
    #[cfg(feature = "tracing")]
    pub(crate) span: tracing::Span,
}

#[derive(Default)]
struct Waiters {
    /// Those who await the handle.
    join: Vec<Waker>,
    /// The Tokio task that drives this one, if the group asked for that.
    drive: Option<Waker>,
}

enum Stage<F: Future<Output: TaskOutput>> {
    Future(F),
    /// The future has ended; what it left inside the task has not.
    Winding(End<<F::Output as TaskOutput>::Value>),
    Outcome(Result<<F::Output as TaskOutput>::Value, JoinError>),
    Empty,
}

/// How the future of a task ended.
enum End<V> {
    Value(V),
    Error(BoxError),
    Panic(Box<dyn Any + Send>),
    Cancelled,
}

pub(crate) struct Task<F: Future<Output: TaskOutput>> {
    header: Header,
    stage: UnsafeCell<Stage<F>>,
}

// SAFETY: the stage is the only part that is not `Sync` by itself. K1–K3 give each access to it to one thread at a time, so
// sharing the task only ever *sends* the future, the value, the error and the payload between threads.
#[allow(unsafe_code)]
unsafe impl<F> Sync for Task<F> where F: Future<Output: TaskOutput<Value: Send>> + Send {}

/// What a new task is told apart from its future.
pub(crate) struct Spec {
    pub(crate) owner: Arc<Scope>,
    pub(crate) index: u32,
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) location: &'static Location<'static>,
    /// Some of `SHIELDED`, `BACKGROUND`, `TOKIO`, `LIMITED`.
    pub(crate) bits: u32,
}

impl Header {
    fn new(spec: Spec, state: u32) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            span: spans::of_task(&spec),
            state: AtomicU32::new(state | spec.bits),
            index: spec.index,
            slot: AtomicU32::new(NO_SLOT),
            owner: spec.owner,
            mark: Mark::new(spec.name, spec.location),
            inside: OnceLock::new(),
            waiters: Mutex::new(None),
        }
    }

    fn state(&self) -> u32 {
        self.state.load(Ordering::SeqCst)
    }

    pub(crate) fn has(&self, bits: u32) -> bool {
        self.state() & bits != 0
    }

    pub(crate) fn is_done(&self) -> bool {
        self.has(DONE)
    }

    /// Whether it waits for its driver to poll it.
    pub(super) fn is_claimable(&self) -> bool {
        self.state() & (SCHEDULED | RUNNING) == SCHEDULED
    }

    /// Whether it is being polled or about to be.
    pub(crate) fn is_active(&self) -> bool {
        self.has(SCHEDULED | RUNNING)
    }

    /// Whether it is in its owner's list.
    pub(crate) fn is_linked(&self) -> bool {
        self.slot() != NO_SLOT
    }

    /// Whether the task is to end: not asked of shielded ones unless forced.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.has(CANCELLED | FORCED)
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
    fn is_told(&self) -> bool {
        self.is_cancelled() || self.scope().is_some_and(|inside| inside.is_cancelled())
    }

    /// Whether the code of the task is to see itself as cancelled. In its first poll it is not linked, so no canceller of the owner
    /// finds it.
    pub(super) fn sees_cancel(&self) -> bool {
        self.is_told() || (!self.has(SHIELDED) && self.owner.is_cancelled())
    }

    /// The scope inside the task, if anything asked for one yet.
    pub(crate) fn scope(&self) -> Option<&Arc<Scope>> {
        self.inside.get()
    }

    fn holds(&self) -> u32 {
        self.inside.get().map_or(0, |scope| scope.holds())
    }

    /// Takes over `CANCELLED` and `FORCED`; returns whether that says anything new to the task.
    pub(super) fn mark(&self, bits: u32) -> bool {
        let bits = if self.has(SHIELDED) && bits & FORCED == 0 {
            0
        } else {
            bits & (CANCELLED | FORCED)
        };
        bits != 0 && self.state.fetch_or(bits, Ordering::SeqCst) & bits != bits
    }

    /// Has the scope inside the task know what the task knows. A canceller marks the task first and then looks for the scope;
    /// whoever makes the scope does it the other way round, so one of the two gets here with both in hand.
    ///
    /// The word is read by a write: of two such accesses one comes second, and sees the first and what was done before it. A mere load
    /// may come too early, as the scope is no part of the one order of all `SeqCst` accesses.
    fn pass_down(&self) {
        let Some(scope) = self.inside.get() else {
            return;
        };
        let flags = self.state.fetch_or(0, Ordering::SeqCst) & (CANCELLED | FORCED);
        if flags != 0 {
            scope.cancel_from_above(flags, &self.reason());
        }
    }

    pub(crate) fn reason(&self) -> CancelReason {
        self.inside
            .get()
            .and_then(|scope| scope.reason())
            .or_else(|| self.owner.reason())
            .unwrap_or_else(|| CancelReason::dropped(&self.owner))
    }

    #[cfg(feature = "testing")]
    pub(crate) fn id(&self) -> crate::error::TaskId {
        super::group::task_id(self)
    }

    pub(crate) fn info(&self) -> TaskInfo {
        super::group::task_info(self)
    }

    // ---- waiting for the end ----

    /// Whether the task has ended; if not, the waker is woken when it has.
    pub(crate) fn poll_done(&self, waker: &Waker) -> bool {
        if self.is_done() {
            return true;
        }
        {
            let mut waiters = self.waiters.lock();
            let join = &mut waiters.get_or_insert_default().join;
            if !join.iter().any(|known| known.will_wake(waker)) {
                join.push(waker.clone());
            }
        }
        // The end may have come before the waker and the bit were there.
        self.state.fetch_or(AWAITED, Ordering::SeqCst) & DONE != 0
    }

    fn wake_waiters(&self) {
        let waiters = self.waiters.lock().take();
        if let Some(waiters) = waiters {
            waiters.join.into_iter().for_each(tree::wake);
            if let Some(drive) = waiters.drive {
                tree::wake(drive);
            }
        }
    }

    // ---- the Tokio driver's side ----

    /// Has whoever wakes or ends the task from now on wake its driver. Whether that has happened already. A canceller that has it
    /// `RUNNING` now finds the waker when it gives it up.
    pub(super) fn set_drive_waker(&self, waker: &Waker) -> bool {
        let old = {
            let mut waiters = self.waiters.lock();
            let drive = &mut waiters.get_or_insert_default().drive;
            match drive {
                Some(known) if known.will_wake(waker) => None,
                _ => drive.replace(waker.clone()),
            }
        };
        drop(old);
        let before = self.state.fetch_or(AWAITED, Ordering::SeqCst);
        before & DONE != 0 || before & (SCHEDULED | RUNNING) == SCHEDULED
    }

    pub(super) fn wake_drive(&self) {
        let waker = self
            .waiters
            .lock()
            .as_ref()
            .and_then(|waiters| waiters.drive.clone());
        if let Some(waker) = waker {
            tree::wake(waker);
        }
    }

    /// Whether this is the first time that the Tokio driver sees the task.
    pub(super) fn first_drive(&self) -> bool {
        self.state.fetch_or(DRIVEN, Ordering::SeqCst) & DRIVEN == 0
    }

    /// Its runtime is dead: guards and shields hold no longer.
    pub(super) fn force(&self) {
        self.state.fetch_or(CANCELLED | FORCED, Ordering::SeqCst);
    }

    /// For the Tokio driver, which has no queue of its own: takes `RUNNING` if the task is scheduled and nobody else has it. If
    /// somebody has, they wake the driver again when they give it up.
    pub(super) fn claim(&self) -> bool {
        let claimed = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| {
                (state & (SCHEDULED | RUNNING | DONE) == SCHEDULED)
                    .then_some(state ^ (SCHEDULED | RUNNING))
            });
        claimed.is_ok()
    }
}

impl<F> Task<F>
where
    F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
{
    /// A task that is about to be handed to its driver. Its owner's token has been taken.
    pub(crate) fn new(spec: Spec, future: F) -> Arc<Self> {
        let task = Arc::new(Self {
            header: Header::new(spec, SCHEDULED),
            stage: UnsafeCell::new(Stage::Future(future)),
        });
        events::spawned(&task.header);
        task
    }

    /// A task that was refused: it has ended before it began.
    pub(crate) fn refused(spec: Spec, cancelled: Cancelled) -> Arc<Self> {
        Arc::new(Self {
            header: Header::new(spec, DONE),
            stage: UnsafeCell::new(Stage::Outcome(Err(JoinError::Cancelled(cancelled)))),
        })
    }

    fn enqueue(self: Arc<Self>) {
        driver::submit(self);
    }

    /// A second `Arc` of the task that is not counted, so it must never be dropped and not outlive `self`.
    #[allow(unsafe_code)]
    fn alias(self: &Arc<Self>) -> ManuallyDrop<Arc<Self>> {
        // SAFETY: the pointer is that of a live `Arc`; the count stays right because the result is never dropped.
        ManuallyDrop::new(unsafe { Arc::from_raw(Arc::as_ptr(self)) })
    }

    /// Runs one step as the thread that has set `RUNNING`, then gives the stage up.
    fn step_and_yield(self: Arc<Self>, may_poll: bool) {
        if self.step(may_poll) {
            return;
        }
        let before = self.header.state.fetch_and(!RUNNING, Ordering::SeqCst);
        if before & SCHEDULED != 0 {
            self.enqueue();
        }
    }

    /// Returns whether the task has ended. `RUNNING` is ours (K1).
    fn step(self: &Arc<Self>, may_poll: bool) -> bool {
        let waker = ManuallyDrop::new(Waker::from(ManuallyDrop::into_inner(self.alias())));
        let mut cx = Context::from_waker(&waker);
        let task = ManuallyDrop::new(ManuallyDrop::into_inner(self.alias()) as TaskRef);
        let _ambient = current::enter_task(&task);
        #[cfg(feature = "tracing")]
        let _span = self.header.span.enter();
        // SAFETY: K1: this thread has set RUNNING and DONE is unset; nobody else touches the stage until we clear it.
        #[allow(unsafe_code)]
        let stage = unsafe { &mut *self.stage.get() };
        if let Stage::Future(future) = stage {
            let first = self.header.slot() == NO_SLOT;
            if first {
                // S16: a task that was cancelled before its first poll never runs.
                let flags = self.header.owner.flags();
                tree::inherit(&self.header, flags);
                if flags & tree::NAMED != 0 {
                    self.link();
                }
            }
            let polled = if !may_poll || (first && self.header.is_cancelled()) {
                Poll::Pending
            } else {
                if first {
                    events::started(&self.header);
                }
                // SAFETY: the future stays where it is until it is dropped in place below: the task is behind an `Arc` and
                // nothing moves out of `Stage::Future`.
                #[allow(unsafe_code)]
                let future = unsafe { Pin::new_unchecked(future) };
                let poll = || future.poll(&mut cx).map(TaskOutput::into_result);
                match catch_unwind(AssertUnwindSafe(poll)) {
                    Ok(Poll::Ready(Ok(value))) => Poll::Ready(End::Value(value)),
                    Ok(Poll::Ready(Err(error))) => Poll::Ready(End::Error(error)),
                    Ok(Poll::Pending) => Poll::Pending,
                    Err(payload) => Poll::Ready(End::Panic(payload)),
                }
            };
            let end = match polled {
                Poll::Ready(end) => end,
                Poll::Pending => {
                    self.link();
                    let forced = self.header.has(FORCED) || !may_poll;
                    let drop_it = forced || self.header.is_told() && self.header.holds() == 0;
                    if !drop_it {
                        return false;
                    }
                    End::Cancelled
                }
            };
            let winding = Stage::Winding(end);
            // The old stage is dropped in place, and the new one is written even if that panics.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| *stage = winding)) {
                if let Stage::Winding(end @ (End::Value(_) | End::Cancelled)) = stage {
                    *end = End::Panic(payload);
                }
            }
        }
        if let Some(inside) = self.header.inside.get() {
            if poll_winding(inside, &mut cx).is_pending() {
                if self.header.is_cancelled() {
                    events::cleaning(&self.header);
                }
                return false;
            }
        }
        self.complete();
        true
    }

    /// Makes the task visible to cancellers and to the tree, once.
    fn link(self: &Arc<Self>) {
        if self.header.slot() != NO_SLOT {
            return;
        }
        self.header.mark.linked();
        let flags = self.header.owner.link_task(self.clone());
        tree::inherit(&self.header, flags);
        self.header.pass_down();
    }

    /// The stage, for as long as one statement of [`complete`](Self::complete) needs it.
    #[allow(unsafe_code, clippy::mut_from_ref)]
    fn own_stage(&self) -> &mut Stage<F> {
        // SAFETY: only `complete` calls this, which has the stage by K1 or by K3, and it keeps no two of these at a time.
        unsafe { &mut *self.stage.get() }
    }

    /// `RUNNING` is ours (K1) and given up here. So no reference to the stage may reach across that, not even as an argument that is used no
    /// more: the outcome is somebody else's from then on.
    fn complete(self: &Arc<Self>) {
        let header = &self.header;
        let Stage::Winding(end) = std::mem::replace(self.own_stage(), Stage::Empty) else {
            unreachable!("K1: a task is completed once, after its future has ended");
        };
        let own = header.sees_cancel();
        let outcome = match end {
            End::Value(value) => Ok(value),
            End::Cancelled => Err(Failure::Cancelled),
            End::Panic(payload) => Err(Failure::Real(Member::from_panic(header.info(), payload))),
            End::Error(error) => Err(
                match crate::cancel::classify(error, own, self.header.inside.get()) {
                    Ok(()) => Failure::Cancelled,
                    // The failure of a sibling, passed on: one leaf, not two.
                    Err(error) => match TaskError::passed_on_by(&*error) {
                        Some(failed) => Failure::PassedOn(failed),
                        None => Failure::Real(Member::from_failure(header.info(), error)),
                    },
                },
            ),
        };
        events::ended(header, || match &outcome {
            Ok(_) => Ending::Value,
            Err(Failure::Cancelled) => Ending::Cancelled,
            Err(Failure::Real(member)) => Ending::Failed(member.to_task_error()),
            Err(Failure::PassedOn(failed)) => Ending::Failed(failed.clone()),
        });
        let adopted = match header.inside.get() {
            Some(scope) => scope.take_adopted(),
            None => Vec::new(),
        };
        let mut result = match outcome {
            Ok(value) => Ok(value),
            Err(Failure::Cancelled) => Err(JoinError::Cancelled(Cancelled::plain(header.reason()))),
            Err(Failure::Real(member)) => {
                let error = JoinError::Failed(member.to_task_error());
                header.owner.adopt_failure(member);
                Err(error)
            }
            Err(Failure::PassedOn(failed)) => {
                super::group::pass_on(&header.owner, &failed);
                Err(JoinError::Failed(failed))
            }
        };
        for member in adopted {
            // What was left by futures that this task dropped half-way failed in it.
            if !matches!(result, Err(JoinError::Failed(_))) {
                let lost =
                    std::mem::replace(&mut result, Err(JoinError::Failed(member.to_task_error())));
                let _ = catch_unwind(AssertUnwindSafe(|| drop(lost)));
            }
            header.owner.adopt_failure(member);
        }
        let fate = super::group::Fate::of(&result);
        *self.own_stage() = Stage::Outcome(result);

        if header.slot() != NO_SLOT {
            let unlinked = header.owner.unlink_task(header);
            drop(unlinked);
        }
        // RUNNING is set and DONE is not, so one addition-free word change does both.
        let before = header.state.fetch_xor(DONE | RUNNING, Ordering::SeqCst);
        if before & DETACHED != 0 {
            // K3: we set the second of the two bits, so the outcome is ours.
            let drop_it = || *self.own_stage() = Stage::Empty;
            if let Err(payload) = catch_unwind(AssertUnwindSafe(drop_it)) {
                header
                    .owner
                    .adopt_failure(Member::from_panic(header.info(), payload));
            }
        }
        if before & AWAITED != 0 {
            header.wake_waiters();
        }
        super::group::child_ended(header, fate);
    }
}

enum Failure {
    Cancelled,
    Real(Member),
    PassedOn(TaskError),
}

impl<F> TaskObject for Task<F>
where
    F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
{
    fn header(&self) -> &Header {
        &self.header
    }

    fn run(self: Arc<Self>) {
        let before = self
            .header
            .state
            .fetch_xor(SCHEDULED | RUNNING, Ordering::SeqCst);
        debug_assert_eq!(
            before & (SCHEDULED | RUNNING | DONE),
            SCHEDULED,
            "K1: only a scheduled task is taken from a queue"
        );
        self.step_and_yield(true);
    }

    fn run_claimed(self: Arc<Self>, may_poll: bool) {
        self.step_and_yield(may_poll);
    }

    fn cancelled(self: Arc<Self>, dropping: Dropping) {
        if dropping == Dropping::InPlace && self.header.holds() == 0 {
            let idle = self.header.state() & !(SCHEDULED | RUNNING);
            if idle & DONE == 0 {
                let claimed = self.header.state.compare_exchange(
                    idle,
                    idle | RUNNING,
                    Ordering::SeqCst,
                    Ordering::SeqCst,
                );
                if claimed.is_ok() {
                    return self.drop_in_place();
                }
            }
        }
        TaskObject::wake(self);
    }

    fn cancel_alone(self: Arc<Self>) {
        if self.header.mark(CANCELLED) {
            events::found_cancelled(&self.header);
            self.cancelled(Dropping::Scheduled);
        }
    }

    fn wake(self: Arc<Self>) {
        let before = self.header.state.fetch_or(SCHEDULED, Ordering::SeqCst);
        if before & (SCHEDULED | RUNNING | DONE) == 0 {
            self.enqueue();
        }
    }

    fn inside(self: Arc<Self>) -> Arc<Scope> {
        if let Some(scope) = self.header.inside.get() {
            return scope.clone();
        }
        let task: Weak<dyn TaskObject> = Arc::downgrade(&self) as Weak<dyn TaskObject>;
        let scope = self
            .header
            .inside
            .get_or_init(|| {
                Scope::for_task(task, self.header.owner.clone(), self.header.mark.location())
            })
            .clone();
        self.header.pass_down();
        scope
    }

    fn inside_running(self: Arc<Self>) -> Arc<Scope> {
        // What opens below must be found by a canceller at once, not only after the first poll.
        self.link();
        self.inside()
    }
}

impl<F> Task<F>
where
    F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
{
    /// As the canceller that has claimed an idle task: one step that drops the future, or finds that it may not.
    fn drop_in_place(self: Arc<Self>) {
        // SAFETY: K1: RUNNING is ours.
        #[allow(unsafe_code)]
        let is_future = matches!(unsafe { &*self.stage.get() }, Stage::Future(_));
        if is_future && self.header.holds() == 0 {
            self.step_and_yield(false);
        } else {
            // A guard came to life meanwhile, or the task is winding up: whoever drives it has to poll it.
            self.header.state.fetch_or(SCHEDULED, Ordering::SeqCst);
            self.header.state.fetch_and(!RUNNING, Ordering::SeqCst);
            self.enqueue();
        }
    }
}

impl<F, V> Joinable<V> for Task<F>
where
    F: Future<Output: TaskOutput<Value = V>> + Send + 'static,
    V: Send + 'static,
{
    fn as_task(self: Arc<Self>) -> TaskRef {
        self
    }

    #[allow(unsafe_code)]
    unsafe fn take_outcome(&self) -> Option<Result<V, JoinError>> {
        if !self.header.is_done() {
            return None;
        }
        // SAFETY: K2: DONE is set, and the caller is the one owner of the handle.
        let stage = unsafe { &mut *self.stage.get() };
        match std::mem::replace(stage, Stage::Empty) {
            Stage::Outcome(outcome) => Some(outcome),
            _ => None,
        }
    }

    #[allow(unsafe_code)]
    unsafe fn outcome(&self) -> Option<&Result<V, JoinError>> {
        if !self.header.is_done() {
            return None;
        }
        // SAFETY: K2: DONE is set and the handle is only borrowed, so nobody writes to the stage meanwhile.
        let stage = unsafe { &*self.stage.get() };
        match stage {
            Stage::Outcome(outcome) => Some(outcome),
            _ => None,
        }
    }
}

/// The handle is gone: the outcome is dropped now if it is there, or else when it comes (K3).
pub(crate) fn detach<V>(task: &Arc<dyn Joinable<V>>) {
    let header = task.header();
    if header.is_done() || header.state.fetch_or(DETACHED, Ordering::SeqCst) & DONE != 0 {
        // SAFETY: DONE came first, so the outcome is the handle's (K2), whose drop this is.
        #[allow(unsafe_code)]
        let outcome = unsafe { task.take_outcome() };
        drop(outcome);
    }
}

impl<F> Wake for Task<F>
where
    F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
{
    fn wake(self: Arc<Self>) {
        TaskObject::wake(self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Most wake-ups of a busy task find it scheduled: no reference is counted for those.
        let before = self.header.state.fetch_or(SCHEDULED, Ordering::SeqCst);
        if before & (SCHEDULED | RUNNING | DONE) == 0 {
            self.clone().enqueue();
        }
    }
}
