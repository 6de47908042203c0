//! The bits of a scope: whether it is cancelled, what it waits for, where it is.

use crate::sync::{AtomicU32, Ordering};

/// Cancelled, by itself or from above.
pub(crate) const CANCELLED: u32 = 1;
/// The cancellation was asked of this very scope.
pub(crate) const OWN: u32 = 1 << 1;
/// The grace has ended: holds no longer count.
pub(crate) const FORCED: u32 = 1 << 2;
/// The section waits for what is below. The thread that gives the last token back wakes it.
pub(super) const DRAINING: u32 = 1 << 3;
/// The section was dropped half-way; the parent waits instead of it.
pub(super) const ORPHAN: u32 = 1 << 4;
/// A grace may end here or further up: children are linked before their first poll, so that one
/// that blocks in it can be named.
pub(crate) const NAMED: u32 = 1 << 5;
/// There may be something in `rare`. Set under the lock.
pub(super) const RARE: u32 = 1 << 6;
/// The cancellation was reported to code here: it got the [`Cancelled`](crate::Cancelled), of which
/// each cancellation has one.
pub(crate) const REPORTED: u32 = 1 << 8;
/// The section holds its home (T12).
pub(super) const HOLDING: u32 = 1 << 9;
/// The section is parked: what its code forbids it does not forbid its home (T12).
pub(super) const PARKED: u32 = 1 << 10;
/// A child was cut off by a cancellation from outside, or with its runtime: the group must not take
/// it for success (S40, S46).
pub(super) const CUT: u32 = 1 << 11;
/// The code of the scope has ended (T11).
pub(super) const OVER: u32 = 1 << 12;
/// The section was polled last by code that is not the code of its home (T15).
pub(super) const AWAY: u32 = 1 << 13;
/// One of the threads that have taken the waker of the section and not yet called it (T13). Each
/// but the first needs a poll of the section before it. 256 of them at once count as none, and
/// touch no other bit.
pub(super) const CALLER: u32 = 1 << 24;
/// How many there are, in units of `CALLER`.
pub(super) const CALLERS: u32 = 0xff << 24;

/// The bits of a scope, from `CANCELLED` to `AWAY`, and a count.
pub(super) struct Flags(AtomicU32);

impl Flags {
    pub(super) fn new(bits: u32) -> Self {
        Self(AtomicU32::new(bits))
    }

    /// SeqCst: T14: looks for `DRAINING` after a token was given back, and for `CANCELLED` after
    /// the last hold was taken off.
    #[inline]
    pub(super) fn now(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    /// Returns what was set before.
    ///
    /// SeqCst: T14: `DRAINING` before the tokens are counted, `CANCELLED` before the holds are.
    #[inline]
    pub(super) fn set(&self, bits: u32) -> u32 {
        self.0.fetch_or(bits, Ordering::SeqCst)
    }

    /// Returns what was set before.
    ///
    /// SeqCst: T14, as each write.
    #[inline]
    pub(super) fn clear(&self, bits: u32) -> u32 {
        self.0.fetch_and(!bits, Ordering::SeqCst)
    }

    /// Models do without the count: none asks a section that often, and each step adds
    /// interleavings.
    ///
    /// SeqCst: T14, as each write.
    pub(super) fn add_caller(&self) {
        if !cfg!(loom) {
            self.0.fetch_add(CALLER, Ordering::SeqCst);
        }
    }

    /// SeqCst: T14, as each write.
    pub(super) fn remove_caller(&self) {
        if !cfg!(loom) {
            self.0.fetch_sub(CALLER, Ordering::SeqCst);
        }
    }
}
