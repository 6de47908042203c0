//! How a plan is run: containment, output, and the files that are written.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::{JobOptions, JobRequest, On, OnFailure, Shell, Timeout};
use crate::output::{Ci, Colour, Prefixed, Show};
use crate::process::Level;
use crate::typed::{Reader, Tty};

/// The options of a run that concern no single task or group.
#[derive(Clone, Debug)]
pub(crate) struct RunOptions {
    pub(crate) contain: Level,
    pub(crate) show: Show,
    pub(crate) colour: Colour,
    pub(crate) room: Room,
    /// The grace of commands that have none of their own.
    pub(crate) grace: Duration,
    /// The job to ask for, if commands run on Slurm and the run is not inside a job.
    pub(crate) job: JobRequest,
    /// How many commands of `map` share a step of the job, one after the other.
    pub(crate) items_per_step: NonZeroU32,
    /// The exit code is the number of failures.
    pub(crate) count_failures: bool,
    pub(crate) ci: Ci,
    /// Draw the progress on a terminal.
    pub(crate) bar: bool,
    /// Show the output in the order of the commands.
    pub(crate) keep_order: bool,
    pub(crate) prefix: Prefixed,
    /// The names of commands of which no output is shown.
    pub(crate) hide: Vec<String>,
    /// Which commands get a terminal of their own.
    pub(crate) tty: Tty,
    /// Which command gets our standard input.
    pub(crate) reader: Reader,
    /// How many of the slowest commands to name.
    pub(crate) slowest: usize,
    /// The folder for the output of each command.
    pub(crate) results: Option<PathBuf>,
    pub(crate) files: Vec<FileSpec>,
    /// The files that are read, so that none of them is written.
    pub(crate) reads: Vec<PathBuf>,
}

/// When another command may start: how much of the machine must be free.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room {
    /// The load must be below this.
    pub(crate) load: Option<f64>,
    /// At least this many bytes must be available.
    pub(crate) memory: Option<u64>,
    /// The least time between the start of one command and the start of the next.
    pub(crate) delay: Option<Duration>,
}

impl Room {
    pub(crate) fn is_limited(&self) -> bool {
        self.load.is_some() || self.memory.is_some() || self.delay.is_some()
    }
}

/// What the command line says in place of a file of tasks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) on_failure: Option<OnFailure>,
    pub(crate) timeout: Option<Timeout>,
    pub(crate) grace: Option<Duration>,
    pub(crate) retries: Option<u32>,
    pub(crate) backoff: Option<Duration>,
    pub(crate) shell: Option<Shell>,
    pub(crate) on: Option<On>,
    pub(crate) cpus: Option<NonZeroU32>,
    pub(crate) memory: Option<u64>,
    pub(crate) gpus: Option<u32>,
    pub(crate) job: JobOptions,
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileSpec {
    pub(crate) flag: &'static str,
    pub(crate) path: PathBuf,
    /// It has the events of an earlier run. What succeeded there is skipped, and this run appends.
    pub(crate) resumed: bool,
}

impl FileSpec {
    pub(crate) const JSON: &'static str = "--json";
    pub(crate) const RESUME: &'static str = "--resume";
    pub(crate) const JUNIT: &'static str = "--junit";
    pub(crate) const TRACE: &'static str = "--trace";
    pub(crate) const REPORT: &'static str = "--report";
    pub(crate) const JOBLOG: &'static str = "--joblog";
}

impl RunOptions {
    /// Whether a file is written at the end, which needs every entry.
    pub(crate) fn reports_all(&self) -> bool {
        let all = [FileSpec::JUNIT, FileSpec::TRACE, FileSpec::REPORT];
        self.files.iter().any(|file| all.contains(&file.flag))
    }
}
