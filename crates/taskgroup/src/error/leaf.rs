//! One failed task.
//!
//! Invariants:
//! 1. A leaf is immutable, except that a panic payload can be taken once.
//! 2. The group's error and the task's handle share one leaf. Two `TaskError`s are the same failure
//!    exactly if they share their leaf. Clauses rely on that to put a re-raised leaf back where it
//!    was.

use super::demolish::HeldError;
use super::origin::{Origin, TaskOrigin};
use super::{BoxError, ErrorGroup, Interval, TaskId, TaskInfo, TaskPath};
use crate::gate::{self, Foreign, Payload};
use std::any::Any;
use std::error::Error;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The failure of one task: which task it was, and its error or panic.
///
/// The [`ErrorGroup`] of the group and the handle of the task share it. So it is cheap to clone,
/// and its error is read by reference. [`into_error`](Self::into_error) takes the error out if
/// nothing else shares it.
///
/// `Display` prints one line: ``task `fetch_user` failed: connection refused``. The alternate form
/// `{:#}` and `Debug` add where the task was spawned and what caused the error. The line contains
/// the message of the error, so [`source`](Error::source) continues with what the line leaves out:
/// the path of the task and where it was spawned, then the *source* of the error. A printed chain
/// repeats nothing. To get the error itself, use [`error`](Self::error),
/// [`downcast_ref`](Self::downcast_ref) or [`find`](Self::find).
#[derive(Clone)]
pub struct TaskError(TaskOrigin);

pub(super) struct TaskLeaf {
    info: TaskInfo,
    failure: LeafKind,
    /// When it failed, to be compared with others.
    interval: Interval,
    /// The errors that a handler was handling when it raised this one.
    handling: Option<ErrorGroup>,
}

enum LeafKind {
    Error(HeldError),
    Cancelled(HeldError),
    Panic(Panic),
}

struct Panic {
    message: Option<String>,
    // A payload is `Send` but not `Sync`, and an error has to be both. The lock makes it `Sync`.
    payload: Mutex<Option<Foreign<Payload>>>,
}

impl TaskError {
    pub(crate) fn failed(info: TaskInfo, error: BoxError, interval: Interval) -> Self {
        Self::new(info, LeafKind::Error(HeldError::new(error)), interval)
    }

    /// For a task that was cancelled, where that has to be reported as an error.
    pub(crate) fn cancelled(info: TaskInfo, error: BoxError) -> Self {
        Self::new(
            info,
            LeafKind::Cancelled(HeldError::new(error)),
            Interval::now(),
        )
    }

    pub(crate) fn panicked(info: TaskInfo, payload: Payload, interval: Interval) -> Self {
        let message = gate::panic_text(&*payload).map(str::to_owned);
        let payload = Mutex::new(Some(Foreign::new("the payload of a panic", payload)));
        Self::new(info, LeafKind::Panic(Panic { message, payload }), interval)
    }

    fn new(info: TaskInfo, failure: LeafKind, interval: Interval) -> Self {
        Self(TaskOrigin(Arc::new(TaskLeaf {
            info,
            failure,
            interval,
            handling: None,
        })))
    }

    /// Records what was being handled. The leaf is new, and nothing else shares it yet.
    pub(super) fn with_handling(mut self, handled: ErrorGroup) -> Self {
        if let Some(leaf) = Arc::get_mut(&mut self.0.0) {
            leaf.handling = Some(handled);
        }
        self
    }

    /// The failure that `error` is, or that it passes on unchanged, as the join error of a sibling
    /// or a bare report does.
    pub(crate) fn passed_on_by(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(task) = error.downcast_ref::<TaskError>() {
            return Some(task.clone());
        }
        let origin = gate::source(error)?.downcast_ref::<TaskOrigin>()?;
        Some(Self(origin.clone()))
    }

    /// Whether nothing else shares this failure.
    pub(super) fn is_owned(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    pub(super) fn interval(&self) -> Interval {
        self.0.interval
    }

    pub(super) fn identity(&self) -> Identity {
        Identity(Arc::downgrade(&self.0))
    }

    /// Whether both are the same failure of the same task.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.key() == other.key()
    }

    pub(super) fn key(&self) -> LeafKey {
        LeafKey(Arc::as_ptr(&self.0))
    }

    /// The task: name, id, path and location in one.
    pub fn info(&self) -> &TaskInfo {
        &self.0.info
    }

    /// The name of the task.
    pub fn name(&self) -> &str {
        self.0.info.name()
    }

    /// The id of the task.
    pub fn id(&self) -> TaskId {
        self.0.info.id()
    }

