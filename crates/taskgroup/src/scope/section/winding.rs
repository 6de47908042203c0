//! What a scope does after its code has ended: deferred work, then everything below (N2).

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::scope::tree::Scope;

/// Runs what was deferred, then waits for everything below, then closes the scope.
pub(in crate::scope) fn poll_winding(scope: &Arc<Scope>, cx: &mut Context<'_>) -> Poll<()> {
    let mut listens = false;
    loop {
        if scope.below() > 0 {
            // This also applies if nothing was below before the deferred work: parked sections that
            // it leaves behind are not waited for.
            scope.hand_on();
            if !listens {
                // A thread that gives a token back looks for these two after that. What ended
                // before is seen by the next look below.
                scope.set_waker(cx.waker());
                scope.start_draining();
                listens = true;
                continue;
            }
            if scope.only_background() {
                scope.end_background();
            }
            if scope.below() > 0 {
                return Poll::Pending;
            }
        }
        let deferred = scope.stop_waiting();
        listens = false;
        if !deferred.is_empty() {
            // Deferred work is a task of its own below the scope. It is driven even if this code is
            // dropped, and waited for like the rest.
            scope.adopt_cleanups(deferred);
        } else if scope.try_close() {
            return Poll::Ready(());
        }
    }
}
