//! The tree of errors.
//!
//! Invariants:
//! 1. A group has at least one member, so it has at least one leaf.
//! 2. The first member is the cause of the group's failure: the one that is no consequence of the
//!    others. The rest is in the order in which they arrived.
//! 3. A node is immutable once shared; parts of a tree are new nodes over shared leaves and shared
//!    untouched branches.
//! 4. Nothing recurses over the depth of a tree: walking, splitting, printing and dropping are
//!    loops.

use super::demolish::{Remains, demolish};
use super::origin::{Origin, group_in};
use super::{
    BoxError, Failed, Fault, Interval, Leaf, Leaves, TaskError, TaskId, TaskInfo, TaskPath,
};
use crate::gate::{self, Payload};
use crate::reason::CancelReason;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// One member of an [`ErrorGroup`]: a failed task, or the failed group that a task was running.
#[derive(Clone)]
#[non_exhaustive]
pub enum Member {
    /// A task that returned an error or panicked.
    Task(TaskError),
    /// A task that returned the error of a group of its own; [`ErrorGroup::returned_by`] says which
    /// task.
    Group(ErrorGroup),
}

impl Member {
    /// What becomes of an error returned by a task: a group is a branch of the tree, anything else
    /// is a leaf. A branch failed when its cause did.
    pub(crate) fn from_failure(info: TaskInfo, error: BoxError, interval: Interval) -> Self {
        match group_in(error) {
            Ok(mut group) => {
                Arc::make_mut(&mut group.origin.0).heading.returned_by = Some(info);
                Member::Group(group)
            }
            Err(error) => Member::Task(TaskError::failed(info, error, interval)),
        }
    }

    /// Why the others are cancelled because of it.
    pub(crate) fn as_reason(&self) -> CancelReason {
        let detail = match self {
            Member::Task(task) => match (task.error(), task.panic_message()) {
                (Some(error), _) => format!("failed: {}", gate::text(&error)),
                (None, Some(message)) => format!("panicked: {message}"),
                (None, None) => "panicked".to_owned(),
            },
            // Its own report says more; to print it at every level of a deep tree would be
            // quadratic.
            Member::Group(group) => format!("failed in its group `{}`", group.name()),
        };
        CancelReason::failed(self.info().clone(), detail)
    }

    /// A task that panicked, with the payload that `catch_unwind` or a join gave.
    pub(crate) fn from_panic(info: TaskInfo, payload: Payload, interval: Interval) -> Self {
        Member::Task(TaskError::panicked(info, payload, interval))
    }

    /// As [`from_failure`](Self::from_failure) or [`from_panic`](Self::from_panic).
    pub(crate) fn failed(info: TaskInfo, failed: Failed) -> Self {
        match failed.fault {
            Fault::Error(error) => Self::from_failure(info, error, failed.interval),
            Fault::Panic(payload) => Self::from_panic(info, payload, failed.interval),
        }
    }

    /// A task for which being cancelled has to be reported as an error.
    pub(crate) fn from_cancelled(info: TaskInfo, error: BoxError) -> Self {
        Member::Task(TaskError::cancelled(info, error))
    }

    /// Whether `failure`, as a handle gave it out by [`to_task_error`](Self::to_task_error), is
    /// this member.
    pub(crate) fn is_same(&self, failure: &TaskError) -> bool {
        match self {
            Member::Task(task) => task.is_same(failure),
            Member::Group(group) => failure
                .downcast_ref::<ErrorGroup>()
                .is_some_and(|other| other.same_node(group)),
        }
    }

    /// The same failure for the handle of the task. Only for members made by `from_failure` and its
    /// siblings.
    pub(crate) fn to_task_error(&self) -> TaskError {
        match self {
            Member::Task(task) => task.clone(),
            Member::Group(group) => {
                let info = group.returned_by().unwrap_or(group.info()).clone();
                TaskError::failed(info, Box::new(group.clone()), group.origin.0.interval)
            }
        }
    }

    /// The failed task: the leaf itself, or the task that returned the group's error.
    pub fn info(&self) -> &TaskInfo {
        match self {
            Member::Task(task) => task.info(),
            Member::Group(group) => group.returned_by().unwrap_or(group.info()),
        }
    }

    /// When it failed: in a nested group its cause.
    pub(super) fn interval(&self) -> Interval {
        match self {
            Member::Task(task) => task.interval(),
            Member::Group(group) => group.origin.0.interval,
        }
    }

    /// The leaf, or the cause within the nested group.
    pub(super) fn cause(&self) -> &TaskError {
        match self {
            Member::Task(task) => task,
            Member::Group(group) => group.cause(),
        }
    }

