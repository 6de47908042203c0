//! The tree of a plan, as `check` shows it.

use std::fmt::Write;

use humantime::format_duration;

use crate::plan::{GroupSpec, Node, OnFailure, Plan, Policy, ROOT, TaskSpec, Work};

pub(crate) fn tree(plan: &Plan) -> String {
    let mut text = format!("run{}\n", of_group(plan, &plan.groups[ROOT]));
    // Depth first, without recursion; children are pushed in reverse.
    let mut open: Vec<(String, Node, bool)> = children(plan, ROOT, "");
    while let Some((indent, node, last)) = open.pop() {
        let (branch, below) = if last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        let what = match node {
            Node::Task(id) => of_task(plan, &plan.tasks[id]),
            Node::Group(id) => {
                let group = &plan.groups[id];
                format!("{}/{}", short(&group.name), of_group(plan, group))
            }
        };
        let _ = writeln!(text, "{indent}{branch}{what}");
        if let Node::Group(id) = node {
            open.extend(children(plan, id, &format!("{indent}{below}")));
        }
    }
    text
}

fn children(plan: &Plan, id: usize, indent: &str) -> Vec<(String, Node, bool)> {
    let tasks = (0..plan.tasks.len()).filter(|&task| plan.tasks[task].group == id);
    let groups = (0..plan.groups.len()).filter(|&group| plan.groups[group].parent == Some(id));
    let nodes = tasks.map(Node::Task).chain(groups.map(Node::Group));
    let mut children: Vec<_> = nodes.map(|node| (indent.to_owned(), node, false)).collect();
    if let Some(last) = children.last_mut() {
        last.2 = true;
    }
    children.reverse();
    children
}

fn of_group(plan: &Plan, group: &GroupSpec) -> String {
    let mut words = Vec::new();
    if group.policy == Policy::Race {
        words.push("race".to_owned());
    }
    match group.on_failure {
        OnFailure::Cancel => {}
        OnFailure::Wait => words.push("on failure wait".to_owned()),
        OnFailure::Ignore => words.push("on failure ignore".to_owned()),
    }
    if let Some(jobs) = group.jobs {
        words.push(format!("{jobs} at a time"));
    }
    if let Some(deadline) = group.deadline {
        words.push(format!("deadline {}", format_duration(deadline)));
    }
    words.extend(after(plan, &group.after));
    words.extend(cleanup(&group.cleanup));
    bracketed(&words)
}

fn of_task(plan: &Plan, task: &TaskSpec) -> String {
    let mut words = Vec::new();
    words.extend(after(plan, &task.after));
    if let Some(timeout) = task.timeout {
        words.push(format!("timeout {}", format_duration(timeout)));
    }
    if task.retry.times > 0 {
        words.push(format!("retries {}", task.retry.times));
    }
    if let Some(cwd) = &task.work.cwd {
        words.push(format!("in {}", cwd.display()));
    }
    words.extend(cleanup(&task.work.cleanup));
    let command = task.work.command.shown().replace('\n', " ");
    format!("{}: {command}{}", short(&task.name), bracketed(&words))
}

fn after(plan: &Plan, after: &[Node]) -> Option<String> {
    let names: Vec<&str> = after
        .iter()
        .map(|node| match node {
            Node::Task(id) => &*plan.tasks[*id].name,
            Node::Group(id) => &plan.groups[*id].name,
        })
        .collect();
    (!names.is_empty()).then(|| format!("after {}", names.join(", ")))
}

fn cleanup(steps: &[Work]) -> Option<String> {
    match steps.len() {
        0 => None,
        1 => Some("1 step of cleanup".to_owned()),
        count => Some(format!("{count} steps of cleanup")),
    }
}

fn bracketed(words: &[String]) -> String {
    if words.is_empty() {
        String::new()
    } else {
        format!("  [{}]", words.join("; "))
    }
}

fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
