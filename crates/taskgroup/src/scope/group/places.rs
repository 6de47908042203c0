//! The places of a group with a limit, and what waits for one.

use std::collections::BTreeMap;

use crate::gate::StoredWaker;
use crate::scope::waiters::Waiters;

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
        }
    }

    pub(super) fn is_free(&self) -> bool {
        self.placed < self.limit && self.queued.is_empty() && self.waiting.is_empty()
    }

    /// Hands a place that is free to whose turn it is: children that were spawned already come
    /// first.
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
