//! The tree of a plan, as `check` shows it.

use std::ffi::OsString;
use std::fmt::Write;

use humantime::format_duration;

use crate::output::one_line;
use crate::plan::{
    Command, GroupSpec, Needs, Node, OnFailure, Plan, Policy, ROOT, Shell, TaskSpec, Timeout,
    WhenOneEnds, Work, counted, size,
};

pub(crate) fn tree(plan: &Plan) -> String {
    let mut text = format!("run{}\n", of_group(plan, &plan.groups[ROOT]));
    // Depth first, without recursion; children are pushed in reverse.
    let inside = plan.inside();
    let mut open: Vec<(String, Node, bool)> = children(&inside[ROOT], "");
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
            open.extend(children(&inside[id], &format!("{indent}{below}")));
        }
    }
    text
}

/// The names that `run` takes, each with what it does.
pub(crate) fn list(plan: &Plan) -> String {
    let inside = plan.inside();
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut open: Vec<Node> = inside[ROOT].iter().rev().copied().collect();
    while let Some(node) = open.pop() {
        rows.push(match node {
            Node::Task(id) => {
                let task = &plan.tasks[id];
                let command = || command(task);
                let about = task.description.clone().unwrap_or_else(command);
                (task.name.clone(), about)
            }
            Node::Group(id) => {
                open.extend(inside[id].iter().rev());
                let group = &plan.groups[id];
                let about = group.description.clone().unwrap_or_default();
                (format!("{}/", group.name), about)
            }
        });
    }
    let width = rows
        .iter()
        .map(|(name, _)| console::measure_text_width(name))
        .max();
    let mut text = String::new();
    for (name, about) in rows {
        let pad = width.unwrap_or(0) - console::measure_text_width(&name);
        let line = format!("{name}{}  {about}", " ".repeat(pad));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn children(nodes: &[Node], indent: &str) -> Vec<(String, Node, bool)> {
    let nodes = nodes.iter();
    let mut children: Vec<_> = nodes
        .map(|&node| (indent.to_owned(), node, false))
        .collect();
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
    if group.when_one_ends == WhenOneEnds::Stop {
        words.push("ends with the first".to_owned());
    }
    if let Some(jobs) = group.jobs {
        words.push(format!("{jobs} at a time"));
    }
    if let Some(deadline) = group.deadline {
        words.push(format!("deadline {}", format_duration(deadline)));
    }
    words.extend(after(plan, &group.after));
    words.extend(cleanup(&group.cleanup));
    if group.parent.is_none() && plan.is_on_slurm() {
        words.push(job(plan));
    }
    bracketed(&words)
}

fn of_task(plan: &Plan, task: &TaskSpec) -> String {
    let mut words = Vec::new();
    words.extend(after(plan, &task.after));
    match task.timeout {
        None => {}
        Some(Timeout::After(limit)) => words.push(format!("timeout {}", format_duration(limit))),
        Some(Timeout::Share(percent)) => words.push(format!("timeout {percent}%")),
    }
    if task.service.is_some() {
        words.push("service".to_owned());
    }
    if task.retry.times > 0 {
        words.push(format!("retries {}", task.retry.times));
    }
    match task.on_failure {
        None => {}
        Some(OnFailure::Cancel) => words.push("on failure cancel".to_owned()),
        Some(OnFailure::Wait) => words.push("on failure wait".to_owned()),
        Some(OnFailure::Ignore) => words.push("on failure ignore".to_owned()),
    }
    if task.work.shell != Shell::default() && matches!(task.work.command, Command::Shell(..)) {
        words.push(format!("by {}", one_line(&task.work.shell.shown())));
    }
    if let Some(cwd) = &task.work.cwd {
        words.push(format!("in {}", one_line(&cwd.to_string_lossy())));
    }
    if let Some(needs) = &task.work.needs {
        words.push(on_slurm(needs));
    }
    words.extend(cleanup(&task.work.cleanup));
    let name = short(&task.name);
    format!("{name}: {}{}", command(task), bracketed(&words))
}

/// In one line, without what a terminal would obey.
fn command(task: &TaskSpec) -> String {
    one_line(&task.work.command.shown().replace('\n', " "))
}

fn after(plan: &Plan, after: &[Node]) -> Option<String> {
    let names: Vec<&str> = after.iter().map(|&node| plan.name(node)).collect();
    (!names.is_empty()).then(|| format!("after {}", names.join(", ")))
}

/// What the command takes.
fn on_slurm(needs: &Needs) -> String {
    let mut parts = vec![counted(needs.cpus.get(), "cpu")];
    parts.extend(needs.memory.map(size));
    if needs.gpus > 0 {
        parts.push(counted(needs.gpus, "gpu"));
    }
    if needs.nodes.get() > 1 {
        parts.push(format!("each of {} nodes", needs.nodes));
    }
    parts.extend(needs.constraint.as_deref().map(one_line));
    parts.extend(shown(&needs.extra));
    format!("on slurm: {}", parts.join(", "))
}

/// The job that is asked for if the run is not inside one.
fn job(plan: &Plan) -> String {
    let job = plan.job.request(plan);
    let nodes = counted(job.nodes.get(), "node");
    let mut parts = vec![match job.cpus {
        None => nodes.replace(" node", " whole node"),
        Some(cpus) => format!("{nodes} with {}", counted(cpus.get(), "cpu")),
    }];
    parts.extend(job.memory.map(size));
    parts.extend(job.gpus.map(|gpus| counted(gpus.get(), "gpu")));
    for (key, value) in [
        ("partition", job.partition),
        ("account", job.account),
        (
            "time",
            job.time.map(|time| format_duration(time).to_string()),
        ),
        ("constraint", job.constraint),
    ] {
        parts.extend(value.map(|value| format!("{key} {}", one_line(&value))));
    }
    parts.extend(shown(&job.extra));
    format!("job of {}", parts.join(", "))
}

fn shown(options: &[OsString]) -> impl Iterator<Item = String> {
    let options = options.iter().map(|option| option.to_string_lossy());
    options.map(|option| one_line(&option))
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
