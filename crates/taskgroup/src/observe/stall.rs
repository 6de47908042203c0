//! Who blocks its worker.
//!
//! A thread of its own looks a few times per threshold at what the other threads poll. What is still the same poll after the
//! threshold is reported, while it blocks, and again whenever the time has doubled. It reports late by at most one look, and
//! never early: the time counts from the first look that saw the poll.
//!
//! This is opt-in. A poll pays for it with one compare-and-swap on a word that is its thread's own, about as much as a small child
//! costs altogether, and a thread has to wake up a few times per threshold; a program that does not ask pays one relaxed load.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::error::TaskInfo;
use crate::scope::group;
use crate::scope::polling::{self, Polled, Sight};
use crate::scope::tree::task_around;
use crate::sync::Mutex;
use crate::warning::{Warning, WarningKind, warn};

/// How many looks a threshold is worth.
const LOOKS: u32 = 4;

/// Reports tasks that keep their worker for longer than `threshold`: by a [`Warning`](crate::observe::Warning) with name, path and spawn
/// location, while they block. `None` turns the reports off, as they are at first.
///
/// A task that computes or calls a blocking function between two suspension points keeps its worker thread from everything else
/// that waits for it, timers and cancellations included. The cure is [`tokio::task::spawn_blocking`], or a
/// [`checkpoint`](crate::checkpoint) here and there. 100 ms is a good threshold to begin with.
///
/// While it is on, [`tree`](crate::observe::tree) shows such tasks as [`Blocked`](crate::observe::NodeState::Blocked), each poll costs one atomic operation
/// more, and a thread wakes up four times per threshold. The bodies of groups are watched as well as tasks.
///
/// ```
/// use std::time::Duration;
///
/// taskgroup::observe::report_blocking(Duration::from_millis(100));
/// # taskgroup::observe::report_blocking(None);
/// ```
///
/// # Panics
/// When the threshold is zero, and when the thread cannot be started.
///
/// asyncio's debug mode, with its `slow_callback_duration`, says it afterwards.
#[doc(alias = "slow_callback_duration")]
pub fn report_blocking(threshold: impl Into<Option<Duration>>) {
    let threshold = threshold.into();
    assert!(
        threshold != Some(Duration::ZERO),
        "a threshold of zero would report every poll"
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
            panic!("the thread that watches for blocking tasks does not start: {error}");
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

/// One look around at `now`, with its reports.
fn look_once(now: Instant) {
    let sights = polling::look();
    let stalls = watch().lock().look(now, &sights);
    for (polled, blocked) in stalls {
        let task = info(&polled);
        let message = format!(
            "task `{}` [{}] has kept its worker from everything else for {blocked:.1?}, spawned at {}",
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
        Polled::Scope(scope) => match task_around(scope) {
            Some(task) => task.header().info(),
            None => group::info(scope),
        },
    }
}

#[derive(Default)]
struct Watch {
    threshold: Option<Duration>,
    has_thread: bool,
    /// By thread: the poll that was under way at the last look.
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
    /// Takes in what was seen at `now`; returns what is to be reported, with the time for which it has gone on at least.
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

/// What has been reported and is still going on.
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
