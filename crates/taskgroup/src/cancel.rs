//! Cancellation as seen from inside a task: the reason, the guard, the ways to notice it.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::{BoxError, Member, TaskInfo};
use crate::observe::events;
use crate::scope::current::{self, Lazy};
use crate::scope::gate;
use crate::scope::section::{Ended, Ends, Section};
use crate::scope::tree::{self, Scope};

/// What kind of event cancelled a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReasonKind {
    /// A task or the body of the group failed.
    TaskFailed,
    /// The body of the group panicked.
    BodyPanicked,
    /// A deadline passed.
    Deadline,
    /// Somebody called `cancel`.
    CancelCalled,
    /// The program was asked to stop by a signal.
    Shutdown,
    /// The future that ran the scope was dropped before its end.
    Dropped,
    /// The group had what it wanted: its policy was satisfied.
    Satisfied,
    /// The body and all ordinary children of the group were done, so its background children had served.
    GroupEnded,
    /// The time that the group grants for cleanup was over.
    GraceOver,
    /// The group had already ended when the task was spawned.
    Closed,
    /// The Tokio runtime was shut down that drove the tasks of the group.
    RuntimeGone,
}

/// Why something was cancelled: who caused it, what happened, and where in the source.
///
/// Every cancellation has one, and the same one reaches everything below. It prints as one line, such as
/// ``task `fetch_user` failed: connection refused (src/main.rs:12:20)``. Cheap to clone. The idea is Trio's, where
/// `Cancelled` carries source, reason and task.
#[derive(Clone)]
pub struct CancelReason(Arc<Reason>);

struct Reason {
    kind: ReasonKind,
    who: Option<TaskInfo>,
    detail: Option<String>,
    #[cfg_attr(not(feature = "runner"), allow(dead_code))]
    signal: u8,
    location: &'static Location<'static>,
}

impl CancelReason {
    fn new(
        kind: ReasonKind,
        who: Option<TaskInfo>,
        detail: Option<String>,
        location: &'static Location<'static>,
    ) -> Self {
        Self(Arc::new(Reason {
            kind,
            who,
            detail,
            signal: 0,
            location,
        }))
    }

    /// Because of `member`, the failure of a task.
    pub(crate) fn failed(member: &Member) -> Self {
        let detail = match member {
            Member::Task(task) => match (task.error(), task.panic_message()) {
                (Some(error), _) => format!("failed: {}", gate::text(&error)),
                (None, Some(message)) => format!("panicked: {message}"),
                (None, None) => "panicked".to_owned(),
            },
            // Its own report says more; to print it at every level of a deep tree would be quadratic.
            Member::Group(group) => format!("failed in its group `{}`", group.name()),
        };
        let who = member.info().clone();
        let location = who.location();
        Self::new(ReasonKind::TaskFailed, Some(who), Some(detail), location)
    }

    pub(crate) fn of(kind: ReasonKind, scope: &Arc<Scope>, who: Option<TaskInfo>) -> Self {
        let location = who.as_ref().map_or(scope.location, TaskInfo::location);
        Self::new(kind, who, None, location)
    }

    pub(crate) fn called(location: &'static Location<'static>) -> Self {
        let who = current::task().map(|task| task.header().info());
        Self::new(ReasonKind::CancelCalled, who, None, location)
    }

    pub(crate) fn dropped(scope: &Arc<Scope>) -> Self {
        Self::new(ReasonKind::Dropped, None, None, scope.location)
    }

    pub(crate) fn deadline(detail: String, location: &'static Location<'static>) -> Self {
        Self::new(ReasonKind::Deadline, None, Some(detail), location)
    }

    pub(crate) fn closed(scope: &Arc<Scope>) -> Self {
        Self::new(ReasonKind::Closed, None, None, scope.location)
    }

