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

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::stall;
use crate::cancel::CancelReason;
use crate::clock;
use crate::error::{TaskId, TaskInfo, TaskPath};
use crate::scope::polling::Polled;
use crate::scope::task::{SHIELDED, TaskRef};
use crate::scope::tree::{Kind, Scope};
use crate::scope::{current as ambient, group};

/// What a [`Node`] of the tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeKind {
    /// The process: above everything.
    Process,
    /// A run of a program: [`run`](crate::run) or [`Runner`](crate::Runner).
    Run,
    /// A task group.
    Group,
    /// A task.
    Task,
    /// A deadline: [`timeout`](crate::timeout) and its kin. One that nothing below has asked for is only an instant, and no node.
    Deadline,
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
            Self::Deadline => "deadline",
            Self::Shield => "shield",
        }
    }
}

/// What a [`Node`] of the tree is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NodeState {
    /// Keeps its worker for too long; only known while [`report_blocking`](crate::observe::report_blocking) is on.
    Blocked,
    /// Cancelled, and cleaning up: it holds a [`Cancelled`](crate::Cancelled), or is a cleanup.
    CleaningUp,
    /// Inside a [`shield`](crate::shield): cancellations wait.
    Shielded,
    /// Cancelled, and not ended yet.
    Cancelling,
    /// Being polled or about to be. Of a group, a deadline, a run: open.
    Running,
    /// Waits for something.
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

impl std::fmt::Display for NodeState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// One task, group, deadline or shield that was alive when a [`Tree`] was taken.
#[derive(Clone, Debug)]
pub struct Node {
    kind: NodeKind,
    info: TaskInfo,
    location: &'static std::panic::Location<'static>,
    state: NodeState,
    age: Option<Duration>,
    left: Option<Duration>,
    reason: Option<CancelReason>,
    queued: usize,
    pub(super) depth: usize,
    /// How many nodes are below.
    pub(super) below: usize,
    /// How many of them are tasks, the queued ones included.
    pub(super) tasks: usize,
}

impl Node {
    /// What it is.
    pub fn kind(&self) -> NodeKind {
        self.kind
    }

    /// What it is doing.
    pub fn state(&self) -> NodeState {
        self.state
    }

    /// Its name. That of a deadline or a shield is the name of the task or group around it.
    pub fn name(&self) -> &str {
        self.info.name()
    }

    /// Its number. That of a deadline or a shield is the number of the task or group around it.
    pub fn id(&self) -> TaskId {
        self.info.id()
    }

    /// The names from the root down to it.
    pub fn path(&self) -> TaskPath<'_> {
        self.info.path()
    }

    /// Name, id and path in one.
    pub fn info(&self) -> &TaskInfo {
        &self.info
    }

    /// Where it was spawned or opened.
    pub fn location(&self) -> &'static std::panic::Location<'static> {
        self.location
    }

    /// How long ago a task first waited for something, or a group was opened: to a few dozen polls exact, so that keeping it costs
    /// nothing.
    pub fn age(&self) -> Option<Duration> {
        self.age
    }

    /// How much time a deadline leaves.
    pub fn remaining(&self) -> Option<Duration> {
        self.left
    }

    /// Why it is cancelled, if it is.
    pub fn reason(&self) -> Option<&CancelReason> {
        self.reason.as_ref()
    }

    /// How many children of a group have been spawned and not been polled to their first wait: they are no nodes of their own yet.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// How many nodes are above it.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// How many tasks are below it, the queued ones included.
    pub fn tasks(&self) -> usize {
        self.tasks
    }
}

