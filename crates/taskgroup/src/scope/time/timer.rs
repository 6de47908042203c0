//! Alarms: deadlines, graces and the reports of what does not end. One sleeping Tokio task per
//! runtime, however many there are.
//!
//! The sleeper is armed for the earliest alarm that it knew when it went to sleep. An alarm that is
//! taken away again leaves it as it is (it wakes, finds nothing due, and sleeps on), so a deadline
//! that is met touches no timer.
//!
//! Nor is it sorted. Alarms are *young* until the sleeper wakes: they lie in a slab, in and out in
//! constant time. What the sleeper then still finds there it sorts by time, once. So only an alarm
//! that outlives another one pays for an order.
//!
//! - **Y1** `is_silent` is set once, under the lock under which the alarms are taken away. So an
//!   alarm that is armed under the lock either is among those or finds the flag. If a thread reads
//!   the flag without the lock and misses it, its alarm is silenced.

use std::collections::BTreeMap;
use std::fmt;
use std::mem::take;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::gate::{self, StoredWaker};
use crate::scope::driver::Runtime;
use crate::scope::tree::Scope;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// What to do when the time has come.
pub(crate) enum Alarm {
    /// A deadline without a scope: its next poll looks at the clock.
    Wake(StoredWaker),
    Deadline(Weak<Scope>),
    Grace(Weak<Scope>, Duration),
    /// The grace was over at this instant and the group has not ended.
    Watch(Weak<Scope>, Instant),
    /// A scope that was told to end is kept by sections, and looks again whether they are in use.
    Ask(Weak<Scope>),
    /// A group with a limit waited for itself, after so many changes and confirmations.
    Stuck(Weak<Scope>, u64, u32),
}

/// Names an alarm, to disarm it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerKey {
    at: Instant,
    /// In the order of their arming: alarms that are due at the same instant ring in that order.
    number: u64,
    /// Its place while it is young.
    place: u32,
}

#[derive(Default)]
pub(crate) struct Timers {
    inner: Mutex<Alarms>,
    earlier: Notify,
    /// How often something was due.
    rings: AtomicU64,
    /// The runtime has shut down: nothing rings here any more. Set under the lock.
    is_silent: AtomicBool,
    /// Whether the runtime has a clock, once that was asked: the question is a panic where there is
    /// none.
    clock: std::sync::OnceLock<bool>,
}

#[derive(Default)]
struct Alarms {
    young: Vec<Option<(TimerKey, Alarm)>>,
    /// Places in `young` that are free, unless one was taken since or is gone.
    free: Vec<u32>,
    /// In the order of their ringing.
    sorted: BTreeMap<TimerKey, Alarm>,
    numbers: u64,
    /// When the sleeper will wake; `None` while there is no sleeper.
    sleeper: Option<Instant>,
}

pub(super) const NO_CLOCK: &str =
    "this needs a clock, and the Tokio runtime has none: call `enable_time` on its builder";

/// How many alarms the sleeper sorts before it lets others have the lock.
const BATCH: usize = 256;

impl Alarms {
    fn put(&mut self, at: Instant, alarm: Alarm) -> TimerKey {
        self.numbers += 1;
        let mut key = TimerKey {
            at,
            number: self.numbers,
            place: 0,
        };
        while let Some(place) = self.free.pop() {
            if let Some(slot @ None) = self.young.get_mut(place as usize) {
                key.place = place;
                *slot = Some((key, alarm));
                return key;
            }
        }
        key.place = u32::try_from(self.young.len()).expect("fewer than 2^32 alarms");
        self.young.push(Some((key, alarm)));
        key
    }

    fn take(&mut self, key: TimerKey) -> Option<Alarm> {
        let slot = self.young.get_mut(key.place as usize);
        let own = slot.filter(|slot| matches!(slot, Some((known, _)) if *known == key));
        match own {
            Some(slot) => {
                let (_, alarm) = slot.take()?;
                self.free.push(key.place);
                Some(alarm)
            }
            None => self.sorted.remove(&key),
        }
    }

    /// Sorts some of the young ones; whether that was all of them.
    fn sort(&mut self) -> bool {
        let rest = self.young.len().saturating_sub(BATCH);
        self.sorted.extend(self.young.drain(rest..).flatten());
        if rest == 0 {
            // The memory of a wide moment goes.
            self.young.shrink_to(BATCH);
            self.free = Vec::new();
        }
        rest == 0
    }
}

/// An alarm that is set. Dropped, it is taken back.
pub(crate) struct SetAlarm {
    timers: Arc<Timers>,
    key: TimerKey,
}

impl SetAlarm {
    /// # Panics
    /// Where the runtime has no clock.
    pub(crate) fn new(runtime: &Arc<Runtime>, at: Instant, alarm: Alarm) -> Self {
        Self {
            key: runtime.timers().arm(runtime, at, alarm),
            timers: runtime.timers().clone(),
        }
    }

    pub(super) fn at(&self) -> Instant {
        self.key.at
    }

    /// Whether its runtime has been shut down, so that it never rings.
    pub(crate) fn is_silent(&self) -> bool {
        self.timers.is_silent()
    }

