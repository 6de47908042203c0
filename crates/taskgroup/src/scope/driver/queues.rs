//! Where tasks wait for a pump: in the rings of the thread that has submitted them, or, for threads without one, in the common queue.
//!
//! - **D6** A thread has at most one seat, in one runtime: `HERE` tells which, and `SITTING` has it until the thread ends or turns to another runtime.
//!   `SITTING` keeps the memory of that runtime, so an address in `HERE` is not that of another one. Whoever has the seat is the one of R1.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use super::Runtime;
use super::rings::Rings;
use crate::scope::task::TaskRef;
#[cfg(loom)]
use crate::sync::CellKey as _;
use crate::sync::{AtomicUsize, Mutex, Ordering, thread_local};

/// How many threads that poll no pump have a ring.
pub(super) const OTHERS: usize = if cfg!(loom) { 1 } else { 4 };
/// How many tasks a pump takes at once from the common queue.
const BATCH: usize = 128;

#[derive(Default)]
pub(super) struct Common {
    /// As many as there are in the queue, for those who need not know it exactly.
    len: AtomicUsize,
    queue: Mutex<VecDeque<TaskRef>>,
}

impl Common {
    fn change<R>(&self, change: impl FnOnce(&mut VecDeque<TaskRef>) -> R) -> R {
        let mut queue = self.queue.lock();
        let result = change(&mut queue);
        self.len.store(queue.len(), Ordering::Relaxed);
        result
    }

    pub(super) fn push(&self, task: TaskRef) {
        self.change(|queue| queue.push_back(task));
    }

    fn pop(&self) -> Option<TaskRef> {
        self.change(VecDeque::pop_front)
    }

    pub(super) fn take_all(&self) -> VecDeque<TaskRef> {
        self.change(std::mem::take)
    }
}

/// The place of a thread that has a ring (D6).
pub(super) struct Seat {
    taken: AtomicUsize,
    pub(super) rings: Rings,
}

/// The seat of this thread. It is given back when the thread ends, or turns to another runtime.
struct Sitting {
    /// It keeps the address of the runtime from being used again.
    runtime: Weak<Runtime>,
    seat: usize,
}

impl Drop for Sitting {
    fn drop(&mut self) {
        let _ = HERE.try_with(|here| here.set(NOWHERE));
        if let Some(runtime) = self.runtime.upgrade() {
            runtime.clear(self.seat);
        }
    }
}

/// Whether this thread has no seat in a runtime that lives.
fn sits_nowhere() -> bool {
    let is_alive = |sitting: &Sitting| sitting.runtime.strong_count() > 0;
    let sitting = SITTING.try_with(Cell::take).ok().flatten();
    match sitting.filter(is_alive) {
        Some(alive) => SITTING.try_with(|cell| cell.set(Some(alive))).is_err(),
        None => true,
    }
}

/// Where a thread sits.
#[derive(Clone, Copy)]
struct Here {
    runtime: *const Runtime,
    seat: usize,
}

const NOWHERE: Here = Here {
    runtime: std::ptr::null(),
    seat: 0,
};

thread_local! {
    static HERE: Cell<Here> = const { Cell::new(NOWHERE) };
    static SITTING: Cell<Option<Sitting>> = const { Cell::new(None) };
}

impl Seat {
    pub(super) fn new(deeper: usize) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            rings: Rings::new(deeper),
        }
    }
}

impl Runtime {
    /// A task that is new.
    #[inline]
    pub(super) fn push_new(self: &Arc<Self>, task: TaskRef) {
        self.put(task.header().owner.groups_above(), task);
    }

    /// A task that was woken.
    #[inline]
    pub(super) fn push(self: &Arc<Self>, task: TaskRef) {
        self.put(0, task);
    }

    #[inline]
    fn put(self: &Arc<Self>, depth: usize, task: TaskRef) {
        match self.here() {
            Some(rings) => rings.push(depth, task),
            None => self.push_unseated(depth, task),
        }
        // D2: the task is in; now look for somebody to run it.
        self.wake_if_idle();
        if self.is_shut_down() {
            self.drop_queues();
        }
    }

    #[cold]
    #[inline(never)]
    fn push_unseated(self: &Arc<Self>, depth: usize, task: TaskRef) {
        match self.sit(false) {
            Some(rings) => rings.push(depth, task),
            None => self.push_common(task),
        }
    }

    #[inline(never)]
    fn push_common(self: &Arc<Self>, task: TaskRef) {
        self.start();
        self.common.push(task);
    }

    /// The rings of this thread, if it has a seat in this runtime.
    #[inline]
    pub(super) fn here(self: &Arc<Self>) -> Option<&Rings> {
        let here = HERE.try_with(Cell::get).unwrap_or(NOWHERE);
        let is_here = std::ptr::eq(here.runtime, Arc::as_ptr(self));
        is_here.then(|| &self.seats[here.seat].rings)
    }

