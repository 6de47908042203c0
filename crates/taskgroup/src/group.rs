//! The task group: the public face of a scope with children.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::blocking::{self, BlockingToken};
use crate::cancel::{CancelReason, Cancelled, cancel_point, poll_cancel_point};
use crate::error::{BoxError, ErrorGroup, Member, TaskId, TaskInfo};
use crate::handle::TaskHandle;
use crate::policy::Policy;
use crate::progress::Progress;
use crate::scope::dated::Dated;
use crate::scope::group::{self, FreePlace, GroupOptions, GroupState};
use crate::scope::section::{Ended, Ends, Section};
use crate::scope::task::outcome::classify;
use crate::scope::task::{self, BACKGROUND, LIMITED, Spec, TaskOutput};
use crate::scope::tree::{Dropping, Kind, Refusal, Scope};
use crate::scope::{current, driver};
use crate::start::{self, StartError, Started};

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
    /// The failures of the body, the children, and what they left behind. The first one is the
    /// [cause](ErrorGroup#what-the-cause-is), the others follow in order of arrival: they failed
    /// until everything had ended. When the group was ended by [`cancel`](Self::cancel) before the
    /// body had a value, and nothing failed, the one leaf is the body's [`Cancelled`]: see
    /// [`ErrorGroup::is_cancelled`], and [`GroupBuilder::run_cancellable`] for an `Option` instead.
    ///
    /// # Panics
    /// A panic of the body goes on after all children have been cancelled and have ended; failures of theirs are then adopted by
    /// the enclosing scope, and so is the panic when this future is dropped before that. A panic of a child is a failure, see [`TaskError::is_panic`](crate::TaskError::is_panic).
    ///
    /// # Cancel safety
    /// When the scope around the call is cancelled, body and children are, and are waited for. If nothing failed, the call
    /// never returns: its task is dropped there. Where it is polled on all the same (a call that was timed out by `&mut`, for example), it
    /// fails with the cancellation if a child was cut off. In a scope that is cancelled already the body does not begin.
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
    /// A future of more than 16 KiB (2 KiB in debug builds) is boxed, as Tokio does, and so is a value of more: the stack has to hold little
    /// more of them than where they are made and taken.
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
    /// A place is given after all children that are queued already, and in the order of the calls. When the group is cancelled this waits no
    /// longer. Without a limit it is [`spawn`](Self::spawn), except that it suspends in a cancelled scope and spawns nothing there, so
    /// that a loop over it ends.
    ///
    /// ```
    /// use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// TaskGroup::builder()
    ///     .limit(5)
    ///     .run(async |group| {
    ///         for _line in 0..1000 {
    ///             group.spawn_when_free(async { /* … */ }).await; // never more than five futures in memory
    ///         }
    ///         Ok(())
    ///     })
    ///     .await
    ///     .unwrap();
    /// # }
    /// ```
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it drops `future` and has spawned nothing; its turn goes to the next one that waits.
    #[track_caller]
    pub fn spawn_when_free<F>(
        &self,
        future: F,
    ) -> impl Future<Output = TaskHandle<<F::Output as TaskOutput>::Value>>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        self.spawn_when_free_with(future, Options::default(), Location::caller())
    }

    /// Spawns a child and waits until it says that it is ready: a server that listens, say.
    ///
    /// The child gets a [`Started`] and calls [`Started::ready`] with what its users need. From then on it is a child like any other.
    /// Until then it belongs to the caller of `start`: if it fails, that failure is the result of `start` and not one of the group; if
    /// `start` is cancelled or dropped, so is the child.
    ///
    /// ```
    /// use taskgroup::{BoxError, Started, TaskGroup};
    /// use tokio::net::TcpListener;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
    /// TaskGroup::run(async |group| {
    ///     let serve = async |started: Started<_>| {
    ///         let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///         started.ready(listener.local_addr()?);
    ///         loop {
    ///             let _connection = listener.accept().await?;
    ///         }
    ///         #[allow(unreachable_code)]
    ///         Ok::<(), std::io::Error>(())
    ///     };
    ///     let (address, server) = group.start(serve).await?;
    ///     println!("listening on {address}");
    /// #   let _ = server.name();
    ///     group.cancel();
    ///     Ok(())
    /// })
    /// .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`StartError`] when the child failed, ended or was cancelled before it was ready.
    ///
    /// # Panics
    /// A panic of the child before it was ready goes on in the caller. As [`spawn`](Self::spawn).
    ///
    /// # Cancel safety
    /// Cancelled before the child is ready, it cancels the child and waits for its end.
    ///
    /// # Drop
    /// Cancels the child; the group waits for it. A failure of the child that `start` has not returned is then one of the group.
    ///
    /// Trio's `nursery.start` with `task_status.started`.
    #[track_caller]
    pub fn start<V, T, S, F>(
        &self,
        child: S,
    ) -> impl Future<Output = Result<(V, TaskHandle<T>), StartError>>
    where
        S: FnOnce(Started<V>) -> F,
        F: Future<Output: TaskOutput<Value = T>> + Send + 'static,
        V: Send + 'static,
        T: Send + 'static,
    {
        start::start(self, Options::default(), Location::caller(), child)
    }

    /// Runs `work` on a thread for blocking work, as a child of the group.
    ///
    /// The group waits for it. A blocking thread cannot be cancelled from outside, so the closure gets a [`BlockingToken`] and looks at it
    /// now and then. Cancelled before it has begun, the closure never runs. A panic of it is a failure like that of any child.
    ///
    /// ```
    /// use taskgroup::{BlockingToken, BoxError, TaskGroup};
    /// # fn is_prime(_: u64) -> bool { false }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
    /// let primes = TaskGroup::run(async |group| {
    ///     let count = group.spawn_blocking(|token: BlockingToken| -> Result<usize, BoxError> {
    ///         let mut found = 0;
    ///         for number in 0..100_000 {
    ///             token.check()?; // stops here when the group is cancelled
    ///             found += usize::from(is_prime(number));
    ///         }
    ///         Ok(found)
    ///     });
    ///     Ok(count.await?)
    /// })
    /// .await?;
    /// # let _ = primes;
    /// # Ok(()) }
    /// ```
    ///
    /// The closure sees what a child sees: [`Local`](crate::Local)s, [`current`](crate::observe::current_task), [`is_cancelled`](crate::is_cancelled). A
    /// group that it runs in a `Handle::block_on` belongs below it and is cancelled with it. Nothing drops the closure, so what it awaits
    /// that way comes back, in a cancelled scope as well.
    ///
    /// Even the end of a [grace](GroupBuilder::grace) does not end it: what still blocks is named by a warning every few seconds.
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    ///
    /// asyncio's `to_thread`, Trio's `to_thread.run_sync`, whose cancelled threads are either waited for deaf or abandoned.
    #[track_caller]
    #[doc(alias = "to_thread")]
    #[doc(alias = "run_in_executor")]
    pub fn spawn_blocking<R>(
        &self,
        work: impl FnOnce(BlockingToken) -> R + Send + 'static,
    ) -> TaskHandle<R::Value>
    where
        R: TaskOutput<Value: Send + 'static> + Send + 'static,
    {
        let location = Location::caller();
        self.spawn_with(blocking::run(work), Options::default(), location)
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
        let reason = CancelReason::called(current::info(), Location::caller());
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
    ///
    /// On several threads an end is counted a moment after it is there: after the value can be read, and after the place below a
    /// [limit](GroupBuilder::limit) is free. So this may be more than the limit right after
    /// [`spawn_when_free`](Self::spawn_when_free). The limit itself is exact: the future of a child is gone before its place is free.
    #[must_use]
    pub fn live(&self) -> usize {
        self.scope.live_tasks()
    }

    /// What is alive in the group right now: see [`tree`](crate::observe::tree).
    #[must_use]
    pub fn tree(&self) -> crate::observe::Tree {
        crate::observe::Tree::of(&self.scope)
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

    pub(crate) fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    pub(crate) fn state(&self) -> &GroupState {
        match self.scope.group() {
            Some(state) => state,
            None => unreachable!("the scope of a group is one"),
        }
    }

    /// Who a new child is, and whether it may start.
    // Always, as `GroupState::admit`: a spawn pays for each copy of the result. See decision 0015.
    #[inline(always)]
    fn admit(
        &self,
        options: Options,
        location: &'static Location<'static>,
    ) -> (Spec, Result<(), Refusal>) {
        let state = self.state();
        let mut bits = options.bits;
        if state.limit().is_some() && bits & BACKGROUND == 0 {
            // A heartbeat would keep its place for ever.
            bits |= LIMITED;
        }
        let (index, admitted) = state.admit(&self.scope, bits);
        if admitted.is_ok() {
            bits |= driver::settings(&self.scope);
        }
        let spec = Spec {
            owner: self.scope.clone(),
            index,
            name: options.name,
            location,
            bits,
        };
        (spec, admitted)
    }

    #[inline]
    pub(crate) fn spawn_with<F>(
        &self,
        future: F,
        options: Options,
        location: &'static Location<'static>,
    ) -> TaskHandle<<F::Output as TaskOutput>::Value>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        if const { task::is_large::<F>() } {
            self.spawn_sized(Box::pin(future), options, location)
        } else {
            self.spawn_sized(future, options, location)
        }
    }

    /// As [`spawn_with`](Self::spawn_with), for a future that is not large.
    #[inline]
    fn spawn_sized<F>(
        &self,
        future: F,
        options: Options,
        location: &'static Location<'static>,
    ) -> TaskHandle<<F::Output as TaskOutput>::Value>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        let placed = options.placed;
        let (spec, admitted) = self.admit(options, location);
        match admitted {
            Ok(()) => {
                let (task, joiner) = task::new(spec, future);
                self.state().start(&self.scope, task, placed);
                TaskHandle::new(joiner)
            }
            Err(refusal) => self.refuse(spec, future, refusal, placed),
        }
    }

    #[cold]
    #[inline(never)]
    fn refuse<F>(
        &self,
        spec: Spec,
        future: F,
        refusal: Refusal,
        placed: bool,
    ) -> TaskHandle<<F::Output as TaskOutput>::Value>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        if placed {
            self.state().place_free();
        }
        if let Some(progress) = self.state().progress() {
            progress.refused();
        }
        drop(future);
        let cancelled = Cancelled::plain(self.reason_of(refusal));
        TaskHandle::new(task::refused(spec, cancelled))
    }

    #[allow(clippy::async_yields_async, reason = "the wait is for the handle")]
    async fn spawn_when_free_with<F>(
        &self,
        future: F,
        mut options: Options,
        location: &'static Location<'static>,
    ) -> TaskHandle<<F::Output as TaskOutput>::Value>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        cancel_point().await;
        // A background child takes no place.
        if options.bits & BACKGROUND == 0 {
            options.placed = FreePlace::new(&self.scope, self.state()).await;
        }
        self.spawn_with(future, options, location)
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
        let (spec, admitted) = self.admit(options, location);
        match admitted {
            Ok(()) => {
                let (task, joiner) = if const { task::is_large::<F>() } {
                    task::new(spec, Box::pin(future))
                } else {
                    task::new(spec, future)
                };
                self.state().start(&self.scope, task, false);
                Ok(TaskHandle::new(joiner))
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
            Refusal::Closed => CancelReason::closed(self.scope.location),
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
        self.options.settings().name = Some(name.into());
        self
    }

    /// Bounds cleanup: so long after the group was cancelled, guards and shields hold no longer. What still runs is dropped at its next
    /// suspension point and reported as an [`Overrun`](crate::error::Overrun) with its name. What cannot be dropped, because it never
    /// suspends, is named by a warning every few seconds.
    ///
    /// Without a grace cleanup may take as long as it takes.
    ///
    /// In a Tokio runtime without a clock (see `enable_time` there) nothing tells when the grace is over: the group works, and if it is
    /// cancelled, a warning says that its cleanup is not bounded, see [`WarningKind::NoClock`](crate::observe::WarningKind::NoClock).
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.settings().grace = Some(grace);
        self
    }

    /// At most so many children run at once; the others wait in spawn order without being polled. Zero counts as one.
    ///
    /// The group owns the places: a child that fails, panics or is cancelled gives its place back, and one that never started never
    /// had one. [`spawn`](TaskGroup::spawn) never waits; [`spawn_when_free`](TaskGroup::spawn_when_free) does.
    #[doc(alias = "Semaphore")]
    #[doc(alias = "CapacityLimiter")]
    pub fn limit(mut self, limit: usize) -> Self {
        self.options.settings().limit = Some(limit.max(1));
        self
    }

    /// When the group stops by itself, and which failures it puts up with: see [`Policy`]. The default is
    /// [`Policy::fail_fast`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.options.settings().policy = Some(policy);
        self
    }

    /// Counts the children of the group in `progress`: queued, running, done, failed, cancelled.
    pub fn progress(mut self, progress: &Progress) -> Self {
        self.options.settings().progress = Some(progress.clone());
        self
    }

    /// Makes the children light: a few Tokio tasks poll them from a queue of the group, in place of one Tokio task for each child.
    ///
    /// This pays for wide groups of small children: thousands that each do a little. Everything means the same. What differs is what
    /// Tokio sees: light children have no Tokio task of their own, so they do not show up in its metrics and its console,
    /// [`tokio::task::id`] names the task that polls them, and up to 32 of them share one turn of it and its budget.
    ///
    /// ```
    /// use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let sum = TaskGroup::builder().light_tasks().run(async |group| {
    ///     let parts: Vec<_> = (0..10_000_u64)
    ///         .map(|n| group.spawn(async move { Ok::<_, taskgroup::BoxError>(n) }))
    ///         .collect();
    ///     let mut sum = 0;
    ///     for part in parts {
    ///         sum += part.await?;
    ///     }
    ///     Ok(sum)
    /// });
    /// assert_eq!(sum.await.unwrap(), 49_995_000);
    /// # }
    /// ```
    pub fn light_tasks(mut self) -> Self {
        self.options.light = true;
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
        self.run_at(Location::caller(), body)
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
        async move {
            let run = run_group(self.options, location, body).await;
            run.by_policy().await.0
        }
    }

    /// As [`run`](Self::run), with both sides of the outcome: the value of the body if it came to one, and every failure, also those
    /// that the [`Policy`] puts up with.
    ///
    /// What the other ways to run give away is here: the value although a child failed, and the failures of those who lost against the
    /// first success.
    ///
    /// ```
    /// use taskgroup::{Policy, TaskGroup};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let (sum, errors) = TaskGroup::builder()
    ///     .policy(Policy::collect())
    ///     .run_to_end(async |group| {
    ///         let parts: Vec<_> = ["1", "2", "three"].map(|text| group.spawn(async { text.parse::<u32>() })).into();
    ///         let mut sum = 0;
    ///         for part in parts {
    ///             sum += part.await.unwrap_or(0);
    ///         }
    ///         Ok(sum)
    ///     })
    ///     .await;
    /// assert_eq!(sum, Some(3));
    /// assert_eq!(errors.unwrap().len(), 1);
    /// # }
    /// ```
    ///
    /// # Panics
    /// As [`TaskGroup::run`].
    ///
    /// # Cancel safety
    /// As [`TaskGroup::run`]; a value or failures that are there when the scope around the call is cancelled are returned,
    /// but no value alone for which a child was cut off.
    #[track_caller]
    pub fn run_to_end<R, B>(self, body: B) -> impl Future<Output = (Option<R>, Option<ErrorGroup>)>
    where
        B: AsyncFnOnce(TaskGroup) -> Result<R, BoxError>,
    {
        self.run_to_end_at(Location::caller(), body)
    }

    /// As [`run`](Self::run), for a caller who knows better where that is.
    pub(crate) async fn run_at<R, B>(
        self,
        location: &'static Location<'static>,
        body: B,
    ) -> Result<R, ErrorGroup>
    where
        B: AsyncFnOnce(TaskGroup) -> Result<R, BoxError>,
    {
        let run = run_group(self.options, location, body).await;
        let (ended, scope) = run.by_policy().await;
        if let Some(value) = ended? {
            return Ok(value);
        }
        let reason = scope.reason();
        let reason = reason.unwrap_or_else(|| CancelReason::dropped(scope.location));
        let error = Box::new(Cancelled::plain(reason));
        let member = Member::from_cancelled(group::body_info(&scope), error);
        match ErrorGroup::new(group::info(&scope), vec![member]) {
            Some(error) => Err(error),
            None => unreachable!("it has one member"),
        }
    }

    pub(crate) async fn run_to_end_at<R, B>(
        self,
        location: &'static Location<'static>,
        body: B,
    ) -> (Option<R>, Option<ErrorGroup>)
    where
        B: AsyncFnOnce(TaskGroup) -> Result<R, BoxError>,
    {
        let run = run_group(self.options, location, body).await;
        let failures = run.state().take_failures(&run.group.scope);
        if run.value.is_none() && failures.is_none() {
            yield_to_outer(&run.group.scope).await;
        }
        // S40: as in `by_policy`; with failures it does not say that all went well.
        let cut = failures.is_none() && run.group.scope.is_cut();
        (run.value.filter(|_| !cut), failures)
    }

    /// The policy unless one was asked for.
    pub(crate) fn default_policy(mut self, policy: Policy) -> Self {
        self.options.settings().policy.get_or_insert(policy);
        self
    }

    pub(crate) fn limited_to(&self) -> Option<usize> {
        self.options.limit()
    }
}

