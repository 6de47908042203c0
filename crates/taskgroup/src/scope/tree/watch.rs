//! Waiting, from anywhere, for an event in the life of a scope: its cancellation, its first
//! failure, its end.
//!
//! - **WT1** A watch registers and then looks. The other thread first makes true what the watch
//!   waits for, and then takes out and wakes all watchers. So one of the two threads sees the
//!   other. A watch that is woken by another event registers again.

use std::sync::Arc;
use std::task::{Poll, Waker};

#[cfg(feature = "runner")]
use super::ancestors;
use super::{Kind, Rare, Scope, ScopeData};
use crate::gate::{self, StoredWaker};
#[cfg(feature = "runner")]
use crate::scope::stop::Stop;
use crate::scope::waiters::Key;

/// A wait for an event in the life of a scope. One that is dropped is forgotten (S44).
pub(crate) struct Watch {
    scope: Arc<Scope>,
    key: Option<Key>,
}

impl Watch {
    pub(crate) fn new(scope: Arc<Scope>) -> Self {
        Self { scope, key: None }
    }

    /// Ready when `look` finds something. A poll follows whenever its answer may have changed.
    pub(crate) fn poll<T>(
        &mut self,
        waker: &Waker,
        look: impl Fn(&Arc<Scope>) -> Option<T>,
    ) -> Poll<T> {
        if let Some(found) = look(&self.scope) {
            return Poll::Ready(found);
        }
        self.scope.put_watcher(&mut self.key, waker);
        // WT1
        look(&self.scope).map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let gone = self.scope.rare(|rare| rare.watchers.remove(key));
            drop(gone);
        }
    }
}

impl Scope {
    /// Whether it has ended, with everything below.
    pub(crate) fn has_ended(&self) -> bool {
        match &self.kind {
            _ if self.is_closed_for_watchers() => true,
            // The scope may have been made after the task had ended (K5).
            Kind::Task(task) => task.upgrade().is_none(),
            _ => false,
        }
    }

    pub(crate) fn put_watcher(&self, key: &mut Option<Key>, waker: &Waker) {
        let is_known = |rare: &Rare| key.is_some_and(|own| rare.watchers.has(own, waker));
        if self.rare(|rare| is_known(rare)) {
            return;
        }
        let waker = gate::clone_waker(waker);
        let old = self.rare(|rare| rare.watchers.put(key, waker));
        drop(old);
    }

    /// The token that is cancelled with this scope, and whether this call made it. If so, the
    /// caller has to see to its cancellation.
    #[cfg(feature = "tokio-util")]
    pub(crate) fn token(&self) -> (tokio_util::sync::CancellationToken, bool) {
        self.rare(|rare| {
            let is_new = rare.token.is_none();
            (rare.token.get_or_insert_default().clone(), is_new)
        })
    }

    /// The request to stop of the run around. Outside a run there is none.
    #[cfg(feature = "runner")]
    pub(crate) fn stop_around(self: &Arc<Self>) -> Option<Arc<Stop>> {
        let run = ancestors(self).find(|above| matches!(above.kind, Kind::Run))?;
        run.rare(|rare| rare.stop.clone())
    }

    /// Sets the request to stop of a run.
    #[cfg(feature = "runner")]
    pub(crate) fn set_stop(&self, stop: Arc<Stop>) {
        let before = self.rare(|rare| rare.stop.replace(stop));
        drop(before);
    }

    /// Something has changed that may be waited for (WT1).
    pub(in crate::scope) fn wake_watchers(&self) {
        if self.has_rare() {
            let watchers = self.inner.lock().take_watchers();
            watchers.into_iter().for_each(StoredWaker::wake);
        }
    }
}

impl ScopeData {
    pub(super) fn take_watchers(&mut self) -> Vec<StoredWaker> {
        match &mut self.rare {
            Some(rare) => rare.watchers.take_all(),
            None => Vec::new(),
        }
    }
}
