//! Children whose output is a plain value.

use std::convert::Infallible;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::group::{ChildOptions, TaskBuilder, TaskGroup};
use crate::handle::TaskHandle;

pin_project! {
    /// A future that cannot fail, with its output as a result.
    struct Plain<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Plain<F> {
    type Output = Result<F::Output, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx).map(Ok)
    }
}

impl TaskGroup {
    /// Spawns a child that cannot fail. Its output is the value of the handle, whatever it is.
    ///
    /// Otherwise as [`spawn`](Self::spawn), which takes `()` and `Result`. A `Result` that is
    /// spawned here is a value, too: its `Err` is no failure of the group.
    ///
    /// ```
    /// use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let run = TaskGroup::run(async |group| {
    ///     let answer = group.spawn_value(async { 41 });
    ///     Ok(answer.await? + 1)
    /// });
    /// assert_eq!(run.await.unwrap(), 42);
    /// # }
    /// ```
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    #[track_caller]
    pub fn spawn_value<F>(&self, future: F) -> TaskHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let location = Location::caller();
        self.spawn_with(Plain { future }, ChildOptions::default(), location)
    }
}

impl TaskBuilder<'_> {
    /// Spawns a child that cannot fail. As [`TaskGroup::spawn_value`].
    ///
    /// # Panics
    /// As [`TaskGroup::spawn`].
    #[track_caller]
    pub fn spawn_value<F>(self, future: F) -> TaskHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.spawn(Plain { future })
    }
}
