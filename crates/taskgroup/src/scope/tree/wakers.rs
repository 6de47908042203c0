//! What a scope wakes: its section, and awaits that its cancellation has cut off.

use std::task::Waker;

use super::{Scope, ScopeData};
use crate::gate::{self, StoredWaker};

impl Scope {
    /// Remembers the waker of the section. The section stores it first and then reads the flags. A
    /// canceller does it the other way round.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let is_known = |inner: &ScopeData| {
            let known = inner.waker.as_ref();
            known.is_some_and(|known| known.will_wake(waker))
        };
        if !is_known(&self.inner.lock()) {
            let waker = gate::clone_waker(waker);
            let old = self.inner.lock().waker.replace(waker);
            drop(old);
        }
    }

    pub(crate) fn wake(&self) {
        let waker = self.take_waker(&mut self.inner.lock());
        if let Some(waker) = waker {
            self.call_taken(waker);
        }
    }

    /// Takes the waker of the section, to be called without the lock. The next poll stores one
    /// again, so this one can be used up. Until the call the section cannot answer (T13).
    pub(super) fn take_waker(&self, inner: &mut ScopeData) -> Option<StoredWaker> {
        let waker = inner.waker.take();
        if waker.is_some() {
            self.flags.add_caller();
        }
        waker
    }

    /// Calls what was taken.
    pub(super) fn call_taken(&self, waker: StoredWaker) {
        waker.wake();
        self.flags.remove_caller();
    }

    /// Has the awaits polled again that this scope has cut off, if any.
    pub(super) fn wake_stopped(&self) {
        if self.has_rare() {
            self.take_stopped().into_iter().for_each(StoredWaker::wake);
        }
    }

    /// The scope has ended. What it stopped is gone, and a waker may keep what keeps the scope.
    pub(super) fn forget_stopped(&self) {
        if self.has_rare() {
            drop(self.take_stopped());
        }
    }

    pub(super) fn take_stopped(&self) -> Vec<StoredWaker> {
        match &mut self.inner.lock().rare {
            Some(rare) => std::mem::take(&mut rare.stopped),
            None => Vec::new(),
        }
    }
}
