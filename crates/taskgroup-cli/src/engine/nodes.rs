//! Dependencies: each task and each group of the plan ends once, as a success or not.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::flag::Flag;
use crate::plan::{Node, Plan};
use crate::verdict::Verdict;

/// The nodes that others wait for, and those that keep a service running. The end of other nodes is
/// not tracked.
pub(super) struct Nodes(HashMap<Node, End>);

#[derive(Default)]
struct End {
    /// The verdict is known. The verdict of a service is known as soon as the service is ready.
    settled: Flag,
    verdict: OnceLock<Verdict>,
    /// Nothing is left of it.
    over: Flag,
    /// What comes after it.
    waiters: Vec<Node>,
}

impl Nodes {
    pub(super) fn of(plan: &Plan) -> Nodes {
        let mut nodes: HashMap<Node, End> = HashMap::new();
        let tasks = plan.tasks.iter().enumerate();
        let tasks = tasks.map(|(id, task)| (Node::Task(id), &task.after));
        let groups = plan.groups.iter().enumerate();
        let groups = groups.map(|(id, group)| (Node::Group(id), &group.after));
        let serves = plan.tasks.iter().any(|task| task.service.is_some());
        for (node, after) in tasks.chain(groups) {
            if serves {
                nodes.entry(node).or_default();
            }
            for &before in after {
                nodes.entry(before).or_default().waiters.push(node);
            }
        }
        Nodes(nodes)
    }

    /// What comes after the node.
    pub(super) fn waiters(&self, node: Node) -> &[Node] {
        self.0.get(&node).map_or(&[], |end| &end.waiters)
    }

    /// Only the first call counts.
    pub(super) fn settle(&self, node: Node, verdict: Verdict) {
        if let Some(end) = self.0.get(&node) {
            let _ = end.verdict.set(verdict);
            end.settled.set();
        }
    }

    pub(super) fn is_settled(&self, node: Node) -> bool {
        self.0.get(&node).is_some_and(|end| end.settled.is_set())
    }

    /// Nothing is left of the node, which has this verdict unless it had one before.
    pub(super) fn end(&self, node: Node, verdict: Verdict) {
        self.settle(node, verdict);
        if let Some(end) = self.0.get(&node) {
            end.over.set();
        }
    }

    /// Resolves when nothing is left of these. Cancel safe.
    pub(super) async fn over(&self, nodes: &[Node]) {
        for node in nodes {
            self.0[node].over.wait().await;
        }
    }

    /// Resolves when the verdicts of all are known. Cancel safe.
    pub(super) async fn settled(&self, nodes: &[Node]) {
        for node in nodes {
            self.0[node].settled.wait().await;
        }
    }

    /// Resolves when all have ended, with one that did not succeed, if any. Cancel safe.
    pub(super) async fn wait(&self, nodes: &[Node]) -> Result<(), Node> {
        for &node in nodes {
            let end = &self.0[&node];
            end.settled.wait().await;
            if end.verdict.get() != Some(&Verdict::Succeeded) {
                return Err(node);
            }
        }
        Ok(())
    }
}