    fn leaf_count(&self) -> usize {
        match self {
            Member::Task(_) => 1,
            Member::Group(group) => group.leaf_count(),
        }
    }

    /// The leaf, when this member is one.
    pub fn as_task(&self) -> Option<&TaskError> {
        match self {
            Member::Task(task) => Some(task),
            Member::Group(_) => None,
        }
    }

    /// The nested group, when this member is one.
    pub fn as_group(&self) -> Option<&ErrorGroup> {
        match self {
            Member::Task(_) => None,
            Member::Group(group) => Some(group),
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Member::Task(task) => task.fmt(f),
            Member::Group(group) => group.fmt(f),
        }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Member::Task(task) => fmt::Debug::fmt(task, f),
            Member::Group(group) => fmt::Debug::fmt(group, f),
        }
    }
}

/// Everything that went wrong in a task group, as a tree.
///
/// Each leaf is a failed task ([`TaskError`]) with its name, id, path, spawn location and error or
/// panic. A task that failed with the error of a group of its own is a branch. A group is never
/// empty. Its first member is the cause, and the others follow in the order in which they arrived:
/// they failed after it, often in the cleanup that it set off.
///
/// ```
/// use taskgroup::TaskGroup;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let shop = async |group: TaskGroup| {
///     group.task("fetch_user").spawn(async { Err::<(), _>("connection refused") });
///     Ok(())
/// };
/// let err = TaskGroup::builder().name("shop").run(shop).await.unwrap_err();
///
/// assert_eq!(err.to_string(), "group `shop` failed: task `fetch_user` failed: connection refused");
/// assert_eq!(err.cause().name(), "fetch_user");
/// assert_eq!(err.cause().location().file(), file!());
/// println!("{err:#}"); // the tree
/// # assert!(format!("{err:#}").contains("\n└─ task `fetch_user` ["));
/// # }
/// ```
///
/// # Reading it
///
/// [`leaves`](Self::leaves) walks all failed tasks whatever the nesting; [`members`](Self::members)
/// gives the direct ones. `Display` is one line. The alternate form `{:#}` draws the tree with
/// causes and locations, and so does `Debug`, which is what Rust prints when `main` returns the
/// error. The drawing is bounded: of a group with many members the first 100 are drawn, and the
/// others counted by their texts. An error whose `Display` panics has a text that says so.
///
/// # What the cause is
///
/// The failure that is least likely to be a consequence of the others. When a stage of a pipeline
/// fails, its channels close, and its neighbours fail because they find them closed. On several
/// threads such a neighbour is often recorded before the stage. So the cause is chosen when the
/// group has ended:
///
/// - A task that failed in a poll that began when another one had already failed is not the cause.
/// - Where the polls that failed overlap, one that found a channel closed (the texts of Tokio's
///   channels and of others are known, also in a chain of sources, in a context and in the panic of
///   an `unwrap`), or else a pipe or a connection, comes after one that says anything else.
/// - If that does not tell either, the one that had failed first is the cause.
///
/// A nested group counts as its own cause does. A blocking closure is one long poll. What a group
/// *cancels* because of a failure is decided when that failure arrives, so a [`CancelReason`] may
/// name the neighbour. In a part of a group that does not have the cause the first one that arrived
/// takes its place.
///
/// # Handling a part of it
///
/// [`on`](Self::on) is Python's `except*`: it handles the errors of one type and passes on the
/// rest. [`split`](Self::split) and [`subgroup`](Self::subgroup) give the parts themselves. They
/// all keep the shape: a leaf stays below the groups that it was in, and branches left without a
/// leaf disappear.
///
/// # As an error
///
/// It is an ordinary [`Error`], `Send`, `Sync` and `'static`: `?` turns it into a boxed error,
/// `anyhow::Error` or `eyre::Report`. The printed line holds the messages of the leaves, so its
/// [`source`](Error::source) goes on with what the line does not say: which task failed first and
/// where it was spawned, then what caused the error of that task. Cloning is cheap and shares the
/// tree.
///
/// A task that returns the error of a group through a bare `anyhow` or `eyre` report, or through a
/// wrapper that shows it unchanged (`#[error(transparent)]`), returned that group: it becomes a
/// branch. With a context added it is a leaf of its own, with the tree drawn below it as its cause.
///
/// The idea is the exception group of Python (PEP 654) and Trio's `MultiError` before it.
#[doc(alias = "ExceptionGroup")]
#[doc(alias = "BaseExceptionGroup")]
#[doc(alias = "MultiError")]
#[derive(Clone)]
pub struct ErrorGroup {
    origin: Origin,
}

