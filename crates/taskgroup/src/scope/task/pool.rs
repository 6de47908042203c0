//! Memory for nodes. A thread keeps a few blocks that it was given back and uses them again: for a
//! child that does little, the allocator would cost more than anything else.
//!
//! Invariants:
//!
//! - **M1** A block of a class was allocated with the layout of that class, on whichever thread, so
//!   any thread may keep it or give it back to the allocator.
//! - **M2** A block in a list belongs to that list alone. Its first word leads to the next one.
//! - **M3** A thread keeps [`KEPT`] bytes of each class and [`KEPT_IN_ALL`] of all classes at most,
//!   and gives them back when it ends: what lives long stays at the size of what lives in it.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::NonNull;

/// Sizes are rounded up to a multiple of that.
const STEP: usize = 16;
/// Larger nodes are left to the allocator: what they do costs more than it does.
const CLASSES: usize = 16;
/// Under a checker each node is an allocation of its own, so that the checker sees a use after
/// free.
const KEPT: usize = if cfg!(any(miri, loom, taskgroup_unpooled)) {
    0
} else {
    128 * 1024
};
const KEPT_IN_ALL: usize = 2 * KEPT;

struct Block {
    next: *mut Block,
}

struct Pool {
    /// The first block of each class.
    lists: [Cell<*mut Block>; CLASSES],
    /// How many there are.
    counts: [Cell<usize>; CLASSES],
    /// The bytes of all.
    kept: Cell<usize>,
}

thread_local! {
    static POOL: Pool = const {
        Pool {
            lists: [const { Cell::new(std::ptr::null_mut()) }; CLASSES],
            counts: [const { Cell::new(0) }; CLASSES],
            kept: Cell::new(0),
        }
    };
}

/// The memory that a type takes.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    class: Option<usize>,
    /// Of its class, or of the type.
    layout: Layout,
}

impl Memory {
    pub(super) const fn of<T>() -> Self {
        const { assert!(size_of::<T>() > 0) };
        let layout = Layout::new::<T>();
        let class = layout.size().div_ceil(STEP);
        if class <= CLASSES && layout.align() <= STEP {
            if let Ok(layout) = Layout::from_size_align(class * STEP, STEP) {
                let class = Some(class - 1);
                return Self { class, layout };
            }
        }
        let class = None;
        Self { class, layout }
    }
}

/// A place for a value, to be written by the caller, for [`free`]. It is as large as its layout,
/// and no one else's (M2).
#[inline]
pub(super) fn place(memory: &Memory) -> NonNull<()> {
    let kept = memory
        .class
        .and_then(|class| POOL.try_with(|pool| pool.take(class)).ok()?);
    let block = kept.unwrap_or_else(|| {
        // SAFETY: M1: the layout is that of a class, or of a type whose size is not zero.
        let block = unsafe { alloc(memory.layout) };
        NonNull::new(block.cast()).unwrap_or_else(|| handle_alloc_error(memory.layout))
    });
    block.cast()
}

/// Takes memory back.
///
/// # Safety
/// M1: `place` is from [`place()`] for the same memory. M2: no code uses it any more.
#[inline]
pub(super) unsafe fn free(place: NonNull<()>, memory: &Memory) {
    let block = place.cast::<Block>();
    let kept = memory.class.is_some_and(|class| {
        let keep = |pool: &Pool| pool.put(class, block);
        POOL.try_with(keep).unwrap_or(false)
    });
    if !kept {
        // SAFETY: M1: it was allocated with this layout.
        unsafe { dealloc(block.as_ptr().cast(), memory.layout) };
    }
}

/// The size of the blocks of a class.
const fn size_of_class(class: usize) -> usize {
    (class + 1) * STEP
}

impl Pool {
    #[inline]
    fn take(&self, class: usize) -> Option<NonNull<Block>> {
        let list = &self.lists[class];
        let block = NonNull::new(list.get())?;
        // SAFETY: M2: a block in the list is ours alone, and `put` has written its first word.
        list.set(unsafe { block.as_ref() }.next);
        let count = &self.counts[class];
        count.set(count.get() - 1);
        self.kept.set(self.kept.get() - size_of_class(class));
        Some(block)
    }

    /// Returns whether it was kept.
    #[inline]
    fn put(&self, class: usize, block: NonNull<Block>) -> bool {
        let count = &self.counts[class];
        let kept = self.kept.get() + size_of_class(class);
        if (count.get() + 1) * size_of_class(class) > KEPT || kept > KEPT_IN_ALL {
            return false;
        }
        count.set(count.get() + 1);
        self.kept.set(kept);
        let list = &self.lists[class];
        let next = list.get();
        // SAFETY: M1, M2: each class has room for a word, and the caller gives the block away.
        unsafe {
            block.write(Block { next });
        }
        list.set(block.as_ptr());
        true
    }

    /// Gives a block of a class to the allocator. Returns whether there was one.
    fn give_back(&self, class: usize) -> bool {
        let size = size_of_class(class);
        let (Some(block), Ok(layout)) = (self.take(class), Layout::from_size_align(size, STEP))
        else {
            return false;
        };
        // SAFETY: M1: it was allocated with the layout of its class. M2: it is in no list any more.
        unsafe {
            dealloc(block.as_ptr().cast(), layout);
        }
        true
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for class in 0..CLASSES {
            while self.give_back(class) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leak<T>(value: T) -> NonNull<T> {
        let place = place(&Memory::of::<T>()).cast();
        // SAFETY: M2: it is a place for such a value, and ours alone.
        unsafe {
            place.write(value);
        }
        place
    }

    /// Frees what is from [`leak`].
    fn free_all<T>(places: impl IntoIterator<Item = NonNull<T>>) {
        for place in places {
            // SAFETY: M1, M2: each is from `leak`, and is freed once.
            unsafe {
                free(place.cast(), &Memory::of::<T>());
            }
        }
    }

    // M2, M3
    #[test]
    #[cfg_attr(any(miri, loom, taskgroup_unpooled), ignore = "nothing is kept there")]
    fn what_is_given_back_is_used_again_up_to_a_limit() {
        std::thread::spawn(|| {
            let kept = || POOL.with(|pool| pool.counts[7].get() * size_of_class(7));
            let first = leak([1_u64; 15]);
            let other = leak([2_u64; 15]);
            free_all([first]);
            assert_eq!(kept(), 128);
            let again = leak([3_u64; 16]);
            assert_eq!(kept(), 0);
            assert_eq!(first.cast::<u8>(), again.cast::<u8>(), "of the same class");
            assert_ne!(first, other);
            free_all(
                (0..2 * KEPT / 128)
                    .map(|_| leak([4_u64; 16]))
                    .collect::<Vec<_>>(),
            );
            assert_eq!(kept(), KEPT);
            free_all([other]);
            free_all([again]);
            assert_eq!(kept(), KEPT);
            // The crowds of other sizes share what is left.
            for _ in 0..2 {
                free_all(
                    (0..2 * KEPT / 64)
                        .map(|_| leak([5_u64; 8]))
                        .collect::<Vec<_>>(),
                );
                free_all(
                    (0..2 * KEPT / 32)
                        .map(|_| leak([6_u64; 4]))
                        .collect::<Vec<_>>(),
                );
            }
            assert_eq!(POOL.with(|pool| pool.kept.get()), KEPT_IN_ALL);
        })
        .join()
        .unwrap();
    }
}
