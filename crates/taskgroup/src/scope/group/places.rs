//! The places of a group with a limit, and what waits for one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::gate::StoredWaker;
use crate::scope::waiters::Waiters;
use crate::sync::Mutex;

/// What keeps a limit, behind a table: only `Limit::new` names the type, so a program that limits
/// no group does not contain that code. `S` is the group's scope, `G` what a group has beside it.
pub(super) trait Limiter<S, G, T>: Send + Sync {
    fn places(&self) -> &Mutex<Places<T>>;

    /// A child that is to start. It comes back if there is a place, and is in the queue otherwise.
    fn start(&self, scope: &Arc<S>, task: T) -> Option<T>;

    /// As `GroupState::take_queued`.
    fn take_queued(&self, group: &G) -> Vec<T>;

    /// As `GroupState::unqueue`.
    fn unqueue(&self, group: &G, index: u32);

    /// As `GroupState::place_free`.
    fn place_free(&self, group: &G);

    /// As `GroupState::stirs`.
    fn stirs(&self, index: u32);

    /// As `Group::waits_inside`.
    fn waits_inside(&self, scope: &Arc<S>, what: WaitsFor) -> Option<u32>;
}

/// The children of a group with a limit.
pub(super) struct Places<T> {
    /// How many places there are.
    pub(super) limit: usize,
    /// Children that hold one of the limit's places.
    pub(super) placed: usize,
    /// Children that wait for a place, by their number: in spawn order.
    pub(super) queued: BTreeMap<u32, T>,
    /// Spawns that wait for a place. While there are any, no place is free: one that is given back
    /// is handed to the first of them, and is taken from then on.
    pub(super) waiting: Waiters,
    /// What children with a place waited for when they were polled last, if it was in this group:
    /// by their number.
    pub(super) notes: BTreeMap<u32, WaitsFor>,
    /// How often the notes have changed.
    pub(super) changes: u64,
    /// An alarm will look at the notes, or the warning was given.
    pub(super) is_watched: bool,
}

/// What a child with a place waits for, in its own group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitsFor {
    Place,
    /// The child with this number, which is in the queue.
    Child(u32),
}

/// What a free place goes to.
pub(super) enum PlaceGoesTo<T> {
    Child(T),
    /// A place was handed to this one.
    Waiter(StoredWaker),
}

impl<T> Places<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            placed: 0,
            queued: BTreeMap::new(),
            waiting: Waiters::default(),
            notes: BTreeMap::new(),
            changes: 0,
            is_watched: false,
        }
    }

    /// Whether a wait for this has to wait for a place.
    pub(super) fn is_to_come(&self, what: WaitsFor) -> bool {
        match what {
            WaitsFor::Place => true,
            WaitsFor::Child(index) => self.queued.contains_key(&index),
        }
    }

    /// Each place is held by a child that waits for one.
    pub(super) fn is_stuck(&self) -> bool {
        self.placed >= self.limit
            && self.placed == self.notes.len()
            && self.notes.values().all(|what| self.is_to_come(*what))
    }

    /// Notes what a child with a place waits for. Returns the number of changes if an alarm is to
    /// be set now.
    pub(super) fn note(&mut self, index: u32, what: WaitsFor) -> Option<u64> {
        self.changes += 1;
        self.notes.insert(index, what);
        let to_watch = !self.is_watched && self.is_stuck();
        self.is_watched |= to_watch;
        to_watch.then_some(self.changes)
    }

    /// Takes the note of this child back. Returns whether there are other notes.
    pub(super) fn forget_note(&mut self, index: u32) -> bool {
        self.changes += u64::from(self.notes.remove(&index).is_some());
        !self.notes.is_empty()
    }

    /// The notes by child: `None` for a place, or the queued child that it waits for.
    pub(super) fn notes(&self) -> Vec<(u32, Option<T>)>
    where
        T: Clone,
    {
        let awaited = |what| match what {
            WaitsFor::Place => None,
            WaitsFor::Child(index) => self.queued.get(&index).cloned(),
        };
        let notes = self.notes.iter();
        notes
            .map(|(index, what)| (*index, awaited(*what)))
            .collect()
    }

    pub(super) fn is_free(&self) -> bool {
        self.placed < self.limit && self.queued.is_empty() && self.waiting.is_empty()
    }

    /// Hands a free place to the next in turn. Children that were spawned already come first.
    pub(super) fn next(&mut self) -> Option<PlaceGoesTo<T>> {
        if self.placed >= self.limit {
            return None;
        }
        let queued = self.queued.pop_first();
        let next = queued.map(|(_, task)| PlaceGoesTo::Child(task));
        let next = next.or_else(|| self.waiting.call_first().map(PlaceGoesTo::Waiter));
        self.placed += usize::from(next.is_some());
        next
    }
}
