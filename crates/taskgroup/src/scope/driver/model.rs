//! What stands for Tokio in the schedule models: the threads of a model poll what a runtime has
//! spawned.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;

use super::Runtime;
use crate::sync::Mutex;

type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What would be Tokio tasks elsewhere, in spawn order.
#[derive(Default)]
pub(super) struct Spawned(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    drivers: VecDeque<Driver>,
    /// The thread that waits for the next one.
    waiting: Option<Waker>,
}

impl Runtime {
    /// `explored`: the children wait in one queue, for models of the task alone.
    pub(in crate::scope) fn of_model(explored: bool, has_workers: bool) -> Arc<Self> {
        static TOKIO: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
        let tokio = TOKIO.get_or_init(|| {
            let built = tokio::runtime::Builder::new_current_thread().build();
            built.expect("a runtime without I/O and clock")
        });
        let mut runtime = Self::new(tokio.handle());
        runtime.has_workers = has_workers;
        if explored {
            runtime.explore();
        }
        Arc::new(runtime)
    }

    pub(super) fn spawn_driver(&self, driver: super::tokio_task::Driver) {
        let waiting = {
            let mut inner = self.spawned.0.lock();
            inner.drivers.push_back(Box::pin(driver));
            inner.waiting.take()
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// What was spawned first and is polled by no thread yet; or else the waker is woken by the
    /// next spawn.
    pub(in crate::scope) fn take_spawned(&self, waker: &Waker) -> Option<Driver> {
        let mut inner = self.spawned.0.lock();
        let first = inner.drivers.pop_front();
        if first.is_none() {
            inner.waiting = Some(waker.clone());
        }
        first
    }

    /// What is a Tokio task elsewhere: the driver of the child that was spawned first and has none
    /// yet.
    pub(in crate::scope) fn drive(&self) -> Driver {
        let driver = self.take_spawned(Waker::noop());
        driver.expect("a child on a Tokio task")
    }
}
