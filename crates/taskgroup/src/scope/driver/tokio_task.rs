//! The default driver: each child is driven by a Tokio task of its own.
//!
//! All that the engine spawns has one type, [`Driver`]. Tokio's code for a task is compiled for
//! each type, and for each of its schedulers.
//!
//! So children have what Tokio gives its tasks: its fairness, its work stealing, `block_in_place`,
//! its metrics and its tools.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Runtime, dead};
use crate::gate;
use crate::scope::bell;
use crate::scope::task::{Driven, TaskRef};

/// What the engine gives to Tokio.
pub(super) enum Driver {
    Child(Drive),
    /// What there are few of: pumps, the sleeper. Boxed twice, so that a child pays nothing for it.
    Other(Box<Pin<Box<dyn Future<Output = ()> + Send>>>),
}

impl Driver {
    /// A new task is `RUNNING`.
    pub(super) fn of_child(task: TaskRef) -> Self {
        Self::Child(Drive {
            task: Some(task),
            is_running: true,
        })
    }
}

impl Runtime {
    /// Spawns what is no child.
    pub(in crate::scope) fn spawn(&self, driver: impl Future<Output = ()> + Send + 'static) {
        self.spawn_driver(Driver::Other(Box::new(Box::pin(driver))));
    }

    /// Not generic, and not inlined into code of users: Tokio's part of it is compiled here.
    #[cfg(not(loom))]
    #[inline(never)]
    pub(super) fn spawn_driver(&self, driver: Driver) {
        self.handle.spawn(driver);
    }
}

impl Future for Driver {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.get_mut() {
            Self::Child(child) => child.poll(cx),
            Self::Other(other) => other.as_mut().as_mut().poll(cx),
        }
    }
}

/// Drives one child as a Tokio task.
pub(super) struct Drive {
    /// Until it has ended.
    task: Option<TaskRef>,
    /// The driver has `RUNNING`, between two polls as well: the child is new, or was woken while it
    /// was polled.
    is_running: bool,
}

impl Drive {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
