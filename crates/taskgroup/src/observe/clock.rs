//! A clock that costs nothing to read while children are polled.
//!
//! To take the time of every child would cost as much as the child. So a pump takes it when it wakes up and every few turns, and what
//! it polls in between reads that. Off the pumps the time is taken at each ask. Milliseconds since the first ask in this
//! process, on Tokio's clock, so that ages follow virtual time.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

use super::mark::OBSERVED;

thread_local! {
    /// What the pump on this thread took last; 0 off the pumps.
    static TURN: Cell<u32> = const { Cell::new(0) };
}

/// An instant in milliseconds, never 0: fits beside a task's state word.
pub(crate) type Stamp = u32;

fn base() -> Instant {
    // Not Tokio's clock, which may have been moved forward here and not elsewhere.
    static BASE: OnceLock<std::time::Instant> = OnceLock::new();
    Instant::from_std(*BASE.get_or_init(std::time::Instant::now))
}

/// Takes the time.
pub(crate) fn take() -> Stamp {
    if !OBSERVED {
        return 1;
    }
    let base = base();
    let since = Instant::now().saturating_duration_since(base).as_millis();
    u32::try_from(since).unwrap_or(u32::MAX - 1) + 1
}

/// The time, as exact as it is to be had for nothing.
pub(crate) fn stamp() -> Stamp {
    match TURN.try_with(Cell::get) {
        Ok(stamp) if stamp != 0 => stamp,
        _ => take(),
    }
}

/// How long ago that was.
pub(crate) fn age(stamp: Stamp) -> Duration {
    Duration::from_millis(u64::from(take().saturating_sub(stamp)))
}

/// Says what the pump on this thread took, 0 when it leaves.
pub(crate) fn set_turn(stamp: Stamp) {
    let _ = TURN.try_with(|turn| turn.set(stamp));
}
