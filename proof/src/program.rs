//! The neutral form: a structured program as a small tree that each interpreter runs in its own words.
//!
//! A program is a block of statements, run by task 0. Every statement with an identity runs at most once (there are no
//! loops), so its number names it in the trace. Invariants, which [`is_valid`] checks:
//!
//! 1. A group or deadline is named only by statements inside its body.
//! 2. A task spawned into a group names only what encloses that group, and the group itself: so nothing it names can be
//!    closed while it runs.
//! 3. A task is joined only by statements after its `spawn` (in the text) and outside its body: so no two tasks wait for
//!    each other.
//! 4. The body of a `release` cannot fail, and a panic leaves no group, catch or on-cancel of its own task behind.

use serde::{Deserialize, Serialize};

/// The number of a statement, unique in its program; 0 is the main task.
pub type Id = u32;

/// Statements that run one after the other.
pub type Block = Vec<Stmt>;

/// What a `deadline` does when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadlineKind {
    /// Fails with an error, as `timeout` does.
    Timeout,
    /// Goes on after the block, as `move_on_after` does.
    MoveOn,
}

/// How an `on_cancel` ends after its cleanup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Ends cancelled: hands the cancellation on.
    Leave,
    /// Ends with an error of its own.
    Fail,
    /// Swallows the cancellation and goes on with the next statement.
    GoOn,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Stmt {
    /// Waits.
    Sleep {
        /// Its name.
        id: Id,
        /// How long, at least 1.
        ms: u64,
    },
    /// Ends the block with an error.
    Fail {
        /// Its name.
        id: Id,
    },
    /// Panics.
    Panic {
        /// Its name.
        id: Id,
    },
    /// Opens a group, runs the body in it and waits for its tasks.
    Group {
        /// Its name.
        id: Id,
        /// Runs in the task that opens the group.
        body: Block,
    },
    /// Spawns a task into an enclosing group.
    Spawn {
        /// The name of the task.
        id: Id,
        /// The group.
        group: Id,
        /// What the task runs.
        body: Block,
    },
    /// Waits for a task and takes note of how it ended.
    Join {
        /// Its name.
        id: Id,
        /// The task.
        task: Id,
    },
    /// Cancels one task through its handle.
    CancelTask {
        /// Its name.
        id: Id,
        /// The task.
        task: Id,
    },
    /// Cancels a group.
    CancelGroup {
        /// Its name.
        id: Id,
        /// The group.
        group: Id,
    },
    /// Runs the body out of reach of outer cancellations.
    Shield {
        /// Its name.
        id: Id,
        /// The critical section.
        body: Block,
    },
    /// Runs the body under a deadline.
    Deadline {
        /// Its name.
        id: Id,
        /// How long from now; `None` is never.
        ms: Option<u64>,
        /// What follows when it is over.
        kind: DeadlineKind,
        /// What it bounds.
        body: Block,
    },
    /// Moves an enclosing deadline; without effect once it has expired.
    Reschedule {
        /// Its name.
        id: Id,
        /// The deadline.
        deadline: Id,
        /// How long from now; `None` is never.
        ms: Option<u64>,
    },
    /// Runs the body and then, on every exit, a cleanup that does not wait.
    Ensure {
        /// Its name.
        id: Id,
        /// What is followed by the cleanup.
        body: Block,
    },
    /// Runs the body and then, on every exit, a release that may wait and is not cancelled.
    Bracket {
        /// Its name.
        id: Id,
        /// The use.
        body: Block,
        /// The release.
        release: Block,
    },
    /// Runs the body; when it is cancelled, runs the cleanup, which may wait.
    OnCancel {
        /// Its name.
        id: Id,
        /// What may be cancelled.
        body: Block,
        /// What runs then.
        cleanup: Block,
        /// How it ends.
        then: Then,
    },
    /// Runs the body and takes note of its error instead of handing it on.
    Catch {
        /// Its name.
        id: Id,
        /// What may fail.
        body: Block,
    },
}

impl Stmt {
    /// The statement's name.
    pub fn id(&self) -> Id {
        match self {
            Self::Sleep { id, .. }
            | Self::Fail { id }
            | Self::Panic { id }
            | Self::Group { id, .. }
            | Self::Spawn { id, .. }
            | Self::Join { id, .. }
            | Self::CancelTask { id, .. }
            | Self::CancelGroup { id, .. }
            | Self::Shield { id, .. }
            | Self::Deadline { id, .. }
            | Self::Reschedule { id, .. }
            | Self::Ensure { id, .. }
            | Self::Bracket { id, .. }
            | Self::OnCancel { id, .. }
            | Self::Catch { id, .. } => *id,
        }
    }

    /// The blocks inside, the body first.
    pub fn blocks(&self) -> Vec<&Block> {
        match self {
            Self::Group { body, .. }
            | Self::Spawn { body, .. }
            | Self::Shield { body, .. }
            | Self::Deadline { body, .. }
            | Self::Ensure { body, .. }
            | Self::Catch { body, .. } => vec![body],
            Self::Bracket { body, release, .. } => vec![body, release],
            Self::OnCancel { body, cleanup, .. } => vec![body, cleanup],
            _ => Vec::new(),
        }
    }