    /// How often anything has rung in its runtime.
    pub(super) fn rings(&self) -> u64 {
        self.timers.rings()
    }
}

impl Drop for SetAlarm {
    fn drop(&mut self) {
        self.timers.disarm(self.key);
    }
}

impl fmt::Debug for SetAlarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

impl Timers {
    /// # Panics
    /// Where the runtime has no clock: on the stack of the code that needs one, not in the sleeper.
    pub(super) fn arm(&self, runtime: &Arc<Runtime>, at: Instant, alarm: Alarm) -> TimerKey {
        assert!(self.has_clock(runtime), "{NO_CLOCK}");
        let mut inner = self.inner.lock();
        if self.is_silent() {
            drop(inner);
            alarm.silence(at);
            // Alarms count from 1, so it names none.
            return TimerKey {
                at,
                number: 0,
                place: 0,
            };
        }
        let key = inner.put(at, alarm);
        match inner.sleeper {
            None => {
                inner.sleeper = Some(at);
                drop(inner);
                runtime
                    .handle()
                    .spawn(sleeper(runtime.clone(), Silencing(Some(runtime.clone()))));
            }
            Some(wakes) if at < wakes => {
                inner.sleeper = Some(at);
                drop(inner);
                self.earlier.notify_one();
            }
            Some(_) => {}
        }
        key
    }

    /// Whether alarms ring in this runtime at all.
    pub(super) fn has_clock(&self, runtime: &Runtime) -> bool {
        if let Some(known) = self.clock.get() {
            return *known;
        }
        let _inside = runtime.handle().enter();
        // Tokio does not tell, but makes no sleep where there is no clock. The hook for panics may
        // come back here.
        let asked = gate::call_aside(|| drop(tokio::time::sleep(Duration::ZERO)));
        let has_clock = asked.map_err(gate::discard).is_ok();
        *self.clock.get_or_init(|| has_clock)
    }

    /// Whether the runtime has shut down. What is armed then is woken on the spot and never rings.
    /// Its next poll looks for another clock, see [`Runtime::with_clock`].
    pub(super) fn is_silent(&self) -> bool {
        // Acquire: Y1, with the store in the drop of `Silencing`.
        self.is_silent.load(Ordering::Acquire)
    }

    fn disarm(&self, key: TimerKey) {
        let gone = self.inner.lock().take(key);
        drop(gone);
    }

    pub(super) fn rings(&self) -> u64 {
        // Acquire: BE1, with the counts in `due` and in the drop of `Silencing`.
        self.rings.load(Ordering::Acquire)
    }

    #[cfg(feature = "testing")]
    pub(crate) fn has_sleeper(&self) -> bool {
        self.inner.lock().sleeper.is_some()
    }

    /// Takes what is due; says when to look again.
    fn due(&self) -> Result<Vec<Alarm>, Option<Instant>> {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        while !inner.sort() {
            drop(inner);
            inner = self.inner.lock();
        }
        let mut due = Vec::new();
        while let Some(entry) = inner.sorted.first_entry() {
            if entry.key().at > now {
                break;
            }
            due.push(entry.remove());
        }
        if !due.is_empty() {
            // AcqRel: BE1, with `rings`. A thread that reuses the memory of a waker that is gone
            // sees the count, which came before that.
            self.rings.fetch_add(1, Ordering::AcqRel);
            return Ok(due);
        }
        let next = inner.sorted.first_key_value().map(|(key, _)| key.at);
        inner.sleeper = next;
        Err(next)
    }
}

async fn sleeper(runtime: Arc<Runtime>, mut silencing: Silencing) {
    let timers = runtime.timers();
    loop {
        match timers.due() {
            Ok(due) => due.into_iter().for_each(|alarm| {
                // A fault of one is no reason to silence the others.
                gate::call_or_report("an alarm", || alarm.fire());
            }),
            Err(Some(next)) => {
                tokio::select! {
                    biased;
                    () = timers.earlier.notified() => {}
                    () = tokio::time::sleep_until(next) => {}
                }
            }
            Err(None) => {
                silencing.0 = None;
                return;
            }
        }
    }
}

/// Goes with a sleeper that its runtime drops, also before its first poll: nothing will ring here
/// any more. What waits for a deadline may be polled elsewhere, by a runtime of its own on a
/// blocking thread for example, and is woken to look for another clock.
struct Silencing(Option<Arc<Runtime>>);

impl Drop for Silencing {
    fn drop(&mut self) {
        let Some(runtime) = &self.0 else { return };
        let timers = runtime.timers();
        let silenced = {
            let mut inner = timers.inner.lock();
            // Release: Y1, with `is_silent`.
            timers.is_silent.store(true, Ordering::Release);
            (take(&mut inner.young), take(&mut inner.sorted))
        };
        // AcqRel: BE1, as in `due`.
        timers.rings.fetch_add(1, Ordering::AcqRel);
        let (young, sorted) = silenced;
        for (key, alarm) in young.into_iter().flatten().chain(sorted) {
            alarm.silence(key.at);
        }
    }
}
