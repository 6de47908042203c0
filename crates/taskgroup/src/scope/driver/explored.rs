//! For `testing::explore` and the schedule models: all tasks of a runtime wait in one queue until
//! one is chosen.

use std::task::Waker;
#[cfg(feature = "testing")]
use std::{collections::VecDeque, sync::Arc};

use super::runtime::Explored;
use super::{Runtime, dead};
use crate::gate::{self, StoredWaker};
use crate::scope::task::TaskRef;
#[cfg(feature = "testing")]
use crate::scope::{task::TOKIO, tree::Scope};

impl Explored<TaskRef> {
    pub(super) fn push(&self, task: TaskRef) {
        let pushed = {
            let mut inner = self.inner.lock();
            if inner.is_dead {
                Err(task)
            } else {
                inner.ready.push_back(task);
                Ok(inner.resting.pop())
            }
        };
        match pushed {
            Ok(resting) => resting.into_iter().for_each(StoredWaker::wake),
            Err(task) => dead::end_queued([task]),
        }
    }
}

impl Runtime {
    /// Has all tasks of this runtime wait for a pump, which the caller spawns. Nothing has been
    /// spawned yet.
    pub(crate) fn explore(&self) {
        self.explored.get_or_init(Explored::default);
    }

    fn queue(&self) -> &Explored<TaskRef> {
        self.explored.get().expect("the runtime is explored")
    }

    /// The first that is ready.
    #[cfg(loom)]
    pub(crate) fn take_one(&self) -> Option<TaskRef> {
        self.queue().inner.lock().ready.pop_front()
    }

    /// The pump has nothing to do: it is woken by the next task, or by [`nudge`](Self::nudge).
    /// `false` when there is something to do after all.
    pub(crate) fn rest(&self, waker: &Waker) -> bool {
        let waker = gate::clone_waker(waker);
        let mut inner = self.queue().inner.lock();
        if !inner.ready.is_empty() {
            drop(inner);
            return false;
        }
        inner.resting.push(waker);
        true
    }
}

#[cfg(feature = "testing")]
impl Runtime {
    /// All that is ready, in the order in which it became so.
    pub(crate) fn take_ready(&self) -> VecDeque<TaskRef> {
        std::mem::take(&mut self.queue().inner.lock().ready)
    }

    /// Wakes the pump if it rests.
    pub(crate) fn nudge(&self) {
        let resting = self.queue().inner.lock().resting.pop();
        resting.into_iter().for_each(StoredWaker::wake);
    }

    /// The pump is polled: it does not rest.
    pub(crate) fn rouse(&self) {
        let resting = std::mem::take(&mut self.queue().inner.lock().resting);
        drop(resting);
    }

    /// DR3: the pump goes with its runtime, and this is what it had taken.
    pub(crate) fn go_down(self: &Arc<Self>, taken: Vec<TaskRef>) {
        let ready = {
            let mut inner = self.queue().inner.lock();
            inner.is_dead = true;
            std::mem::take(&mut inner.ready)
        };
        dead::end_queued(taken.into_iter().chain(ready));
        self.end_all_below(Scope::root());
    }

    /// Drops the idle tasks of this runtime wherever they stand in the tree.
    fn end_all_below(self: &Arc<Self>, root: &Arc<Scope>) {
        let mut queue = VecDeque::from([root.clone()]);
        while let Some(scope) = queue.pop_front() {
            let (tasks, scopes) = scope.children();
            queue.extend(scopes);
            let inside = tasks.iter().filter_map(|task| task.header().scope());
            queue.extend(inside.map(|inside| inside.clone()));
            let own = scope.runtime_if_set();
            if own.is_some_and(|own| Arc::ptr_eq(own, self))
                && tasks.iter().all(|task| !task.header().has(TOKIO))
            {
                dead::end_idle(&scope);
            }
        }
    }

    /// The Tokio tasks that are not the engine's.
    pub(crate) fn foreign_tasks(&self) -> usize {
        let own = 1 + usize::from(self.timers.has_sleeper());
        self.handle.metrics().num_alive_tasks().saturating_sub(own)
    }
}
