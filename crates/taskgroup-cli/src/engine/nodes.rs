//! Who waits for whom: each task and each group of the plan ends once, well or not.

use std::sync::OnceLock;

use crate::flag::Flag;
use crate::plan::{Node, Plan};

pub(super) struct Nodes {
    tasks: Vec<End>,
    groups: Vec<End>,
}

struct End {
    ended: Flag,
    well: OnceLock<bool>,
}

impl Nodes {
    pub(super) fn of(plan: &Plan) -> Nodes {
        let ends = |count| {
            let end = || End {
                ended: Flag::new(),
                well: OnceLock::new(),
            };
            std::iter::repeat_with(end).take(count).collect()
        };
        Nodes {
            tasks: ends(plan.tasks.len()),
            groups: ends(plan.groups.len()),
        }
    }

    /// The first time counts. What came from `map`'s input has no node.
    pub(super) fn settle(&self, node: Node, well: bool) {
        if let Some(end) = self.end(node) {
            let _ = end.well.set(well);
            end.ended.set();
        }
    }

    /// Resolves when all have ended; with one that did not end well. Cancel safe.
    pub(super) async fn wait(&self, nodes: &[Node]) -> Result<(), Node> {
        for &node in nodes {
            let Some(end) = self.end(node) else { continue };
            end.ended.wait().await;
            if end.well.get() != Some(&true) {
                return Err(node);
            }
        }
        Ok(())
    }

    fn end(&self, node: Node) -> Option<&End> {
        match node {
            Node::Task(id) => self.tasks.get(id),
            Node::Group(id) => self.groups.get(id),
        }
    }
}
