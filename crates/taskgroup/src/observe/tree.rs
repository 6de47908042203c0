//! The live tree: what is alive, as data.
//!
//! Invariants:
//!
//! - **OB1** A walk is a loop over an explicit stack and looks at each node once: linear in the
//!   size of the tree, whatever its depth.
//! - **OB2** The lock of one scope is held for as long as its list of children is copied, never two
//!   at once and never while anything is formatted. So a tree is no instant of the whole: a task
//!   may end between the look at it and the next one.
//! - **OB3** Nodes are in preorder: what is below a node follows it directly.

mod walk;

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::cancel::CancelReason;
use crate::error::{TaskId, TaskInfo, TaskPath};
use crate::scope::tree::{Kind, Scope};
use crate::scope::{current as ambient, who};

/// What a [`Node`] of the tree is.
///
/// ```
/// use taskgroup::TaskGroup;
/// use taskgroup::observe::{NodeKind, tree};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     group.task("poll").background().spawn(std::future::pending::<()>());
///     tokio::task::yield_now().await;
///     let is_task = |kind| kind == NodeKind::Task;
///     assert!(tree().nodes().iter().any(|node| is_task(node.kind())));
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeKind {
    /// The process, above everything else.
    Process,
    /// A run of a program: [`run`](crate::run) or [`Runner`](crate::Runner).
    Run,
    /// A task group.
    Group,
    /// A task.
    Task,
    /// A child that is polled inside the task of its group: a child of a
    /// [`LocalGroup`](crate::LocalGroup), or a future in [`gather`](crate::gather),
    /// [`race`](crate::race) and the like.
    Child,
    /// A deadline, as [`timeout`](crate::timeout) makes one. It is a node once something below it
    /// has opened a scope; until then it is only an instant.
    Deadline,
    /// A [`CancelScope`](crate::CancelScope) at work.
    CancelScope,
    /// A [`shield`](crate::shield).
    Shield,
}

impl NodeKind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Run => "run",
            Self::Group => "group",
            Self::Task => "task",
            Self::Child => "child",
            Self::Deadline => "deadline",
            Self::CancelScope => "cancel scope",
            Self::Shield => "shield",
        }
    }
}

/// What a [`Node`] of the tree is doing.
///
/// ```
/// use taskgroup::observe::{NodeState, tree};
/// use taskgroup::{TaskGroup, shield};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     let saving = group.task("save").spawn(shield(async {
///         tokio::task::yield_now().await;
///         assert!(
///             tree()
///                 .nodes()
///                 .iter()
///                 .any(|node| node.state() == NodeState::Shielded)
///         );
///     }));
///     saving.await?;
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NodeState {
    /// Blocks its worker. Known only while [`report_blocking`](crate::observe::report_blocking) is
    /// on.
    Blocked,
    /// Cancelled, and cleaning up: it holds a [`Cancelled`](crate::Cancelled), or it is itself a
    /// cleanup.
    CleaningUp,
    /// Inside a [`shield`](crate::shield): cancellations wait.
    Shielded,
    /// Cancelled, and not yet ended.
    Cancelling,
    /// Polled right now or soon. A group, a child, a deadline or a run in this state is open.
    Running,
    /// Waiting for something.
    Suspended,
    /// Its own code has ended; something below it has not.
    Ending,
}

impl NodeState {
    /// The state in words, as the tree prints it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::CleaningUp => "cleaning up",
            Self::Shielded => "shielded",
            Self::Cancelling => "cancelling",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Ending => "ending",
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One task, group, child, deadline or shield that was alive when a [`Tree`] was taken.
///
/// ```
/// use taskgroup::TaskGroup;
/// use taskgroup::observe::{NodeKind, tree};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::builder()
///     .name("shop")
///     .run(async |group| {
///         group.task("orders").background().spawn(std::future::pending::<()>());
///         tokio::task::yield_now().await;
///         let tree = tree();
///         let orders =
///             tree.nodes().iter().find(|node| node.name() == "orders").unwrap();
///         assert_eq!(orders.kind(), NodeKind::Task);
///         assert_eq!(orders.path(), "shop/orders");
///         println!(
///             "{} at {}, for {:?}",
///             orders.name(),
///             orders.location(),
///             orders.age()
///         );
///         Ok(())
///     })
///     .await
///     .unwrap();
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Node {
    kind: NodeKind,
    info: TaskInfo,
    location: &'static Location<'static>,
    state: NodeState,
    age: Option<Duration>,
    left: Option<Duration>,
    reason: Option<CancelReason>,
    queued: usize,
    pub(super) depth: usize,
    /// The number of nodes below.
    pub(super) below: usize,
    /// The number of tasks among them, including queued ones.
    pub(super) tasks: usize,
}

impl Node {
    /// What the node is.
    pub fn kind(&self) -> NodeKind {
        self.kind
    }

