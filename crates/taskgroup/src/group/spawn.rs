//! The group itself, and how a child gets into it, waits for a place, or is refused.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::blocking::{self, BlockingToken};
use crate::cancel::{CancelReason, cancel_point};
use crate::handle::TaskHandle;
use crate::scope::driver;
use crate::scope::group::{FreePlace, Group, GroupState};
use crate::scope::task::{self, BACKGROUND, Born, Joiner, LIMITED, Maker, Node, Spec, TaskOutput};
use crate::scope::tree::{Refusal, Scope};

/// A group of tasks that end together: no task outlives its group, no error is lost, no cleanup is
/// skipped.
///
/// [`run`](Self::run) opens a group around a body. The body [`spawn`](Self::spawn)s tasks into the
/// group, and so do its children through clones of it. `run` resolves only when the body and all
/// children have ended, with their cleanup. The first failure cancels the rest, and all failures
/// come out together.
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
/// A clone names the same group. It may outlive the group, which then refuses to spawn.
///
/// The idea comes from Trio's nursery. Python's `asyncio.TaskGroup`, Kotlin's `coroutineScope` and
/// Swift's `withThrowingTaskGroup` are relatives.
#[derive(Clone)]
#[doc(alias = "nursery")]
#[doc(alias = "coroutineScope")]
#[doc(alias = "errgroup")]
#[doc(alias = "JoinSet")]
pub struct TaskGroup {
    pub(super) scope: Arc<Scope>,
}

/// What is settled about a child before it is spawned.
#[derive(Debug, Default)]
pub(crate) struct ChildOptions {
    pub(super) name: Option<Cow<'static, str>>,
    pub(super) bits: usize,
    /// The child already has a place below the limit.
    pub(super) placed: bool,
}

