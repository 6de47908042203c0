//! How children end whose runtime is gone. Their futures are dropped and their groups are told.
//! Nothing is polled any more.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Runtime;
use crate::reason::{CancelReason, ReasonKind};
use crate::scope::task::{Allowed, SHIELDED, TaskRef};
use crate::scope::tree::{Dropping, Scope};
#[cfg(loom)]
use crate::sync::CellKey as _;
use crate::sync::thread_local;

thread_local! {
    /// Tasks that are to be dropped on this thread, one after the other, while one is being
    /// dropped.
    static QUEUE: Cell<Option<VecDeque<TaskRef>>> = const { Cell::new(None) };
}

/// The Tokio task that drove `task` is dropped. `is_running`: it has `RUNNING`.
pub(super) fn cut(task: TaskRef, is_running: bool) {
    tell_runtime_gone(&task);
    let taken = task.header().lose_driver();
    if is_running || taken {
        end(task);
    }
}

/// Tells the group of a child that the runtime is gone, so that it does not take what was cut off
/// for success (S46).
pub(super) fn tell_runtime_gone(task: &TaskRef) {
    let header = task.header();
    let owner = &header.owner;
    // An exploration drops its runtime in the middle of things, and reports by itself.
    let is_cleaning = header.has(SHIELDED) || header.holds() > 0;
    if is_cleaning && !owner.runtime().is_explored() {
        owner.runtime().cut.fetch_add(1, Ordering::Relaxed);
    }
    owner.set_cut();
    if owner.group().is_some() && !owner.is_cancelled() {
        let reason = CancelReason::of(ReasonKind::RuntimeGone, owner.location, None);
        owner.cancel(&reason, Dropping::Scheduled);
    }
}

/// Drops the future of a task of a dead runtime. The caller has `RUNNING`. Without recursion: what
/// ends because of it waits its turn.
pub(super) fn end(task: TaskRef) {
    let mut waiting = match QUEUE.try_with(Cell::take) {
        Ok(Some(mut queue)) => {
            queue.push_back(task);
            QUEUE.set(Some(queue));
            return;
        }
        Ok(None) => VecDeque::from([task]),
        // The thread ends.
        Err(_) => return task.drive(Allowed::Drop),
    };
    while let Some(task) = waiting.pop_front() {
        QUEUE.set(Some(VecDeque::new()));
        task.drive(Allowed::Drop);
        waiting.extend(QUEUE.take().into_iter().flatten());
    }
}

/// As [`end`], for tasks that were taken from a queue, or are new.
pub(super) fn end_queued(tasks: impl IntoIterator<Item = TaskRef>) {
    for task in tasks {
        tell_runtime_gone(&task);
        task.header().begin_dead();
        end(task);
    }
}

/// Drops the idle tasks of `owner` that no Tokio task drives. Those that run are dropped by their
/// own thread.
pub(super) fn end_idle(owner: &Arc<Scope>) {
    let (tasks, _) = owner.children();
    for task in tasks {
        tell_runtime_gone(&task);
        task.header().force();
        task.cancelled(Dropping::InPlace);
    }
}

impl Drop for Runtime {
    /// S46: cleanup that was cut off is not passed over in silence.
    fn drop(&mut self) {
        let cut = *self.cut.get_mut();
        if cut > 0 {
            crate::warning::cleanup_cut(cut);
        }
    }
}
