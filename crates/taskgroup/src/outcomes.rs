//! The outcomes of children as they come, while more are spawned.

use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{Stream, StreamExt};

use crate::combine::AsCompleted;
use crate::combine::as_completed::as_completed;
use crate::group::{ChildOptions, TaskGroup};
use crate::handle::{JoinError, TaskHandle};
use crate::scope::task::TaskOutput;

/// The outcomes of children of one type, in order of completion, while the group still spawns more;
/// made by [`TaskGroup::outcomes`].
///
/// Children enter by [`spawn`](Self::spawn), or by [`push`](Self::push) if they were spawned in
/// another way. [`next`](Self::next) gives the outcome of the next child that ends, with the number
/// under which the child came in. `Outcomes` is also a [`Stream`]. The stream ends when no child is
/// left, and goes on when another one is spawned after that.
///
/// A crawler, which learns from each page what to fetch next:
///
/// ```
/// use taskgroup::{BoxError, Policy, TaskGroup};
/// # async fn links(page: u32) -> Result<Vec<u32>, BoxError> {
/// #     if page == 5 { return Err("not found".into()) }
/// #     Ok((2 * page..=2 * page + 1).filter(|page| *page < 8).collect())
/// # }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
/// let (pages, errors) = TaskGroup::builder()
///     .policy(Policy::collect()) // one page that is gone ends nothing
///     .run_to_end(async |group| {
///         let mut pages = group.outcomes();
///         let mut fetched = 0;
///         pages.spawn(links(1));
///         while let Some((_number, outcome)) = pages.next().await {
///             let Ok(found) = outcome else { continue };
///             fetched += 1;
///             for page in found {
///                 pages.spawn(links(page));
///             }
///         }
///         Ok(fetched)
///     })
///     .await;
/// assert_eq!(pages, Some(6));
/// assert_eq!(errors.unwrap().len(), 1);
/// # Ok(()) }
/// ```
///
/// The group owns the children, as always: a failure is a failure of the group, and under the
/// default policy it cancels the code that awaits the next outcome. An outcome that is not taken
/// stays in memory until this value is dropped.
///
/// For handles that are all known beforehand, [`as_completed`] does the same.
///
/// # Drop
/// Drops the outcomes that have not been taken. The children go on, and the group waits for them.
///
/// The ideas are Tokio's `JoinSet::join_next` and Swift's `group.next()`.
#[must_use = "it gives outcomes only when `next` is called"]
#[doc(alias = "JoinSet")]
#[doc(alias = "join_next")]
pub struct Outcomes<T: 'static> {
    group: TaskGroup,
    running: AsCompleted<TaskHandle<T>>,
    /// How many children came in.
    count: usize,
}

impl TaskGroup {
    /// Gives the outcomes of children as they end, while more are spawned: see [`Outcomes`].
    ///
    /// ```
    /// use taskgroup::{BoxError, TaskGroup};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let sum = TaskGroup::run(async |group| {
    ///     let mut squares = group.outcomes();
    ///     for number in 1..=3 {
    ///         squares.spawn(async move { Ok::<_, BoxError>(number * number) });
    ///     }
    ///     let mut sum = 0;
    ///     while let Some((_, square)) = squares.next().await {
    ///         sum += square?;
    ///     }
    ///     Ok(sum)
    /// });
    /// assert_eq!(sum.await.unwrap(), 14);
    /// # }
    /// ```
    pub fn outcomes<T: Send + 'static>(&self) -> Outcomes<T> {
        Outcomes {
            group: self.clone(),
            running: as_completed([] as [TaskHandle<T>; 0]),
            count: 0,
        }
    }
}

impl<T: Send + 'static> Outcomes<T> {
    /// Spawns a child into the group, as [`TaskGroup::spawn`], and gives its number: 0 for the
    /// first one.
    ///
    /// # Panics
    /// As [`TaskGroup::spawn`].
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> usize
    where
        F: Future<Output: TaskOutput<Value = T>> + Send + 'static,
    {
        let location = Location::caller();
        let options = ChildOptions::default();
        let handle = self.group.spawn_with(future, options, location);
        self.push(handle)
    }

    /// Adds a child that was spawned in another way (by name, on a blocking thread, when there was
    /// a place), and gives its number.
    ///
    /// ```
    /// use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let run = TaskGroup::builder().limit(2).run(async |group| {
    ///     let mut lines = group.outcomes();
    ///     for number in 0..10 {
    ///         let line = group.task(format!("line {number}"));
    ///         lines.push(line.spawn_when_free(async { /* … */ }).await);
    ///     }
    ///     while lines.next().await.is_some() {}
    ///     Ok(())
    /// });
    /// # run.await.unwrap();
    /// # }
    /// ```
    pub fn push(&mut self, child: TaskHandle<T>) -> usize {
        let number = self.count;
        self.count += 1;
        self.running.push(number, child);
        number
    }
}

impl<T> Outcomes<T> {
    /// Waits for the next child that ends, and gives its outcome with its number. `None` when none
    /// is left.
    ///
    /// In a cancelled scope without a guard it suspends, and the code around it is dropped there.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future loses no outcome.
    pub async fn next(&mut self) -> Option<(usize, Result<T, JoinError>)> {
        self.running.next().await
    }

    /// The number of outcomes that are still to come.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.running.remaining()
    }
}

impl<T> Stream for Outcomes<T> {
    type Item = (usize, Result<T, JoinError>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.running.poll_next_unpin(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // More may be spawned.
        (self.remaining(), None)
    }
}

impl<T> fmt::Debug for Outcomes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes")
            .field("group", &self.group)
            .field("remaining", &self.remaining())
            .finish()
    }
}