    /// What the node is doing.
    pub fn state(&self) -> NodeState {
        self.state
    }

    /// The node's name. A deadline or a shield has the name of the task, child or group around it.
    pub fn name(&self) -> &str {
        self.info.name()
    }

    /// The node's id. A deadline or a shield has the id of the task, child or group around it.
    pub fn id(&self) -> TaskId {
        self.info.id()
    }

    /// The names from the root down to the node.
    pub fn path(&self) -> TaskPath<'_> {
        self.info.path()
    }

    /// The name, the id and the path in one value.
    pub fn info(&self) -> &TaskInfo {
        &self.info
    }

    /// Where the node was spawned or opened.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// The time since a task first waited for something, or since a group or a child was opened.
    ///
    /// It may be late by the time of a few dozen polls; an exact one would cost every task more.
    pub fn age(&self) -> Option<Duration> {
        self.age
    }

    /// The time until a deadline passes.
    pub fn remaining(&self) -> Option<Duration> {
        self.left
    }

    /// Why the node is cancelled, if it is.
    pub fn reason(&self) -> Option<&CancelReason> {
        self.reason.as_ref()
    }

    /// The number of children of a group that have been spawned and have not yet reached their
    /// first wait. They are no nodes of their own yet.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// The number of nodes above this one.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The number of tasks below this node, including queued ones. A [child](NodeKind::Child) is no
    /// task.
    pub fn tasks(&self) -> usize {
        self.tasks
    }
}

/// The scope tree at one moment: what is alive, where it came from, what it is doing and why.
///
/// Its `Display` is for reading. It shows the ten children of a wide group that matter most, and
/// counts the others. The alternate form (`{:#}`) shows every node. Both print one line for each
/// node that they show, however deep the tree is.
///
/// ```
/// use taskgroup::observe::NodeState;
/// use taskgroup::TaskGroup;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::builder()
///     .name("crawl")
///     .run(async |group| {
///         group.task("page 1").spawn(std::future::pending::<()>());
///         group.task("page 2").spawn(std::future::pending::<()>());
///         tokio::task::yield_now().await; // they start
///
///         let tree = group.tree();
///         assert_eq!(tree.nodes().len(), 3);
///         assert_eq!(tree.nodes()[1].name(), "page 1");
///         assert_eq!(tree.nodes()[1].state(), NodeState::Suspended);
///         println!("{tree}");
///         group.cancel();
///         Ok(())
///     })
///     .await
///     .unwrap();
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Tree {
    pub(super) nodes: Vec<Node>,
}

impl Tree {
    /// The nodes in preorder: each node stands before those below it, children in spawn order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The number of tasks that were alive, including those that had not started.
    pub fn tasks(&self) -> usize {
        let root = self.nodes.first();
        root.map_or(0, |root| {
            root.tasks + usize::from(root.kind == NodeKind::Task)
        })
    }

    pub(crate) fn of(root: &Arc<Scope>) -> Self {
        // Where nothing above has a name, the path begins here.
        let named = |scope: &&Arc<Scope>| {
            let mut above = crate::scope::tree::ancestors(scope);
            above.any(|scope| matches!(scope.kind, Kind::Run | Kind::Group(_) | Kind::Task(_)))
        };
        let above = root.parent().filter(named).map(who::info);
        Self {
            nodes: walk::nodes_below(root, above),
        }
    }

    /// Takes the tree of the [`run`](crate::run) around the caller. Outside any run this is the
    /// tree of the whole process.
    ///
    /// ```
    /// # use taskgroup::observe::Tree;
    /// let tree = taskgroup::run(async || Tree::of_run()).unwrap();
    /// assert_eq!(tree.nodes()[0].name(), "main");
    /// ```
    #[must_use]
    pub fn of_run() -> Self {
        let here = ambient::nearest();
        let run = crate::scope::tree::ancestors(&here)
            .find(|scope| matches!(scope.kind, Kind::Run))
            .cloned();
        Self::of(run.as_ref().unwrap_or_else(|| Scope::root()))
    }
}