    #[cfg(feature = "runner")]
    pub(crate) fn shutdown(name: &str, signal: u8, location: &'static Location<'static>) -> Self {
        Self(Arc::new(Reason {
            kind: ReasonKind::Shutdown,
            who: None,
            detail: Some(name.to_owned()),
            signal,
            location,
        }))
    }

    /// The number of the signal, for a shutdown.
    #[cfg(feature = "runner")]
    pub(crate) fn signal(&self) -> u8 {
        self.0.signal
    }

    /// Whether it is the very same event.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What happened.
    pub fn kind(&self) -> ReasonKind {
        self.0.kind
    }

    /// Which task caused it: the one that failed, or that called `cancel`. `None` when no task did.
    pub fn task(&self) -> Option<&TaskInfo> {
        self.0.who.as_ref()
    }

    /// Where: the spawn of the task that failed, the call of `cancel`, or the start of the deadline.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reason {
            kind,
            who,
            detail,
            location,
            ..
        } = &*self.0;
        let detail = detail.as_deref().unwrap_or_default();
        match (kind, who) {
            (ReasonKind::TaskFailed, Some(who)) => write!(f, "task `{}` {detail}", who.path())?,
            (ReasonKind::TaskFailed, None) => write!(f, "a task {detail}")?,
            (ReasonKind::BodyPanicked, _) => write!(f, "the body of the group panicked")?,
            (ReasonKind::Deadline, _) => write!(f, "{detail}")?,
            (ReasonKind::CancelCalled, Some(who)) => {
                write!(f, "cancel was called by task `{}`", who.path())?;
            }
            (ReasonKind::CancelCalled, None) => write!(f, "cancel was called")?,
            (ReasonKind::Shutdown, _) => write!(f, "the program was stopped by {detail}")?,
            (ReasonKind::Dropped, _) => write!(f, "the future around it was dropped")?,
            (ReasonKind::Satisfied, Some(who)) => {
                write!(f, "task `{}` gave what the group wanted", who.path())?;
            }
            (ReasonKind::Satisfied, None) => write!(f, "the group had what it wanted")?,
            (ReasonKind::GroupEnded, _) => write!(f, "the group was done")?,
            (ReasonKind::GraceOver, _) => write!(f, "the grace for cleanup was over")?,
            (ReasonKind::Closed, _) => write!(f, "the group had ended")?,
            (ReasonKind::RuntimeGone, _) => write!(f, "its runtime was shut down")?,
        }
        write!(f, " ({location})")
    }
}

impl fmt::Debug for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CancelReason({self})")
    }
}

/// The word that a scope was cancelled, and the permission to clean up.
///
/// [`until_cancelled`] gives it when the current scope is cancelled, and then it is a *guard*: while it lives, the task may await
/// its cleanup, whatever the cancellation. Returned as the task's error (`?` does that), it ends the task as cancelled,
/// which is no failure. Dropped, it re-arms the cancellation: at its next suspension point the task is dropped. So a
/// cancellation cannot be swallowed by accident.
///
/// The `Cancelled` that a handle gives for a cancelled *other* task guards nothing: returned from a task that was not
/// cancelled itself, it is an ordinary failure, because something was awaited that did not come.
///
/// # Drop
/// Re-arms the cancellation of its scope, if it was a guard.
#[must_use = "dropping it re-arms the cancellation: the task is dropped at its next suspension point"]
#[doc(alias = "CancelledError")]
pub struct Cancelled {
    reason: CancelReason,
    // Boxed: each child that has a value keeps room for one of these, which most often is none.
    guard: Option<Box<Guard>>,
}

/// Masks the scopes between the code that was told and what was cancelled: whichever of them the
/// value travels through on its way out, the task may still clean up. Only the innermost is held. A
/// hold goes outwards by itself, up to a section that is parked: there the cleanup stands still, so
/// it must not keep what is around.
struct Guard(Vec<Arc<Scope>>);

