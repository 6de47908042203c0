//! The rings of one seat: one for what was woken, and one for new children at each depth of groups.
//!
//! A pump takes by turns: now what was woken, in that order; now a new child of the deepest group that has one. So a group in a tree of groups
//! is done before its neighbours begin, and the memory of a tree is that of a few ways down, not of its width. The children of one group
//! stand in one ring, in spawn order.
//!
//! Invariants:
//!
//! - **Q1** Only the one who has the seat (R1) pushes, pops, makes rings and changes `filled`, `deepest` and `turns`.
//! - **Q2** `filled` says which of the deeper rings may have something in them. A pusher sets the bit after the push, if it is not set, and then looks
//!   for idle pumps; it is cleared when the ring is found empty. A pump looks there by a read-modify-write before it sleeps (R4): either it
//!   sees the bit, and then the push in the ring; or the pusher that sets the bit comes later and sees that the pump is idle.
//! - **Q3** Nothing starves: of [`ROUND`] tasks half come from the ring of what was woken, if it has any, and one from each of the other rings by
//!   turns.

use super::ring::Ring;
use crate::scope::task::TaskRef;
use crate::sync::{AtomicUsize, OnceLock, Ordering};

/// How many deeper rings there are. Children of groups further down stand in the last one.
pub(super) const DEEPER: usize = 15;
/// Every so many tasks one comes from a ring that is not the deepest.
const ROUND: usize = 16;

pub(in crate::scope) struct Rings {
    /// What was woken, and children of groups that are in no other.
    first: Ring,
    deeper: Box<[OnceLock<Box<Ring>>]>,
    /// Q2
    filled: AtomicUsize,
    /// No deeper ring than that has something in it; 0 is the first one.
    deepest: AtomicUsize,
    turns: AtomicUsize,
}

impl Rings {
    /// With so many deeper ones.
    pub(super) fn new(deeper: usize) -> Self {
        Self {
            first: Ring::new(),
            deeper: (0..deeper).map(|_| OnceLock::new()).collect(),
            filled: AtomicUsize::new(0),
            deepest: AtomicUsize::new(0),
            turns: AtomicUsize::new(0),
        }
    }

    /// That of the tasks that were woken. Others put there is what has no place of its own.
    pub(super) fn first(&self) -> &Ring {
        &self.first
    }

    /// Puts a new child of a group with so many groups above it behind the others of its depth; what was woken counts as highest up. For the one of Q1.
    #[inline]
    pub(super) fn push(&self, depth: usize, task: TaskRef) {
        let level = depth.min(self.deeper.len());
        if level == 0 {
            return self.first.push(task);
        }
        self.made(level).push(task);
        self.fill(level);
    }

    fn made(&self, level: usize) -> &Ring {
        self.deeper[level - 1].get_or_init(|| Box::new(Ring::new()))
    }

    /// Something was put into a deeper ring. For the one of Q1.
    #[inline]
    fn fill(&self, level: usize) {
        if self.filled.load(Ordering::Relaxed) & bit(level) == 0 {
            self.filled.fetch_or(bit(level), Ordering::AcqRel);
        }
        if self.deepest.load(Ordering::Relaxed) < level {
            self.deepest.store(level, Ordering::Relaxed);
        }
    }

    /// The next task. For the one of Q1.
    #[inline]
    pub(super) fn pop(&self) -> Option<TaskRef> {
        if self.deepest.load(Ordering::Relaxed) == 0 {
            return self.first.pop();
        }
        let turn = self.turns.load(Ordering::Relaxed).wrapping_add(1);
        self.turns.store(turn, Ordering::Relaxed);
        if turn % 2 == 0 {
            if let Some(task) = self.first.pop() {
                return Some(task);
            }
        } else if turn % ROUND == ROUND - 1 {
            let level = 1 + turn / ROUND % self.deeper.len();
            let ring = self.deeper[level - 1].get();
            if let Some(task) = ring.and_then(|ring| ring.pop()) {
                return Some(task);
            }
        }
        self.pop_deepest().or_else(|| self.first.pop())
    }

    fn pop_deepest(&self) -> Option<TaskRef> {
        let deepest = self.deepest.load(Ordering::Relaxed);
        for level in (1..=deepest).rev() {
            let ring = self.deeper[level - 1].get();
            if let Some(task) = ring.and_then(|ring| ring.pop()) {
                self.deepest.store(level, Ordering::Relaxed);
                return Some(task);
            }
        }
        self.deepest.store(0, Ordering::Relaxed);
        None
    }

    /// Takes half of what is in one of the rings, the first that has something: gives the first one out, and puts the others behind those of `to`, the
    /// thief's own. Says how many these are.
    pub(super) fn steal(&self, to: Option<&Self>) -> Option<(TaskRef, usize)> {
        if let Some(stolen) = self.first.steal(to.map(Self::first)) {
            return Some(stolen);
        }
        let filled = self.filled.load(Ordering::Acquire);
        self.levels(filled).find_map(|level| {
            let ring = self.deeper[level - 1].get()?;
            let stolen = ring.steal(to.map(|to| to.made(level)))?;
            if let (Some(to), true) = (to, stolen.1 > 0) {
                to.fill(level);
            }
            Some(stolen)
        })
    }