/// The scope tree as it was when it was taken: what is alive, where it came from, what it is doing and why.
///
/// Its `Display` is for reading: of a wide group it shows the ten children that matter most, and counts the others. The alternate form
/// (`{:#}`) shows every node. Both have a line for each node that they show, whatever the depth.
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
    /// The nodes, each before those below it, in the order of spawning.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// How many tasks were alive, those included that had not started.
    pub fn tasks(&self) -> usize {
        let root = self.nodes.first();
        root.map_or(0, |root| {
            root.tasks + usize::from(root.kind == NodeKind::Task)
        })
    }

    pub(crate) fn of(root: &Arc<Scope>) -> Self {
        let mut walk = Walk::new();
        // Where nothing above has a name, the path begins here.
        let named = |scope: &&Arc<Scope>| {
            let mut above = crate::scope::tree::ancestors(scope);
            above.any(|scope| matches!(scope.kind, Kind::Run | Kind::Group(_) | Kind::Task(_)))
        };
        let above = root.parent().filter(named).map(group::info);
        walk.stack.push((Item::Scope(root.clone()), 0, above));
        walk.run();
        walk.finish()
    }

    /// The tree of the [`run`](crate::run) that the caller is in; that of the whole process outside any run.
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
/// It is always there: nothing has to be turned on, and nothing is paid for it before it is asked for. [`TaskGroup::tree`](crate::TaskGroup::tree)
/// gives that of one group, [`Tree::of_run`] that of one run, and [`Runner::tree_on_signal`](crate::Runner::tree_on_signal) prints it
/// when the program is asked from outside.
///
/// Linear in the number of live tasks; locks one group at a time, for as long as its list of children is copied.
///
/// ```
/// println!("{}", taskgroup::observe::tree());
/// ```
///
/// After Trio's `trio.lowlevel.current_root_task()` and the task tree of asyncio's `python -m asyncio pstree`.
#[must_use]
#[doc(alias = "pstree")]
#[doc(alias = "all_tasks")]
pub fn tree() -> Tree {
    Tree::of(Scope::root())
}

/// How many tasks are alive in this process, those included that have not started. Linear in the number of tasks.
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

/// Who is asking: name, id, path and spawn location of the task one is in. `None` outside any task of a group.
///
/// The body of a group is no task of its own; it is part of the task that runs the group. In [`run`](crate::run) that is `main`.
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
///         assert!(current_task().is_none()); // the body belongs to main, which is Tokio's here
///         Ok(())
///     })
///     .await
///     .unwrap();
/// # }
/// ```
///
/// Code that a task runs in a `Handle::block_on` (inside
/// [`block_in_place`](tokio::task::block_in_place)) is code of that task: it sees the task here,
/// its [`Local`](crate::Local)s and its cancellation. What it spawns on another runtime is not.
///
/// In a cancelled task every await of this crate suspends, and the task is dropped there. In a
/// `block_on` the await unwinds instead, as a panic does but without a message: the code of the
/// task is dropped from there outwards, and the task ends as cancelled. An await of another crate
/// cannot unwind: a `block_on` waits for it, cancelled or not. Where the program is built with
/// `panic = "abort"`, or the thread unwinds already, such a `block_on` waits for ever.
///
/// Code that holds a [`Cancelled`](crate::Cancelled) or stands in a [`shield`](crate::shield) goes
/// on in a `block_on` as it does elsewhere. Code that has to block belongs into
/// [`spawn_blocking`](crate::TaskGroup::spawn_blocking), where such awaits come back, or into a
/// task of the other runtime, for which the `block_on` then waits:
///
/// ```
/// # let other = tokio::runtime::Builder::new_current_thread().build()?;
/// let report = other.block_on(other.spawn(async { "sent" }))?;
/// # assert_eq!(report, "sent");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// asyncio's `current_task()`.
#[must_use]
pub fn current_task() -> Option<TaskInfo> {
    if let Some(task) = ambient::task() {
        return Some(task.header().info());
    }
    let here = ambient::nearest();
    let run = crate::scope::tree::ancestors(&here).find(|scope| matches!(scope.kind, Kind::Run));
    run.map(group::info)
}

enum Item {
    Scope(Arc<Scope>),
    Task(TaskRef),
}