impl TaskGroup {
    /// Spawns a child.
    ///
    /// The child starts as soon as a worker is free and runs in parallel with the body and its
    /// siblings, until it ends or is cancelled. An `Err` or a panic of the child is a failure of
    /// the group.
    ///
    /// A group that is cancelled or has ended spawns nothing: it drops `future`, and the handle
    /// resolves to [`JoinError::Cancelled`](crate::JoinError::Cancelled).
    /// [`try_spawn`](Self::try_spawn) gives the future back instead.
    ///
    /// Errors and the tree call the child `#` and its number. [`task`](Self::task) gives it a
    /// better name.
    ///
    /// A future larger than 16 KiB (2 KiB in debug builds) is boxed, as Tokio does, and so is a
    /// value of that size. The stack holds them only where they are made and where they are taken.
    ///
    /// ```
    /// use taskgroup::{BoxError, TaskGroup};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let run = TaskGroup::run(async |group| {
    ///     let answer = group.spawn(async { Ok::<_, BoxError>(42) });
    ///     Ok(answer.await?)
    /// });
    /// assert_eq!(run.await.unwrap(), 42);
    /// # }
    /// ```
    ///
    /// # Panics
    /// When the group runs outside any Tokio runtime.
    #[track_caller]
    #[doc(alias = "create_task")]
    #[doc(alias = "start_soon")]
    pub fn spawn<F>(&self, future: F) -> TaskHandle<<F::Output as TaskOutput>::Value>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        self.spawn_with(future, ChildOptions::default(), Location::caller())
    }

    /// Spawns a child, or gives the future back if the group takes no more children.
    ///
    /// ```
    /// use taskgroup::{BoxError, TaskGroup};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// TaskGroup::run(async |group| {
    ///     group.cancel();
    ///     let refused = group.try_spawn(async { Ok::<_, BoxError>(7) }).unwrap_err();
    ///     let value = refused.into_future().await?; // it runs here instead
    ///     assert_eq!(value, 7);
    ///     Ok(())
    /// })
    /// .await
    /// .unwrap();
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SpawnRefused`], with the future and the reason, when the group is cancelled or has ended.
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
        self.try_spawn_with(future, ChildOptions::default(), Location::caller())
    }

    /// Waits until a child would start at once, then spawns it: back-pressure for a group with a
    /// [`limit`](crate::GroupBuilder::limit).
    ///
    /// Children that are already queued get their places first; then callers of this function do,
    /// in the order of their calls. A cancelled group ends the wait.
    ///
    /// Without a limit this is [`spawn`](Self::spawn), with one difference: in a cancelled scope it
    /// suspends and spawns nothing, so that a loop over it ends.
    ///
    /// ```
    /// use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// TaskGroup::builder()
    ///     .limit(5)
    ///     .run(async |group| {
    ///         for _line in 0..1000 {
    ///             // There are never more than five futures in memory.
    ///             group.spawn_when_free(async { /* … */ }).await;
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
    /// Dropped before it is ready, it drops `future` and has spawned nothing. Its turn goes to the
    /// next caller that waits.
    #[track_caller]
    pub fn spawn_when_free<F, T>(&self, future: F) -> impl Future<Output = TaskHandle<T>>
    where
        F: Future<Output: TaskOutput<Value = T>> + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_when_free_with(future, ChildOptions::default(), Location::caller())
    }

    /// Runs `work` on a thread for blocking work, as a child of the group.
    ///
    /// The group waits for it. A blocking thread cannot be cancelled from outside, so the closure
    /// gets a [`BlockingToken`] and checks it now and then. A closure that is cancelled before it
    /// has begun never runs. A panic of the closure is a failure, as with any child.
    ///
    /// ```
    /// use taskgroup::{BlockingToken, BoxError, TaskGroup};
    /// # fn is_prime(_: u64) -> bool { false }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
    /// let primes = TaskGroup::run(async |group| {
    ///     let count = group.spawn_blocking(
    ///         |token: BlockingToken| -> Result<usize, BoxError> {
    ///             let mut found = 0;
    ///             for number in 0..100_000 {
    ///                 token.check()?; // stops here when the group is cancelled
    ///                 found += usize::from(is_prime(number));
    ///             }
    ///             Ok(found)
    ///         },
    ///     );
    ///     Ok(count.await?)
    /// })
    /// .await?;
    /// # let _ = primes;
    /// # Ok(()) }
    /// ```
    ///
    /// The closure sees what a child sees: [`Local`](crate::Local)s,
    /// [`current_task`](crate::observe::current_task) and [`is_cancelled`](crate::is_cancelled). A
    /// group that it runs in a `Handle::block_on` belongs to this child and is cancelled with it.
    ///
    /// Nothing drops the closure. In a cancelled closure, an await in that `block_on` is not
    /// suspended as it would be in a task: a group ends with its error, and what waits for
    /// something else goes on waiting. An await that has nothing to return unwinds, and the child
    /// ends as cancelled: a [`bracket`](crate::bracket) whose work was cut off, once it has
    /// released, and a [`shield`](crate::shield) at the end of a grace.
    ///
    /// Even the end of a [grace](crate::GroupBuilder::grace) does not end the closure. A warning
    /// every few seconds names what still blocks.
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    ///
    /// The idea is asyncio's `to_thread` and Trio's `to_thread.run_sync`. A cancelled thread there
    /// is either waited for without being told, or abandoned.
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
        self.spawn_with(blocking::run(work), ChildOptions::default(), location)
    }

    pub(crate) fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// The group as the engine has it.
    #[inline]
    pub(crate) fn in_tree(&self) -> Group<'_> {
        Group::new(&self.scope, self.state())
    }

    pub(crate) fn state(&self) -> &GroupState {
        match self.scope.group() {
            Some(state) => state,
            None => unreachable!("the scope of a group is one"),
        }
    }

    /// Takes a child in, or says why not.
    // Always inlined, as `Group::admit` is: a spawn pays for each copy of the result. See
    // decision 0015.
    #[inline(always)]
    fn admit(
        &self,
        options: ChildOptions,
        location: &'static Location<'static>,
    ) -> (Spec, Result<(), Refusal>) {
        let state = self.state();
        // The spawn panics where there is no runtime.
        let given_back = options.placed.then(|| GivenBack(state));
        let mut bits = options.bits;
        if state.is_limited() && bits & BACKGROUND == 0 {
            // A background child would keep its place until the group ends.
            bits |= LIMITED;
        }
        let (index, admitted) = self.in_tree().admit(bits);
        if admitted.is_ok() {
            bits |= driver::settings(&self.scope);
            std::mem::forget(given_back);
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

    /// The node of a new child, which has ended if it was not taken in. It does not depend on the
    /// future, so it is compiled once.
    #[inline(never)]
    fn node<'table>(
        &self,
        maker: Maker<'table>,
        options: ChildOptions,
        location: &'static Location<'static>,
    ) -> Node<'table> {
        let (spec, admitted) = self.admit(options, location);
        match admitted {
            Ok(()) => maker.node(spec),
            Err(refusal) => {
                if let Some(progress) = self.state().progress() {
                    progress.refused();
                }
                maker.refused(spec, self.reason_of(refusal))
            }
        }
    }

    /// As [`node`](Self::node), or why it was not taken in.
    #[inline(never)]
    fn node_or_reason<'table>(
        &self,
        maker: Maker<'table>,
        options: ChildOptions,
        location: &'static Location<'static>,
    ) -> Result<Node<'table>, CancelReason> {
        let (spec, admitted) = self.admit(options, location);
        match admitted {
            Ok(()) => Ok(maker.node(spec)),
            Err(refusal) => Err(self.reason_of(refusal)),
        }
    }

    #[inline(never)]
    fn start_born(&self, born: Born, placed: bool) {
        if let Some(task) = born.begin() {
            self.in_tree().start(task, placed);
        }
    }

    #[inline]
    pub(crate) fn spawn_with<F>(
        &self,
        future: F,
        options: ChildOptions,
        location: &'static Location<'static>,
    ) -> TaskHandle<<F::Output as TaskOutput>::Value>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        // A large future is in its box before further calls move it about on the stack.
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
        options: ChildOptions,
        location: &'static Location<'static>,
    ) -> TaskHandle<<F::Output as TaskOutput>::Value>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        let placed = options.placed;
        let Ok((born, joiner)) = task::new(future, |maker| {
            Ok::<_, Infallible>(self.node(maker, options, location))
        });
        self.begin(born, joiner, placed)
    }

    #[inline]
    fn begin<V>(&self, born: Born, joiner: Joiner<V>, placed: bool) -> TaskHandle<V> {
        self.start_born(born, placed);
        TaskHandle::new(joiner)
    }

    /// As [`spawn_with`](Self::spawn_with), when there is room for another child.
    pub(super) fn spawn_when_free_with<F, V>(
        &self,
        future: F,
        options: ChildOptions,
        location: &'static Location<'static>,
    ) -> impl Future<Output = TaskHandle<V>>
    where
        F: Future<Output: TaskOutput<Value = V>> + Send + 'static,
        V: Send + 'static,
    {
        self.when_free(future, options, location, Self::spawn_with)
    }

    /// Calls `spawn` when there is room for another child. `F` is a future, and no bound says so:
    /// with one, the compiler would have to prove for every lifetime that the future can be spawned
    /// when it checks whether the wait is `Send`.
    #[allow(clippy::async_yields_async, reason = "the wait is for the handle")]
    async fn when_free<F, H>(
        &self,
        future: F,
        mut options: ChildOptions,
        location: &'static Location<'static>,
        spawn: fn(&Self, F, ChildOptions, &'static Location<'static>) -> H,
    ) -> H {
        cancel_point().await;
        // A background child takes no place.
        if options.bits & BACKGROUND == 0 {
            options.placed = FreePlace::new(self.in_tree()).await;
        }
        spawn(self, future, options, location)
    }

    pub(super) fn try_spawn_with<F>(
        &self,
        future: F,
        options: ChildOptions,
        location: &'static Location<'static>,
    ) -> Result<TaskHandle<<F::Output as TaskOutput>::Value>, SpawnRefused<F>>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        let placed = options.placed;
        match task::new(future, |maker| {
            self.node_or_reason(maker, options, location)
        }) {
            Ok((born, joiner)) => Ok(self.begin(born, joiner, placed)),
            Err((reason, future)) => Err(SpawnRefused::new(future, reason)),
        }
    }

    fn reason_of(&self, refusal: Refusal) -> CancelReason {
        match refusal {
            Refusal::Cancelled(reason) => reason,
            Refusal::Closed => CancelReason::closed(self.scope.location),
        }
    }
}

/// Gives a place back when it is dropped.
struct GivenBack<'a>(&'a GroupState);

impl Drop for GivenBack<'_> {
    fn drop(&mut self) {
        self.0.place_free();
    }
}

/// A child that a group did not take, because the group is cancelled or has ended.
///
/// ```
/// use taskgroup::TaskGroup;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let run = TaskGroup::run(async |group| {
///     group.cancel();
///     match group.try_spawn(async { Ok::<_, &str>("late") }) {
///         Ok(_) => unreachable!(),
///         Err(refused) => {
///             println!("not spawned: {}", refused.reason());
///             assert_eq!(refused.into_future().await?, "late");
///         }
///     }
///     Ok(())
/// });
/// run.await.unwrap();
/// # }
/// ```
pub struct SpawnRefused<F> {
    future: F,
    reason: CancelReason,
}

impl<F> SpawnRefused<F> {
    pub(super) fn new(future: F, reason: CancelReason) -> Self {
        Self { future, reason }
    }

    /// Gives the future back. It was not polled.
    pub fn into_future(self) -> F {
        self.future
    }

    /// Why the group takes no more children.
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
