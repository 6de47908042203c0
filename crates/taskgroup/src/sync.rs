//! The locks, atomics, cells and thread-locals of the engine, in one place so that the schedule
//! checker can stand in for them.
//!
//! No lock of the engine is held while foreign code runs, so a poisoned lock says nothing about the
//! data behind it: [`Mutex::lock`] looks through the poison.
//!
//! `cfg(loom)` is set by the package in `proof/loom` alone, for this crate alone: Tokio and the
//! others are built as ever.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

#[cfg(loom)]
use loom::sync as imp;
#[cfg(not(loom))]
use std::sync as imp;

#[cfg(not(loom))]
pub(crate) use std::{cell::UnsafeCell, sync::OnceLock, thread_local};

#[cfg(loom)]
pub(crate) use modelled::{
    AtomicU32, AtomicU64, AtomicUsize, CellKey, OnceLock, UnsafeCell, thread_local,
};

/// A mutex whose poison is ignored.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        let guard = match self.0.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        };
        MutexGuard {
            guard,
            #[cfg(all(debug_assertions, not(loom)))]
            _held: LockHeld::new(),
        }
    }
}

/// The lock of a [`Mutex`]. Debug builds count how many of them this thread has, for the gate to
/// look at (G1).
pub(crate) struct MutexGuard<'a, T> {
    guard: imp::MutexGuard<'a, T>,
    #[cfg(all(debug_assertions, not(loom)))]
    _held: LockHeld,
}

impl<T> std::ops::Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> std::ops::DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

#[cfg(all(debug_assertions, not(loom)))]
pub(crate) use held::{LockHeld, held};

/// How many locks of the engine this thread has.
#[cfg(all(debug_assertions, not(loom)))]
mod held {
    use std::cell::Cell;

    std::thread_local! {
        static HELD: Cell<usize> = const { Cell::new(0) };
    }

    pub(crate) fn held() -> usize {
        HELD.try_with(Cell::get).unwrap_or(0)
    }

    pub(crate) struct LockHeld(());

    impl LockHeld {
        pub(crate) fn new() -> Self {
            let _ = HELD.try_with(|held| held.set(held.get() + 1));
            Self(())
        }
    }

    impl Drop for LockHeld {
        fn drop(&mut self) {
            let _ = HELD.try_with(|held| held.set(held.get() - 1));
        }
    }
}

/// What loom has in another form than std.
#[cfg(loom)]
mod modelled {
    use std::cell::Cell;

    use loom::sync::Mutex;
    use loom::sync::atomic::{AtomicBool, Ordering};

    /// Atomics whose first value counts as a sequentially consistent store. To loom it is none, so
    /// it would let a `SeqCst` load miss a `SeqCst` store that came earlier in the one order of all
    /// of them, which the language does not.
    macro_rules! atomic {
        ($name:ident, $value:ty) => {
            #[derive(Debug)]
            pub(crate) struct $name(loom::sync::atomic::$name);

            impl $name {
                pub(crate) fn new(value: $value) -> Self {
                    let atomic = loom::sync::atomic::$name::new(value);
                    atomic.store(value, Ordering::SeqCst);
                    Self(atomic)
                }
            }

            impl Default for $name {
                fn default() -> Self {
                    Self::new(0)
                }
            }

            impl std::ops::Deref for $name {
                type Target = loom::sync::atomic::$name;
                fn deref(&self) -> &Self::Target {
                    &self.0
                }
            }
        };
    }
    atomic!(AtomicU32, u32);
    atomic!(AtomicU64, u64);
    atomic!(AtomicUsize, usize);

    /// Each access is checked against those of other threads that it is not ordered with, at the
    /// moment when it begins.
    pub(crate) struct UnsafeCell<T> {
        value: std::cell::UnsafeCell<T>,
        accesses: loom::cell::UnsafeCell<()>,
    }

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self {
                value: std::cell::UnsafeCell::new(value),
                accesses: loom::cell::UnsafeCell::new(()),
            }
        }

        pub(crate) fn get(&self) -> *mut T {
            self.accesses.with_mut(|_| ());
            self.value.get()
        }
    }

    pub(crate) struct OnceLock<T> {
        value: std::sync::OnceLock<T>,
        is_set: AtomicBool,
        setting: Mutex<()>,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            Self {
                value: std::sync::OnceLock::new(),
                is_set: AtomicBool::new(false),
                setting: Mutex::new(()),
            }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            let is_set = self.is_set.load(Ordering::Acquire);
            is_set.then(|| self.value.get().expect("set before the flag"))
        }

        pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
            if let Some(value) = self.get() {
                return value;
            }
            let _setting = self.setting.lock();
            if self.value.get().is_none() {
                let value = make();
                let _ = self.value.set(value);
                self.is_set.store(true, Ordering::Release);
            }
            self.value.get().expect("set just now, or before")
        }
    }

    macro_rules! locals {
        ($($(#[$meta:meta])* static $name:ident: $type:ty = const { $value:expr };)+) => {
            $(loom::thread_local! {
                $(#[$meta])*
                static $name: $type = $value;
            })+
        };
    }
    pub(crate) use locals as thread_local;

    /// What std's key of a cell has besides `with`.
    pub(crate) trait CellKey<T> {
        fn set(&'static self, value: T);
        fn take(&'static self) -> T
        where
            T: Default;
    }

    impl<T: 'static> CellKey<T> for loom::thread::LocalKey<Cell<T>> {
        fn set(&'static self, value: T) {
            self.with(|cell| cell.set(value));
        }

        fn take(&'static self) -> T
        where
            T: Default,
        {
            self.with(Cell::take)
        }
    }
}
