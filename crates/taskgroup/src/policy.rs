//! When a group stops by itself, and which failures it tolerates.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::error::TaskError;
use crate::gate::{self, Foreign};

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
/// | [`stop_if`](Self::stop_if)`(fatal)` | at a failure that is `fatal` | with every failure |
/// | [`report`](Self::report)`(hook)` | never | never: `hook` gets each failure, and none is kept |
///
/// [`or_stop_after`](Self::or_stop_after), [`or_stop_if`](Self::or_stop_if) and
/// [`reporting`](Self::reporting) extend a policy.
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
///             let page = async move {
///                 if id % 2 == 0 { Err(format!("{id} is even")) } else { Ok(id) }
///             };
///             pages.push(group.spawn(page));
///         }
///         Ok(())
///     })
///     .await
///     .unwrap_err();
/// assert_eq!(errors.len(), 2);
/// let odd: Vec<i32> =
///     pages.iter().filter_map(|page| page.outcome()?.ok().copied()).collect();
/// assert_eq!(odd, [1, 3]);
/// # }
/// ```
///
/// The ideas are Kotlin's `supervisorScope`, its `CoroutineExceptionHandler` and `select`, Swift's
/// discarding groups, and Java's `Joiner`.
#[derive(Clone)]
#[doc(alias = "supervisorScope")]
#[doc(alias = "return_exceptions")]
#[doc(alias = "Joiner")]
pub struct Policy {
    /// This number of failures ends the group.
    failures: Option<usize>,
    /// This number of successes ends the group.
    successes: Option<usize>,
    /// A failure for which this is true ends the group.
    stop_if: Option<Arc<Foreign<Predicate>>>,
    /// This gets the failures that do not end the group.
    report: Option<Arc<Foreign<Hook>>>,
}

