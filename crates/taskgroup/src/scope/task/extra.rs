//! What few tasks have beside their header, in one word of it: the Tokio task that drives them, the
//! scope inside, and what waits for the end.
//!
//! The word is null; or the Tokio task, as the data of its waker with [`DRIVE`] in the low bits, or
//! the scope inside, with [`INSIDE`] there; or a box with all there is. It goes from left to right
//! in this list and never back, so:
//!
//! - **X1** Once the Tokio task is known, one counted reference to it (a waker) belongs to the
//!   word, later to the box, until the drop of these. A thread that keeps the task can wake its
//!   driver without counting.
//! - **X2** A box that the word points to lives until the drop of the word.
//! - **X3** Likewise for the scope inside: one reference, from `Arc::into_raw`, belongs to the
//!   word, later to the box. It can be lent.
//! - **X4** Each change of the word is a compare-and-swap with release, each look at it an acquire.
//!   So a thread that finds something in the word sees what was written there before.
//!
//! So a parked child takes no memory but its node and Tokio's own cell. The cell goes with the
//! node, on the thread that drops the handle, which most often made both. An allocator with arenas
//! makes anything else expensive.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{RawWakerVTable, Waker};

use crate::gate::{self, StoredWaker};
use crate::scope::waiters::{Key, Waiters};
use crate::sync::{AtomicPtr, Mutex, OnceLock, Ordering};

/// The word.
pub(super) struct Extra<S>(AtomicPtr<()>, PhantomData<Arc<S>>);

/// In the low bits: the rest is the data of a waker.
const DRIVE: usize = 1;
/// In the low bits: the rest is the scope inside.
const INSIDE: usize = 2;
const TAGS: usize = DRIVE | INSIDE;

/// The table of the wakers in the words: the table of the first waker seen, which is Tokio's. A
/// waker with another table goes into the box.
static TABLE: std::sync::OnceLock<&'static RawWakerVTable> = std::sync::OnceLock::new();

/// The box.
pub(super) struct ExtraBox<S> {
    inside: OnceLock<Arc<S>>,
    drive: OnceLock<Waker>,
    join: Mutex<Join>,
}

/// What awaits the end.
#[derive(Default)]
struct Join {
    /// The await that has the handle.
    owner: Option<StoredWaker>,
    /// The awaits that have borrowed it.
    others: Waiters,
}

impl<S> Default for ExtraBox<S> {
    fn default() -> Self {
        Self {
            inside: OnceLock::new(),
            drive: OnceLock::new(),
            join: Mutex::default(),
        }
    }
}

/// What the word says.
enum Word<S> {
    Nothing,
    Drive(*const ()),
    Inside(*const S),
    ExtraBox(NonNull<ExtraBox<S>>),
}

/// The scope inside a task, lent by its header.
pub(crate) struct Inside<'a, S>(ManuallyDrop<Arc<S>>, PhantomData<&'a Extra<S>>);

impl<S> Deref for Inside<'_, S> {
    type Target = Arc<S>;
    fn deref(&self) -> &Arc<S> {
        &self.0
    }
}

impl<S> Word<S> {
    #[inline]
    fn of(word: *mut ()) -> Self {
        let data = word.map_addr(|address| address & !TAGS);
        match word.addr() & TAGS {
            DRIVE => return Self::Drive(data),
            INSIDE => return Self::Inside(data.cast_const().cast()),
            _ => {}
        }
        NonNull::new(word.cast()).map_or(Self::Nothing, Self::ExtraBox)
    }
}

impl<S> Default for Extra<S> {
    fn default() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()), PhantomData)
    }
}

impl<S> Extra<S> {
    #[inline]
    fn word(&self) -> Word<S> {
        // Acquire: X4, with the change that put the word there.
        Word::of(self.0.load(Ordering::Acquire))
    }

