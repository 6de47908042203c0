//! Sections that outer cancellations do not reach.

use std::panic::Location;

use crate::cancel::cut_off;
use crate::scope::current::Lazy;
use crate::scope::section::{Ended, Ends, Section};

/// Runs `future` to its end whatever happens to the scopes around it.
///
/// Scopes below do not see outer cancellations, and the task is not dropped while the shield is up: a cancellation waits and takes
/// effect at the first suspension point after it. Nothing goes on in the background, unlike under `asyncio.shield`: the task simply is
/// not cancelled until the critical section is over. A deadline *inside* the shield still works, and so does a failing group
/// there. Only the end of a group's grace breaks a shield.
///
/// ```
/// use taskgroup::{TaskGroup, shield};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # async fn save() { tokio::task::yield_now().await; }
/// TaskGroup::run(async |group| {
///     group.spawn(async {
///         shield(save()).await; // finished even if a sibling fails meanwhile
///     });
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
///
/// In a cancelled scope it is as ready as `future` is.
///
/// # Cancel safety
/// A cancellation of ours does not reach `future`. A foreign drop (by `tokio::select!`, say) drops it half-way like any future; to
/// protect against that as well, use [`bracket`](crate::bracket) or [`defer`](crate::defer).
///
/// Trio's `CancelScope(shield=True)`.
#[track_caller]
pub fn shield<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let location = Location::caller();
    async move {
        let section = Section::unopened(Lazy::Shield, location, Ends::Own, future);
        let mut section = std::pin::pin!(section);
        match std::future::poll_fn(|cx| section.as_mut().poll_ended(cx)).await {
            Ended::Value(value) => value,
            Ended::Panicked(caught) => caught.resume(),
            // Only the end of the grace comes here.
            Ended::Dropped => cut_off().await,
        }
    }
}
