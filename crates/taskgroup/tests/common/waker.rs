//! A waker whose every operation runs code of the test.

#![allow(unsafe_code)]

use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// What code of a waker is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Clone,
    Wake,
    Drop,
}

type Hook = Arc<dyn Fn(Op) + Send + Sync>;

/// A waker that calls `hook` at each clone, wake-up and drop.
pub(crate) fn hooked(hook: impl Fn(Op) + Send + Sync + 'static) -> Waker {
    let hook: Arc<Hook> = Arc::new(Arc::new(hook));
    let raw = RawWaker::new(Arc::into_raw(hook).cast(), &TABLE);
    // SAFETY: the table treats the pointer as the `Arc` that it came from, one count for each
    // waker, on any thread.
    unsafe { Waker::from_raw(raw) }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// The hook behind a pointer, which keeps its count.
fn borrowed(data: *const ()) -> Arc<Hook> {
    let data: *const Hook = data.cast();
    // SAFETY: it is a pointer from `Arc::into_raw` whose count is ours while the waker lives.
    unsafe { Arc::increment_strong_count(data) };
    // SAFETY: one count was just added for this.
    unsafe { Arc::from_raw(data) }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    let hook = borrowed(data);
    hook(Op::Clone);
    RawWaker::new(Arc::into_raw(hook).cast(), &TABLE)
}

unsafe fn wake(data: *const ()) {
    let data: *const Hook = data.cast();
    // SAFETY: a wake-up by value takes the count of the waker.
    let hook = unsafe { Arc::from_raw(data) };
    hook(Op::Wake);
    hook(Op::Drop);
}

unsafe fn wake_by_ref(data: *const ()) {
    borrowed(data)(Op::Wake);
}

unsafe fn drop_waker(data: *const ()) {
    let data: *const Hook = data.cast();
    // SAFETY: the waker is gone, and with it its count.
    let hook = unsafe { Arc::from_raw(data) };
    hook(Op::Drop);
}
