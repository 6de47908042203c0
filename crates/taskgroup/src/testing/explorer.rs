//! Runs a program under many orders of its tasks.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::failure::{Failure, Report, Symptom};
use super::pump::{Course, Gate, Pump, StepTaken};
use super::quiet::quietly;
use super::schedule::{Schedule, Source};
use super::shrink::shrink;
use crate::error::{BoxError, ErrorGroup};
use crate::scope::driver::Runtime;
use crate::scope::section::{Ended, Ends, Section};
use crate::scope::task::{TaskOutput, converted};
use crate::scope::tree::{Kind, Scope};

/// The settings of an exploration. [`explore`](super::explore) uses the defaults.
///
/// ```
/// use taskgroup::{TaskGroup, testing::Explorer};
///
/// let report = Explorer::new().steps(10_000).run(0..50, async || {
///     TaskGroup::run(async |group| {
///         group.spawn(tokio::task::yield_now());
///         group.spawn(tokio::task::yield_now());
///         Ok(())
///     })
///     .await
/// });
/// let report = report.unwrap();
/// assert_eq!(report.runs(), 50);
/// assert!(report.distinct() > 2, "{report}");
/// ```
#[derive(Clone, Debug)]
#[must_use = "an explorer does nothing until `run`"]
pub struct Explorer {
    limit: Duration,
    steps: u64,
    shrink: bool,
    detached: bool,
}

impl Default for Explorer {
    fn default() -> Self {
        Self::new()
    }
}

/// The outcome of one run.
pub(super) struct Run {
    pub(super) symptom: Option<Symptom>,
    pub(super) schedule: Schedule,
    steps: u64,
    names: Vec<StepTaken>,
    panics: Vec<String>,
}

impl Explorer {
    /// The defaults: a day of virtual time and 100 000 steps for each run. Failing schedules are
    /// shortened. Detached Tokio tasks are leaks.
    pub fn new() -> Self {
        Self {
            limit: Duration::from_secs(24 * 3600),
            steps: 100_000,
            shrink: true,
            detached: false,
        }
    }

