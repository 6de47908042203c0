//! Outputs in order of completion.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::stream::{Stream, StreamExt};
use pin_project_lite::pin_project;

use super::several::Several;
use crate::cancel::poll_cancel_point;

/// Gives the outputs of several futures in order of completion, each with its index.
///
/// It is meant for task handles: the tasks run whether or not the caller waits. Other futures run
/// inside the caller's task, and only while it waits for the [`next`](AsCompleted::next) output.
///
/// ```
/// use std::time::Duration;
/// use taskgroup::{BoxError, TaskGroup, as_completed};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), BoxError> {
/// TaskGroup::run(async |group| {
///     let tasks = [3, 1, 2].map(|seconds| {
///         group.spawn(async move {
///             tokio::time::sleep(Duration::from_secs(seconds)).await;
///             Ok::<_, BoxError>(seconds)
///         })
///     });
///     let mut order = Vec::new();
///     let mut outcomes = as_completed(tasks);
///     while let Some((index, outcome)) = outcomes.next().await {
///         order.push((index, outcome?));
///     }
///     assert_eq!(order, [(1, 1), (2, 2), (0, 3)]);
///     Ok(())
/// })
/// .await?;
/// # Ok(()) }
/// ```
///
/// The result is also a [`Stream`]. References to handles leave the values where they are.
///
/// # Panics
/// `next` panics when a future panics.
///
/// # Drop
/// Drops the futures. Tasks go on, and their group still owns them.
///
/// The idea is asyncio's `as_completed`. Its timeout is [`timeout`](crate::timeout) around one
/// `next`, or around the loop.
#[doc(alias = "FuturesUnordered")]
#[doc(alias = "merge")]
pub fn as_completed<I>(futures: I) -> AsCompleted<<I::Item as IntoFuture>::IntoFuture>
where
    I: IntoIterator<Item: IntoFuture>,
{
    let futures = futures.into_iter().map(IntoFuture::into_future);
    AsCompleted {
        running: Indexed::each(futures).collect(),
        waited: false,
    }
}

/// The outputs of several futures in order of completion; made by [`as_completed`].
///
/// ```
/// use std::time::Duration;
/// use taskgroup::as_completed;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let mut answers = as_completed([20, 10].map(|ms| async move {
///     tokio::time::sleep(Duration::from_millis(ms)).await;
///     ms
/// }));
/// assert_eq!(answers.next().await, Some((1, 10)));
/// assert_eq!(answers.next().await, Some((0, 20)));
/// assert_eq!(answers.next().await, None);
/// # }
/// ```
#[must_use = "it gives its outputs only when `next` is called"]
pub struct AsCompleted<F: Future> {
    running: Several<Indexed<F>>,
    /// It has suspended since the last output, so it may come back (S37).
    waited: bool,
}

impl<F: Future> AsCompleted<F> {
    /// Waits for the next output, and gives it with the index of its future. `None` when all
    /// outputs have been given.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future loses no output.
    pub async fn next(&mut self) -> Option<(usize, F::Output)> {
        self.waited = false;
        std::future::poll_fn(|cx| self.poll_next_unpin(cx)).await
    }

    /// Adds a future under a number.
    pub(crate) fn push(&mut self, index: usize, future: F) {
        self.running.push(Indexed { index, future });
    }

    /// The number of outputs that are still to come.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.running.len()
    }
}

impl<F: Future> Stream for AsCompleted<F> {
    type Item = (usize, F::Output);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.waited {
            ready!(poll_cancel_point(cx));
        }
        let polled = self.running.poll_next(cx);
        self.waited = polled.is_pending();
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.running.len(), Some(self.running.len()))
    }
}

impl<F: Future> fmt::Debug for AsCompleted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted")
            .field("remaining", &self.remaining())
            .finish()
    }
}

pin_project! {
    /// A future whose output comes with its place among others.
    pub(crate) struct Indexed<F> {
        index: usize,
        #[pin]
        future: F,
    }
}

impl<F> Indexed<F> {
    pub(crate) fn each(futures: impl IntoIterator<Item = F>) -> impl Iterator<Item = Self> {
        let indexed = futures.into_iter().enumerate();
        indexed.map(|(index, future)| Self { index, future })
    }
}

impl<F: Future> Future for Indexed<F> {
    type Output = (usize, F::Output);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.future.poll(cx).map(|output| (*this.index, output))
    }
}
