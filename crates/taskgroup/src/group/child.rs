//! A child before it is spawned.

use std::borrow::Cow;
use std::panic::Location;

use super::spawn::{ChildOptions, SpawnRefused, TaskGroup};
use crate::blocking::{self, BlockingToken};
use crate::handle::TaskHandle;
use crate::scope::task::{BACKGROUND, TaskOutput};
use crate::start::{self, StartError, Started};

/// A child before it is spawned; made by [`TaskGroup::task`].
///
/// It spawns in all the ways that a [`TaskGroup`] does, under a name.
#[derive(Debug)]
#[must_use = "a task builder does nothing until `spawn`"]
pub struct TaskBuilder<'a> {
    pub(super) group: &'a TaskGroup,
    pub(super) options: ChildOptions,
}

impl<'a> TaskBuilder<'a> {
    pub(super) fn new(group: &'a TaskGroup, name: Cow<'static, str>) -> Self {
        let options = ChildOptions {
            name: Some(name),
            ..ChildOptions::default()
        };
        Self { group, options }
    }

    /// Makes it a background child: a heartbeat, a log writer, a progress bar.
    ///
    /// The group owns it like any other child but does not wait for it to finish. Once the body and
    /// all ordinary children have ended, the group cancels it, lets it clean up, and ends. Its
    /// failure is a failure of the group. It takes no place of a
    /// [`limit`](crate::GroupBuilder::limit), and neither a quorum nor a
    /// [`Progress`](crate::Progress) counts it.
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
    ///
    /// Java and Python have daemon threads, which nothing ends in an orderly way.
    #[doc(alias = "daemon")]
    pub fn background(mut self) -> Self {
        self.options.bits |= BACKGROUND;
        self
    }

    /// Spawns the child. As [`TaskGroup::spawn`].
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

    /// Spawns the child, or gives the future back. As [`TaskGroup::try_spawn`].
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

    /// Waits until the child would start at once, then spawns it. As
    /// [`TaskGroup::spawn_when_free`].
    ///
    /// A [background](Self::background) child takes no place of a limit, so it does not wait for
    /// one.
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
    pub fn spawn_when_free<F, T>(
        self,
        future: F,
    ) -> impl Future<Output = TaskHandle<T>> + use<'a, F, T>
    where
        F: Future<Output: TaskOutput<Value = T>> + Send + 'static,
        T: Send + 'static,
    {
        self.group
            .spawn_when_free_with(future, self.options, Location::caller())
    }

    /// Spawns the child and waits until it reports that it is ready. As [`TaskGroup::start`].
    ///
    /// # Errors
    /// As [`TaskGroup::start`].
    ///
    /// # Panics
    /// As [`TaskGroup::start`].
    ///
    /// # Cancel safety
    /// As [`TaskGroup::start`].
    ///
    /// # Drop
    /// As [`TaskGroup::start`].
    #[track_caller]
    pub fn start<V, T, S, F>(
        self,
        child: S,
    ) -> impl Future<Output = Result<(V, TaskHandle<T>), StartError>> + use<V, T, S, F>
    where
        S: FnOnce(Started<V>) -> F,
        F: Future<Output: TaskOutput<Value = T>> + Send + 'static,
        V: Send + 'static,
        T: Send + 'static,
    {
        start::start(self.group, self.options, Location::caller(), child)
    }

    /// Runs `work` on a thread for blocking work. As [`TaskGroup::spawn_blocking`].
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
