//! A node's reference to the scope that owns it. To count each in the `Arc` would cost two of the few read-modify-writes that a child is.
//!
//! Invariants:
//!
//! - **O1** `nodes` of a scope counts the [`Owner`]s of it that there are, and those that a group has taken in advance (T9). While it is not
//!   0, one reference of the `Arc` belongs to all of them together.
//! - **O2** What a thread has put off giving back ([`OWED`]) is still counted in `nodes`. It puts off only while it has a [`Settling`], and the
//!   outermost one of these gives it back.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Arc;

use super::tree::Scope;
use crate::sync::{AtomicUsize, Ordering, thread_local};

/// One of those that O1 counts.
pub(crate) struct Owner(ManuallyDrop<Arc<Scope>>);

impl Owner {
    pub(super) fn new(scope: &Arc<Scope>) -> Self {
        add(scope, 1);
        // SAFETY: counted in the line above.
        #[allow(unsafe_code)]
        unsafe {
            Self::counted(scope)
        }
    }

    /// # Safety
    /// O1: it is counted already, and is the caller's.
    #[allow(unsafe_code)]
    pub(super) unsafe fn counted(scope: &Arc<Scope>) -> Self {
        // SAFETY: of the two only `scope` is ever dropped: O1 keeps what this one points to.
        Self(ManuallyDrop::new(unsafe { std::ptr::read(scope) }))
    }
}

impl Deref for Owner {
    type Target = Arc<Scope>;
    fn deref(&self) -> &Arc<Scope> {
        &self.0
    }
}

impl Drop for Owner {
    #[inline]
    fn drop(&mut self) {
        let scope = Arc::as_ptr(&self.0);
        let put_off = OWED.try_with(|owed| owed.put_off(scope)).unwrap_or(false);
        if !put_off {
            // SAFETY: O1: this one was counted.
            #[allow(unsafe_code)]
            unsafe {
                give_back(scope, 1);
            }
        }
    }
}

/// Counts so many to come.
pub(super) fn add(scope: &Arc<Scope>, count: usize) {
    let mut nodes = scope.nodes.load(Ordering::Relaxed);
    while nodes > 0 {
        // As long as it is not 0 the common reference is there.
        match scope.nodes.compare_exchange_weak(
            nodes,
            nodes + count,
            Ordering::AcqRel,
            Ordering::Relaxed,
        ) {
            Ok(_) => return,
            Err(now) => nodes = now,
        }
    }
    // Before they are counted: whoever gives the last one back gives back what belongs to all.
    let common = scope.clone();
    if scope.nodes.fetch_add(count, Ordering::AcqRel) == 0 {
        std::mem::forget(common);
    }
}

/// # Safety
/// O1: so many are the caller's. They keep the scope, which may be gone afterwards.
#[allow(unsafe_code)]
pub(super) unsafe fn give_back(scope: *const Scope, count: usize) {
    // SAFETY: O1.
    let nodes: &AtomicUsize = unsafe { &(*scope).nodes };
    if nodes.fetch_sub(count, Ordering::AcqRel) == count {
        // SAFETY: O1: the common reference. It was an `Arc` that `add` forgot.
        unsafe { Arc::decrement_strong_count(scope) };
    }
}

/// What a thread has to give back.
struct Owed {
    scope: Cell<*const Scope>,
    count: Cell<usize>,
    /// How many [`Settling`]s there are.
    depth: Cell<usize>,
}

thread_local! {
    static OWED: Owed = const {
        Owed {
            scope: Cell::new(std::ptr::null()),
            count: Cell::new(0),
            depth: Cell::new(0),
        }
    };
}

impl Owed {
    /// O2. `false` when there is nobody who would give it back.
    #[inline]
    fn put_off(&self, scope: *const Scope) -> bool {
        if self.depth.get() == 0 {
            return false;
        }
        if !std::ptr::eq(self.scope.get(), scope) {
            self.settle();
            self.scope.set(scope);
        }
        self.count.set(self.count.get() + 1);
        true
    }

    #[inline(never)]
    fn settle(&self) {
        let (scope, count) = (self.scope.replace(std::ptr::null()), self.count.take());
        if count > 0 {
            // SAFETY: O2: they were put off, each of them an `Owner` of that scope.
            #[allow(unsafe_code)]
            unsafe {
                give_back(scope, count);
            }
        }
    }
}

/// As long as there is one, its thread may put off giving back (O2). It lasts for one poll.
pub(super) struct Settling(bool);

impl Settling {
    #[inline]
    pub(super) fn begin() -> Self {
        let begin = |owed: &Owed| owed.depth.set(owed.depth.get() + 1);
        Self(OWED.try_with(begin).is_ok())
    }
}

impl Drop for Settling {
    #[inline]
    fn drop(&mut self) {
        if self.0 {
            let _ = OWED.try_with(|owed| {
                if owed.depth.get() == 1 {
                    // What goes with the scope may give back another one, which is put off and then found here.
                    while owed.count.get() > 0 {
                        owed.settle();
                    }
                }
                owed.depth.set(owed.depth.get() - 1);
            });
        }
    }
}
