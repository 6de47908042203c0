//! Printing: the single line and the tree.
//!
//! Invariants:
//! 1. A line is one line: line breaks in names and messages become spaces.
//! 2. The tree has a line for each leaf that is drawn, at any depth. Below `MAX_DEPTH` levels the
//!    leaves of a branch follow each other, each with the end of its path.
//! 3. The size of the tree is bounded: at most `MAX_MEMBERS` members of a group and about
//!    `MAX_NODES` nodes in all are drawn. The failures that are left out are counted by their
//!    texts.
//! 4. Both are loops over an explicit stack.
//! 5. The texts and sources of errors come through the gate, so there is a report even if a part of
//!    it panics.

use super::layout::{Hanging, OneLine};
use super::{ErrorGroup, Leaves, Member, TaskError, TaskInfo};
use crate::gate;
use std::error::Error;
use std::fmt::{self, Write};
use std::iter::{Peekable, successors};

/// How many failed tasks the single line names.
const LINE_LEAVES: usize = 5;
/// How many levels of the tree are drawn as branches.
const MAX_DEPTH: usize = 24;
/// How many members of a group are drawn.
const MAX_MEMBERS: usize = 100;
/// How many nodes are drawn in all. After that, each group only counts the rest of its members.
const MAX_NODES: usize = 1_000;
/// How many different texts are shown where failures are counted, and how many characters of each.
const MAX_TEXTS: usize = 8;
const TEXT_LENGTH: usize = 100;
/// How much of a chain of sources is printed. A chain without an end must not hang the report.
const MAX_CAUSES: usize = 64;
/// How many names of a path are printed if the branches above are not drawn.
const PATH_NAMES: usize = 8;

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            task_tree(self, f)
        } else {
            task_line(self, f)
        }
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        task_tree(self, f)
    }
}

impl fmt::Display for ErrorGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            group_tree(self, f)
        } else {
            group_line(self, f)
        }
    }
}

impl fmt::Debug for ErrorGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        group_tree(self, f)
    }
}

fn task_line(task: &TaskError, out: &mut dyn Write) -> fmt::Result {
    one_line(
        out,
        format_args!("task `{}` {}", task.name(), HowItEnded(task)),
    )
}

fn group_line(group: &ErrorGroup, out: &mut dyn Write) -> fmt::Result {
    one_line(out, format_args!("group `{}` failed", group.name()))?;
    if let Some(reason) = group.context() {
        one_line(out, format_args!(" while being cancelled: {reason}"))?;
    }
    let total = group.leaf_count();
    if total > 1 {
        write!(out, ": {total} errors")?;
    }
    for (i, leaf) in group.leaves().take(LINE_LEAVES).enumerate() {
        let separator = if i == 0 { ": " } else { "; " };
        out.write_str(separator)?;
        task_line(&leaf, out)?;
    }
    if total > LINE_LEAVES {
        write!(out, "; and {} more", total - LINE_LEAVES)?;
    }
    Ok(())
}

/// Folds each piece by itself, so that a message with a break at its end leaves no space before the
/// next piece.
fn one_line(out: &mut dyn Write, text: fmt::Arguments<'_>) -> fmt::Result {
    OneLine::new(out).write_fmt(text)
}

fn task_tree(task: &TaskError, out: &mut dyn Write) -> fmt::Result {
    TreeWriter::new(out).draw(Shown::Task(task))
}

fn group_tree(group: &ErrorGroup, out: &mut dyn Write) -> fmt::Result {
    TreeWriter::new(out).draw(Shown::Group(group))
}

/// What happened to a task: `failed: …`, `panicked: …`.
struct HowItEnded<'a>(&'a TaskError);

impl fmt::Display for HowItEnded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.error(), self.0.panic_message()) {
            (Some(error), _) if self.0.is_cancelled() => {
                write!(f, "ended: {}", gate::text(&error))
            }
            (Some(error), _) => write!(f, "failed: {}", gate::text(&error)),
            (None, Some(message)) => write!(f, "panicked: {message}"),
            (None, None) => f.write_str("panicked with a payload that is not text"),
        }
    }
}