    /// Gives this thread a seat unless all are taken. Some are kept for threads that poll pumps.
    #[cold]
    pub(super) fn sit(self: &Arc<Self>, pumps: bool) -> Option<&Rings> {
        if self.is_explored() || !(pumps || sits_nowhere()) {
            return None;
        }
        let first = if pumps { 0 } else { self.pumps };
        let is_free = |seat: &Seat| {
            seat.taken.load(Ordering::Relaxed) == 0 && seat.taken.swap(1, Ordering::AcqRel) == 0
        };
        let found = self.seats[first..].iter().position(is_free)?;
        let seat = first + found;
        let rings = &self.seats[seat].rings;
        let sitting = Sitting {
            runtime: Arc::downgrade(self),
            seat,
        };
        // A seat elsewhere is left by the drop of what was there. While the thread ends there is no place for it, and it is left at once.
        let _ = SITTING.try_with(Cell::take);
        SITTING.try_with(|cell| cell.set(Some(sitting))).ok()?;
        HERE.set(Here {
            runtime: Arc::as_ptr(self),
            seat,
        });
        self.start();
        Some(rings)
    }

    /// The thread leaves its seat; others go on with what it has left there.
    fn clear(self: &Arc<Self>, seat: usize) {
        let seat = &self.seats[seat];
        while let Some(task) = seat.rings.pop() {
            self.push_common(task);
            self.wake_if_idle();
        }
        if self.is_shut_down() {
            self.drop_queues();
        }
        seat.taken.store(0, Ordering::Release);
    }

    /// The next task for a pump: from the rings of this thread, the common ones, those of another thread.
    pub(super) fn next(
        self: &Arc<Self>,
        rings: Option<&Rings>,
        look_at_common: bool,
    ) -> Option<TaskRef> {
        let Some(rings) = rings else {
            return self.common.pop().or_else(|| self.steal(None));
        };
        if look_at_common {
            self.take_common(rings);
        }
        if let Some(task) = rings.pop() {
            return Some(task);
        }
        self.take_common(rings);
        rings.pop().or_else(|| self.steal(Some(rings)))
    }

    /// Moves a fair share of the common tasks behind those of the first ring, and leaves the others something too. Behind what is there: what was
    /// submitted in order runs in order, and nothing starves.
    fn take_common(&self, rings: &Rings) {
        if self.common.len.load(Ordering::Relaxed) > 0 {
            self.common.change(|queue| {
                let share = queue.len().div_ceil(self.pumps).min(BATCH);
                rings.first().extend(share, queue.drain(..share));
            });
        }
    }

    fn steal(&self, rings: Option<&Rings>) -> Option<TaskRef> {
        let own = HERE.try_with(Cell::get).map_or(0, |here| here.seat);
        let seats = self.seats.len();
        let mut victims = (1..=seats).map(|step| (own + step) % seats);
        let (first, others) = victims.find_map(|victim| self.seats[victim].rings.steal(rings))?;
        if others > 0 {
            // A pump that looked for work while these were in nobody's queue may have gone to sleep.
            self.wake_if_idle();
        }
        Some(first)
    }

