//! The tree of errors.
//!
//! Invariants:
//! 1. A group has at least one member, so it has at least one leaf.
//! 2. The first member is the cause of the group's failure, as far as can be told. The others are
//!    in the order in which they arrived.
//! 3. A node is immutable once shared. Parts of a tree are new nodes over shared leaves and shared
//!    branches.
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
use std::sync::{Arc, Weak};

/// One member of an [`ErrorGroup`]: a failed task, or the failed group that a task was running.
///
/// ```
/// use taskgroup::error::Member;
/// use taskgroup::TaskGroup;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let run = TaskGroup::run(async |group| {
///     group.task("inner").spawn(TaskGroup::run(async |group| {
///         group.task("leaf").spawn(async { Err::<(), _>("broken") });
///         Ok(())
///     }));
///     Ok(())
/// });
/// let error = run.await.unwrap_err();
/// match error.first() {
///     Member::Task(task) => panic!("{task}"),
///     Member::Group(group) => {
///         assert_eq!(group.returned_by().unwrap().name(), "inner")
///     }
///     _ => unreachable!(),
/// }
/// # }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum Member {
    /// A task that returned an error or panicked.
    Task(TaskError),
    /// The error of a group that a task ran and returned. [`ErrorGroup::returned_by`] says which
    /// task.
    Group(ErrorGroup),
}

impl Member {
    /// From an error that a task returned: a group becomes a branch of the tree, any other error a
    /// leaf. A branch failed when its cause did.
    pub(crate) fn from_failure(info: TaskInfo, error: BoxError, interval: Interval) -> Self {
        match group_in(error) {
            Ok(mut group) => {
                Arc::make_mut(&mut group.origin.0).heading.returned_by = Some(info);
                Member::Group(group)
            }
            Err(error) => Member::Task(TaskError::failed(info, error, interval)),
        }
    }

    /// The reason with which this failure cancels the others.
    pub(crate) fn as_reason(&self) -> CancelReason {
        let detail = match self {
            Member::Task(task) => match (task.error(), task.panic_message()) {
                (Some(error), _) => format!("failed: {}", gate::text(&error)),
                (None, Some(message)) => format!("panicked: {message}"),
                (None, None) => "panicked".to_owned(),
            },
            // The group's own report says more. Printing it at every level of a deep tree would be
            // quadratic.
            Member::Group(group) => format!("failed in its group `{}`", group.name()),
        };
        CancelReason::failed(self.info().clone(), detail)
    }

    /// From a panic, with the payload that `catch_unwind` or a join gave.
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

    /// For a task that was cancelled, where that has to be reported as an error.
    pub(crate) fn from_cancelled(info: TaskInfo, error: BoxError) -> Self {
        Member::Task(TaskError::cancelled(info, error))
    }

    /// Whether `failure`, which [`to_task_error`](Self::to_task_error) made for a handle, is this
    /// member.
    pub(crate) fn is_same(&self, failure: &TaskError) -> bool {
        match self {
            Member::Task(task) => task.is_same(failure),
            Member::Group(group) => failure
                .downcast_ref::<ErrorGroup>()
                .is_some_and(|other| other.same_node(group)),
        }
    }

    /// The same failure for the handle of the task. The member must come from `from_failure` or its
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

    /// When it failed. A nested group failed when its cause did.
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

    /// The leaf, if this member is one.
    pub fn as_task(&self) -> Option<&TaskError> {
        match self {
            Member::Task(task) => Some(task),
            Member::Group(_) => None,
        }
    }

