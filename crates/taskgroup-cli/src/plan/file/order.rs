//! Dependencies: names become nodes, and no node waits for itself.

use std::collections::HashMap;

use super::fault::{Fault, MOST, nearest};
use super::schema::{Raw, Wait};
use crate::output::and_more;
use crate::plan::{Node, Plan, Policy};

/// The most names in a message.
const NAMED: usize = 10;

pub(super) fn resolve(raw: Raw, faults: &mut Vec<Fault>) -> Plan {
    let Raw {
        mut plan,
        waits,
        task_spans: raw_spans,
        ..
    } = raw;
    for (task, span) in plan.tasks.iter().zip(&raw_spans) {
        let races = plan.groups[task.group].policy == Policy::Race;
        if task.service.is_some() && races {
            let title = format!("the service `{}` cannot win a race", task.name);
            let help = "put it beside the race, and the race after it";
            let fault = Fault::new(
                span.clone(),
                title,
                "it is in a group with `policy = \"race\"`",
            );
            faults.push(fault.help(Some(help.to_owned())));
        }
    }
    let mut edges: Vec<Vec<(Node, usize)>> = vec![Vec::new(); plan.tasks.len() + plan.groups.len()];
    let found: Vec<Option<Node>> = {
        let by_name = plan.by_name();
        waits
            .iter()
            .map(|wait| find(&plan, &by_name, wait))
            .collect()
    };
    for (index, (wait, found)) in waits.iter().zip(found).enumerate() {
        match found {
            Some(node) => {
                match wait.waiter {
                    Node::Task(id) => plan.tasks[id].after.push(node),
                    Node::Group(id) => plan.groups[id].after.push(node),
                }
                edges[number(&plan, wait.waiter)].push((node, index));
            }
            // The search for a near name takes long, and this error is only counted.
            None if faults.len() >= MOST => faults.push(Fault::new(wait.span.clone(), "", "")),
            None => faults.push(unknown(&plan, wait)),
        }
    }
    if let Some(cycle) = cycle(&plan, &edges) {
        faults.push(cycle_fault(&plan, &waits, &cycle));
    }
    plan
}

/// Looks for the name in the waiter's group, then in the enclosing groups. The nearest counts.
fn find(plan: &Plan, by_name: &HashMap<&str, Node>, wait: &Wait) -> Option<Node> {
    plan.around(wait.waiter).find_map(|group| {
        let found = match &*plan.groups[group].name {
            "" => by_name.get(&*wait.name),
            prefix => by_name.get(&*format!("{prefix}/{}", wait.name)),
        };
        found.copied()
    })
}

fn unknown(plan: &Plan, wait: &Wait) -> Fault {
    let tasks = plan.tasks.iter().map(|task| &*task.name);
    let groups = plan.groups.iter().map(|group| &*group.name);
    let mut names = tasks.chain(groups).filter(|name| !name.is_empty());
    let title = format!("nothing is named `{}`", wait.name.escape_debug());
    // The same name somewhere else is more likely than a similar one.
    let end = format!("/{}", wait.name);
    let inside = match wait.waiter {
        Node::Group(id) => format!("{}/", plan.groups[id].name),
        Node::Task(_) => String::new(),
    };
    let elsewhere = names.clone().find(|name| name.ends_with(&end));
    let help = match elsewhere {
        Some(path) if !inside.is_empty() && path.starts_with(&inside) => {
            let group = inside.trim_end_matches('/');
            format!(
                "`{path}` is part of `{group}`, which cannot wait for its own part; `after` of a \
                 group is for what has to succeed before the group"
            )
        }
        Some(path) => format!("did you mean `{path}`?"),
        None => match nearest(&wait.name, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => all_names(&mut names),
        },
    };
    Fault::new(wait.span.clone(), title, "no such task or group").help(Some(help))
}

/// The names in the file. `taskgroup list` shows none while the file has an error.
fn all_names<'n>(names: &mut impl Iterator<Item = &'n str>) -> String {
    let first: Vec<String> = names.take(NAMED).map(|name| format!("`{name}`")).collect();
    let more = and_more(first.len() + names.count(), NAMED);
    format!("the names are: {}{more}", first.join(", "))
}