    /// The names from the root group down to the task, printed as `main/fetch/user_123`.
    pub fn path(&self) -> TaskPath<'_> {
        self.0.info.path()
    }

    /// Where the task was spawned.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.info.location()
    }

    /// The error that the task returned, or `None` if it panicked.
    pub fn error(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        match &self.0.failure {
            LeafKind::Error(held) | LeafKind::Cancelled(held) => held.get().map(|error| &**error),
            LeafKind::Panic(_) => None,
        }
    }

    /// Takes the error out.
    ///
    /// # Errors
    ///
    /// Gives `self` back if the task panicked, or if another value still shares this failure: its
    /// handle, a clone, or a clone of the [`ErrorGroup`] that it came from.
    pub fn into_error(self) -> Result<BoxError, Self> {
        let mut leaf = Arc::try_unwrap(self.0.0).map_err(|leaf| Self(TaskOrigin(leaf)))?;
        let error = match &mut leaf.failure {
            LeafKind::Error(held) | LeafKind::Cancelled(held) => held.take(),
            LeafKind::Panic(_) => None,
        };
        error.ok_or_else(|| Self(TaskOrigin(Arc::new(leaf))))
    }

    /// Whether the task was cancelled and has nothing else to report.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0.failure, LeafKind::Cancelled(_))
    }

    /// Whether the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.0.failure, LeafKind::Panic(_))
    }

    /// The text of the panic, or `None` if the task returned an error or the payload is not text.
    pub fn panic_message(&self) -> Option<&str> {
        match &self.0.failure {
            LeafKind::Panic(panic) => panic.message.as_deref(),
            _ => None,
        }
    }

    /// Takes the panic payload. Returns `None` if the task did not panic, or if the payload was
    /// already taken.
    pub fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        match &self.0.failure {
            LeafKind::Panic(panic) => panic
                .payload
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
                .map(Foreign::into_inner),
            _ => None,
        }
    }

    /// Continues the panic of the task in the caller. Returns if the task did not panic.
    ///
    /// The payload is the original one, or its text if the payload was already taken.
    ///
    /// ```
    /// # use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let err = TaskGroup::run(async |group| {
    ///     group.spawn(async { assert!(2 < 1, "a bug") });
    ///     Ok(())
    /// })
    /// .await
    /// .unwrap_err();
    ///
    /// let bug = err.cause().clone();
    /// let again = std::thread::spawn(move || bug.resume_unwind());
    /// assert_eq!(again.join().unwrap_err().downcast_ref(), Some(&"a bug"));
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If the task panicked.
    pub fn resume_unwind(&self) {
        if self.is_panic() {
            let payload = self.take_panic().unwrap_or_else(|| {
                Box::new(self.panic_message().unwrap_or("a task panicked").to_owned())
            });
            std::panic::resume_unwind(payload);
        }
    }

    /// Whether the error of the task is an `E`. To look at what caused that error as well, use
    /// [`find`](Self::find).
    pub fn is<E: Error + 'static>(&self) -> bool {
        self.downcast_ref::<E>().is_some()
    }

    /// The error of the task as an `E`. To look at what caused that error as well, use
    /// [`find`](Self::find).
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.error()?.downcast_ref::<E>()
    }

    /// The first `E` in the error of the task and its chain of sources.
    ///
    /// ```
    /// # use anyhow::Context as _;
    /// # use taskgroup::TaskGroup;
    /// use std::io;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let err = TaskGroup::run(async |group| {
    ///     group.spawn(async {
    ///         std::fs::read("no/such/file").map(drop).context("reading the list")
    ///     });
    ///     Ok(())
    /// })
    /// .await
    /// .unwrap_err();
    ///
    /// assert!(!err.cause().is::<io::Error>()); // it is the context
    /// assert_eq!(
    ///     err.cause().find::<io::Error>().unwrap().kind(),
    ///     io::ErrorKind::NotFound
    /// );
    /// # }
    /// ```
    ///
    /// This finds an error under a context or inside another error. There is one limit: `anyhow`
    /// and `eyre` hide the type of the outermost error when a report becomes a plain boxed error.
    /// So an `io::Error` in a report is found below a context that was added to it, but not as the
    /// bare report.
    pub fn find<E: Error + 'static>(&self) -> Option<&E> {
        let error: &(dyn Error + 'static) = self.error()?;
        std::iter::successors(Some(error), |error| beneath(*error))
            .find_map(|error| error.downcast_ref::<E>())
    }

    /// The errors that the handler of a clause was handling when it raised this one; see
    /// [`ErrorGroup::on`].
    pub fn handling(&self) -> Option<&ErrorGroup> {
        self.0.handling.as_ref()
    }
}

impl Error for TaskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// What caused `error`. A leaf prints the message of its error and leaves that error out of the
/// chain of sources, so a search has to look into the leaf.
pub(super) fn beneath<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let task = error
        .downcast_ref::<TaskOrigin>()
        .or_else(|| error.downcast_ref::<TaskError>().map(|task| &task.0))
        .or_else(|| {
            error
                .downcast_ref::<Origin>()
                .map(|group| &group.0.cause().0)
        })
        .or_else(|| {
            error
                .downcast_ref::<ErrorGroup>()
                .map(|group| &group.cause().0)
        });
    match task {
        Some(task) => task.error(),
        None => gate::source(error),
    }
}

/// Whether `error` is of this crate, so that `beneath` looks into it. Its text consists of others.
pub(super) fn is_ours(error: &(dyn Error + 'static)) -> bool {
    error.is::<TaskOrigin>()
        || error.is::<TaskError>()
        || error.is::<Origin>()
        || error.is::<ErrorGroup>()
}

impl TaskOrigin {
    /// The error that the task returned.
    pub(super) fn error(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.failure {
            LeafKind::Error(held) | LeafKind::Cancelled(held) => Some(&**held.get()?),
            LeafKind::Panic(_) => None,
        }
    }

    pub(super) fn info(&self) -> &TaskInfo {
        &self.0.info
    }
}

/// The address of a leaf, to compare with other leaves while both are known to be alive.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LeafKey(*const TaskLeaf);

/// Identifies a leaf without owning it. While this exists, no other leaf gets that address.
pub(super) struct Identity(Weak<TaskLeaf>);

impl Identity {
    pub(super) fn key(&self) -> LeafKey {
        LeafKey(self.0.as_ptr())
    }

    /// Whether anything still owns the leaf.
    pub(super) fn is_kept(&self) -> bool {
        self.0.strong_count() > 0
    }
}
