//! Which operations a run consists of, and how often each one occurs.

use taskgroup::GroupBuilder;

use crate::random::Random;

/// What a run concentrates on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Every operation, and foreign code that misbehaves.
    Everything,
    /// Every operation, and foreign code that behaves.
    Tame,
    /// Groups and handles that move between runtimes, some of which are shut down.
    Exchange,
    /// As `Everything`, with each child as a Tokio task.
    Tokio,
    /// As `Everything`, with each child polled from the queue of its group.
    Light,
    /// Groups that are dropped half-way, and references that are dropped inside the drop of another
    /// reference.
    A1,
    /// Runtimes that run inside `block_in_place`.
    A2,
    /// Handles and groups that move between runtimes that are shut down, without half-run groups.
    B1,
    /// Limited groups of Tokio tasks whose runtime is shut down.
    B7,
}

/// How the children of a group are driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// Each child is a Tokio task.
    Tokio,
    /// The children are polled from a queue of the group.
    Light,
}

impl Driver {
    /// Sets the driver of a group.
    pub(crate) fn set(self, builder: GroupBuilder) -> GroupBuilder {
        match self {
            Self::Tokio => builder,
            Self::Light => builder.light_tasks(),
        }
    }
}

/// One thing that a child, or the body of a group, does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Yield,
    Sleep,
    Checkpoint,
    /// Takes a thing from the bag and does something with it at once.
    Exchange,
    /// Takes a thing from the bag and waits for it for a while.
    Wait,
    /// Spawns into its own group.
    Sibling,
    /// Runs a group.
    Nested,
    /// Runs a group and drops it half-way.
    HalfRun,
    /// Polls a group once and puts it into the bag.
    Park,
    Deadline,
    Shield,
    Bracket,
    Defer,
    UntilCancelled,
    Local,
    /// Spawns a blocking closure into its own group.
    Blocking,
    BlockInPlace,
    /// Runs another runtime inside `block_in_place`.
    InnerRuntime,
    /// Begins to wait and gives up.
    GiveUp,
    /// `gather`, `settle`, `race`, `map`, `join`.
    Combine,
    /// Spawns a child that reports when it is ready.
    Start,
    /// Opens a group without a body.
    Open,
    /// Runs a section that others can cancel.
    CancelScope,
    /// Futures and tokens of a cancellation or an end.
    Watch,
    /// Takes the outcomes of children as they come.
    Outcomes,
    /// Changes the limit of its own group, and tries for a place there.
    Places,
    /// Waits with a waker that calls the library.
    Waker,
    /// Keeps a value whose destructor misbehaves until the child is dropped.
    Mischief,
}

use Step::{
    BlockInPlace, Blocking, Bracket, CancelScope, Checkpoint, Combine, Deadline, Defer, Exchange,
    GiveUp, HalfRun, InnerRuntime, Local, Mischief, Nested, Open, Outcomes, Park, Places, Shield,
    Sibling, Sleep, Start, UntilCancelled, Wait, Waker, Watch, Yield,
};

const TAME: &[(Step, u64)] = &[
    (Yield, 8),
    (Sleep, 3),
    (Checkpoint, 2),
    (Exchange, 10),
    (Wait, 8),
    (Sibling, 4),
    (Nested, 4),
    (HalfRun, 4),
    (Park, 2),
    (Deadline, 3),
    (Shield, 2),
    (Bracket, 3),
    (Defer, 3),
    (UntilCancelled, 3),
    (Local, 3),
    (Blocking, 2),
    (BlockInPlace, 2),
    (InnerRuntime, 1),
    (GiveUp, 4),
    (Combine, 3),
    (Start, 2),
    (Open, 4),
    (CancelScope, 4),
    (Watch, 3),
    (Outcomes, 3),
    (Places, 3),
];

const EVERYTHING: &[(Step, u64)] = &[
    (Yield, 8),
    (Sleep, 3),
    (Checkpoint, 2),
    (Exchange, 10),
    (Wait, 8),
    (Sibling, 4),
    (Nested, 4),
    (HalfRun, 4),
    (Park, 2),
    (Deadline, 3),
    (Shield, 2),
    (Bracket, 3),
    (Defer, 3),
    (UntilCancelled, 3),
    (Local, 3),
    (Blocking, 2),
    (BlockInPlace, 2),
    (InnerRuntime, 1),
    (GiveUp, 4),
    (Combine, 3),
    (Start, 2),
    (Open, 4),
    (CancelScope, 4),
    (Watch, 3),
    (Outcomes, 3),
    (Places, 3),
    (Waker, 4),
    (Mischief, 5),
];

const EXCHANGE: &[(Step, u64)] = &[
    (Yield, 6),
    (Sleep, 2),
    (Exchange, 20),
    (Wait, 12),
    (Sibling, 4),
    (Nested, 5),
    (HalfRun, 2),
    (Park, 3),
    (Deadline, 2),
    (Bracket, 2),
    (Defer, 2),
    (UntilCancelled, 2),
    (Local, 3),
    (Blocking, 1),
    (GiveUp, 4),
    (Open, 5),
    (CancelScope, 3),
    (Watch, 3),
    (Places, 2),
];

