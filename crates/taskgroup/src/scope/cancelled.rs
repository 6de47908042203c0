//! The `Cancelled` that cancelled code gets, and the guard in it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::events;
use super::rarely::{Rarely, rare};
use super::tree::{self, Scope};
use crate::reason::CancelReason;

/// Tells that a scope was cancelled, and permits cleanup.
///
/// [`until_cancelled`](crate::until_cancelled) gives it when the current scope is cancelled, and
/// then it is a *guard*: while it lives, the task may await its cleanup, whatever the cancellation.
/// Returned as the task's error (`?` does that), it ends the task as cancelled, which is no
/// failure. Dropped, it re-arms the cancellation: at its next suspension point the task is dropped.
/// So a cancellation cannot be swallowed by accident.
///
/// The `Cancelled` that a handle gives for a cancelled *other* task guards nothing: returned from a
/// task that was not cancelled itself, it is an ordinary failure, because something was awaited
/// that did not come.
///
/// ```
/// use taskgroup::{TaskGroup, until_cancelled};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     let handle = group.spawn(async {
///         match until_cancelled(std::future::pending::<()>()).await {
///             Ok(()) => Ok(()),
///             Err(cancelled) => {
///                 // While `cancelled` lives, the task may await.
///                 tokio::task::yield_now().await;
///                 println!("saved, because {}", cancelled.reason());
///                 Err(cancelled) // ends the task as cancelled
///             }
///         }
///     });
///     tokio::task::yield_now().await;
///     handle.cancel();
///     assert!(handle.await.unwrap_err().is_cancelled());
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
///
/// # Drop
/// Re-arms the cancellation of its scope, if it was a guard.
#[must_use = "dropping it re-arms the cancellation: the task is dropped at its next suspension point"]
#[doc(alias = "CancelledError")]
pub struct Cancelled {
    reason: CancelReason,
    // Boxed: each child that has a value keeps room for one of these, which most often is none.
    guard: Option<Rarely<Guard>>,
}

/// Masks the scopes between the code that was told and the scope that was cancelled. So the task
/// may still clean up in each scope that the value passes on its way out. Only the innermost scope
/// is held. A hold goes outwards by itself, up to a section that is parked. There the cleanup
/// stands still, so it must not keep what is around it.
struct Guard(Vec<Arc<Scope>>);

rare!(Guard);

impl Guard {
    fn new(scope: &Arc<Scope>) -> Self {
        scope.hold();
        let mut masked = Vec::new();
        for above in tree::outward(scope) {
            above.mask();
            events::scope_cleaning(above);
            masked.push(above.clone());
            if above.is_origin() || above.is_task_root() {
                break;
            }
        }
        Self(masked)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.iter().for_each(Scope::unmask);
        // Last: what this frees is looked at again, and must not find a mask.
        if let Some(innermost) = self.0.first() {
            innermost.release();
        }
    }
}

impl Cancelled {
    /// One that guards nothing.
    pub(crate) fn plain(reason: CancelReason) -> Self {
        Self {
            reason,
            guard: None,
        }
    }

    /// A guard: `scope` and those around it up to what was cancelled are masked.
    pub(crate) fn guarding(scope: &Arc<Scope>, reason: CancelReason) -> Self {
        Self {
            reason,
            guard: Some(Rarely::new(Guard::new(scope))),
        }
    }

    /// Why.
    pub fn reason(&self) -> &CancelReason {
        &self.reason
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled")
            .field("reason", &self.reason)
            .field("guard", &self.guard.is_some())
            .finish()
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cancelled: {}", self.reason)
    }
}

impl Error for Cancelled {}
