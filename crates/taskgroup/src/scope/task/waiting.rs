//! Waiting for the end of a task.

use std::task::Waker;

use super::header::Header;
use super::state::LIMITED;
use crate::scope::waiters::Key;

impl Header {
    /// Whether the task has ended. If not, `waker`, of the await that has the handle, is woken when
    /// it has.
    #[inline]
    pub(crate) fn poll_done(&self, waker: &Waker) -> bool {
        self.is_done() || {
            self.extra.wake_owner_at_end(waker);
            self.set_awaited()
        }
    }

    /// As [`poll_done`](Self::poll_done), for an await that has borrowed the handle. It gives its
    /// key back when it is dropped.
    pub(super) fn poll_done_by(&self, key: &mut Option<Key>, waker: &Waker) -> bool {
        self.is_done() || {
            self.extra.wake_at_end(key, waker);
            self.set_awaited()
        }
    }

    /// Returns whether the end came before the waker and the bit were there.
    fn set_awaited(&self) -> bool {
        let has_ended = self.state.await_end();
        if !has_ended && self.has(LIMITED) && self.is_new() {
            self.awaited_before_its_start();
        }
        has_ended
    }

    pub(super) fn forget_waiter(&self, key: Key) {
        self.extra.forget_waiter(key);
    }

    /// The handle is dropped, so nothing awaits it.
    #[inline]
    pub(crate) fn stop_awaiting(&self) {
        if self.state.is_awaited() {
            self.extra.forget_owner();
        }
    }
}

/// Waits for the end of a task whose handle is borrowed. Dropped, it is forgotten (S44).
pub(crate) struct WaitDone<'a> {
    header: &'a Header,
    key: Option<Key>,
}

impl<'a> WaitDone<'a> {
    pub(crate) fn new(header: &'a Header) -> Self {
        Self { header, key: None }
    }

    /// Whether the task has ended; if not, the waker is woken when it has.
    pub(crate) fn poll(&mut self, waker: &Waker) -> bool {
        self.header.poll_done_by(&mut self.key, waker)
    }
}

impl std::fmt::Debug for WaitDone<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WaitDone")
            .field("registered", &self.key.is_some())
            .finish_non_exhaustive()
    }
}

impl Drop for WaitDone<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.header.forget_waiter(key);
        }
    }
}
