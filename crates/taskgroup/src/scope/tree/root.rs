//! The process root: it adopts what futures outside any scope leave behind.

use std::panic::Location;
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::OnceLock;
use std::task::Waker;

use super::{Kind, Scope};
use crate::gate::{self, StoredWaker};
use crate::scope::waiters::Key;

impl Scope {
    /// The process root, which never ends.
    pub(crate) fn root() -> &'static Arc<Scope> {
        #[cfg(loom)]
        {
            loom::lazy_static! {
                static ref ROOT: Arc<Scope> = Arc::new(Scope::bare(Kind::Root, None, Location::caller()));
            }
            &ROOT
        }
        #[cfg(not(loom))]
        {
            static ROOT: OnceLock<Arc<Scope>> = OnceLock::new();
            ROOT.get_or_init(|| Arc::new(Self::bare(Kind::Root, None, Location::caller())))
        }
    }

    pub(crate) fn root_orphan_ended(&self) {
        let drains = self.rare(|rare| {
            rare.orphans -= 1;
            if rare.orphans == 0 {
                rare.drains.take_all()
            } else {
                Vec::new()
            }
        });
        drains.into_iter().for_each(StoredWaker::wake);
    }

    /// Whether no orphan is left at the process root; otherwise the waker is remembered, until
    /// [`stop_draining`](Self::stop_draining).
    pub(crate) fn poll_drained(&self, key: &mut Option<Key>, waker: &Waker) -> bool {
        let waker = gate::clone_waker(waker);
        let (drained, old) = self.rare(|rare| {
            if rare.orphans == 0 {
                (true, Some(waker))
            } else {
                (false, rare.drains.put(key, waker))
            }
        });
        drop(old);
        drained
    }

    pub(crate) fn stop_draining(&self, key: Key) {
        let gone = self.rare(|rare| rare.drains.remove(key));
        drop(gone);
    }
}
