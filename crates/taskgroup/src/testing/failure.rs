//! The outcome of an exploration, and its text.

use std::fmt;

use super::pump::StepTaken;
use super::schedule::Schedule;

/// How a run failed.
///
/// ```
/// use taskgroup::testing::{Explorer, Symptom};
///
/// let explorer = Explorer::new();
/// let run = explorer.run(0..10, async || Err::<(), _>("broken"));
/// match run.unwrap_err().symptom() {
///     Symptom::Failed(text) => assert!(text.contains("broken")),
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Symptom {
    /// The program panicked.
    Panicked(String),
    /// The program returned an error, which is drawn whole here.
    Failed(String),
    /// The program had not ended at the limit of virtual time: it waits for something that never
    /// comes. These tasks were alive.
    Stuck(Vec<String>),
    /// The program was still busy after this number of steps.
    Endless(u64),
    /// The program ended, and left this behind.
    Leak(Vec<String>),
}

impl Symptom {
    /// Whether both are the same variant.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(message) => write!(f, "it panicked: {message}"),
            Self::Failed(error) => write!(f, "it failed: {error}"),
            Self::Stuck(alive) if alive.is_empty() => {
                f.write_str("it waits for something that never comes")
            }
            Self::Stuck(alive) => {
                f.write_str("it waits for something that never comes; alive are")?;
                alive.iter().try_for_each(|one| write!(f, "\n    {one}"))
            }
            Self::Endless(steps) => write!(f, "it is still busy after {steps} steps"),
            Self::Leak(left) => {
                f.write_str("it ended and left behind")?;
                left.iter().try_for_each(|one| write!(f, "\n    {one}"))
            }
        }
    }
}

/// A run that failed: how, and the schedule that makes it fail again.
///
/// Its text has all of this, with the steps of the run.
///
/// ```
/// use taskgroup::testing::Explorer;
///
/// let failure =
///     Explorer::new().run(0..10, async || Err::<(), _>("broken")).unwrap_err();
/// assert_eq!(failure.seed(), Some(0)); // of the first run that failed
/// println!("{failure}"); // with the steps of the run
/// ```
#[derive(Debug)]
pub struct Failure {
    pub(super) seed: Option<u64>,
    pub(super) runs: u64,
    pub(super) symptom: Symptom,
    pub(super) schedule: Schedule,
    pub(super) repeats: bool,
    pub(super) panics: Vec<String>,
    pub(super) steps: Vec<StepTaken>,
}

impl Failure {
    /// The seed of the run; `None` when it was a replay.
    #[must_use]
    pub fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// The number of runs up to this one, including it.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// What happened.
    #[must_use]
    pub fn symptom(&self) -> &Symptom {
        &self.symptom
    }

    /// The schedule, made small, for [`replay`](super::replay).
    #[must_use]
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Whether the same schedule made the same happen again. If not, the program has a source of
    /// chance of its own.
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.repeats
    }
}

/// The most steps that are printed.
const SHOWN: usize = 60;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seed {
            Some(seed) => write!(f, "seed {seed} (run {}): {}", self.runs, self.symptom)?,
            None => write!(f, "the replayed run: {}", self.symptom)?,
        }
        for panic in &self.panics {
            write!(f, "\n  {}", panic.replace('\n', "\n  "))?;
        }
        if !self.repeats {
            return write!(
                f,
                "\nThe same schedule did not make it happen again, so something in the program is left to chance: \
                 `select!` without `biased`, a hash map's order, a thread, the real time."
            );
        }
        write!(
            f,
            "\nschedule {} ({} not in order of arrival); again: `taskgroup::testing::replay(\"{0}\", …)` \
             or TASKGROUP_SCHEDULE={0}",
            self.schedule,
            self.schedule.deviations()
        )?;
        for (number, step) in self.steps.iter().take(SHOWN).enumerate() {
            write!(f, "\n{:>5}  {}", number + 1, step.task)?;
            if step.waiting > 1 {
                write!(f, " (one of {})", step.waiting)?;
            }
        }
        if self.steps.len() > SHOWN {
            write!(f, "\n       … and {} more", self.steps.len() - SHOWN)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// What an exploration without a failure has seen.
///
/// ```
/// use taskgroup::TaskGroup;
/// use taskgroup::testing::Explorer;
///
/// let report = Explorer::new().run(0..20, async || {
///     TaskGroup::run(async |group| {
///         group.spawn(async {});
///         group.spawn(async {});
///         Ok(())
///     })
///     .await
/// });
/// let report = report.unwrap();
/// assert_eq!(report.runs(), 20);
/// assert!(report.distinct() >= 2); // the two children ran in both orders
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub(super) runs: u64,
    pub(super) distinct: u64,
    pub(super) steps: u64,
}

impl Report {
    /// How many times the program ran.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// In how many different orders.
    #[must_use]
    pub fn distinct(&self) -> u64 {
        self.distinct
    }

    /// How many times tasks were polled in all runs together.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} runs in {} different orders, {} steps",
            self.runs, self.distinct, self.steps
        )
    }
}
