//! A value in a box that is made on the first ask, in the place of one pointer.

use crate::sync::{AtomicPtr, Ordering};

/// The pointer is null, or from `Box::into_raw`, put there once, and freed by the drop of `self` only.
pub(super) struct Lazy<T>(AtomicPtr<T>);

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }
}

impl<T: Default> Lazy<T> {
    #[inline]
    pub(super) fn get(&self) -> Option<&T> {
        // SAFETY: null or a box of ours, which was published by a release.
        #[allow(unsafe_code)]
        unsafe {
            self.0.load(Ordering::Acquire).as_ref()
        }
    }

    pub(super) fn get_or_default(&self) -> &T {
        if let Some(made) = self.get() {
            return made;
        }
        let new = Box::into_raw(Box::<T>::default());
        let won = self.0.compare_exchange(
            std::ptr::null_mut(),
            new,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        let made = match won {
            Ok(_) => new,
            Err(other) => {
                // SAFETY: it is from the line above and nobody has seen it.
                #[allow(unsafe_code)]
                drop(unsafe { Box::from_raw(new) });
                other
            }
        };
        // SAFETY: as in `get`.
        #[allow(unsafe_code)]
        unsafe {
            &*made
        }
    }
}

impl<T> Drop for Lazy<T> {
    #[inline]
    fn drop(&mut self) {
        let made = self.0.load(Ordering::Acquire);
        if !made.is_null() {
            // SAFETY: it is a box of ours, and `self` is the only one who has it.
            #[allow(unsafe_code)]
            drop(unsafe { Box::from_raw(made) });
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn it_is_made_once_and_goes_with_its_place() {
        let lazy = Lazy::<RefCell<Option<Rc<()>>>>::default();
        assert!(lazy.get().is_none());
        let kept = Rc::new(());
        lazy.get_or_default().replace(Some(kept.clone()));
        assert!(lazy.get_or_default().borrow().is_some(), "the same one");
        assert!(lazy.get().is_some_and(|made| made.borrow().is_some()));
        drop(lazy);
        assert_eq!(Rc::strong_count(&kept), 1);
    }
}
