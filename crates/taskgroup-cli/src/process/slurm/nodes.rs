//! What the nodes of a job have, and what of it commands have taken.
//!
//! The run decides by itself on which node a command starts, and starts no more of them than there
//! is room for. `srun` would try again and again, in growing pauses.

use std::collections::BTreeSet;

use crate::needs::Needs;

/// A node of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    /// What the job has there.
    pub(super) has: Amounts,
    /// Slurm gives out whole cores, and each has this many processors.
    pub(super) threads: u32,
    pub(super) features: BTreeSet<String>,
    /// What commands have taken.
    pub(super) taken: Amounts,
    /// It does not answer.
    pub(super) is_lost: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    pub(super) cpus: u32,
    /// In bytes. None: Slurm does not watch over it there.
    pub(super) memory: Option<u64>,
    pub(super) gpus: u32,
}

/// What there is no room for in the whole job, in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuch(pub(super) String);

impl Node {
    /// What a command takes there.
    fn amounts(&self, needs: &Needs) -> Amounts {
        Amounts {
            cpus: needs.cpus.get().next_multiple_of(self.threads.max(1)),
            memory: needs.memory,
            gpus: needs.gpus,
        }
    }

    /// Whether a command fits when so much is taken.
    fn fits(&self, needs: &Needs, taken: Amounts) -> bool {
        let wanted = self.amounts(needs);
        let memory = match (self.has.memory, wanted.memory) {
            (Some(has), Some(wanted)) => taken.memory.unwrap_or(0).saturating_add(wanted) <= has,
            _ => true,
        };
        memory
            && taken.cpus + wanted.cpus <= self.has.cpus
            && taken.gpus + wanted.gpus <= self.has.gpus
    }

    fn is_right(&self, needs: &Needs) -> bool {
        !self.is_lost
            && needs
                .constraint
                .as_deref()
                .is_none_or(|text| self.satisfies(text))
    }

