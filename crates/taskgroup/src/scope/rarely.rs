//! A box for what few have, whose drop is compiled once.
//!
//! The compiler writes the code that drops a value again in each unit of code that drops one, also
//! in the crates of users. For what is behind a [`Rarely`] that code is a call.
//!
//! - **RA1** The box is there until the drop of its `Rarely`, which takes it out and is its last
//!   use.

#![allow(unsafe_code)]

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

/// What is dropped by a function of its own.
pub(crate) trait Rare: Sized {
    /// Drops it. Not generic, so that it is compiled in this crate alone.
    fn free(rare: Box<Self>);
}

/// Writes the drop of a type.
macro_rules! rare {
    ($type:ty) => {
        impl crate::scope::rarely::Rare for $type {
            #[inline(never)]
            fn free(rare: Box<Self>) {
                drop(rare);
            }
        }
    };
}

pub(crate) use rare;

pub(crate) struct Rarely<T: Rare>(ManuallyDrop<Box<T>>);

impl<T: Rare> Rarely<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(ManuallyDrop::new(Box::new(value)))
    }

    pub(crate) fn into_inner(self) -> T {
        let mut own = ManuallyDrop::new(self);
        // SAFETY: RA1: its drop does not run, so this is its last use.
        *unsafe { ManuallyDrop::take(&mut own.0) }
    }
}

impl<T: Rare> Drop for Rarely<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: RA1: this is its drop.
        T::free(unsafe { ManuallyDrop::take(&mut self.0) });
    }
}

impl<T: Rare + Default> Default for Rarely<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: Rare + Clone> Clone for Rarely<T> {
    fn clone(&self) -> Self {
        Self::new(T::clone(self))
    }
}

impl<T: Rare + fmt::Debug> fmt::Debug for Rarely<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: Rare> Deref for Rarely<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Rare> DerefMut for Rarely<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
