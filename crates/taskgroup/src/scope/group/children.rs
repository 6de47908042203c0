//! How a group takes children in, and what the end of one means to it.

use std::sync::Arc;

use super::GroupState;
use super::view::Group;
use crate::progress::{Fate, Progress};
use crate::scope::task::{BACKGROUND, Header, LIMITED, SHIELDED, TaskRef};
use crate::scope::tree::{Refusal, Scope};
use crate::sync::Ordering;

impl Group<'_> {
    /// Takes everything that a child needs before it may start: a number and a token.
    #[inline(always)]
    pub(crate) fn admit(self, bits: usize) -> (u32, Result<(), Refusal>) {
        let (index, entered) = self.scope.enter_numbered();
        let plain = !self.scope.is_cancelled() && bits & BACKGROUND == 0;
        if entered.is_ok() && plain && self.scope.runtime_if_set().is_some() {
            return (index, entered);
        }
        let entered = entered.and_then(|()| self.admit_rare(bits));
        (index, entered)
    }

    /// The token has been taken.
    #[cold]
    fn admit_rare(self, bits: usize) -> Result<(), Refusal> {
        if self.scope.is_cancelled() {
            let reason = self.scope.reason();
            self.scope.leave();
            return Err(reason.map_or(Refusal::Closed, Refusal::Cancelled));
        }
        if self.scope.runtime_if_any().is_none() {
            // Nothing would give the token back after the panic.
            self.scope.leave();
            self.scope.runtime();
        }
        if bits & BACKGROUND != 0 {
            // SeqCst: T14: before the section, which is woken, counts the tokens.
            self.background.fetch_add(1, Ordering::SeqCst);
            // The section may have looked between the two counts and have seen an ordinary child.
            self.scope.wake();
        }
        Ok(())
    }

    /// Hands a child to its driver, or to the queue when the group is at its limit. `placed`: it
    /// has a place already.
    #[inline]
    pub(crate) fn start(self, task: TaskRef, placed: bool) {
        if self.asked.is_none() {
            return task.submit_below(self.scope);
        }
        self.start_asked(task, placed);
    }

    /// As [`start`](Self::start), in a group that counts its children or limits them.
    #[cold]
    fn start_asked(self, task: TaskRef, placed: bool) {
        self.count(task.header(), Progress::queued);
        let mut next = Some(task);
        if let Some(limiter) = self.limiter().filter(|_| !placed) {
            let limited = next.take_if(|task| task.header().has(LIMITED));
            next = next.or_else(|| limiter.start(self.scope, limited?));
        }
        if let Some(task) = next {
            self.count(task.header(), Progress::started);
            task.submit_below(self.scope);
        }
    }
}

impl GroupState {
    pub(super) fn submit(&self, task: TaskRef) {
        self.count(task.header(), Progress::started);
        task.submit();
    }

    /// Background children and cleanup are not part of the work that is counted.
    pub(super) fn count(&self, header: &Header, change: impl FnOnce(&Progress)) {
        if let Some(progress) = self.progress() {
            if !header.has(BACKGROUND | SHIELDED) {
                change(progress);
            }
        }
    }

    pub(crate) fn progress(&self) -> Option<&Progress> {
        self.asked(|asked| asked.progress.as_ref())
    }

    /// Whether nothing but the token matters at the end of a child.
    #[inline]
    fn is_plain(&self) -> bool {
        self.plain && self.background() == 0
    }

    #[cold]
    fn child_ended(&self, header: &Header, fate: Fate) {
        let owner = &header.owner;
        self.count(header, |progress| progress.ended(fate));
        if fate == Fate::Done && !header.has(BACKGROUND | SHIELDED) {
            Group::new(owner, self).succeeded(|| header.info());
        }
        if header.has(LIMITED) {
            self.stirs(header.index);
            self.place_free();
        }
        if header.has(BACKGROUND) {
            // SeqCst: T14, as each write of `background`.
            self.background.fetch_sub(1, Ordering::SeqCst);
        }
        owner.leave();
    }

    pub(in crate::scope) fn background(&self) -> usize {
        // SeqCst: T14: asked after a token was given back.
        self.background.load(Ordering::SeqCst) as usize
    }
}

impl Header {
    /// Whether the owner is a group, and nothing but the token matters to it at the end of this
    /// task.
    #[inline]
    fn is_plain_end(&self) -> bool {
        let group = self.owner.group();
        group.is_some_and(GroupState::is_plain) && !self.has(BACKGROUND | LIMITED)
    }

    /// The task has ended, with all it had to do. This is its last act, by which its group may end.
    pub(in crate::scope) fn tell_owner(&self, fate: Fate) {
        let owner = &self.owner;
        match owner.group() {
            Some(_) if self.is_plain_end() => owner.leave(),
            Some(group) => group.child_ended(self, fate),
            None => owner.leave(),
        }
    }
}

impl Scope {
    /// The next number of a child below this scope; 0 where children have none.
    pub(crate) fn next_index(self: &Arc<Self>) -> u32 {
        self.group().map_or(0, |_| self.next_number())
    }
}
