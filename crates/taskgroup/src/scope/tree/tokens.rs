//! The tokens of a scope: what is below it and has not ended (T1–T3).

use std::sync::Arc;

use super::flags::{DRAINING, RARE};
use super::{Refusal, Scope};
use crate::scope::group::GroupState;
use crate::sync::Ordering;

/// In `tokens`: one token. There are fewer than 2^31 of them.
pub(super) const TOKEN: u64 = 1;
/// In `tokens`: the scope is closed, and nothing may be added.
pub(super) const CLOSED: u64 = 1 << 31;
/// In `tokens`: one step of the number of the next child, which wraps.
pub(super) const NUMBER: u64 = 1 << 32;

/// The number of tokens in `tokens`.
pub(super) fn count(tokens: u64) -> usize {
    (tokens & (CLOSED - 1)) as usize
}

/// The number of a child, from the word as it was before.
pub(super) fn number(before: u64) -> u32 {
    (before >> 32) as u32
}

/// What giving a token back left to do.
enum Remaining {
    /// Nothing. Other tokens are left, or the section ends the scope.
    Others,
    /// The scope is closed, and the caller has to finish it.
    Nothing,
    /// Nothing is left below, but deferred work is.
    Deferred,
}

impl Scope {
    /// Adds tokens or numbers. Returns the word as it was.
    ///
    /// SeqCst: T14, as each write of `tokens`.
    #[inline]
    pub(super) fn add(&self, what: u64) -> u64 {
        self.tokens.fetch_add(what, Ordering::SeqCst)
    }

    /// Takes a token for something new below. `Err` when the scope is closed.
    pub(crate) fn enter_child(self: &Arc<Self>) -> Result<(), Refusal> {
        self.enter(TOKEN).map(drop).map_err(|_| Refusal::Closed)
    }

    /// Takes a token and a number for a child.
    #[inline]
    pub(in crate::scope) fn enter_numbered(self: &Arc<Self>) -> (u32, Result<(), Refusal>) {
        match self.enter(NUMBER + TOKEN) {
            Ok(before) => (number(before), Ok(())),
            Err(before) => (number(before), Err(Refusal::Closed)),
        }
    }

    /// The next number, for a child that has a token already.
    pub(in crate::scope) fn next_number(&self) -> u32 {
        number(self.add(NUMBER))
    }

    #[inline]
    fn enter(self: &Arc<Self>, what: u64) -> Result<u64, u64> {
        let before = self.add(what);
        if before & CLOSED != 0 {
            self.leave();
            return Err(before);
        }
        Ok(before)
    }

    /// Gives a token back. Ends this scope, and then those around it, if no section will (orphans).
    pub(crate) fn leave(self: &Arc<Self>) {
        if !self.give_back_and_defer() {
            return;
        }
        let mut scope = self.clone();
        while let Some(parent) = scope.finish().cloned() {
            if !parent.give_back_and_defer() {
                return;
            }
            scope = parent;
        }
    }

    /// As [`give_back`](Self::give_back), but an orphan that is quiet first has its deferred work
    /// done. Returns whether the caller has to finish the scope.
    fn give_back_and_defer(self: &Arc<Self>) -> bool {
        loop {
            match self.give_back() {
                Remaining::Others => return false,
                Remaining::Nothing => return true,
                Remaining::Deferred => {
                    // The token comes first, so that no thread finds the scope quiet and the work
                    // gone before it is handed over. A thread that has closed the scope meanwhile
                    // takes the work along (`finish`).
                    if self.add(TOKEN) & CLOSED == 0 {
                        self.adopt_cleanups(self.take_deferred());
                    }
                }
            }
        }
    }

    fn give_back(&self) -> Remaining {
        // SeqCst: T14: before it looks for `DRAINING` and for background children.
        let before = self.tokens.fetch_sub(TOKEN, Ordering::SeqCst);
        let left = count(before) - 1;
        if left == 0 {
            // It is an orphan: no other scope gives the token of its section back.
            if self.has_deferred() && !self.is_closed() {
                return Remaining::Deferred;
            }
            return if self.close_at(0) {
                Remaining::Nothing
            } else {
                Remaining::Others
            };
        }
        if self.flags() & DRAINING != 0 && left <= self.quiet() {
            self.wake();
        }
        Remaining::Others
    }

    /// T3: closes the scope if it is open and has exactly `left` tokens.
    fn close_at(&self, left: usize) -> bool {
        let close = |tokens| {
            let is_open = tokens & CLOSED == 0;
            (is_open && count(tokens) == left).then_some(tokens | CLOSED)
        };
        // SeqCst: T14, as each write of `tokens`.
        let closed = self
            .tokens
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, close);
        closed.is_ok()
    }

    /// The number of tokens at which nothing ordinary is left: the section's own and the background
    /// children's.
    fn quiet(&self) -> usize {
        1 + self.group().map_or(0, GroupState::background)
    }

    /// Tokens of others: tasks and scopes below that have not ended. There are none below a closed
    /// scope (T3): a spawn that is refused there takes a token for a moment, and nothing runs.
    pub(crate) fn below(&self) -> usize {
        // SeqCst: T14: counts after `DRAINING` was set.
        match self.tokens.load(Ordering::SeqCst) {
            tokens if tokens & CLOSED != 0 => 0,
            tokens => count(tokens).saturating_sub(1),
        }
    }

    /// Only background children are left.
    pub(crate) fn only_background(&self) -> bool {
        let group = self.group().map_or(0, GroupState::background);
        group > 0 && self.below() <= group
    }

    /// From here on, the thread that makes the scope quiet wakes its section.
    pub(crate) fn start_draining(&self) {
        // T14: before the section counts the tokens.
        self.flags.set(DRAINING);
    }

    /// Its own code has ended, and it waits for what is below.
    pub(crate) fn is_draining(&self) -> bool {
        self.flags() & DRAINING != 0
    }

    /// Closes a scope whose section never had to wait, if nothing was deferred and nothing is left
    /// below (T3).
    #[inline]
    pub(in crate::scope) fn try_close_at_once(&self) -> bool {
        self.flags() & (DRAINING | RARE) == 0 && self.below() == 0 && self.try_close()
    }

    /// Closes a scope below which nothing is left (T3).
    pub(crate) fn try_close(&self) -> bool {
        self.close_at(1)
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: T3, with the close: what was done below before that is visible.
        self.tokens.load(Ordering::Acquire) & CLOSED != 0
    }

    /// As [`is_closed`](Self::is_closed), for a watch that has registered.
    pub(super) fn is_closed_for_watchers(&self) -> bool {
        // SeqCst: T14: asks after `RARE` was set.
        self.tokens.load(Ordering::SeqCst) & CLOSED != 0
    }
}
