//! What was typed, before anybody asked whether it makes sense: see [`crate::plan`] for that.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::exit;
use crate::process::Level;

/// Run commands as one group: when one fails, the others are stopped and nothing is left behind.
#[derive(Debug, Parser)]
#[command(name = "taskgroup", version, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run shell commands together; the first failure stops the others
    #[command(after_help = EXAMPLES, after_long_help = long_help())]
    Run(RunArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Commands, each one argument, each run by `sh -c` with an empty standard input
    #[arg(value_name = "COMMAND", required = true)]
    pub(crate) commands: Vec<OsString>,

    /// At most this many commands at a time, started in the order given [default: all]
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// Names for the commands, in their order, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) names: Option<Vec<String>>,

    /// A command that runs longer than this has failed and is stopped: 90s, 5m, 1h 30m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// How long a command may clean up after SIGTERM before SIGKILL
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    pub(crate) grace: Duration,

    /// A failure does not stop the other commands
    #[arg(short, long)]
    pub(crate) keep_going: bool,

    /// How commands are kept together, so that nothing is left behind
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Level::Guard)]
    pub(crate) contain: Level,

    /// When to colour the names and the report
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    pub(crate) color: Colour,
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
  taskgroup run --names api,web --grace 30s 'exec ./api' 'exec ./web'";

fn long_help() -> String {
    let mut text = format!(
        "{EXAMPLES}\n\n\
         Every command runs in a process group of its own, under a guard process that adopts what \
         the command leaves behind. To stop it, all of it gets SIGTERM; what is still there after \
         the grace, SIGKILL. A command has ended when nothing of it is left: what it left in the \
         background, a daemon too, is stopped, and the report says so. Ctrl-C, SIGTERM, SIGHUP and SIGQUIT stop everything in the same way; a second \
         one skips the grace.\n\n\
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
