//! Futures that run side by side inside one task, polled as they are woken.
//!
//! - **SE1** Each future is dropped, whatever the destructor of another one does. The list of
//!   `FuturesUnordered` loses all that are left when a destructor unwinds into it: they would never
//!   be dropped, and what they had started would live on. So no destructor unwinds into it. The
//!   first panic goes on after all have been dropped.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::stream::{FuturesUnordered, StreamExt};
use pin_project_lite::pin_project;

use crate::gate::{self, Payload};

pub(crate) struct Several<F>(FuturesUnordered<One<F>>);

pin_project! {
    struct One<F> {
        #[pin]
        future: Option<F>,
    }
}

impl<F> One<F> {
    /// Drops the future. A panic comes back as its payload.
    fn let_go(self: Pin<&mut Self>) -> Result<(), Payload> {
        let mut future = self.project().future;
        gate::call(|| future.set(None))
    }
}

impl<F: Future> Future for One<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.as_mut().project().future.as_pin_mut();
        let future = future.expect("a future is not polled again after it was ready");
        let output = ready!(future.poll(cx));
        // Here, because the list drops it where a panic does harm.
        if let Err(payload) = self.let_go() {
            gate::resume(payload);
        }
        Poll::Ready(output)
    }
}

impl<F> Several<F> {
    pub(crate) fn new() -> Self {
        Self(FuturesUnordered::new())
    }

    pub(crate) fn push(&mut self, future: F) {
        self.0.push(One {
            future: Some(future),
        });
    }

    /// How many have not ended.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<F: Future> Several<F> {
    /// The output of the next one that ends. Ready with `None` when none is left.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        self.0.poll_next_unpin(cx)
    }

    pub(crate) async fn next(&mut self) -> Option<F::Output> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl<F> FromIterator<F> for Several<F> {
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> Self {
        let mut several = Self::new();
        for future in futures {
            several.push(future);
        }
        several
    }
}

impl<F> Drop for Several<F> {
    /// SE1
    fn drop(&mut self) {
        let mut first = None;
        for one in Pin::new(&mut self.0).iter_pin_mut() {
            if let Err(payload) = one.let_go() {
                match first {
                    None => first = Some(payload),
                    Some(_) => gate::discard(payload),
                }
            }
        }
        if let Some(payload) = first {
            gate::resume(payload);
        }
    }
}
