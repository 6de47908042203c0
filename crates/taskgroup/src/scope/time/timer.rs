//! Alarms: deadlines, graces and the reports of what does not end. One sleeping Tokio task per
//! runtime, however many there are.
//!
//! The sleeper is armed for the earliest alarm that it knew when it went to sleep. An alarm that is
//! taken away again leaves it as it is (it wakes, finds nothing due, and sleeps on), so a deadline
//! that is met touches no timer.
//!
//! Nor is it sorted. Alarms lie in a slab, in and out in constant time, and are *young* until the
//! sleeper wakes. What the sleeper then still finds it sorts by time, once. So only an alarm that
//! outlives another one pays for an order.
//!
//! What an alarm does is a function that comes along with it. So a program that sets no deadline,
//! for example, does not contain the code for one that has passed.
//!
//! - **Y1** `is_silent` is set once, under the lock under which the alarms are taken away. So an
//!   alarm that is armed under the lock either is among those or finds the flag. If a thread reads
//!   the flag without the lock and misses it, its alarm is silenced.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::mem::take;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::{Handle, Id, RuntimeFlavor};
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
    Deadline(Weak<Scope>, fn(&Arc<Scope>)),
    Grace(Weak<Scope>, Duration, fn(&Arc<Scope>, Duration)),
    /// The grace was over at this instant and the group has not ended.
    Watch(Weak<Scope>, Instant, fn(&Arc<Scope>, Instant)),
    /// A scope that was told to end is kept by sections, and looks again whether they are in use.
    Ask(Weak<Scope>, fn(&Arc<Scope>)),
    /// A group with a limit waited for itself, after so many changes and confirmations.
    Stuck(Weak<Scope>, (u64, u32), fn(&Arc<Scope>, u64, u32)),
}

/// Names an alarm, to disarm it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerKey {
    at: Instant,
    /// In the order of their arming: alarms that are due at the same instant ring in that order.
    number: u64,
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
    places: Vec<Place>,
    /// Places that are free, unless one was taken since or is gone.
    free: Vec<u32>,
    /// Places of young alarms. A place stays here when its alarm goes.
    young: Vec<u32>,
    /// The keys of all others, and of some that have gone. The earliest is on top.
    sorted: BinaryHeap<Reverse<TimerKey>>,
    /// How many keys of alarms that have gone are in `sorted`.
    gone: usize,
    numbers: u64,
    /// When the sleeper will wake; `None` while there is no sleeper.
    sleeper: Option<Instant>,
}

#[derive(Default)]
struct Place {
    alarm: Option<(TimerKey, Alarm)>,
    /// It is in the list of young ones.
    is_young: bool,
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
        let is_free = |place: &u32| {
            let place = self.places.get(*place as usize);
            place.is_some_and(|place| place.alarm.is_none())
        };
        let free = std::iter::from_fn(|| self.free.pop()).find(is_free);
        key.place = free.unwrap_or_else(|| {
            self.places.push(Place::default());
            u32::try_from(self.places.len() - 1).expect("fewer than 2^32 alarms")
        });
        let place = &mut self.places[key.place as usize];
        place.alarm = Some((key, alarm));
        if !place.is_young {
            place.is_young = true;
            self.young.push(key.place);
        }
        key
    }

    fn take(&mut self, key: TimerKey) -> Option<Alarm> {
        let place = self.places.get_mut(key.place as usize)?;
        let (_, alarm) = place.alarm.take_if(|(known, _)| *known == key)?;
        self.gone += usize::from(!place.is_young);
        self.free.push(key.place);
        Some(alarm)
    }

    /// The key on top, unless its alarm has gone.
    fn first(&mut self) -> Option<TimerKey> {
        while let Some(Reverse(key)) = self.sorted.peek().copied() {
            if is_set(&self.places, key) {
                return Some(key);
            }
            self.sorted.pop();
            self.gone -= 1;
        }
        None
    }

    /// Sorts some of the young ones; whether that was all of them.
    fn sort(&mut self) -> bool {
        let rest = self.young.len().saturating_sub(BATCH);
        for place in self.young.drain(rest..) {
            if let Some(place) = self.places.get_mut(place as usize) {
                place.is_young = false;
                let key = place.alarm.as_ref().map(|(key, _)| Reverse(*key));
                self.sorted.extend(key);
            }
        }
        if rest == 0 {
            self.tidy();
        }
        rest == 0
    }

    /// Gives back the memory of a wide moment. None of the alarms is young.
    fn tidy(&mut self) {
        if self.gone > BATCH.max(self.sorted.len() / 2) {
            let places = &self.places;
            self.sorted.retain(|Reverse(key)| is_set(places, *key));
            self.gone = 0;
        }
        let used = self.places.iter().rposition(|place| place.alarm.is_some());
        self.places.truncate(used.map_or(0, |last| last + 1));
        if self.places.is_empty() {
            self.free.clear();
        }
        if let Some(capacity) = after_wide_moment(self.sorted.len(), self.sorted.capacity()) {
            self.sorted.shrink_to(capacity);
        }
        give_back(&mut self.places);
        give_back(&mut self.young);
        give_back(&mut self.free);
    }
}

