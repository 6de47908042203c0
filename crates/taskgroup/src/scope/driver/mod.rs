//! How children are driven: the seam between the tree and Tokio.
//!
//! The tree uses three things of a driver: [`submit`] puts a new task where it will be run, [`hand_over`] one that was woken, and
//! [`Runtime::current`] finds the driver of the current runtime. A driver uses of a task that it can be [`run`](TaskRef::run).
//!
//! | file | what it answers |
//! |---|---|
//! | `tokio_task` | the default: each child is driven by a Tokio task of its own |
//! | `light` | an option of a group: short-lived Tokio tasks poll its children from a queue |
//! | `explored` | for `testing::explore`: all children of a runtime wait in one queue until they are chosen |
//! | `dead` | how children end whose runtime is gone |
//! | `model` | what stands for Tokio in the schedule models |
//!
//! Invariants:
//!
//! - **DR1** A task is in at most one queue: it is submitted when it is new, and by the thread that
//!   set `SCHEDULED` on an idle one.
//! - **DR2** No lost wake-up: a queue changes under one lock, together with the count of the pumps
//!   that are on their way to it.
//! - **DR3** When a runtime shuts down, Tokio drops each driver. A dropped driver drops the
//!   children that it drove, and marks its queue or its task as dead, so that what is handed over
//!   later is dropped by the thread that hands it over.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};

use tokio::runtime::{Handle, Id, RuntimeFlavor};

use super::current;
use super::group::GroupState;
use super::state::Woken;
use super::task::{TOKIO, TaskRef};
use super::timer::Timers;
use super::tree::Scope;
use crate::sync::Mutex;

mod dead;
#[cfg(any(feature = "testing", loom))]
pub(crate) mod explored;
pub(crate) mod light;
#[cfg(loom)]
mod model;
mod tokio_task;

use tokio_task::Drive;

/// The children of one Tokio runtime and what drives them.
pub(crate) struct Runtime {
    handle: Handle,
    timers: Arc<Timers>,
    /// Whether a second worker could take over from one that is blocked.
    has_workers: bool,
    /// How many children were cleaning up when the runtime shut down.
    cut: AtomicUsize,
    #[cfg(any(feature = "testing", loom))]
    explored: std::sync::OnceLock<explored::Explored>,
    #[cfg(loom)]
    spawned: model::Spawned,
}

/// All runtimes that were looked up and are alive.
static ALL: std::sync::OnceLock<Mutex<HashMap<Id, Weak<Runtime>>>> = std::sync::OnceLock::new();

impl Runtime {
    /// The runtime that polls the current task, also where its code has entered another one; outside any task that of Tokio.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub(crate) fn current() -> Arc<Self> {
        Self::of_task().unwrap_or_else(|| Self::of(&Handle::current()))
    }

    /// The runtime whose context this thread has entered, whichever polls the current task.
    pub(super) fn entered() -> Option<Arc<Self>> {
        Handle::try_current().ok().map(|handle| Self::of(&handle))
    }

    /// Whether this is the current runtime.
    pub(super) fn is_current(id: Id) -> bool {
        match Self::of_task() {
            Some(runtime) => runtime.handle.id() == id,
            None => Handle::try_current().is_ok_and(|handle| handle.id() == id),
        }
    }

    pub(crate) fn try_current() -> Option<Arc<Self>> {
        Self::of_task().or_else(Self::entered)
    }

    fn of_task() -> Option<Arc<Self>> {
        let task = current::task()?;
        task.header().owner.runtime_if_set().cloned()
    }

    fn of(handle: &Handle) -> Arc<Self> {
        let id = handle.id();
        let mut all = ALL.get_or_init(Mutex::default).lock();
        if let Some(known) = all.get(&id).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, runtime| runtime.strong_count() > 0);
        let runtime = Arc::new(Self::new(handle));
        all.insert(id, Arc::downgrade(&runtime));
        runtime
    }

    fn new(handle: &Handle) -> Self {
        Self {
            handle: handle.clone(),
            timers: Arc::default(),
            has_workers: handle.runtime_flavor() != RuntimeFlavor::CurrentThread,
            cut: AtomicUsize::new(0),
            #[cfg(any(feature = "testing", loom))]
            explored: std::sync::OnceLock::new(),
            #[cfg(loom)]
            spawned: model::Spawned::default(),
        }
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn timers(&self) -> &Arc<Timers> {
        &self.timers
    }

    #[cfg(not(loom))]
    fn spawn(&self, driver: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(driver);
    }

    /// The queue of all tasks of this runtime, while it is explored.
    #[cfg(any(feature = "testing", loom))]
    pub(super) fn explored(&self) -> Option<&explored::Explored> {
        self.explored.get()
    }

    pub(super) fn is_explored(&self) -> bool {
        #[cfg(any(feature = "testing", loom))]
        return self.explored().is_some();
        #[cfg(not(any(feature = "testing", loom)))]
        false
    }
}

/// The settings of a new child below `owner` that say what drives it.
#[inline]
pub(crate) fn settings(owner: &Arc<Scope>) -> usize {
    let is_queued = owner.group().is_some_and(|group| group.light().is_some());
    if is_queued || owner.runtime().is_explored() {
        0
    } else {
        TOKIO
    }
}

/// Puts a new task where it will be run.
#[inline]
pub(crate) fn submit(task: TaskRef) {
    if task.header().has(TOKIO) {
        let runtime = task.header().owner.runtime().clone();
        runtime.spawn(Drive::new(task));
    } else {
        enqueue(task);
    }
}

/// Does what a waker found to do.
pub(super) fn hand_over(task: TaskRef, woken: Woken) {
    match woken {
        Woken::Noticed => {}
        Woken::Driverless => {
            // The driver that is dropped and a waker may both want it.
            if task.header().begin_scheduled() {
                dead::end(task);
            }
        }
        Woken::Submit if task.header().has(TOKIO) => task.header().wake_drive(),
        Woken::Submit => enqueue(task),
    }
}

/// Puts a task that no Tokio task drives into its queue.
fn enqueue(task: TaskRef) {
    let owner = task.header().owner.clone();
    #[cfg(any(feature = "testing", loom))]
    if let Some(explored) = owner.runtime().explored() {
        return explored.push(task);
    }
    match owner.group().and_then(GroupState::light) {
        Some(queue) => queue.push(&owner, task),
        None => unreachable!("DR1: a child without a Tokio task has a queue"),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    // A runtime of Tokio has one `Runtime`, whichever thread asks, and is forgotten when it is gone.
    #[test]
    fn a_runtime_is_known_once() {
        let tokio = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.build().unwrap()
        };
        let is_known = |id| ALL.get().unwrap().lock().contains_key(&id);
        let (one, two) = (tokio(), tokio());
        let (id, gone) = (one.handle().id(), two.handle().id());
        let first = Runtime::of(one.handle());
        let second = Runtime::of(two.handle());
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&first, &Runtime::of(one.handle())));
        assert!(Arc::ptr_eq(&first, &Runtime::of(one.handle())));
        drop((second, two));
        let third = tokio();
        drop(Runtime::of(third.handle()));
        assert!(is_known(id) && !is_known(gone));
    }
}
