//! Dropping without recursion.
//!
//! A group owns members, a leaf owns an error of any type, and that error may own further leaves
//! and groups: behind a context, in a type of the user, in the join error of another task. An
//! ordinary drop would recurse as deep as the errors are nested.
//!
//! Invariant: while an error of this crate is being dropped on this thread, each further one is
//! queued, and the outermost drop drops it before it returns.

use super::{BoxError, ErrorGroup, Member};
use crate::gate;
use std::cell::RefCell;

/// Something that is to be dropped.
#[allow(dead_code, reason = "kept only to be dropped")]
pub(super) enum Remains {
    Members(Vec<Member>),
    Group(ErrorGroup),
    Error(BoxError),
}

thread_local! {
    /// `Some` while an outermost drop is running on this thread.
    static QUEUE: RefCell<Option<Vec<Remains>>> = const { RefCell::new(None) };
}

pub(super) fn demolish(remains: Remains) {
    // Nothing is dropped while the queue is borrowed, because the drop of a foreign error may come
    // back here. If the thread is ending and has no queue any more, the closure is dropped unused,
    // and `remains` with it in the ordinary way.
    let outermost = QUEUE.try_with(|queue| match &mut *queue.borrow_mut() {
        Some(queue) => {
            queue.push(remains);
            None
        }
        empty => {
            *empty = Some(Vec::new());
            Some(remains)
        }
    });
    let Ok(Some(first)) = outermost else {
        return;
    };
    let _close = Close;
    first.demolish();
    while let Some(next) = QUEUE.with(|queue| queue.borrow_mut().as_mut()?.pop()) {
        next.demolish();
    }
}

impl Remains {
    /// Reports a panic of a foreign destructor, so that the others are dropped as well.
    fn demolish(self) {
        match self {
            Self::Error(error) => gate::drop_or_report("an error", error),
            ours => drop(ours),
        }
    }
}

/// Closes the queue, even if a drop unwinds.
struct Close;

impl Drop for Close {
    fn drop(&mut self) {
        let left = QUEUE.with(RefCell::take);
        drop(left);
    }
}

/// The error of a leaf. It is dropped through the gate.
pub(super) struct HeldError(Option<BoxError>);

impl HeldError {
    pub(super) fn new(error: BoxError) -> Self {
        Self(Some(error))
    }

    pub(super) fn get(&self) -> Option<&BoxError> {
        self.0.as_ref()
    }

    pub(super) fn take(&mut self) -> Option<BoxError> {
        self.0.take()
    }
}

impl Drop for HeldError {
    fn drop(&mut self) {
        if let Some(error) = self.0.take() {
            demolish(Remains::Error(error));
        }
    }
}
