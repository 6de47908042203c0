//! The queue of one thread: what its code has submitted, first in first out. The pump that this thread polls takes from it, and so does
//! any other pump that has nothing to do.
//!
//! Invariants:
//!
//! - **R1** Only one thread at a time pushes, pops, grows and shrinks: the one that has the seat with this ring.
//! - **R2** Between `head` and `tail` stand references that belong to the ring. Whoever moves `head` past one of them owns it.
//! - **R3** Both only grow. A place is written only when `head` has passed what stood there, so whoever has read a place and then still
//!   finds `head` where it was has read what stands there now.
//! - **R4** Each change of `tail`, and each look at it that decides whether to sleep or whether all is gone, is a read-modify-write. Of a push and such a
//!   look the second one sees what the other did before it.
//! - **R5** A buffer that was replaced is never written again, and is freed when a look at `thieves`, later than the replacement, found none.
//!   A thief is counted there before it looks for the buffer.

use std::ptr::NonNull;

use crate::scope::node::Header;
use crate::scope::task::TaskRef;
use crate::sync::{AtomicPtr, AtomicUsize, Mutex, Ordering};

/// How many tasks there is room for at first. A power of two, like all sizes.
const SMALL: usize = if cfg!(loom) { 1 } else { 64 };
/// Room for more than that is given back when it is not needed.
const LARGE: usize = if cfg!(loom) { 1 } else { 1024 };
/// How many a thief takes at most.
const SHARE: usize = if cfg!(loom) { 2 } else { 512 };

pub(super) struct Ring {
    taken: Apart<Taken>,
    put: Apart<Put>,
    /// Those of R5, from `Box::into_raw`.
    replaced: Mutex<Vec<AtomicPtr<Buffer>>>,
}

/// What is written by all who take.
#[derive(Default)]
struct Taken {
    head: AtomicUsize,
    thieves: AtomicUsize,
}

/// What is written by the one who pushes.
struct Put {
    tail: AtomicUsize,
    /// From `Box::into_raw`.
    buffer: AtomicPtr<Buffer>,
}

struct Buffer {
    places: Box<[AtomicPtr<Header>]>,
}

/// On cache lines of its own (two, as they are fetched in pairs): who writes to it does not disturb those who use what is beside it.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Apart<T>(pub(super) T);

impl<T> std::ops::Deref for Apart<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl Buffer {
    fn new(size: usize) -> Box<Self> {
        let place = || AtomicPtr::new(std::ptr::null_mut());
        Box::new(Self {
            places: (0..size).map(|_| place()).collect(),
        })
    }

    fn size(&self) -> usize {
        self.places.len()
    }

    #[inline]
    fn place(&self, at: usize) -> &AtomicPtr<Header> {
        &self.places[at & (self.places.len() - 1)]
    }
}

impl Ring {
    pub(super) fn new() -> Self {
        Self {
            taken: Apart::default(),
            put: Apart(Put {
                tail: AtomicUsize::new(0),
                buffer: AtomicPtr::new(Box::into_raw(Buffer::new(SMALL))),
            }),
            replaced: Mutex::default(),
        }
    }

    /// For the one of R1.
    #[inline]
    fn buffer(&self) -> &Buffer {
        // SAFETY: R1: it is replaced by nobody else, and R5: freed after that.
        #[allow(unsafe_code)]
        unsafe {
            &*self.put.buffer.load(Ordering::Relaxed)
        }
    }

    /// Puts a task behind the others. For the one of R1.
    #[inline]
    pub(super) fn push(&self, task: TaskRef) {
        self.extend(1, std::iter::once(task));
    }

    /// Puts so many behind the others. For the one of R1.
    #[inline]
    pub(super) fn extend(&self, count: usize, tasks: impl Iterator<Item = TaskRef>) {
        let tail = self.write(count, tasks.map(|task| task.into_raw().as_ptr()));
        self.show(tail);
    }

