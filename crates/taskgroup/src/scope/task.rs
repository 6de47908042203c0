//! One child task: its future, later its outcome, behind the header of its node, in one allocation.
//!
//! The invariants K1–K7 stand in [`node`](super::node): who may touch the stage, and who keeps the
//! node. The future is never moved: it is polled and dropped where it was built.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::cancelled::Cancelled;
use super::current;
use super::events::{self, Ending};
use super::extra::Inside;
use super::node::{Birth, Step, Vtable};
use super::outcome::{JoinError, classify};
use super::pool;
use super::section::poll_winding;
use super::tree::{self, Scope};
use crate::error::{Began, BoxError, Failed, Fault, Interval, Member, TaskError};
use crate::gate::{self, Payload};
use crate::progress::Fate;
use crate::sync::UnsafeCell;

pub(crate) use super::node::{BACKGROUND, Header, LIMITED, SHIELDED, TOKIO, TaskLink, TaskRef};

/// What a child may return: `()`, a `Result` whose error converts into [`BoxError`], or nothing ever (`!`, the type of a loop without
/// an end).
///
/// This trait is what lets [`spawn`](crate::TaskGroup::spawn) take these kinds; it is implemented for nothing else.
pub trait TaskOutput: sealed::Sealed {
    /// What the task's handle gives.
    type Value;
    #[doc(hidden)]
    type Error: Into<BoxError>;
    /// Runs no code of the output.
    #[doc(hidden)]
    fn into_result(self) -> Result<Self::Value, Self::Error>;
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
    type Error = std::convert::Infallible;
    fn into_result(self) -> Result<Self::Value, Self::Error> {
        self
    }
}

impl TaskOutput for () {
    type Value = ();
    type Error = std::convert::Infallible;
    fn into_result(self) -> Result<(), Self::Error> {
        Ok(())
    }
}

impl<T, E: Into<BoxError>> TaskOutput for Result<T, E> {
    type Value = T;
    type Error = E;
    fn into_result(self) -> Self {
        self
    }
}

/// What `output` is as a result. A panic of the conversion unwinds into the poll that is under way.
pub(crate) fn converted<O: TaskOutput>(output: O) -> Result<O::Value, BoxError> {
    let convert = |error: O::Error| gate::call_apart(|| error.into());
    let resume = |payload| std::panic::resume_unwind(payload);
    output
        .into_result()
        .map_err(|error| convert(error).unwrap_or_else(resume))
}

enum Stage<F: Future<Output: TaskOutput>> {
    Future(F),
    /// The future has ended; what it left inside the task has not.
    Winding(End<<F::Output as TaskOutput>::Value>),
    /// Until the joiner takes it.
    Outcome(Outcome<<F::Output as TaskOutput>::Value>),
    Empty,
}

/// The outcome, until it is taken.
type Place<K> = Option<Result<K, JoinError>>;

/// What the joiner takes an outcome out of.
type Outcome<K> = std::cell::UnsafeCell<Place<K>>;

/// An outcome whose value is kept as it is, or in a box.
enum Kept<P, B> {
    Plain(P),
    Boxed(B),
}

/// How the future of a task ended.
enum End<V> {
    Value(V),
    /// Boxed: a node is no larger for it.
    Failed(Box<Failed>),
    Cancelled,
}

/// The node of a task.
// The header comes first: a pointer to it is one to the node.
#[repr(C)]
struct Task<F: Future<Output: TaskOutput>> {
    header: Header,
    stage: UnsafeCell<Stage<F>>,
}

/// What a new task is told apart from its future.
pub(crate) struct Spec {
    pub(crate) owner: Arc<Scope>,
    pub(crate) index: u32,
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) location: &'static Location<'static>,
    /// Some of `SHIELDED`, `BACKGROUND`, `TOKIO`, `LIMITED`.
    pub(crate) bits: usize,
}

/// A future or a value that is larger than that has a box of its own, so that what moves on its way through the engine is a pointer: each
/// move may be a copy on the stack, in builds without optimisation nearly all are. Futures have the same limit in Tokio, so a stack
/// that is large enough there is here, too.
const LARGE: usize = if cfg!(debug_assertions) {
    2 * 1024
} else {
    16 * 1024
};

