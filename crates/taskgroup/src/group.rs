//! The task group: the public face of a scope with children.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::cancel::{CancelReason, Cancelled, classify};
use crate::error::{BoxError, ErrorGroup, Member, TaskId, TaskInfo};
use crate::handle::TaskHandle;
use crate::scope::current;
use crate::scope::group::{self, GroupOptions, GroupState};
use crate::scope::section::{Ended, Ends, Section};
use crate::scope::task::{LIMITED, Spec, TOKIO, Task, TaskOutput};
use crate::scope::tree::{Dropping, Kind, Refusal, Scope};

/// A group of tasks that end together: no task outlives its group, no error is lost, no cleanup is skipped.
///
/// [`run`](Self::run) opens a group around a body. The body, and the children through clones of the group, [`spawn`](Self::spawn)
/// tasks into it. `run` resolves only when the body and all children have really ended, with their cleanup. The first
/// failure cancels the rest, and all failures come out together.
///
/// ```
/// use taskgroup::{BoxError, TaskGroup};
/// # async fn fetch_user(_: u32) -> Result<String, BoxError> { Ok("Ada".into()) }
/// # async fn fetch_orders(_: u32) -> Result<Vec<u32>, BoxError> { Ok(vec![1, 2]) }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
/// # let id = 7;
/// let (user, orders) = TaskGroup::run(async |group| {
///     let user = group.spawn(fetch_user(id));
///     let orders = group.spawn(fetch_orders(id));
///     Ok((user.await?, orders.await?))
/// })
/// .await?;
/// # assert_eq!((user.as_str(), orders.len()), ("Ada", 2));
/// # Ok(()) }
/// ```
///
/// A clone names the same group. It may outlive the group: spawning is refused then.
///
/// Python's `asyncio.TaskGroup`, Trio's nursery, Kotlin's `coroutineScope`, Swift's `withThrowingTaskGroup`.
#[derive(Clone)]
#[doc(alias = "nursery")]
#[doc(alias = "coroutineScope")]
#[doc(alias = "errgroup")]
#[doc(alias = "JoinSet")]
pub struct TaskGroup {
    scope: Arc<Scope>,
}

/// Settings of a group before it runs; made by [`TaskGroup::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `run`"]
pub struct GroupBuilder {
    options: GroupOptions,
}

impl TaskGroup {
    /// Runs `body` with a new group, and resolves when the body and everything spawned into the group have ended.
    ///
    /// The body runs inline in the caller's task, so it may borrow from the caller. Children are tasks of their own.
    ///
    /// # Errors
    /// The failures of the body, the children, and what they left behind, in order of arrival: the first one is the cause, the
    /// others failed until everything had ended. When the group was ended by [`cancel`](Self::cancel) before the body
    /// had a value, and nothing failed, the one leaf is the body's [`Cancelled`]: see [`ErrorGroup::is_cancelled`], and
    /// [`GroupBuilder::run_cancellable`] for an `Option` instead.
    ///
    /// # Panics
    /// A panic of the body goes on after all children have been cancelled and have ended; failures of theirs are then adopted by
    /// the enclosing scope. A panic of a child is a failure, see [`TaskError::is_panic`](crate::TaskError::is_panic).
    ///
    /// # Cancel safety
    /// When the scope around the call is cancelled, body and children are, and are waited for. If nothing failed, the call
    /// never returns: its task is dropped there.
    ///
    /// # Drop
    /// Dropped half-way (by `tokio::select!`, say), it cancels the children; the enclosing scope adopts them and does not end
    /// before they have.
    #[track_caller]
    #[doc(alias = "create_task")]
    pub fn run<R, B>(body: B) -> impl Future<Output = Result<R, ErrorGroup>>
    where
        B: AsyncFnOnce(TaskGroup) -> Result<R, BoxError>,
    {
        Self::builder().run(body)
    }

    /// Settings for a new group: a name, a grace, and so on.
    pub fn builder() -> GroupBuilder {
        GroupBuilder::default()
    }

