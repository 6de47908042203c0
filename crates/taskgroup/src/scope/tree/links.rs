//! The lists of what is linked below a scope.

use smallvec::SmallVec;

use crate::sync::{AtomicU32, Ordering};

/// The few that most scopes have below them take no memory of their own.
pub(super) type Links<T> = SmallVec<[T; 2]>;

/// The place of what is not linked.
pub(in crate::scope) const NO_SLOT: u32 = u32::MAX;

/// The place that the next one in `list` will have.
pub(super) fn place<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).expect("fewer than 2^32 live children")
}

/// Takes the one at `slot` out; the last one moves there and learns of it. Gives the memory of a
/// wide moment back, so that a group that lives long stays at the size of what lives in it.
pub(super) fn take_at<T>(
    list: &mut Links<T>,
    slot: u32,
    slot_of: impl Fn(&T) -> &AtomicU32,
) -> Option<T> {
    if slot == NO_SLOT {
        return None;
    }
    let taken = list.swap_remove(slot as usize);
    if let Some(moved) = list.get(slot as usize) {
        slot_of(moved).store(slot, Ordering::Relaxed);
    }
    if list.capacity() > 64 && list.len() < list.capacity() / 4 {
        list.shrink_to_fit();
    }
    Some(taken)
}

/// Sorts by `index`; equals keep their order. What is sorted are numbers, so the sort of the
/// standard library is compiled once for all lists.
pub(super) fn sort_by_index<T>(list: &mut [T], index: impl Fn(&T) -> u32) {
    if list.is_sorted_by_key(&index) {
        return;
    }
    let numbered = (0_u64..).zip(&*list);
    let mut places: Vec<u64> = numbered
        .map(|(place, item)| u64::from(index(item)) << 32 | place)
        .collect();
    places.sort_unstable();
    let from = |places: &[u64], to: usize| (places[to] & u64::from(u32::MAX)) as usize;
    for first in 0..list.len() {
        // One round of items that take each other's places.
        let mut to = first;
        while from(&places, to) != first {
            let next = from(&places, to);
            list.swap(to, next);
            places[to] = to as u64;
            to = next;
        }
        places[to] = to as u64;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    // S16: tasks come in spawn order, and those with equal numbers as they are linked.
    #[test]
    fn a_list_is_sorted_and_equals_keep_their_order() {
        let mut state = 7_u64;
        for len in (0..40).chain([1000]) {
            let mut list: Vec<(u32, usize)> = (0..len)
                .map(|place| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    (((state >> 40) % 50) as u32, place)
                })
                .collect();
            let mut expected = list.clone();
            expected.sort_by_key(|item| item.0);
            sort_by_index(&mut list, |item| item.0);
            assert_eq!(list, expected);
        }
    }
}