fn number(plan: &Plan, node: Node) -> usize {
    match node {
        Node::Task(id) => id,
        Node::Group(id) => plan.tasks.len() + id,
    }
}

/// A step from the end of one node to an end that has to come before it.
#[derive(Clone, Copy)]
struct Step {
    node: Node,
    /// The wait that led here. Without one, a group led to something in it, or to something it
    /// waits for.
    by: Option<usize>,
}

/// The nodes that must have ended before this node can end: those it waits for, those that the
/// enclosing groups wait for, and, for a group, everything in it.
fn before(
    plan: &Plan,
    edges: &[Vec<(Node, usize)>],
    inside: &[Vec<Node>],
    node: Node,
) -> Vec<Step> {
    let waits = |node: Node| {
        let edges = edges[number(plan, node)].iter();
        edges.map(|&(node, wait)| Step {
            node,
            by: Some(wait),
        })
    };
    // The last one is followed first: the shortest way makes the clearest message.
    let mut steps = Vec::new();
    if let Node::Group(id) = node {
        steps.extend(inside[id].iter().map(|&node| Step { node, by: None }));
    }
    for group in plan.around(node) {
        steps.extend(waits(Node::Group(group)));
    }
    steps.extend(waits(node));
    steps
}

/// The first cycle, as the steps that lead around it. Does not recurse, because a file may contain
/// a long chain.
fn cycle(plan: &Plan, edges: &[Vec<(Node, usize)>]) -> Option<Vec<Step>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        OnTheWay,
        Done,
    }
    let inside = plan.inside();
    let mut seen = vec![Seen::No; edges.len()];
    let nodes = (0..plan.tasks.len()).map(Node::Task);
    for start in nodes.chain((0..plan.groups.len()).map(Node::Group)) {
        if seen[number(plan, start)] != Seen::No {
            continue;
        }
        let first = Step {
            node: start,
            by: None,
        };
        let mut way = vec![(first, before(plan, edges, &inside, start))];
        seen[number(plan, start)] = Seen::OnTheWay;
        while let Some((step, next)) = way.last_mut() {
            let Some(next) = next.pop() else {
                seen[number(plan, step.node)] = Seen::Done;
                way.pop();
                continue;
            };
            match seen[number(plan, next.node)] {
                Seen::Done => {}
                Seen::No => {
                    seen[number(plan, next.node)] = Seen::OnTheWay;
                    let further = before(plan, edges, &inside, next.node);
                    way.push((next, further));
                }
                Seen::OnTheWay => {
                    let from = way.iter().position(|(step, _)| step.node == next.node);
                    let steps = way[from.unwrap_or(0) + 1..].iter().map(|(step, _)| *step);
                    return Some(steps.chain([next]).collect());
                }
            }
        }
    }
    None
}

/// The most steps of a cycle that are shown.
const SHOWN: usize = 12;

fn cycle_fault(plan: &Plan, waits: &[Wait], cycle: &[Step]) -> Fault {
    let shown = |node| match plan.name(node) {
        "" => "the whole",
        name => name,
    };
    let last = cycle.last().map_or("", |step| shown(step.node));
    let mut path = vec![last.to_owned()];
    let ends = if cycle.len() > SHOWN {
        SHOWN / 2
    } else {
        cycle.len()
    };
    path.extend(cycle[..ends].iter().map(|step| shown(step.node).to_owned()));
    if cycle.len() > ends {
        let rest = &cycle[cycle.len() - ends..];
        path.push(format!("({} more)", cycle.len() - 2 * ends));
        path.extend(rest.iter().map(|step| shown(step.node).to_owned()));
    }
    let mut spans = cycle.iter().take(SHOWN).filter_map(|step| {
        let wait = &waits[step.by?];
        let label = format!("{} waits for {}", shown(wait.waiter), shown(step.node));
        Some((wait.span.clone(), label))
    });
    let (span, label) = spans.next().unwrap_or((0..0, String::new()));
    let mut fault = Fault::new(span, format!("a cycle: {}", path.join(" → ")), label);
    for (span, label) in spans {
        fault = fault.and(span, label);
    }
    let whole = cycle.iter().any(|step| step.by.is_none());
    fault.help(whole.then(|| "a group ends when everything in it has ended".to_owned()))
}
