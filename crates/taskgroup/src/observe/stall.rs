//! Which task blocks its worker.
//!
//! A thread of its own looks a few times per threshold at what the other threads poll. It reports a
//! poll that has lasted for the threshold, while that poll blocks, and again whenever the time has
//! doubled. A report is late by at most one look. It is never early, because the time counts from
//! the first look that saw the poll.
//!
//! This is opt-in. Each poll pays for it with one compare-and-swap on a word of its own thread,
//! which is about the whole cost of a small child, and the thread wakes up a few times per
//! threshold. A program that does not turn it on pays one relaxed load.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::error::TaskInfo;
use crate::scope::polling::{self, Polled, Sight};
use crate::scope::tree::{inline_around, task_around};
use crate::scope::who;
use crate::sync::Mutex;
use crate::warning::{Warning, WarningKind, warn};

/// The number of looks in the time of one threshold.
const LOOKS: u32 = 4;

/// Reports each task that blocks its worker for longer than `threshold`, while it blocks. `None`
/// turns the reports off, which is the default.
///
/// The report is a [`Warning`] with the name, path and spawn location of the task. The bodies of
/// groups are watched too.
///
/// A task that computes or calls a blocking function between two suspension points keeps its worker
/// thread from everything else that waits for it, including timers and cancellations. Move that
/// work to [`TaskGroup::spawn_blocking`](crate::TaskGroup::spawn_blocking), or add a
/// [`checkpoint`](crate::checkpoint) to its loops. 100 ms is a good threshold to begin with.
///
/// While the reports are on, [`tree`](crate::observe::tree()) shows such tasks as
/// [`Blocked`](crate::observe::NodeState::Blocked), each poll costs one more atomic operation, and
/// one thread wakes up four times per threshold.
///
/// ```
/// use std::time::Duration;
///
/// taskgroup::observe::report_blocking(Duration::from_millis(100));
/// # taskgroup::observe::report_blocking(None);
/// ```
///
/// # Panics
/// When the threshold is zero, or when the thread cannot be started.
///
/// asyncio's debug mode, with its `slow_callback_duration`, reports such a task once it has
/// returned.
#[doc(alias = "slow_callback_duration")]
pub fn report_blocking(threshold: impl Into<Option<Duration>>) {
    let threshold = threshold.into();
    assert!(
        threshold != Some(Duration::ZERO),
        "`report_blocking`: a threshold of zero would report every poll; pass `None` to turn it off"
    );
    let start = {
        let mut watch = watch().lock();
        watch.threshold = threshold;
        watch.seen.clear();
        polling::turn_on(threshold.is_some());
        let start = threshold.is_some() && !watch.has_thread;
        watch.has_thread |= start;
        start
    };
    if start {
        let thread = std::thread::Builder::new().name("taskgroup-watch".into());
        if let Err(error) = thread.spawn(keep_watch) {
            watch().lock().has_thread = false;
            panic!("`report_blocking`: its thread cannot be started: {error}");
        }
    }
}

fn watch() -> &'static Mutex<Watch> {
    static WATCH: OnceLock<Mutex<Watch>> = OnceLock::new();
    WATCH.get_or_init(Mutex::default)
}

fn keep_watch() {
    loop {
        let pause = {
            let mut watch = watch().lock();
            let Some(threshold) = watch.threshold else {
                watch.has_thread = false;
                return;
            };
            threshold / LOOKS
        };
        std::thread::sleep(pause);
        look_once(Instant::now());
    }
}

/// Looks once, at `now`, and reports what blocks.
fn look_once(now: Instant) {
    let sights = polling::look();
    let stalls = watch().lock().look(now, &sights);
    for (polled, blocked) in stalls {
        let task = info(&polled);
        let message = format!(
            "task `{}` [{}] ({}) has blocked its worker for {blocked:.1?}. Move that work to \
             `spawn_blocking`, or add `checkpoint().await` to its loops",
            task.path(),
            task.id(),
            task.location(),
        );
        warn(&Warning::new(WarningKind::Blocking, task, message));
    }
}

fn info(polled: &Polled) -> TaskInfo {
    match polled {
        Polled::Task(task) => task.header().info(),
        Polled::Scope(scope) => match (inline_around(scope), task_around(scope)) {
            (Some(child), _) => who::info(child),
            (None, Some(task)) => task.header().info(),
            (None, None) => who::info(scope),
        },
    }
}

#[derive(Default)]
struct Watch {
    threshold: Option<Duration>,
    has_thread: bool,
    /// For each thread: the poll that was under way at the last look.
    seen: HashMap<usize, Seen>,
}

struct Seen {
    poll: u32,
    first: Instant,
    /// When the next report is due.
    next: Duration,
    blocked: bool,
}

impl Watch {
    /// Takes in what was seen at `now`. Returns what to report, with the time that it has lasted at
    /// least.
    fn look(&mut self, now: Instant, sights: &[Sight]) -> Vec<(Polled, Duration)> {
        let Some(threshold) = self.threshold else {
            return Vec::new();
        };
        let mut before = std::mem::take(&mut self.seen);
        let mut stalls = Vec::new();
        for sight in sights {
            let known = before.remove(&sight.thread);
            let mut seen = known
                .filter(|seen| seen.poll == sight.poll)
                .unwrap_or(Seen {
                    poll: sight.poll,
                    first: now,
                    next: threshold,
                    blocked: false,
                });
            let blocked = now.saturating_duration_since(seen.first);
            if blocked >= seen.next {
                seen.next = blocked.saturating_mul(2);
                seen.blocked = true;
                stalls.push((sight.polled.clone(), blocked));
            }
            self.seen.insert(sight.thread, seen);
        }
        stalls
    }
}

/// The polls that have been reported and still last.
pub(super) fn blocked_now() -> Vec<Polled> {
    if !polling::is_on() {
        return Vec::new();
    }
    let sights = polling::look();
    let watch = watch().lock();
    let blocked = |sight: &Sight| {
        let seen = watch.seen.get(&sight.thread);
        seen.is_some_and(|seen| seen.blocked && seen.poll == sight.poll)
    };
    let (blocked, others): (Vec<_>, Vec<_>) = sights.into_iter().partition(blocked);
    drop(watch);
    drop(others);
    blocked.into_iter().map(|sight| sight.polled).collect()
}
