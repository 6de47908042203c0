//! Which thread polls what right now, for a watcher on another thread.
//!
//! It is off until it is [turned on](turn_on). Then each thread that polls code of a group shows
//! whose code that is.
//!
//! Invariants:
//!
//! - **P1** What stands in a thread's slot is null, or the address of a `TaskRef` or an
//!   `Arc<Scope>` that an `Entered` of that thread borrows (CU1). The thread takes the address out
//!   before that borrow ends.
//! - **P2** While a slot is locked its thread does not change it: it spins. Only a watcher locks,
//!   only what is not null, and only for the time of one count of a reference. So what a watcher
//!   reads under the lock is alive.
//! - **P3** There is one watcher at a time: it has the lock of the list of slots.

#![allow(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::task::TaskRef;
use super::tree::Scope;
use crate::clock::OBSERVED;
use crate::sync::{AtomicPtr, AtomicU32, Mutex, Ordering};

/// P2.
const LOCKED: usize = 1;
/// What stands there is a scope.
const SCOPE: usize = 2;

/// Where a thread says what it polls.
struct Slot {
    now: AtomicPtr<()>,
    /// Counts the outermost polls, so that a watcher can tell one poll from the next one of the
    /// same task.
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
            now: AtomicPtr::new(std::ptr::null_mut()),
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

/// The only cost of a poll while there is no watcher.
#[inline]
pub(crate) fn is_on() -> bool {
    OBSERVED && ON.load(Ordering::Relaxed)
}

/// What stood in the slot before.
#[derive(Clone, Copy)]
pub(super) struct Before(*mut ());

/// What a thread begins to poll.
#[derive(Clone, Copy)]
pub(super) enum Begun {
    Task(*const TaskRef),
    Scope(*const Arc<Scope>),
}

/// # Safety
/// P1: until the matching [`leave`], `begun` stays where it is and alive.
pub(super) unsafe fn enter(begun: Begun) -> Option<Before> {
    let what = match begun {
        Begun::Task(task) => task.cast_mut().cast::<()>(),
        Begun::Scope(scope) => {
            let scope = scope.cast_mut().cast::<()>();
            scope.map_addr(|address| address | SCOPE)
        }
    };
    OWN.try_with(|own| {
        if own.0.now.load(Ordering::Relaxed).is_null() {
            // Only this thread writes it. It comes before the address, so that a watcher that sees
            // the address sees this count or a later one.
            let polls = own.0.polls.load(Ordering::Relaxed);
            own.0.polls.store(polls.wrapping_add(1), Ordering::Relaxed);
        }
        Before(own.0.replace(what))
    })
    .ok()
}

pub(super) fn leave(before: Before) {
    // The slot is gone with the thread's other locals only after it was taken off the list.
    let _ = OWN.try_with(|own| own.0.replace(before.0));
}

impl Slot {
    /// P2: waits while a watcher counts its reference.
    fn replace(&self, new: *mut ()) -> *mut () {
        let mut old = self.now.load(Ordering::Relaxed);
        loop {
            if old.addr() & LOCKED != 0 {
                std::hint::spin_loop();
                old = self.now.load(Ordering::Relaxed);
                continue;
            }
            // AcqRel: P1, P2. What `new` leads to is visible to the watcher that locks the slot.
            // The watcher's count comes before what this thread does to the old one next.
            match self
                .now
                .compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(old) => return old,
                Err(found) => old = found,
            }
        }
    }

    /// P3: called with the lock of the list.
    fn look(&self) -> Option<Polled> {
        let seen = self.now.load(Ordering::Relaxed);
        if seen.is_null() {
            return None;
        }
        let locked = seen.map_addr(|address| address | LOCKED);
        // Acquire: P1, with the `replace` that put it there.
        self.now
            .compare_exchange(seen, locked, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        let is_scope = seen.addr() & SCOPE != 0;
        let place = seen.map_addr(|address| address & !SCOPE);
        let polled = if is_scope {
            // SAFETY: P1, P2: the slot is locked, so its thread still lends what stands there. The
            // tag says that this is a scope.
            let scope = unsafe { &*place.cast::<Arc<Scope>>() };
            Polled::Scope(scope.clone())
        } else {
            // SAFETY: P1, P2: as above. Without the tag it is a task.
            let task = unsafe { &*place.cast::<TaskRef>() };
            Polled::Task(task.clone())
        };
        // Release: P2, with the next `replace`. The count is done.
        self.now.store(seen, Ordering::Release);
        Some(polled)
    }
}

/// What the threads poll right now.
pub(crate) fn look() -> Vec<Sight> {
    let slots = slots().lock();
    let mut sights = Vec::new();
    for slot in slots.iter() {
        if let Some(polled) = slot.look() {
            sights.push(Sight {
                thread: Arc::as_ptr(slot).addr(),
                poll: slot.polls.load(Ordering::Relaxed),
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
