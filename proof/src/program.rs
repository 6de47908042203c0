//! The neutral form: a structured program as a small tree that each interpreter runs with its own
//! means.
//!
//! A program is a block of statements that task 0 runs. There are no loops, so every statement runs
//! at most once, and its number identifies it in the trace. Invariants, which [`is_valid`] checks:
//!
//! 1. Only statements inside its body name a group or a deadline.
//! 2. A task that is spawned into a group names only that group and what encloses it. So nothing
//!    that it names can be closed while it runs.
//! 3. Only statements after its `spawn` (in the text) and outside its body join a task. So no two
//!    tasks wait for each other.
//! 4. The bodies of a `release` and a `defer` cannot fail. A panic leaves no group, catch or
//!    on-cancel of its own task behind, nor the part of a `start` that its starter waits for.
//! 5. Each side of a race begins with a wait. The library begins both sides in one step of their
//!    parent, and Python has no such step.
//! 6. A `defer` stands in a scope of its task, and names nothing that ends with that scope. No
//!    `ensure` is around a deadline with a `defer`, because a destructor does not wait for what is
//!    deferred, and Python's `finally` does.

use serde::{Deserialize, Serialize};

/// The number of a statement, unique in its program; 0 is the main task.
pub type Id = u32;

/// Statements that run one after the other.
pub type Block = Vec<Stmt>;

/// What a `deadline` does when it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadlineKind {
    /// It fails with an error, like `timeout`.
    Timeout,
    /// The task continues after the block, as with `move_on_after`.
    MoveOn,
}

/// How an `on_cancel` ends after its cleanup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// It ends cancelled, and passes the cancellation on.
    Leave,
    /// It ends with an error of its own.
    Fail,
    /// It swallows the cancellation and continues with the next statement.
    GoOn,
}

/// When a group stops by itself, and what it tolerates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rigour {
    /// The first failure cancels the group.
    #[default]
    FailFast,
    /// Failures of children cancel nothing. The group reports them at the end.
    Collect,
    /// The first child that ends with a value cancels the group. Earlier failures are tolerated.
    FirstSuccess,
}

impl Rigour {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// One of the two sides of a `race`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Its name in the trace, next to the tasks.
    pub id: Id,
    /// What it runs.
    pub body: Block,
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
        /// How the ends of its tasks affect it.
        #[serde(default, skip_serializing_if = "Rigour::is_default")]
        policy: Rigour,
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
    /// Spawns a task into an enclosing group, waits until it reports that it is ready, and records
    /// how it failed if it does so before.
    Start {
        /// The name of the task.
        id: Id,
        /// The group.
        group: Id,
        /// What the task runs before it is ready.
        before: Block,
        /// What it runs then.
        after: Block,
    },
    /// Waits for a task and records how it ended.
    Join {
        /// Its name.
        id: Id,
        /// The task.
        task: Id,
        /// How long it waits before it gives up; `None` is for ever.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        give_up: Option<u64>,
    },
    /// Runs two blocks at the same time. The first that ends with a value wins. The other is
    /// cancelled and waited for. Fails if both fail.
    Race {
        /// Its name.
        id: Id,
        /// Begins first.
        left: Side,
        /// Begins next.
        right: Side,
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
    /// Runs the body, which outer cancellations do not reach.
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
        /// What happens when it expires.
        kind: DeadlineKind,
        /// What it bounds.
        body: Block,
    },
    /// Moves an enclosing deadline. Has no effect once the deadline has expired.
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
        /// What the cleanup follows.
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
    /// Defers the body to the end of the scope around it (a group, a task, a shield, a deadline, a
    /// side of a race, the inside of a `bracket` or an `on_cancel`), the last one first. It may
    /// wait and is not cancelled.
    Defer {
        /// Its name.
        id: Id,
        /// What runs then.
        body: Block,
    },
    /// Runs the body. If that is cancelled, runs the cleanup, which may wait.
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
    /// Runs the body and records its error instead of passing it on.
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
            | Self::Start { id, .. }
            | Self::Join { id, .. }
            | Self::Race { id, .. }
            | Self::CancelTask { id, .. }
            | Self::CancelGroup { id, .. }
            | Self::Shield { id, .. }
            | Self::Deadline { id, .. }
            | Self::Reschedule { id, .. }
            | Self::Ensure { id, .. }
            | Self::Bracket { id, .. }
            | Self::Defer { id, .. }
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
            | Self::Defer { body, .. }
            | Self::Catch { body, .. } => vec![body],
            Self::Start { before, after, .. } => vec![before, after],
            Self::Race { left, right, .. } => vec![&left.body, &right.body],
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
            | Self::Defer { body, .. }
            | Self::Catch { body, .. } => vec![body],
            Self::Start { before, after, .. } => vec![before, after],
            Self::Race { left, right, .. } => vec![&mut left.body, &mut right.body],
            Self::Bracket { body, release, .. } => vec![body, release],
            Self::OnCancel { body, cleanup, .. } => vec![body, cleanup],
            _ => Vec::new(),
        }
    }
}