/// A walk in the making.
struct Walk {
    nodes: Vec<Node>,
    /// What is still to be looked at, with its depth and who is above.
    stack: Vec<(Item, usize, Option<TaskInfo>)>,
    /// The index of the node above, for each depth on the way to the current one.
    way: Vec<usize>,
    blocked: HashSet<*const ()>,
    /// Blocked in their first poll, so not in their owner's list; by owner.
    hidden: HashMap<*const Scope, Vec<TaskRef>>,
}

impl Walk {
    fn new() -> Self {
        let mut blocked = HashSet::new();
        let mut hidden: HashMap<_, Vec<_>> = HashMap::new();
        for polled in stall::blocked_now() {
            match polled {
                Polled::Scope(scope) => {
                    blocked.insert(Arc::as_ptr(&scope).cast());
                    if let Some(task) = crate::scope::tree::task_around(&scope) {
                        blocked.insert(std::ptr::from_ref(task.header()).cast());
                    }
                }
                Polled::Task(task) => {
                    blocked.insert(std::ptr::from_ref(task.header()).cast());
                    if !task.header().is_linked() {
                        let owner = Arc::as_ptr(&task.header().owner);
                        hidden.entry(owner).or_default().push(task);
                    }
                }
            }
        }
        Self {
            nodes: Vec::new(),
            stack: Vec::new(),
            way: Vec::new(),
            blocked,
            hidden,
        }
    }

    fn run(&mut self) {
        while let Some((item, depth, above)) = self.stack.pop() {
            match item {
                Item::Scope(scope) => self.scope(&scope, depth, above),
                Item::Task(task) => self.task(&task, depth, above.as_ref()),
            }
        }
    }

    fn push(&mut self, node: Node) {
        self.way.truncate(node.depth);
        self.way.push(self.nodes.len());
        self.nodes.push(node);
    }

    fn scope(&mut self, scope: &Arc<Scope>, depth: usize, above: Option<TaskInfo>) {
        let kind = match &scope.kind {
            Kind::Root => NodeKind::Process,
            Kind::Run => NodeKind::Run,
            Kind::Group(_) => NodeKind::Group,
            Kind::Deadline(_) => NodeKind::Deadline,
            Kind::Shield => NodeKind::Shield,
            // Nobody's business: what is below stands where it stands.
            _ => return self.below(scope, depth, above.as_ref()),
        };
        let own = group::info_below(scope, above.as_ref());
        let info = own.or(above).unwrap_or_else(|| group::info(Scope::root()));
        let cancelled = scope.is_cancelled();
        let blocked = self.blocked.contains(&Arc::as_ptr(scope).cast());
        let state = match kind {
            _ if blocked => NodeState::Blocked,
            NodeKind::Shield => NodeState::Shielded,
            _ if cancelled && (scope.is_masked() || scope.is_draining()) => NodeState::CleaningUp,
            _ if cancelled => NodeState::Cancelling,
            _ if scope.is_draining() => NodeState::Ending,
            _ => NodeState::Running,
        };
        let left = match &scope.kind {
            Kind::Deadline(deadline) => deadline
                .lock()
                .at
                .map(|at| at.saturating_duration_since(tokio::time::Instant::now())),
            _ => None,
        };
        self.push(Node {
            kind,
            location: scope.location,
            state,
            age: scope.group().map(|group| clock::age(group.since)),
            left,
            reason: scope.reason().filter(|_| cancelled),
            queued: 0,
            depth,
            below: 0,
            tasks: 0,
            info: info.clone(),
        });
        if kind == NodeKind::Shield {
            self.shielded();
        }
        let node = self.nodes.len() - 1;
        // The process is in nobody's path.
        let above = (kind != NodeKind::Process).then_some(&info);
        self.nodes[node].queued = self.children(scope, depth + 1, above);
    }

