//! The first success, or every failure.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use tokio::sync::Notify;

use super::inline::{Converting, Inline, Source};
use super::settle::{name_of, unzipped};
use crate::cancel::cancel_point;
use crate::deadline::move_on_after;
use crate::error::{BoxError, ErrorGroup};
use crate::group::{GroupBuilder, TaskGroup};
use crate::policy::Policy;
use crate::scope::task::TaskOutput;

/// Runs several futures side by side and gives the value of the first that succeeds. It cancels the
/// others and waits for their cleanup.
///
/// A failure does not end the race. The futures run inside the caller's task and may borrow from
/// it.
///
/// ```
/// use taskgroup::race;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # async fn fetch(mirror: &str) -> Result<String, String> { if mirror == "c" { Ok(mirror.into()) } else { Err(format!("{mirror} is down")) } }
/// let page = race(["a", "b", "c"].map(fetch)).await;
/// assert_eq!(page.unwrap(), "c");
///
/// let errors = race(["a", "b"].map(fetch)).await.unwrap_err();
/// assert_eq!(errors.len(), 2); // both failed, and both say why
/// # }
/// ```
///
/// For the first *outcome*, good or bad, use `tokio::select!` or [`wait`](crate::wait). For the
/// first n values use [`GroupBuilder::settle`] with [`Policy::quorum`].
///
/// # Errors
/// Every failure, when all futures failed: the cause first, the others in order of arrival.
/// [`QuorumMissed`](crate::error::QuorumMissed), when there was no future to begin with.
///
/// # Cancel safety
/// When the scope around the call is cancelled, the futures are cancelled, and the call never
/// returns unless one of them failed or won.
///
/// # Drop
/// Dropping the future drops `futures`. What they had started is cancelled, and the enclosing scope
/// adopts it.
///
/// The idea is JavaScript's `Promise.any`. asyncio and Trio have none that gives all errors.
#[track_caller]
#[doc(alias = "first_success")]
#[doc(alias = "select_ok")]
#[doc(alias = "Promise.any")]
pub fn race<I, N, F, T>(futures: I) -> impl Future<Output = Result<T, ErrorGroup>>
where
    I: IntoIterator<IntoIter = N>,
    N: Iterator<Item = F>,
    F: Future<Output: TaskOutput<Value = T>>,
{
    TaskGroup::builder().race(futures)
}

/// As [`race`], with a key for each future. The key of the winner comes with its value. In errors
/// and in the [live tree](crate::observe::tree()) the key is the name of the future.
///
/// ```
/// use taskgroup::race_by_key;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # async fn fetch(mirror: &str) -> Result<String, String> {
/// #     if mirror == "c" { Ok("page".into()) } else { Err(format!("{mirror} is down")) }
/// # }
/// let mirrors = ["a", "b", "c"].map(|mirror| (mirror, fetch(mirror)));
/// let (mirror, page) = race_by_key(mirrors).await.unwrap();
/// assert_eq!((mirror, &*page), ("c", "page"));
///
/// let errors = race_by_key([("a", fetch("a"))]).await.unwrap_err();
/// assert_eq!(errors.cause().name(), "a");
/// # }
/// ```
///
/// [`GroupBuilder::race_by_key`] takes settings: the name of the race, for example.
///
/// # Errors
/// As [`race`].
///
/// # Cancel safety
/// As [`race`].
///
/// # Drop
/// As [`race`].
#[track_caller]
pub fn race_by_key<K, F, I, T>(futures: I) -> impl Future<Output = Result<(K, T), ErrorGroup>>
where
    K: fmt::Debug,
    I: IntoIterator<Item = (K, F)>,
    F: Future<Output: TaskOutput<Value = T>>,
{
    TaskGroup::builder().race_by_key(futures)
}