    /// A run that has not ended after this much virtual time is [stuck](Symptom::Stuck). Virtual
    /// time jumps over idle time, so the limit may be long. Reaching it takes real time only where
    /// something ticks for ever.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// A run that is still busy after this number of polls is [endless](Symptom::Endless).
    pub fn steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }

    /// Whether to shorten a failing schedule, by up to a few hundred more runs.
    pub fn shrink(mut self, shrink: bool) -> Self {
        self.shrink = shrink;
        self
    }

    /// Whether tasks of `tokio::spawn` may be alive when the program ends.
    pub fn allow_detached(mut self, allow: bool) -> Self {
        self.detached = allow;
        self
    }

    /// Runs `program` once for each seed, until one fails.
    ///
    /// # Errors
    /// [`Failure`], for the first seed whose run failed.
    ///
    /// # Panics
    /// Inside a Tokio runtime, since each run has a runtime of its own.
    #[track_caller]
    pub fn run<T: TaskOutput>(
        &self,
        seeds: impl IntoIterator<Item = u64>,
        program: impl AsyncFn() -> T,
    ) -> Result<Report, Box<Failure>> {
        let location = Location::caller();
        let mut report = Report::default();
        let mut orders = HashSet::new();
        for seed in seeds {
            let run = self.once(Source::Seed(seed), false, &program, location);
            report.runs += 1;
            report.steps += run.steps;
            if run.symptom.is_some() {
                return Err(self.failure(Some(seed), report.runs, run, &program, location));
            }
            orders.insert(run.schedule);
        }
        report.distinct = orders.len() as u64;
        Ok(report)
    }

    /// Runs `program` once under a schedule that was printed before.
    ///
    /// # Errors
    /// [`Failure`], when the run failed, with its steps.
    ///
    /// # Panics
    /// Inside a Tokio runtime.
    #[track_caller]
    pub fn replay<T: TaskOutput>(
        &self,
        schedule: &Schedule,
        program: impl AsyncFn() -> T,
    ) -> Result<Report, Box<Failure>> {
        let location = Location::caller();
        let source = Source::Schedule(schedule.clone());
        let run = self.once(source, true, &program, location);
        match run.symptom {
            None => Ok(Report {
                runs: 1,
                distinct: 1,
                steps: run.steps,
            }),
            Some(symptom) => Err(Box::new(Failure {
                seed: None,
                runs: 1,
                symptom,
                schedule: run.schedule,
                repeats: true,
                panics: run.panics,
                steps: run.names,
            })),
        }
    }

    /// Shortens the failing schedule and describes what happens under it.
    fn failure<T: TaskOutput>(
        &self,
        seed: Option<u64>,
        runs: u64,
        found: Run,
        program: &impl AsyncFn() -> T,
        location: &'static Location<'static>,
    ) -> Box<Failure> {
        let Some(first) = found.symptom else {
            unreachable!("only a run that went wrong is a failure")
        };
        let again = |schedule: &Schedule, with_names| {
            let source = Source::Schedule(schedule.clone());
            let run = self.once(source, with_names, program, location);
            let same = run
                .symptom
                .as_ref()
                .is_some_and(|symptom| symptom.is_like(&first));
            same.then_some(run)
        };
        // Each attempt at one that never ends would take as long as the first.
        let small = if self.shrink && !matches!(first, Symptom::Endless(_)) {
            shrink(&found.schedule, |schedule| again(schedule, false).is_some())
        } else {
            found.schedule.clone()
        };
        let last = again(&small, true);
        Box::new(match last {
            Some(run) => Failure {
                seed,
                runs,
                symptom: run.symptom.unwrap_or(first),
                schedule: small,
                repeats: true,
                panics: run.panics,
                steps: run.names,
            },
            None => Failure {
                seed,
                runs,
                symptom: first,
                schedule: found.schedule,
                repeats: false,
                panics: found.panics,
                steps: Vec::new(),
            },
        })
    }

    fn once<T: TaskOutput>(
        &self,
        source: Source,
        with_names: bool,
        program: &impl AsyncFn() -> T,
        location: &'static Location<'static>,
    ) -> Run {
        assert!(
            tokio::runtime::Handle::try_current().is_err(),
            "an exploration has runtimes of its own: call it from a plain `#[test]`, outside of Tokio"
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => panic!("cannot build a Tokio runtime: {error}"),
        };
        let course = {
            let _inside = runtime.enter();
            Course::new(Runtime::current(), source, self.steps, with_names)
        };
        let (symptom, panics) = quietly(|| {
            let run = || runtime.block_on(self.watch(&course, program, location));
            let symptom = catch_unwind(AssertUnwindSafe(run));
            // What is left is dropped here, and may panic, too.
            let down = catch_unwind(AssertUnwindSafe(|| drop(runtime)));
            match (symptom, down) {
                (Ok(Some(symptom)), _) => Some(symptom),
                (Err(payload), _) | (_, Err(payload)) => {
                    Some(Symptom::Panicked(message(&*payload)))
                }
                (Ok(None), Ok(())) => None,
            }
        });
        Run {
            symptom,
            schedule: course.taken(),
            steps: course.done(),
            names: course.names(),
            panics,
        }
    }

    /// Runs the program inside the runtime, to its end or to a limit.
    async fn watch<T: TaskOutput>(
        &self,
        course: &Arc<Course>,
        program: &impl AsyncFn() -> T,
        location: &'static Location<'static>,
    ) -> Option<Symptom> {
        let runtime = Runtime::current();
        runtime.explore();
        tokio::spawn(Pump::new(course.clone()));
        let scope = Scope::open(Kind::Run, Scope::root().clone(), location);
        let body = async {
            match converted(program().await) {
                Err(error) => Some(Symptom::Failed(drawn(&error))),
                Ok(_) => self.leak(&runtime, course, &scope).await,
            }
        };
        let mut section = Box::pin(Section::new(scope.clone(), Ends::Any, body));
        let section = section.as_mut().ended();
        let used_up = std::future::poll_fn(|cx| course.poll_used_up(cx));
        tokio::select! {
            biased;
            ended = Gate(course.clone(), Box::pin(section)) => match ended {
                Ended::Value(symptom) => symptom,
                Ended::Panicked(caught) => {
                    Some(Symptom::Panicked(message(&*caught.payload)))
                }
                Ended::Dropped => unreachable!("nobody knows the scope to cancel it"),
            },
            () = used_up => Some(Symptom::Endless(course.done())),
            () = tokio::time::sleep(self.limit) => Some(Symptom::Stuck(super::alive(&scope))),
        }
    }

    /// What is left when the program has ended and everything that could run at that instant has
    /// run.
    async fn leak(
        &self,
        runtime: &Arc<Runtime>,
        course: &Course,
        scope: &Arc<Scope>,
    ) -> Option<Symptom> {
        while course.alone() < TURNS {
            tokio::task::yield_now().await;
        }
        let mut left = super::alive(scope);
        let detached = runtime.foreign_tasks();
        if detached > 0 && !self.detached {
            left.push(format!("{detached} of `tokio::spawn`"));
        }
        (!left.is_empty()).then_some(Symptom::Leak(left))
    }
}

/// The number of turns that what a program leaves behind has to end.
const TURNS: u32 = 16;

fn message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "with a payload that is not text".into())
}

fn drawn(error: &BoxError) -> String {
    match error.downcast_ref::<ErrorGroup>() {
        Some(group) => format!("{group:#}"),
        None => error.to_string(),
    }
}
