//! Runs many programs against one oracle. Gives the counts, or the first difference, shrunk.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::compare::{Verdict, compare};
use crate::generate::generate;
use crate::oracle::{Error, Interpreter, Oracle, Process};
use crate::ours::Library;
use crate::program::{Block, size};
use crate::rules::{Counts, Rule};
use crate::shrink::shrink;
use crate::trace::Trace;

/// What to run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The oracle.
    pub against: Oracle,
    /// What is compared with it.
    pub subject: Subject,
    /// How many programs.
    pub programs: u64,
    /// The seed of the first program. The next ones count up from it.
    pub seed: u64,
    /// How many oracle processes run in parallel.
    pub jobs: u64,
    /// Whether to shrink a difference.
    pub shrink: bool,
}

/// What is compared with an oracle.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    /// The library.
    Library(Library),
    /// Another oracle, which tests the neutral form itself.
    Oracle(Oracle),
}

impl Subject {
    fn start(self) -> Result<Box<dyn Interpreter>, Error> {
        Ok(match self {
            Self::Library(library) => Box::new(library),
            Self::Oracle(oracle) => Box::new(Process::start(oracle)?),
        })
    }
}

/// The result of a campaign.
#[derive(Debug, Default)]
pub struct Report {
    /// How many programs were compared.
    pub programs: u64,
    /// How many statements they contained.
    pub statements: u64,
    /// How many events were compared.
    pub events: u64,
    /// The named differences: how often each occurred, and in how many programs.
    pub rules: BTreeMap<Rule, (u64, u64)>,
    /// The first difference without a name.
    pub difference: Option<Difference>,
}

/// A difference that no rule explains.
#[derive(Debug)]
pub struct Difference {
    /// The seed of the program that showed it.
    pub seed: u64,
    /// A small program that shows it.
    pub program: Block,
    /// The trace of the oracle.
    pub oracle: Trace,
    /// The trace of the subject.
    pub subject: Trace,
}

impl Report {
    fn count(&mut self, program: &Block, counts: &Counts, events: u64) {
        self.programs += 1;
        self.events += events;
        self.statements += size(program) as u64;
        for (rule, count) in counts {
            let entry = self.rules.entry(*rule).or_default();
            entry.0 += count;
            entry.1 += 1;
        }
    }

    fn add(&mut self, other: Self) {
        self.programs += other.programs;
        self.statements += other.statements;
        self.events += other.events;
        for (rule, (times, programs)) in other.rules {
            let entry = self.rules.entry(rule).or_default();
            entry.0 += times;
            entry.1 += programs;
        }
        if self.difference.is_none() {
            self.difference = other.difference;
        }
    }
}

impl Campaign {
    /// Runs the campaign to its end, or to the first unexplained difference.
    ///
    /// # Errors
    /// If an oracle cannot be started or fails.
    pub fn run(&self) -> Result<Report, Error> {
        let report = Mutex::new(Report::default());
        let failure = Mutex::new(None);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for job in 0..self.jobs {
                let (report, failure, stop) = (&report, &failure, &stop);
                scope.spawn(move || match self.job(job, stop) {
                    Ok(part) => lock(report).add(part),
                    Err(error) => {
                        stop.store(true, Ordering::Relaxed);
                        lock(failure).get_or_insert(error);
                    }
                });
            }
        });
        match failure
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
        {
            Some(error) => Err(error),
            None => Ok(report
                .into_inner()
                .unwrap_or_else(std::sync::PoisonError::into_inner)),
        }
    }

    fn job(&self, job: u64, stop: &AtomicBool) -> Result<Report, Error> {
        let mut oracle = Process::start(self.against)?;
        let mut subject = self.subject.start()?;
        let mut report = Report::default();
        let mut index = job;
        while index < self.programs && !stop.load(Ordering::Relaxed) {
            let seed = self.seed.wrapping_add(index);
            let program = generate(seed);
            match compare(&program, &mut oracle, subject.as_mut())? {
                Verdict::Same { rules, events } => report.count(&program, &rules, events),
                Verdict::Different { .. } => {
                    stop.store(true, Ordering::Relaxed);
                    report.difference =
                        Some(self.reduce(seed, program, &mut oracle, subject.as_mut())?);
                }
            }
            index += self.jobs;
        }
        Ok(report)
    }

    /// For every rule that applied, a small program to which it applies.
    ///
    /// # Errors
    /// If an oracle cannot be started or fails.
    pub fn examples(&self) -> Result<BTreeMap<Rule, Block>, Error> {
        let mut oracle = Process::start(self.against)?;
        let mut subject = self.subject.start()?;
        let mut examples = BTreeMap::new();
        for seed in (self.seed..).take(usize::try_from(self.programs)?) {
            let program = generate(seed);
            let Verdict::Same { rules, .. } = compare(&program, &mut oracle, subject.as_mut())?
            else {
                continue;
            };
            for rule in rules.into_keys() {
                let Entry::Vacant(entry) = examples.entry(rule) else {
                    continue;
                };
                let small = shrink(program.clone(), |candidate| {
                    let verdict = compare(candidate, &mut oracle, subject.as_mut())?;
                    Ok::<_, Error>(
                        matches!(verdict, Verdict::Same { rules, .. } if rules.contains_key(&rule)),
                    )
                })?;
                entry.insert(small);
            }
        }
        Ok(examples)
    }

    fn reduce(
        &self,
        seed: u64,
        mut program: Block,
        oracle: &mut dyn Interpreter,
        subject: &mut dyn Interpreter,
    ) -> Result<Difference, Error> {
        if self.shrink {
            program = shrink(program, |candidate| {
                compare(candidate, oracle, subject)
                    .map(|verdict| matches!(verdict, Verdict::Different { .. }))
            })?;
        }
        let (oracle, subject) = (
            oracle.run(&program, 0)?.trace,
            subject.run(&program, 0)?.trace,
        );
        Ok(Difference {
            seed,
            program,
            oracle,
            subject,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unexplained = u64::from(self.difference.is_some());
        writeln!(
            f,
            "{} programs of {} statements compared in {} events, {unexplained} unexplained differences",
            self.programs + unexplained,
            self.statements,
            self.events
        )?;
        if !self.rules.is_empty() {
            writeln!(f, "named differences (how often, in how many programs):")?;
        }
        for (rule, (times, programs)) in &self.rules {
            writeln!(f, "{times:>9} {programs:>8}  {rule}")?;
        }
        self.difference
            .as_ref()
            .map_or(Ok(()), |difference| write!(f, "{difference}"))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "unexplained difference, first seen with --seed {} --programs 1, shrunk to:",
            self.seed
        )?;
        writeln!(f, "{}", crate::print::program(&self.program))?;
        writeln!(
            f,
            "as JSON: {}",
            serde_json::to_string(&self.program).map_err(|_| fmt::Error)?
        )?;
        for (who, here, there) in [
            ("oracle", &self.oracle, &self.subject),
            ("subject", &self.subject, &self.oracle),
        ] {
            writeln!(f, "trace of the {who} (> where they differ):")?;
            let other = there.lines();
            for line in here.lines() {
                let mark = if other.contains(&line) { ' ' } else { '>' };
                writeln!(f, "{mark} {line}")?;
            }
        }
        Ok(())
    }
}