    /// R4, Q2.
    pub(super) fn is_empty(&self) -> bool {
        let is_empty = |level: usize| {
            let ring = self.deeper[level - 1].get();
            ring.is_none_or(|ring| ring.is_empty())
        };
        let deeper_are_empty = || {
            let filled = self.filled.fetch_or(0, Ordering::AcqRel);
            self.levels(filled).all(is_empty)
        };
        self.first.is_empty() && (self.deeper.is_empty() || deeper_are_empty())
    }

    /// Gives the memory of a wide moment back. For the one of Q1.
    pub(super) fn shrink(&self) {
        self.first.shrink();
        for level in self.levels(self.filled.load(Ordering::Relaxed)) {
            let Some(ring) = self.deeper[level - 1].get() else {
                continue;
            };
            ring.shrink();
            if ring.is_empty() {
                self.filled.fetch_and(!bit(level), Ordering::AcqRel);
            }
        }
    }

    /// Those whose bits are set.
    fn levels(&self, filled: usize) -> impl Iterator<Item = usize> {
        (1..=self.deeper.len()).filter(move |&level| filled & bit(level) != 0)
    }
}

fn bit(level: usize) -> usize {
    1 << level
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::ring::tests::{end, tasks};
    use super::*;

    fn task(index: u32) -> TaskRef {
        let mut all = tasks(index + 1);
        (&mut all)
            .take(index as usize)
            .for_each(|task| _ = end(task));
        all.next().unwrap()
    }

    fn all(rings: &Rings) -> Vec<u32> {
        std::iter::from_fn(|| rings.pop()).map(end).collect()
    }

    // Deepest first, in spawn order within a depth; what was woken by turns with that.
    #[test]
    fn new_children_run_depth_first() {
        let rings = Rings::new(DEEPER);
        let mut all_tasks = tasks(6);
        for depth in [1, 1, 2, 2] {
            rings.push(depth, all_tasks.next().unwrap());
        }
        assert_eq!(all(&rings), [2, 3, 0, 1]);
        assert!(rings.is_empty());
        for task in all_tasks {
            rings.first().push(task);
        }
        for task in tasks(3) {
            rings.push(DEEPER + 7, task);
        }
        let mut order = all(&rings);
        assert!(order.is_sorted_by_key(|&index| index % 4), "{order:?}");
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2, 4, 5]);
    }

    // Q3
    #[test]
    fn nothing_starves() {
        let rings = Rings::new(DEEPER);
        rings.push(1, task(0));
        rings.push(2, task(1));
        rings.first().push(task(2));
        let (mut left, mut taken) = (3, 0);
        while left > 0 {
            // One that is deeper than all others comes in for each that goes out.
            rings.push(3, task(3));
            taken += 1;
            assert!(taken <= ROUND * DEEPER);
            left -= usize::from(end(rings.pop().unwrap()) != 3);
        }
        while let Some(task) = rings.pop() {
            end(task);
        }
    }

    // Q2: and they stay at their depth.
    #[test]
    fn a_thief_finds_all_depths() {
        let (rings, thief) = (Rings::new(DEEPER), Rings::new(DEEPER));
        for (task, depth) in tasks(6).zip([1, 1, 1, 3, 3, 3]) {
            rings.push(depth, task);
        }
        let steal = || rings.steal(Some(&thief)).map(|(task, _)| end(task));
        assert_eq!(steal(), Some(0));
        assert_eq!(steal(), Some(2));
        assert_eq!(steal(), Some(3));
        assert_eq!(all(&thief), [4, 1]);
        assert!(thief.is_empty() && !rings.is_empty());
        rings.shrink();
        assert_eq!(rings.filled.load(Ordering::Relaxed), 1 << 3);
        assert_eq!(all(&rings), [5]);
        rings.shrink();
        assert_eq!(rings.filled.load(Ordering::Relaxed), 0);
        assert!(rings.is_empty() && rings.steal(None).is_none());
    }

    // Q2: who looks at all before it sleeps finds what stands at any depth.
    #[test]
    fn what_stands_at_any_depth_is_seen() {
        let rings = Rings::new(DEEPER);
        for depth in 0..=DEEPER {
            rings.push(depth, task(1));
            assert!(!rings.is_empty(), "{depth}");
            let stolen = rings.steal(None);
            assert_eq!(
                stolen.map(|(task, others)| (end(task), others)),
                Some((1, 0))
            );
            assert!(rings.is_empty(), "{depth}");
            rings.shrink();
            assert_eq!(rings.filled.load(Ordering::Relaxed), 0);
        }
    }
}
