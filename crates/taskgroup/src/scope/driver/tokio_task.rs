//! The default driver: each child is driven by a Tokio task of its own.
//!
//! So children have what Tokio gives its tasks: its fairness, its work stealing, `block_in_place`,
//! its metrics and its tools.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::dead;
use crate::gate;
use crate::scope::bell;
use crate::scope::task::{Driven, TaskRef};

/// Drives one child as a Tokio task.
pub(super) struct Drive {
    /// Until it has ended.
    task: Option<TaskRef>,
    /// The driver has `RUNNING`, between two polls as well: the child is new, or was woken while it
    /// was polled.
    is_running: bool,
}

impl Drive {
    /// A new task is `RUNNING`.
    pub(super) fn new(task: TaskRef) -> Self {
        Self {
            task: Some(task),
            is_running: true,
        }
    }
}

impl Future for Drive {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(task) = &self.task else {
            return Poll::Ready(());
        };
        if self.is_running {
            task.header().turn();
        } else if !task.header().begin_scheduled() {
            // A canceller has it, and wakes this driver when it has ended the task or gives it
            // back.
            return if task.header().is_done() {
                self.task = None;
                Poll::Ready(())
            } else {
                Poll::Pending
            };
        }
        let driven = task.drive_as(cx.waker());
        bell::end_turn();
        match driven {
            Driven::Ended => {
                self.task = None;
                return Poll::Ready(());
            }
            Driven::Idle => self.is_running = false,
            Driven::Again => {
                self.is_running = true;
                gate::wake_by_ref(cx.waker());
            }
        }
        Poll::Pending
    }
}

impl Drop for Drive {
    /// DR3: the runtime shuts down with the child alive.
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            if !task.header().is_done() {
                dead::cut(task, self.is_running);
            }
        }
    }
}
