//! The waker of a task: a pointer to its node, with a reference that is counted or lent.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::header::TaskRef;
use super::state::{TOKIO, Woken};

impl TaskRef {
    /// The waker of a poll. It borrows the reference of `self`.
    pub(super) fn waker(&self) -> PollWaker<'_> {
        // SAFETY: K4, K6: the table keeps the contract of a raw waker, see there. The reference
        // that the waker stands for is that of `self`.
        let waker = unsafe { Waker::new(self.0.as_ptr().cast(), &WAKER) };
        PollWaker(ManuallyDrop::new(waker), PhantomData)
    }
}

/// A waker that has no reference of its own.
pub(super) struct PollWaker<'a>(ManuallyDrop<Waker>, PhantomData<&'a TaskRef>);

impl Deref for PollWaker<'_> {
    type Target = Waker;
    fn deref(&self) -> &Waker {
        &self.0
    }
}

/// The data of such a waker is the pointer to a node (K6): [`TaskRef::waker`] and [`clone`] put it
/// there. The waker stands for one reference (K4). That is counted, unless the waker is a
/// [`PollWaker`], which only lends itself, so that it is neither woken by value nor dropped.
static WAKER: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// The reference that a waker stands for.
///
/// # Safety
/// K4, K6: `data` is that of a waker with the table [`WAKER`]. The caller keeps the result from
/// being dropped, unless the waker is used up.
unsafe fn borrowed(data: *const ()) -> ManuallyDrop<TaskRef> {
    // SAFETY: K6: it is the pointer to a node, so it is not null.
    let node = unsafe { NonNull::new_unchecked(data.cast_mut().cast()) };
    // SAFETY: K4, K6: the caller promises it.
    ManuallyDrop::new(unsafe { TaskRef::from_raw(node) })
}

/// # Safety
/// K4, K6: `data` is that of a waker with the table [`WAKER`], which is borrowed meanwhile.
unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: K4, K6: the caller promises it, and the result is not dropped.
    let task = unsafe { borrowed(data) };
    std::mem::forget(TaskRef::clone(&task));
    RawWaker::new(data, &WAKER)
}

/// # Safety
/// K4, K6: `data` is that of a waker with the table [`WAKER`], which is used up.
unsafe fn wake(data: *const ()) {
    // SAFETY: K4, K6: the caller promises it, and the reference of the waker becomes ours.
    ManuallyDrop::into_inner(unsafe { borrowed(data) }).wake();
}

/// # Safety
/// K4, K6: `data` is that of a waker with the table [`WAKER`], which is borrowed meanwhile.
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: K4, K6: the caller promises it, and the result is not dropped.
    let task = unsafe { borrowed(data) };
    // Most wake-ups of a busy task find it scheduled: no reference is counted for those.
    match task.header().state.schedule() {
        Woken::Noticed => {}
        Woken::Submit if task.header().has(TOKIO) => task.header().wake_drive(),
        woken => TaskRef::clone(&task).hand_over(woken),
    }
}

/// # Safety
/// K4, K6: `data` is that of a waker with the table [`WAKER`], which is used up.
unsafe fn drop_waker(data: *const ()) {
    // SAFETY: K4, K6: the caller promises it, and the reference of the waker becomes ours.
    drop(ManuallyDrop::into_inner(unsafe { borrowed(data) }));
}