/// Whether the alarm of this key is still in its place.
fn is_set(places: &[Place], key: TimerKey) -> bool {
    let alarm = places.get(key.place as usize).map(|place| &place.alarm);
    alarm.is_some_and(|alarm| alarm.as_ref().is_some_and(|(known, _)| *known == key))
}

fn give_back<T>(list: &mut Vec<T>) {
    if let Some(capacity) = after_wide_moment(list.len(), list.capacity()) {
        list.shrink_to(capacity);
    }
}

/// The capacity to shrink to, if most of the present one is unused. A list that holds about as much
/// at each wake keeps its memory.
fn after_wide_moment(len: usize, capacity: usize) -> Option<usize> {
    let enough = 2 * len.max(BATCH);
    (capacity > 2 * enough).then_some(enough)
}

/// An alarm that is set. Dropped, it is taken back.
pub(crate) struct SetAlarm {
    timers: Arc<Timers>,
    key: TimerKey,
    /// The runtime, if it rings only while a thread is inside it.
    pub(super) only_in: Option<Id>,
}

impl SetAlarm {
    /// # Panics
    /// Where the runtime has no clock.
    pub(crate) fn new(runtime: &Arc<Runtime>, at: Instant, alarm: Alarm) -> Self {
        let handle = runtime.handle();
        let rings_anyway = matches!(handle.runtime_flavor(), RuntimeFlavor::MultiThread);
        Self {
            key: runtime.timers().arm(runtime, at, alarm),
            timers: runtime.timers().clone(),
            only_in: (!rings_anyway && !runtime.is_explored()).then(|| handle.id()),
        }
    }

    /// Whether it rings for what this thread polls. A runtime with threads of its own rings
    /// anyway. Any other one rings while a thread drives it, and a future may have been moved away
    /// from it.
    pub(super) fn rings_here(&self) -> bool {
        let is_here = |id| Handle::try_current().is_ok_and(|here| here.id() == id);
        !self.is_silent() && self.only_in.is_none_or(is_here)
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
                runtime.spawn(sleeper(runtime.clone(), Silencing(Some(runtime.clone()))));
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
        while let Some(key) = inner.first().filter(|key| key.at <= now) {
            due.extend(inner.take(key));
        }
        if !due.is_empty() {
            // AcqRel: BE1, with `rings`. A thread that reuses the memory of a waker that is gone
            // sees the count, which came before that.
            self.rings.fetch_add(1, Ordering::AcqRel);
            return Ok(due);
        }
        let next = inner.first().map(|key| key.at);
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
            inner.sorted.clear();
            take(&mut inner.places)
        };
        // AcqRel: BE1, as in `due`.
        timers.rings.fetch_add(1, Ordering::AcqRel);
        for place in silenced {
            if let Some((key, alarm)) = place.alarm {
                alarm.silence(key.at);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const MANY: usize = 100 * BATCH;

    impl Alarms {
        fn put_many(&mut self, count: usize) -> Vec<TimerKey> {
            let at = Instant::now();
            let put = |_| self.put(at, Alarm::Deadline(Weak::new(), |_| ()));
            let keys = (0..count).map(put).collect();
            while !self.sort() {}
            keys
        }

        fn take_all(&mut self, keys: impl IntoIterator<Item = TimerKey>) {
            for key in keys {
                assert!(self.take(key).is_some());
            }
        }

        fn capacities(&self) -> [usize; 4] {
            [
                self.places.capacity(),
                self.free.capacity(),
                self.young.capacity(),
                self.sorted.capacity(),
            ]
        }
    }

    #[test]
    fn alarms_that_rang_leave_no_memory() {
        let mut alarms = Alarms::default();
        alarms.put_many(MANY);
        assert!(alarms.capacities().iter().sum::<usize>() > MANY);
        while let Some(first) = alarms.first() {
            assert!(alarms.take(first).is_some());
        }
        assert!(alarms.sort());
        let left = alarms.capacities();
        assert!(
            left.iter().all(|capacity| *capacity <= 4 * BATCH),
            "{left:?}"
        );
        assert!(alarms.free.is_empty());
    }

    #[test]
    fn alarms_that_were_taken_back_leave_no_memory() {
        let mut alarms = Alarms::default();
        let keys = alarms.put_many(MANY);
        alarms.take_all(keys);
        assert!(alarms.sort());
        let left = alarms.capacities();
        assert!(
            left.iter().all(|capacity| *capacity <= 4 * BATCH),
            "{left:?}"
        );
    }

    #[test]
    fn a_steady_number_of_alarms_keeps_its_memory() {
        let mut alarms = Alarms::default();
        alarms.put_many(MANY);
        let mut capacities = Vec::new();
        for _ in 0..8 {
            let wide_moment = alarms.put_many(MANY);
            alarms.take_all(wide_moment);
            assert!(alarms.sort());
            capacities.push(alarms.capacities());
        }
        // The first rounds show how much there is at once.
        let rest = &capacities[4..];
        assert!(rest.iter().all(|round| *round == rest[0]), "{capacities:?}");
        assert!(rest[0][0] >= 2 * MANY, "{capacities:?}");
    }
}