    /// Writes so many behind the others, where nobody looks yet. Gives the tail that [`show`](Self::show)s them. For the one of R1.
    #[inline]
    fn write(&self, count: usize, tasks: impl Iterator<Item = *mut Header>) -> usize {
        let mut tail = self.put.tail.load(Ordering::Relaxed);
        // R3: what was read from a place was read before `head` was moved.
        let head = self.taken.head.load(Ordering::Acquire);
        let mut buffer = self.buffer();
        if tail.wrapping_sub(head) + count > buffer.size() {
            buffer = self.grow(head, tail, count);
        }
        for task in tasks.take(count) {
            buffer.place(tail).store(task, Ordering::Relaxed);
            tail = tail.wrapping_add(1);
        }
        tail
    }

    /// R4: a swap, not a store.
    #[inline]
    fn show(&self, tail: usize) {
        self.put.tail.swap(tail, Ordering::AcqRel);
    }

    #[cold]
    #[inline(never)]
    fn grow(&self, head: usize, tail: usize, count: usize) -> &Buffer {
        let old = self.buffer();
        let len = tail.wrapping_sub(head);
        let new = Buffer::new((len + count).next_power_of_two().max(2 * old.size()));
        for step in 0..len {
            let at = head.wrapping_add(step);
            // What a thief takes meanwhile is copied in vain.
            let task = old.place(at).load(Ordering::Relaxed);
            new.place(at).store(task, Ordering::Relaxed);
        }
        self.replace(new);
        self.buffer()
    }

    /// Gives the memory of a wide moment back. For the one of R1.
    pub(super) fn shrink(&self) {
        if self.buffer().size() > LARGE && self.is_empty() {
            self.replace(Buffer::new(SMALL));
        } else if !self.replaced.lock().is_empty() {
            self.free_replaced();
        }
    }

    fn replace(&self, new: Box<Buffer>) {
        let old = self.put.buffer.swap(Box::into_raw(new), Ordering::AcqRel);
        self.replaced.lock().push(AtomicPtr::new(old));
        self.free_replaced();
    }

    /// R5
    fn free_replaced(&self) {
        let mut replaced = self.replaced.lock();
        if self.taken.thieves.fetch_add(0, Ordering::AcqRel) == 0 {
            let all = replaced.drain(..);
            all.map(|buffer| buffer.load(Ordering::Acquire))
                .for_each(free);
        }
    }

    /// The first task. For the one of R1.
    #[inline]
    pub(super) fn pop(&self) -> Option<TaskRef> {
        let tail = self.put.tail.load(Ordering::Relaxed);
        let mut head = self.taken.head.load(Ordering::Acquire);
        while head != tail {
            let first = self.buffer().place(head).load(Ordering::Relaxed);
            match self.take(head, 1) {
                // SAFETY: R2, R3.
                #[allow(unsafe_code)]
                Ok(()) => return Some(unsafe { owned(first) }),
                Err(now) => head = now,
            }
        }
        None
    }

    /// Takes half of what is there, up to a limit: gives the first one out, and puts the others behind those of `to`, the thief's own ring. Says how
    /// many these are. A thief without a ring takes one.
    pub(super) fn steal(&self, to: Option<&Self>) -> Option<(TaskRef, usize)> {
        // Most have nothing, and nobody's cache lines are to be taken to see that. Who decides to sleep looks again (R4).
        let head = self.taken.head.load(Ordering::Acquire);
        if self.put.tail.load(Ordering::Acquire) == head {
            return None;
        }
        self.taken.thieves.fetch_add(1, Ordering::AcqRel);
        let stolen = self.steal_counted(to);
        self.taken.thieves.fetch_sub(1, Ordering::AcqRel);
        stolen
    }

