//! How a task ended, for code that awaits it, and which errors only say that it was cancelled.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::error::{BoxError, ErrorGroup, TaskError, mentions};
use crate::gate;
use crate::progress::Fate;
use crate::reason::CancelReason;
use crate::scope::cancelled::Cancelled;
use crate::scope::tree::Scope;

/// Why a task has no value.
///
/// ```
/// use taskgroup::{JoinError, Policy, TaskGroup};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let group = TaskGroup::builder().policy(Policy::report(|_| {}));
/// group
///     .run(async |group| {
///         let handle = group.spawn(async { Err::<(), _>("disk full") });
///         match handle.await {
///             Ok(()) => unreachable!(),
///             Err(JoinError::Failed(failure)) => {
///                 assert!(failure.to_string().contains("disk full"))
///             }
///             Err(JoinError::Cancelled(cancelled)) => {
///                 return Err(cancelled.into());
///             }
///             Err(other) => return Err(other.into()),
///         }
///         Ok(())
///     })
///     .await
///     .unwrap();
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum JoinError {
    /// The task was cancelled before it had a value.
    Cancelled(Cancelled),
    /// The task failed. Its group has the same failure, and counts it once when it comes back by
    /// `?`.
    Failed(TaskError),
}

impl JoinError {
    /// Whether the task was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }

    /// The failure, if the task failed.
    #[must_use]
    pub fn failure(&self) -> Option<&TaskError> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Cancelled(_) => None,
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled(cancelled) => write!(f, "the awaited task was {cancelled}"),
            Self::Failed(failure) => fmt::Display::fmt(failure, f),
        }
    }
}

impl Error for JoinError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Cancelled(_) => None,
            Self::Failed(failure) => failure.source(),
        }
    }
}

impl Fate {
    pub(crate) fn of<T>(result: &Result<T, JoinError>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(JoinError::Failed(_)) => Self::Failed,
            Err(JoinError::Cancelled(_)) => Self::Cancelled,
        }
    }
}

/// Why a child did not become ready.
///
/// ```
/// use taskgroup::{StartError, TaskGroup};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     let server = group.start(async |ready| {
///         # if true { return Err("port 80 is taken"); }
///         ready.ready(8080);
///         Ok(())
///     });
///     match server.await {
///         Err(StartError::Failed(error)) => {
///             assert_eq!(error.to_string(), "port 80 is taken");
///         }
///         other => panic!("{other:?}"),
///     }
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// It failed before it was ready. This failure is the starter's: the group does not have it,
    /// unless the starter is dropped with it.
    Failed(BoxError),
    /// It ended without a word.
    NeverReady,
    /// It was cancelled, or the group took no more children.
    Cancelled(Cancelled),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => {
                let error = gate::text(error);
                write!(f, "the task failed before it was ready: {error}")
            }
            Self::NeverReady => f.write_str("the task ended without saying that it was ready"),
            Self::Cancelled(cancelled) => write!(f, "the task was {cancelled}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => gate::source(&**error),
            Self::NeverReady | Self::Cancelled(_) => None,
        }
    }
}

/// Whether the error that ended a task or a body only says that it was cancelled: then there is
/// nothing to report. `cancelled` tells whether the task really was, `scope` is the scope inside
/// it.
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
        let awaited = matches!(current.downcast_ref(), Some(JoinError::Cancelled(_)));
        let started = matches!(current.downcast_ref(), Some(StartError::Cancelled(_)));
        if awaited || started || current.is::<Cancelled>() {
            return Some(true);
        }
        if TaskError::passed_on_by(current).is_some() {
            // A failure, however it came about: what lies below it is not about this task.
            return Some(false);
        }
        if let Some(group) = current.downcast_ref::<ErrorGroup>() {
            return Some(group.is_cancelled());
        }
        link = gate::source(current);
    }
    None
}

/// Some error types hide what they were made of but print it (a boxed `anyhow` report does), and a
/// guard of `scope` is alive. An error that does not mention why the scope was cancelled is a
/// failure. One that does is dropped: if the guard goes with it, the task ended as cancelled. If
/// not, the guard is elsewhere, and the text of the failure is what is left.
fn open_up(error: BoxError, scope: &Arc<Scope>) -> Result<(), BoxError> {
    let mut text = gate::text(&error);
    let mut link = gate::source(&*error);
    while let Some(source) = link {
        text.push_str(": ");
        text.push_str(&gate::text(&source));
        link = gate::source(source);
    }
    let is_mentioned = |reason: CancelReason| mentions(&text, &reason.to_string());
    if !scope.reason().is_some_and(is_mentioned) {
        return Err(error);
    }
    let before = scope.masks();
    gate::drop_or_report("an error", error);
    if scope.masks() < before {
        Ok(())
    } else {
        Err(text.into())
    }
}
