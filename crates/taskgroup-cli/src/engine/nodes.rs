//! Dependencies: each task and each group of the plan ends once, as a success or not.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::flag::Flag;
use crate::plan::{Node, Plan};
use crate::verdict::Verdict;

/// The nodes that others wait for. The end of other nodes is not tracked.
pub(super) struct Nodes(HashMap<Node, End>);

struct End {
    ended: Flag,
    verdict: OnceLock<Verdict>,
}

impl Nodes {
    pub(super) fn of(plan: &Plan) -> Nodes {
        let tasks = plan.tasks.iter().flat_map(|task| &task.after);
        let groups = plan.groups.iter().flat_map(|group| &group.after);
        let end = || End {
            ended: Flag::new(),
            verdict: OnceLock::new(),
        };
        Nodes(tasks.chain(groups).map(|&node| (node, end())).collect())
    }

    /// Only the first call counts.
    pub(super) fn settle(&self, node: Node, verdict: Verdict) {
        if let Some(end) = self.0.get(&node) {
            let _ = end.verdict.set(verdict);
            end.ended.set();
        }
    }

    /// Resolves when all have ended, with one that did not succeed, if any. Cancel safe.
    pub(super) async fn wait(&self, nodes: &[Node]) -> Result<(), Node> {
        for &node in nodes {
            let end = &self.0[&node];
            end.ended.wait().await;
            if end.verdict.get() != Some(&Verdict::Succeeded) {
                return Err(node);
            }
        }
        Ok(())
    }
}
