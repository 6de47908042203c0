//! The tree as text.
//!
//! Invariants:
//!
//! - **TX1** A node is one line, and so is what stands for children that are not shown; line breaks
//!   in names and reasons become spaces.
//! - **TX2** Branches are drawn for the first `MAX_DEPTH` levels; below that the lines say how deep
//!   they are. So the text is linear in the number of lines, however deep the tree is.

use std::fmt::{self, Display, Formatter, Write};
use std::time::Duration;

use super::tree::{Node, NodeKind, NodeState, Tree};
use crate::cancel::CancelReason;
use crate::error::OneLine;

/// The number of levels that are drawn as branches.
const MAX_DEPTH: usize = 24;
/// The number of children of a node that are shown.
const SHOWN: usize = 10;

/// What is still to be drawn below a node.
struct Level {
    node: usize,
    children: std::vec::IntoIter<usize>,
    rest: Option<Rest>,
    /// The length of the prefix of these lines.
    prefix: usize,
}

/// Children that are not shown.
#[derive(Default)]
struct Rest {
    children: usize,
    states: Vec<(NodeState, usize)>,
    /// The tasks below them.
    tasks: usize,
}

impl Display for Tree {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(root) = self.nodes().first() else {
            return Ok(());
        };
        line(root, None, f)?;
        let whole = f.alternate();
        let mut prefix = String::new();
        let mut levels = vec![self.level(0, 0, whole)];
        while let Some(level) = levels.last_mut() {
            prefix.truncate(level.prefix);
            let next = level.children.next();
            let rest = if next.is_none() {
                level.rest.take()
            } else {
                None
            };
            let last = level.children.len() == 0 && level.rest.is_none();
            let above = self.nodes()[level.node].reason();
            let depth = levels.len();
            if let Some(rest) = rest {
                write!(f, "\n{prefix}└─ {rest}")?;
                continue;
            }
            let Some(child) = next else {
                levels.pop();
                continue;
            };
            let branch = if last { "└─ " } else { "├─ " };
            write!(f, "\n{prefix}{branch}")?;
            if depth > MAX_DEPTH {
                write!(f, "{depth}: ")?;
            } else {
                prefix.push_str(if last { "   " } else { "│  " });
            }
            line(&self.nodes()[child], above, f)?;
            levels.push(self.level(child, prefix.len(), whole));
        }
        Ok(())
    }
}

impl Tree {
    /// What to draw below a node: all its children, or those that matter most and a count of the
    /// others.
    fn level(&self, node: usize, prefix: usize, whole: bool) -> Level {
        let nodes = self.nodes();
        let end = node + 1 + nodes[node].below;
        let next = |&child: &usize| Some(child + 1 + nodes[child].below).filter(|&at| at < end);
        let first = Some(node + 1).filter(|&at| at < end);
        let mut children: Vec<usize> = std::iter::successors(first, next).collect();
        let mut rest = None;
        // One child more takes no more room than the line that would count it.
        if !whole && children.len() > SHOWN + 1 {
            children.sort_by_key(|&child| interest(&nodes[child]));
            rest = Some(Rest::of(children.drain(SHOWN..).map(|child| &nodes[child])));
            children.sort_unstable();
        }
        Level {
            node,
            children: children.into_iter(),
            rest,
            prefix,
        }
    }
}

/// Sorts what matters most to the front. The sort is stable, so equals stay in spawn order.
fn interest(node: &Node) -> (NodeState, bool) {
    match node.state() {
        NodeState::Running | NodeState::Suspended | NodeState::Ending => (
            NodeState::Running,
            node.tasks() == 0 && matches!(node.kind(), NodeKind::Task | NodeKind::Child),
        ),
        state => (state, false),
    }
}

impl Rest {
    fn of<'a>(nodes: impl Iterator<Item = &'a Node>) -> Self {
        let mut rest = Self::default();
        for node in nodes {
            rest.children += 1;
            rest.tasks += node.tasks();
            match rest
                .states
                .iter_mut()
                .find(|(state, _)| *state == node.state())
            {
                Some((_, count)) => *count += 1,
                None => rest.states.push((node.state(), 1)),
            }
        }
        rest.states.sort();
        rest
    }
}

impl Display for Rest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.states[..] {
            [(state, _)] => write!(f, "… and {} more {state}", self.children)?,
            states => {
                write!(f, "… and {} more:", self.children)?;
                for (at, (state, count)) in states.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma} {count} {state}")?;
                }
            }
        }
        if self.tasks > 0 {
            write!(f, ", with {} below", Tasks(self.tasks))?;
        }
        Ok(())
    }
}

/// ``task `save` [3.1] shielded, 2.0 s old, at src/main.rs:20:9: cancel was called
/// (src/main.rs:12:5)``
///
/// A reason that the node above also has is not repeated.
fn line(node: &Node, above: Option<&CancelReason>, f: &mut Formatter<'_>) -> fmt::Result {
    let mut out = OneLine::new(f);
    out.write_str(node.kind().word())?;
    match node.kind() {
        NodeKind::Group | NodeKind::Task | NodeKind::Child => {
            write!(out, " `{}` [{}]", node.name(), node.id())?;
        }
        NodeKind::Process => {
            return write!(out, ", {}", Tasks(node.tasks()));
        }
        _ => {}
    }
    if node.kind() != NodeKind::Shield {
        write!(out, " {}", node.state())?;
    }
    if let Some(age) = node.age() {
        write!(out, ", {} old", Elapsed(age))?;
    }
    if let Some(left) = node.remaining() {
        write!(out, ", {} left", Elapsed(left))?;
    }
    if node.tasks() > 0 && node.kind() != NodeKind::Task {
        write!(out, ", {}", Tasks(node.tasks()))?;
    }
    if node.queued() > 0 {
        write!(out, ", {} queued", node.queued())?;
    }
    write!(out, ", at {}", node.location())?;
    let known = |reason: &&CancelReason| above.is_some_and(|above| above.is_same(reason));
    if let Some(reason) = node.reason().filter(|reason| !known(reason)) {
        write!(out, ": {reason}")?;
    }
    Ok(())
}

/// `1 task`, `2 tasks`.
struct Tasks(usize);

impl Display for Tasks {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} task{plural}", self.0)
    }
}

/// A duration in the units that people read.
struct Elapsed(Duration);

impl Display for Elapsed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0 if self.0.is_zero() => write!(f, "0 s"),
            0 => write!(f, "{} ms", self.0.as_millis()),
            1..=59 => write!(f, "{:.1} s", self.0.as_secs_f64()),
            60..=3599 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            _ => write!(f, "{} h {} min", seconds / 3600, seconds / 60 % 60),
        }
    }
}
