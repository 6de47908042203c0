//! Tries again until the work succeeds or it is time to give up.

use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use backon::BackoffBuilder;
use tokio::time::{Instant, sleep};

use crate::cancel::cancel_point;
use crate::deadline::{TimedOut, timeout_at};
use crate::error::BoxError;
use crate::gate;

/// How to try again: the waits of a [`backon`] policy, a limit for each try, a budget for all
/// tries, and the errors that are worth another try.
///
/// A `Retry` is made once and used for many runs. It tries once more than its policy has waits, and
/// does not wait after the last try.
///
/// ```
/// use std::time::Duration;
/// use backon::ExponentialBuilder;
/// use taskgroup::Retry;
/// use std::io::{self, ErrorKind};
/// # async fn connect(attempt: u32) -> io::Result<&'static str> { if attempt < 3 { Err(ErrorKind::ConnectionRefused.into()) } else { Ok("connected") } }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let waits = ExponentialBuilder::new()
///     .with_min_delay(Duration::from_secs(1))
///     .with_max_times(2);
/// let retry = Retry::new(waits)
///     .try_timeout(Duration::from_secs(5))
///     .budget(Duration::from_secs(20))
///     .on(|error: &io::Error| error.kind() == ErrorKind::ConnectionRefused);
/// let connection = retry.run(async |attempt| connect(attempt).await).await;
/// // At the third try, after waits of one and two seconds.
/// assert_eq!(connection.unwrap(), "connected");
/// # }
/// ```
///
/// The Python recipe is a loop around `wait_for`. Tower has `retry`, as a layer.
#[derive(Clone, Debug)]
#[doc(alias = "tenacity")]
#[doc(alias = "backoff")]
pub struct Retry<B, W = Always> {
    waits: B,
    try_timeout: Option<Duration>,
    budget: Option<Duration>,
    worth: W,
}

/// Finds every error worth another try: the default of [`Retry`].
///
/// ```
/// use backon::ExponentialBuilder;
/// use taskgroup::combine::Always;
/// use taskgroup::Retry;
///
/// // The type of a `Retry` without `on`, for example as a field of a struct.
/// struct Client {
///     retry: Retry<ExponentialBuilder, Always>,
/// }
/// let client = Client { retry: Retry::new(ExponentialBuilder::new()) };
/// # drop(client.retry);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Always;

/// Decides whether an error is worth another try: [`Always`], or a closure.
///
/// No other type can implement this trait.
///
/// ```
/// use std::io::{Error, ErrorKind};
/// use backon::ConstantBuilder;
/// use taskgroup::Retry;
/// use taskgroup::combine::GaveUp;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let retry = Retry::new(ConstantBuilder::new());
/// let retry = retry.on(|error: &Error| error.kind() == ErrorKind::TimedOut);
/// let refused = async |_| Err::<(), _>(Error::from(ErrorKind::PermissionDenied));
/// let error = retry.run(refused).await.unwrap_err();
/// assert_eq!(error.gave_up(), GaveUp::NotWorthIt);
/// assert_eq!(error.tries(), 1);
/// # }
/// ```
pub trait Worth<E>: sealed::Sealed<E> {
    #[doc(hidden)]
    fn again(&self, error: &E) -> bool;
}

mod sealed {
    pub trait Sealed<E> {}
    impl<E> Sealed<E> for super::Always {}
    impl<E, F: Fn(&E) -> bool> Sealed<E> for F {}
}

impl<E> Worth<E> for Always {
    fn again(&self, _: &E) -> bool {
        true
    }
}

impl<E, F: Fn(&E) -> bool> Worth<E> for F {
    fn again(&self, error: &E) -> bool {
        self(error)
    }
}

impl<B: BackoffBuilder + Clone> Retry<B> {
    /// Tries again after each wait of `waits`: `ExponentialBuilder`, `ConstantBuilder` or
    /// `FibonacciBuilder` of [`backon`], or a builder of your own. Each run begins with fresh
    /// waits.
    pub fn new(waits: B) -> Self {
        Self {
            waits,
            try_timeout: None,
            budget: None,
            worth: Always,
        }
    }
}

