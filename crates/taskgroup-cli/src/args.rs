//! What was typed, before anybody asked whether it makes sense: see [`crate::plan`] for that.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::exit;
use crate::plan::OnFailure;
use crate::process::Level;

/// Run commands as one group: when one fails, the others are stopped and nothing is left behind.
#[derive(Debug, Parser)]
#[command(name = "taskgroup", version, disable_help_subcommand = true)]
#[command(after_help = EXAMPLES, after_long_help = long_help())]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run shell commands, or the tasks of a file, together
    #[command(after_help = EXAMPLES, after_long_help = long_help())]
    Run(RunArgs),
    /// Run a command for each line of the standard input, or for each argument after `:::`
    #[command(after_help = MAP_EXAMPLES)]
    Map(MapArgs),
    /// Run commands together until the first one succeeds, and stop the others
    Race(RunArgs),
    /// Validate a file of tasks and show its tree; nothing is run
    Check(CheckArgs),
    /// Print a script that completes this command in a shell
    Completions { shell: clap_complete::Shell },
    /// Print the manual page
    Man,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Commands, each one argument, each run by `sh -c` with an empty standard input
    #[arg(value_name = "COMMAND", required_unless_present = "file")]
    pub(crate) commands: Vec<OsString>,

    /// Run the tasks of this file; see `taskgroup check`
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["commands", "names"])]
    pub(crate) file: Option<PathBuf>,

    /// Names for the commands, in their order, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) names: Option<Vec<String>>,

    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MapArgs {
    /// The command, one argument, run by `sh -c`; every `{}` in it is replaced by one line or
    /// argument, quoted
    #[arg(value_name = "COMMAND")]
    pub(crate) command: OsString,

    /// After `:::`, what the command is run for; without, the lines of the standard input
    #[arg(value_name = "::: ARGUMENT", num_args = 0.., allow_hyphen_values = true, trailing_var_arg = true)]
    pub(crate) arguments: Vec<OsString>,

    /// The input is separated by NUL bytes, not by newlines
    #[arg(short = '0', long)]
    pub(crate) null: bool,

    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The file of tasks
    pub(crate) file: PathBuf,

    /// When to colour
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    pub(crate) color: Colour,
}

/// What running has in common.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Common {
    /// At most this many commands at a time, started in the order given [default: all; for map, the
    /// number of processors]
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// A command that runs longer than this has failed and is stopped: 90s, 5m, 1h 30m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// Everything is stopped when it takes longer than this
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) deadline: Option<Duration>,

    /// How long a command may clean up after SIGTERM before SIGKILL [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    grace: Option<Duration>,

    /// What a failure does to the other commands [default: cancel]
    #[arg(long, value_enum, value_name = "WHAT")]
    on_failure: Option<OnFailure>,

    /// A failure does not stop the other commands: --on-failure=wait
    #[arg(short, long, conflicts_with = "on_failure")]
    keep_going: bool,

    /// Run a command that failed again, at most this many times
    #[arg(long, value_name = "N")]
    pub(crate) retries: Option<u32>,

    /// The pause before the first retry; doubles with each one and is scattered [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, requires = "retries")]
    pub(crate) backoff: Option<Duration>,

    /// How commands are kept together, so that nothing is left behind
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Level::Guard)]
    pub(crate) contain: Level,

    /// What is shown of the commands' output
    #[arg(short, long, value_enum, value_name = "MODE", default_value_t = Show::Stream)]
    pub(crate) output: Show,

    /// Write what happens to this file, as lines of JSON, while it happens
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Skip what succeeded in an earlier run, by its --json file; what happens is appended to it
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(crate) resume: Option<PathBuf>,

    /// Write a JUnit report to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    /// Write a timeline to this file, for Perfetto and chrome://tracing
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

    /// Write a page with the timeline to this file, for a browser
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// When to colour the names and the report
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    pub(crate) color: Colour,
}

impl Common {
    pub(crate) const GRACE: Duration = Duration::from_secs(5);

    pub(crate) fn grace(&self) -> Duration {
        self.grace.unwrap_or(Common::GRACE)
    }

    pub(crate) fn on_failure(&self) -> OnFailure {
        match self.on_failure {
            Some(on_failure) => on_failure,
            None if self.keep_going => OnFailure::Wait,
            None => OnFailure::Cancel,
        }
    }

    /// The files that are written, each with its flag.
    pub(crate) fn written(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let files = [
            ("--json", &self.json),
            ("--resume", &self.resume),
            ("--junit", &self.junit),
            ("--trace", &self.trace),
            ("--report", &self.report),
        ];
        files
            .into_iter()
            .filter_map(|(flag, path)| Some((flag, path.as_deref()?)))
    }

    /// Flags that a file decides on by itself.
    pub(crate) fn not_for_files(&self) -> Option<&'static str> {
        let given = [
            (self.grace.is_some(), "--grace"),
            (self.on_failure.is_some(), "--on-failure"),
            (self.keep_going, "--keep-going"),
            (self.timeout.is_some(), "--timeout"),
            (self.retries.is_some(), "--retries"),
            (self.backoff.is_some(), "--backoff"),
        ];
        given
            .iter()
            .find(|(given, _)| *given)
            .map(|(_, flag)| *flag)
    }
}

/// What is shown of the commands' output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Show {
    /// Every line as it comes
    Stream,
    /// All lines of a command together, when it has ended
    Group,
    /// The same, only for commands that failed
    Failures,
    /// Nothing
    Quiet,
}

/// `auto` asks the terminal and the environment (`NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    Auto,
    Always,
    Never,
}

const EXAMPLES: &str = "\
Examples:
  taskgroup run 'npm run lint' 'npm test' 'cargo test'
  taskgroup run --keep-going -j 2 --timeout 10m './check a' './check b' './check c'
  taskgroup map -j 4 'gzip -9 {}' ::: *.log";

const MAP_EXAMPLES: &str = "\
Examples:
  taskgroup map 'gzip -9 {}' ::: *.log
  find . -name '*.png' -print0 | taskgroup map -0 -j 8 'optipng {}'
  taskgroup map --retries 3 --resume done.jsonl 'curl -fsSO {}' < urls.txt";

fn long_help() -> String {
    let mut text = format!(
        "{EXAMPLES}\n\n\
         Every command runs in a process group of its own, under a guard process that adopts what \
         the command leaves behind. To stop it, all of it gets SIGTERM; what is still there after \
         the grace, SIGKILL. A command has ended when nothing of it is left: what it left in the \
         background, a daemon too, is stopped, and the report says so. Ctrl-C, SIGTERM, SIGHUP and \
         SIGQUIT stop everything in the same way; a second one skips the grace.\n\n\
         Every line of output carries the name of its command. The report of the failures goes to \
         the standard error.\n\n\
         Exit codes:\n"
    );
    for exit in exit::Exit::ALL {
        text.push_str(&format!("  {:>3}  {}\n", exit.code(), exit.meaning()));
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }
}