pub(crate) const fn is_large<T>() -> bool {
    size_of::<T>() > LARGE
}

pin_project! {
    /// Has a large value in a box as soon as it is there.
    struct Boxing<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future<Output: TaskOutput>> Future for Boxing<F> {
    type Output = Result<Box<<F::Output as TaskOutput>::Value>, <F::Output as TaskOutput>::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().future.poll(cx) {
            Poll::Ready(output) => Poll::Ready(match output.into_result() {
                Ok(value) => Ok(Box::new(value)),
                Err(error) => Err(error),
            }),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// A task that is to be submitted to its driver, and its joiner. Its owner's token has been taken. The future is not large.
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
    #[allow(unsafe_code)]
    let task = unsafe { TaskRef::from_raw(node) };
    // SAFETY: K2, K4, K6: it is born with a reference for its one joiner. It keeps values as the
    // joiner looks for them: of type `V`, or of type `Box<V>` if they are large.
    #[allow(unsafe_code)]
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
    #[allow(unsafe_code)]
    unsafe {
        Joiner::from_raw(node)
    }
}

fn refused_node<K: Send + 'static>(spec: Spec, cancelled: Cancelled) -> NonNull<Header> {
    let outcome = || Stage::Outcome(Outcome::new(Some(Err(JoinError::Cancelled(cancelled)))));
    // There never was a future.
    Task::<std::future::Pending<Result<K, BoxError>>>::allocate(spec, Birth::Refused, outcome)
}

impl<F> Task<F>
where
    F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
{
    const VTABLE: Vtable = Vtable {
        step: |task, may_poll| Self::of(task).step(task, may_poll),
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
        // First: so the node is written where it stays. If making it panics (the name) the place is lost.
        let node = pool::place::<Self>();
        // SAFETY: M2: the place is as large as a node, and ours alone.
        #[allow(unsafe_code)]
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
        #[allow(unsafe_code)]
        unsafe {
            task.as_raw().cast::<Self>().as_ref()
        }
    }

    /// # Safety
    /// K4: the last reference to the node is gone.
    #[allow(unsafe_code)]
    unsafe fn free(node: NonNull<Header>) {
        // SAFETY: K4, K6: no reference to the node is left, and `allocate` wrote it for this table.
        unsafe { pool::free(node.cast::<Self>()) };
    }

    /// # Safety
    /// K2: the task has ended, and the caller acts for its joiner.
    #[allow(unsafe_code)]
    unsafe fn outcome(task: &TaskRef) -> NonNull<()> {
        // SAFETY: K2: the caller acts for the joiner, so nothing is written to the stage but
        // through the cell in it.
        match unsafe { &*Self::of(task).stage.get() } {
            Stage::Outcome(outcome) => NonNull::from(outcome).cast(),
            _ => unreachable!("K2: the outcome is there until the joiner goes"),
        }
    }

    /// `RUNNING` is ours (K1).
    fn step(&self, task: &TaskRef, may_poll: bool) -> Step {
        let waker = task.waker();
        let mut cx = Context::from_waker(&waker);
        let _ambient = current::enter_task(task);
        #[cfg(feature = "tracing")]
        let _span = self.header.span.enter();
        if self.has_future() {
            let Some(end) = self.poll_future(task, &mut cx, may_poll) else {
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

    /// Something unwound out of a step: the task ends with that panic. `RUNNING` is ours (K1).
    #[cold]
    fn fail(&self, payload: Payload) -> Step {
        if matches!(self.own_stage(), Stage::Outcome(_)) {
            // The outcome is there, so what unwound was to be told to others. They are told by the end of the task.
            gate::report("the end of a task", payload);
            return Step::Ended {
                fate: Fate::Failed,
                gone: false,
            };
        }
        if let Err(second) = gate::call_apart(|| *self.own_stage() = Stage::Empty) {
            gate::discard(second);
        }
        let header = &self.header;
        let member = Member::from_panic(header.info(), payload, Interval::now());
        let failed = member.to_task_error();
        let told = gate::call(|| header.owner.adopt_failure(member));
        if let Err(payload) = told {
            gate::report("the failure of a task", payload);
        }
        self.finish(Fate::Failed, || Err(JoinError::Failed(failed)))
    }

    /// The stage, for as long as one statement needs it. The caller has it by K1 or by K3.
    #[allow(unsafe_code, clippy::mut_from_ref)]
    fn own_stage(&self) -> &mut Stage<F> {
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

    fn has_future(&self) -> bool {
        matches!(self.own_stage(), Stage::Future(_))
    }

    /// Polls the future, or drops it by the guard rule. Once it has ended the stage is empty. `RUNNING` is ours (K1).
    fn poll_future(
        &self,
        task: &TaskRef,
        cx: &mut Context<'_>,
        may_poll: bool,
    ) -> Option<End<<F::Output as TaskOutput>::Value>> {
        let header = &self.header;
        let began = Began::now();
        let first = header.is_new();
        let forced = !may_poll;
        let mut may_poll = may_poll;
        if !header.is_linked() {
            // Nobody finds it to tell it, so it asks.
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
                #[allow(unsafe_code)]
                let future = unsafe { Pin::new_unchecked(future) };
                future.poll(cx).map(converted)
            };
            // S43: dated before the drop of the future tells others.
            let polled = gate::call(poll);
            end = if polled.as_ref().is_err_and(gate::is_cut_off) && header.is_told() {
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
            let to_drop =
                || forced || header.is_forced() || header.is_told() && header.holds() == 0;
            if !to_drop() {
                // One that only yields comes again at once, and asks then: it need not be found. But one that goes on like that is to be
                // seen.
                if first && header.is_scheduled() && !header.sees_cancel() {
                    return None;
                }
                task.link();
                if !to_drop() {
                    let asks = |inside: Inside<'_>| inside.ask();
                    if header.is_told() && header.scope().is_some_and(asks) {
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

    /// `RUNNING` is ours (K1).
    #[inline]
    fn complete(&self, end: End<<F::Output as TaskOutput>::Value>) -> Step {
        let header = &self.header;
        if header.scope().is_none_or(|inside| !inside.has_rare()) {
            match end {
                End::Value(value) => {
                    events::ended(header, || Ending::Value);
                    return self.finish(Fate::Done, move || Ok(value));
                }
                End::Cancelled => {
                    events::ended(header, || Ending::Cancelled);
                    return self.finish(Fate::Cancelled, || Err(header.cancelled()));
                }
                End::Failed(_) => {}
            }
        }
        self.complete_with_care(end)
    }

    /// Has the outcome ready, or drops it.
    #[inline]
    fn finish<R>(&self, fate: Fate, outcome: R) -> Step
    where
        R: FnOnce() -> Result<<F::Output as TaskOutput>::Value, JoinError>,
    {
        if fate == Fate::Cancelled {
            self.header.ended_cancelled();
        }
        let gone = self.header.is_detached();
        if !gone {
            let outcome = Stage::Outcome(Outcome::new(Some(outcome())));
            // Empty: an assignment would look what there is to drop.
            std::mem::forget(std::mem::replace(self.own_stage(), outcome));
        } else if std::mem::needs_drop::<R>() {
            // K3: the joiner is gone, so the outcome is ours.
            self.drop_outcome(|| drop(outcome));
        }
        Step::Ended { fate, gone }
    }

    /// Where there may be something to tell.
    #[cold]
    fn complete_with_care(&self, end: End<<F::Output as TaskOutput>::Value>) -> Step {
        let header = &self.header;
        let mut ended = match end {
            End::Value(value) => Ended::Value(value),
            End::Cancelled => Ended::Cancelled,
            End::Failed(failed) => self.judge(*failed),
        };
        events::ended(header, || match &ended {
            Ended::Value(_) => Ending::Value,
            Ended::Cancelled => Ending::Cancelled,
            Ended::Failed(failed, _) => Ending::Failed(failed.clone()),
        });
        if let Ended::Failed(failed, news) = &mut ended {
            match news.take() {
                Some(member) => header.owner.adopt_failure(member),
                None => super::group::pass_on(&header.owner, failed),
            }
        }
        for member in header
            .scope()
            .map_or_else(Vec::new, |inside| inside.take_adopted())
        {
            // What was left by futures that this task dropped half-way failed in it.
            if !matches!(ended, Ended::Failed(..)) {
                let failed = Ended::Failed(member.to_task_error(), None);
                let lost = std::mem::replace(&mut ended, failed);
                gate::drop_or_report("the value of a task", lost);
            }
            header.owner.adopt_failure(member);
        }
        let fate = ended.fate();
        self.finish(fate, move || ended.into_result(header))
    }

    /// What it is that the task failed with.
    fn judge(&self, failed: Failed) -> Ended<<F::Output as TaskOutput>::Value> {
        let header = &self.header;
        let error = match failed.fault {
            Fault::Error(error) => error,
            Fault::Panic(_) => return Ended::failed(Member::failed(header.info(), failed)),
        };
        let inside = header.scope();
        match classify(error, header.sees_cancel(), inside.as_deref()) {
            Ok(()) => Ended::Cancelled,
            // The failure of a sibling, passed on: one leaf, not two.
            Err(error) => match TaskError::passed_on_by(&*error) {
                Some(failed) => Ended::Failed(failed, None),
                None => {
                    let member = Member::from_failure(header.info(), error, failed.interval);
                    Ended::failed(member)
                }
            },
        }
    }

    #[cold]
    fn drop_outcome(&self, drop_it: impl FnOnce()) {
        if let Err(payload) = gate::call_apart(drop_it) {
            let info = self.header.info();
            self.header
                .owner
                .adopt_failure(Member::from_panic(info, payload, Interval::now()));
        }
    }
}

impl<V> End<V> {
    #[cold]
    fn panic(payload: Payload, began: Began) -> Self {
        Self::Failed(Box::new(Failed::new(Fault::Panic(payload), began)))
    }
}

/// How a task ended.
enum Ended<V> {
    Value(V),
    Cancelled,
    /// And what its owner has to be told, unless it knows.
    Failed(TaskError, Option<Member>),
}

impl<V> Ended<V> {
    fn failed(member: Member) -> Self {
        Self::Failed(member.to_task_error(), Some(member))
    }

    fn fate(&self) -> Fate {
        match self {
            Self::Value(_) => Fate::Done,
            Self::Cancelled => Fate::Cancelled,
            Self::Failed(..) => Fate::Failed,
        }
    }

    fn into_result(self, header: &Header) -> Result<V, JoinError> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Cancelled => Err(header.cancelled()),
            Self::Failed(failed, _) => Err(JoinError::Failed(failed)),
        }
    }
}

/// The one who may have the outcome of a task. Dropped, it leaves the task alone, and the outcome is dropped when it comes.
pub(crate) struct Joiner<V> {
    task: ManuallyDrop<TaskRef>,
    value: PhantomData<fn(V) -> V>,
}

// SAFETY: K2, K4: the joiner is a counted reference, and it hands the outcome out to the thread
// that owns it. The bound says that an outcome may go there.
#[allow(unsafe_code)]
unsafe impl<V> Send for Joiner<V> where Result<V, JoinError>: Send {}
// SAFETY: K2: through `&Joiner` only a reference to the outcome is handed out. The bound says that
// other threads may have one. (Each value of a task is `Send` anyway.)
#[allow(unsafe_code)]
unsafe impl<V> Sync for Joiner<V> where Result<V, JoinError>: Send + Sync {}

impl<V> Joiner<V> {
    /// # Safety
    /// As [`TaskRef::from_raw`] (K4, K6). The node keeps values of type `V`, or of type `Box<V>` if
    /// they are large, and it has no other joiner (K2).
    #[allow(unsafe_code)]
    unsafe fn from_raw(node: NonNull<Header>) -> Self {
        Self {
            // SAFETY: K4, K6: the caller promises it.
            task: ManuallyDrop::new(unsafe { TaskRef::from_raw(node) }),
            value: PhantomData,
        }
    }

    pub(crate) fn task(&self) -> &TaskRef {
        &self.task
    }

    /// The outcome, if the task has ended and nobody has taken it.
    pub(crate) fn take(&mut self) -> Option<Result<V, JoinError>> {
        match self.kept_mut()? {
            Kept::Plain(place) => place.take(),
            Kept::Boxed(place) => match place.take()? {
                Ok(value) => Some(Ok(*value)),
                Err(error) => Some(Err(error)),
            },
        }
    }

    /// The outcome in place, if the task has ended and nobody has taken it.
    pub(crate) fn look(&self) -> Option<Result<&V, &JoinError>> {
        match self.kept()? {
            Kept::Plain(place) => Some(place.as_ref()?.as_ref()),
            Kept::Boxed(place) => Some(place.as_ref()?.as_ref().map(|value| &**value)),
        }
    }

    /// Where the outcome is, once the task has ended.
    fn outcome(&self) -> Option<NonNull<()>> {
        if !self.task.header().is_done() {
            return None;
        }
        // SAFETY: K2: the task has ended, and this is its joiner.
        #[allow(unsafe_code)]
        Some(unsafe { self.task.outcome() })
    }

    /// The outcome as it is kept, for as long as the joiner is borrowed.
    fn kept(&self) -> Option<Kept<&Place<V>, &Place<Box<V>>>> {
        let outcome = self.outcome()?;
        Some(if const { is_large::<V>() } {
            // SAFETY: K2, K7: only a `&mut` to the joiner changes it. Large values are in a box.
            #[allow(unsafe_code)]
            Kept::Boxed(unsafe { outcome.cast().as_ref() })
        } else {
            // SAFETY: K2, K7: as above. Other values are kept as they are.
            #[allow(unsafe_code)]
            Kept::Plain(unsafe { outcome.cast().as_ref() })
        })
    }

    /// As [`kept`](Self::kept), to be changed.
    fn kept_mut(&mut self) -> Option<Kept<&mut Place<V>, &mut Place<Box<V>>>> {
        let outcome = self.outcome()?;
        Some(if const { is_large::<V>() } {
            // SAFETY: K2, K7: nothing else reaches the outcome while the joiner is borrowed. Large
            // values are in a box.
            #[allow(unsafe_code)]
            Kept::Boxed(unsafe { outcome.cast().as_mut() })
        } else {
            // SAFETY: K2, K7: as above. Other values are kept as they are.
            #[allow(unsafe_code)]
            Kept::Plain(unsafe { outcome.cast().as_mut() })
        })
    }

    /// Drops the outcome, if it is there. A large value stays in its box. A panic of that comes
    /// back.
    fn drop_outcome(&mut self) -> Result<(), Payload> {
        match self.kept_mut() {
            Some(Kept::Plain(place)) => place.take().map_or(Ok(()), gate::drop_value),
            Some(Kept::Boxed(place)) => place.take().map_or(Ok(()), gate::drop_value),
            None => Ok(()),
        }
    }
}

impl<V> Drop for Joiner<V> {
    #[inline]
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        if self.task.detach() {
            // Its reference has been given back.
            return;
        }
        // DONE came first, so the outcome is the joiner's (K2), whose drop this is.
        let dropped = self.drop_outcome();
        // SAFETY: K4: it still has its reference, which is taken once: `self` is not used again.
        let task = unsafe { ManuallyDrop::take(&mut self.task) };
        if let Err(payload) = dropped {
            value_panicked(&task, payload);
        }
        drop(task);
    }
}

/// The value of a task panicked when its handle was dropped: that fails the group, as when the task drops it. A group that has ended
/// cannot fail any more.
#[cold]
#[inline(never)]
fn value_panicked(task: &TaskRef, payload: Payload) {
    let header = task.header();
    if header.owner.enter_child().is_err() {
        return gate::report("the value of a task", payload);
    }
    // On the stack of the code that has dropped the handle, destructors of other children have no business.
    let failed = Member::from_panic(header.info(), payload, Interval::now());
    header.owner.adopt_from_hand(failed);
    header.owner.leave();
}
