//! Light children: a group that asks for it has its children polled from a queue by a few Tokio
//! tasks, the *pumps*, instead of giving each child a Tokio task. That pays for wide groups of
//! small children.
//!
//! The queue is one list behind one lock. In a turn a pump polls up to [`QUOTA`] children and
//! begins no further one after a [`SLICE`] of time. Then it lets other Tokio tasks have a turn. The
//! first pump of a group is resident: it sleeps while the queue is empty, and ends with the group.
//! More pumps are spawned while the queue holds more than the pumps on their way can do in one turn
//! each. They end when they are not needed.
//!
//! - **L1** `coming` counts the pumps that were spawned or woken and have not begun. While there is
//!   a task in the queue, `coming` is not 0 or a pump is inside its turn and looks at the queue
//!   before it ends that. Both change under the lock, so no task is overlooked (DR2).
//! - **L2** A pump that begins its turn and leaves tasks in the queue sees to it that another one
//!   comes. So a child that blocks its thread, by `block_in_place` or by computing, holds up no
//!   sibling for which Tokio has another worker (S38).
//! - **L3** On a runtime with several workers two pumps come at once if there are two tasks: Tokio
//!   keeps the task that was woken last for the worker that woke it, and another worker can take
//!   only the others.
//! - **L4** For each [`QUOTA`] tasks in the queue a pump is on its way. So all that wait in it have
//!   a turn while each other Tokio task has one, as they would have as Tokio tasks of their own
//!   (S38). With fewer pumps a child that spawns more than a quota of children in its turn, into
//!   another group say, would let them wait longer and longer.
//! - **L5** The first pump to be dropped before its end marks the queue as dead. A dead queue takes
//!   no task (DR3).

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::queue::{LightQueue, PumpCall, QUOTA, Queue, Resident};
use super::{Runtime, dead};
use crate::gate;
use crate::scope::bell;
use crate::scope::task::TaskRef;
use crate::scope::tree::Scope;

/// How long a turn may take before it begins no further child. A worker checks timers and I/O only
/// after 61 polls of Tokio tasks. Long turns would delay both.
///
/// A model has no clock: what it does must depend on its schedule alone.
const SLICE: Duration = if cfg!(loom) {
    Duration::MAX
} else {
    Duration::from_micros(10)
};

pub(crate) fn light_queue() -> Arc<dyn LightQueue<Scope, TaskRef>> {
    Queue::<TaskRef>::new()
}

impl LightQueue<Scope, TaskRef> for Queue<TaskRef> {
    fn push(&self, owner: &Arc<Scope>, task: TaskRef) {
        let runtime = owner.runtime();
        let refused = {
            let mut inner = self.inner.lock();
            inner.put(task).map(|()| inner.call(runtime.has_workers))
        };
        match refused {
            Ok(call) => self.carry_out(call, owner, runtime),
            Err(task) => dead::end_queued([task]),
        }
    }

    fn close(&self) {
        let resident = {
            let mut inner = self.inner.lock();
            std::mem::replace(&mut inner.resident, Resident::Closed)
        };
        if let Resident::Asleep(waker) = resident {
            waker.wake();
        }
    }
}

impl Queue<TaskRef> {
    fn carry_out(&self, call: PumpCall, owner: &Arc<Scope>, runtime: &Arc<Runtime>) {
        match call {
            PumpCall::NotNeeded => {}
            PumpCall::Wake(waker) => waker.wake(),
            PumpCall::Spawn { resident } => {
                let Some(queue) = self.own.upgrade() else {
                    unreachable!("its group or a pump keeps it")
                };
                runtime.spawn(Pump {
                    queue,
                    owner: Arc::downgrade(owner),
                    runtime: runtime.clone(),
                    resident,
                    has_ended: false,
                });
            }
        }
    }
}

/// A Tokio task that polls children.
struct Pump {
    queue: Arc<Queue<TaskRef>>,
    owner: Weak<Scope>,
    runtime: Arc<Runtime>,
    resident: bool,
    has_ended: bool,
}