    /// R4: whether there is something in any of the queues.
    pub(super) fn has_work(&self) -> bool {
        let mut seats = self.seats.iter();
        !self.common.queue.lock().is_empty() || seats.any(|seat| !seat.rings.is_empty())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::super::ring::tests::{end, tasks};
    use super::*;

    /// A runtime whose pumps nobody polls.
    fn unpolled() -> (tokio::runtime::Runtime, Arc<Runtime>) {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let runtime = Runtime::of(tokio.handle());
        (tokio, runtime)
    }

    fn taken(runtime: &Runtime) -> Vec<bool> {
        let seats = runtime.seats.iter();
        seats
            .map(|seat| seat.taken.load(Ordering::Acquire) != 0)
            .collect()
    }

    fn all_common(runtime: &Runtime) -> Vec<u32> {
        runtime.common.take_all().into_iter().map(end).collect()
    }

    // D6
    #[test]
    fn a_thread_that_ends_leaves_its_seat_and_its_tasks_to_others() {
        let (_tokio, runtime) = unpolled();
        for _ in 0..3 {
            let pushing = runtime.clone();
            let seated = thread::spawn(move || {
                tasks(3).for_each(|task| pushing.push(task));
                assert_eq!(pushing.common.len.load(Ordering::Relaxed), 0);
                taken(&pushing)
            });
            // The first is kept for the pump.
            assert_eq!(seated.join().unwrap(), [false, true, false, false, false]);
            assert_eq!(taken(&runtime), [false; 1 + OTHERS]);
            assert_eq!(runtime.common.len.load(Ordering::Relaxed), 3);
            assert_eq!(all_common(&runtime), [0, 1, 2]);
        }
    }

    // D6: those who come late share the common queue, and the pump has a seat all the same.
    #[test]
    fn seats_are_few_and_one_is_kept_for_each_pump() {
        let (_tokio, runtime) = unpolled();
        let (go, gone): (Vec<_>, Vec<_>) = (0..OTHERS + 2)
            .map(|_| {
                let runtime = runtime.clone();
                let (go, wait) = mpsc::channel::<()>();
                let (said, is_pushed) = mpsc::channel();
                let thread = thread::spawn(move || {
                    tasks(1).for_each(|task| runtime.push(task));
                    said.send(runtime.here().is_some()).unwrap();
                    let _ = wait.recv();
                });
                (go, (is_pushed.recv().unwrap(), thread))
            })
            .unzip();
        let seated: Vec<bool> = gone.iter().map(|(seated, _)| *seated).collect();
        assert_eq!(seated, [true, true, true, true, false, false]);
        assert_eq!(all_common(&runtime), [0, 0]);
        assert_eq!(taken(&runtime), [false, true, true, true, true]);
        let rings: *const Rings = runtime.sit(true).expect("the pump's");
        assert!(std::ptr::eq(rings, &raw const runtime.seats[0].rings));
        assert!(runtime.here().is_some_and(|here| std::ptr::eq(here, rings)));
        drop(go);
        for (_, thread) in gone {
            thread.join().unwrap();
        }
        assert_eq!(all_common(&runtime), [0; OTHERS], "what they had not run");
    }

    // D6
    #[test]
    fn a_thread_keeps_its_seat_while_that_runtime_lives() {
        let (tokio, first) = unpolled();
        let (_other, second) = unpolled();
        thread::spawn(move || {
            tasks(1).for_each(|task| first.push(task));
            tasks(1).for_each(|task| second.push(task));
            assert!(first.here().is_some() && second.here().is_none());
            assert_eq!(all_common(&second), [0]);
            // A pump turns to the runtime that it is of.
            assert!(second.sit(true).is_some() && first.here().is_none());
            assert_eq!(all_common(&first), [0], "left behind");
            assert!(first.sit(true).is_some() && second.here().is_none());
            drop((first, tokio));
            tasks(1).for_each(|task| second.push(task));
            assert!(second.here().is_some(), "of the dead one it has none");
            assert_eq!(second.here().and_then(Rings::pop).map(end), Some(0));
        })
        .join()
        .unwrap();
    }

    // D1: nothing is lost where a pump has no ring.
    #[test]
    fn a_pump_without_a_seat_takes_one_at_a_time() {
        let (_tokio, runtime) = unpolled();
        runtime.push_common(tasks(1).next().unwrap());
        let pushing = runtime.clone();
        let (go, wait) = mpsc::channel::<()>();
        let (said, is_pushed) = mpsc::channel();
        let thread = thread::spawn(move || {
            tasks(6).for_each(|task| pushing.push(task));
            said.send(()).unwrap();
            let _ = wait.recv();
        });
        is_pushed.recv().unwrap();
        let next = || runtime.next(None, false).map(end);
        assert_eq!(next(), Some(0), "the common one");
        assert_eq!(next(), Some(0), "of the six");
        assert_eq!(runtime.common.len.load(Ordering::Relaxed), 0);
        let rest: Vec<_> = std::iter::from_fn(next).collect();
        assert_eq!(rest, [1, 2, 3, 4, 5]);
        assert!(!runtime.has_work());
        drop(go);
        thread.join().unwrap();
    }

    // What was submitted in order runs in order, and a share of the common tasks is left to other pumps.
    #[test]
    fn a_pump_takes_common_tasks_behind_its_own() {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .expect("a runtime");
        // Not the one that the workers poll.
        let runtime = Arc::new(Runtime::new(tokio.handle(), 2, 1));
        runtime.started.call_once(|| ());
        let rings = runtime.sit(true).expect("a seat");
        let mut all = tasks(7);
        rings.first().extend(2, all.by_ref());
        all.for_each(|task| runtime.push_common(task));
        let mut had: Vec<_> = runtime
            .next(Some(rings), true)
            .map(end)
            .into_iter()
            .collect();
        assert_eq!(
            runtime.common.len.load(Ordering::Relaxed),
            2,
            "half is left"
        );
        had.extend(std::iter::from_fn(|| runtime.next(Some(rings), false)).map(end));
        assert_eq!(had, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(runtime.common.len.load(Ordering::Relaxed), 0);
    }
}