    /// The nested group, if this member is one.
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
/// empty. Its first member is the cause. The others follow in the order in which they arrived;
/// often they failed in the cleanup that the cause had started.
///
/// ```
/// use taskgroup::TaskGroup;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let shop = async |group: TaskGroup| {
///     group
///         .task("fetch_user")
///         .spawn(async { Err::<(), _>("connection refused") });
///     Ok(())
/// };
/// let err = TaskGroup::builder().name("shop").run(shop).await.unwrap_err();
///
/// assert_eq!(
///     err.to_string(),
///     "group `shop` failed: task `fetch_user` failed: connection refused"
/// );
/// assert_eq!(err.cause().name(), "fetch_user");
/// assert_eq!(err.cause().location().file(), file!());
/// println!("{err:#}"); // the tree
/// # assert!(format!("{err:#}").contains("\n└─ task `fetch_user` ["));
/// # }
/// ```
///
/// # Reading it
///
/// [`leaves`](Self::leaves) walks all failed tasks at any depth; [`members`](Self::members) gives
/// the direct members. `Display` is one line. The alternate form `{:#}` draws the tree with causes
/// and locations, and so does `Debug`, which Rust prints when `main` returns the error. The drawing
/// is bounded: it shows the first 100 members of a group and counts the others by their texts. If
/// the `Display` of an error panics, the text says so.
///
/// # What the cause is
///
/// The cause is the failure that is least likely to be a consequence of the others. When a stage of
/// a pipeline fails, its channels close, and its neighbours fail because they find them closed. On
/// several threads such a neighbour is often recorded before the stage. So the cause is chosen when
/// the group has ended:
///
/// - A task is not the cause if another one had already failed when its failing poll began.
/// - If the polls overlap, the texts decide. A failure that found a channel closed comes last, and
///   one that found a pipe or a connection closed comes before it. Any other failure comes first.
///   The texts of Tokio's channels and of others are recognised, also in a chain of sources, in a
///   context and in the panic of an `unwrap`. "The sink is gone", "no more input" and the like
///   count as a closed connection does.
/// - If that does not decide, the failure that ended first is the cause. A blocking closure counts
///   from where its code is through: when its [token](crate::BlockingToken) is dropped, before its
///   captures are.
///
/// So keep the error of a channel as the source where you put it in words of your own.
///
/// A nested group counts as its own cause does. A blocking closure is one long poll. The group
/// cancels its tasks when the first failure arrives, so a [`CancelReason`] may name the neighbour.
/// In a part of a group without the cause, the failure that arrived first takes its place.
///
/// # Handling a part of it
///
/// [`on`](Self::on) is Python's `except*`: it handles the errors of one type and passes on the
/// rest. [`split`](Self::split) and [`subgroup`](Self::subgroup) return the parts themselves. All
/// of them keep the shape: a leaf stays below its groups, and branches without a leaf disappear.
///
/// # As an error
///
/// It is an ordinary [`Error`], `Send`, `Sync` and `'static`: `?` turns it into a boxed error,
/// `anyhow::Error` or `eyre::Report`. The printed line contains the messages of the leaves, so its
/// [`source`](Error::source) continues with what the line leaves out: which task failed first and
/// where it was spawned, then what caused the error of that task. Cloning is cheap and shares the
/// tree.
///
/// A task may return the error of a group in a bare `anyhow` or `eyre` report, or in a wrapper that
/// shows it unchanged (`#[error(transparent)]`). The group becomes a branch then, as if the task
/// had returned it directly. With a context added, the error is a leaf, with the tree drawn below
/// it as its cause.
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
    /// The number of leaves below, counted when the node is made, so that it is cheap at any depth.
    leaves: usize,
    /// Whether all of them are cancellations. Computed at the same time.
    cancelled: bool,
    /// When the first member failed. Computed at the same time.
    interval: Interval,
}

/// What describes a group, and each part that is split off it.
#[derive(Clone)]
pub(super) struct Heading {
    pub(super) info: TaskInfo,
    pub(super) returned_by: Option<TaskInfo>,
    pub(super) context: Option<CancelReason>,
    pub(super) handling: Option<ErrorGroup>,
}

/// Remembers a node without owning it, as [`Identity`](super::leaf::Identity) does a leaf.
pub(super) struct NodeIdentity(Weak<GroupNode>);

impl NodeIdentity {
    pub(super) fn is(&self, group: &ErrorGroup) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(&group.origin.0))
    }

    /// Whether anything still owns the node.
    pub(super) fn is_kept(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl ErrorGroup {
    /// The error of the group `info`, or `None` if nothing failed. `members` are in the order in
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

    /// Records that the group failed while it was being cancelled, and why it was cancelled.
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

    /// Whether nothing else shares this group.
    pub(super) fn is_owned(&self) -> bool {
        Arc::strong_count(&self.origin.0) == 1
    }

    pub(super) fn identity(&self) -> NodeIdentity {
        NodeIdentity(Arc::downgrade(&self.origin.0))
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

    /// The task that returned this group as its error, if it is a branch of a larger tree.
    pub fn returned_by(&self) -> Option<&TaskInfo> {
        self.origin.0.heading.returned_by.as_ref()
    }

    /// Why the group was being cancelled when these errors arose, or `None` if it was not being
    /// cancelled from outside.
    pub fn context(&self) -> Option<&CancelReason> {
        self.origin.0.heading.context.as_ref()
    }

    /// The errors that the handler of a clause was handling when it raised this group; see
    /// [`on`](Self::on).
    pub fn handling(&self) -> Option<&ErrorGroup> {
        self.origin.0.heading.handling.as_ref()
    }

    /// The direct members: the cause, then the others in order of arrival. A nested group is one
    /// member; see [`leaves`](Self::leaves).
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

    /// The direct members by value, or clones of them if the group is shared.
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
    /// // A task of a group runs a group of its own: the error of the inner group
    /// // is a branch of the error of the outer one.
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

    /// All failed tasks by value. If nothing else shares the tree, [`TaskError::into_error`] takes
    /// their errors out.
    pub fn into_leaves(self) -> Vec<TaskError> {
        self.leaves().map(|leaf| leaf.task().clone()).collect()
    }

    /// The first member: the cause, or the nested group that it is in. See [What the cause
    /// is](Self#what-the-cause-is).
    pub fn first(&self) -> &Member {
        &self.origin.0.members[0]
    }

    /// The failed task that caused the other failures, as far as can be told: the first member, or
    /// the cause within it if that is a group. See [What the cause is](Self#what-the-cause-is).
    pub fn cause(&self) -> &TaskError {
        self.origin.0.cause()
    }

    /// The failed task, if there is exactly one in the whole tree.
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
    /// let error = task.into_error().expect("nothing else shares the error");
    /// assert!(error.is::<std::num::ParseIntError>());
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Gives the group back if more than one task failed.
    pub fn into_single(self) -> Result<TaskError, Self> {
        if self.leaf_count() > 1 {
            return Err(self);
        }
        Ok(self.cause().clone())
    }

    /// Whether the group was only cancelled: no leaf is an error of its own.
    ///
    /// A group that is cancelled before its body has finished ends like that.
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

    /// Whether the error of any leaf is an `E`. As in [`TaskError::is`], this ignores what caused
    /// the errors.
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