impl Guard {
    fn new(scope: &Arc<Scope>) -> Self {
        scope.hold();
        let mut masked = Vec::new();
        for above in tree::outward(scope) {
            above.mask();
            events::scope_cleaning(above);
            masked.push(above.clone());
            if above.is_origin() || above.is_task_root() {
                break;
            }
        }
        Self(masked)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.iter().for_each(Scope::unmask);
        // Last: what this frees is looked at again, and must not find a mask.
        if let Some(innermost) = self.0.first() {
            innermost.release();
        }
    }
}

impl Cancelled {
    /// One that guards nothing.
    pub(crate) fn plain(reason: CancelReason) -> Self {
        Self {
            reason,
            guard: None,
        }
    }

    fn guarding(scope: &Arc<Scope>, reason: CancelReason) -> Self {
        Self {
            reason,
            guard: Some(Box::new(Guard::new(scope))),
        }
    }

    /// Why.
    pub fn reason(&self) -> &CancelReason {
        &self.reason
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled")
            .field("reason", &self.reason)
            .field("guard", &self.guard.is_some())
            .finish()
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cancelled: {}", self.reason)
    }
}

impl Error for Cancelled {}

/// Whether the error that ended a task or a body only says that it was cancelled: then there is nothing to report.
/// `cancelled` tells whether the task really was, `scope` is the scope inside it.
pub(crate) fn classify(
    error: BoxError,
    cancelled: bool,
    scope: Option<&Arc<Scope>>,
) -> Result<(), BoxError> {
    if !cancelled {
        return Err(error);
    }
    match (says_cancelled(&*error), scope) {
        (Some(true), _) => {
            gate::drop_or_report("an error", error);
            Ok(())
        }
        (None, Some(scope)) if scope.is_masked() => open_up(error, scope),
        _ => Err(error),
    }
}