    /// Spawns a child.
    ///
    /// It starts on the next occasion and runs in parallel to the body and its siblings, until it ends or is cancelled. An `Err` or a panic is
    /// a failure of the group. Into a group that is cancelled or has ended nothing is spawned: `future` is dropped, and the
    /// handle says [`Cancelled`]; [`try_spawn`](Self::try_spawn) gives the future back instead.
    ///
    /// The child's name in errors and in the tree is `#` and its number; [`task`](Self::task) gives it a better one.
    ///
    /// # Panics
    /// In a group that runs outside any Tokio runtime.
    #[track_caller]
    #[doc(alias = "create_task")]
    #[doc(alias = "start_soon")]
    pub fn spawn<F>(&self, future: F) -> TaskHandle<<F::Output as TaskOutput>::Value>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        self.spawn_with(future, Options::default(), Location::caller())
    }

    /// Spawns a child, or gives the future back if the group takes none any more.
    ///
    /// # Errors
    /// [`SpawnRefused`] with the future and the reason, when the group is cancelled or has ended.
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    #[track_caller]
    pub fn try_spawn<F>(
        &self,
        future: F,
    ) -> Result<TaskHandle<<F::Output as TaskOutput>::Value>, SpawnRefused<F>>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        self.try_spawn_with(future, Options::default(), Location::caller())
    }

    /// Waits until a child would start at once, then spawns it: back-pressure for a group with a
    /// [`limit`](GroupBuilder::limit).
    ///
    /// Several callers that wait at once may all go ahead when one place becomes free; the limit holds for what runs, whoever spawned
    /// it. Without a limit this is [`spawn`](Self::spawn).
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it drops `future` and has spawned nothing.
    // The handle is what one waits for here, not the value.
    #[allow(clippy::async_yields_async)]
    #[track_caller]
    pub fn spawn_when_free<F>(
        &self,
        future: F,
    ) -> impl Future<Output = TaskHandle<<F::Output as TaskOutput>::Value>>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        let location = Location::caller();
        async move {
            std::future::poll_fn(|cx| {
                if self.is_cancelled() || self.state().poll_place(cx.waker()) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
            self.spawn_with(future, Options::default(), location)
        }
    }

    /// A child with a name: `group.task("fetch_user_123").spawn(future)`.
    pub fn task(&self, name: impl Into<Cow<'static, str>>) -> TaskBuilder<'_> {
        TaskBuilder {
            group: self,
            options: Options {
                name: Some(name.into()),
                ..Options::default()
            },
        }
    }

    /// Cancels body and children, without an error of its own. Failures until everything has ended still come out.
    ///
    /// Idempotent, and without effect on a group that has ended.
    #[track_caller]
    pub fn cancel(&self) {
        let reason = CancelReason::called(Location::caller());
        self.scope.cancel(&reason, Dropping::Scheduled);
    }

    /// Whether the group is cancelled, by itself or from outside.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.scope.is_cancelled()
    }

    /// Why the group is cancelled, if it is.
    #[must_use]
    pub fn reason(&self) -> Option<CancelReason> {
        self.scope.reason()
    }

    /// The number of children that have not ended.
    #[must_use]
    pub fn live(&self) -> usize {
        self.scope.live_tasks()
    }

    /// What is alive in the group right now: see [`tree`](crate::tree).
    #[must_use]
    pub fn tree(&self) -> crate::Tree {
        crate::Tree::of(&self.scope)
    }

    /// Name, id, path and location of the group.
    #[must_use]
    pub fn info(&self) -> TaskInfo {
        group::info(&self.scope)
    }

    /// The group's id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.state().id()
    }

    /// The group's name, or `group` and its number.
    #[must_use]
    pub fn name(&self) -> Cow<'static, str> {
        group::group_name(self.state())
    }

    #[cfg(feature = "testing")]
    pub(crate) fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    fn state(&self) -> &GroupState {
        match self.scope.group() {
            Some(state) => state,
            None => unreachable!("the scope of a group is one"),
        }
    }

    fn spec(&self, options: Options, location: &'static Location<'static>) -> Spec {
        let state = self.state();
        let mut bits = options.bits;
        if state.tokio_tasks {
            bits |= TOKIO;
        }
        if state.limit().is_some() {
            bits |= LIMITED;
        }
        Spec {
            owner: self.scope.clone(),
            index: state.next_index(),
            name: options.name,
            location,
            bits,
        }
    }

    fn spawn_with<F>(
        &self,
        future: F,
        options: Options,
        location: &'static Location<'static>,
    ) -> TaskHandle<<F::Output as TaskOutput>::Value>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        let spec = self.spec(options, location);
        match self.state().admit(&self.scope, spec.bits) {
            Ok(()) => {
                let task = Task::new(spec, future);
                self.state().start(&self.scope, task.clone());
                TaskHandle::new(task)
            }
            Err(refusal) => {
                drop(future);
                let cancelled = Cancelled::plain(self.reason_of(refusal));
                TaskHandle::new(Task::<F>::refused(spec, cancelled))
            }
        }
    }

    fn try_spawn_with<F>(
        &self,
        future: F,
        options: Options,
        location: &'static Location<'static>,
    ) -> Result<TaskHandle<<F::Output as TaskOutput>::Value>, SpawnRefused<F>>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        let spec = self.spec(options, location);
        match self.state().admit(&self.scope, spec.bits) {
            Ok(()) => {
                let task = Task::new(spec, future);
                self.state().start(&self.scope, task.clone());
                Ok(TaskHandle::new(task))
            }
            Err(refusal) => Err(SpawnRefused {
                future,
                reason: self.reason_of(refusal),
            }),
        }
    }

    fn reason_of(&self, refusal: Refusal) -> CancelReason {
        match refusal {
            Refusal::Cancelled(reason) => reason,
            Refusal::Closed => CancelReason::closed(&self.scope),
        }
    }
}