    fn steal_counted(&self, to: Option<&Self>) -> Option<(TaskRef, usize)> {
        let mut most = if to.is_some() { SHARE } else { 1 };
        let mut head = self.taken.head.load(Ordering::Acquire);
        loop {
            let len = self.put.tail.load(Ordering::Acquire).wrapping_sub(head);
            let share = len.div_ceil(2).min(most);
            let others = share.checked_sub(1)?;
            // SAFETY: R5: it is the one that is there now or later, and we are counted.
            #[allow(unsafe_code)]
            let buffer = unsafe { &*self.put.buffer.load(Ordering::Acquire) };
            let look = |step| {
                let place = buffer.place(head.wrapping_add(step));
                place.load(Ordering::Relaxed)
            };
            let first = look(0);
            let written = to.map(|to| (to, to.write(others, (1..share).map(look))));
            match self.take(head, share) {
                Ok(()) => {
                    if let (Some((to, tail)), true) = (written, others > 0) {
                        to.show(tail);
                    }
                    // SAFETY: R2, R3.
                    #[allow(unsafe_code)]
                    return Some((unsafe { owned(first) }, others));
                }
                Err(now) => {
                    head = now;
                    // While we copy many, the owner takes one after the other.
                    most = share.div_ceil(2);
                }
            }
        }
    }

    /// R2: whoever succeeds owns the next `count`.
    #[inline]
    fn take(&self, head: usize, count: usize) -> Result<(), usize> {
        let next = head.wrapping_add(count);
        let moved =
            self.taken
                .head
                .compare_exchange(head, next, Ordering::AcqRel, Ordering::Acquire);
        moved.map(|_| ())
    }

    /// R4.
    pub(super) fn is_empty(&self) -> bool {
        let tail = self.put.tail.fetch_add(0, Ordering::AcqRel);
        tail == self.taken.head.load(Ordering::Acquire)
    }
}

/// # Safety
/// It is from [`TaskRef::into_raw`], and the caller is the first to take it.
#[allow(unsafe_code)]
unsafe fn owned(task: *mut Header) -> TaskRef {
    // SAFETY: the caller's: no null pointer comes out of `into_raw`.
    let task = unsafe { NonNull::new_unchecked(task) };
    // SAFETY: the caller's.
    unsafe { TaskRef::from_raw(task) }
}

/// A buffer that nobody uses any more.
fn free(buffer: *mut Buffer) {
    // SAFETY: all that are kept are from `Box::into_raw`, each in one place, and R5.
    #[allow(unsafe_code)]
    drop(unsafe { Box::from_raw(buffer) });
}

impl Drop for Ring {
    fn drop(&mut self) {
        while self.pop().is_some() {}
        self.free_replaced();
        free(self.put.buffer.load(Ordering::Acquire));
    }
}

#[cfg(all(test, not(loom)))]
pub(super) mod tests {
    use std::panic::Location;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::scope::owner::Owner;
    use crate::scope::task::{self, Spec};
    use crate::scope::tree::{Kind, Scope};

    /// Tasks that do nothing, by their numbers.
    pub(in crate::scope::driver) fn tasks(count: u32) -> impl Iterator<Item = TaskRef> {
        let scope = Scope::open(Kind::Section, Scope::root().clone(), Location::caller());
        (0..count).map(move |index| {
            scope.enter_child().expect("it is open");
            let spec = Spec {
                owner: Owner::new(&scope),
                index,
                name: None,
                location: Location::caller(),
                bits: 0,
            };
            task::new(spec, async {}).0
        })
    }

    pub(in crate::scope::driver) fn end(task: TaskRef) -> u32 {
        let index = task.header().index;
        task.run();
        index
    }

    // R2, R3
    #[test]
    fn what_goes_in_first_comes_out_first_while_it_grows() {
        let ring = Ring::new();
        let mut all = tasks(500);
        let mut out = Vec::new();
        for round in 0..100 {
            ring.extend(5, all.by_ref());
            if round % 2 == 0 {
                out.extend(ring.pop().map(end));
            }
        }
        assert!(ring.buffer().size() > SMALL && !ring.is_empty());
        out.extend(std::iter::from_fn(|| ring.pop()).map(end));
        assert!(out.into_iter().eq(0..500));
        assert!(ring.is_empty());
    }

    fn ended(ring: &Ring) -> Vec<u32> {
        std::iter::from_fn(|| ring.pop()).map(end).collect()
    }

