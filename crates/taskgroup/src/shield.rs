//! Sections that outer cancellations do not reach.

use std::panic::Location;

use crate::cancel::cut_off;
use crate::scope::current::Lazy;
use crate::scope::section::{Ends, Section};

/// Runs `future` to its end, even when the scopes around it are cancelled.
///
/// Scopes inside the shield do not see cancellations from outside, and the task is not dropped
/// before `future` has ended. A cancellation waits and takes effect at the first suspension point
/// after the shield. A deadline or a failing group *inside* the shield works as usual. Only the end
/// of a group's grace breaks a shield.
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
/// In a cancelled scope it resolves as soon as `future` does.
///
/// # Cancel safety
/// The cancellation of a scope does not reach `future`. Code that drops the shield itself (such as
/// `tokio::select!`) drops `future` half-way, as with any future. [`bracket`](crate::bracket) and
/// [`defer`](crate::defer) protect against that as well.
///
/// # Drop
/// Drops `future`. What it had started is cancelled, and the enclosing scope adopts it.
///
/// The idea is Trio's `CancelScope(shield=True)`. Nothing goes on in the background, as it does
/// under `asyncio.shield`: the task is not cancelled until the critical section has ended.
#[track_caller]
pub fn shield<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let location = Location::caller();
    async move {
        let section = Section::unopened(Lazy::Shield, location, Ends::Own, future);
        let mut section = std::pin::pin!(section);
        match section.as_mut().ended().await.value() {
            Some(value) => value,
            // Only the end of a grace leads here.
            None => cut_off().await,
        }
    }
}