pub(super) struct GroupNode {
    heading: Heading,
    members: Vec<Member>,
    /// How many leaves there are below, counted when the node is made: asking costs nothing at any
    /// depth.
    leaves: usize,
    /// Whether all of them are cancellations; likewise.
    cancelled: bool,
    /// When the first member failed; likewise.
    interval: Interval,
}

/// What a group says of itself, and what each part split off it says too.
#[derive(Clone)]
pub(super) struct Heading {
    pub(super) info: TaskInfo,
    pub(super) returned_by: Option<TaskInfo>,
    pub(super) context: Option<CancelReason>,
    pub(super) handling: Option<ErrorGroup>,
}

impl ErrorGroup {
    /// The error of the group `info`; `None` when nothing failed. The members are in the order in
    /// which they arrived; the cause is moved to the front.
    pub(crate) fn new(info: TaskInfo, mut members: Vec<Member>) -> Option<Self> {
        Member::put_first(&mut members);
        let heading = Heading {
            info,
            returned_by: None,
            context: None,
            handling: None,
        };
        Self::from_parts(heading, members)
    }

    pub(super) fn from_parts(heading: Heading, members: Vec<Member>) -> Option<Self> {
        if members.is_empty() {
            return None;
        }
        let leaves = members.iter().map(Member::leaf_count).sum();
        let cancelled = members.iter().all(|member| match member {
            Member::Task(task) => task.is_cancelled(),
            Member::Group(group) => group.is_cancelled(),
        });
        let interval = members[0].interval();
        let node = Arc::new(GroupNode {
            heading,
            members,
            leaves,
            cancelled,
            interval,
        });
        Some(Self::from_origin(Origin(node)))
    }

    pub(super) fn from_origin(origin: Origin) -> Self {
        Self { origin }
    }

    /// Notes that the group failed while it was being cancelled, and why it was.
    pub(crate) fn with_context(mut self, reason: CancelReason) -> Self {
        Arc::make_mut(&mut self.origin.0).heading.context = Some(reason);
        self
    }

    pub(super) fn with_handling(mut self, handled: ErrorGroup) -> Self {
        Arc::make_mut(&mut self.origin.0).heading.handling = Some(handled);
        self
    }

    pub(super) fn heading(&self) -> &Heading {
        &self.origin.0.heading
    }