/// What a pump does next.
enum PumpStep {
    Run(TaskRef, PumpCall),
    /// Nothing is left to do.
    Sleep,
    End,
}

impl Pump {
    /// Puts `again` back and takes the first task, under one lock. `begins`: it is the first task
    /// of this turn.
    fn next(&self, begins: bool, again: Option<TaskRef>, cx: &Context<'_>) -> PumpStep {
        let mut inner = self.queue.inner.lock();
        if begins {
            // A resident pump may be polled without having been called, when its group ends.
            inner.coming = inner.coming.saturating_sub(1);
        }
        let refused = again.and_then(|task| inner.put(task).err());
        if let Some(task) = inner.tasks.pop_front() {
            // Where there is one worker, the next pump would only come after this turn, which takes
            // it up itself.
            let call = if self.runtime.has_workers {
                inner.call(self.runtime.has_workers)
            } else {
                PumpCall::NotNeeded
            };
            return PumpStep::Run(task, call);
        }
        drop(inner);
        dead::end_queued(refused);
        self.rest(cx)
    }

    fn rest(&self, cx: &Context<'_>) -> PumpStep {
        if !self.resident {
            return PumpStep::End;
        }
        let waker = gate::clone_waker(cx.waker());
        let mut inner = self.queue.inner.lock();
        if matches!(inner.resident, Resident::Closed) {
            drop(inner);
            return PumpStep::End;
        }
        debug_assert!(inner.tasks.is_empty() || inner.coming > 0, "L1");
        inner.resident = Resident::Asleep(waker);
        PumpStep::Sleep
    }

    /// The turn is used up. Puts the last task back if it is to be polled again. Returns whether
    /// the pump is to come again.
    fn yields(&self, last: Option<TaskRef>) -> bool {
        let (refused, comes) = {
            let mut inner = self.queue.inner.lock();
            let refused = last.and_then(|task| inner.put(task).err());
            let comes = inner.needs_pump(self.runtime.has_workers);
            inner.coming += usize::from(comes);
            (refused, comes)
        };
        dead::end_queued(refused);
        comes
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let began = Instant::now();
        // L1: a task that was woken while it was polled is in no queue until this pump looks at it.
        let mut again = None;
        for turn in 0..QUOTA {
            match self.next(turn == 0, again.take(), cx) {
                PumpStep::Run(task, call) => {
                    if !matches!(call, PumpCall::NotNeeded) {
                        if let Some(owner) = self.owner.upgrade() {
                            self.queue.carry_out(call, &owner, &self.runtime);
                        }
                    }
                    again = task.poll_once();
                    bell::end_turn();
                }
                PumpStep::Sleep => return Poll::Pending,
                PumpStep::End => return Poll::Ready(()),
            }
            // The clock costs as much as a small child, so it is asked after 1, 2, 4, … of them.
            let is_long = || (turn + 1).is_power_of_two() && began.elapsed() >= SLICE;
            if !tokio::task::coop::has_budget_remaining() || is_long() {
                break;
            }
        }
        if self.yields(again) {
            gate::wake_by_ref(cx.waker());
            return Poll::Pending;
        }
        match self.rest(cx) {
            PumpStep::End => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

impl Future for Pump {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let pump = self.get_mut();
        let polled = pump.turn(cx);
        pump.has_ended = polled.is_ready();
        polled
    }
}

impl Drop for Pump {
    /// L5: the runtime shuts down.
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let (tasks, resident) = {
            let mut inner = self.queue.inner.lock();
            inner.is_dead = true;
            let resident = std::mem::replace(&mut inner.resident, Resident::Closed);
            (std::mem::take(&mut inner.tasks), resident)
        };
        drop(resident);
        dead::end_queued(tasks);
        if let Some(owner) = self.owner.upgrade() {
            dead::end_idle(&owner);
        }
    }
}
