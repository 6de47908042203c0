//! Deadlines: the inner work is cancelled at the deadline, and cleans up before `TimedOut` is
//! returned.

use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::cancel::poll_over;
use crate::scope::bell::Bell;
use crate::scope::current::{self, Lazy};
use crate::scope::driver::Runtime;
use crate::scope::section::{Ended, Ends, Section};
use crate::scope::time::ArmedBy;
use crate::scope::tree::{self, Kind, Scope};

/// The error of work that a deadline cut off.
///
/// ```
/// use std::time::Duration;
/// use taskgroup::timeout;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let late = timeout(Duration::from_secs(3), std::future::pending::<()>())
///     .await
///     .unwrap_err();
/// assert_eq!(late.limit(), Some(Duration::from_secs(3)));
/// println!("{late}"); // names the limit and the line of `timeout`
/// # }
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "TimeoutError")]
#[doc(alias = "TooSlowError")]
pub struct TimedOut {
    at: Instant,
    limit: Option<Duration>,
    location: &'static Location<'static>,
}

impl TimedOut {
    /// The deadline that passed.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.at
    }

    /// The time that the work had, where it was given as a duration.
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Where the deadline was set.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            Some(limit) => write!(f, "timed out after {limit:?}"),
            None => write!(f, "the deadline passed"),
        }
    }
}

impl Error for TimedOut {}

/// The deadline around some work; given to the work by [`timeout_with`], which can look at it and
/// move it.
///
/// Clones share the deadline. Once the work has ended, moving it has no effect.
///
/// ```
/// use std::time::Duration;
/// use taskgroup::timeout_with;
/// use tokio::time::sleep;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let result = timeout_with(Duration::from_secs(5), async |deadline| {
///     for _ in 0..3 {
///         sleep(Duration::from_secs(4)).await;
///         deadline.reschedule_after(Duration::from_secs(5)); // each step has 5 s
///     }
///     deadline.remaining()
/// })
/// .await;
/// assert_eq!(result.unwrap(), Some(Duration::from_secs(5)));
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "Timeout")]
#[doc(alias = "CancelScope")]
pub struct Deadline {
    scope: Arc<Scope>,
}

impl Deadline {
    /// The instant of the deadline; `None` while it is disabled.
    #[must_use]
    pub fn when(&self) -> Option<Instant> {
        self.scope.deadline().and_then(|state| state.lock().at)
    }

    /// The time left, zero once the deadline has passed; `None` while it is disabled.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.when()
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Moves the deadline. `None` disables it. An instant in the past fires at the next suspension
    /// point.
    ///
    /// Returns whether this took effect: a deadline that has fired, or whose work has ended, cannot
    /// be moved.
    pub fn reschedule(&self, at: impl Into<Option<Instant>>) -> bool {
        let Some(state) = self.scope.deadline() else {
            return false;
        };
        let at = at.into();
        let (old, clock) = {
            let mut state = state.lock();
            if state.expired || self.scope.is_closed() {
                return false;
            }
            state.at = at;
            (state.timer.take(), state.clock.upgrade())
        };
        drop(old);
        let is_inside = current::is_within(&self.scope);
        self.scope.arm_deadline(ArmedBy::Move, || {
            Runtime::with_clock_of(&self.scope, is_inside, clock)
        });
        if is_inside {
            state.lock().moved_inside = true;
        }
        true
    }

    /// Moves the deadline to `duration` from now. As [`reschedule`](Self::reschedule).
    pub fn reschedule_after(&self, duration: Duration) -> bool {
        self.reschedule(far(Instant::now(), duration))
    }

    /// Whether the deadline has fired.
    #[must_use]
    pub fn expired(&self) -> bool {
        self.scope
            .deadline()
            .is_some_and(|state| state.lock().expired)
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadline")
            .field("remaining", &self.remaining())
            .field("expired", &self.expired())
            .finish()
    }
}

/// `start + duration`, or `None` for an instant too far away to be stored.
fn far(start: Instant, duration: Duration) -> Option<Instant> {
    start.checked_add(duration)
}

/// Cancels the alarm when the work has ended, whatever its outcome.
struct Disarm(Arc<Scope>);

impl Drop for Disarm {
    fn drop(&mut self) {
        self.0.disarm_deadline();
    }
}

/// What will ring at the deadline.
enum Armed {
    Not,
    Bell(Bell),
    Scope(#[allow(dead_code)] Disarm),
}

pin_project! {
    /// Polls `section`, whose scope is a deadline or a cancel scope, to its end. It reads no clock
    /// and sets no timer before the work is pending. While nothing inside a deadline needs a scope,
    /// none is opened, and there is nothing to do at the end of the work.
    pub(crate) struct Limited<F: Future> {
        // The alarm is dropped before the work.
        armed: Armed,
        #[pin]
        section: Section<F>,
        limit: Option<Duration>,
        location: &'static Location<'static>,
        // The deadline, where no scope stores it.
        at: Option<Instant>,
        timed_out: bool,
    }
}

impl<F: Future> Limited<F> {
    pub(crate) fn new(
        section: Section<F>,
        limit: Option<Duration>,
        location: &'static Location<'static>,
    ) -> Self {
        Self {
            section,
            armed: Armed::Not,
            limit,
            location,
            at: None,
            timed_out: false,
        }
    }

