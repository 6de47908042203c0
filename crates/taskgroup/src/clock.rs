//! The time of a task or a group, in milliseconds since the first request in this process.
//!
//! It is read from Tokio's clock, so that ages follow virtual time.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

/// Whether tasks carry what is only there to be seen: see
/// [`Mark`](crate::scope::task::Header::mark).
pub(crate) const OBSERVED: bool = cfg!(not(taskgroup_bare));

/// An instant in milliseconds, never 0. It fits beside a task's state word.
pub(crate) type Stamp = u32;

fn base() -> Instant {
    // Not Tokio's clock: a test may have moved that forward in its own runtime.
    static BASE: OnceLock<std::time::Instant> = OnceLock::new();
    Instant::from_std(*BASE.get_or_init(std::time::Instant::now))
}

/// The current time.
pub(crate) fn stamp() -> Stamp {
    if !OBSERVED {
        return 1;
    }
    let base = base();
    let since = Instant::now().saturating_duration_since(base).as_millis();
    u32::try_from(since).unwrap_or(u32::MAX - 1) + 1
}

/// The time since the first request in this process, in nanoseconds; never 0.
#[cfg(feature = "metrics")]
pub(crate) fn nanos() -> u64 {
    let since = Instant::now().saturating_duration_since(base()).as_nanos();
    u64::try_from(since).unwrap_or(u64::MAX - 2) + 1
}

/// The time since `since`.
pub(crate) fn age(since: Stamp) -> Duration {
    Duration::from_millis(u64::from(stamp().saturating_sub(since)))
}
