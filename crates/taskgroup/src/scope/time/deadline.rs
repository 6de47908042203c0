//! Deadlines, as far as a scope has one: its alarm is set, rings, is moved and taken back.

use std::sync::Arc;

use tokio::time::Instant;

use super::timer::{Alarm, SetAlarm};
use crate::reason::CancelReason;
use crate::scope::driver::Runtime;
use crate::scope::tree::{DeadlineState, Dropping, Kind, Scope};
use crate::sync::Mutex;

/// What sets an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArmedBy {
    /// A poll of the work. An alarm that the work itself has set in that poll is set again: its
    /// runtime may be one that the work opened and that nothing drives any more.
    Poll,
    /// The deadline was moved.
    Move,
}

impl DeadlineState {
    /// A duration that ends beyond what an instant can say means never.
    pub(in crate::scope) fn start(&mut self) {
        if let Some(after) = self.after.take() {
            self.at = Instant::now().checked_add(after);
        }
    }
}

impl Scope {
    /// The state of the deadline that this scope is.
    pub(crate) fn deadline(&self) -> Option<&Mutex<DeadlineState>> {
        match &self.kind {
            Kind::Deadline(state) => Some(state),
            _ => None,
        }
    }

    /// Sets the alarm for where the deadline stands now, unless one is set that rings. What is due
    /// already fires on the spot. Without a runtime the next poll of the work sets it.
    pub(crate) fn arm_deadline(
        self: &Arc<Self>,
        by: ArmedBy,
        runtime: impl FnOnce() -> Option<Arc<Runtime>>,
    ) {
        let Some(state) = self.deadline() else { return };
        let rings = |alarm: &SetAlarm| match by {
            ArmedBy::Poll => alarm.rings_here(),
            ArmedBy::Move => !alarm.is_silent(),
        };
        let (to_come, stale) = {
            let mut state = state.lock();
            let moved_inside = by == ArmedBy::Poll && std::mem::take(&mut state.moved_inside);
            let stale = state.timer.take_if(|alarm| moved_inside || !rings(alarm));
            let is_set = state.timer.is_some() || state.expired;
            (state.at.filter(|_| !is_set), stale)
        };
        drop(stale);
        let Some(at) = to_come else { return };
        if at <= Instant::now() {
            return self.expire_deadline();
        }
        let Some(runtime) = runtime() else {
            return self.wake();
        };
        let alarm = Alarm::Deadline(Arc::downgrade(self), Self::expire_deadline);
        let mut alarm = Some(SetAlarm::new(&runtime, at, alarm));
        {
            let mut state = state.lock();
            if state.at == Some(at) && state.timer.is_none() {
                state.timer = alarm.take();
                state.clock = Arc::downgrade(&runtime);
            }
        }
        // It was moved meanwhile.
        drop(alarm);
    }

    /// The alarm of a deadline rang. It may have been moved meanwhile.
    pub(crate) fn expire_deadline(self: &Arc<Self>) {
        let Some(state) = self.deadline() else { return };
        let (alarm, is_due) = {
            let mut state = state.lock();
            let is_due = state.at.is_some_and(|at| at <= Instant::now()) && !state.expired;
            state.expired |= is_due;
            (state.timer.take(), is_due)
        };
        drop(alarm);
        if !is_due {
            return;
        }
        let reason = CancelReason::deadline("a deadline passed".to_owned(), self.location);
        self.cancel(&reason, Dropping::Scheduled);
    }

    /// For one that may be due with its alarm still to ring; whether it was.
    pub(crate) fn expire_if_due(self: &Arc<Self>) -> bool {
        let due = self.deadline().is_some_and(|state| {
            let state = state.lock();
            !state.expired && state.at.is_some_and(|at| at <= Instant::now())
        });
        if due {
            self.expire_deadline();
        }
        due
    }

    pub(crate) fn disarm_deadline(&self) {
        let alarm = self.deadline().and_then(|state| state.lock().timer.take());
        drop(alarm);
    }
}
