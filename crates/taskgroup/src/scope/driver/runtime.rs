//! What the engine keeps for one Tokio runtime.

#[cfg(any(feature = "testing", loom))]
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::runtime::{Handle, RuntimeFlavor};

#[cfg(any(feature = "testing", loom))]
use crate::gate::StoredWaker;
#[cfg(any(feature = "testing", loom))]
use crate::scope::task::TaskRef;
use crate::scope::timer::Timers;
#[cfg(any(feature = "testing", loom))]
use crate::sync::Mutex;

/// The children of one Tokio runtime and what drives them.
pub(crate) struct Runtime {
    pub(super) handle: Handle,
    pub(super) timers: Arc<Timers>,
    /// Whether a second worker could take over from one that is blocked.
    pub(super) has_workers: bool,
    /// How many children were cleaning up when the runtime shut down.
    pub(super) cut: AtomicUsize,
    #[cfg(any(feature = "testing", loom))]
    pub(super) explored: std::sync::OnceLock<Explored<TaskRef>>,
    #[cfg(loom)]
    pub(super) spawned: super::model::Spawned,
}

impl Runtime {
    pub(super) fn new(handle: &Handle) -> Self {
        Self {
            handle: handle.clone(),
            timers: Arc::default(),
            has_workers: handle.runtime_flavor() != RuntimeFlavor::CurrentThread,
            cut: AtomicUsize::new(0),
            #[cfg(any(feature = "testing", loom))]
            explored: std::sync::OnceLock::new(),
            #[cfg(loom)]
            spawned: super::model::Spawned::default(),
        }
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn timers(&self) -> &Arc<Timers> {
        &self.timers
    }

    /// The queue of all tasks of this runtime, while it is explored.
    #[cfg(any(feature = "testing", loom))]
    pub(in crate::scope) fn explored(&self) -> Option<&Explored<TaskRef>> {
        self.explored.get()
    }

    pub(in crate::scope) fn is_explored(&self) -> bool {
        #[cfg(any(feature = "testing", loom))]
        return self.explored().is_some();
        #[cfg(not(any(feature = "testing", loom)))]
        false
    }
}

/// The queue of a runtime that is explored.
#[cfg(any(feature = "testing", loom))]
pub(crate) struct Explored<T> {
    pub(super) inner: Mutex<Ready<T>>,
}

#[cfg(any(feature = "testing", loom))]
pub(super) struct Ready<T> {
    pub(super) ready: VecDeque<T>,
    /// The pumps that found nothing to do.
    pub(super) resting: Vec<StoredWaker>,
    pub(super) is_dead: bool,
}

#[cfg(any(feature = "testing", loom))]
impl<T> Default for Explored<T> {
    fn default() -> Self {
        let ready = Ready {
            ready: VecDeque::new(),
            resting: Vec::new(),
            is_dead: false,
        };
        Self {
            inner: Mutex::new(ready),
        }
    }
}