    /// The blocks inside, to be changed.
    pub fn blocks_mut(&mut self) -> Vec<&mut Block> {
        match self {
            Self::Group { body, .. }
            | Self::Spawn { body, .. }
            | Self::Shield { body, .. }
            | Self::Deadline { body, .. }
            | Self::Ensure { body, .. }
            | Self::Catch { body, .. } => vec![body],
            Self::Bracket { body, release, .. } => vec![body, release],
            Self::OnCancel { body, cleanup, .. } => vec![body, cleanup],
            _ => Vec::new(),
        }
    }
}

/// How many statements a block holds, at any depth.
pub fn size(block: &[Stmt]) -> usize {
    block
        .iter()
        .map(|stmt| {
            1 + stmt
                .blocks()
                .into_iter()
                .map(|inner| size(inner))
                .sum::<usize>()
        })
        .sum()
}

/// Whether a deadline is moved by some statement of its body.
pub fn moves(body: &[Stmt], id: Id) -> bool {
    body.iter().any(|stmt| {
        matches!(stmt, Stmt::Reschedule { deadline, .. } if *deadline == id)
            || stmt.blocks().into_iter().any(|inner| moves(inner, id))
    })
}

/// What a statement may name, and where it stands.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The enclosing groups, the innermost last.
    pub groups: Vec<Id>,
    /// The enclosing deadlines, the innermost last.
    pub deadlines: Vec<Id>,
    /// The tasks that this statement runs in, the innermost last.
    pub inside: Vec<Id>,
    /// What was visible when each enclosing group was opened: how many of `deadlines` lie outside it.
    pub outside: Vec<usize>,
    /// A `panic` may stand here: nothing of this task would have to turn it into an error.
    pub may_panic: bool,
    /// An error may leave this place.
    pub may_fail: bool,
}

impl Surroundings {
    /// The place of a program's first statement.
    pub fn root() -> Self {
        Self {
            may_fail: true,
            ..Self::default()
        }
    }

    /// The place inside a group.
    #[must_use]
    pub fn in_group(&self, group: Id) -> Self {
        let mut inner = self.clone();
        inner.groups.push(group);
        inner.outside.push(self.deadlines.len());
        inner.may_panic = false;
        inner.may_fail = true;
        inner
    }

    /// The place inside a task that is spawned into a group.
    #[must_use]
    pub fn in_task(&self, task: Id, group: Id) -> Self {
        let mut inner = self.clone();
        let depth = self
            .groups
            .iter()
            .position(|open| *open == group)
            .map_or(0, |at| at + 1);
        inner.groups.truncate(depth);
        inner.outside.truncate(depth);
        inner
            .deadlines
            .truncate(inner.outside.last().copied().unwrap_or(0));
        inner.inside.push(task);
        inner.may_panic = true;
        inner.may_fail = true;
        inner
    }
}

/// Whether the program keeps the invariants at the top of this file.
pub fn is_valid(program: &[Stmt]) -> bool {
    let mut spawned = Vec::new();
    block_is_valid(program, &Surroundings::root(), &mut spawned)
}

fn block_is_valid(block: &[Stmt], here: &Surroundings, spawned: &mut Vec<Id>) -> bool {
    block.iter().all(|stmt| stmt_is_valid(stmt, here, spawned))
}

fn stmt_is_valid(stmt: &Stmt, here: &Surroundings, spawned: &mut Vec<Id>) -> bool {
    match stmt {
        Stmt::Sleep { ms, .. } => *ms > 0,
        Stmt::Fail { .. } => here.may_fail,
        Stmt::Panic { .. } => here.may_panic,
        Stmt::Group { id, body } => {
            here.may_fail && block_is_valid(body, &here.in_group(*id), spawned)
        }
        Stmt::Spawn { id, group, body } => {
            let inner = here.in_task(*id, *group);
            let valid = here.groups.contains(group) && block_is_valid(body, &inner, spawned);
            spawned.push(*id);
            valid
        }
        Stmt::Join { task, .. } => spawned.contains(task),
        Stmt::CancelTask { task, .. } => spawned.contains(task) || here.inside.contains(task),
        Stmt::CancelGroup { group, .. } => here.groups.contains(group),
        Stmt::Shield { body, .. } | Stmt::Ensure { body, .. } => {
            block_is_valid(body, here, spawned)
        }
        Stmt::Deadline { id, kind, body, .. } => {
            let mut inner = here.clone();
            inner.deadlines.push(*id);
            (here.may_fail || *kind == DeadlineKind::MoveOn)
                && block_is_valid(body, &inner, spawned)
        }
        Stmt::Reschedule { deadline, .. } => here.deadlines.contains(deadline),
        Stmt::Bracket { body, release, .. } => {
            let infallible = Surroundings {
                may_fail: false,
                may_panic: false,
                ..here.clone()
            };
            block_is_valid(body, here, spawned) && block_is_valid(release, &infallible, spawned)
        }
        Stmt::OnCancel {
            body,
            cleanup,
            then,
            ..
        } => {
            let inner = Surroundings {
                may_panic: false,
                ..here.clone()
            };
            (here.may_fail || *then != Then::Fail)
                && block_is_valid(body, &inner, spawned)
                && block_is_valid(cleanup, &inner, spawned)
        }
        Stmt::Catch { body, .. } => {
            let inner = Surroundings {
                may_fail: true,
                may_panic: false,
                ..here.clone()
            };
            block_is_valid(body, &inner, spawned)
        }
    }
}
