//! The time of a task or a group, in milliseconds since an instant before the first request in this
//! process.
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

/// How long before the first request time begins. A test may have paused its clock before that
/// request, and its time is behind then.
const BEFORE: Duration = Duration::from_secs(3600);

fn since_base(now: Instant) -> Duration {
    static BASE: OnceLock<std::time::Instant> = OnceLock::new();
    let base = BASE.get_or_init(|| {
        // Not Tokio's clock: a test may have moved that forward in its own runtime.
        let now = std::time::Instant::now();
        now.checked_sub(BEFORE).unwrap_or(now)
    });
    now.saturating_duration_since(Instant::from_std(*base))
}

/// The current time.
pub(crate) fn stamp() -> Stamp {
    if !OBSERVED {
        return 1;
    }
    let since = since_base(Instant::now()).as_millis();
    u32::try_from(since).unwrap_or(u32::MAX - 1) + 1
}

/// As [`stamp`], in nanoseconds; never 0.
#[cfg(feature = "metrics")]
pub(crate) fn nanos() -> u64 {
    let since = since_base(Instant::now()).as_nanos();
    u64::try_from(since).unwrap_or(u64::MAX - 2) + 1
}

/// The time since `since`.
pub(crate) fn age(since: Stamp) -> Duration {
    Duration::from_millis(u64::from(stamp().saturating_sub(since)))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    // S34: a clock that was paused before the first request is not taken to stand still.
    #[test]
    fn time_passes_before_the_first_request() {
        let second = Duration::from_secs(1);
        let now = Instant::now();
        if let Some(paused) = now.checked_sub(BEFORE / 2) {
            assert_eq!(since_base(paused + second) - since_base(paused), second);
        }
    }
}
