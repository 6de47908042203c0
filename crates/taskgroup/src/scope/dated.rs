//! A future whose failure has its date.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::error::{Began, Interval};

pin_project! {
    /// Polls `future`. An error of it comes with the interval of the poll that failed (S43).
    pub(crate) struct Dated<F> {
        #[pin]
        future: F,
    }
}

impl<F> Dated<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future }
    }
}

impl<T, E, F: Future<Output = Result<T, E>>> Future for Dated<F> {
    type Output = Result<T, (E, Interval)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let began = Began::now();
        let polled = self.project().future.poll(cx);
        polled.map_err(|error| (error, began.failed()))
    }
}
