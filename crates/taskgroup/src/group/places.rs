//! Spawning only if a place is free now, and a limit that changes.

use std::fmt;
use std::panic::Location;

use super::child::TaskBuilder;
use super::spawn::{ChildOptions, SpawnRefused, TaskGroup};
use crate::handle::TaskHandle;
use crate::scope::task::{BACKGROUND, TaskOutput};

impl TaskGroup {
    /// Spawns a child if it would start at once, and gives the future back otherwise.
    ///
    /// It is for work that may be left out when the group is busy: a refresh, a speculative
    /// request, a server that would rather say "too busy" than let a caller wait.
    /// [`spawn_when_free`](Self::spawn_when_free) waits for a place, and
    /// [`spawn`](Self::spawn) lets the child wait.
    ///
    /// On several threads a child may give its place back a moment after its handle is ready.
    ///
    /// ```
    /// use taskgroup::{NotSpawned, TaskGroup};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// TaskGroup::builder()
    ///     .limit(1)
    ///     .run(async |group| {
    ///         let first = group.spawn_if_free(async { /* … */ }).unwrap();
    ///         assert!(matches!(
    ///             group.spawn_if_free(async {}),
    ///             Err(NotSpawned::Full(_))
    ///         ));
    ///         first.await?;
    ///         assert!(group.spawn_if_free(async {}).is_ok());
    ///         Ok(())
    ///     })
    ///     .await
    ///     .unwrap();
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`NotSpawned::Full`] when all places of the [limit](crate::GroupBuilder::limit) are taken or
    /// others wait for one, and [`NotSpawned::Refused`] when the group is cancelled or has ended.
    /// Both give the future back.
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    ///
    /// The idea is `TryGo` of Go's errgroup.
    #[track_caller]
    #[doc(alias = "try_acquire")]
    #[doc(alias = "TryGo")]
    pub fn spawn_if_free<F>(
        &self,
        future: F,
    ) -> Result<TaskHandle<<F::Output as TaskOutput>::Value>, NotSpawned<F>>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        self.spawn_if_free_with(future, ChildOptions::default(), Location::caller())
    }

    fn spawn_if_free_with<F>(
        &self,
        future: F,
        mut options: ChildOptions,
        location: &'static Location<'static>,
    ) -> Result<TaskHandle<<F::Output as TaskOutput>::Value>, NotSpawned<F>>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        // A background child takes no place.
        if options.bits & BACKGROUND == 0 {
            options.placed = self.state().take_place();
            // A group that takes no more children says that, and not that it is full.
            if !options.placed && !self.scope.is_cancelled() && !self.scope.is_closed() {
                return Err(NotSpawned::Full(future));
            }
        }
        self.try_spawn_with(future, options, location)
            .map_err(NotSpawned::Refused)
    }

    /// How many children may run at once; `None` in a group without a
    /// [limit](crate::GroupBuilder::limit).
    #[must_use]
    pub fn limit(&self) -> Option<usize> {
        self.state().limit()
    }

    /// Changes the [limit](crate::GroupBuilder::limit). Zero counts as one.
    ///
    /// A higher limit starts children that are queued, and then lets callers of
    /// [`spawn_when_free`](Self::spawn_when_free) go on, in their order. A lower limit ends no
    /// child: those that run go on, and no other child starts before their number is below the
    /// limit.
    ///
    /// ```
    /// use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// TaskGroup::builder()
    ///     .limit(1)
    ///     .run(async |group| {
    ///         group.spawn(std::future::pending::<()>());
    ///         let queued = group.spawn(async { Ok::<_, std::io::Error>(7) });
    ///         group.set_limit(2);
    ///         assert_eq!(queued.await?, 7);
    ///         group.cancel();
    ///         Ok(())
    ///     })
    ///     .await
    ///     .unwrap();
    /// # }
    /// ```
    ///
    /// # Panics
    /// In a group that was built without a limit: its children are not counted.
    #[track_caller]
    pub fn set_limit(&self, limit: usize) {
        assert!(
            self.state().set_limit(limit.max(1)),
            "`set_limit`: group `{}` was built without a limit; to set one later, build it with \
             `limit(usize::MAX)`",
            self.name()
        );
    }
}

impl TaskBuilder<'_> {
    /// Spawns the child if it would start at once. As [`TaskGroup::spawn_if_free`].
    ///
    /// A [background](Self::background) child takes no place of a limit.
    ///
    /// # Errors
    /// As [`TaskGroup::spawn_if_free`].
    ///
    /// # Panics
    /// As [`TaskGroup::spawn`].
    #[track_caller]
    pub fn spawn_if_free<F>(
        self,
        future: F,
    ) -> Result<TaskHandle<<F::Output as TaskOutput>::Value>, NotSpawned<F>>
    where
        F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
    {
        self.group
            .spawn_if_free_with(future, self.options, Location::caller())
    }
}

/// A child that was not spawned, because there was no place for it or the group takes no more.
///
/// ```
/// use taskgroup::{NotSpawned, TaskGroup};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let group = TaskGroup::builder().limit(1);
/// group
///     .run(async |group| {
///         group.spawn(tokio::task::yield_now()); // takes the place
///         match group.spawn_if_free(async { Ok::<_, &str>("second") }) {
///             Ok(_) => unreachable!("there is one place"),
///             Err(NotSpawned::Full(future)) => {
///                 assert_eq!(future.await?, "second")
///             } // runs here
///             Err(NotSpawned::Refused(refused)) => return Err(refused.into()),
///         }
///         Ok(())
///     })
///     .await
///     .unwrap();
/// # }
/// ```
pub enum NotSpawned<F> {
    /// All places of the limit are taken, or others wait for one. The future was not polled.
    Full(F),
    /// The group is cancelled or has ended.
    Refused(SpawnRefused<F>),
}

impl<F> NotSpawned<F> {
    /// Gives the future back. It was not polled.
    pub fn into_future(self) -> F {
        match self {
            Self::Full(future) => future,
            Self::Refused(refused) => refused.into_future(),
        }
    }

    /// Whether there was no place. A later try may succeed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }
}

impl<F> fmt::Debug for NotSpawned<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.debug_tuple("Full").finish_non_exhaustive(),
            Self::Refused(refused) => f.debug_tuple("Refused").field(refused).finish(),
        }
    }
}

impl<F> fmt::Display for NotSpawned<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("no place of the group is free"),
            Self::Refused(refused) => fmt::Display::fmt(refused, f),
        }
    }
}

impl<F> std::error::Error for NotSpawned<F> {}
