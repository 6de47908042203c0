//! One function over many items, a few at a time.

use std::panic::Location;

use super::gather::Plan;
use super::inline::Source;
use crate::error::{BoxError, ErrorGroup};
use crate::group::{GroupBuilder, TaskGroup};

/// Runs `work` over all items, at most `limit` at once, and gives the values in the order of the
/// items. A limit of zero counts as one.
///
/// `map` takes an item from the iterator only when there is room for it, so the iterator may be
/// long or lazy. The first failure cancels what runs, and nothing more starts. Everything runs
/// inside the caller's task, so `work` and the items may borrow from it.
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
/// An `async move` closure that owns what it uses lends it to its future, and the compiler rejects
/// it: "does not implement `FnMut`". Without `move` the closure borrows, as here.
///
/// [`GroupBuilder::map`] takes settings. To use all cores, [`spawn`](TaskGroup::spawn) the work in
/// a group with a [`limit`](GroupBuilder::limit).
///
/// # Errors
/// All failures: the cause first, the others in order of arrival. A panic is a failure too.
///
/// # Cancel safety
/// When the scope around the call is cancelled, the work is cancelled, and the call never returns
/// unless some of it failed.
///
/// # Drop
/// Dropping the future drops the work. What the work had started is cancelled, and the enclosing
/// scope adopts it.
///
/// The ideas are `buffered` in `futures`, here with cleanup and all errors, and a semaphore around
/// `gather` in asyncio.
#[track_caller]
#[doc(alias = "for_each_concurrent")]
#[doc(alias = "buffer_unordered")]
#[doc(alias = "Semaphore")]
pub fn map<I, N, W, F, T, E>(
    limit: usize,
    items: I,
    work: W,
) -> impl Future<Output = Result<Vec<T>, ErrorGroup>>
where
    I: IntoIterator<IntoIter = N>,
    N: Iterator,
    W: FnMut(N::Item) -> F,
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    TaskGroup::builder().limit(limit).map(items, work)
}

impl GroupBuilder {
    /// As [`map`](crate::map), with these settings: the limit is that of the group.
    ///
    /// # Errors
    /// As [`map`](crate::map).
    #[track_caller]
    pub fn map<I, N, W, F, T, E>(
        self,
        items: I,
        work: W,
    ) -> impl Future<Output = Result<Vec<T>, ErrorGroup>>
    where
        I: IntoIterator<IntoIter = N>,
        N: Iterator,
        W: FnMut(N::Item) -> F,
        F: Future<Output = Result<T, E>>,
        E: Into<BoxError>,
    {
        Source::of_work(items, work).run(self, Location::caller())
    }
}
