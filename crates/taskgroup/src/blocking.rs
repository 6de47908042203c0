//! Blocking work as a child of a group.
//!
//! - **B1** The closure holds a token of the scope inside its task until it has returned, so the task cannot end before it: neither by
//!   cancellation nor at the end of a grace.
//! - **B2** A closure that has not begun when the task is cancelled never runs. The task takes it back, but only at its next poll; a
//!   thread that gets to it first asks before it begins.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use crate::cancel::{CancelReason, Cancelled, until_cancelled};
use crate::error::BoxError;
use crate::scope::current;
use crate::scope::task::TaskOutput;
use crate::scope::tree::Scope;

/// What blocking work asks whether it should stop; given by [`TaskGroup::spawn_blocking`](crate::TaskGroup::spawn_blocking).
///
/// Clones ask the same task, so it can be handed to the threads of a pool.
#[derive(Clone)]
pub struct BlockingToken {
    scope: Arc<Scope>,
}

impl BlockingToken {
    /// Whether the task is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.scope.is_cancelled()
    }

    /// Why the task is cancelled, if it is.
    #[must_use]
    pub fn reason(&self) -> Option<CancelReason> {
        self.scope.reason()
    }

    /// For `token.check()?` in a loop: returned as the error of the closure it ends the task as cancelled.
    ///
    /// # Errors
    /// [`Cancelled`] when the task is.
    pub fn check(&self) -> Result<(), Cancelled> {
        if !self.is_cancelled() {
            return Ok(());
        }
        let reason = self.reason();
        let reason = reason.unwrap_or_else(|| CancelReason::dropped(&self.scope));
        Err(Cancelled::plain(reason))
    }
}

impl fmt::Debug for BlockingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingToken")
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}

/// B1: the token of the scope, given back when the closure is gone.
struct Stay(Option<Arc<Scope>>);

impl Stay {
    fn in_scope(scope: &Arc<Scope>) -> Self {
        Self(scope.enter_child().is_ok().then(|| scope.clone()))
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(scope) = &self.0 {
            scope.leave();
        }
    }
}

/// The child that waits for `work` on its thread.
pub(crate) async fn run<R>(
    work: impl FnOnce(BlockingToken) -> R + Send + 'static,
) -> Result<R::Value, BoxError>
where
    R: TaskOutput + Send + 'static,
{
    let scope = current::scope();
    let stay = Stay::in_scope(&scope);
    let mut thread = tokio::task::spawn_blocking(move || {
        let _stay = stay;
        let reached = scope.is_reached_by_cancel();
        (!reached).then(|| work(BlockingToken { scope }))
    });
    let (joined, cancelled) = match until_cancelled(&mut thread).await {
        Ok(joined) => (joined, None),
        Err(cancelled) => {
            // B2: this reaches only what has not begun.
            thread.abort();
            (thread.await, Some(cancelled))
        }
    };
    match (joined, cancelled) {
        (Ok(Some(output)), _) => output.into_result(),
        (Ok(None), Some(cancelled)) => Err(cancelled.into()),
        // The thread saw the cancel before this task was told.
        (Ok(None), None) => match until_cancelled(std::future::pending::<Infallible>()).await {
            Err(cancelled) => Err(cancelled.into()),
            Ok(never) => match never {},
        },
        (Err(error), _) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        (Err(_), Some(cancelled)) => Err(cancelled.into()),
        // The runtime goes down and takes its queue of blocking work with it.
        (Err(error), None) => Err(error.into()),
    }
}