const A1: &[(Step, u64)] = &[
    (Yield, 4),
    (Exchange, 8),
    (HalfRun, 8),
    (Local, 6),
    (Deadline, 3),
    (Nested, 3),
];

const A2: &[(Step, u64)] = &[(Yield, 10), (Sibling, 6), (InnerRuntime, 4)];

const B1: &[(Step, u64)] = &[
    (Yield, 6),
    (Exchange, 12),
    (Wait, 10),
    (Sibling, 3),
    (Nested, 6),
    (Defer, 1),
];

const B7: &[(Step, u64)] = &[(Yield, 4), (Sibling, 2), (Nested, 4), (Shield, 1)];

impl Step {
    /// By its name, in lower case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let steps = EVERYTHING.iter().map(|&(step, _)| step);
        let mut named = steps.filter(|step| format!("{step:?}").eq_ignore_ascii_case(name));
        named.next()
    }
}

/// What is left out, so that a run can get past a known fault.
#[derive(Clone, Debug, Default)]
pub(crate) struct Without {
    steps: Vec<Step>,
    progress: bool,
    cut_off: bool,
    shutdowns: bool,
    errors: bool,
}

impl Without {
    /// Leaves out the step or check with this name; `None` if there is none.
    pub(crate) fn add(&mut self, name: &str) -> Option<()> {
        match name {
            "progress" => self.progress = true,
            "cutoff" => self.cut_off = true,
            "errors" => self.errors = true,
            "shutdowns" => self.shutdowns = true,
            _ => self.steps.push(Step::named(name)?),
        }
        Some(())
    }

    pub(crate) fn step(&self, step: Step) -> bool {
        self.steps.contains(&step)
    }
}

impl Mode {
    pub(crate) const ALL: [(&str, Self); 9] = [
        ("everything", Self::Everything),
        ("tame", Self::Tame),
        ("exchange", Self::Exchange),
        ("tokio", Self::Tokio),
        ("light", Self::Light),
        ("a1", Self::A1),
        ("a2", Self::A2),
        ("b1", Self::B1),
        ("b7", Self::B7),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find_map(|(own, mode)| (own == name).then_some(mode))
    }

    pub(crate) fn name(self) -> &'static str {
        let named = Self::ALL.into_iter().find(|&(_, mode)| mode == self);
        named.map_or("", |(name, _)| name)
    }

    fn weights(self) -> &'static [(Step, u64)] {
        match self {
            Self::Everything | Self::Tokio | Self::Light => EVERYTHING,
            Self::Tame => TAME,
            Self::Exchange => EXCHANGE,
            Self::A1 => A1,
            Self::A2 => A2,
            Self::B1 => B1,
            Self::B7 => B7,
        }
    }

    /// The next thing to do.
    pub(crate) fn step(self, random: &mut Random) -> Step {
        let weights = self.weights();
        let total = weights.iter().map(|(_, weight)| weight).sum();
        let mut drawn = random.below(total);
        for &(step, weight) in weights {
            match drawn.checked_sub(weight) {
                Some(rest) => drawn = rest,
                None => return step,
            }
        }
        Yield
    }

    /// Whether errors, destructors and wakers misbehave, and children panic.
    pub(crate) fn misbehaves(self) -> bool {
        matches!(self, Self::Everything | Self::Tokio | Self::Light)
    }

    /// Whether it concentrates on one kind of fault.
    fn is_aimed(self) -> bool {
        matches!(self, Self::A1 | Self::A2 | Self::B1 | Self::B7)
    }

    /// Whether `Display` and `source` of an error may panic or fail.
    pub(crate) fn has_bad_errors(self, without: &Without) -> bool {
        self.misbehaves() && !without.errors
    }

    /// Whether the counts of a progress have to add up.
    pub(crate) fn checks_progress(self, without: &Without) -> bool {
        !self.is_aimed() && !without.progress
    }

    /// Whether a group must not return `Ok` if children were cut off.
    pub(crate) fn checks_cut_off(self, without: &Without) -> bool {
        !self.is_aimed() && !without.cut_off
    }

    /// In how many of ten rounds runtimes are shut down before their tasks have ended.
    pub(crate) fn shutdowns(self, without: &Without) -> u64 {
        match self {
            _ if without.shutdowns => 0,
            Self::Exchange | Self::B1 => 8,
            Self::B7 => 10,
            Self::A1 | Self::A2 => 0,
            _ => 4,
        }
    }

    pub(crate) fn driver(self, random: &mut Random) -> Driver {
        match self {
            Self::Tokio | Self::B7 => Driver::Tokio,
            Self::Light => Driver::Light,
            // The faults that these concentrate on were in the driver of light children.
            Self::A2 => Driver::Light,
            _ if random.one_in(2) => Driver::Tokio,
            _ => Driver::Light,
        }
    }
}