impl<B: BackoffBuilder + Clone, W> Retry<B, W> {
    /// Bounds each single try. A try that runs out of time is cancelled, cleans up, and is always
    /// worth another try.
    #[must_use]
    pub fn try_timeout(mut self, limit: Duration) -> Self {
        self.try_timeout = Some(limit);
        self
    }

    /// Bounds all tries and waits together. A try is cut off when the budget is used up. A wait
    /// that would leave no time for another try does not begin.
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Tries again on the errors for which `worth` is true. Any other error ends the run at once.
    pub fn on<E, F: Fn(&E) -> bool>(self, worth: F) -> Retry<B, F> {
        Retry {
            waits: self.waits,
            try_timeout: self.try_timeout,
            budget: self.budget,
            worth,
        }
    }

    /// Runs `work` until it succeeds or there is no other try. `work` gets the number of the try,
    /// from 1.
    ///
    /// What one try has to leave for the next is changed outside the future:
    ///
    /// ```
    /// # use taskgroup::Retry;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// let mut seen = Vec::new();
    /// let retry = Retry::new(backon::ConstantBuilder::new());
    /// let run = retry.run(|attempt| {
    ///     seen.push(attempt);
    ///     async move { if attempt < 3 { Err("not yet") } else { Ok(()) } }
    /// });
    /// run.await.unwrap();
    /// assert_eq!(seen, [1, 2, 3]);
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RetryError`]: how the last try failed, how many tries there were, and why there was no
    /// other.
    ///
    /// # Cancel safety
    /// A cancellation reaches the work during a try, and ends a wait. There is no other try then.
    /// In a scope that is already cancelled there is no try at all.
    ///
    /// # Drop
    /// Dropping the future drops the try that runs.
    #[track_caller]
    pub fn run<T, E, R, F>(&self, work: R) -> impl Future<Output = Result<T, RetryError>>
    where
        R: FnMut(u32) -> F,
        F: Future<Output = Result<T, E>>,
        E: Into<BoxError>,
        W: Worth<E>,
    {
        let run = Run {
            waits: self.waits.clone().build(),
            try_timeout: self.try_timeout,
            budget: self.budget,
            worth: &self.worth,
            location: Location::caller(),
            work,
            // Function pointers: the compiler cannot prove bounds for every lifetime when it
            // checks whether the future is `Send`.
            call: |work, attempt| work(attempt),
            again: W::again,
            into: E::into,
        };
        run.all_tries()
    }
}

/// All that one run needs. Nothing about its types is known here: see [`Retry::run`].
struct Run<'a, N, W, R, F, E> {
    waits: N,
    try_timeout: Option<Duration>,
    budget: Option<Duration>,
    worth: &'a W,
    location: &'static Location<'static>,
    work: R,
    call: fn(&mut R, u32) -> F,
    again: fn(&W, &E) -> bool,
    into: fn(E) -> BoxError,
}

impl<N, W, R, F, T, E> Run<'_, N, W, R, F, E>
where
    N: Iterator<Item = Duration>,
    F: Future<Output = Result<T, E>>,
{
    async fn all_tries(mut self) -> Result<T, RetryError> {
        cancel_point().await;
        let start = Instant::now();
        let end = self.budget.and_then(|budget| start.checked_add(budget));
        // Cleanup in a cancelled scope may try as often as any other work.
        let in_cleanup = crate::is_cancelled();
        let mut tries = 0;
        loop {
            tries += 1;
            let work = (self.call)(&mut self.work, tries);
            let (last, worth_it) = match attempt(self.try_timeout, end, work).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => {
                    let worth_it = (self.again)(self.worth, &error);
                    (TryFault::Failed((self.into)(error)), worth_it)
                }
                Err(timed_out) => (TryFault::TimedOut(timed_out), true),
            };
            let gave_up = if crate::is_cancelled() && !in_cleanup {
                GaveUp::Cancelled
            } else if !worth_it {
                GaveUp::NotWorthIt
            } else if let Some(wait) = self.waits.next() {
                let again = Instant::now().checked_add(wait);
                if end.is_none_or(|end| again.is_some_and(|again| again < end)) {
                    sleep(wait).await;
                    continue;
                }
                GaveUp::BudgetUsedUp
            } else {
                GaveUp::TriesUsedUp
            };
            return Err(RetryError {
                tries,
                gave_up,
                last,
                elapsed: start.elapsed(),
                location: self.location,
            });
        }
    }
}

/// One try, within its own limit and what is left of the budget.
async fn attempt<F: Future>(
    limit: Option<Duration>,
    end: Option<Instant>,
    work: F,
) -> Result<F::Output, TimedOut> {
    let own = limit.and_then(|limit| Instant::now().checked_add(limit));
    match [own, end].into_iter().flatten().min() {
        Some(at) => timeout_at(at, work).await,
        None => Ok(work.await),
    }
}

/// How a single try failed.
///
/// ```
/// use std::time::Duration;
/// use backon::ConstantBuilder;
/// use taskgroup::Retry;
/// use taskgroup::combine::TryFault;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let once = Retry::new(ConstantBuilder::new().with_max_times(0));
/// let once = once.try_timeout(Duration::from_secs(2));
/// let error =
///     once.run(|_| std::future::pending::<Result<(), &str>>()).await.unwrap_err();
/// assert!(matches!(error.last(), TryFault::TimedOut(_)));
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum TryFault {
    /// The work returned an error. A timeout inside the work is such an error.
    Failed(BoxError),
    /// The limit for a try, or the end of the budget, cut the try off.
    TimedOut(TimedOut),
}

/// Why there was no other try.
///
/// ```
/// use std::time::Duration;
/// use backon::ConstantBuilder;
/// use taskgroup::Retry;
/// use taskgroup::combine::GaveUp;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let twice = Retry::new(
///     ConstantBuilder::new().with_delay(Duration::ZERO).with_max_times(1),
/// );
/// let error = twice.run(async |_| Err::<(), _>("refused")).await.unwrap_err();
/// assert_eq!(error.gave_up(), GaveUp::TriesUsedUp);
/// assert_eq!(error.tries(), 2);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GaveUp {
    /// The policy has no more waits.
    TriesUsedUp,
    /// There was no time left for another try.
    BudgetUsedUp,
    /// The error is not worth another try: see [`Retry::on`].
    NotWorthIt,
    /// The scope around the run was cancelled during the try.
    Cancelled,
}

