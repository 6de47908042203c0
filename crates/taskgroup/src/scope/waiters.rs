//! What waits for something, in the order of arrival. Each waiter leaves in constant time when its
//! wait is given up (S44).
//!
//! A wait keeps the [`Key`] of its place and gives it back when it is dropped. Places are reused,
//! so a key has a number as well: one that is out of date names no waiter.
//!
//! - **W1** The waiters are a doubly linked list through the places; free places are a singly
//!   linked one.
//! - **W2** A waiter that is [called](Waiters::call_first) leaves the list and keeps its place
//!   until its wait has seen the call. So if that wait is given up instead,
//!   [`remove`](Waiters::remove) says so, and the call can go to the next one.
//! - **W3** No waker is cloned, woken or dropped in here: this is kept in a lock, and the thread
//!   that has the lock lets wakers go after it (G1).
//!
//! Why not a crate: `slab` stores no order and no generation, so both lists and the numbers would
//! be written around it all the same, and `event-listener` and the semaphore of Tokio bring locks
//! of their own, but a place of a limit has to change hands under the lock that counts the places.

use crate::gate::StoredWaker;

/// No place.
const NONE: u32 = u32::MAX;

/// The number of places that are kept when nothing waits any more. The memory of more is freed.
const KEPT: usize = 16;

/// Names a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    place: u32,
    number: u64,
}

pub(crate) struct Waiters {
    places: Vec<Place>,
    first_free: u32,
    first: u32,
    last: u32,
    /// How many places are not free.
    taken: u32,
    /// Of the waiter that came last.
    number: u64,
}

enum Place {
    Free {
        next: u32,
    },
    Waiting {
        number: u64,
        before: u32,
        after: u32,
        waker: StoredWaker,
    },
    /// W2
    Called {
        number: u64,
    },
}

/// What became of a waiter.
pub(crate) enum Removed {
    /// Its key was out of date.
    Outdated,
    /// It was waiting.
    Waiting(#[allow(dead_code, reason = "kept only to be dropped after the lock")] StoredWaker),
    /// It had been called.
    Called,
}

impl Default for Waiters {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            first_free: NONE,
            first: NONE,
            last: NONE,
            taken: 0,
            number: 0,
        }
    }
}

impl Waiters {
    pub(crate) fn is_empty(&self) -> bool {
        self.first == NONE
    }

    /// Whether the one with this key waits, with a waker that wakes the same as `waker`.
    pub(crate) fn has(&self, key: Key, waker: &std::task::Waker) -> bool {
        match self.place(key) {
            Some(Place::Waiting { waker: known, .. }) => known.will_wake(waker),
            _ => false,
        }
    }

    /// Whether the one with this key was called.
    pub(crate) fn is_called(&self, key: Key) -> bool {
        matches!(self.place(key), Some(Place::Called { .. }))
    }

    /// Puts a waiter at the end, or gives the one that has `key` another waker. Returns the waker
    /// that is not needed.
    #[must_use = "W3: a waker is dropped after the lock"]
    pub(crate) fn put(&mut self, key: &mut Option<Key>, waker: StoredWaker) -> Option<StoredWaker> {
        if let Some(Place::Waiting { waker: known, .. }) = key.and_then(|key| self.place_mut(key)) {
            return Some(std::mem::replace(known, waker));
        }
        self.number += 1;
        let waiting = Place::Waiting {
            number: self.number,
            before: self.last,
            after: NONE,
            waker,
        };
        let place = match self.places.get(self.first_free as usize) {
            Some(Place::Free { next }) => {
                let place = std::mem::replace(&mut self.first_free, *next);
                self.places[place as usize] = waiting;
                place
            }
            _ => {
                let place = u32::try_from(self.places.len()).expect("fewer than 2^32 waiters");
                self.places.push(waiting);
                place
            }
        };
        match self.places.get_mut(self.last as usize) {
            Some(Place::Waiting { after, .. }) => *after = place,
            _ => self.first = place,
        }
        self.last = place;
        self.taken += 1;
        *key = Some(Key {
            place,
            number: self.number,
        });
        None
    }

    /// Calls the one that waits longest (W2).
    pub(crate) fn call_first(&mut self) -> Option<StoredWaker> {
        let place = self.first;
        let (number, waker) = self.unlink(place)?;
        self.places[place as usize] = Place::Called { number };
        Some(waker)
    }

    /// Takes all waiters out, the first one first. Those that were called keep their places.
    #[must_use = "W3: a waker is woken after the lock"]
    pub(crate) fn take_all(&mut self) -> Vec<StoredWaker> {
        let mut wakers = Vec::new();
        let mut place = self.first;
        while let Some((_, waker)) = self.unlink(place) {
            wakers.push(waker);
            self.free(place);
            place = self.first;
        }
        wakers
    }

    /// The wait with this key has ended, or is given up.
    #[must_use = "W3: a waker is dropped after the lock"]
    pub(crate) fn remove(&mut self, key: Key) -> Removed {
        let removed = match self.place(key) {
            Some(Place::Waiting { .. }) => match self.unlink(key.place) {
                Some((_, waker)) => Removed::Waiting(waker),
                None => Removed::Outdated,
            },
            Some(Place::Called { .. }) => Removed::Called,
            _ => return Removed::Outdated,
        };
        self.free(key.place);
        removed
    }