/// A group that has ended, with its outcome still to be taken.
struct Ran<R> {
    group: TaskGroup,
    value: Option<R>,
    /// The body was over and something below was not.
    waited: bool,
}

impl<R> Ran<R> {
    fn state(&self) -> &GroupState {
        self.group.state()
    }

    /// What the policy makes of it.
    async fn by_policy(self) -> (Result<Option<R>, ErrorGroup>, Arc<Scope>) {
        if let Some(failure) = self.state().take_failure(&self.group.scope) {
            return (Err(failure), self.group.scope);
        }
        if self.value.is_none() || self.waited {
            yield_to_outer(&self.group.scope).await;
        }
        // S40: what was cut off never says that all went well.
        let value = self.value.filter(|_| !self.group.scope.is_cut());
        (Ok(value), self.group.scope)
    }
}

/// Cancelled from outside, cut short or while it waited, and nothing to say: whoever was cancelled out there is dropped now, with us in
/// it.
async fn yield_to_outer(scope: &Arc<Scope>) {
    std::future::poll_fn(|cx| {
        if scope.is_cancelled() && scope.yields_to_outer() {
            let _ = poll_cancel_point(cx);
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
}

async fn run_group<R, B>(
    options: GroupOptions,
    location: &'static Location<'static>,
    body: B,
) -> Ran<R>
where
    B: AsyncFnOnce(TaskGroup) -> Result<R, BoxError>,
{
    cancel_point().await;
    let kind = Kind::Group(GroupState::new(options));
    let scope = Scope::open(kind, current::scope(), location);
    // Children belong where the body runs, whichever thread spawns the first of them.
    scope.runtime_if_any();
    let group = TaskGroup {
        scope: scope.clone(),
    };
    let body = async {
        match Dated::new(body(group)).await {
            Ok(value) => Some(value),
            Err((error, interval)) => {
                // This is polled as the code of the group.
                let scope = current::scope();
                let cancelled = scope.is_cancelled();
                if let (Err(error), Some(state)) =
                    (classify(error, cancelled, Some(&scope)), scope.group())
                {
                    state.body_failed(&scope, error, interval);
                }
                None
            }
        }
    };
    let mut waited = false;
    let (ended, group) = {
        let mut section = std::pin::pin!(Section::new(scope, Ends::Any, body));
        let ended = std::future::poll_fn(|cx| {
            let polled = section.as_mut().poll_ended(cx);
            waited |= polled.is_pending() && section.as_mut().is_winding();
            polled
        })
        .await;
        let Some(scope) = section.as_mut().into_scope() else {
            unreachable!("it is the section of an open scope")
        };
        (ended, TaskGroup { scope })
    };
    let value = match ended {
        Ended::Value(value) => value,
        Ended::Dropped => None,
        Ended::Panicked(caught) => {
            let failure = group.state().take_failure(&group.scope);
            if let (Some(failure), Some(home)) = (failure, group.scope.home()) {
                home.adopt_failure(Member::Group(failure));
            }
            caught.resume();
        }
    };
    Ran {
        group,
        value,
        waited,
    }
}

/// A child before it is spawned; made by [`TaskGroup::task`].
#[derive(Debug)]
#[must_use = "a task builder does nothing until `spawn`"]
pub struct TaskBuilder<'a> {
    group: &'a TaskGroup,
    options: Options,
}

#[derive(Debug, Default)]
pub(crate) struct Options {
    name: Option<Cow<'static, str>>,
    bits: usize,
    /// A place below the limit was taken for it already.
    placed: bool,
}

impl TaskBuilder<'_> {
    /// Makes it a background child: a heartbeat, a log writer, a progress bar.
    ///
    /// The group owns it like any other, but does not wait for it to come to its end: once the body and all ordinary children are
    /// done it is cancelled, cleans up, and the group ends. A failure of it is a failure of the group. It takes no place of a
    /// [`limit`](GroupBuilder::limit), counts for no quorum and is no part of a [`Progress`](crate::Progress).
    ///
    /// ```
    /// use std::time::Duration;
    /// use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// TaskGroup::run(async |group| {
    ///     group.task("heartbeat").background().spawn(async {
    ///         loop {
    ///             tokio::time::sleep(Duration::from_secs(1)).await;
    ///             println!("still here");
    ///         }
    ///     });
    ///     group.spawn(tokio::time::sleep(Duration::from_secs(3)));
    ///     Ok(())
    /// })
    /// .await
    /// .unwrap(); // after three seconds
    /// # }
    /// ```
    #[doc(alias = "daemon")]
    pub fn background(mut self) -> Self {
        self.options.bits |= BACKGROUND;
        self
    }

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

impl<'a> TaskBuilder<'a> {
    /// As [`TaskGroup::spawn_when_free`]: waits until the child would start at once, then spawns it.
    ///
    /// A [background](Self::background) child takes no place of a limit, so it does not wait for one.
    ///
    /// ```
    /// use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// TaskGroup::builder()
    ///     .limit(5)
    ///     .run(async |group| {
    ///         for number in 0..1000 {
    ///             let line = group.task(format!("line {number}"));
    ///             line.spawn_when_free(async { /* … */ }).await;
    ///         }
    ///         Ok(())
    ///     })
    ///     .await
    ///     .unwrap();
    /// # }
    /// ```
    ///
    /// # Panics
    /// As [`TaskGroup::spawn`].
    ///
    /// # Cancel safety
    /// As [`TaskGroup::spawn_when_free`].
    #[track_caller]
    pub fn spawn_when_free<F>(
        self,
        future: F,
    ) -> impl Future<Output = TaskHandle<<F::Output as TaskOutput>::Value>> + use<'a, F>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        self.group
            .spawn_when_free_with(future, self.options, Location::caller())
    }
}

impl TaskBuilder<'_> {
    /// As [`TaskGroup::start`].
    ///
    /// # Errors
    /// As [`TaskGroup::start`].
    ///
    /// # Panics
    /// As [`TaskGroup::start`].
    #[track_caller]
    pub fn start<V, T, S, F>(
        self,
        child: S,
    ) -> impl Future<Output = Result<(V, TaskHandle<T>), StartError>>
    where
        S: FnOnce(Started<V>) -> F,
        F: Future<Output: TaskOutput<Value = T>> + Send + 'static,
        V: Send + 'static,
        T: Send + 'static,
    {
        start::start(self.group, self.options, Location::caller(), child)
    }

    /// As [`TaskGroup::spawn_blocking`].
    ///
    /// # Panics
    /// As [`TaskGroup::spawn`].
    #[track_caller]
    pub fn spawn_blocking<R>(
        self,
        work: impl FnOnce(BlockingToken) -> R + Send + 'static,
    ) -> TaskHandle<R::Value>
    where
        R: TaskOutput<Value: Send + 'static> + Send + 'static,
    {
        let location = Location::caller();
        self.group
            .spawn_with(blocking::run(work), self.options, location)
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
