//! A part of a plan: what was named, and everything that this needs.

use std::collections::HashMap;

use super::{Node, Plan, ROOT};

/// A name that the plan does not have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    pub(crate) name: String,
    /// Names that may be meant.
    pub(crate) near: Vec<String>,
}

/// What is kept of a plan, by the old numbers.
struct Kept {
    tasks: Vec<bool>,
    groups: Vec<bool>,
}

impl Plan {
    /// Only the named tasks and groups, with what they wait for. A group around them keeps its
    /// settings and its cleanup. A name is a path from the root, like `test/unit`.
    pub(crate) fn select(self, names: &[String]) -> Result<Plan, Unknown> {
        let by_name = self.by_name();
        let mut open = Vec::new();
        for name in names {
            let path = name.strip_suffix('/').unwrap_or(name);
            match by_name.get(path) {
                Some(&node) => open.push(node),
                None => return Err(self.unknown(name)),
            }
        }
        drop(by_name);
        let kept = self.needed(open);
        Ok(self.keep(&kept))
    }

    /// All tasks and groups except the root, by their paths.
    pub(crate) fn by_name(&self) -> HashMap<&str, Node> {
        let tasks = self.tasks.iter().enumerate();
        let tasks = tasks.map(|(id, task)| (&*task.name, Node::Task(id)));
        let groups = self.groups.iter().enumerate().skip(1);
        let groups = groups.map(|(id, group)| (&*group.name, Node::Group(id)));
        tasks.chain(groups).collect()
    }

    /// The tasks and groups that are in each group.
    pub(crate) fn inside(&self) -> Vec<Vec<Node>> {
        let mut inside = vec![Vec::new(); self.groups.len()];
        for (id, task) in self.tasks.iter().enumerate() {
            inside[task.group].push(Node::Task(id));
        }
        for (id, group) in self.groups.iter().enumerate() {
            if let Some(parent) = group.parent {
                inside[parent].push(Node::Group(id));
            }
        }
        inside
    }

    /// The same name below another group first, then the nearest one.
    fn unknown(&self, name: &str) -> Unknown {
        let tasks = self.tasks.iter().map(|task| &*task.name);
        let groups = self.groups.iter().skip(1).map(|group| &*group.name);
        let end = format!("/{name}");
        let below = tasks.clone().chain(groups.clone());
        let mut near: Vec<String> = below
            .filter(|known| known.ends_with(&end))
            .take(3)
            .map(str::to_owned)
            .collect();
        if near.is_empty() {
            let nearest = super::file::nearest(name, tasks.chain(groups));
            near.extend(nearest.map(str::to_owned));
        }
        Unknown {
            name: name.to_owned(),
            near,
        }
    }

    /// Everything in a named group, everything that something waits for, and the groups around.
    fn needed(&self, mut open: Vec<Node>) -> Kept {
        let inside = self.inside();
        let mut kept = Kept {
            tasks: vec![false; self.tasks.len()],
            groups: vec![false; self.groups.len()],
        };
        kept.groups[ROOT] = true;
        // Groups that are needed whole, not only as a frame.
        let mut whole = vec![false; self.groups.len()];
        while let Some(node) = open.pop() {
            let mut around = match node {
                Node::Task(id) => {
                    if std::mem::replace(&mut kept.tasks[id], true) {
                        continue;
                    }
                    open.extend(&self.tasks[id].after);
                    Some(self.tasks[id].group)
                }
                Node::Group(id) => {
                    if std::mem::replace(&mut whole[id], true) {
                        continue;
                    }
                    open.extend(&inside[id]);
                    Some(id)
                }
            };
            while let Some(group) = around {
                if std::mem::replace(&mut kept.groups[group], true) {
                    break;
                }
                open.extend(&self.groups[group].after);
                around = self.groups[group].parent;
            }
        }
        kept
    }

    fn keep(mut self, kept: &Kept) -> Plan {
        let numbers = |kept: &[bool]| {
            let mut next = 0;
            let number = |&kept: &bool| {
                let number = next;
                next += usize::from(kept);
                number
            };
            kept.iter().map(number).collect::<Vec<usize>>()
        };
        let (tasks, groups) = (numbers(&kept.tasks), numbers(&kept.groups));
        let renumber = |nodes: &mut Vec<Node>| {
            for node in nodes {
                *node = match *node {
                    Node::Task(id) => Node::Task(tasks[id]),
                    Node::Group(id) => Node::Group(groups[id]),
                };
            }
        };
        let mut flags = kept.tasks.iter();
        self.tasks.retain(|_| flags.next() == Some(&true));
        let mut flags = kept.groups.iter();
        self.groups.retain(|_| flags.next() == Some(&true));
        for task in &mut self.tasks {
            task.group = groups[task.group];
            renumber(&mut task.after);
        }
        for group in &mut self.groups {
            group.parent = group.parent.map(|parent| groups[parent]);
            renumber(&mut group.after);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::{Overrides, file};

    const FILE: &str = r#"
tasks.prepare = "true"
tasks.lint = "true"
tasks.other = "true"
[groups.test]
after = ["prepare"]
tasks.unit = "true"
tasks.doc = { run = "true", after = ["unit"] }
groups.deep.tasks.e2e = { run = "true", after = ["lint"] }
"#;

    fn selected(names: &[&str]) -> Result<Vec<String>, Unknown> {
        let plan = file::parse(FILE, Duration::ZERO, &Overrides::default()).unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let plan = plan.select(&names)?;
        // Every number is right.
        for task in &plan.tasks {
            let group = &plan.groups[task.group].name;
            assert!(task.name.starts_with(group.as_str()), "{task:?}");
        }
        let mut names: Vec<String> = plan.tasks.into_iter().map(|task| task.name).collect();
        names.sort();
        Ok(names)
    }

    #[test]
    fn what_is_named_is_kept_with_what_it_needs() {
        assert_eq!(selected(&["lint"]).unwrap(), ["lint"]);
        assert_eq!(selected(&["test/unit"]).unwrap(), ["prepare", "test/unit"]);
        assert_eq!(
            selected(&["test/doc", "other"]).unwrap(),
            ["other", "prepare", "test/doc", "test/unit"]
        );
        let deep = ["lint", "prepare", "test/deep/e2e"];
        assert_eq!(selected(&["test/deep/"]).unwrap(), deep);
        assert_eq!(selected(&["test"]).unwrap().len(), 5);
    }

    #[test]
    fn an_unknown_name_is_told_with_what_may_be_meant() {
        let near = |name| selected(&[name]).unwrap_err().near;
        assert_eq!(near("unit"), ["test/unit"]);
        assert_eq!(near("lnt"), ["lint"]);
        assert_eq!(near("entirely-different"), [""; 0]);
    }
}
