//! What happened: one [`Entry`] for each task, one [`Summary`] for the run.
//!
//! No duration here has the time in which the run was suspended.

use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use taskgroup::ErrorGroup;

use crate::output::{Tail, Trouble};
use crate::plan::Halt;
use crate::process::{Process, Stopped};
use crate::signals::Stop;

/// One task, or one step of cleanup, at its end.
#[derive(Debug)]
pub(crate) struct Entry {
    /// In the order in which tasks were written or read; decides the colour.
    pub(crate) id: usize,
    /// For a step of cleanup: the name of the task or group, empty for the run.
    pub(crate) cleans_up: Option<String>,
    pub(crate) name: String,
    /// The name of its group, empty for the run.
    pub(crate) group: String,
    /// What `map` ran it for, in one printable line, if the name does not say it.
    pub(crate) argument: Option<String>,
    /// The command as a user would type it.
    pub(crate) command: String,
    /// The last attempt.
    pub(crate) record: Record,
    pub(crate) attempts: u32,
    /// The attempts before the last one, with their numbers: the latest of them if there are many.
    pub(crate) earlier: Vec<(u32, Record)>,
    /// From the start of the run until the task was known: zero, except for input that `map` reads.
    pub(crate) known: Duration,
    /// From the start of the run to the first attempt; none if it was not started.
    pub(crate) began: Option<Duration>,
    /// When that was.
    pub(crate) date: Option<SystemTime>,
    /// From the start of the run until everything had ended, including cleanup.
    pub(crate) ended: Duration,
    /// Why it was cancelled or not started.
    pub(crate) because: Option<Cause>,
    /// It failed, but the failure does not count.
    pub(crate) ignored: bool,
    /// It failed in a race that was won all the same, and this is how.
    pub(crate) outrun: Option<Cause>,
}

/// One attempt.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) ending: Ending,
    /// From the start of the run to the start of the attempt; none if it was not started.
    pub(crate) began: Option<Duration>,
    /// From the start to the end, or to the request to end, apart from the time in which it was
    /// suspended; zero if it was not started.
    pub(crate) ran: Duration,
    /// From the start until no process of it was left.
    pub(crate) gone: Duration,
    /// What it took to end the rest, if it did not end by itself.
    pub(crate) stopped: Option<Stopped>,
    /// The processes that were left when the command itself had ended.
    pub(crate) left_in_background: Vec<Process>,
    /// A process that is not among those of the command still held its output.
    pub(crate) output_held: bool,
    /// The node on which it ran, if that was not this machine.
    pub(crate) node: Option<String>,
    /// What went wrong with its output.
    pub(crate) trouble: Option<Trouble>,
    pub(crate) stdout: Tail,
    pub(crate) stderr: Tail,
}

#[derive(Debug)]
pub(crate) enum Ending {
    /// Cancelled while it waited for its turn, or something before it failed.
    NotStarted,
    /// An earlier run did it.
    DoneBefore,
    CouldNotStart(io::Error),
    /// The command ended by itself, successfully or not.
    Exited(ExitStatus),
    TimedOut,
    /// The process with this name asked the terminal, which the command does not have.
    WantsTerminal(String),
    /// A service that was stopped when nothing needed it any longer.
    Served(Option<ExitStatus>),
    /// A service that ended with success, though it was needed.
    EndedEarly(ExitStatus),
    /// A service that was not ready in time. Has the check and its last result.
    NotReady(String),
    /// The command was stopped. Has the status of its leader.
    Cancelled(Option<ExitStatus>),
    /// Its outcome is unknown.
    Lost(io::Error),
}

/// Why something was cancelled or not started.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    Failed {
        name: String,
    },
    TimedOut {
        name: String,
    },
    /// One of the others ended, and the group was to end with it.
    Ended {
        name: String,
    },
    /// It came to what `--halt` says.
    Halted {
        halt: Halt,
    },
    /// A predecessor did not succeed.
    Before {
        name: String,
    },
    /// The first success of a race.
    Won {
        name: String,
    },
    /// Of the group with this name; empty for the run.
    Deadline {
        group: String,
    },
    Signal(Stop),
    Output(Arc<io::Error>),
}

