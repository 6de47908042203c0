//! Why something was cancelled.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::error::TaskInfo;

/// What kind of event cancelled a scope.
///
/// ```
/// use taskgroup::{ReasonKind, TaskGroup, until_cancelled};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     let handle = group.spawn(async {
///         let cancelled =
///             until_cancelled(std::future::pending::<()>()).await.unwrap_err();
///         assert_eq!(cancelled.reason().kind(), ReasonKind::CancelCalled);
///         Err::<(), _>(cancelled)
///     });
///     tokio::task::yield_now().await;
///     handle.cancel();
///     handle.ended().await;
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReasonKind {
    /// A task or the body of the group failed.
    TaskFailed,
    /// The body of the group panicked.
    BodyPanicked,
    /// A deadline passed.
    Deadline,
    /// The program called `cancel`.
    CancelCalled,
    /// The program was asked to stop by a signal.
    Shutdown,
    /// The future that ran the scope was dropped before its end, or the owner of an
    /// [`OpenGroup`](crate::OpenGroup) dropped it.
    Dropped,
    /// The group had what it wanted: its policy was satisfied.
    Satisfied,
    /// The body and all ordinary children of the group were done, so its background children had
    /// served.
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
/// Every cancellation has one, and the same one reaches everything below. It prints as one line,
/// such as ``task `fetch_user` failed: connection refused (src/main.rs:12:20)``. Cheap to clone.
/// The idea is Trio's, where `Cancelled` carries source, reason and task.
///
/// ```
/// use taskgroup::{ReasonKind, TaskGroup, until_cancelled};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let run = TaskGroup::run(async |group| {
///     group.task("save").spawn(async {
///         let cancelled =
///             until_cancelled(std::future::pending::<()>()).await.unwrap_err();
///         let reason = cancelled.reason();
///         assert_eq!(reason.kind(), ReasonKind::TaskFailed);
///         assert_eq!(reason.task().unwrap().name(), "fetch");
///         assert!(
///             reason
///                 .to_string()
///                 .starts_with("task `fetch` failed: connection refused")
///         );
///         Err::<(), _>(cancelled)
///     });
///     group.task("fetch").spawn(async { Err::<(), _>("connection refused") });
///     Ok(())
/// });
/// assert!(run.await.is_err());
/// # }
/// ```
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

    /// Because the task `who` failed, as `detail` says.
    pub(crate) fn failed(who: TaskInfo, detail: String) -> Self {
        let location = who.location();
        Self::new(ReasonKind::TaskFailed, Some(who), Some(detail), location)
    }

    /// Because of an event in the scope that was opened at `location`. If a task caused it, the
    /// reason leads to that task.
    pub(crate) fn of(
        kind: ReasonKind,
        location: &'static Location<'static>,
        who: Option<TaskInfo>,
    ) -> Self {
        let location = who.as_ref().map_or(location, TaskInfo::location);
        Self::new(kind, who, None, location)
    }

    /// The task `who` called `cancel` at `location`.
    pub(crate) fn called(who: Option<TaskInfo>, location: &'static Location<'static>) -> Self {
        Self::new(ReasonKind::CancelCalled, who, None, location)
    }

    /// As [`called`](Self::called), by `cancel_with`.
    pub(crate) fn called_with(
        why: Cow<'static, str>,
        who: Option<TaskInfo>,
        location: &'static Location<'static>,
    ) -> Self {
        let why = Some(why.into_owned());
        Self::new(ReasonKind::CancelCalled, who, why, location)
    }

    /// The future was dropped that ran the scope opened at `location`.
    pub(crate) fn dropped(location: &'static Location<'static>) -> Self {
        Self::new(ReasonKind::Dropped, None, None, location)
    }

    /// The owner dropped the group that it had opened at `location`.
    pub(crate) fn let_go(location: &'static Location<'static>) -> Self {
        let detail = "its `OpenGroup` was dropped".to_owned();
        Self::new(ReasonKind::Dropped, None, Some(detail), location)
    }

    pub(crate) fn deadline(detail: String, location: &'static Location<'static>) -> Self {
        Self::new(ReasonKind::Deadline, None, Some(detail), location)
    }

    /// The group that was opened at `location` has ended.
    pub(crate) fn closed(location: &'static Location<'static>) -> Self {
        Self::new(ReasonKind::Closed, None, None, location)
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

    /// What the program said about it: the text given to `cancel_with`
    /// ([`TaskGroup::cancel_with`](crate::TaskGroup::cancel_with), for example).
    pub fn message(&self) -> Option<&str> {
        let said = self.0.kind == ReasonKind::CancelCalled;
        self.0.detail.as_deref().filter(|_| said)
    }

    /// Where: the spawn of the task that failed, the call of `cancel`, or the start of the
    /// deadline.
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
            (ReasonKind::Dropped, _) if detail.is_empty() => {
                write!(f, "the future around it was dropped")?;
            }
            (ReasonKind::Dropped, _) => write!(f, "{detail}")?,
            (ReasonKind::Satisfied, Some(who)) => {
                write!(f, "task `{}` gave what the group wanted", who.path())?;
            }
            (ReasonKind::Satisfied, None) => write!(f, "the group had what it wanted")?,
            (ReasonKind::GroupEnded, _) => write!(f, "the group was done")?,
            (ReasonKind::GraceOver, _) => write!(f, "the grace for cleanup was over")?,
            (ReasonKind::Closed, _) => write!(f, "the group had ended")?,
            (ReasonKind::RuntimeGone, _) => write!(f, "its runtime was shut down")?,
        }
        if let Some(why) = self.message() {
            write!(f, ": {why}")?;
        }
        write!(f, " ({location})")
    }
}

impl fmt::Debug for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CancelReason({self})")
    }
}