type Predicate = Box<dyn Fn(&TaskError) -> bool + Send + Sync>;
type Hook = Box<dyn Fn(&TaskError) + Send + Sync>;

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
    /// A server that lives for months grows by that whenever a child fails. Use
    /// [`report`](Self::report) there.
    #[must_use]
    #[doc(alias = "supervise")]
    pub const fn collect() -> Self {
        Self {
            failures: None,
            successes: None,
            stop_if: None,
            report: None,
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
        let mut policy = Self::collect();
        policy.successes = Some(at_least_one(successes));
        policy
    }

    /// The group ends at the failure number `failures`. Failures before it cancel nothing. Zero
    /// counts as one.
    #[must_use]
    pub const fn stop_after(failures: usize) -> Self {
        Self::collect().or_stop_after(failures)
    }

    /// A failure cancels nothing and is not kept: `hook` gets each failure as it comes. Use it for
    /// a group that lives as long as its program. It is the same as
    /// [`collect`](Self::collect)`().`[`reporting`](Self::reporting)`(hook)`.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use taskgroup::{Policy, TaskGroup};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let (told, reports) = mpsc::channel();
    /// let server = TaskGroup::builder()
    ///     .policy(Policy::report(move |failure| {
    ///         let _ = told.send(failure.to_string());
    ///     }))
    ///     .run(async |group| {
    ///         group.task("request").spawn(async { Err::<(), _>("connection reset") });
    ///         Ok(())
    ///     });
    /// assert!(server.await.is_ok());
    /// assert_eq!(reports.recv().unwrap(), "task `request` failed: connection reset");
    /// # }
    /// ```
    #[must_use]
    #[doc(alias = "CoroutineExceptionHandler")]
    #[doc(alias = "withDiscardingTaskGroup")]
    pub fn report(hook: impl Fn(&TaskError) + Send + Sync + 'static) -> Self {
        Self::collect().reporting(hook)
    }

    /// The group ends at a failure for which `fatal` is true. Other failures cancel nothing. It is
    /// the same as [`collect`](Self::collect)`().`[`or_stop_if`](Self::or_stop_if)`(fatal)`.
    ///
    /// ```
    /// use std::io;
    /// use taskgroup::{Policy, TaskGroup};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let out_of_space = |failure: &taskgroup::TaskError| {
    ///     failure
    ///         .find::<io::Error>()
    ///         .is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
    /// };
    /// let run = TaskGroup::builder().policy(Policy::stop_if(out_of_space)).run(
    ///     async |group| {
    ///         group.spawn(async {
    ///             Err::<(), _>(io::Error::from(io::ErrorKind::NotFound))
    ///         }); // goes on
    ///         group.spawn(std::future::pending::<()>());
    ///         group.spawn(async {
    ///             Err::<(), _>(io::Error::from(io::ErrorKind::StorageFull))
    ///         }); // stops
    ///         Ok(())
    ///     },
    /// );
    /// assert_eq!(run.await.unwrap_err().len(), 2);
    /// # }
    /// ```
    #[must_use]
    pub fn stop_if(fatal: impl Fn(&TaskError) -> bool + Send + Sync + 'static) -> Self {
        Self::collect().or_stop_if(fatal)
    }

    /// As this policy, but the group also ends at failure number `failures`:
    /// `Policy::quorum(3).or_stop_after(2)`. Zero counts as one.
    #[must_use]
    pub const fn or_stop_after(mut self, failures: usize) -> Self {
        self.failures = Some(at_least_one(failures));
        self
    }

    /// As this policy, but the group also ends at a failure for which `fatal` is true. It replaces
    /// an earlier predicate.
    ///
    /// The predicate gets each failure once. The thread on which the child ends calls it, with no
    /// lock held, so it must not block. A predicate that panics stops the group, and the [warning
    /// hook](crate::observe::set_warning_hook) gets a report of the panic.
    #[must_use]
    pub fn or_stop_if(
        mut self,
        fatal: impl Fn(&TaskError) -> bool + Send + Sync + 'static,
    ) -> Self {
        let fatal: Predicate = Box::new(fatal);
        self.stop_if = Some(Arc::new(Foreign::new(PREDICATE, fatal)));
        self
    }

    /// As this policy, but a failure that does not stop the group goes to `hook` and is not kept.
    /// It replaces an earlier hook.
    ///
    /// The error of the group then has the failures that stopped it, and the failure of the body.
    /// In `Policy::report(hook).or_stop_after(3)` the third failure stops the group. The group
    /// returns it, and those that come after it.
    ///
    /// The hook gets each failure once: of a child, of cleanup and of what was left behind. The
    /// failure of a whole group comes as the failure of the task that returned it, with the
    /// [`ErrorGroup`](crate::ErrorGroup) as its error. The thread on which the child ends calls the
    /// hook, with no lock held. The child ends only after the hook has returned, so the hook must
    /// not block. If the hook panics, the [warning hook](crate::observe::set_warning_hook) gets a
    /// report of the panic, and the group keeps the failure.
    ///
    /// # Memory
    /// The group stays at constant memory, however many children fail. It remembers which failures
    /// it has handed on only while a handle or the program keeps them.
    #[must_use]
    pub fn reporting(mut self, hook: impl Fn(&TaskError) + Send + Sync + 'static) -> Self {
        let hook: Hook = Box::new(hook);
        self.report = Some(Arc::new(Foreign::new(HOOK, hook)));
        self
    }

    pub(crate) fn judge(&self, tally: Tally) -> Verdict {
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
    pub(crate) fn wanted(&self) -> Option<usize> {
        self.successes
    }

    /// Whether it has code of the program that looks at failures.
    pub(crate) fn has_hooks(&self) -> bool {
        self.stop_if.is_some() || self.report.is_some()
    }

    /// Whether failures that stop nothing are handed on and not kept.
    pub(crate) fn reports(&self) -> bool {
        self.report.is_some()
    }

    /// Whether the predicate says that this failure stops the group.
    pub(crate) fn is_fatal(&self, failure: &TaskError) -> bool {
        self.stop_if.as_ref().is_some_and(|fatal| {
            let asked = gate::call_or_report(PREDICATE, || fatal(failure));
            asked.unwrap_or(true)
        })
    }

    /// Hands a failure to the hook. Returns whether the hook has it now.
    pub(crate) fn hand_on(&self, failure: &TaskError) -> bool {
        self.report
            .as_ref()
            .is_some_and(|hook| gate::call_or_report(HOOK, || hook(failure)).is_some())
    }
}

/// The subjects of reports, if one panics.
const PREDICATE: &str = "the predicate of a policy";
const HOOK: &str = "the failure hook of a policy";

/// Two policies are equal when they count the same and have the very same hooks.
impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
            match (one, other) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (one, other) => one.is_none() && other.is_none(),
            }
        }
        self.failures == other.failures
            && self.successes == other.successes
            && same(self.stop_if.as_ref(), other.stop_if.as_ref())
            && same(self.report.as_ref(), other.report.as_ref())
    }
}

impl Eq for Policy {}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("failures", &self.failures)
            .field("successes", &self.successes)
            .field("stop_if", &self.stop_if.is_some())
            .field("reports", &self.report.is_some())
            .finish()
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
///
/// ```
/// use taskgroup::error::QuorumMissed;
/// use taskgroup::{Policy, TaskGroup};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let group = TaskGroup::builder().policy(Policy::quorum(3));
/// let run = group.run(async |group| {
///     group.spawn(async {}); // the only replica
///     Ok(())
/// });
/// let error = run.await.unwrap_err();
/// let missed = error.find::<QuorumMissed>().unwrap();
/// assert_eq!((missed.wanted(), missed.succeeded()), (3, 1));
/// # }
/// ```
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
