//! When a group stops by itself, and which failures it tolerates.

use std::error::Error;
use std::fmt;

/// When a group stops by itself, and which failures it tolerates. Given to
/// [`GroupBuilder::policy`](crate::GroupBuilder::policy).
///
/// | policy | the children are cancelled | the group fails |
/// |---|---|---|
/// | [`fail_fast`](Self::fail_fast), the default | at the first failure | with every failure |
/// | [`collect`](Self::collect) | never | with every failure, after all have ended |
/// | [`stop_after`](Self::stop_after)`(n)` | at the n-th failure | with every failure |
/// | [`first_success`](Self::first_success) | at the first success | when no child succeeded, with every failure |
/// | [`quorum`](Self::quorum)`(n)` | at the n-th success | when fewer succeeded, with every failure |
///
/// A failure is an `Err` or a panic of a child. The body is not a child: its failure always ends
/// the group, and its value does not count as a success. Under every policy the group waits for
/// everything in it, and nothing hangs when all children fail.
///
/// ```
/// use taskgroup::{BoxError, Policy, TaskGroup};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let mut pages = Vec::new();
/// let errors = TaskGroup::builder()
///     .policy(Policy::collect())
///     .run(async |group| {
///         for id in 1..=4 {
///             let page = async move { if id % 2 == 0 { Err(format!("{id} is even")) } else { Ok(id) } };
///             pages.push(group.spawn(page));
///         }
///         Ok(())
///     })
///     .await
///     .unwrap_err();
/// assert_eq!(errors.len(), 2);
/// let odd: Vec<i32> = pages.iter().filter_map(|page| page.outcome()?.ok().copied()).collect();
/// assert_eq!(odd, [1, 3]);
/// # }
/// ```
///
/// The ideas are Kotlin's `supervisorScope` and `select`, and Java's `Joiner`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "supervisorScope")]
#[doc(alias = "return_exceptions")]
#[doc(alias = "Joiner")]
pub struct Policy {
    /// This number of failures ends the group.
    failures: Option<usize>,
    /// This number of successes ends the group.
    successes: Option<usize>,
}

impl Policy {
    /// The first failure cancels the body and all children.
    #[must_use]
    pub const fn fail_fast() -> Self {
        Self::stop_after(1)
    }

    /// A failure cancels nothing: all children run to their end, then all failures come out. The
    /// values are in the handles. See also
    /// [`GroupBuilder::run_to_end`](crate::GroupBuilder::run_to_end) and [`settle`](crate::settle).
    ///
    /// # Memory
    /// The group keeps every failure until it ends: about 300 bytes each, and what the error holds.
    /// A server that lives for months grows by that whenever a child fails. Let such children
    /// handle their errors themselves and return `Ok`.
    #[must_use]
    #[doc(alias = "supervise")]
    pub const fn collect() -> Self {
        Self {
            failures: None,
            successes: None,
        }
    }

    /// The first child that succeeds ends the group. Failures before it are tolerated.
    #[must_use]
    #[doc(alias = "any")]
    pub const fn first_success() -> Self {
        Self::quorum(1)
    }

    /// The group ends as soon as `successes` children have succeeded. Failures are tolerated. Zero
    /// counts as one.
    #[must_use]
    pub const fn quorum(successes: usize) -> Self {
        Self {
            failures: None,
            successes: Some(at_least_one(successes)),
        }
    }

    /// The group ends at the failure number `failures`. Failures before it cancel nothing. Zero
    /// counts as one.
    #[must_use]
    pub const fn stop_after(failures: usize) -> Self {
        Self {
            failures: Some(at_least_one(failures)),
            successes: None,
        }
    }

    /// As this policy, but the group also ends at failure number `failures`:
    /// `Policy::quorum(3).or_stop_after(2)`. Zero counts as one.
    #[must_use]
    pub const fn or_stop_after(mut self, failures: usize) -> Self {
        self.failures = Some(at_least_one(failures));
        self
    }

    pub(crate) fn judge(self, tally: Tally) -> Verdict {
        let reached = |limit: Option<usize>, count| limit.is_some_and(|limit| count >= limit);
        if reached(self.successes, tally.succeeded) {
            Verdict::Satisfied
        } else if reached(self.failures, tally.failed) {
            Verdict::Failed
        } else {
            Verdict::GoOn
        }
    }

    /// The number of successes that it asks for.
    pub(crate) fn wanted(self) -> Option<usize> {
        self.successes
    }
}

const fn at_least_one(count: usize) -> usize {
    if count == 0 { 1 } else { count }
}

impl Default for Policy {
    /// [`fail_fast`](Self::fail_fast).
    fn default() -> Self {
        Self::fail_fast()
    }
}

/// What a policy has to judge: failures of children and of what the group has adopted, and, under a
/// policy that wants successes, the values of children that are no background children.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) succeeded: usize,
    pub(crate) failed: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    GoOn,
    /// Enough have succeeded.
    Satisfied,
    /// Too many have failed.
    Failed,
}

/// The error of a group that ended with fewer successes than its [`Policy`] asks for, and in which
/// no child failed: there were too few children.
///
/// Where children failed, the group fails with their failures and without this error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumMissed {
    wanted: usize,
    succeeded: usize,
}

impl QuorumMissed {
    pub(crate) fn new(wanted: usize, succeeded: usize) -> Self {
        Self { wanted, succeeded }
    }

    /// The number of successes that the policy asks for.
    #[must_use]
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// The number of children that succeeded.
    #[must_use]
    pub fn succeeded(&self) -> usize {
        self.succeeded
    }
}

impl fmt::Display for QuorumMissed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, succeeded } = self;
        write!(
            f,
            "{succeeded} of the {wanted} successes that were asked for"
        )
    }
}

impl Error for QuorumMissed {}
