//! One function over many items, a few at a time.

use std::panic::Location;

use super::gather::{Gather, Plan};
use crate::error::{BoxError, ErrorGroup};
use crate::group::{GroupBuilder, TaskGroup};

/// Runs `work` over all items, at most `limit` at once, and gives the values in the order of the items. Zero counts as one.
///
/// Items are taken from the iterator only when there is room, so it may be long or lazy. The first failure cancels what runs and
/// starts nothing more. Everything runs inside the caller's task, so `work` and the items may borrow from it.
///
/// ```
/// use taskgroup::{BoxError, map};
/// # struct Client; impl Client { async fn get(&self, url: &str) -> Result<usize, BoxError> { Ok(url.len()) } }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
/// let client = Client;
/// let urls: Vec<String> = (0..100).map(|n| format!("/page/{n}")).collect();
/// let sizes = map(5, &urls, async |url| client.get(url).await).await?;
/// assert_eq!(sizes.len(), 100);
/// # Ok(()) }
/// ```
///
/// With settings: [`GroupBuilder::map`]. To use all cores [`spawn`](TaskGroup::spawn) the work in a group with a
/// [`limit`](GroupBuilder::limit).
///
/// # Errors
/// All failures, the cause first and the others in order of arrival. A panic is one of them.
///
/// # Cancel safety
/// When the scope around the call is cancelled the work is, and the call never returns unless some of it failed.
///
/// # Drop
/// Drops the work; what it had started is cancelled and adopted by the enclosing scope.
///
/// `buffered` of `futures`, with cleanup and all errors; a semaphore around `gather` in asyncio.
#[track_caller]
#[doc(alias = "for_each_concurrent")]
#[doc(alias = "buffer_unordered")]
#[doc(alias = "Semaphore")]
pub fn map<I, T, E, W>(
    limit: usize,
    items: I,
    work: W,
) -> impl Future<Output = Result<Vec<T>, ErrorGroup>>
where
    I: IntoIterator,
    E: Into<BoxError>,
    W: AsyncFn(I::Item) -> Result<T, E>,
{
    run(
        TaskGroup::builder().limit(limit),
        Location::caller(),
        items,
        work,
    )
}

impl GroupBuilder {
    /// As [`map`](crate::map), with these settings: the limit is that of the group.
    ///
    /// # Errors
    /// As [`map`](crate::map).
    #[track_caller]
    pub fn map<I, T, E, W>(
        self,
        items: I,
        work: W,
    ) -> impl Future<Output = Result<Vec<T>, ErrorGroup>>
    where
        I: IntoIterator,
        E: Into<BoxError>,
        W: AsyncFn(I::Item) -> Result<T, E>,
    {
        run(self, Location::caller(), items, work)
    }
}

async fn run<I, T, E, W>(
    settings: GroupBuilder,
    location: &'static Location<'static>,
    items: I,
    work: W,
) -> Result<Vec<T>, ErrorGroup>
where
    I: IntoIterator,
    E: Into<BoxError>,
    W: AsyncFn(I::Item) -> Result<T, E>,
{
    let futures = items.into_iter().map(|item| work(item));
    futures.plan().run(settings, location).await
}
