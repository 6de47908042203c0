//! The counts of the whole run, and the violations.

use std::any::Any;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The text with which deliberate panics begin.
pub(crate) const DELIBERATE: &str = "stress: ";

/// The counters of the process.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) operations: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) children: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) runtimes_down: AtomicU64,
    pub(crate) violations: AtomicU64,
    /// Futures of children that exist.
    pub(crate) alive: AtomicI64,
    /// How many of those exist until their runtime is shut down.
    pub(crate) resident: AtomicI64,
    /// Cleanups that have neither run nor been dropped yet.
    pub(crate) cleanups: AtomicI64,
    seed: AtomicU64,
    round: AtomicU64,
    next_id: AtomicU64,
}

pub(crate) static TALLY: Tally = Tally {
    operations: AtomicU64::new(0),
    groups: AtomicU64::new(0),
    children: AtomicU64::new(0),
    failed: AtomicU64::new(0),
    cancelled: AtomicU64::new(0),
    panics: AtomicU64::new(0),
    runtimes_down: AtomicU64::new(0),
    violations: AtomicU64::new(0),
    alive: AtomicI64::new(0),
    resident: AtomicI64::new(0),
    cleanups: AtomicI64::new(0),
    seed: AtomicU64::new(0),
    round: AtomicU64::new(0),
    next_id: AtomicU64::new(1),
};

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn of(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// A lock that stays usable after a panic of foreign code.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    pub(crate) fn begin(&self, seed: u64, round: u64) {
        self.seed.store(seed, Ordering::Relaxed);
        self.round.store(round, Ordering::Relaxed);
    }

    /// The seed of the run and the round, as options for another run.
    pub(crate) fn place(&self) -> String {
        format!("--seed {} --round {}", of(&self.seed), of(&self.round))
    }

    pub(crate) fn fresh_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Reports that the library broke a promise.
    pub(crate) fn violation(&self, what: &str) {
        let before = self.violations.fetch_add(1, Ordering::Relaxed);
        // One fault may break a promise thousands of times.
        if before < 20 {
            println!("VIOLATION ({}): {what}", self.place());
        }
    }
}

/// Keeps the program's own panics silent and reports all others as violations.
///
/// Tokio's timers panic if they are used on a runtime that has been shut down. So does a deadline
/// of the library if no other runtime has a clock for it. These panics are not violations.
pub(crate) fn watch_panics(quiet: bool) {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        count(&TALLY.panics);
        let text = text_of(info.payload());
        let known = text.starts_with(DELIBERATE)
            || text.contains("shutdown")
            || text.ends_with("the Tokio runtime has been shut down")
            || text.contains("shutting down");
        if !known {
            TALLY.violation(&format!("an unexpected panic: {info}"));
        }
        if !quiet || !known {
            loud(info);
        }
    }));
}

/// The message of a panic.
pub(crate) fn text_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("")
}

/// The memory of this process in KiB.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