    /// The task around a shield is shielded.
    fn shielded(&mut self) {
        for &above in self.way.iter().rev().skip(1) {
            let node = &mut self.nodes[above];
            if node.kind == NodeKind::Task {
                if node.state > NodeState::Shielded {
                    node.state = NodeState::Shielded;
                }
                return;
            }
            if matches!(
                node.kind,
                NodeKind::Run | NodeKind::Process | NodeKind::Shield
            ) {
                return;
            }
        }
    }

    fn task(&mut self, task: &TaskRef, depth: usize, above: Option<&TaskInfo>) {
        let header = task.header();
        if header.is_done() {
            return;
        }
        let info = match above {
            Some(above) => group::task_info_below(header, above),
            None => header.info(),
        };
        let inside = header.scope();
        let draining = inside.as_ref().is_some_and(|inside| inside.is_draining());
        let masked = inside.as_ref().is_some_and(|inside| inside.is_masked());
        let cancelled = header.is_cancelled();
        let blocked = std::ptr::from_ref(header).cast();
        let state = if self.blocked.contains(&blocked) {
            NodeState::Blocked
        } else if header.has(SHIELDED) || (cancelled && (masked || draining)) {
            NodeState::CleaningUp
        } else if cancelled {
            NodeState::Cancelling
        } else if draining {
            NodeState::Ending
        } else if header.is_active() {
            NodeState::Running
        } else {
            NodeState::Suspended
        };
        let since = header.mark.since();
        self.push(Node {
            kind: NodeKind::Task,
            location: header.mark.location(),
            state,
            age: (since != 0).then(|| clock::age(since)),
            left: None,
            reason: cancelled.then(|| header.reason()),
            queued: 0,
            depth,
            below: 0,
            tasks: 0,
            info: info.clone(),
        });
        if let Some(inside) = inside {
            let node = self.nodes.len() - 1;
            self.nodes[node].queued = self.children(&inside, depth + 1, Some(&info));
        }
    }

    /// What stands below a scope that is no node itself.
    fn below(&mut self, scope: &Arc<Scope>, depth: usize, above: Option<&TaskInfo>) {
        let queued = self.children(scope, depth, above);
        if let Some(&node) = depth.checked_sub(1).and_then(|above| self.way.get(above)) {
            self.nodes[node].queued += queued;
        }
    }

    /// Puts what is below `scope` on the stack; returns how many tasks are spawned there and not linked yet.
    fn children(&mut self, scope: &Arc<Scope>, depth: usize, above: Option<&TaskInfo>) -> usize {
        let (mut tasks, scopes) = scope.children();
        let linked = tasks.len() + scopes.len();
        let hidden = self.hidden.remove(&Arc::as_ptr(scope)).unwrap_or_default();
        let queued = scope.below().saturating_sub(linked + hidden.len());
        tasks.extend(hidden);
        tasks.sort_by_key(|task| task.header().index);
        let scopes = scopes.into_iter().map(Item::Scope);
        let tasks = tasks.into_iter().map(Item::Task);
        let first = self.stack.len();
        for item in tasks.chain(scopes) {
            self.stack.push((item, depth, above.cloned()));
        }
        self.stack[first..].reverse();
        queued
    }

    /// Counts from the leaves up: OB3 puts everything below a node behind it.
    fn finish(mut self) -> Tree {
        // For each depth, what the nodes behind the current one add to the node above them.
        let mut sums: Vec<(usize, usize)> = Vec::new();
        for node in self.nodes.iter_mut().rev() {
            let (below, tasks) = match sums.get_mut(node.depth + 1) {
                Some(sum) => std::mem::take(sum),
                None => (0, 0),
            };
            node.below = below;
            node.tasks = tasks + node.queued;
            if sums.len() <= node.depth {
                sums.resize(node.depth + 1, (0, 0));
            }
            sums[node.depth].0 += 1 + node.below;
            sums[node.depth].1 += node.tasks + usize::from(node.kind == NodeKind::Task);
        }
        Tree { nodes: self.nodes }
    }
}