/// As [`race`], but the futures start one after the other. The next one starts when the one before
/// it has failed, or has not won after `delay`.
///
/// This is for attempts that should not all go out at once, such as the addresses of one host
/// ("happy eyeballs") or the mirrors of one file.
///
/// ```
/// use std::time::Duration;
/// use taskgroup::race_staggered;
/// use tokio::time::{Instant, sleep};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let start = Instant::now();
/// let address = |number: u64, seconds| async move {
///     sleep(Duration::from_secs(seconds)).await;
///     Ok::<_, std::io::Error>(number)
/// };
/// let addresses = [address(1, 60), address(2, 3)];
/// let winner = race_staggered(Duration::from_secs(1), addresses).await;
/// assert_eq!(winner.unwrap(), 2);
/// // One second of waiting, three of work.
/// assert_eq!(start.elapsed(), Duration::from_secs(4));
/// # }
/// ```
///
/// [`GroupBuilder::race_staggered`] takes settings, and
/// [`GroupBuilder::race_staggered_by_key`] keys as well.
///
/// # Errors
/// As [`race`].
///
/// # Cancel safety
/// As [`race`].
///
/// The idea is asyncio's internal `staggered_race`, on which its `create_connection` is built.
#[track_caller]
#[doc(alias = "happy_eyeballs")]
#[doc(alias = "staggered_race")]
pub fn race_staggered<I, F, T>(
    delay: Duration,
    futures: I,
) -> impl Future<Output = Result<T, ErrorGroup>>
where
    I: IntoIterator<Item = F>,
    F: Future<Output: TaskOutput<Value = T>>,
{
    TaskGroup::builder().race_staggered(delay, futures)
}

/// The race of futures that start one after the other.
async fn staggered<F, V>(
    settings: GroupBuilder,
    delay: Duration,
    location: &'static Location<'static>,
    names: Vec<Cow<'static, str>>,
    futures: Vec<F>,
) -> Result<Won<V>, ErrorGroup>
where
    F: Future<Output = Result<V, BoxError>>,
{
    let turns: Vec<_> = futures.iter().map(|_| Turn::default()).collect();
    let in_turn = futures.into_iter().enumerate().map(|(index, future)| {
        let before = index.checked_sub(1).map(|before| &turns[before]);
        let own = &turns[index];
        let end = EndOfTurn(own);
        async move {
            let _end = end;
            if let Some(before) = before {
                before.begun.notified().await;
                move_on_after(delay, before.failed.notified()).await;
            }
            // In a cancelled race the turn comes because the runner before was dropped.
            cancel_point().await;
            own.begun.notify_one();
            future.await
        }
    });
    raced(settings, location, names, Source::of_results(in_turn)).await
}

/// What the next runner waits for.
#[derive(Default)]
struct Turn {
    begun: Notify,
    failed: Notify,
}

/// Starts the next runner at the end of this one, also where a panic ends the wait for its turn.
struct EndOfTurn<'a>(&'a Turn);

impl Drop for EndOfTurn<'_> {
    fn drop(&mut self) {
        self.0.begun.notify_one();
        self.0.failed.notify_one();
    }
}

impl GroupBuilder {
    /// As [`race`], with these settings. The policy is [`Policy::first_success`].
    ///
    /// # Errors
    /// As [`race`].
    #[track_caller]
    pub fn race<I, N, F, T>(self, futures: I) -> impl Future<Output = Result<T, ErrorGroup>>
    where
        I: IntoIterator<IntoIter = N>,
        N: Iterator<Item = F>,
        F: Future<Output: TaskOutput<Value = T>>,
    {
        let futures = Source::new(futures);
        value_of(raced(self, Location::caller(), Vec::new(), futures))
    }

    /// As [`race_staggered`], with these settings. The policy is [`Policy::first_success`].
    ///
    /// A [limit](Self::limit) holds as well: a future whose turn has come waits for a place.
    ///
    /// # Errors
    /// As [`race`].
    #[track_caller]
    pub fn race_staggered<I, F, T>(
        self,
        delay: Duration,
        futures: I,
    ) -> impl Future<Output = Result<T, ErrorGroup>>
    where
        I: IntoIterator<Item = F>,
        F: Future<Output: TaskOutput<Value = T>>,
    {
        let futures = futures.into_iter().map(Converting::new).collect();
        value_of(staggered(
            self,
            delay,
            Location::caller(),
            Vec::new(),
            futures,
        ))
    }

