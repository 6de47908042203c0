//! A list that grows at one end and shares its tail.
//!
//! The path of a task and the groups above a leaf are both "a node and everything above it".
//! Copying them for every node would cost the square of the depth, so each is a link to a shared
//! parent.
//!
//! Invariant: a chain is dropped in a loop, never by recursion, because it may be as long as memory
//! allows.

use std::sync::Arc;

pub(super) struct Chain<T>(Arc<Link<T>>);

struct Link<T> {
    value: T,
    /// How many links there are, this one included.
    length: usize,
    parent: Option<Chain<T>>,
}

impl<T> Chain<T> {
    pub(super) fn new(value: T, parent: Option<&Self>) -> Self {
        let length = parent.map_or(1, |parent| parent.length() + 1);
        Self(Arc::new(Link {
            value,
            length,
            parent: parent.cloned(),
        }))
    }

    pub(super) fn value(&self) -> &T {
        &self.0.value
    }

    pub(super) fn parent(&self) -> Option<&Self> {
        self.0.parent.as_ref()
    }

    pub(super) fn length(&self) -> usize {
        self.0.length
    }

    /// From the newest value to the oldest.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::successors(Some(self), |chain| chain.parent()).map(Self::value)
    }
}

impl<T> Clone for Chain<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Link<T> {
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(chain) = next {
            next = Arc::into_inner(chain.0).and_then(|mut link| link.parent.take());
        }
    }
}