/// In the journal, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    #[serde(skip)]
    pub(crate) not_started: u64,
    pub(crate) done_before: u64,
    /// Of those that succeeded: not at the first attempt.
    #[serde(skip)]
    pub(crate) flaky: u64,
    /// Of those that failed: those whose failure is ignored, or has not decided a race.
    #[serde(skip)]
    pub(crate) forgiven: u64,
    /// Of those that succeeded: services that were ended because nothing needed them any longer.
    #[serde(skip)]
    pub(crate) served: u64,
}

#[derive(Debug)]
pub(crate) struct Summary {
    /// In the order of their ids. A long `map` keeps only entries with something to report.
    pub(crate) entries: Vec<Entry>,
    pub(crate) counts: Counts,
    /// The first thing that cancelled the whole run.
    pub(crate) cause: Option<Cause>,
    /// The run has failed.
    pub(crate) failed: bool,
    /// The first signal, even if something else had cancelled the run before.
    pub(crate) signal: Option<Stop>,
    pub(crate) output_error: Option<Arc<io::Error>>,
    /// Files that could not be written.
    pub(crate) report_errors: Vec<String>,
    /// The input of `map` could not be read to its end.
    pub(crate) input_error: Option<io::Error>,
    /// More of the input of `map` may have come, so what was not started has no number.
    pub(crate) open_end: bool,
    /// A failure in the runner itself, for example a panic.
    pub(crate) internal: Option<ErrorGroup>,
    pub(crate) elapsed: Duration,
    /// When the run began.
    pub(crate) date: SystemTime,
    /// The longest, if they are asked for, with their names.
    pub(crate) slowest: Vec<(Duration, String)>,
    /// The job of Slurm, if the run had one.
    pub(crate) job: Option<JobUsed>,
}

/// A job of Slurm in which commands of the run were steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobUsed {
    pub(crate) id: String,
    pub(crate) nodes: Vec<String>,
    /// The run asked for it, and gave it back.
    pub(crate) own: bool,
    /// From the start of the run until the job was asked for.
    pub(crate) asked: Duration,
    /// From there until its nodes were there.
    pub(crate) waited: Duration,
    /// What went wrong when it was given back: a node that does not answer, for example.
    pub(crate) trouble: Option<String>,
}

impl Summary {
    /// How many tasks were not started, if that has a number.
    pub(crate) fn not_started(&self) -> Option<u64> {
        (!self.open_end).then_some(self.counts.not_started)
    }

    /// The id of the job, and what went wrong with it.
    pub(crate) fn trouble_with_job(&self) -> Option<(&str, &str)> {
        let job = self.job.as_ref()?;
        Some((&job.id, job.trouble.as_deref()?))
    }

    /// What failed, and counts.
    pub(crate) fn failures(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(|entry| entry.counts_as_failure())
    }
}

impl Entry {
    /// Why a failure of it does not count, if it does not.
    pub(crate) fn forgiven(&self) -> Option<String> {
        match &self.outrun {
            _ if self.ignored => Some("ignored".to_owned()),
            Some(won) => Some(format!("does not count, {won}")),
            None => None,
        }
    }

    pub(crate) fn is_not_started(&self) -> bool {
        matches!(self.record.ending, Ending::NotStarted)
    }

    /// It failed, and the failure counts.
    fn counts_as_failure(&self) -> bool {
        self.record.is_failure() && !self.ignored
    }

    /// It succeeded, but an attempt before had failed.
    pub(crate) fn is_flaky(&self) -> bool {
        self.record.ending.is_success() && self.failed_before().next().is_some()
    }

    /// The attempts before the last one that failed, with their numbers, as far as they are kept.
    pub(crate) fn failed_before(&self) -> impl DoubleEndedIterator<Item = &(u32, Record)> {
        let earlier = self.earlier.iter();
        earlier.filter(|(_, record)| record.is_failure())
    }

    /// There is something to report.
    pub(crate) fn is_notable(&self) -> bool {
        !self.record.is_plain() || self.is_flaky()
    }

