//! A group that a struct keeps.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};

use super::builder::GroupBuilder;
use super::spawn::{ChildOptions, SpawnRefused, TaskGroup};
use crate::cancel::{CancelReason, cancel_point};
use crate::error::{ErrorGroup, TaskError};
use crate::handle::TaskHandle;
use crate::scope::current;
use crate::scope::group::GroupState;
use crate::scope::task::TaskOutput;
use crate::scope::tree::{Kind, Scope, Watch};

/// A group without a body, for a field of a struct: the background work of a service, a pool, a
/// connection, the state of a web server.
///
/// It is opened below the current scope and ends in one of three ways:
///
/// - [`close`](Self::close) waits for the children and gives their failures. This is the way out
///   that loses nothing.
/// - A drop cancels its children. The scope in which the group was opened waits for them and has
///   their failures.
/// - A cancellation of that scope cancels the children, as in any group.
///
/// A spawn takes `&self`, so a service in an `Arc` can spawn from all its methods. If the code in
/// which the group was opened ends and the owner lives on, the group moves with its owner: then the
/// next scope further out cancels it and waits for it. The outermost of these scopes is a
/// [run](crate::run). When the run ends, it cancels the group, waits for it, and has its failures.
///
/// ```
/// use std::sync::Arc;
/// use taskgroup::{BoxError, ErrorGroup, OpenGroup};
///
/// struct Mailer {
///     deliveries: OpenGroup,
/// }
///
/// impl Mailer {
///     fn send(&self, letter: String) -> Result<(), BoxError> {
///         // Once the mailer shuts down this is refused, and the caller gets an
///         // error.
///         let spawned = self.deliveries.spawn(deliver(letter));
///         spawned.map_err(|refused| refused.to_string())?;
///         Ok(())
///     }
///
///     async fn shut_down(&self) -> Result<(), ErrorGroup> {
///         self.deliveries.close().await
///     }
/// }
/// # async fn deliver(_: String) -> Result<(), BoxError> { Ok(()) }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
/// let mailer = Arc::new(Mailer { deliveries: OpenGroup::new() });
/// mailer.send("dear Ada".into())?;
/// mailer.shut_down().await?;
/// assert!(mailer.send("too late".into()).is_err());
/// # Ok(()) }
/// ```
///
/// [`TaskGroup::run`] is the better choice wherever a body fits: it cannot be left open by mistake.
///
/// # Drop
/// Cancels the children. The scope in which the group was opened adopts them: it does not end
/// before them, and their failures are its own.
///
/// The idea is Kotlin's `CoroutineScope` as a property of a class. Tokio's `TaskTracker` and
/// `JoinSet` in a field have no scope around them.
#[must_use = "dropping it cancels its children"]
#[doc(alias = "CoroutineScope")]
#[doc(alias = "TaskTracker")]
#[doc(alias = "JoinSet")]
pub struct OpenGroup {
    group: TaskGroup,
    /// `close` was called.
    closing: AtomicBool,
}