/// A task or a group: its name and its id.
struct Who<'a>(&'a TaskInfo);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` [{}]", self.0.name(), self.0.id())
    }
}

/// Something that is drawn as a branch.
enum Shown<'a> {
    Task(&'a TaskError),
    Group(&'a ErrorGroup),
    /// Members that are left out.
    Rest(Rest),
}

/// Failures that are only counted.
#[derive(Default)]
struct Rest {
    count: usize,
    /// The texts that were found first, and how often each occurs.
    texts: Vec<(String, usize)>,
}

impl Rest {
    fn add(&mut self, task: &TaskError) {
        self.count += 1;
        let mut text = String::new();
        // Writing into a string does not fail, nor does `HowItEnded`.
        let _ = one_line(&mut text, format_args!("{}", HowItEnded(task)));
        if let Some((end, _)) = text.char_indices().nth(TEXT_LENGTH) {
            text.truncate(end);
            text.push('…');
        }
        let known = self.texts.iter().position(|(known, _)| *known == text);
        match known {
            Some(at) => self.texts[at].1 += 1,
            None if self.texts.len() < MAX_TEXTS => self.texts.push((text, 1)),
            None => {}
        }
    }
}

impl<'a> From<&'a Member> for Shown<'a> {
    fn from(member: &'a Member) -> Self {
        match member {
            Member::Task(task) => Shown::Task(task),
            Member::Group(group) => Shown::Group(group),
        }
    }
}

/// The branches below a node that are still to be drawn: its members, or its leaves if the members
/// are too deep, and then the groups attached to it (the one that caused it, the one that was being
/// handled).
struct Branches<'a> {
    members: std::slice::Iter<'a, Member>,
    leaves: Option<Peekable<Leaves<'a>>>,
    attached: std::vec::IntoIter<(&'static str, &'a ErrorGroup)>,
    /// The text before the next branch.
    mark: &'static str,
    /// The length of the prefix of these branches.
    prefix: usize,
    /// How many members are still to be drawn. The others are only counted.
    room: usize,
}

impl<'a> Branches<'a> {
    /// The next branch and the text before it. If `is_full`, members are only counted.
    fn next(&mut self, is_full: bool) -> Option<(&'static str, Shown<'a>)> {
        let mark = std::mem::take(&mut self.mark);
        // The cause is always drawn.
        if self.room == 0 || is_full && self.room < MAX_MEMBERS {
            let rest = self.sum_up();
            if rest.count > 0 {
                return Some((mark, Shown::Rest(rest)));
            }
        }
        self.room = self.room.saturating_sub(1);
        if let Some(member) = self.members.next() {
            return Some((mark, Shown::from(member)));
        }
        if let Some(leaf) = self.leaves.as_mut().and_then(Iterator::next) {
            return Some((mark, Shown::Task(leaf.task())));
        }
        let (label, group) = self.attached.next()?;
        Some((label, Shown::Group(group)))
    }

    /// Takes the members that are left.
    fn sum_up(&mut self) -> Rest {
        let mut rest = Rest::default();
        for member in std::mem::take(&mut self.members) {
            match member {
                Member::Task(task) => rest.add(task),
                Member::Group(group) => group.leaves().for_each(|leaf| rest.add(&leaf)),
            }
        }
        let leaves = self.leaves.take().into_iter().flatten();
        leaves.for_each(|leaf| rest.add(&leaf));
        rest
    }

    fn is_done(&mut self) -> bool {
        self.members.len() == 0
            && self.attached.len() == 0
            && self
                .leaves
                .as_mut()
                .is_none_or(|leaves| leaves.peek().is_none())
    }
}

/// Draws one tree, line by line.
struct TreeWriter<'w> {
    out: &'w mut dyn Write,
    /// What each line starts with: the trunks of the branches that continue.
    prefix: String,
    started: bool,
    /// How many nodes were drawn.
    drawn: usize,
}

impl<'w> TreeWriter<'w> {
    fn new(out: &'w mut dyn Write) -> Self {
        Self {
            out,
            prefix: String::new(),
            started: false,
            drawn: 0,
        }
    }

    fn draw(&mut self, root: Shown<'_>) -> fmt::Result {
        let mut open = vec![self.node(("", ""), "", root, 0)?];
        while let Some(branches) = open.last_mut() {
            self.prefix.truncate(branches.prefix);
            let Some((mark, node)) = branches.next(self.drawn >= MAX_NODES) else {
                open.pop();
                continue;
            };
            let edge = if branches.is_done() {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            let depth = open.len();
            open.push(self.node(edge, mark, node, depth)?);
        }
        Ok(())
    }

    /// Draws the lines of one node and returns the branches below it.
    fn node<'a>(
        &mut self,
        edge: (&str, &str),
        mark: &str,
        node: Shown<'a>,
        depth: usize,
    ) -> Result<Branches<'a>, fmt::Error> {
        self.drawn += 1;
        let mut branches = match node {
            Shown::Task(task) => self.task(edge, mark, task, depth)?,
            Shown::Group(group) => self.group(edge, mark, group, depth)?,
            Shown::Rest(rest) => self.rest(edge, &rest, depth)?,
        };
        branches.prefix = self.prefix.len();
        Ok(branches)
    }

    fn task<'a>(
        &mut self,
        edge: (&str, &str),
        mark: &str,
        task: &'a TaskError,
        depth: usize,
    ) -> Result<Branches<'a>, fmt::Error> {
        let mut attached = Vec::new();
        let error = task.error().map(|error| error as &(dyn Error + 'static));
        let own_group = error.and_then(|error| error.downcast_ref::<ErrorGroup>());
        attached.extend(own_group.map(|group| ("", group)));
        attached.extend(task.handling().map(|group| ("while handling: ", group)));
        let causes = own_group.map_or(error, |_| None).and_then(gate::source);
        let group_below = successors(causes, |error| gate::source(*error))
            .take(MAX_CAUSES)
            .find_map(|error| error.downcast_ref::<ErrorGroup>());
        attached.extend(group_below.map(|group| ("caused by: ", group)));

        let trunk = if attached.is_empty() { "  " } else { "│ " };
        let who = Who(task.info());
        match own_group {
            Some(_) => self.head(
                edge,
                trunk,
                format_args!("{mark}task {who} failed with the errors of its own group"),
            )?,
            None => self.head(
                edge,
                trunk,
                format_args!("{mark}task {who} {}", HowItEnded(task)),
            )?,
        }
        self.path(trunk, task.info(), depth)?;
        self.detail(trunk, format_args!("spawned at {}", task.location()))?;
        let mut rest = causes;
        for _ in 0..MAX_CAUSES {
            let Some(cause) = rest.filter(|cause| !cause.is::<ErrorGroup>()) else {
                break;
            };
            self.detail(trunk, format_args!("caused by: {}", gate::text(&cause)))?;
            rest = gate::source(cause);
        }
        self.below(&[], None, attached, "", depth)
    }

    fn group<'a>(
        &mut self,
        edge: (&str, &str),
        mark: &str,
        group: &'a ErrorGroup,
        depth: usize,
    ) -> Result<Branches<'a>, fmt::Error> {
        let total = group.leaf_count();
        let plural = if total == 1 { "error" } else { "errors" };
        let who = Who(group.info());
        self.head(
            edge,
            "│ ",
            format_args!("{mark}group {who} failed: {total} {plural}"),
        )?;
        self.path("│ ", group.info(), depth)?;
        self.detail("│ ", format_args!("run at {}", group.location()))?;
        if let Some(task) = group.returned_by() {
            self.detail(
                "│ ",
                format_args!(
                    "returned by task {}, spawned at {}",
                    Who(task),
                    task.location()
                ),
            )?;
        }
        if let Some(reason) = group.context() {
            self.detail("│ ", format_args!("while being cancelled: {reason}"))?;
        }
        let attached: Vec<_> = group
            .handling()
            .map(|group| ("while handling: ", group))
            .into_iter()
            .collect();
        let mark = if group.len() > 1 { "(cause) " } else { "" };
        if depth < MAX_DEPTH {
            self.below(group.members(), None, attached, mark, depth)
        } else {
            self.below(&[], Some(group.leaves().peekable()), attached, mark, depth)
        }
    }

    fn rest<'a>(
        &mut self,
        edge: (&str, &str),
        rest: &Rest,
        depth: usize,
    ) -> Result<Branches<'a>, fmt::Error> {
        let plural = if rest.count == 1 { "" } else { "s" };
        self.head(
            edge,
            "  ",
            format_args!("… and {} more failure{plural}", rest.count),
        )?;
        let mut others = rest.count;
        for (text, count) in &rest.texts {
            others -= count;
            self.detail("  ", format_args!("{count} × {text}"))?;
        }
        if others > 0 {
            self.detail("  ", format_args!("{others} × something else"))?;
        }
        self.below(&[], None, Vec::new(), "", depth)
    }

    /// The path, where the branches above do not show it: at the root of the drawing and below the
    /// drawn levels.
    fn path(&mut self, trunk: &str, info: &TaskInfo, depth: usize) -> fmt::Result {
        let path = info.path();
        if path.depth() > 1 && (depth == 0 || depth > MAX_DEPTH) {
            self.detail(trunk, format_args!("in {}", path.tail(PATH_NAMES)))?;
        }
        Ok(())
    }

    /// The branches below a node. A group that is attached to a very deep node gets only one line,
    /// so that the depth of the drawing is bounded.
    fn below<'a>(
        &mut self,
        members: &'a [Member],
        leaves: Option<Peekable<Leaves<'a>>>,
        mut attached: Vec<(&'static str, &'a ErrorGroup)>,
        mark: &'static str,
        depth: usize,
    ) -> Result<Branches<'a>, fmt::Error> {
        if depth > MAX_DEPTH {
            for (label, group) in attached.drain(..) {
                self.detail("│ ", format_args!("{label}{group}"))?;
            }
        }
        Ok(Branches {
            members: members.iter(),
            leaves,
            attached: attached.into_iter(),
            mark,
            prefix: 0,
            room: MAX_MEMBERS,
        })
    }

    /// The first line of a node. After that, the prefix includes the trunk.
    fn head(
        &mut self,
        (elbow, edge): (&str, &str),
        trunk: &str,
        text: fmt::Arguments<'_>,
    ) -> fmt::Result {
        self.start(elbow)?;
        self.prefix.push_str(edge);
        Hanging::new(self.out, &self.prefix, trunk).write_fmt(text)
    }

    /// A further line of a node.
    fn detail(&mut self, trunk: &str, text: fmt::Arguments<'_>) -> fmt::Result {
        self.start(trunk)?;
        Hanging::new(self.out, &self.prefix, trunk).write_fmt(text)
    }

    fn start(&mut self, lead: &str) -> fmt::Result {
        if std::mem::replace(&mut self.started, true) {
            self.out.write_char('\n')?;
        }
        self.out.write_str(&self.prefix)?;
        self.out.write_str(lead)
    }
}
