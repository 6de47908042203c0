//! Cancelling from afar: a value that names what to cancel.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::cancel::CancelReason;
use crate::group::TaskGroup;
use crate::handle::TaskHandle;
use crate::scope::current;
use crate::scope::task::TaskRef;
use crate::scope::tree::{Dropping, Scope};
use crate::sync::Mutex;

/// Cancels a task, a group or a section of code, from anywhere.
///
/// It comes from [`TaskHandle::canceller`], [`TaskGroup::canceller`] or
/// [`CancelScope::canceller`](crate::CancelScope::canceller). It can do nothing else, so it can be
/// handed to code that must not spawn or take the value. Clones cancel the same target. A canceller
/// keeps a little memory of its target, and does not keep it running. Once the target has ended, a
/// cancel has no effect.
///
/// ```
/// use std::collections::HashMap;
/// use taskgroup::{Canceller, TaskGroup};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     let mut jobs: HashMap<&str, Canceller> = HashMap::new();
///     let backup = group.task("backup").spawn(std::future::pending::<()>());
///     jobs.insert("backup", backup.canceller());
///
///     jobs["backup"].cancel_with("stopped by the operator");
///     let error = backup.await.unwrap_err();
///     assert!(error.to_string().contains("stopped by the operator"));
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
///
/// The ideas are Go's `CancelFunc`, JavaScript's `AbortController` and Tokio's `AbortHandle`.
#[derive(Clone)]
#[doc(alias = "AbortHandle")]
#[doc(alias = "AbortController")]
#[doc(alias = "CancelFunc")]
pub struct Canceller(Target);

#[derive(Clone)]
enum Target {
    Group(Arc<Scope>),
    Task(TaskRef),
    Section(Arc<Entry>),
}

impl Canceller {
    pub(crate) fn of_section(entry: &Arc<Entry>) -> Self {
        Self(Target::Section(entry.clone()))
    }

    /// Cancels the target. A second call has no effect, and neither has a call after its end.
    #[track_caller]
    pub fn cancel(&self) {
        self.cancel_for(&CancelReason::called(current::info(), Location::caller()));
    }

    /// As [`cancel`](Self::cancel), and `why` is part of the [reason](CancelReason::message).
    #[track_caller]
    pub fn cancel_with(&self, why: impl Into<Cow<'static, str>>) {
        self.cancel_for(&CancelReason::called_with(
            why.into(),
            current::info(),
            Location::caller(),
        ));
    }

    pub(crate) fn cancel_for(&self, reason: &CancelReason) {
        match &self.0 {
            Target::Group(scope) => scope.cancel(reason, Dropping::Scheduled),
            Target::Task(task) => cancel_task(task, reason),
            Target::Section(entry) => entry.cancel(reason),
        }
    }

    /// Whether the target is cancelled, by this canceller or by anything else.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        match &self.0 {
            Target::Group(scope) => scope.is_cancelled(),
            Target::Task(task) => task.header().is_cancelled(),
            Target::Section(entry) => entry.is_cancelled(),
        }
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = match &self.0 {
            Target::Group(_) => "group",
            Target::Task(_) => "task",
            Target::Section(_) => "section",
        };
        f.debug_struct("Canceller")
            .field("target", &target)
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}

/// Cancels one task. Its siblings go on.
fn cancel_task(task: &TaskRef, reason: &CancelReason) {
    let header = task.header();
    if header.is_done() {
        return;
    }
    task.inside().cancel(reason, Dropping::Scheduled);
    task.cancel_alone();
    if let Some(group) = header.owner.group() {
        group.unqueue(header.index);
    }
}

/// What cancels a section before and while it runs, and keeps the reason afterwards.
#[derive(Default)]
pub(crate) struct Entry(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    /// Why it was cancelled, once it was.
    reason: Option<CancelReason>,
    /// The section, while it runs.
    scope: Option<Arc<Scope>>,
}

impl Entry {
    /// `scope` is the section from now on.
    pub(crate) fn enter(&self, scope: &Arc<Scope>) {
        let reason = {
            let mut inside = self.0.lock();
            inside.scope = Some(scope.clone());
            inside.reason.clone()
        };
        if let Some(reason) = reason {
            scope.cancel(&reason, Dropping::Scheduled);
        }
    }

    pub(crate) fn leave(&self) {
        let left = self.0.lock().scope.take();
        drop(left);
    }

    pub(crate) fn cancel(&self, reason: &CancelReason) {
        let scope = {
            let mut inside = self.0.lock();
            if inside.reason.is_some() {
                return;
            }
            inside.reason = Some(reason.clone());
            inside.scope.clone()
        };
        if let Some(scope) = scope {
            scope.cancel(reason, Dropping::Scheduled);
        }
    }

    /// Why it was cancelled by hand.
    pub(crate) fn reason(&self) -> Option<CancelReason> {
        self.0.lock().reason.clone()
    }

    fn is_cancelled(&self) -> bool {
        let inside = self.0.lock();
        let from_outside = || {
            inside
                .scope
                .as_ref()
                .is_some_and(|scope| scope.is_cancelled())
        };
        inside.reason.is_some() || from_outside()
    }
}

impl TaskGroup {
    /// Cancels the body and the children, without an error of its own.
    ///
    /// What fails before everything has ended still comes out. A second call has no effect, and
    /// neither has a call after the group has ended.
    #[track_caller]
    pub fn cancel(&self) {
        self.canceller().cancel();
    }

    /// As [`cancel`](Self::cancel), and `why` is part of the [reason](CancelReason::message). The
    /// cancelled tasks, the tree and the trace show it.
    ///
    /// ```
    /// use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let run = TaskGroup::run(async |group| {
    ///     group.cancel_with("the user closed the window");
    ///     tokio::task::yield_now().await;
    ///     Ok(())
    /// });
    /// let error = run.await.unwrap_err();
    /// assert!(error.to_string().contains("the user closed the window"));
    /// # }
    /// ```
    #[track_caller]
    pub fn cancel_with(&self, why: impl Into<Cow<'static, str>>) {
        self.canceller().cancel_with(why);
    }

    /// A value that cancels this group and can do nothing else.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller(Target::Group(self.scope().clone()))
    }
}

impl<T> TaskHandle<T> {
    /// Cancels this task only. Its siblings go on, and the group does not fail.
    ///
    /// The task is dropped at its next suspension point, or cleans up first where it holds a guard.
    /// A second call has no effect, and neither has a call after the task has ended.
    #[track_caller]
    pub fn cancel(&self) {
        if !self.is_finished() {
            let reason = CancelReason::called(current::info(), Location::caller());
            cancel_task(self.task(), &reason);
        }
    }

    /// As [`cancel`](Self::cancel), and `why` is part of the [reason](CancelReason::message).
    #[track_caller]
    pub fn cancel_with(&self, why: impl Into<Cow<'static, str>>) {
        self.canceller().cancel_with(why);
    }

    /// A value that cancels this task and can do nothing else.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller(Target::Task(self.task().clone()))
    }
}
