//! The queue of light children, and when it needs one more pump (L1–L4).

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use crate::gate::StoredWaker;
use crate::sync::Mutex;

/// How many children a pump polls at most before other Tokio tasks get their turn.
pub(super) const QUOTA: usize = if cfg!(loom) { 2 } else { 32 };

/// The queue of a group with light children, behind a table: only the builder's `light_tasks` names
/// its type, so a program that never calls that does not contain the pumps.
pub(crate) trait LightQueue<S, T>: Send + Sync {
    /// Puts a task behind the others.
    fn push(&self, owner: &Arc<S>, task: T);

    /// The group has ended: so does its resident pump.
    fn close(&self);
}

/// The queue of one group.
pub(crate) struct Queue<T> {
    pub(super) inner: Mutex<QueueData<T>>,
    /// For the pumps.
    pub(super) own: Weak<Self>,
}

pub(super) struct QueueData<T> {
    pub(super) tasks: VecDeque<T>,
    /// L1
    pub(super) coming: usize,
    pub(super) resident: Resident,
    pub(super) is_dead: bool,
}

/// What the resident pump does.
#[derive(Default)]
pub(super) enum Resident {
    #[default]
    Unspawned,
    /// It runs, or is on its way.
    Up,
    Asleep(StoredWaker),
    /// Its group has ended.
    Closed,
}

/// How one more pump is made to come.
pub(super) enum PumpCall {
    NotNeeded,
    Wake(StoredWaker),
    Spawn { resident: bool },
}

impl<T> Queue<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            inner: Mutex::new(QueueData {
                tasks: VecDeque::new(),
                coming: 0,
                resident: Resident::default(),
                is_dead: false,
            }),
            own: own.clone(),
        })
    }
}

impl<T> QueueData<T> {
    /// Puts a task behind the others, or gives it back if the queue is dead (L5).
    pub(super) fn put(&mut self, task: T) -> Result<(), T> {
        if self.is_dead {
            return Err(task);
        }
        self.tasks.push_back(task);
        Ok(())
    }

    /// Whether one more pump is needed (L1–L4).
    pub(super) fn needs_pump(&self, has_workers: bool) -> bool {
        let at_once = if has_workers { 2 } else { 1 };
        let tasks = self.tasks.len();
        self.coming < tasks.min(at_once).max(tasks.div_ceil(QUOTA))
    }

    /// Has one more pump come if it is needed.
    pub(super) fn call(&mut self, has_workers: bool) -> PumpCall {
        if !self.needs_pump(has_workers) {
            return PumpCall::NotNeeded;
        }
        self.coming += 1;
        match std::mem::replace(&mut self.resident, Resident::Up) {
            Resident::Asleep(waker) => PumpCall::Wake(waker),
            Resident::Unspawned => PumpCall::Spawn { resident: true },
            Resident::Up => PumpCall::Spawn { resident: false },
            Resident::Closed => {
                self.resident = Resident::Closed;
                PumpCall::Spawn { resident: false }
            }
        }
    }
}
