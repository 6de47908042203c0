//! Numbers for what runs at the same time, as small as possible: `TASKGROUP_SLOT`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Clones share one state.
#[derive(Clone, Default)]
pub(super) struct Numbers(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    free: BTreeSet<u32>,
    /// The largest number that was ever taken.
    largest: u32,
}

/// A number that is taken, until this is dropped.
pub(super) struct Number {
    numbers: Numbers,
    value: u32,
}

impl Numbers {
    /// The smallest number that is free, from 1.
    pub(super) fn take(&self) -> Number {
        let mut state = self.lock();
        let value = state.free.pop_first().unwrap_or_else(|| {
            state.largest += 1;
            state.largest
        });
        Number {
            numbers: self.clone(),
            value,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Number {
    pub(super) fn value(&self) -> u32 {
        self.value
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.numbers.lock().free.insert(self.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_free_number_is_taken() {
        let numbers = Numbers::default();
        let (one, two, three) = (numbers.take(), numbers.take(), numbers.take());
        assert_eq!((one.value(), two.value(), three.value()), (1, 2, 3));
        drop((two, one));
        assert_eq!(numbers.take().value(), 1);
    }
}
