//! Bugs to be found: they show that a library with such a bug would not pass.

use std::task::Poll;

use taskgroup::TaskHandle;

use super::Flow;

/// A bug that is put between the programs and the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// The error of a task is dropped.
    LostError,
    /// A task does not notice that it is cancelled.
    SwallowedCancel,
    /// A task goes on after its group has ended.
    Orphan,
    /// A waiter for a task is not woken.
    LostWakeup,
    /// A deadline fires a millisecond late.
    LateDeadline,
    /// A bracket that is entered in a cancelled scope releases nothing.
    SkippedCleanup,
    /// Every other thing that is deferred is forgotten.
    SkippedDefer,
    /// A task is said to be ready before it is.
    EarlyStart,
    /// Where failures are to be collected, the first one cancels the others.
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

    /// A task with the bug in it.
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

    /// Waits as one does who forgets to leave a waker.
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
