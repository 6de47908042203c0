//! All outcomes, good and bad.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

use super::gather::put;
use super::inline::{Converting, Inline};
use crate::cancel::{CancelReason, Cancelled};
use crate::error::{BoxError, ErrorGroup, TaskError};
use crate::group::{GroupBuilder, TaskGroup};
use crate::handle::JoinError;
use crate::policy::Policy;
use crate::scope::task::TaskOutput;

/// The outcome of each of several futures; made by [`settle`] and [`settle_by_key`].
///
/// Every future is in exactly one of the three lists, under its index or key. Each list is in
/// argument order.
///
/// ```
/// use taskgroup::settle;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let pages = [Ok("index"), Err("not found"), Ok("about")];
/// let settled = settle(pages.map(|page| async move { page })).await;
/// assert_eq!(settled.values, [(0, "index"), (2, "about")]);
/// assert_eq!(settled.failed[0].0, 1);
/// assert!(settled.cancelled.is_empty());
/// assert!(settled.errors.unwrap().to_string().contains("not found"));
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Settled<T, K = usize> {
    /// The futures that gave a value.
    pub values: Vec<(K, T)>,
    /// The futures that failed, each with its error or panic.
    pub failed: Vec<(K, TaskError)>,
    /// The futures that were cancelled, before or after their start, each with the reason.
    pub cancelled: Vec<(K, CancelReason)>,
    /// All failures as one error: the cause first, the others in order of arrival. Failures of
    /// cleanup that was left behind are among them.
    pub errors: Option<ErrorGroup>,
}

impl<T, K> Settled<T, K> {
    /// Whether every future gave a value.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.cancelled.is_empty() && self.errors.is_none()
    }

    /// The number of futures.
    #[must_use]
    pub fn total(&self) -> usize {
        self.values.len() + self.failed.len() + self.cancelled.len()
    }

    /// The values without their keys.
    pub fn into_values(self) -> impl Iterator<Item = T> {
        self.values.into_iter().map(|(_, value)| value)
    }
}

/// Runs several futures side by side to their end and gives the outcome of each, by index.
///
/// A failure does not stop the others. Without futures it resolves at once. The futures run inside
/// the caller's task and may borrow from it. Given task handles, it waits for the tasks.
///
/// ```
/// use taskgroup::settle;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let texts = ["1", "two", "3"];
/// let settled =
///     settle(texts.iter().map(|text| async move { text.parse::<u32>() })).await;
/// assert_eq!(settled.values, [(0, 1), (2, 3)]);
/// assert_eq!(settled.failed[0].0, 1);
/// println!("{:#}", settled.errors.unwrap());
/// # }
/// ```
///
/// When a deadline cuts it off, it gives what there is. The rest is cancelled, cleans up, and is
/// listed as cancelled.
///
/// ```
/// use std::time::Duration;
/// use taskgroup::{BoxError, settle, timeout};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), BoxError> {
/// let works = [1, 2, 60].map(|seconds| async move {
///     tokio::time::sleep(Duration::from_secs(seconds)).await;
///     Ok::<_, BoxError>(seconds)
/// });
/// let partial = timeout(Duration::from_secs(3), settle(works)).await?;
/// assert_eq!(partial.values, [(0, 1), (1, 2)]);
/// assert_eq!(partial.cancelled[0].0, 2);
/// # Ok(()) }
/// ```
///
/// [`GroupBuilder::settle`] takes settings. With [`Policy::quorum`] it gives the first n values and
/// stops.
///
/// # Cancel safety
/// When the scope around the call is cancelled, the futures are cancelled, and the call still
/// returns their outcomes. The cancellation takes effect at the next suspension point.
///
/// # Drop
/// Dropping the future drops `futures`. What they had started is cancelled, and the enclosing scope
/// adopts it.
///
/// The ideas are asyncio's `gather(return_exceptions=True)` and JavaScript's `Promise.allSettled`.
#[track_caller]
#[doc(alias = "return_exceptions")]
#[doc(alias = "allSettled")]
pub fn settle<I, F, T>(futures: I) -> impl Future<Output = Settled<T>>
where
    I: IntoIterator<Item = F>,
    F: Future<Output: TaskOutput<Value = T>>,
{
    TaskGroup::builder().settle(futures)
}

/// As [`settle`], with a key for each future. In errors and in the
/// [live tree](crate::observe::tree()) the key is the name of the future.
///
/// ```
/// use std::collections::HashMap;
/// use taskgroup::{BoxError, settle_by_key};
/// # async fn load(name: &str) -> Result<usize, BoxError> { Ok(name.len()) }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let settled =
///     settle_by_key(["users", "orders"].map(|name| (name, load(name)))).await;
/// let lengths: HashMap<_, _> = settled.values.into_iter().collect();
/// assert_eq!(lengths["orders"], 6);
/// # }
/// ```
///
/// # Cancel safety
/// As [`settle`].
#[track_caller]
pub fn settle_by_key<K, F, I, T>(futures: I) -> impl Future<Output = Settled<T, K>>
where
    K: fmt::Debug,
    I: IntoIterator<Item = (K, F)>,
    F: Future<Output: TaskOutput<Value = T>>,
{
    TaskGroup::builder().settle_by_key(futures)
}