    /// Features joined by `&`, and alternatives by `|`.
    fn satisfies(&self, constraint: &str) -> bool {
        constraint.split('|').any(|all| {
            let mut features = all.split('&').map(str::trim);
            features.all(|feature| self.features.contains(feature))
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct Nodes(pub(super) Vec<Node>);

impl Nodes {
    /// Takes what a command needs, on as many nodes as it needs, the emptiest ones first. None if
    /// there is no room now.
    pub(super) fn take(&mut self, needs: &Needs) -> Result<Option<Vec<String>>, TooMuch> {
        let wanted = needs.nodes.get() as usize;
        let free = |node: &Node| node.has.cpus.saturating_sub(node.taken.cpus);
        let mut found: Vec<&mut Node> = self.0.iter_mut().collect();
        found.retain(|node| node.is_right(needs) && node.fits(needs, node.taken));
        if found.len() < wanted {
            return self.could_fit(needs).map(|()| None);
        }
        // The sort is stable: of equally empty nodes the first one.
        found.sort_by_key(|node| std::cmp::Reverse(free(node)));
        let taken = found.into_iter().take(wanted).map(|node| {
            let amounts = node.amounts(needs);
            node.taken.cpus += amounts.cpus;
            node.taken.gpus += amounts.gpus;
            if let Some(memory) = amounts.memory {
                *node.taken.memory.get_or_insert(0) += memory;
            }
            node.name.clone()
        });
        Ok(Some(taken.collect()))
    }

    pub(super) fn give_back(&mut self, names: &[String], needs: &Needs) {
        for node in self.0.iter_mut().filter(|node| names.contains(&node.name)) {
            let amounts = node.amounts(needs);
            node.taken.cpus -= amounts.cpus;
            node.taken.gpus -= amounts.gpus;
            if let (Some(taken), Some(memory)) = (&mut node.taken.memory, amounts.memory) {
                *taken -= memory;
            }
        }
    }

    /// Nothing more is started there.
    pub(super) fn lose(&mut self, name: &str) {
        for node in self.0.iter_mut().filter(|node| node.name == name) {
            node.is_lost = true;
        }
    }

    /// The first node that answers.
    pub(super) fn any(&self) -> Option<&Node> {
        self.0.iter().find(|node| !node.is_lost)
    }

    /// Whether there would be room if nothing else ran.
    fn could_fit(&self, needs: &Needs) -> Result<(), TooMuch> {
        let wanted = needs.nodes.get() as usize;
        let left: Vec<&Node> = self.0.iter().filter(|node| !node.is_lost).collect();
        if left.is_empty() {
            return Err(TooMuch("no node of the job answers any longer".to_owned()));
        }
        let right: Vec<&&Node> = left.iter().filter(|node| node.is_right(needs)).collect();
        let fitting = right
            .iter()
            .filter(|node| node.fits(needs, Amounts::default()));
        if fitting.count() >= wanted {
            return Ok(());
        }
        if right.len() < wanted {
            let constraint = needs.constraint.as_deref();
            let with = constraint.map_or(String::new(), |text| format!(" with `{text}`"));
            let (has, nodes) = (right.len(), plural(left.len(), "node"));
            return Err(TooMuch(format!(
                "it needs {}{with}, and the job has {has} of them among its {nodes}",
                plural(wanted, "node")
            )));
        }
        let most = |of: fn(&Node) -> u64| right.iter().map(|node| of(node)).max().unwrap_or(0);
        let cpus = most(|node| u64::from(node.has.cpus));
        let gpus = most(|node| u64::from(node.has.gpus));
        let memory = most(|node| node.has.memory.unwrap_or(u64::MAX));
        let what = if u64::from(needs.cpus.get()) > cpus {
            (
                plural(needs.cpus.get() as usize, "processor"),
                cpus.to_string(),
            )
        } else if u64::from(needs.gpus) > gpus {
            (plural(needs.gpus as usize, "GPU"), gpus.to_string())
        } else if let Some(wanted) = needs.memory.filter(|&wanted| wanted > memory) {
            (
                format!("{} MiB", wanted >> 20),
                format!("{} MiB", memory >> 20),
            )
        } else {
            (
                "that many processors, GPUs and MiB together".to_owned(),
                "less".to_owned(),
            )
        };
        Err(TooMuch(format!(
            "it needs {} on a node, and the job has at most {} on one",
            what.0, what.1
        )))
    }
}

fn plural(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn node(name: &str, cpus: u32) -> Node {
        Node {
            name: name.to_owned(),
            has: Amounts {
                cpus,
                memory: Some(8 << 30),
                gpus: 1,
            },
            threads: 1,
            features: BTreeSet::from(["fast".to_owned()]),
            taken: Amounts::default(),
            is_lost: false,
        }
    }

    fn cpus(cpus: u32) -> Needs {
        Needs {
            cpus: NonZeroU32::new(cpus).unwrap(),
            ..Needs::default()
        }
    }

    #[test]
    fn commands_spread_over_the_nodes_until_there_is_no_room() {
        let mut nodes = Nodes(vec![node("n1", 4), node("n2", 4)]);
        let mut take = |count| {
            nodes
                .take(&cpus(count))
                .unwrap()
                .map(|names| names.concat())
        };
        assert_eq!(take(3).as_deref(), Some("n1"));
        assert_eq!(take(3).as_deref(), Some("n2"));
        assert_eq!(take(2), None);
        assert_eq!(take(1).as_deref(), Some("n1"));
        nodes.give_back(&["n2".to_owned()], &cpus(3));
        assert_eq!(nodes.take(&cpus(4)).unwrap().unwrap(), ["n2"]);
    }

    #[test]
    fn a_command_may_take_memory_gpus_and_several_nodes() {
        let mut nodes = Nodes(vec![node("n1", 4), node("n2", 4)]);
        let large = Needs {
            memory: Some(5 << 30),
            gpus: 1,
            nodes: NonZeroU32::new(2).unwrap(),
            ..Needs::default()
        };
        assert_eq!(nodes.take(&large).unwrap().unwrap(), ["n1", "n2"]);
        let with_gpu = Needs {
            gpus: 1,
            ..Needs::default()
        };
        assert_eq!(nodes.take(&with_gpu).unwrap(), None);
        nodes.give_back(&["n1".to_owned(), "n2".to_owned()], &large);
        assert!(nodes.take(&with_gpu).unwrap().is_some());
    }

    #[test]
    fn a_core_is_taken_whole() {
        let mut nodes = Nodes(vec![Node {
            threads: 2,
            ..node("n1", 4)
        }]);
        assert!(nodes.take(&cpus(1)).unwrap().is_some());
        assert!(nodes.take(&cpus(1)).unwrap().is_some());
        assert_eq!(nodes.take(&cpus(1)).unwrap(), None);
    }

    #[test]
    fn what_can_never_fit_is_an_error_with_both_numbers() {
        let mut nodes = Nodes(vec![node("n1", 4), node("n2", 2)]);
        let TooMuch(text) = nodes.take(&cpus(5)).unwrap_err();
        assert_eq!(
            text,
            "it needs 5 processors on a node, and the job has at most 4 on one"
        );
        let slow = Needs {
            constraint: Some("slow|old".to_owned()),
            ..Needs::default()
        };
        let TooMuch(text) = nodes.take(&slow).unwrap_err();
        let wanted = "it needs 1 node with `slow|old`, and the job has 0 of them among its 2 nodes";
        assert_eq!(text, wanted);
        nodes.lose("n1");
        assert_eq!(nodes.take(&cpus(2)).unwrap().unwrap(), ["n2"]);
        assert!(nodes.take(&cpus(3)).is_err());
        nodes.lose("n2");
        assert!(nodes.take(&cpus(1)).is_err());
    }
}