/// Takes the live tree of the whole process.
///
/// Nothing has to be turned on for it, and a program that does not call it does not pay for it.
/// [`TaskGroup::tree`](crate::TaskGroup::tree) takes the tree of one group, and [`Tree::of_run`]
/// the tree of one run. [`Runner::tree_on_signal`](crate::Runner::tree_on_signal) prints the tree
/// when the process gets a signal.
///
/// It takes time linear in the number of live tasks. It locks one group at a time, while it copies
/// the group's list of children, so a task may end between the look at it and the next look.
///
/// ```
/// println!("{}", taskgroup::observe::tree());
/// ```
///
/// The idea comes from Trio's `trio.lowlevel.current_root_task()` and asyncio's
/// `python -m asyncio pstree`.
#[must_use]
#[doc(alias = "pstree")]
#[doc(alias = "all_tasks")]
pub fn tree() -> Tree {
    Tree::of(Scope::root())
}

/// Counts the live tasks of this process, including those that have not started.
///
/// It takes time linear in the number of live tasks.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # use taskgroup::observe::live_tasks;
/// # use taskgroup::TaskGroup;
/// TaskGroup::run(async |group| {
///     group.spawn(async {});
///     assert_eq!(live_tasks(), 1);
///     Ok(())
/// })
/// .await
/// .unwrap();
/// assert_eq!(live_tasks(), 0);
/// # }
/// ```
#[must_use]
pub fn live_tasks() -> usize {
    let mut count = 0;
    let mut stack = vec![Scope::root().clone()];
    while let Some(scope) = stack.pop() {
        let (tasks, scopes) = scope.children();
        count += scope.below().saturating_sub(scopes.len()).max(tasks.len());
        stack.extend(scopes);
        stack.extend(
            tasks
                .iter()
                .filter_map(|task| task.header().scope().map(|inside| inside.clone())),
        );
    }
    count
}

/// The name, id, path and spawn location of the task that runs the calling code. `None` outside any
/// task of a group.
///
/// The body of a group is no task of its own. It belongs to the task that runs the group; in
/// [`run`](crate::run) that task is `main`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use taskgroup::observe::current_task;
/// use taskgroup::TaskGroup;
///
/// TaskGroup::builder()
///     .name("shop")
///     .run(async |group| {
///         group.task("orders").spawn(async {
///             let me = current_task().unwrap();
///             assert_eq!(me.path(), "shop/orders");
///         });
///         // The body belongs to main, which is Tokio's here.
///         assert!(current_task().is_none());
///         Ok(())
///     })
///     .await
///     .unwrap();
/// # }
/// ```
///
/// # Code inside a `block_on`
///
/// Code that a task runs in a `Handle::block_on` (inside
/// [`block_in_place`](tokio::task::block_in_place)) is code of that task: it sees the task here,
/// its [`Local`](crate::Local)s and its cancellation. What it spawns on another runtime is not.
///
/// In a cancelled task every await of this crate suspends, and the task is dropped there. In a
/// `block_on` such an await unwinds instead, as a panic does but without a message: the code of the
/// task is dropped from there outwards, and the task ends as cancelled. An await of another crate
/// cannot unwind: a `block_on` waits for it, cancelled or not. Nor does anything unwind while a
/// shield in another branch of the task, or a section that was put aside, holds the task, or in a
/// program built with `panic = "abort"`: there such a `block_on` may wait for ever.
///
/// Code that holds a [`Cancelled`](crate::Cancelled) or runs in a [`shield`](crate::shield) goes on
/// in a `block_on` as it does elsewhere. Code that has to block belongs in
/// [`spawn_blocking`](crate::TaskGroup::spawn_blocking), where such awaits return, or in a task of
/// the other runtime, which the `block_on` then awaits:
///
/// ```
/// # let other = tokio::runtime::Builder::new_current_thread().build()?;
/// let report = other.block_on(other.spawn(async { "sent" }))?;
/// # assert_eq!(report, "sent");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The idea is asyncio's `current_task()`.
#[must_use]
pub fn current_task() -> Option<TaskInfo> {
    if let Some(task) = ambient::task() {
        return Some(task.header().info());
    }
    let here = ambient::nearest();
    let run = crate::scope::tree::ancestors(&here).find(|scope| matches!(scope.kind, Kind::Run));
    run.map(who::info)
}