/// How many statements a block contains, at any depth.
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

/// Whether some statement in its body moves a deadline.
pub fn moves(body: &[Stmt], id: Id) -> bool {
    body.iter().any(|stmt| {
        matches!(stmt, Stmt::Reschedule { deadline, .. } if *deadline == id)
            || stmt.blocks().into_iter().any(|inner| moves(inner, id))
    })
}

/// What a statement may name, and what is around it.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The enclosing groups, the innermost last.
    pub groups: Vec<Id>,
    /// The enclosing deadlines, the innermost last.
    pub deadlines: Vec<Id>,
    /// The tasks that this statement runs in, the innermost last.
    pub inside: Vec<Id>,
    /// For each enclosing group, how many of `deadlines` are outside it.
    pub outside: Vec<usize>,
    /// A `panic` may stand here, because nothing of this task would have to turn it into an error.
    pub may_panic: bool,
    /// An error may leave this place.
    pub may_fail: bool,
    /// There is a scope of this task around, so a `defer` may stand here.
    pub may_defer: bool,
    /// There is a destructor between the code and the innermost scope that winds up before it is
    /// dropped.
    pub destroyed_first: bool,
    /// How many of `groups` are still open when the innermost scope of this task ends.
    pub lasting_groups: usize,
    /// How many of `deadlines` are still open then.
    pub lasting_deadlines: usize,
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
        let mut inner = self.in_scope();
        inner.groups.push(group);
        inner.outside.push(self.deadlines.len());
        inner.may_panic = false;
        inner.may_fail = true;
        inner
    }

    /// The place inside a scope that is neither a group nor a task.
    #[must_use]
    pub fn in_scope(&self) -> Self {
        Self {
            may_defer: true,
            destroyed_first: false,
            lasting_groups: self.groups.len(),
            lasting_deadlines: self.deadlines.len(),
            ..self.clone()
        }
    }

    /// The place inside a deadline.
    #[must_use]
    pub fn in_deadline(&self, deadline: Id) -> Self {
        let mut inner = self.in_scope();
        inner.deadlines.push(deadline);
        // If a scope further out is cancelled, a deadline is dropped together with the destructors
        // around it, and what it has deferred runs after them.
        inner.destroyed_first = self.destroyed_first;
        inner.may_defer = !self.destroyed_first;
        inner
    }

    /// The place inside an `ensure`.
    #[must_use]
    pub fn in_ensure(&self) -> Self {
        Self {
            destroyed_first: true,
            ..self.clone()
        }
    }

    /// The place inside one side of a race.
    #[must_use]
    pub fn in_side(&self) -> Self {
        Self {
            may_fail: true,
            may_panic: true,
            ..self.in_scope()
        }
    }

    /// The place inside a release.
    #[must_use]
    pub fn in_release(&self) -> Self {
        Self {
            may_fail: false,
            may_panic: false,
            may_defer: false,
            ..self.clone()
        }
    }

    /// The place inside an `on_cancel`, before it is cancelled.
    #[must_use]
    pub fn in_watched(&self) -> Self {
        Self {
            may_panic: false,
            ..self.in_scope()
        }
    }

    /// The place inside the cleanup of an `on_cancel`.
    #[must_use]
    pub fn in_cleanup(&self) -> Self {
        Self {
            may_panic: false,
            may_defer: false,
            ..self.clone()
        }
    }

    /// The place inside a `catch`.
    #[must_use]
    pub fn in_catch(&self) -> Self {
        Self {
            may_fail: true,
            may_panic: false,
            ..self.clone()
        }
    }

    /// The place inside a `defer`, which runs when the scope around it is closed.
    #[must_use]
    pub fn in_deferred(&self) -> Self {
        let mut inner = self.in_release();
        inner.groups.truncate(self.lasting_groups);
        inner.outside.truncate(self.lasting_groups);
        inner.deadlines.truncate(self.lasting_deadlines);
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
        inner.in_scope()
    }

    /// The place inside a task that is not ready yet.
    #[must_use]
    pub fn in_starting_task(&self, task: Id, group: Id) -> Self {
        Self {
            may_panic: false,
            ..self.in_task(task, group)
        }
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
        Stmt::Group { id, body, .. } => {
            here.may_fail && block_is_valid(body, &here.in_group(*id), spawned)
        }
        Stmt::Spawn { id, group, body } => {
            let inner = here.in_task(*id, *group);
            let valid = here.groups.contains(group) && block_is_valid(body, &inner, spawned);
            spawned.push(*id);
            valid
        }
        Stmt::Start {
            id,
            group,
            before,
            after,
        } => {
            let valid = here.groups.contains(group)
                && block_is_valid(before, &here.in_starting_task(*id, *group), spawned)
                && block_is_valid(after, &here.in_task(*id, *group), spawned);
            spawned.push(*id);
            valid
        }
        Stmt::Join { task, give_up, .. } => spawned.contains(task) && *give_up != Some(0),
        Stmt::Race { left, right, .. } => {
            let inner = here.in_side();
            let waits =
                |side: &Side| matches!(side.body.first(), Some(Stmt::Sleep { ms, .. }) if *ms > 0);
            here.may_fail
                && waits(left)
                && waits(right)
                && block_is_valid(&left.body, &inner, spawned)
                && block_is_valid(&right.body, &inner, spawned)
        }
        Stmt::CancelTask { task, .. } => spawned.contains(task) || here.inside.contains(task),
        Stmt::CancelGroup { group, .. } => here.groups.contains(group),
        Stmt::Shield { body, .. } => block_is_valid(body, &here.in_scope(), spawned),
        Stmt::Ensure { body, .. } => block_is_valid(body, &here.in_ensure(), spawned),
        Stmt::Deadline { id, kind, body, .. } => {
            (here.may_fail || *kind == DeadlineKind::MoveOn)
                && block_is_valid(body, &here.in_deadline(*id), spawned)
        }
        Stmt::Reschedule { deadline, .. } => here.deadlines.contains(deadline),
        Stmt::Bracket { body, release, .. } => {
            block_is_valid(body, &here.in_scope(), spawned)
                && block_is_valid(release, &here.in_release(), spawned)
        }
        Stmt::Defer { body, .. } => {
            here.may_defer && block_is_valid(body, &here.in_deferred(), spawned)
        }
        Stmt::OnCancel {
            body,
            cleanup,
            then,
            ..
        } => {
            (here.may_fail || *then != Then::Fail)
                && block_is_valid(body, &here.in_watched(), spawned)
                && block_is_valid(cleanup, &here.in_cleanup(), spawned)
        }
        Stmt::Catch { body, .. } => block_is_valid(body, &here.in_catch(), spawned),
    }
}