    pub(super) fn same_node(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.origin.0, &other.origin.0)
    }

    /// The group itself: name, id, path and location in one.
    pub fn info(&self) -> &TaskInfo {
        &self.origin.0.heading.info
    }

    /// The name of the group.
    pub fn name(&self) -> &str {
        self.info().name()
    }

    /// The id of the group.
    pub fn id(&self) -> TaskId {
        self.info().id()
    }

    /// The names from the root group down to this one.
    pub fn path(&self) -> TaskPath<'_> {
        self.info().path()
    }

    /// Where the group was run.
    pub fn location(&self) -> &'static Location<'static> {
        self.info().location()
    }

    /// The task that returned this group as its error, when it is a branch of a larger tree.
    pub fn returned_by(&self) -> Option<&TaskInfo> {
        self.origin.0.heading.returned_by.as_ref()
    }

    /// Why the group was being cancelled when these errors arose; `None` when it was not being
    /// cancelled from outside.
    pub fn context(&self) -> Option<&CancelReason> {
        self.origin.0.heading.context.as_ref()
    }

    /// The errors that were being handled when this group was raised by the handler of a clause;
    /// see [`on`](Self::on).
    pub fn handling(&self) -> Option<&ErrorGroup> {
        self.origin.0.heading.handling.as_ref()
    }

    /// The direct members: the cause, then the others in order of arrival. Nested groups are
    /// members as a whole: see [`leaves`](Self::leaves).
    #[doc(alias = "exceptions")]
    pub fn members(&self) -> &[Member] {
        &self.origin.0.members
    }

    /// How many direct members there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a group is never empty")]
    pub fn len(&self) -> usize {
        self.members().len()
    }

    /// How many failed tasks there are in the whole tree; at least one. Does not walk it.
    pub fn leaf_count(&self) -> usize {
        self.origin.0.leaves
    }

    /// The direct members by value; clones of them when the group is shared.
    pub fn into_members(mut self) -> Vec<Member> {
        match Arc::get_mut(&mut self.origin.0) {
            Some(node) => std::mem::take(&mut node.members),
            None => self.origin.0.members.clone(),
        }
    }

    /// All failed tasks in the tree, depth first, each with the groups above it.
    ///
    /// ```
    /// use taskgroup::{ErrorGroup, TaskGroup};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// // A group in a task of a group: the error of the inner one is a branch of the error of the outer one.
    /// let crawl = async {
    ///     let urls = async |group: TaskGroup| {
    ///         group.task("url_7").spawn(async { Err::<(), _>("not found") });
    ///         Ok(())
    ///     };
    ///     TaskGroup::builder().name("urls").run(urls).await
    /// };
    /// let nightly = async |group: TaskGroup| {
    ///     group.task("crawl").spawn(crawl);
    ///     Ok(())
    /// };
    /// let err = TaskGroup::builder().name("nightly").run(nightly).await.unwrap_err();
    ///
    /// for leaf in err.leaves() {
    ///     assert_eq!(leaf.to_string(), "task `url_7` failed: not found");
    ///     let groups: Vec<&str> = leaf.ancestors().map(ErrorGroup::name).collect();
    ///     assert_eq!(groups, ["urls", "nightly"]);
    /// }
    /// assert_eq!(err.members().len(), 1); // the group `urls`
    /// # assert_eq!(err.leaf_count(), 1);
    /// # }
    /// ```
    pub fn leaves(&self) -> Leaves<'_> {
        Leaves::new(self)
    }

    /// All failed tasks by value. When nothing else shares the tree, [`TaskError::into_error`]
    /// takes their errors out.
    pub fn into_leaves(self) -> Vec<TaskError> {
        self.leaves().map(|leaf| leaf.task().clone()).collect()
    }

    /// The first member: the cause, or the nested group that it is in. See [What the cause
    /// is](Self#what-the-cause-is).
    pub fn first(&self) -> &Member {
        &self.origin.0.members[0]
    }

    /// The failed task that caused the other failures, as far as can be told: the first member, or
    /// the cause within it when that is a group. See [What the cause is](Self#what-the-cause-is).
    pub fn cause(&self) -> &TaskError {
        self.origin.0.cause()
    }

    /// The failed task when there is exactly one in the whole tree.
    ///
    /// ```
    /// # use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let err = TaskGroup::run(async |group| {
    ///     group.spawn(async { "seven".parse::<u32>().map(drop) });
    ///     Ok(())
    /// })
    /// .await
    /// .unwrap_err();
    ///
    /// let task = err.into_single().expect("only one task failed");
    /// let error = task.into_error().expect("nobody else holds the error");
    /// assert!(error.is::<std::num::ParseIntError>());
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Gives the group back when more than one task failed.
    pub fn into_single(self) -> Result<TaskError, Self> {
        if self.leaf_count() > 1 {
            return Err(self);
        }
        Ok(self.cause().clone())
    }

    /// Whether being cancelled is all that happened: no leaf is an error of its own.
    ///
    /// That is how a group ends that was cancelled before its body was finished.
    ///
    /// ```
    /// # use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let err = TaskGroup::run(async |group| {
    ///     group.cancel();
    ///     std::future::pending::<()>().await;
    ///     Ok(())
    /// })
    /// .await
    /// .unwrap_err();
    ///
    /// assert!(err.is_cancelled());
    /// # }
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.origin.0.cancelled
    }

    /// Whether the error of any leaf is an `E`. What caused the errors is not looked at, as in
    /// [`TaskError::is`].
    pub fn contains<E: Error + 'static>(&self) -> bool {
        self.leaves().any(|leaf| leaf.is::<E>())
    }

    /// The first error of type `E` among the leaves and what caused them, as in
    /// [`TaskError::find`].
    pub fn find<E: Error + 'static>(&self) -> Option<&E> {
        self.leaves().find_map(|leaf| Leaf::task(&leaf).find::<E>())
    }
}

impl Error for ErrorGroup {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.origin)
    }
}

impl GroupNode {
    pub(super) fn cause(&self) -> &TaskError {
        let mut node = self;
        loop {
            match &node.members[0] {
                Member::Task(task) => return task,
                Member::Group(nested) => node = &nested.origin.0,
            }
        }
    }
}

impl Clone for GroupNode {
    fn clone(&self) -> Self {
        Self {
            heading: self.heading.clone(),
            members: self.members.clone(),
            leaves: self.leaves,
            cancelled: self.cancelled,
            interval: self.interval,
        }
    }
}

impl Drop for GroupNode {
    fn drop(&mut self) {
        demolish(Remains::Members(std::mem::take(&mut self.members)));
        if let Some(handled) = self.heading.handling.take() {
            demolish(Remains::Group(handled));
        }
    }
}
