//! Work that is deferred to the end of a scope, and cleanups that were left to it.

use std::sync::Arc;

use super::flags::{Flags, RARE};
use super::{Deferred, Kind, Rare, Scope, ScopeData};
use crate::scope::rarely::Rarely;

impl Scope {
    pub(crate) fn defer(&self, future: Deferred) {
        self.rare(|rare| rare.deferred.push(future));
        if matches!(self.kind, Kind::Root) {
            self.watch_what_is_left();
        }
    }

    /// Defers `future` to the end of an orphan. Gives it back when that has ended.
    pub(crate) fn defer_to_orphan(self: &Arc<Self>, future: Deferred) -> Result<(), Deferred> {
        if self.enter_child().is_err() {
            return Err(future);
        }
        self.defer(future);
        self.leave();
        Ok(())
    }

    /// Has this scope run `deferred`, last in first out, and wait for it. A shielded task runs it,
    /// after what was left there before. Without a runtime it is dropped.
    pub(crate) fn adopt_cleanups(self: &Arc<Self>, deferred: Vec<Deferred>) {
        if let Some(first) = deferred.first() {
            (first.adopt)(self, deferred);
        }
    }

    pub(in crate::scope) fn has_deferred(&self) -> bool {
        if !self.has_rare() {
            return false;
        }
        let inner = self.inner.lock();
        inner
            .rare
            .as_ref()
            .is_some_and(|rare| !rare.deferred.is_empty())
    }

    pub(crate) fn take_deferred(&self) -> Vec<Deferred> {
        self.inner.lock().take_deferred()
    }

    /// As [`take_deferred`](Self::take_deferred), for the section, which waits for nothing below at
    /// the moment. Its waker goes too: the waker of a task keeps the task, and the task keeps this
    /// scope.
    pub(in crate::scope) fn stop_waiting(&self) -> Vec<Deferred> {
        let (deferred, waker) = {
            let mut inner = self.inner.lock();
            (inner.take_deferred(), inner.waker.take())
        };
        drop(waker);
        deferred
    }

    /// Queues cleanups. Returns whether a task has to be started that works through the queue.
    pub(in crate::scope) fn push_adopted(&self, cleanups: impl Iterator<Item = Deferred>) -> bool {
        self.rare(|rare| {
            rare.adopted.extend(cleanups);
            !std::mem::replace(&mut rare.adopting, true)
        })
    }

    /// The next cleanup. After the last one, the work on the queue has ended.
    pub(in crate::scope) fn pop_adopted(&self) -> Option<Deferred> {
        self.rare(|rare| {
            let next = rare.adopted.pop_front();
            rare.adopting = next.is_some();
            next
        })
    }

    /// Whether there may be adopted failures or deferred work. What leaves some does so before it
    /// gives its token back.
    pub(in crate::scope) fn has_rare(&self) -> bool {
        self.flags() & RARE != 0
    }

    pub(super) fn rare<R>(&self, change: impl FnOnce(&mut Rare) -> R) -> R {
        change(self.inner.lock().rare(&self.flags))
    }
}

impl ScopeData {
    /// `flags` are those of the same scope.
    pub(super) fn rare(&mut self, flags: &Flags) -> &mut Rare {
        self.rare.get_or_insert_with(|| {
            flags.set(RARE);
            Rarely::default()
        })
    }

    fn take_deferred(&mut self) -> Vec<Deferred> {
        match &mut self.rare {
            Some(rare) => std::mem::take(&mut rare.deferred),
            None => Vec::new(),
        }
    }
}
