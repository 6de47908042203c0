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
