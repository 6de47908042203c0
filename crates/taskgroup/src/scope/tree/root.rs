//! The process root: it adopts what futures outside any scope leave behind.

use std::panic::Location;
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::OnceLock;
use std::task::Waker;

#[cfg(not(loom))]
use tokio::sync::oneshot;

use super::{Kind, Scope};
#[cfg(not(loom))]
use crate::error::Member;
use crate::gate::{self, StoredWaker};
#[cfg(not(loom))]
use crate::scope::driver::Runtime;
use crate::scope::waiters::Key;
#[cfg(not(loom))]
use crate::warning;

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

    /// Something was left at the process root that only `drain` takes: deferred work or a failure.
    /// The runtime says so when it shuts down before that (S46).
    pub(super) fn watch_what_is_left(&self) {
        #[cfg(not(loom))]
        if let Some(runtime) = Runtime::entered() {
            let watched = self.rare(|rare| {
                rare.left.is_none().then(|| {
                    let (sender, receiver) = oneshot::channel();
                    rare.left = Some(sender);
                    Left(receiver)
                })
            });
            if let Some(mut left) = watched {
                runtime.spawn(async move {
                    let _ = (&mut left.0).await;
                });
            }
        }
    }

    /// What is left is about to be taken.
    pub(crate) fn stop_watching_what_is_left(&self) {
        let watch = self.rare(|rare| rare.left.take());
        drop(watch);
    }

    #[cfg(not(loom))]
    fn report_what_is_left(&self) {
        let (watch, deferred, failures, first) = self.rare(|rare| {
            let first = rare.errors.first().map(|member| match member {
                Member::Task(task) => task.clone(),
                Member::Group(group) => group.cause().clone(),
            });
            let failures = rare.errors.len() + rare.not_kept;
            (rare.left.take(), rare.deferred.len(), failures, first)
        });
        drop(watch);
        if deferred + failures > 0 {
            let first = first.map(|first| first.to_string());
            warning::not_drained(deferred, failures, first.as_deref());
        }
    }
}

/// Lives in a task of the runtime until what is left is taken.
#[cfg(not(loom))]
struct Left(oneshot::Receiver<()>);

#[cfg(not(loom))]
impl Drop for Left {
    fn drop(&mut self) {
        if let Err(oneshot::error::TryRecvError::Empty) = self.0.try_recv() {
            Scope::root().report_what_is_left();
        }
    }
}