    #[inline]
    pub(super) fn rare(&self) -> Option<&ExtraBox<S>> {
        match self.word() {
            // SAFETY: X2, X4: the box lives as long as the word, and its content is visible.
            Word::ExtraBox(rare) => Some(unsafe { rare.as_ref() }),
            _ => None,
        }
    }

    /// The box, made on the first ask.
    #[inline]
    pub(super) fn rare_or_new(&self) -> &ExtraBox<S> {
        self.rare().unwrap_or_else(|| self.new_rare())
    }

    #[cold]
    fn new_rare(&self) -> &ExtraBox<S> {
        // Acquire: X4, as in `word`.
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            let new = ExtraBox::default();
            match Word::of(word) {
                // SAFETY: X2, X4: as in `rare`.
                Word::ExtraBox(rare) => return unsafe { rare.as_ref() },
                // SAFETY: X1: the word owns the reference, and the box owns it once the word points
                // to the box. If the word changes before that, the box is taken apart below and
                // forgets it.
                Word::Drive(data) => _ = new.drive.get_or_init(|| unsafe { waker(data) }),
                Word::Inside(scope) => {
                    // SAFETY: X3: likewise.
                    let scope = unsafe { Arc::from_raw(scope) };
                    new.inside.get_or_init(|| scope);
                }
                Word::Nothing => {}
            }
            let new = Box::into_raw(Box::new(new));
            match self.change(word, new.cast()) {
                // SAFETY: X2: the word leads to it now.
                Ok(()) => return unsafe { &*new },
                Err(now) => {
                    // SAFETY: X2: it is from `Box::into_raw` above, and the word never led to it.
                    let lost = unsafe { Box::from_raw(new) };
                    let ExtraBox { inside, drive, .. } = *lost;
                    // X1, X3: they are still the word's, or the other box's by now.
                    std::mem::forget((inside, drive));
                    word = now;
                }
            }
        }
    }

    /// The scope inside, if anything asked for one yet.
    #[inline]
    pub(super) fn inside(&self) -> Option<Inside<'_, S>> {
        let scope = match self.word() {
            Word::Inside(scope) => scope,
            Word::Nothing | Word::Drive(_) => return None,
            Word::ExtraBox(rare) => {
                // SAFETY: X2, X4: as in `rare`.
                let inside = unsafe { &rare.as_ref().inside };
                Arc::as_ptr(inside.get()?)
            }
        };
        // SAFETY: X3: the reference stays while `self` is borrowed. What is made of it here is not
        // dropped.
        let lent = unsafe { Arc::from_raw(scope) };
        Some(Inside(ManuallyDrop::new(lent), PhantomData))
    }

    /// The scope inside: this one, unless there is another one by now.
    pub(super) fn inside_or(&self, scope: Arc<S>) -> Inside<'_, S> {
        let data = Arc::as_ptr(&scope).cast_mut().cast::<()>();
        let word = data.map_addr(|address| address | INSIDE);
        if self.change(std::ptr::null_mut(), word).is_ok() {
            // X3: it is the word's, which lends it.
            return Inside(ManuallyDrop::new(scope), PhantomData);
        }
        loop {
            if let Some(inside) = self.inside() {
                return inside;
            }
            self.rare_or_new().inside.get_or_init(|| scope.clone());
        }
    }

    fn change(&self, from: *mut (), to: *mut ()) -> Result<(), *mut ()> {
        // AcqRel, Acquire: X4. It publishes what `to` leads to, and sees what the found word leads
        // to.
        let changed = self
            .0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        changed.map(drop)
    }

    /// `waker` is the waker of the Tokio task, always the same one.
    #[inline]
    pub(super) fn set_drive(&self, waker: &Waker) {
        match self.word() {
            Word::Drive(_) => {}
            Word::Nothing if self.set_word(waker) => {}
            _ => _ = self.rare_or_new().drive.get_or_init(|| waker.clone()),
        }
    }

    /// `false` when the waker does not fit into a word, or something else is there by now.
    fn set_word(&self, waker: &Waker) -> bool {
        let table = *TABLE.get_or_init(|| waker.vtable());
        let counted = ManuallyDrop::new(waker.clone());
        let data = counted.data().cast_mut();
        let fits = std::ptr::eq(table, counted.vtable()) && data.addr() & TAGS == 0;
        let word = data.map_addr(|address| address | DRIVE);
        if fits && self.change(std::ptr::null_mut(), word).is_ok() {
            // X1
            return true;
        }
        drop(ManuallyDrop::into_inner(counted));
        false
    }

    /// Wakes the Tokio task, if it is known.
    pub(super) fn wake_drive(&self) -> bool {
        match self.word() {
            Word::Nothing | Word::Inside(_) => false,
            Word::Drive(data) => {
                // SAFETY: X1: the reference stays while `self` is borrowed. What is made of it here
                // is not dropped.
                let drive = ManuallyDrop::new(unsafe { waker(data) });
                gate::wake_by_ref(&drive);
                true
            }
            Word::ExtraBox(rare) => {
                // SAFETY: X2, X4: as in `rare`.
                let drive = unsafe { &rare.as_ref().drive }.get();
                drive.into_iter().for_each(gate::wake_by_ref);
                drive.is_some()
            }
        }
    }

    /// At the end `waker` is woken: the waker of the await that has the handle. There is one
    /// handle, so one place is enough.
    pub(super) fn wake_owner_at_end(&self, waker: &Waker) {
        let join = &self.rare_or_new().join;
        let is_known = |join: &Join| {
            let known = join.owner.as_ref();
            known.is_some_and(|known| known.will_wake(waker))
        };
        if !is_known(&join.lock()) {
            let waker = gate::clone_waker(waker);
            let old = join.lock().owner.replace(waker);
            drop(old);
        }
    }

    /// At the end `waker` is woken, unless the wait with this key is [given
    /// up](Self::forget_waiter) before.
    pub(super) fn wake_at_end(&self, key: &mut Option<Key>, waker: &Waker) {
        let join = &self.rare_or_new().join;
        if !key.is_some_and(|key| join.lock().others.has(key, waker)) {
            let waker = gate::clone_waker(waker);
            let old = join.lock().others.put(key, waker);
            drop(old);
        }
    }

    pub(super) fn forget_owner(&self) {
        if let Some(rare) = self.rare() {
            let gone = rare.join.lock().owner.take();
            drop(gone);
        }
    }

    pub(super) fn forget_waiter(&self, key: Key) {
        if let Some(rare) = self.rare() {
            let gone = rare.join.lock().others.remove(key);
            drop(gone);
        }
    }

    pub(super) fn wake_waiters(&self) {
        let Some(rare) = self.rare() else {
            return;
        };
        let (owner, others) = {
            let mut join = rare.join.lock();
            (join.owner.take(), join.others.take_all())
        };
        owner.into_iter().for_each(StoredWaker::wake);
        others.into_iter().for_each(StoredWaker::wake);
    }
}