/// The value of a future that does not fail.
///
/// ```
/// use std::future::Ready;
/// use taskgroup::combine::ValueOf;
///
/// let page: ValueOf<Ready<Result<String, std::io::Error>>> =
///     String::from("index");
/// let nothing: ValueOf<Ready<()>> = ();
/// # drop((page, nothing));
/// ```
pub type ValueOf<F> = <<F as Future>::Output as TaskOutput>::Value;

impl GroupBuilder {
    /// As [`settle`], with these settings. The default [policy](Self::policy) is
    /// [`Policy::collect`].
    #[track_caller]
    pub fn settle<I, F, T>(self, futures: I) -> impl Future<Output = Settled<T>>
    where
        I: IntoIterator<Item = F>,
        F: Future<Output: TaskOutput<Value = T>>,
    {
        let futures = unzipped(futures.into_iter().enumerate());
        settle_at(self, Location::caller(), Vec::new(), futures)
    }

    /// As [`settle_by_key`], with these settings. The default [policy](Self::policy) is
    /// [`Policy::collect`].
    #[track_caller]
    pub fn settle_by_key<K, F, I, T>(self, futures: I) -> impl Future<Output = Settled<T, K>>
    where
        K: fmt::Debug,
        I: IntoIterator<Item = (K, F)>,
        F: Future<Output: TaskOutput<Value = T>>,
    {
        let (keys, futures) = unzipped(futures);
        let names = keys.iter().map(name_of).collect();
        settle_at(self, Location::caller(), names, (keys, futures))
    }
}

/// The keys, and the futures with their outputs as results.
pub(super) fn unzipped<K, F, T>(
    futures: impl IntoIterator<Item = (K, F)>,
) -> (Vec<K>, Vec<Converting<F, T>>)
where
    F: Future<Output: TaskOutput<Value = T>>,
{
    let futures = futures.into_iter();
    futures
        .map(|(key, future)| (key, Converting::new(future)))
        .unzip()
}

/// What a child with this key is called. A text has no quotes.
pub(super) fn name_of<K: fmt::Debug>(key: &K) -> Cow<'static, str> {
    let name = format!("{key:?}");
    let text = name
        .strip_prefix('"')
        .and_then(|name| name.strip_suffix('"'));
    match text {
        Some(text) => Cow::Owned(text.to_owned()),
        None => Cow::Owned(name),
    }
}

async fn settle_at<K, F, V>(
    settings: GroupBuilder,
    location: &'static Location<'static>,
    names: Vec<Cow<'static, str>>,
    (keys, futures): (Vec<K>, Vec<F>),
) -> Settled<V, K>
where
    F: Future<Output = Result<V, BoxError>>,
{
    let settings = settings.default_policy(Policy::collect());
    let limit = settings.limited_to();
    let mut outcomes = Vec::new();
    let mut reason = None;
    let body = async |group: TaskGroup| {
        let children = Inline {
            group: &group,
            limit,
            location,
            names: &names,
        };
        let futures = futures.into_iter().map(cancelled_is_an_outcome);
        children
            .run(futures, |index, outcome| {
                put(&mut outcomes, index, Some(outcome));
            })
            .await;
        reason = group.reason();
        Ok(())
    };
    let (_, errors) = settings.run_to_end_at(location, body).await;

    outcomes.resize_with(keys.len(), || None);
    let mut settled = Settled {
        values: Vec::new(),
        failed: Vec::new(),
        cancelled: Vec::new(),
        errors,
    };
    for (key, outcome) in keys.into_iter().zip(outcomes) {
        match outcome {
            Some(Ok(Ok(value))) => settled.values.push((key, value)),
            Some(Err(JoinError::Failed(failure))) => settled.failed.push((key, failure)),
            Some(Ok(Err(cancelled)) | Err(JoinError::Cancelled(cancelled))) => {
                settled.cancelled.push((key, cancelled.reason().clone()));
            }
            // It never started. Only a cancelled group leaves futures out.
            None => settled
                .cancelled
                .extend(reason.clone().map(|why| (key, why))),
        }
    }
    settled
}

/// A task that was cancelled alone and is awaited by its handle has not failed.
async fn cancelled_is_an_outcome<F, V>(future: F) -> Result<Result<V, Cancelled>, BoxError>
where
    F: Future<Output = Result<V, BoxError>>,
{
    match future.await {
        Ok(value) => Ok(Ok(value)),
        Err(error) => match error.downcast::<JoinError>() {
            Ok(error) => match *error {
                JoinError::Cancelled(cancelled) => Ok(Err(cancelled)),
                failed @ JoinError::Failed(_) => Err(failed.into()),
            },
            Err(error) => Err(error),
        },
    }
}