    fn place(&self, key: Key) -> Option<&Place> {
        let place = self.places.get(key.place as usize)?;
        (place.number() == Some(key.number)).then_some(place)
    }

    fn place_mut(&mut self, key: Key) -> Option<&mut Place> {
        let place = self.places.get_mut(key.place as usize)?;
        (place.number() == Some(key.number)).then_some(place)
    }

    /// Takes one that waits out of the list. Its place is the caller's to fill (W1).
    fn unlink(&mut self, place: u32) -> Option<(u64, StoredWaker)> {
        let slot = self.places.get_mut(place as usize)?;
        if !matches!(slot, Place::Waiting { .. }) {
            return None;
        }
        let Place::Waiting {
            number,
            before,
            after,
            waker,
        } = std::mem::replace(slot, Place::Free { next: NONE })
        else {
            unreachable!("looked at just now")
        };
        match self.places.get_mut(before as usize) {
            Some(Place::Waiting { after: link, .. }) => *link = after,
            _ => self.first = after,
        }
        match self.places.get_mut(after as usize) {
            Some(Place::Waiting { before: link, .. }) => *link = before,
            _ => self.last = before,
        }
        Some((number, waker))
    }

    fn free(&mut self, place: u32) {
        let next = std::mem::replace(&mut self.first_free, place);
        self.places[place as usize] = Place::Free { next };
        self.taken -= 1;
        if self.taken == 0 && self.places.len() > KEPT {
            self.places = Vec::new();
            self.first_free = NONE;
        }
    }
}

impl Place {
    fn number(&self) -> Option<u64> {
        match self {
            Self::Free { .. } => None,
            Self::Waiting { number, .. } | Self::Called { number } => Some(*number),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::task::{Wake, Waker};

    use super::*;
    use crate::gate;

    struct Idle;
    impl Wake for Idle {
        fn wake(self: Arc<Self>) {}
    }

    fn waker() -> (Waker, StoredWaker) {
        let waker = Waker::from(Arc::new(Idle));
        let stored = gate::clone_waker(&waker);
        (waker, stored)
    }

    fn put(waiters: &mut Waiters) -> (Key, Waker) {
        let mut key = None;
        let (waker, stored) = waker();
        assert!(waiters.put(&mut key, stored).is_none());
        (key.unwrap(), waker)
    }

    // S44: in any order of arrivals, calls and departures, the one that has waited longest is
    // called. The list keeps the memory of its largest size, and none once all have gone.
    #[test]
    fn the_list_is_a_queue_that_forgets() {
        let mut waiters = Waiters::default();
        let mut expected: VecDeque<(Key, Waker)> = VecDeque::new();
        let mut called: Vec<Key> = Vec::new();
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            match random % 5 {
                0 | 1 if expected.len() < 40 => expected.push_back(put(&mut waiters)),
                2 => {
                    let next = waiters.call_first();
                    assert_eq!(next.is_some(), !expected.is_empty());
                    if let Some((key, waker)) = expected.pop_front() {
                        assert!(next.unwrap().will_wake(&waker));
                        assert!(waiters.is_called(key));
                        called.push(key);
                    }
                }
                3 if !expected.is_empty() => {
                    let at = (random >> 8) as usize % expected.len();
                    let (key, waker) = expected.remove(at).unwrap();
                    assert!(waiters.has(key, &waker));
                    assert!(matches!(waiters.remove(key), Removed::Waiting(_)));
                    assert!(matches!(waiters.remove(key), Removed::Outdated));
                }
                _ => {
                    if let Some(key) = called.pop() {
                        assert!(matches!(waiters.remove(key), Removed::Called));
                        assert!(!waiters.is_called(key));
                    }
                }
            }
            assert_eq!(waiters.is_empty(), expected.is_empty());
            assert!(waiters.places.len() <= 80);
        }
        let left = waiters.take_all();
        assert_eq!(left.len(), expected.len());
        for (waker, (key, own)) in left.into_iter().zip(expected) {
            assert!(waker.will_wake(&own));
            assert!(matches!(waiters.remove(key), Removed::Outdated));
        }
        for key in called {
            assert!(matches!(waiters.remove(key), Removed::Called));
        }
        assert!(waiters.taken == 0 && waiters.places.len() <= KEPT);
    }

    // S44: one that is polled again has one place, and its newest waker.
    #[test]
    fn a_waiter_that_comes_again_keeps_its_place() {
        let mut waiters = Waiters::default();
        let (key, first) = put(&mut waiters);
        let (_, other) = put(&mut waiters);
        let (newer, stored) = waker();
        let mut again = Some(key);
        let replaced = waiters.put(&mut again, stored).unwrap();
        assert!(replaced.will_wake(&first));
        assert_eq!(again, Some(key));
        let wakers = waiters.take_all();
        assert!(wakers[0].will_wake(&newer) && wakers[1].will_wake(&other));
        assert_eq!(wakers.len(), 2);
    }

    // S44: the key of one that has gone does not touch the next one in its place.
    #[test]
    fn a_key_that_is_out_of_date_names_nobody() {
        let mut waiters = Waiters::default();
        let (old, _) = put(&mut waiters);
        drop(waiters.take_all());
        let (new, waker) = put(&mut waiters);
        assert_eq!(old.place, new.place);
        assert!(!waiters.has(old, &waker));
        assert!(matches!(waiters.remove(old), Removed::Outdated));
        assert!(waiters.has(new, &waker));
    }
}