    /// As [`race_by_key`], with these settings. The policy is [`Policy::first_success`].
    ///
    /// # Errors
    /// As [`race`].
    #[track_caller]
    pub fn race_by_key<K, F, I, T>(
        self,
        futures: I,
    ) -> impl Future<Output = Result<(K, T), ErrorGroup>>
    where
        K: fmt::Debug,
        I: IntoIterator<Item = (K, F)>,
        F: Future<Output: TaskOutput<Value = T>>,
    {
        let (keys, futures) = unzipped(futures);
        let names = keys.iter().map(name_of).collect();
        let futures = Source::of_results(futures.into_iter());
        key_of(keys, raced(self, Location::caller(), names, futures))
    }

    /// As [`race_by_key`], with these settings, and the futures start one after the other as in
    /// [`race_staggered`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// # async fn connect(address: &str) -> Result<u32, String> {
    /// #     if address == "::1" { Err("no route".into()) } else { Ok(7) }
    /// # }
    /// let addresses = ["::1", "127.0.0.1"].map(|address| (address, connect(address)));
    /// let race = TaskGroup::builder().name("connect");
    /// let (address, socket) =
    ///     race.race_staggered_by_key(Duration::from_millis(250), addresses)
    ///         .await
    ///         .unwrap();
    /// assert_eq!((address, socket), ("127.0.0.1", 7));
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`race`].
    #[track_caller]
    pub fn race_staggered_by_key<K, F, I, T>(
        self,
        delay: Duration,
        futures: I,
    ) -> impl Future<Output = Result<(K, T), ErrorGroup>>
    where
        K: fmt::Debug,
        I: IntoIterator<Item = (K, F)>,
        F: Future<Output: TaskOutput<Value = T>>,
    {
        let (keys, futures) = unzipped(futures);
        let names = keys.iter().map(name_of).collect();
        let race = staggered(self, delay, Location::caller(), names, futures);
        key_of(keys, race)
    }
}

/// The winner of a race: its place among the futures, and its value.
type Won<V> = (usize, V);

async fn value_of<V>(
    race: impl Future<Output = Result<Won<V>, ErrorGroup>>,
) -> Result<V, ErrorGroup> {
    let (_, value) = race.await?;
    Ok(value)
}

async fn key_of<K, V>(
    keys: Vec<K>,
    race: impl Future<Output = Result<Won<V>, ErrorGroup>>,
) -> Result<(K, V), ErrorGroup> {
    let (index, value) = race.await?;
    match keys.into_iter().nth(index) {
        Some(key) => Ok((key, value)),
        None => unreachable!("there is a key for each future"),
    }
}

async fn raced<S, F, V>(
    settings: GroupBuilder,
    location: &'static Location<'static>,
    names: Vec<Cow<'static, str>>,
    futures: Source<S, F>,
) -> Result<Won<V>, ErrorGroup>
where
    F: Future<Output = Result<V, BoxError>>,
{
    let settings = settings.policy(Policy::first_success());
    let limit = settings.limited_to();
    let body = async |group: TaskGroup| {
        let children = Inline {
            group: &group,
            limit,
            location,
            names: &names,
        };
        let mut winner = None;
        children
            .run(futures, |index, outcome| {
                if let (None, Ok(value)) = (&winner, outcome) {
                    winner = Some((index, value));
                }
            })
            .await;
        if winner.is_none() && group.is_cancelled() {
            // Cancelled from outside: the guard rule drops this future here.
            std::future::pending::<()>().await;
        }
        Ok::<_, BoxError>(winner)
    };
    let winner = settings.run_at(location, body).await?;
    Ok(winner.expect("a race that nobody won is an error by its policy"))
}
