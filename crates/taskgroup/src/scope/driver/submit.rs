//! How a task gets to what polls it.

use std::sync::Arc;

use super::dead;
use super::tokio_task::Driver;
use crate::scope::group::GroupState;
use crate::scope::task::{TOKIO, TaskRef, Woken};
use crate::scope::tree::Scope;

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

impl TaskRef {
    /// Puts a new task where it will be run.
    pub(crate) fn submit(self) {
        let owner = self.header().owner.clone();
        self.submit_below(&owner);
    }

    /// As [`submit`](Self::submit), for a caller that has the owner at hand.
    #[inline]
    pub(crate) fn submit_below(self, owner: &Arc<Scope>) {
        if self.header().has(TOKIO) {
            owner.runtime().spawn_driver(Driver::of_child(self));
        } else {
            self.enqueue(owner);
        }
    }

    /// Does what a waker found to do.
    pub(in crate::scope) fn hand_over(self, woken: Woken) {
        match woken {
            Woken::Noticed => {}
            Woken::Driverless => {
                // The driver that is dropped and a waker may both want it.
                if self.header().begin_scheduled() {
                    dead::end(self);
                }
            }
            Woken::Submit if self.header().has(TOKIO) => self.header().wake_drive(),
            Woken::Submit => {
                let owner = self.header().owner.clone();
                self.enqueue(&owner);
            }
        }
    }

    /// Puts a task that no Tokio task drives into its queue. Another thread may run and free it at
    /// once, so the owner is the caller's.
    fn enqueue(self, owner: &Arc<Scope>) {
        #[cfg(any(feature = "testing", loom))]
        if let Some(explored) = owner.runtime().explored() {
            return explored.push(self);
        }
        match owner.group().and_then(GroupState::light) {
            Some(queue) => queue.push(owner, self),
            None => unreachable!("DR1: a child without a Tokio task has a queue"),
        }
    }
}