/// The error of a [`Retry`] that gave up.
///
/// ```
/// use std::time::Duration;
/// use backon::ConstantBuilder;
/// use taskgroup::Retry;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let retry = Retry::new(
///     ConstantBuilder::new().with_delay(Duration::from_secs(1)).with_max_times(2),
/// );
/// let error =
///     retry.run(async |_| Err::<(), _>("connection refused")).await.unwrap_err();
/// assert_eq!(error.tries(), 3);
/// assert_eq!(error.elapsed(), Duration::from_secs(2)); // two waits
/// assert!(error.to_string().contains("connection refused"));
/// # }
/// ```
#[derive(Debug)]
pub struct RetryError {
    tries: u32,
    gave_up: GaveUp,
    last: TryFault,
    elapsed: Duration,
    location: &'static Location<'static>,
}

impl RetryError {
    /// The number of tries, at least one.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// Why there was no other try.
    #[must_use]
    pub fn gave_up(&self) -> GaveUp {
        self.gave_up
    }

    /// How the last try failed.
    #[must_use]
    pub fn last(&self) -> &TryFault {
        &self.last
    }

    /// How the last try failed, by value.
    #[must_use]
    pub fn into_last(self) -> TryFault {
        self.last
    }

    /// The time from the start of the first try to the end of the last.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Where [`Retry::run`] was called.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

impl fmt::Display for TryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => f.write_str(&gate::text(error)),
            Self::TimedOut(_) => f.write_str("timed out"),
        }
    }
}

impl fmt::Display for RetryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tries = if self.tries == 1 { "try" } else { "tries" };
        write!(f, "gave up after {} {tries}", self.tries)?;
        match self.gave_up {
            GaveUp::TriesUsedUp => {}
            GaveUp::BudgetUsedUp => f.write_str(", out of time")?,
            GaveUp::NotWorthIt => f.write_str(", for good")?,
            GaveUp::Cancelled => f.write_str(", cancelled")?,
        }
        write!(f, ": {}", self.last)
    }
}

impl Error for RetryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.last {
            // Its own text is in ours.
            TryFault::Failed(error) => gate::source(&**error),
            TryFault::TimedOut(_) => None,
        }
    }
}
