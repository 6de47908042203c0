//! Who polls what right now, for whoever watches from another thread.
//!
//! Off until [`turn_on`]; then each thread that polls code of a group puts down whose code that is,
//! behind a lock of that thread.
//!
//! Invariants:
//!
//! - **P1** A thread's slot holds a reference of its own to what the thread polls, and the thread
//!   takes it out when that poll ends.
//! - **P2** The lock of a slot is held to copy or exchange that reference only. What comes out is
//!   dropped after the lock is released: the last reference to a task runs foreign code.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::task::TaskRef;
use super::tree::Scope;
use crate::observe::mark::OBSERVED;
use crate::sync::{AtomicU32, Mutex, Ordering};

/// Where a thread says what it polls.
struct Slot {
    now: Mutex<Option<Polled>>,
    /// Counts the outermost polls, so that a watcher can tell one poll from the next one of the same
    /// task.
    polls: AtomicU32,
}

/// What is being polled.
#[derive(Clone)]
pub(crate) enum Polled {
    Task(TaskRef),
    Scope(Arc<Scope>),
}

/// What a watcher saw on one thread.
pub(crate) struct Sight {
    /// Stands for the thread.
    pub(crate) thread: usize,
    pub(crate) poll: u32,
    pub(crate) polled: Polled,
}

fn slots() -> &'static Mutex<Vec<Arc<Slot>>> {
    static SLOTS: std::sync::OnceLock<Mutex<Vec<Arc<Slot>>>> = std::sync::OnceLock::new();
    SLOTS.get_or_init(Mutex::default)
}

/// A thread's slot; leaves the list with the thread.
struct Own(Arc<Slot>);

impl Own {
    fn new() -> Self {
        let slot = Arc::new(Slot {
            now: Mutex::new(None),
            polls: AtomicU32::new(0),
        });
        slots().lock().push(slot.clone());
        Self(slot)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        slots().lock().retain(|slot| !Arc::ptr_eq(slot, &self.0));
    }
}

thread_local! {
    static OWN: Own = Own::new();
}

static ON: AtomicBool = AtomicBool::new(false);

pub(crate) fn turn_on(on: bool) {
    ON.store(on, Ordering::Relaxed);
}

/// The one thing that a poll pays while nobody watches.
#[inline]
pub(crate) fn is_on() -> bool {
    OBSERVED && ON.load(Ordering::Relaxed)
}

/// What stood in the slot before.
pub(super) struct Before(Option<Polled>);

/// Puts `polled` into the slot of this thread, until the matching [`leave`].
pub(super) fn enter(polled: Polled) -> Option<Before> {
    OWN.try_with(|own| own.0.enter(polled)).ok()
}

pub(super) fn leave(before: Before) {
    // The slot is gone with the thread's other locals only after it was taken off the list.
    let left = OWN.try_with(|own| std::mem::replace(&mut *own.0.now.lock(), before.0));
    drop(left);
}

impl Slot {
    fn enter(&self, polled: Polled) -> Before {
        let mut now = self.now.lock();
        if now.is_none() {
            self.polls.fetch_add(1, Ordering::Relaxed);
        }
        Before(now.replace(polled))
    }

    /// The poll that goes on, with its number.
    fn look(&self) -> Option<(u32, Polled)> {
        let now = self.now.lock();
        let polled = now.clone()?;
        Some((self.polls.load(Ordering::Relaxed), polled))
    }
}

/// What the threads poll right now.
pub(crate) fn look() -> Vec<Sight> {
    let slots = slots().lock();
    let mut sights = Vec::new();
    for slot in slots.iter() {
        if let Some((poll, polled)) = slot.look() {
            sights.push(Sight {
                thread: Arc::as_ptr(slot).addr(),
                poll,
                polled,
            });
        }
    }
    drop(slots);
    sights
}

#[cfg(test)]
mod tests {
    use super::*;

    // P1
    #[test]
    fn a_slot_goes_with_its_thread_and_no_other_does() {
        let own = || OWN.with(|own| Arc::as_ptr(&own.0).addr());
        let listed = |slot| {
            let slots = slots().lock();
            slots.iter().any(|known| Arc::as_ptr(known).addr() == slot)
        };
        let here = own();
        let there = std::thread::spawn(move || {
            let there = own();
            assert!(listed(here) && listed(there));
            there
        });
        let there = there.join().unwrap();
        assert!(listed(here) && !listed(there));
    }
}
