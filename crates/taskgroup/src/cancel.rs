//! Cancellation as seen from inside a task: the reason, the guard, the ways to notice it.

use std::future::poll_fn;
use std::panic::Location;
use std::task::{Context, Poll};

use crate::gate;
pub use crate::reason::{CancelReason, ReasonKind};
pub use crate::scope::cancelled::Cancelled;
use crate::scope::current::{self, Lazy};
use crate::scope::section::{Ends, Section};

/// The first thing in each await of this crate: pending in a cancelled scope that holds no guard,
/// so that no loop over such awaits goes on there (S37). The owner of the code drops it after that
/// poll. What has suspended for another reason may still come back with what it has waited for, so
/// only the first poll asks.
///
/// # Panics
/// With a `CutOff`, in code that blocks on this await (decision 0018).
#[inline]
pub(crate) fn poll_cancel_point(cx: &Context<'_>) -> Poll<()> {
    if current::is_cancelled() {
        current::scope().poll_may_go_on(cx.waker())
    } else {
        Poll::Ready(())
    }
}

/// As [`poll_cancel_point`].
#[inline]
pub(crate) fn cancel_point() -> impl Future<Output = ()> {
    poll_fn(|cx| poll_cancel_point(cx))
}

/// Never resolves: the code around it was cancelled and there is nothing to return. That code is
/// dropped here.
///
/// # Panics
/// With a `CutOff`, in code that blocks on this await (decision 0018). A blocking closure is such
/// code from the start: nothing would ever drop it.
pub(crate) async fn cut_off<T>() -> T {
    poll_fn(|cx| {
        if poll_over(cx).is_ready() {
            gate::cut_off();
        }
        Poll::Pending
    })
    .await
}

/// As [`poll_cancel_point`], where the code around is about to be dropped. A guard changes nothing.
/// Ready where nothing drops that code.
pub(crate) fn poll_over(cx: &Context<'_>) -> Poll<()> {
    if std::thread::panicking() {
        // It cannot be dropped before the destructor that blocks on it has returned.
        return Poll::Ready(());
    }
    current::scope().poll_over(cx.waker())
}

/// As [`poll_cancel_point`], once the cancellation has been reported to the code.
fn poll_reported_point(cx: &Context<'_>) -> Poll<()> {
    if current::is_cancelled() && current::scope().was_reported() {
        poll_cancel_point(cx)
    } else {
        Poll::Ready(())
    }
}

/// Runs `future` until it is done or the current scope is cancelled.
///
/// When the scope is cancelled, `future` is dropped at its next suspension point. Once everything
/// that it had started has ended, `until_cancelled` resolves to `Err(Cancelled)`: a guard under
/// which the task may clean up. If `future` still produced a value, that value is returned instead.
///
/// Each cancellation is reported once. When its `Cancelled` has been dropped, the next
/// `until_cancelled` in the same scope suspends before it polls `future`, and the task is dropped
/// there.
///
/// ```
/// use taskgroup::{TaskGroup, until_cancelled};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let run = TaskGroup::run(async |group| {
///     let worker = group.spawn(async {
///         let work = std::future::pending::<()>();
///         let Err(cancelled) = until_cancelled(work).await else { return Ok(()) };
///         tokio::task::yield_now().await; // cleanup may await
///         Err(cancelled) // ends as cancelled
///     });
///     tokio::task::yield_now().await;
///     worker.cancel();
///     assert!(worker.await.is_err());
///     Ok(())
/// });
/// run.await.unwrap();
/// # }
/// ```
///
/// # Errors
/// [`Cancelled`] when the current scope was cancelled before `future` was done.
///
/// # Cancel safety
/// As `future`.
///
/// # Drop
/// Dropping it half-way drops `future`. What `future` had started is cancelled, and the enclosing
/// scope adopts it.
///
/// The idea is asyncio's `except CancelledError`, in which the `raise` can be forgotten.
#[track_caller]
pub fn until_cancelled<F: Future>(future: F) -> impl Future<Output = Result<F::Output, Cancelled>> {
    let location = Location::caller();
    async move {
        poll_fn(|cx| poll_reported_point(cx)).await;
        let section = Section::unopened(Lazy::Section, location, Ends::Any, future);
        let mut section = std::pin::pin!(section);
        if let Some(value) = section.as_mut().ended().await.value() {
            return Ok(value);
        }
        let scope = section.as_mut().scope();
        let parent = scope.and_then(|scope| scope.home()).cloned();
        let parent = parent.unwrap_or_else(current::scope);
        let reason = scope.and_then(|scope| scope.reason());
        let reason = reason.unwrap_or_else(|| CancelReason::dropped(parent.location));
        Err(Cancelled::guarding(&parent, reason))
    }
}

/// Lets cancellations, deadlines and other tasks take effect: in a cancelled scope the task is
/// dropped here.
///
/// Call it in loops that compute without awaiting anything. It suspends once, so that other tasks,
/// timers and I/O that are ready get a turn. A deadline around it that has passed takes effect
/// here. While a [`Cancelled`] of the scope is alive it only yields.
///
/// ```
/// use taskgroup::{TaskGroup, checkpoint};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     let counter = group.spawn(async {
///         loop {
///             checkpoint().await; // ends here when the task is cancelled
///         }
///     });
///     tokio::task::yield_now().await;
///     counter.cancel();
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
///
/// # Cancel safety
/// Cancel safe.
///
/// The ideas are Trio's `checkpoint` and asyncio's `sleep(0)`.
pub async fn checkpoint() {
    cancel_point().await;
    tokio::task::yield_now().await;
    // A cancellation that came during that turn ends the loop here, not after another round.
    cancel_point().await;
}

/// Whether the current scope is cancelled. Once true it stays true: a cancellation is a level, not
/// an edge.
///
/// Outside any scope it is false.
///
/// ```
/// use std::time::Duration;
/// use taskgroup::{is_cancelled, move_on_after, shield};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// assert!(!is_cancelled()); // outside any scope
/// move_on_after(Duration::from_secs(1), async {
///     shield(tokio::time::sleep(Duration::from_secs(2))).await;
///     assert!(is_cancelled()); // the deadline passed meanwhile
/// })
/// .await;
/// # }
/// ```
#[must_use]
pub fn is_cancelled() -> bool {
    current::is_cancelled()
}
