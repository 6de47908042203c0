//! What happened: one [`Entry`] for each task, one [`Summary`] for the run.

use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use taskgroup::ErrorGroup;

use crate::output::Tail;
use crate::process::{Process, Stopped};
use crate::signals::Stop;

/// One task, or one step of cleanup, at its end.
#[derive(Debug)]
pub(crate) struct Entry {
    /// In the order in which tasks were written or read; decides the colour.
    pub(crate) id: usize,
    /// For a step of cleanup, the name of the task or group; empty for the run.
    pub(crate) cleans_up: Option<String>,
    pub(crate) name: String,
    /// As people would type it.
    pub(crate) command: String,
    /// The last attempt.
    pub(crate) record: Record,
    pub(crate) attempts: u32,
    /// From the begin of the run to when it was there to be run: at once, but for what `map` reads.
    pub(crate) known: Duration,
    /// From the begin of the run to the first attempt; none for what was not started.
    pub(crate) began: Option<Duration>,
    /// From the begin of the run until all was over, cleanup included.
    pub(crate) over: Duration,
    /// Why it was cancelled or not started.
    pub(crate) because: Option<Cause>,
    /// It failed, and that does not count.
    pub(crate) ignored: bool,
}

/// One attempt.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) ending: Ending,
    /// From the begin of the run to the start; none for what was not started.
    pub(crate) began: Option<Duration>,
    /// From the start to the ending, or to when it was asked to end; zero for what was not started.
    pub(crate) ran: Duration,
    /// From the start until nothing was left of it.
    pub(crate) gone: Duration,
    /// What it took to end what was left, where it did not end by itself.
    pub(crate) stopped: Option<Stopped>,
    /// Who was left when the command itself had ended.
    pub(crate) left_in_background: Vec<Process>,
    /// Somebody whom it did not start still held the command's output.
    pub(crate) output_held: bool,
    pub(crate) stderr: Tail,
}

#[derive(Debug)]
pub(crate) enum Ending {
    /// Cancelled while it waited for its turn, or something before it failed.
    NotStarted,
    /// An earlier run did it.
    DoneBefore,
    CouldNotStart(io::Error),
    /// The command ended by itself, well or not.
    Exited(ExitStatus),
    TimedOut,
    /// Stopped; with what its leader made of it.
    Cancelled(Option<ExitStatus>),
    /// Nobody can tell how it ended.
    Lost(io::Error),
}

/// Why something was cancelled or not started.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    Failed {
        name: String,
        timed_out: bool,
    },
    /// What it waited for did not succeed.
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) not_started: u64,
    pub(crate) done_before: u64,
}

#[derive(Debug)]
pub(crate) struct Summary {
    /// In the order of their ids; of a long `map` only those with something to tell.
    pub(crate) entries: Vec<Entry>,
    pub(crate) counts: Counts,
    /// The first thing that cancelled the whole run.
    pub(crate) cause: Option<Cause>,
    /// The run has not done what it should.
    pub(crate) failed: bool,
    /// The first signal, also when something else had cancelled the run before.
    pub(crate) signal: Option<Stop>,
    pub(crate) output_error: Option<Arc<io::Error>>,
    /// Files that could not be written.
    pub(crate) report_errors: Vec<String>,
    /// The input of `map` could not be read to its end.
    pub(crate) input_error: Option<io::Error>,
    /// What went wrong in the runner itself: a panic, say.
    pub(crate) internal: Option<ErrorGroup>,
    pub(crate) elapsed: Duration,
}

impl Ending {
    pub(crate) fn is_failure(&self) -> bool {
        match self {
            Ending::NotStarted | Ending::DoneBefore | Ending::Cancelled(_) => false,
            Ending::CouldNotStart(_) | Ending::TimedOut | Ending::Lost(_) => true,
            Ending::Exited(status) => !status.success(),
        }
    }

    pub(crate) fn is_success(&self) -> bool {
        match self {
            Ending::Exited(status) => status.success(),
            Ending::DoneBefore => true,
            _ => false,
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
            stderr: Tail::default(),
        }
    }

    pub(crate) fn is_failure(&self) -> bool {
        self.ending.is_failure()
    }

    pub(crate) fn timed_out(&self) -> bool {
        matches!(self.ending, Ending::TimedOut)
    }

    /// Processes that are still there although they were sent SIGKILL.
    pub(crate) fn survivors(&self) -> &[Process] {
        self.stopped
            .as_ref()
            .map_or(&[], |stopped| &stopped.survivors)
    }

    /// A success without anything else to tell.
    pub(crate) fn is_plain(&self) -> bool {
        self.ending.is_success() && !self.has_notes()
    }

    /// Something happened that a success would not show.
    pub(crate) fn has_notes(&self) -> bool {
        !self.left_in_background.is_empty() || self.output_held || !self.survivors().is_empty()
    }
}

impl Counts {
    pub(crate) fn add(&mut self, ending: &Ending) {
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
            Cause::Failed {
                name,
                timed_out: true,
            } => write!(f, "because {name} timed out"),
            Cause::Failed { name, .. } => write!(f, "because {name} failed"),
            Cause::Before { name } => write!(f, "because {name} did not succeed"),
            Cause::Won { name } => write!(f, "because {name} was first"),
            Cause::Deadline { group } if group.is_empty() => {
                f.write_str("because the deadline was over")
            }
            Cause::Deadline { group } => write!(f, "because the deadline of {group} was over"),
            Cause::Signal(stop) => write!(f, "because of {stop}"),
            Cause::Output(_) => f.write_str("because the output could not be written"),
        }
    }
}
