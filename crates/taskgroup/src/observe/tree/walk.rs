//! The walk over the scopes that gathers the nodes of a tree.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Node, NodeKind, NodeState};
use crate::clock::{self, Stamp};
use crate::error::TaskInfo;
use crate::observe::stall;
use crate::scope::polling::Polled;
use crate::scope::task::{SHIELDED, TaskRef};
use crate::scope::tree::{self, Kind, Scope};
use crate::scope::who;

enum Item {
    Scope(Arc<Scope>),
    Task(TaskRef),
}

/// The nodes of `root` and of everything below it. `above` names what `root` is in.
pub(super) fn nodes_below(root: &Arc<Scope>, above: Option<TaskInfo>) -> Vec<Node> {
    let mut walk = Walk::new();
    walk.stack.push((Item::Scope(root.clone()), 0, above));
    walk.run();
    walk.finish()
}

/// A walk under way.
struct Walk {
    nodes: Vec<Node>,
    /// What is still to be visited, with its depth and the name of what is above.
    stack: Vec<(Item, usize, Option<TaskInfo>)>,
    /// For each depth on the way to the current node: the index of the node there.
    way: Vec<usize>,
    /// The scopes and tasks that block a worker, by their addresses.
    blocked: HashSet<*const ()>,
    /// By owner: tasks that block in their first poll, and so are not yet in their owner's list.
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
                    if let Some(child) = tree::inline_around(&scope) {
                        blocked.insert(Arc::as_ptr(child).cast());
                    }
                    if let Some(task) = tree::task_around(&scope) {
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
            Kind::Inline(_) => NodeKind::Child,
            Kind::Deadline(state) if state.lock().by_hand => NodeKind::CancelScope,
            Kind::Deadline(_) => NodeKind::Deadline,
            Kind::Shield => NodeKind::Shield,
            // No node. What is below it hangs from the node above.
            _ => return self.below(scope, depth, above.as_ref()),
        };
        let own = who::info_below(scope, above.as_ref());
        let info = own.or(above).unwrap_or_else(|| who::info(Scope::root()));
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
            age: opened(scope).map(clock::age),
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
        // The process is in no path.
        let above = (kind != NodeKind::Process).then_some(&info);
        self.nodes[node].queued = self.children(scope, depth + 1, above);
    }

    /// Marks the task or child around a shield as shielded.
    fn shielded(&mut self) {
        for &above in self.way.iter().rev().skip(1) {
            let node = &mut self.nodes[above];
            if matches!(node.kind, NodeKind::Task | NodeKind::Child) {
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
            Some(above) => who::task_info_below(header, above),
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
        let since = header.label.since();
        self.push(Node {
            kind: NodeKind::Task,
            location: header.label.location(),
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

    /// Visits what is below a scope that is no node itself.
    fn below(&mut self, scope: &Arc<Scope>, depth: usize, above: Option<&TaskInfo>) {
        let queued = self.children(scope, depth, above);
        if let Some(&node) = depth.checked_sub(1).and_then(|above| self.way.get(above)) {
            self.nodes[node].queued += queued;
        }
    }

    /// Pushes what is below `scope` on the stack. Returns the number of tasks that have been
    /// spawned there and are not linked yet.
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

    /// Counts from the leaves up: by OB3 everything below a node stands behind it.
    fn finish(mut self) -> Vec<Node> {
        // For each depth: what the nodes behind the current one add to the node above them.
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
        self.nodes
    }
}

/// When a group or a child was opened.
fn opened(scope: &Scope) -> Option<Stamp> {
    match &scope.kind {
        Kind::Group(group) => Some(group.since),
        Kind::Inline(inline) => Some(inline.since),
        _ => None,
    }
}