impl OpenGroup {
    /// Opens a group below the current scope.
    ///
    /// ```
    /// use taskgroup::OpenGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let group = OpenGroup::new();
    /// let answer = group.spawn(async { Ok::<_, std::io::Error>(42) }).unwrap();
    /// assert_eq!(answer.await.unwrap(), 42);
    /// group.close().await.unwrap();
    /// # }
    /// ```
    #[track_caller]
    #[allow(
        clippy::new_without_default,
        reason = "a default would not say where it was opened"
    )]
    pub fn new() -> Self {
        Self::open(TaskGroup::builder(), Location::caller())
    }

    fn open(mut builder: GroupBuilder, location: &'static Location<'static>) -> Self {
        builder.options.settings().by_hand = true;
        let around = current::scope();
        let kind = Kind::Group(GroupState::new(builder.options, location, &around));
        let scope = Scope::open(kind, around, location);
        // Children belong to the runtime here, whichever thread spawns the first of them.
        scope.runtime_if_any();
        Self {
            group: TaskGroup { scope },
            closing: AtomicBool::new(false),
        }
    }

    /// Spawns a child, or gives the future back if the group takes no more children: it is
    /// cancelled, or [`close`](Self::close) was called.
    ///
    /// Otherwise as [`TaskGroup::spawn`].
    ///
    /// # Errors
    /// [`SpawnRefused`], with the future and the reason.
    ///
    /// # Panics
    /// As [`TaskGroup::spawn`].
    #[track_caller]
    pub fn spawn<F>(
        &self,
        future: F,
    ) -> Result<TaskHandle<<F::Output as TaskOutput>::Value>, SpawnRefused<F>>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        let location = Location::caller();
        if self.is_closing() {
            let reason = CancelReason::closed(self.group.scope.location);
            return Err(SpawnRefused::new(future, reason));
        }
        self.group
            .try_spawn_with(future, ChildOptions::default(), location)
    }

    /// The same group as the [`TaskGroup`] that its children use: for names, blocking work,
    /// back-pressure, the tree, and for children that spawn siblings.
    ///
    /// While [`close`](Self::close) waits, a clone of it still takes children, as any group does
    /// whose body has ended: a child that has begun may need helpers to finish.
    ///
    /// ```
    /// use taskgroup::OpenGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let jobs = OpenGroup::new();
    /// jobs.group().task("sweep").spawn(async { /* … */ });
    /// assert_eq!(jobs.group().live(), 1);
    /// jobs.close().await.unwrap();
    /// # }
    /// ```
    pub fn group(&self) -> &TaskGroup {
        &self.group
    }

    /// Cancels the children. As [`TaskGroup::cancel`]: what fails before they have ended still
    /// comes out of [`close`](Self::close).
    #[track_caller]
    pub fn cancel(&self) {
        self.group.cancel();
    }

    /// As [`cancel`](Self::cancel), and `why` is part of the [reason](CancelReason::message).
    #[track_caller]
    pub fn cancel_with(&self, why: impl Into<Cow<'static, str>>) {
        self.group.cancel_with(why);
    }

    /// Whether the group is cancelled, by itself or from outside.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.group.is_cancelled()
    }

    /// Whether the group takes no more children from its owner, because [`close`](Self::close) was
    /// called.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        // Relaxed: it guards nothing. A spawn that comes at the same time is in or is refused.
        self.closing.load(Ordering::Relaxed)
    }

    /// Waits for the first failure in the group, and gives it. `None` when the group has ended
    /// without one.
    ///
    /// It is for the owner that runs beside the children: a server that stops when its background
    /// work has failed. The group keeps the failure for [`close`](Self::close). A failure that the
    /// [policy](crate::Policy) tolerates and keeps counts as well.
    ///
    /// ```
    /// use taskgroup::OpenGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # async fn serve() { std::future::pending().await }
    /// let work = OpenGroup::new();
    /// work.group().task("refresh").spawn(async { Err::<(), _>("no connection") });
    /// tokio::select! {
    ///     () = serve() => {}
    ///     failed = work.failed() => assert_eq!(failed.unwrap().name(), "refresh"),
    /// }
    /// assert!(work.close().await.is_err());
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future has no effect.
    pub async fn failed(&self) -> Option<TaskError> {
        cancel_point().await;
        let mut watch = Watch::new(self.group.scope.clone());
        let group = self.group.in_tree();
        std::future::poll_fn(|cx| group.poll_failed(&mut watch, cx.waker())).await
    }

    /// Takes no more children from its owner, and waits until all children have ended.
    ///
    /// To stop them first, call [`cancel`](Self::cancel). Background children are cancelled once
    /// the others have ended. Any number of callers may wait, also one after the other. Each gets
    /// the same outcome.
    ///
    /// A child of the group must not await this: it would wait for itself.
    ///
    /// # Errors
    /// All failures of the children and of what they left behind, as in [`TaskGroup::run`]. If the
    /// owner cancelled the group and nothing failed, the result is `Ok`. If the group was cut off
    /// from outside, the result is an error with one leaf, the [`Cancelled`](crate::Cancelled).
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future loses no failure. The group takes no more children, and the
    /// next call waits on.
    pub async fn close(&self) -> Result<(), ErrorGroup> {
        cancel_point().await;
        self.closing.store(true, Ordering::Relaxed);
        let mut watch = Watch::new(self.group.scope.clone());
        let group = self.group.in_tree();
        std::future::poll_fn(|cx| group.poll_closed(&mut watch, cx.waker())).await
    }
}

impl Drop for OpenGroup {
    fn drop(&mut self) {
        self.group.in_tree().let_go();
    }
}

impl fmt::Debug for OpenGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenGroup")
            .field("group", &self.group)
            .field("closing", &self.is_closing())
            .finish()
    }
}

impl GroupBuilder {
    /// Opens a group with these settings below the current scope, for a field of a struct: see
    /// [`OpenGroup`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let jobs = TaskGroup::builder()
    ///     .name("jobs")
    ///     .limit(8)
    ///     .grace(Duration::from_secs(10))
    ///     .open();
    /// # jobs.close().await.unwrap();
    /// # }
    /// ```
    #[track_caller]
    pub fn open(self) -> OpenGroup {
        OpenGroup::open(self, Location::caller())
    }
}
