//! Waits for some of several tasks, without touching them.

use std::collections::HashSet;
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::cancel::cancel_point;
use crate::deadline::move_on_after;
use crate::handle::{JoinError, TaskHandle};

/// What [`wait`] waits for.
///
/// ```
/// use taskgroup::combine::Until;
/// use taskgroup::{TaskGroup, wait};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     let quick = group.spawn(async { Ok::<_, &str>(1) });
///     let slow = group
///         .task("slow")
///         .background()
///         .spawn(std::future::pending::<Result<_, &str>>());
///     let handles = [quick, slow];
///     let waited = wait(&handles, Until::FirstCompleted).await;
///     assert_eq!(waited.done[0].index(), handles[0].index());
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Until {
    /// One task has ended, whatever its outcome.
    FirstCompleted,
    /// One task has failed, or all have ended. A cancelled task has not failed.
    FirstFailure,
    /// All tasks have ended.
    All,
}

/// The tasks that [`wait`] was given, each in one of two lists, in argument order.
///
/// ```
/// use std::time::Duration;
/// use taskgroup::combine::Until;
/// use taskgroup::{TaskGroup, wait_timeout};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// TaskGroup::run(async |group| {
///     let handles = [1, 10].map(|seconds| {
///         group.spawn(async move {
///             tokio::time::sleep(Duration::from_secs(seconds)).await
///         })
///     });
///     let waited =
///         wait_timeout(Duration::from_secs(5), &handles, Until::All).await;
///     assert_eq!((waited.done.len(), waited.pending.len()), (1, 1));
///     for late in waited.pending {
///         late.cancel();
///     }
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Waited<'a, T> {
    /// The tasks that have ended. There may be more than the wait was for.
    pub done: Vec<&'a TaskHandle<T>>,
    /// The tasks that have not ended. They go on.
    pub pending: Vec<&'a TaskHandle<T>>,
}

/// Waits until some or all of several tasks have ended, and gives those that have and those that
/// have not.
///
/// It only looks: it cancels nothing, takes no value and handles no failure. Read a value with
/// [`TaskHandle::outcome`], and end a task with [`TaskHandle::cancel`]. A handle that is given
/// twice counts once. Without handles it resolves at once.
///
/// ```
/// use taskgroup::combine::Until;
/// use taskgroup::{BoxError, TaskGroup, wait};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     let tasks = [
///         group.spawn(async { Ok::<_, BoxError>(1) }),
///         group.spawn(std::future::pending::<Result<i32, BoxError>>()),
///     ];
///     let waited = wait(&tasks, Until::FirstCompleted).await;
///     assert_eq!(*waited.done[0].outcome().unwrap().unwrap(), 1);
///     waited.pending.iter().for_each(|task| task.cancel());
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
///
/// # Cancel safety
/// Cancel safe: the tasks go on.
///
/// The idea is asyncio's `wait`, with `FIRST_COMPLETED`, `FIRST_EXCEPTION` and `ALL_COMPLETED`.
#[doc(alias = "FIRST_COMPLETED")]
#[doc(alias = "FIRST_EXCEPTION")]
#[doc(alias = "ALL_COMPLETED")]
pub async fn wait<'a, T: 'a>(
    tasks: impl IntoIterator<Item = &'a TaskHandle<T>>,
    until: Until,
) -> Waited<'a, T> {
    let tasks = distinct(tasks);
    cancel_point().await;
    watch(&tasks, until).await;
    part(tasks)
}

/// As [`wait`], for at most `limit`. After that time it gives what has ended by then, and cancels
/// nothing.
///
/// ```
/// use std::time::Duration;
/// use taskgroup::combine::Until;
/// use taskgroup::{TaskGroup, wait_timeout};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// TaskGroup::run(async |group| {
///     let tasks = [1, 60].map(|seconds| {
///         group.spawn(tokio::time::sleep(Duration::from_secs(seconds)))
///     });
///     let waited = wait_timeout(Duration::from_secs(5), &tasks, Until::All).await;
///     assert_eq!((waited.done.len(), waited.pending.len()), (1, 1));
///     Ok(())
/// })
/// .await
/// .unwrap(); // after a minute
/// # }
/// ```
///
/// # Cancel safety
/// Cancel safe: the tasks go on.
pub async fn wait_timeout<'a, T: 'a>(
    limit: Duration,
    tasks: impl IntoIterator<Item = &'a TaskHandle<T>>,
    until: Until,
) -> Waited<'a, T> {
    let tasks = distinct(tasks);
    cancel_point().await;
    let _ = move_on_after(limit, watch(&tasks, until)).await;
    part(tasks)
}

fn distinct<'a, T>(tasks: impl IntoIterator<Item = &'a TaskHandle<T>>) -> Vec<&'a TaskHandle<T>> {
    let mut known = HashSet::new();
    let tasks = tasks.into_iter();
    tasks
        .filter(|task| known.insert(std::ptr::from_ref::<TaskHandle<T>>(task).addr()))
        .collect()
}

async fn watch<T>(tasks: &[&TaskHandle<T>], until: Until) {
    match until {
        Until::FirstCompleted => first_completed(tasks).await,
        Until::FirstFailure => first_failure(tasks).await,
        Until::All => {
            for task in tasks {
                task.ended().await;
            }
        }
    }
}

/// A loop over `wait` mostly finds that one task has already ended. Then this costs one look at
/// each.
async fn first_completed<T>(tasks: &[&TaskHandle<T>]) {
    if tasks.is_empty() || tasks.iter().any(|task| task.is_finished()) {
        return;
    }
    let mut waits: Vec<_> = tasks.iter().map(|task| task.wait_done()).collect();
    std::future::poll_fn(|cx| {
        if waits.iter_mut().any(|wait| wait.poll(cx.waker())) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

async fn first_failure<T>(tasks: &[&TaskHandle<T>]) {
    let has_failed =
        |task: &TaskHandle<T>| matches!(task.outcome(), Some(Err(JoinError::Failed(_))));
    if tasks.iter().any(|task| has_failed(task)) {
        return;
    }
    let running = tasks.iter().filter(|task| !task.is_finished());
    let mut running: FuturesUnordered<_> = running
        .map(|task| async move {
            task.ended().await;
            has_failed(task)
        })
        .collect();
    while let Some(failed) = running.next().await {
        if failed {
            return;
        }
    }
}

fn part<T>(tasks: Vec<&TaskHandle<T>>) -> Waited<'_, T> {
    let (done, pending) = tasks.into_iter().partition(|task| task.is_finished());
    Waited { done, pending }
}