impl fmt::Debug for TaskGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("name", &self.name())
            .field("live", &self.live())
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}

impl GroupBuilder {
    /// Names the group, for errors and the tree.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.options.name = Some(name.into());
        self
    }

    /// Bounds cleanup: so long after the group was cancelled, guards and shields hold no longer. What still runs is dropped at its next
    /// suspension point and reported as an [`Overrun`](crate::Overrun) with its name. What cannot be dropped, because it never
    /// suspends, is named by a warning every few seconds.
    ///
    /// Without a grace cleanup may take as long as it takes.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.grace = Some(grace);
        self
    }

    /// At most so many children run at once; the others wait in spawn order without being polled. Zero counts as one.
    ///
    /// The group owns the places: a child that fails, panics or is cancelled gives its place back, and one that never started never
    /// had one. [`spawn`](TaskGroup::spawn) never waits; [`spawn_when_free`](TaskGroup::spawn_when_free) does.
    #[doc(alias = "Semaphore")]
    #[doc(alias = "CapacityLimiter")]
    pub fn limit(mut self, limit: usize) -> Self {
        self.options.limit = Some(limit.max(1));
        self
    }

    /// Drives each child by a Tokio task of its own, where the children have to be visible to Tokio (its task ids, its console).
    ///
    /// Everything means the same; it costs more per child.
    pub fn tokio_tasks(mut self) -> Self {
        self.options.tokio_tasks = true;
        self
    }

    /// As [`TaskGroup::run`], with these settings.
    ///
    /// # Errors
    /// As [`TaskGroup::run`].
    #[track_caller]
    pub fn run<R, B>(self, body: B) -> impl Future<Output = Result<R, ErrorGroup>>
    where
        B: AsyncFnOnce(TaskGroup) -> Result<R, BoxError>,
    {
        let location = Location::caller();
        async move {
            let (ended, scope) = run_group(self.options, location, body).await;
            match ended? {
                Some(value) => Ok(value),
                None => {
                    let reason = scope.reason();
                    let reason = reason.unwrap_or_else(|| CancelReason::dropped(&scope));
                    let error = Box::new(Cancelled::plain(reason));
                    let member = Member::from_cancelled(group::body_info(&scope), error);
                    match ErrorGroup::new(group::info(&scope), vec![member]) {
                        Some(error) => Err(error),
                        None => unreachable!("it has one member"),
                    }
                }
            }
        }
    }

    /// As [`run`](Self::run), with `Ok(None)` when the group was ended by [`TaskGroup::cancel`] before the body had a value and nothing
    /// failed.
    ///
    /// # Errors
    /// The failures of the body and the children.
    #[track_caller]
    pub fn run_cancellable<R, B>(
        self,
        body: B,
    ) -> impl Future<Output = Result<Option<R>, ErrorGroup>>
    where
        B: AsyncFnOnce(TaskGroup) -> Result<R, BoxError>,
    {
        let location = Location::caller();
        async move { run_group(self.options, location, body).await.0 }
    }
}

