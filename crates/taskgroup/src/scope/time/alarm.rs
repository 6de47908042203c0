//! What an alarm does when it rings, and the alarms that a scope sets for itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::stand_in;
use super::timer::{Alarm, SetAlarm};
use crate::scope::driver::Runtime;
use crate::scope::tree::Scope;
use crate::scope::{waiting, who};
use crate::warning;

/// How often the report of what does not end is repeated.
const WATCH: Duration = Duration::from_secs(5);

impl Alarm {
    /// An alarm that will not ring, because its runtime has been shut down. What is polled is woken
    /// to find another clock.
    pub(super) fn silence(self, at: Instant) {
        let scope = self.scope();
        match (self, scope) {
            (Self::Wake(waker), _) => waker.wake(),
            (_, None) => {}
            (Self::Deadline(..), Some(scope)) => scope.wake(),
            (alarm, Some(scope)) => {
                ring(&scope, at.saturating_duration_since(Instant::now()), alarm);
            }
        }
    }

    /// The time has come.
    pub(super) fn fire(self) {
        let scope = self.scope();
        match (self, scope) {
            (Self::Wake(waker), _) => waker.wake(),
            (_, None) => {}
            (Self::Deadline(_, ring) | Self::Ask(_, ring), Some(scope)) => ring(&scope),
            (Self::Grace(_, grace, ring), Some(scope)) => ring(&scope, grace),
            (Self::Watch(_, since, ring), Some(scope)) => ring(&scope, since),
            (Self::Stuck(_, (changes, confirmed), ring), Some(scope)) => {
                ring(&scope, changes, confirmed);
            }
        }
    }

    /// The scope that it rings for, if it is still there.
    fn scope(&self) -> Option<Arc<Scope>> {
        match self {
            Self::Wake(_) => None,
            Self::Deadline(scope, _)
            | Self::Grace(scope, ..)
            | Self::Watch(scope, ..)
            | Self::Ask(scope, _)
            | Self::Stuck(scope, ..) => scope.upgrade(),
        }
    }
}

/// After `grace`, guards and shields below `scope` hold no longer. Without a clock the cleanup goes
/// on, and a warning says that nothing bounds it. A panic would hit the code that happens to cancel
/// the group.
pub(crate) fn set_grace(scope: &Arc<Scope>, grace: Duration) -> Option<SetAlarm> {
    let at = Instant::now().checked_add(grace)?;
    let runtime = runtime_of_grace(scope, grace)?;
    let alarm = Alarm::Grace(Arc::downgrade(scope), grace, Scope::grace_over);
    Some(SetAlarm::new(&runtime, at, alarm))
}

/// As [`set_grace`], and it is not taken back.
#[cfg(feature = "runner")]
pub(crate) fn ring_grace(scope: &Arc<Scope>, grace: Duration) {
    if let Some(runtime) = runtime_of_grace(scope, grace) {
        let alarm = Alarm::Grace(Arc::downgrade(scope), grace, Scope::grace_over);
        ring_in(&runtime, grace, alarm);
    }
}

fn runtime_of_grace(scope: &Arc<Scope>, grace: Duration) -> Option<Arc<Runtime>> {
    let runtime = Runtime::with_clock_for(scope);
    // Outside any runtime nothing below can have begun.
    if runtime.is_none() && scope.runtime_if_any().is_some() {
        warning::no_clock(who::info(scope), grace);
    }
    runtime
}

/// Reports every few seconds what still runs below `scope`, until nothing does.
pub(in crate::scope) fn watch(scope: &Arc<Scope>) {
    watch_since(scope, Instant::now());
}

fn watch_since(scope: &Arc<Scope>, since: Instant) {
    if scope.is_closed() {
        return;
    }
    let alarm = Alarm::Watch(Arc::downgrade(scope), since, still_waits);
    ring(scope, WATCH, alarm);
}

fn still_waits(scope: &Arc<Scope>, since: Instant) {
    // First, as what tells of it may panic.
    watch_since(scope, since);
    waiting::still_waiting(scope, since.elapsed());
}

/// Rings after `pause` where `scope` has a clock, and is not taken back. What cancelled code needs
/// to end rings without one as well.
pub(in crate::scope) fn ring(scope: &Arc<Scope>, pause: Duration, alarm: Alarm) {
    if let Some(runtime) = Runtime::with_clock_for(scope) {
        ring_in(&runtime, pause, alarm);
    } else if matches!(alarm, Alarm::Ask(..)) {
        stand_in::ring(pause, alarm);
    }
}

fn ring_in(runtime: &Arc<Runtime>, pause: Duration, alarm: Alarm) {
    // Beyond what an instant can say means never.
    if let Some(at) = Instant::now().checked_add(pause) {
        runtime.timers().arm(runtime, at, alarm);
    }
}
