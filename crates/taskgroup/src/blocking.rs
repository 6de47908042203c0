//! Blocking work as a child of a group.
//!
//! - **BL1** The closure holds a token of the scope inside its task until it has returned, so the
//!   task cannot end before it: neither by cancellation nor at the end of a grace.
//! - **BL2** A closure that has not begun when the task is cancelled never runs. The task takes it
//!   back, but only at its next poll; a thread that gets to it first asks before it begins.
//! - **BL3** The captures of a closure are gone before its token is, also when it never runs.
//! - **BL4** The closure runs as the code of a scope of its own, below the task. So it sees what
//!   the task sees, and what it opens belongs below the task. Nothing can drop it. So a
//!   cancellation suspends no await in it (in a `block_on`) for good: the await goes on, or it
//!   unwinds if its work was cut off and there is nothing to return (G5).

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use crate::cancel::{CancelReason, Cancelled, until_cancelled};
use crate::error::{Began, BoxError, Failed, Fault, is_through};
use crate::gate;
use crate::scope::task::{TaskOutput, converted};
use crate::scope::tree::{Kind, Scope};
use crate::scope::{current, group, who};

/// Tells blocking work whether to stop; given by
/// [`TaskGroup::spawn_blocking`](crate::TaskGroup::spawn_blocking).
///
/// Clones belong to the same task, so the threads of a pool may each have one.
///
/// Let the token live until the closure returns. When it is dropped, the work counts as
/// [through](crate::ErrorGroup#what-the-cause-is) where that decides which of several failures is
/// the cause.
///
/// ```
/// use taskgroup::TaskGroup;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     let sum = group.spawn_blocking(|token| {
///         let mut sum = 0_u64;
///         for number in 0..100_000_u64 {
///             if number % 1_000 == 0 {
///                 token.check()?; // ends the closure when the group is cancelled
///             }
///             sum += number;
///         }
///         Ok::<_, taskgroup::Cancelled>(sum)
///     });
///     assert_eq!(sum.await?, 4_999_950_000);
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
pub struct BlockingToken {
    scope: Arc<Scope>,
    /// It is the one that the closure was given.
    own: bool,
}

impl BlockingToken {
    fn new(scope: Arc<Scope>) -> Self {
        Self { scope, own: true }
    }

    /// The number of its closure.
    fn closure(&self) -> usize {
        Arc::as_ptr(&self.scope).addr()
    }
}

impl Clone for BlockingToken {
    fn clone(&self) -> Self {
        Self {
            scope: self.scope.clone(),
            own: false,
        }
    }
}

impl Drop for BlockingToken {
    /// OR4: the arguments of a closure are dropped after its locals and before its captures.
    fn drop(&mut self) {
        if self.own {
            is_through(self.closure());
        }
    }
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

    /// For `token.check()?` in a loop: the error, returned from the closure, ends the task as
    /// cancelled.
    ///
    /// # Errors
    /// [`Cancelled`], when the task is cancelled.
    pub fn check(&self) -> Result<(), Cancelled> {
        if !self.is_cancelled() {
            return Ok(());
        }
        Err(Cancelled::plain(self.scope.reason_or_dropped()))
    }
}

impl fmt::Debug for BlockingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingToken")
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}

/// BL1, BL3: the scope of the closure, whose token it keeps in the task's scope until it is
/// dropped.
struct Stay(Arc<Scope>);

impl Drop for Stay {
    fn drop(&mut self) {
        // What was deferred in it runs now, and the task waits for that too.
        self.0.orphan();
    }
}

/// The closure before it has run.
struct Job<W> {
    // BL3: fields are dropped in this order.
    work: W,
    stay: Stay,
}

/// The outcome of the closure. There is none if the closure has not begun, or was cut off.
struct Returned<V> {
    outcome: Option<Result<V, Failed>>,
    stay: Stay,
}

impl<W> Job<W> {
    fn run<R>(self, token: BlockingToken) -> Returned<R::Value>
    where
        W: FnOnce(BlockingToken) -> R,
        R: TaskOutput,
    {
        let Self { work, stay } = self;
        let reached = stay.0.is_reached_by_cancel();
        let ambient = current::enter_blocking(&stay.0);
        let closure = token.closure();
        // S43: to others the closure is one long poll.
        let began = Began::now();
        let outcome = if reached {
            gate::drop_value(work).err().map(Err)
        } else {
            match gate::call(|| converted(work(token))) {
                // It was cancelled, and had nothing to return (G5).
                Err(payload) if gate::is_cut_off(&payload) => None,
                returned => Some(returned),
            }
        };
        drop(ambient);
        Returned {
            outcome: outcome.map(|returned| began.returned_by(closure, returned)),
            stay,
        }
    }
}

impl<V> Returned<V> {
    fn take(mut self) -> Option<Result<V, Failed>> {
        self.outcome.take()
    }
}

impl<V> Drop for Returned<V> {
    /// The task was dropped at the end of a grace, and the closure went on. Its failure still
    /// counts (S41).
    fn drop(&mut self) {
        let scope = &self.stay.0;
        let failed = match self.outcome.take() {
            None => return,
            Some(Ok(value)) => {
                let began = Began::now();
                let _ambient = current::enter_blocking(scope);
                match gate::drop_value(value) {
                    Ok(()) => return,
                    Err(payload) => Failed::new(Fault::Panic(payload), began),
                }
            }
            Some(Err(failed)) => failed,
        };
        group::adopt_failed(scope, who::info(scope), failed, Some(scope));
    }
}

/// The child that waits for `work` on its thread.
pub(crate) async fn run<R>(
    work: impl FnOnce(BlockingToken) -> R + Send + 'static,
) -> Result<R::Value, BoxError>
where
    R: TaskOutput<Value: Send + 'static> + Send + 'static,
{
    let scope = current::scope();
    let inside = Scope::open(Kind::Blocking, scope.clone(), scope.location);
    let job = Job {
        work,
        stay: Stay(inside),
    };
    let token = BlockingToken::new(scope);
    let mut thread = tokio::task::spawn_blocking(move || job.run(token));
    let (joined, cancelled) = match until_cancelled(&mut thread).await {
        Ok(joined) => (joined, None),
        Err(cancelled) => {
            // BL2: this reaches only what has not begun.
            thread.abort();
            (thread.await, Some(cancelled))
        }
    };
    match (joined.map(Returned::take), cancelled) {
        (Ok(Some(Ok(value))), _) => Ok(value),
        (Ok(Some(Err(failed))), _) => Err(failed.pass_on()),
        (Ok(None), Some(cancelled)) => Err(cancelled.into()),
        // The thread saw the cancellation before this task did.
        (Ok(None), None) => match until_cancelled(std::future::pending::<Infallible>()).await {
            Err(cancelled) => Err(cancelled.into()),
            Ok(never) => match never {},
        },
        // A capture of a closure that never ran.
        (Err(error), _) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        (Err(_), Some(cancelled)) => Err(cancelled.into()),
        // The runtime is shut down, and its queue of blocking work with it.
        (Err(error), None) => Err(error.into()),
    }
}