    /// From the beginning of the first attempt to the end of the last one, with the pauses.
    pub(crate) fn took(&self) -> Duration {
        match (self.began, self.record.until()) {
            (Some(began), Some(until)) if self.attempts > 1 => until.saturating_sub(began),
            _ => self.record.ran,
        }
    }
}

impl Ending {
    pub(crate) fn is_failure(&self) -> bool {
        match self {
            Ending::NotStarted | Ending::DoneBefore | Ending::Served(_) | Ending::Cancelled(_) => {
                false
            }
            Ending::CouldNotStart(_)
            | Ending::TimedOut
            | Ending::WantsTerminal(_)
            | Ending::EndedEarly(_)
            | Ending::NotReady(_)
            | Ending::Lost(_) => true,
            Ending::Exited(status) => !status.success(),
        }
    }

    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, Ending::TimedOut | Ending::NotReady(_))
    }

    pub(crate) fn is_success(&self) -> bool {
        match self {
            Ending::Exited(status) => status.success(),
            Ending::DoneBefore | Ending::Served(_) => true,
            _ => false,
        }
    }

    /// How the command itself ended, if that is known.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        match self {
            Ending::Exited(status) | Ending::EndedEarly(status) => Some(*status),
            Ending::Cancelled(status) | Ending::Served(status) => *status,
            _ => None,
        }
    }
}

impl Record {
    /// For a command of which no process ever ran.
    pub(crate) fn without_process(ending: Ending) -> Record {
        Record {
            ending,
            began: None,
            ran: Duration::ZERO,
            gone: Duration::ZERO,
            stopped: None,
            left_in_background: Vec::new(),
            output_held: false,
            node: None,
            trouble: None,
            stdout: Tail::default(),
            stderr: Tail::default(),
        }
    }

    pub(crate) fn is_failure(&self) -> bool {
        self.ending.is_failure()
    }

    pub(crate) fn timed_out(&self) -> bool {
        self.ending.is_timeout()
    }

    /// Processes that are still there after SIGKILL.
    pub(crate) fn survivors(&self) -> &[Process] {
        self.stopped
            .as_ref()
            .map_or(&[], |stopped| &stopped.survivors)
    }

    /// A success with nothing else to report.
    pub(crate) fn is_plain(&self) -> bool {
        self.ending.is_success() && !self.has_notes()
    }

    /// Something happened that a success would not show.
    pub(crate) fn has_notes(&self) -> bool {
        !self.left_in_background.is_empty()
            || self.output_held
            || self.trouble.is_some()
            || !self.survivors().is_empty()
    }

    /// Output of it was lost.
    pub(crate) fn has_lost_output(&self) -> bool {
        matches!(self.trouble, Some(Trouble::Lost(_)))
    }

    /// From the start of the run until its end, or the request to end.
    pub(crate) fn until(&self) -> Option<Duration> {
        self.began.map(|began| began + self.ran)
    }
}

impl Counts {
    pub(crate) fn add(&mut self, ending: &Ending) {
        self.served += u64::from(matches!(ending, Ending::Served(_)));
        *match ending {
            Ending::NotStarted => &mut self.not_started,
            Ending::DoneBefore => &mut self.done_before,
            Ending::Cancelled(_) => &mut self.cancelled,
            ending if ending.is_failure() => &mut self.failed,
            _ => &mut self.succeeded,
        } += 1;
    }

    pub(crate) fn ended(&self) -> u64 {
        self.succeeded + self.failed + self.cancelled + self.not_started + self.done_before
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Failed { name } => write!(f, "because {name} failed"),
            Cause::TimedOut { name } => write!(f, "because {name} timed out"),
            Cause::Ended { name } => write!(f, "because {name} ended"),
            Cause::Halted { halt } => write!(f, "because of --halt {halt}"),
            Cause::Before { name } => write!(f, "because {name} did not succeed"),
            Cause::Won { name } => write!(f, "because {name} succeeded first"),
            Cause::Deadline { group } if group.is_empty() => {
                f.write_str("because the deadline expired")
            }
            Cause::Deadline { group } => write!(f, "because the deadline of {group} expired"),
            Cause::Signal(stop) => write!(f, "because of {stop}"),
            Cause::Output(_) => f.write_str("because the output could not be written"),
        }
    }
}
