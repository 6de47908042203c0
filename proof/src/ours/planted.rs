//! Planted bugs. They show that a library with such a bug would not pass.

use std::task::Poll;

use taskgroup::TaskHandle;

use super::Flow;

/// A bug between the programs and the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// The error of a task is dropped.
    LostError,
    /// A task ignores its cancellation.
    SwallowedCancel,
    /// A task continues after its group has ended.
    Orphan,
    /// A task that waits for another one is not woken.
    LostWakeup,
    /// A deadline fires a millisecond late.
    LateDeadline,
    /// A bracket that is entered in a cancelled scope does not release.
    SkippedCleanup,
    /// Every second deferred block is forgotten.
    SkippedDefer,
    /// A task counts as ready before it is.
    EarlyStart,
    /// The first failure cancels the other tasks, although failures are to be collected.
    ImpatientGroup,
}

impl Planted {
    /// Every bug.
    pub const ALL: [Self; 9] = [
        Self::LostError,
        Self::SwallowedCancel,
        Self::Orphan,
        Self::LostWakeup,
        Self::LateDeadline,
        Self::SkippedCleanup,
        Self::SkippedDefer,
        Self::EarlyStart,
        Self::ImpatientGroup,
    ];

    /// A task with the bug.
    pub(super) async fn spoil_task(self, run: impl Future<Output = Flow> + Send + 'static) -> Flow {
        match self {
            Self::LostError => run.await.or(Ok(())),
            Self::SwallowedCancel => taskgroup::shield(run).await,
            Self::Orphan => {
                tokio::spawn(run);
                Ok(())
            }
            Self::LostWakeup
            | Self::LateDeadline
            | Self::SkippedCleanup
            | Self::SkippedDefer
            | Self::EarlyStart
            | Self::ImpatientGroup => run.await,
        }
    }

    /// Waits, but does not store its waker.
    pub(super) async fn wait_without_waker(handle: &TaskHandle<()>) {
        std::future::poll_fn(|_| {
            if handle.is_finished() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}
