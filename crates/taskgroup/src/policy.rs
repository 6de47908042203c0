//! When a group stops by itself.

/// What ends a group early, and so which outcomes it is made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Policy {
    /// The first failure cancels the body and all children.
    #[default]
    FailFast,
}

/// How the children of a group fared so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) succeeded: usize,
    pub(crate) failed: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    GoOn,
    Stop,
}

impl Policy {
    pub(crate) fn judge(self, tally: &Tally) -> Verdict {
        match self {
            Self::FailFast if tally.failed > 0 => Verdict::Stop,
            Self::FailFast => Verdict::GoOn,
        }
    }

    /// Whether successes change the verdict.
    pub(crate) fn counts_successes(self) -> bool {
        false
    }
}