async fn run_group<R, B>(
    options: GroupOptions,
    location: &'static Location<'static>,
    body: B,
) -> (Result<Option<R>, ErrorGroup>, Arc<Scope>)
where
    B: AsyncFnOnce(TaskGroup) -> Result<R, BoxError>,
{
    let kind = Kind::Group(Box::new(GroupState::new(options)));
    let scope = Scope::open(kind, &current::scope(), location);
    // Children belong where the body runs, whichever thread spawns the first of them.
    scope.runtime_if_any();
    let group = TaskGroup {
        scope: scope.clone(),
    };
    let state = group.clone();
    let body = {
        let scope = scope.clone();
        async move {
            match body(group).await {
                Ok(value) => Some(value),
                Err(error) => {
                    let cancelled = scope.is_cancelled();
                    if let (Err(error), Some(state)) =
                        (classify(error, cancelled, Some(&scope)), scope.group())
                    {
                        state.body_failed(&scope, error);
                    }
                    None
                }
            }
        }
    };
    let mut section = std::pin::pin!(Section::new(scope.clone(), Ends::Any, body));
    let mut waited = false;
    let ended = std::future::poll_fn(|cx| {
        let polled = section.as_mut().poll_ended(cx);
        waited |= polled.is_pending() && section.as_mut().is_winding();
        polled
    })
    .await;
    let failure = state.state().take_failure(&scope);
    let value = match ended {
        Ended::Value(value) => value,
        Ended::Dropped => None,
        Ended::Panicked(payload) => {
            if let (Some(failure), Some(parent)) = (failure, scope.parent()) {
                parent.adopt_failure(Member::Group(failure));
            }
            std::panic::resume_unwind(payload);
        }
    };
    if let Some(failure) = failure {
        return (Err(failure), scope);
    }
    if scope.is_cancelled() && (value.is_none() || waited) {
        // Cancelled from outside, cut short or while it waited, and nothing to say: whoever was cancelled out there is dropped now,
        // with us in it.
        std::future::poll_fn(|_| {
            if scope.yields_to_outer() {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }
    (Ok(value), scope)
}

/// A child before it is spawned; made by [`TaskGroup::task`].
#[derive(Debug)]
#[must_use = "a task builder does nothing until `spawn`"]
pub struct TaskBuilder<'a> {
    group: &'a TaskGroup,
    options: Options,
}

#[derive(Debug, Default)]
struct Options {
    name: Option<Cow<'static, str>>,
    bits: u32,
}

impl TaskBuilder<'_> {
    /// As [`TaskGroup::spawn`].
    ///
    /// # Panics
    /// As [`TaskGroup::spawn`].
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> TaskHandle<<F::Output as TaskOutput>::Value>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        self.group
            .spawn_with(future, self.options, Location::caller())
    }

    /// As [`TaskGroup::try_spawn`].
    ///
    /// # Errors
    /// As [`TaskGroup::try_spawn`].
    ///
    /// # Panics
    /// As [`TaskGroup::spawn`].
    #[track_caller]
    pub fn try_spawn<F>(
        self,
        future: F,
    ) -> Result<TaskHandle<<F::Output as TaskOutput>::Value>, SpawnRefused<F>>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        self.group
            .try_spawn_with(future, self.options, Location::caller())
    }
}

/// A child that a group did not take, because it is cancelled or has ended.
pub struct SpawnRefused<F> {
    future: F,
    reason: CancelReason,
}

impl<F> SpawnRefused<F> {
    /// The future, which was not polled.
    pub fn into_future(self) -> F {
        self.future
    }

    /// Why the group takes no more.
    pub fn reason(&self) -> &CancelReason {
        &self.reason
    }
}

impl<F> fmt::Debug for SpawnRefused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnRefused")
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Display for SpawnRefused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the group takes no more tasks: {}", self.reason)
    }
}

impl<F> std::error::Error for SpawnRefused<F> {}
