//! The one that may have the outcome of a task.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::header::{Header, StageIs, TaskRef};
use super::kept::{Place, is_large};
use super::outcome::JoinError;
use crate::error::{Interval, Member};
use crate::gate::{self, Payload};

/// An outcome whose value is kept as it is, or in a box.
enum Kept<P, B> {
    Plain(P),
    Boxed(B),
}

/// The one that may have the outcome of a task. If it is dropped, the task goes on, and its outcome
/// is dropped when it comes.
pub(crate) struct Joiner<V> {
    task: ManuallyDrop<TaskRef>,
    value: PhantomData<fn(V) -> V>,
}

// SAFETY: K2, K4: the joiner is a counted reference, and it hands the outcome out to the thread
// that owns it. The bound says that an outcome may go there.
unsafe impl<V> Send for Joiner<V> where Result<V, JoinError>: Send {}
// SAFETY: K2: through `&Joiner` only a reference to the outcome is handed out. The bound says that
// other threads may have one. (Each value of a task is `Send` anyway.)
unsafe impl<V> Sync for Joiner<V> where Result<V, JoinError>: Send + Sync {}

impl<V> Joiner<V> {
    /// # Safety
    /// As [`TaskRef::from_raw`] (K4, K6). The node keeps values of type `V`, or of type `Box<V>` if
    /// they are large, and it has no other joiner (K2).
    pub(super) unsafe fn from_raw(node: NonNull<Header>) -> Self {
        Self {
            // SAFETY: K4, K6: the caller promises it.
            task: ManuallyDrop::new(unsafe { TaskRef::from_raw(node) }),
            value: PhantomData,
        }
    }

    pub(crate) fn task(&self) -> &TaskRef {
        &self.task
    }

    /// The outcome, if the task has ended and it was not taken yet.
    pub(crate) fn take(&mut self) -> Option<Result<V, JoinError>> {
        match self.kept_mut()? {
            Kept::Plain(place) => place.take(),
            Kept::Boxed(place) => match place.take()? {
                Ok(value) => Some(Ok(*value)),
                Err(error) => Some(Err(error)),
            },
        }
    }

    /// The outcome in place, if the task has ended and it was not taken yet.
    pub(crate) fn look(&self) -> Option<Result<&V, &JoinError>> {
        match self.kept()? {
            Kept::Plain(place) => Some(place.as_ref()?.as_ref()),
            Kept::Boxed(place) => Some(place.as_ref()?.as_ref().map(|value| &**value)),
        }
    }

    /// Where the outcome is, once the task has ended.
    fn outcome(&self) -> Option<NonNull<()>> {
        if !self.task.header().is_done() {
            return None;
        }
        // SAFETY: K2: the task has ended, and this is its joiner.
        Some(unsafe { self.task.outcome() })
    }

    /// The outcome as it is kept, for as long as the joiner is borrowed.
    fn kept(&self) -> Option<Kept<&Place<V>, &Place<Box<V>>>> {
        let outcome = self.outcome()?;
        Some(if const { is_large::<V>() } {
            // SAFETY: K2, K7: only a `&mut` to the joiner changes it. Large values are in a box.
            Kept::Boxed(unsafe { outcome.cast().as_ref() })
        } else {
            // SAFETY: K2, K7: as above. Other values are kept as they are.
            Kept::Plain(unsafe { outcome.cast().as_ref() })
        })
    }

    /// As [`kept`](Self::kept), to be changed.
    fn kept_mut(&mut self) -> Option<Kept<&mut Place<V>, &mut Place<Box<V>>>> {
        let outcome = self.outcome()?;
        Some(if const { is_large::<V>() } {
            // SAFETY: K2, K7: nothing else reaches the outcome while the joiner is borrowed. Large
            // values are in a box.
            Kept::Boxed(unsafe { outcome.cast().as_mut() })
        } else {
            // SAFETY: K2, K7: as above. Other values are kept as they are.
            Kept::Plain(unsafe { outcome.cast().as_mut() })
        })
    }

    /// Drops the outcome, if it is there. A large value stays in its box. A panic of that comes
    /// back.
    fn drop_outcome(&mut self) -> Result<(), Payload> {
        match self.kept_mut() {
            Some(Kept::Plain(place)) => place.take().map_or(Ok(()), gate::drop_value),
            Some(Kept::Boxed(place)) => place.take().map_or(Ok(()), gate::drop_value),
            None => Ok(()),
        }
    }
}

impl<V> Drop for Joiner<V> {
    #[inline]
    fn drop(&mut self) {
        if self.task.detach() {
            // Its reference has been given back.
            return;
        }
        // DONE came first, so the outcome is the joiner's (K2), whose drop this is.
        let dropped = self.drop_outcome();
        // SAFETY: K4: it still has its reference, which is taken once: `self` is not used again.
        let task = unsafe { ManuallyDrop::take(&mut self.task) };
        if let Err(payload) = dropped {
            value_panicked(&task, payload);
        }
        drop(task);
    }
}

/// The value of a task panicked when its handle was dropped: that fails the group, as when the task
/// drops it. A group that has ended cannot fail any more.
#[cold]
#[inline(never)]
fn value_panicked(task: &TaskRef, payload: Payload) {
    let header = task.header();
    if header.owner.enter_child().is_err() {
        return gate::report("the value of a task", payload);
    }
    // Destructors of other children must not run on the stack of the code that dropped the handle.
    let failed = Member::from_panic(header.info(), payload, Interval::now());
    header.owner.adopt_from_hand(failed);
    header.owner.leave();
}

impl TaskRef {
    /// Where the outcome is.
    ///
    /// # Safety
    /// K2: the task has ended, and the caller acts for its joiner.
    unsafe fn outcome(&self) -> NonNull<()> {
        // SAFETY: K2: the caller promises it.
        match unsafe { (self.header().vtable.look)(self) } {
            StageIs::Outcome(outcome) => outcome,
            _ => unreachable!("K2: the outcome is there until the joiner goes"),
        }
    }
}