impl<S> Drop for Extra<S> {
    #[inline]
    fn drop(&mut self) {
        match self.word() {
            Word::Nothing => {}
            // SAFETY: X1: the word owns the reference, and the word is dropped here.
            Word::Drive(data) => drop(unsafe { waker(data) }),
            // SAFETY: X3: likewise.
            Word::Inside(scope) => drop(unsafe { Arc::from_raw(scope) }),
            // SAFETY: X2: the box is from `Box::into_raw`, and the word ends here.
            Word::ExtraBox(rare) => drop_rare(unsafe { Box::from_raw(rare.as_ptr()) }),
        }
    }
}

/// Apart, as most nodes have none.
#[cold]
#[inline(never)]
fn drop_rare<S>(rare: Box<ExtraBox<S>>) {
    drop(rare);
}

/// The waker that is in a word.
///
/// # Safety
/// X1: the reference that the result stands for exists, and the caller has it or keeps the result
/// from being dropped.
unsafe fn waker(data: *const ()) -> Waker {
    let table = TABLE.get().expect("X1: it was there before the word");
    // SAFETY: X1: data and table are those of a waker that `set_word` has forgotten. The caller
    // promises the rest.
    unsafe { Waker::new(data, table) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::Location;
    use std::sync::atomic::AtomicUsize;
    use std::task::{Poll, Wake};

    use super::*;
    use crate::scope::tree::{Kind, Scope};

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    async fn waker_of_tokio() -> Waker {
        let task = std::future::poll_fn(|cx| Poll::Ready(cx.waker().clone()));
        tokio::spawn(task).await.unwrap()
    }

    // X1: that of a Tokio task takes no box.
    #[tokio::test]
    async fn the_waker_of_a_tokio_task_stands_in_the_word() {
        let waker = waker_of_tokio().await;
        let extra = Extra::<Scope>::default();
        assert!(!extra.wake_drive());
        extra.set_drive(&waker);
        extra.set_drive(&waker);
        assert!(extra.rare().is_none());
        assert!(extra.wake_drive());
    }

    // X1: one with another table has its place in the box, and goes with that.
    #[tokio::test]
    async fn another_waker_stands_in_the_box() {
        Extra::<Scope>::default().set_drive(&waker_of_tokio().await);
        let woken = Arc::new(Woken::default());
        let extra = Extra::<Scope>::default();
        extra.set_drive(&Waker::from(woken.clone()));
        assert!(extra.rare().is_some());
        assert!(extra.wake_drive());
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        drop(extra);
        assert_eq!(Arc::strong_count(&woken), 1);
    }

    // X3: the scope inside goes with the word, also from the box.
    #[test]
    fn the_scope_inside_goes_with_the_word() {
        let scope = Scope::open(Kind::Section, Scope::root().clone(), Location::caller());
        let before = Arc::strong_count(&scope);
        for with_box in [false, true] {
            let extra = Extra::<Scope>::default();
            assert!(Arc::ptr_eq(&extra.inside_or(scope.clone()), &scope));
            assert!(extra.rare().is_none());
            if with_box {
                let woken = Arc::new(Woken::default());
                let waker = Waker::from(woken.clone());
                let mut key = None;
                extra.wake_at_end(&mut key, &waker);
                extra.wake_at_end(&mut key, &waker);
                extra.wake_waiters();
                assert_eq!(woken.0.load(Ordering::SeqCst), 1);
            }
            assert!(
                extra
                    .inside()
                    .is_some_and(|inside| Arc::ptr_eq(&inside, &scope))
            );
            assert_eq!(Arc::strong_count(&scope), before + 1);
            drop(extra);
            assert_eq!(Arc::strong_count(&scope), before);
        }
    }

    // S44: a wait that is given up takes its waker along; the others are woken.
    #[test]
    fn what_waits_no_longer_is_forgotten() {
        let extra = Extra::<Scope>::default();
        let [owner, given_up, waiting] = [(); 3].map(|()| Arc::new(Woken::default()));
        extra.wake_owner_at_end(&Waker::from(owner.clone()));
        extra.wake_owner_at_end(&Waker::from(owner.clone()));
        let mut keys = [None; 2];
        extra.wake_at_end(&mut keys[0], &Waker::from(given_up.clone()));
        extra.wake_at_end(&mut keys[1], &Waker::from(waiting.clone()));
        extra.forget_waiter(keys[0].unwrap());
        assert_eq!(Arc::strong_count(&given_up), 1);
        extra.wake_waiters();
        extra.forget_waiter(keys[1].unwrap());
        let woken = [owner, given_up, waiting].map(|woken| {
            assert_eq!(Arc::strong_count(&woken), 1);
            woken.0.load(Ordering::SeqCst)
        });
        assert_eq!(woken, [1, 0, 1]);
        extra.wake_owner_at_end(&Waker::from(Arc::new(Woken::default())));
        extra.forget_owner();
        assert!(extra.rare().unwrap().join.lock().owner.is_none());
    }
}