    /// Polls the work, and keeps the alarm of the deadline set.
    fn poll_ended(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended<F::Output>> {
        let mut this = self.project();
        let polled = this.section.as_mut().poll_ended(cx);
        if polled.is_ready() {
            return polled;
        }
        match (this.section.as_mut().scope(), &*this.armed) {
            (Some(scope), Armed::Scope(_)) => {
                // The alarm may be late on a busy runtime.
                if scope.expire_if_due() {
                    return this.section.poll_dropped(cx);
                }
                scope.arm_deadline(ArmedBy::Poll, || Some(Runtime::with_clock()));
                polled
            }
            (Some(scope), _) => {
                let scope = scope.clone();
                scope.runtime_if_any();
                scope.arm_deadline(ArmedBy::Poll, || Some(Runtime::with_clock()));
                let expired = scope.deadline().is_some_and(|state| state.lock().expired);
                *this.armed = Armed::Scope(Disarm(scope));
                if expired {
                    // It was due already: the suspension point is here (S21).
                    this.section.poll_dropped(cx)
                } else {
                    polled
                }
            }
            (None, armed) => {
                let Some((at, now)) = this.section.as_mut().unopened_deadline() else {
                    return polled;
                };
                *this.at = Some(at);
                if at <= now {
                    return this.section.poll_dropped(cx);
                }
                if !matches!(armed, Armed::Bell(bell) if bell.is_set(now, cx.waker())) {
                    *this.armed = Armed::Bell(Bell::for_deadline(at, cx.waker()));
                }
                polled
            }
        }
    }
}

impl<F: Future> Future for Limited<F> {
    type Output = Result<F::Output, TimedOut>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !*self.as_mut().project().timed_out {
            let ended = ready!(self.as_mut().poll_ended(cx));
            let mut this = self.as_mut().project();
            let armed = std::mem::replace(this.armed, Armed::Not);
            match ended {
                // A value that carries the `Cancelled` of this deadline means "timed out", as an
                // error that carries it ends a task.
                Ended::Value(value)
                    if !this.section.as_mut().scope().is_some_and(reported_itself) =>
                {
                    if let Armed::Bell(bell) = armed {
                        bell.leave();
                    }
                    return Poll::Ready(Ok(value));
                }
                Ended::Panicked(caught) => caught.resume(),
                // The guard in it would hide the outer cancellation.
                ended => drop(ended),
            }
            *this.timed_out = true;
        }
        let this = self.project();
        let scope = this.section.scope();
        // Polled again only when something around us was about to drop us and then did not.
        let outer = match scope {
            Some(scope) => scope.yields_to_outer(),
            None => current::scope().is_about_to_drop(),
        };
        if outer && poll_over(cx).is_pending() {
            return Poll::Pending;
        }
        let at = scope.and_then(|scope| scope.deadline()?.lock().at);
        Poll::Ready(Err(TimedOut {
            at: at.or(*this.at).unwrap_or_else(Instant::now),
            limit: *this.limit,
            location: this.location,
        }))
    }
}

/// Whether the deadline has fired and its [`Cancelled`](crate::Cancelled) is still alive inside.
fn reported_itself(scope: &Arc<Scope>) -> bool {
    scope.is_origin() && scope.is_masked()
}

/// Runs `future` for at most `duration`.
///
/// At the deadline the work is cancelled: it is dropped at its next suspension point, or cleans up
/// first where it holds a guard or a shield. `Err(TimedOut)` is returned only once the work and
/// everything it started have ended.
///
/// If the work still produced a value, that value is returned. An error of its cleanup is such a
/// value, and its context says that a deadline cancelled it. A value that carries the
/// [`Cancelled`](crate::Cancelled) of this deadline (passed on by `?`, for example) counts as timed
/// out.
///
/// The deadline uses the clock of the runtime that polls the work, even a runtime that a child
/// opens inside `block_in_place`. If that runtime is shut down, the next runtime that polls the
/// work takes over.
///
/// The time counts from the first suspension of the work, or from when the work first needs its
/// scope, so work that is ready at once does not read the clock. A duration of zero fires at the
/// first suspension point. When a scope further out is cancelled too, or its deadline is due too,
/// this deadline reports nothing and the outer scope decides.
///
/// ```
/// use std::time::Duration;
/// use taskgroup::timeout;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let quick = timeout(Duration::from_secs(1), async { 42 }).await;
/// assert_eq!(quick.unwrap(), 42);
///
/// let slow = timeout(Duration::from_secs(1), std::future::pending::<()>()).await;
/// assert_eq!(slow.unwrap_err().to_string(), "timed out after 1s");
/// # }
/// ```
///
/// # Errors
/// [`TimedOut`] when the deadline cut the work off.
///
/// # Panics
/// Outside a Tokio runtime with a clock (see `enable_time` there), and where that runtime has been
/// shut down, when `future` does not finish at once. A panic of `future` passes through.
///
/// # Cancel safety
/// As `future`. In a cancelled scope it resolves as soon as `future` does.
///
/// The ideas are asyncio's `timeout` and Trio's `fail_after`.
#[track_caller]
#[doc(alias = "fail_after")]
#[doc(alias = "wait_for")]
pub fn timeout<F: Future>(
    duration: Duration,
    future: F,
) -> impl Future<Output = Result<F::Output, TimedOut>> {
    let location = Location::caller();
    let section = Section::unopened(
        Lazy::Deadline(None, Some(duration)),
        location,
        Ends::Own,
        future,
    );
    Limited::new(section, Some(duration), location)
}

/// As [`timeout`], with the deadline as an instant.
///
/// ```
/// use taskgroup::timeout_at;
/// use tokio::time::{Duration, Instant, sleep};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let noon = Instant::now() + Duration::from_secs(10);
/// // Both steps share one deadline.
/// timeout_at(noon, sleep(Duration::from_secs(8))).await.unwrap();
/// let late = timeout_at(noon, sleep(Duration::from_secs(8))).await.unwrap_err();
/// assert_eq!(late.deadline(), noon);
/// # }
/// ```
///
/// # Errors
/// [`TimedOut`] when the deadline cut the work off.
#[track_caller]
#[doc(alias = "fail_at")]
pub fn timeout_at<F: Future>(
    at: Instant,
    future: F,
) -> impl Future<Output = Result<F::Output, TimedOut>> {
    let location = Location::caller();
    let section = Section::unopened(Lazy::Deadline(Some(at), None), location, Ends::Own, future);
    Limited::new(section, None, location)
}

/// As [`timeout`], for work that looks at its deadline or moves it.
///
/// `None` starts without a deadline; [`Deadline::reschedule`] can set one.
///
/// ```
/// use std::time::Duration;
/// use taskgroup::{Deadline, timeout_with};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let pages = timeout_with(Duration::from_secs(1), async |deadline: Deadline| {
///     for _page in 0..5 {
///         tokio::time::sleep(Duration::from_millis(800)).await;
///         // Each page may take a second.
///         deadline.reschedule_after(Duration::from_secs(1));
///     }
///     5
/// });
/// assert_eq!(pages.await.unwrap(), 5);
/// # }
/// ```
///
/// # Errors
/// [`TimedOut`] when the deadline cut the work off.
#[track_caller]
pub fn timeout_with<B, F>(
    duration: impl Into<Option<Duration>>,
    work: B,
) -> impl Future<Output = Result<F::Output, TimedOut>>
where
    B: FnOnce(Deadline) -> F,
    F: Future,
{
    let location = Location::caller();
    let limit = duration.into();
    async move {
        // The work may keep the handle, so here the scope is there from the start.
        let scope = Scope::open(Kind::deadline(None, limit), current::scope(), location);
        let deadline = Deadline {
            scope: scope.clone(),
        };
        Limited::new(
            Section::new(scope, Ends::Own, work(deadline)),
            limit,
            location,
        )
        .await
    }
}

/// As [`timeout`], with `None` in place of an error when the deadline cut the work off.
///
/// ```
/// use std::time::Duration;
/// use taskgroup::move_on_after;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let advert =
///     move_on_after(Duration::from_millis(50), std::future::pending::<&str>())
///         .await;
/// assert_eq!(advert.unwrap_or("no advert today"), "no advert today");
/// # }
/// ```
///
/// The idea is Trio's `move_on_after`.
#[track_caller]
pub fn move_on_after<F: Future>(
    duration: Duration,
    future: F,
) -> impl Future<Output = Option<F::Output>> {
    let location = Location::caller();
    let section = Section::unopened(
        Lazy::Deadline(None, Some(duration)),
        location,
        Ends::Own,
        future,
    );
    let limited = Limited::new(section, Some(duration), location);
    async move { limited.await.ok() }
}

/// The earliest deadline of the calling code: the minimum over the scopes around it, up to the
/// nearest shield.
///
/// `None` without any deadline. In a scope that is already cancelled it is the current instant.
///
/// ```
/// use std::time::Duration;
/// use taskgroup::{current_deadline, timeout};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// assert!(current_deadline().is_none());
/// timeout(Duration::from_secs(1), async {
///     assert!(current_deadline().is_some())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
///
/// The idea is Trio's `current_effective_deadline`.
#[must_use]
pub fn current_deadline() -> Option<Instant> {
    if current::is_cancelled() {
        return Some(Instant::now());
    }
    let scope = current::scope();
    tree::outward(&scope)
        .take_while(|scope| !scope.kind.keeps_cancel_out())
        .filter_map(|scope| scope.deadline().and_then(|state| state.lock().at))
        .min()
}