/// Whether the chain of sources says that the task was cancelled. `None` if it holds no error of
/// this library.
fn says_cancelled(error: &(dyn Error + 'static)) -> Option<bool> {
    let mut link = Some(error);
    while let Some(current) = link {
        let awaited = matches!(current.downcast_ref(), Some(crate::JoinError::Cancelled(_)));
        let started = matches!(
            current.downcast_ref(),
            Some(crate::StartError::Cancelled(_))
        );
        if awaited || started || current.is::<Cancelled>() {
            return Some(true);
        }
        if crate::TaskError::passed_on_by(current).is_some() {
            // A failure, however it came about: what lies below it is not about this task.
            return Some(false);
        }
        if let Some(group) = current.downcast_ref::<crate::ErrorGroup>() {
            return Some(group.is_cancelled());
        }
        link = gate::source(current);
    }
    None
}

/// Some error types hide what they were made of (a boxed `anyhow` report does), and a guard of
/// `scope` is alive. If it goes with the error, it was in there, and tells as much as one that
/// shows. If not, the guard is elsewhere and the error is a failure, of which the text is left.
fn open_up(error: BoxError, scope: &Arc<Scope>) -> Result<(), BoxError> {
    let mut text = gate::text(&error);
    let mut link = gate::source(&*error);
    while let Some(source) = link {
        text.push_str(": ");
        text.push_str(&gate::text(&source));
        link = gate::source(source);
    }
    let before = scope.masks();
    gate::drop_or_report("an error", error);
    if scope.masks() < before {
        Ok(())
    } else {
        Err(text.into())
    }
}

/// The first thing in each await of this crate: pending in a cancelled scope that holds no guard,
/// so that no loop over such awaits goes on there (S37). The owner of the code drops it after that
/// poll. What has suspended for another reason may still come back with what it has waited for, so
/// only the first poll asks.
///
/// # Panics
/// With a `CutOff`, in code that blocks on this await (decision 0018).
#[inline]
pub(crate) fn poll_cancel_point(cx: &Context<'_>) -> Poll<()> {
    if current::is_cancelled() {
        current::scope().poll_may_go_on(cx.waker())
    } else {
        Poll::Ready(())
    }
}

/// As [`poll_cancel_point`].
#[inline]
pub(crate) fn cancel_point() -> impl Future<Output = ()> {
    poll_fn(|cx| poll_cancel_point(cx))
}

/// What has nothing to come back with, because the code around it was told to end. That code is
/// dropped here.
pub(crate) async fn cut_off<T>() -> T {
    poll_fn(|cx| {
        let _ = poll_cancel_point(cx);
        Poll::Pending
    })
    .await
}

/// As [`poll_cancel_point`], where the cancellation has been told already.
fn poll_told_point(cx: &Context<'_>) -> Poll<()> {
    if current::is_cancelled() && current::scope().was_told() {
        poll_cancel_point(cx)
    } else {
        Poll::Ready(())
    }
}

/// Runs `future` until it is done or the current scope is cancelled.
///
/// When the scope is cancelled, `future` is dropped at its next suspension point, everything that it started has ended, and then
/// `Err(Cancelled)` comes out: a guard under which the task may clean up. A value that `future` still produced is
/// returned instead.
///
/// Each cancellation is told once: when its `Cancelled` has been dropped, the next
/// `until_cancelled` in the same scope suspends before it polls `future`, and the task is dropped
/// there.
///
/// ```
/// use taskgroup::{TaskGroup, until_cancelled};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let run = TaskGroup::run(async |group| {
///     let worker = group.spawn(async {
///         let Err(cancelled) = until_cancelled(std::future::pending::<()>()).await else { return Ok(()) };
///         tokio::task::yield_now().await; // cleanup may await
///         Err(cancelled) // ends as cancelled
///     });
///     tokio::task::yield_now().await;
///     worker.cancel();
///     assert!(worker.await.is_err());
///     Ok(())
/// });
/// run.await.unwrap();
/// # }
/// ```
///
/// # Errors
/// [`Cancelled`] when the current scope was cancelled before `future` was done.
///
/// # Cancel safety
/// As `future`: dropping it half-way drops `future`; what `future` had started is cancelled and adopted by the enclosing scope.
///
/// The counterpart of asyncio's `except CancelledError`, without the way to forget the `raise`.
#[track_caller]
pub fn until_cancelled<F: Future>(future: F) -> impl Future<Output = Result<F::Output, Cancelled>> {
    let location = Location::caller();
    async move {
        poll_fn(|cx| poll_told_point(cx)).await;
        let section = Section::unopened(Lazy::Section, location, Ends::Any, future);
        let mut section = std::pin::pin!(section);
        match poll_fn(|cx| section.as_mut().poll_ended(cx)).await {
            Ended::Value(value) => Ok(value),
            Ended::Panicked(caught) => caught.resume(),
            Ended::Dropped => {
                let scope = section.as_mut().scope();
                let parent = scope.and_then(|scope| scope.home()).cloned();
                let parent = parent.unwrap_or_else(current::scope);
                let reason = scope.and_then(|scope| scope.reason());
                let reason = reason.unwrap_or_else(|| CancelReason::dropped(&parent));
                Err(Cancelled::guarding(&parent, reason))
            }
        }
    }
}

/// Gives a cancellation, a deadline and the other tasks their chance: in a cancelled scope the task is dropped here.
///
/// For loops that compute without awaiting anything. It always suspends once, and lets have a turn what is ready: other tasks, timers and
/// I/O. A deadline around it that has passed takes effect here. While a [`Cancelled`] of the scope is alive it only yields.
///
/// # Cancel safety
/// Cancel safe.
///
/// Trio's `checkpoint`, asyncio's `sleep(0)`.
pub async fn checkpoint() {
    cancel_point().await;
    tokio::task::yield_now().await;
    // Whatever came during that turn ends the loop here, not after another round of it.
    cancel_point().await;
}

/// Whether the current scope is cancelled. Stays true: a cancellation is a level, not an edge.
///
/// Outside any scope it is false.
#[must_use]
pub fn is_cancelled() -> bool {
    current::is_cancelled()
}
