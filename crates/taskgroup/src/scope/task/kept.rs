//! In which form the future and the outcome of a task are kept.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::outcome::JoinError;
use super::output::TaskOutput;

/// The outcome, until it is taken.
pub(super) type Place<K> = Option<Result<K, JoinError>>;

/// What the joiner takes an outcome out of.
pub(super) type OutcomeCell<K> = std::cell::UnsafeCell<Place<K>>;

/// A future or a value that is larger than that has a box of its own, so that what moves on its way
/// through the engine is a pointer: each move may be a copy on the stack, in builds without
/// optimisation nearly all are. Futures have the same limit in Tokio, so a stack that is large
/// enough there is here, too.
const LARGE: usize = if cfg!(debug_assertions) {
    2 * 1024
} else {
    16 * 1024
};

pub(crate) const fn is_large<T>() -> bool {
    size_of::<T>() > LARGE
}

pin_project! {
    /// Has a large value in a box as soon as it is there.
    pub(super) struct Boxing<F> {
        #[pin]
        pub(super) future: F,
    }
}

impl<F: Future<Output: TaskOutput>> Future for Boxing<F> {
    type Output = Result<Box<<F::Output as TaskOutput>::Value>, <F::Output as TaskOutput>::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().future.poll(cx) {
            Poll::Ready(output) => Poll::Ready(match output.into_result() {
                Ok(value) => Ok(Box::new(value)),
                Err(error) => Err(error),
            }),
            Poll::Pending => Poll::Pending,
        }
    }
}