    // R2: half of it, the first ones.
    #[test]
    fn a_thief_leaves_half() {
        let (ring, thief) = (Ring::new(), Ring::new());
        ring.extend(7, tasks(7));
        let (first, others) = ring.steal(Some(&thief)).expect("there are some");
        assert_eq!((end(first), others), (0, 3));
        assert_eq!(ended(&thief), [1, 2, 3]);
        assert_eq!(ended(&ring), [4, 5, 6]);
        assert!(ring.steal(Some(&thief)).is_none());
    }

    // R2: behind what the thief has, in a ring that is too small for it; and not more than the limit.
    #[test]
    fn stolen_goods_go_behind_what_is_there() {
        let (ring, thief) = (Ring::new(), Ring::new());
        let mut all = tasks(4 * SHARE as u32);
        thief.extend(2, all.by_ref());
        ring.extend(4 * SHARE - 2, all);
        let (first, others) = ring.steal(Some(&thief)).expect("there are some");
        assert_eq!((end(first), others), (2, SHARE - 1));
        let all = SHARE as u32 + 2;
        assert!(
            ended(&thief)
                .into_iter()
                .eq((0..all).filter(|&task| task != 2))
        );
        let (first, others) = ring.steal(None).expect("there are some");
        assert_eq!((end(first), others), (all, 0));
        assert!(ended(&ring).into_iter().eq(all + 1..4 * SHARE as u32));
    }

    #[test]
    fn what_is_left_in_a_ring_is_given_back() {
        let (ring, thief) = (Ring::new(), Ring::new());
        let all: Vec<_> = tasks(4).collect();
        ring.extend(4, all.iter().cloned());
        let first = ring.steal(Some(&thief));
        drop((thief, ring));
        drop(first);
        // Only ours, the tree's and none of the joiner's.
        assert!(all.iter().all(|task| task.references() == 2));
        for task in all {
            end(task);
        }
    }

    // R5
    #[test]
    fn room_of_a_wide_moment_is_given_back() {
        let ring = Ring::new();
        ring.extend(2 * LARGE, tasks(2 * LARGE as u32));
        ring.shrink();
        assert_eq!(ring.buffer().size(), 2 * LARGE, "not while it is needed");
        while let Some(task) = ring.pop() {
            end(task);
        }
        ring.taken.thieves.fetch_add(1, Ordering::AcqRel);
        ring.shrink();
        assert_eq!(ring.buffer().size(), SMALL);
        assert_eq!(ring.replaced.lock().len(), 1, "not while a thief may look");
        ring.taken.thieves.fetch_sub(1, Ordering::AcqRel);
        ring.shrink();
        assert_eq!(ring.replaced.lock().len(), 0);
    }

    // R1 to R5 with real threads: each task is had by one.
    #[test]
    fn thieves_and_the_owner_share_without_loss() {
        const ALL: u32 = if cfg!(miri) { 300 } else { 20_000 };
        let ring = Arc::new(Ring::new());
        let over = Arc::new(AtomicBool::new(false));
        let thieves: Vec<_> = (0..2)
            .map(|_| {
                let (ring, over) = (ring.clone(), over.clone());
                std::thread::spawn(move || {
                    let (own, mut had) = (Ring::new(), Vec::new());
                    while !over.load(Ordering::Acquire) {
                        let stolen = ring.steal(Some(&own));
                        had.extend(stolen.map(|(first, _)| end(first)));
                        had.extend(ended(&own));
                    }
                    had
                })
            })
            .collect();
        let mut had = Vec::new();
        for (number, task) in tasks(ALL).enumerate() {
            ring.push(task);
            if number % 3 == 0 {
                had.extend(ring.pop().map(end));
            }
            if number % 1_000 == 0 {
                ring.shrink();
            }
        }
        had.extend(std::iter::from_fn(|| ring.pop()).map(end));
        over.store(true, Ordering::Release);
        for thief in thieves {
            had.extend(thief.join().expect("a thief"));
        }
        had.sort_unstable();
        assert!(had.into_iter().eq(0..ALL));
    }
}
