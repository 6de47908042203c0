//! What happened: one [`Record`] for each command, one [`Summary`] for the run.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use taskgroup::ErrorGroup;

use crate::output::Tail;
use crate::process::{Process, Stopped};
use crate::signals::Stop;

#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) ending: Ending,
    /// From the start to the ending; zero for what was not started.
    pub(crate) ran: Duration,
    /// What it took to empty the process group, where it did not empty by itself.
    pub(crate) stopped: Option<Stopped>,
    /// Who was in the group when the command itself had ended.
    pub(crate) left_in_background: Vec<Process>,
    /// Somebody outside of the group still held the command's output.
    pub(crate) output_held: bool,
    pub(crate) stderr: Tail,
}

#[derive(Debug)]
pub(crate) enum Ending {
    /// Cancelled while it waited for its turn.
    NotStarted,
    CouldNotStart(io::Error),
    /// The command ended by itself, well or not.
    Exited(ExitStatus),
    TimedOut,
    /// Stopped; with what its leader made of it.
    Cancelled(Option<ExitStatus>),
    /// The operating system would not tell how it ended.
    Lost(io::Error),
}

/// Why the run was cancelled.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    /// The command at this index failed.
    Task(usize),
    Signal(Stop),
    Output(Arc<io::Error>),
}

pub(crate) struct Summary {
    /// In the order of the command line.
    pub(crate) records: Vec<Record>,
    /// The first thing that cancelled the run.
    pub(crate) cause: Option<Cause>,
    /// The first signal, also when something else had cancelled the run before.
    pub(crate) signal: Option<Stop>,
    pub(crate) output_error: Option<Arc<io::Error>>,
    /// What went wrong in the runner itself: a panic, say.
    pub(crate) internal: Option<ErrorGroup>,
    pub(crate) elapsed: Duration,
}

impl Ending {
    pub(crate) fn is_failure(&self) -> bool {
        match self {
            Ending::NotStarted | Ending::Cancelled(_) => false,
            Ending::CouldNotStart(_) | Ending::TimedOut | Ending::Lost(_) => true,
            Ending::Exited(status) => !status.success(),
        }
    }
}

impl Record {
    /// For a command of which no process ever ran.
    pub(crate) fn without_process(ending: Ending) -> Record {
        Record {
            ending,
            ran: Duration::ZERO,
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
}
