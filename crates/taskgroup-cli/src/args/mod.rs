//! The command line as it was typed. [`crate::verbs`] checks whether it makes sense.

mod explain;
mod values;

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{FromArgMatches, Parser, Subcommand};

use crate::exit;
use crate::output::{Ci, Colour, Prefixed, Show};
use crate::plan::{
    FileSpec, Halt, JobOptions, Jobs, Needs, On, OnFailure, Overrides, RestartOn, Room, Shell,
    Timeout, WhenOneEnds, Work,
};
use crate::process::Level;
use crate::typed::{Reader, Tty};

/// Run commands as one group: when one fails, the others are stopped and nothing is left behind.
#[derive(Debug, Parser)]
#[command(name = "taskgroup", version, disable_help_subcommand = true)]
#[command(after_help = EXAMPLES, after_long_help = long_help(EXAMPLES))]
pub(crate) struct Args {
    /// Work as if started in this folder
    #[arg(short = 'C', long, value_name = "DIR", global = true)]
    pub(crate) directory: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run shell commands, or the tasks of a file, together
    #[command(after_help = RUN_EXAMPLES, after_long_help = long_help(RUN_EXAMPLES))]
    Run(RunArgs),
    /// Run a command for each line of standard input, or for each argument after `:::`
    #[command(after_help = MAP_EXAMPLES, after_long_help = long_help(MAP_EXAMPLES))]
    Map(MapArgs),
    /// Run commands together until one succeeds, then stop the others
    #[command(after_help = RACE_EXAMPLES, after_long_help = long_help(RACE_EXAMPLES))]
    Race(RaceArgs),
    /// Validate a file of tasks and show its tree, without running it
    ///
    /// A `cwd` that does not exist is a warning, unless something that its task waits for could
    /// make it.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(ShowArgs),
    /// List the tasks and groups of a file by the names that `run` takes
    #[command(after_help = LIST_EXAMPLES)]
    List(ShowArgs),
    /// Print the JSON schema of files of tasks, for editors
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema,
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions { shell: clap_complete::Shell },
    /// Print the manual page of the command, or of one verb
    #[command(after_help = MAN_EXAMPLES)]
    Man {
        #[arg(value_parser = VERBS)]
        verb: Option<String>,
    },
}

impl Args {
    /// What was typed. Ends the process if that makes no sense.
    pub(crate) fn of_this_process() -> Args {
        let matches = explain::command().try_get_matches();
        let args = matches.and_then(|matches| Args::from_arg_matches(&matches));
        args.unwrap_or_else(|error| explain::explained(error).exit())
    }
}

/// All verbs, for `man`.
pub(crate) const VERBS: [&str; 8] = [
    "run",
    "map",
    "race",
    "check",
    "list",
    "schema",
    "completions",
    "man",
];

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Commands, one per argument, each run by `sh -c` with an empty standard input. With --file,
    /// names of tasks and groups instead. Without either, the tasks of `taskgroup.toml` in this
    /// folder or the nearest one above
    #[arg(value_name = "COMMAND")]
    pub(crate) commands: Vec<OsString>,

    /// Run the tasks of this file, or only those that are named, with what they need; `-` is
    /// standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Run this task or group of the file, and what it needs; without --file, of the
    /// `taskgroup.toml` that is found
    #[arg(short, long = "task", value_name = "NAME")]
    pub(crate) tasks: Vec<OsString>,

    /// Names for the commands, in the same order, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) names: Option<Vec<String>>,

    /// What the end of one command does to the others, whether it succeeded or not
    #[arg(long, value_enum, value_name = "WHAT", help_heading = FAILURES)]
    pub(crate) when_one_ends: Option<WhenOneEnds>,

    /// Run a command that has ended again, without a limit
    #[arg(long, value_enum, value_name = "WHEN", group = "again")]
    #[arg(help_heading = FAILURES)]
    pub(crate) restart: Option<RestartOn>,

    #[command(flatten)]
    pub(crate) failure: Failure,

    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RaceArgs {
    /// Commands, one per argument, each run by `sh -c` with an empty standard input
    #[arg(value_name = "COMMAND", required_unless_present = "file")]
    pub(crate) commands: Vec<OsString>,

    /// Not accepted; the error says why
    #[arg(short, long, hide = true)]
    pub(crate) file: Option<PathBuf>,

    /// Names for the commands, in the same order, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) names: Option<Vec<String>>,

    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MapArgs {
    /// The command as one argument, run by `sh -c`; each `{}` in it is replaced by one line or
    /// argument, quoted; `{.}` is that without its extension, `{/}` its last part, `{//}` its
    /// folder, `{/.}` its last part without the extension, `{#}` the number of the command, `{%}`
    /// the number of its place, `{1}` `{2.}` and so on one of several arguments
    #[arg(value_name = "COMMAND")]
    pub(crate) command: OsString,

    /// After `:::`, the arguments to run the command for; after `::::`, files with a line for each
    /// argument, `-` is standard input; each of several such lists is combined with the others; a
    /// list after `:::+` or `::::+` is linked with the one before it, up to the end of the shorter
    /// one; without any list, the lines of standard input
    #[arg(value_name = "::: ARGUMENT", num_args = 0.., allow_hyphen_values = true)]
    #[arg(trailing_var_arg = true)]
    pub(crate) arguments: Vec<OsString>,

    /// The input is separated by NUL bytes instead of newlines
    #[arg(short = '0', long)]
    pub(crate) null: bool,

    /// Give each command up to this many arguments or lines; with several lists or columns, this
    /// many rows of them
    #[arg(short = 'n', long, value_name = "N", visible_short_alias = 'L')]
    #[arg(visible_alias = "max-lines", value_parser = values::count)]
    pub(crate) max_args: Option<NonZeroUsize>,

    /// Split each line or argument at this text into several arguments, `{1}` `{2}` and so on;
    /// `\t` is a tab
    #[arg(long, value_name = "TEXT", value_parser = values::separator)]
    pub(crate) colsep: Option<OsString>,

    /// Split standard input into blocks of whole lines and give each command one as its standard
    /// input; with --max-args, this many lines
    #[arg(long, conflicts_with_all = ["arguments", "colsep", "link", "shuf"])]
    pub(crate) pipe: bool,

    /// How large a block is [default: 1M]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    #[arg(conflicts_with = "max_args")]
    pub(crate) block: Option<u64>,

    /// Link all lists: the first argument of each, then the second one of each, and so on; shorter
    /// lists begin again
    #[arg(long)]
    pub(crate) link: bool,

    /// In random order, after all arguments have been read
    #[arg(long)]
    pub(crate) shuf: bool,

    #[command(flatten)]
    pub(crate) failure: Failure,

    #[command(flatten)]
    pub(crate) common: Common,

    /// Let up to this many commands share a step of the job, one after the other: the start of a
    /// step takes longer than many commands do [default: 1]
    #[arg(long, value_name = "N", value_parser = values::one_or_more, help_heading = CLUSTER)]
    pub(crate) items_per_step: Option<NonZeroU32>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The file of tasks; `-` is standard input [default: the `taskgroup.toml` in this folder or
    /// the nearest one above]
    #[arg(value_name = "FILE", conflicts_with = "file")]
    path: Option<PathBuf>,

    /// The file, named as for `run`
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// When to colour
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    pub(crate) color: Colour,
}

impl ShowArgs {
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.file.clone().or_else(|| self.path.clone())
    }
}

const FAILURES: &str = "Failure handling";
const REPORTS: &str = "Output and reports";
const TERMINAL: &str = "Terminal and input";
const CLUSTER: &str = "On a cluster";

/// The options of all verbs that run commands.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Common {
    /// Run at most this many commands at a time, started in the order given; `50%` is half of the
    /// processors [default: all; for map, the number of processors; on a cluster, as many as the
    /// job holds]
    #[arg(short, long, value_name = "N", value_parser = values::jobs)]
    pub(crate) jobs: Option<Jobs>,

    /// Stop a command that runs longer than this, as a failure: 90s, 5m, 1h 30m; or 300% of the
    /// median of those that have succeeded
    #[arg(long, value_name = "DURATION", value_parser = values::timeout)]
    pub(crate) timeout: Option<Timeout>,

    /// Stop everything if the run takes longer than this
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub(crate) deadline: Option<Duration>,

    /// Time for a command to clean up between SIGTERM and SIGKILL [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub(crate) grace: Option<Duration>,

    /// Run a failed command again, at most this many times
    #[arg(long, value_name = "N", value_parser = values::whole, group = "again")]
    #[arg(help_heading = FAILURES)]
    pub(crate) retries: Option<u32>,

    /// Pause before the first retry, which doubles with each retry; a random time of up to the same
    /// length is added [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    #[arg(help_heading = FAILURES)]
    pub(crate) backoff: Option<Duration>,

    /// The shell for commands, with its options; the command becomes the last argument
    /// [default: sh -c]
    #[arg(long, value_name = "WORDS", value_parser = values::shell)]
    pub(crate) shell: Option<Shell>,

    /// Print what would be run, and run nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Start no other command while the load of the machine is not below this; `50%` is half of
    /// the processors
    #[arg(long, value_name = "N", value_parser = values::load)]
    load: Option<f64>,

    /// Start no other command while less memory is available than this: 500M, 2G
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    memfree: Option<u64>,

    /// Start each command at least this long after the one before it: 500ms, 2s
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    delay: Option<Duration>,

    /// Add this to the niceness of everything
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = values::niceness)]
    pub(crate) nice: Option<i32>,

    /// Exit with the number of failed commands, at most 101, in place of 1 and 124
    #[arg(long, help_heading = FAILURES)]
    pub(crate) count_failures: bool,

    /// How commands are contained, so that nothing is left behind
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    #[arg(help_heading = FAILURES)]
    pub(crate) contain: Level,

    /// Which output of the commands is shown [default: stream; for a CI system that can fold it,
    /// group]
    #[arg(short, long, value_enum, value_name = "MODE", help_heading = REPORTS)]
    pub(crate) output: Option<Show>,

    /// Show the output in the order of the commands: the first one's at once, that of each other
    /// when all before it have ended
    #[arg(long, help_heading = REPORTS)]
    pub(crate) keep_order: bool,

    /// What stands in front of each line: name, argument, time, none, or a text with {name},
    /// {argument}, {index}, {time}
    #[arg(long, value_name = "WHAT", default_value = "name", help_heading = REPORTS)]
    pub(crate) prefix: Prefixed,

    /// Show no output of the commands with these names; reports still have it
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = REPORTS)]
    pub(crate) hide: Vec<String>,

    /// The whole argument in front of each line: --prefix=argument
    #[arg(long, conflicts_with = "prefix", help_heading = REPORTS)]
    pub(crate) tag: bool,

    /// Name the N slowest commands at the end
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    #[arg(value_parser = values::whole, help_heading = REPORTS)]
    pub(crate) slowest: u32,

    /// Draw the progress line on a terminal even with --output=quiet
    #[arg(long, conflicts_with = "no_bar", help_heading = REPORTS)]
    pub(crate) bar: bool,

    /// Draw no progress line on a terminal
    #[arg(long, help_heading = REPORTS)]
    pub(crate) no_bar: bool,

    /// What to write for the system that runs the build: groups, annotations, tests
    #[arg(long, value_enum, value_name = "SYSTEM", default_value_t = Ci::Auto)]
    #[arg(help_heading = REPORTS)]
    pub(crate) ci: Ci,

    /// Write the output of each command to files in this folder: NAME/stdout and NAME/stderr
    #[arg(long, value_name = "DIR", help_heading = REPORTS)]
    pub(crate) results: Option<PathBuf>,

    /// Write each event to this file as it happens, as lines of JSON
    #[arg(long, value_name = "FILE", help_heading = REPORTS)]
    pub(crate) json: Option<PathBuf>,

    /// Skip what succeeded in an earlier run, by its --json file, and append the events to it
    #[arg(long, value_name = "FILE", conflicts_with = "json", help_heading = REPORTS)]
    pub(crate) resume: Option<PathBuf>,

    /// Write a JUnit report to this file
    #[arg(long, value_name = "FILE", help_heading = REPORTS)]
    pub(crate) junit: Option<PathBuf>,

    /// Write a timeline to this file, for Perfetto and chrome://tracing
    #[arg(long, value_name = "FILE", help_heading = REPORTS)]
    pub(crate) trace: Option<PathBuf>,

    /// Write a page with the timeline to this file, for a browser
    #[arg(long, value_name = "FILE", help_heading = REPORTS)]
    pub(crate) report: Option<PathBuf>,

    /// Write a line for each command to this file, with the columns of GNU parallel
    #[arg(long, value_name = "FILE", help_heading = REPORTS)]
    pub(crate) joblog: Option<PathBuf>,

    /// Give each command, or those with these names, a terminal of its own; what is typed goes to
    /// the first of them
    #[arg(long, value_name = "NAMES", num_args = 0..=1, require_equals = true)]
    #[arg(value_delimiter = ',', default_missing_value = "", help_heading = TERMINAL)]
    tty: Option<Vec<String>>,

    /// Pass standard input to this command, to the `first` or to `none`; on a terminal, a line
    /// `name: text` goes to the command with that name; a retry reads on where the attempt before
    /// it has stopped
    #[arg(long, value_name = "NAME", help_heading = TERMINAL)]
    stdin: Option<String>,

    /// When to colour the names and the report
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    #[arg(help_heading = REPORTS)]
    pub(crate) color: Colour,

    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

/// Where commands run, and what is asked of a cluster.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Cluster {
    /// Where commands run; where a task of a file, or a group around it, has a key `on = "local"`,
    /// it stays so [default: local, or what the file says]
    #[arg(long, value_enum, value_name = "WHERE", help_heading = CLUSTER)]
    pub(crate) on: Option<On>,

    /// How many processors of its node each command takes [default: 1]
    #[arg(long, value_name = "N", value_parser = values::one_or_more, help_heading = CLUSTER)]
    cpus: Option<NonZeroU32>,

    /// How much memory of its node each command takes: 500M, 2G [default: commands share it]
    #[arg(long, value_name = "SIZE", value_parser = values::memory, help_heading = CLUSTER)]
    memory: Option<u64>,

    /// How many GPUs of its node each command takes [default: 0]
    #[arg(long, value_name = "N", value_parser = values::whole, help_heading = CLUSTER)]
    gpus: Option<u32>,

    /// Ask for a job with this many nodes [default: as many as the largest command takes]
    #[arg(long, value_name = "N", value_parser = values::one_or_more, help_heading = CLUSTER)]
    nodes: Option<NonZeroU32>,

    /// Ask for a job in this partition
    #[arg(long, value_name = "NAME", value_parser = values::name, help_heading = CLUSTER)]
    partition: Option<String>,

    /// Ask for a job on this account
    #[arg(long, value_name = "NAME", value_parser = values::name, help_heading = CLUSTER)]
    account: Option<String>,

    /// Ask for nodes with these features, as Slurm writes them
    #[arg(long, value_name = "TEXT", value_parser = values::name, help_heading = CLUSTER)]
    constraint: Option<String>,

    /// Ask for a job that Slurm ends after this time
    #[arg(long, value_name = "DURATION", value_parser = values::duration, help_heading = CLUSTER)]
    pub(crate) time: Option<Duration>,

    /// Ask for a job with another option of salloc, like --slurm=--qos=long; may be repeated
    #[arg(long, value_name = "OPTION", value_parser = values::option, help_heading = CLUSTER)]
    #[arg(allow_hyphen_values = true)]
    slurm: Vec<OsString>,
}

impl Cluster {
    /// The first option that was given and means nothing on this machine.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let all = [
            ("--cpus", self.cpus.is_some()),
            ("--memory", self.memory.is_some()),
            ("--gpus", self.gpus.is_some()),
            ("--nodes", self.nodes.is_some()),
            ("--partition", self.partition.is_some()),
            ("--account", self.account.is_some()),
            ("--constraint", self.constraint.is_some()),
            ("--time", self.time.is_some()),
            ("--slurm", !self.slurm.is_empty()),
        ];
        let given = all.into_iter().find(|(_, is_given)| *is_given);
        given.map(|(flag, _)| flag)
    }

    /// What a command of the command line takes, if it runs on a cluster.
    pub(crate) fn needs(&self) -> Option<Arc<Needs>> {
        let needs = Needs::default();
        (self.on == Some(On::Slurm)).then(|| {
            Arc::new(Needs {
                cpus: self.cpus.unwrap_or(needs.cpus),
                memory: self.memory,
                gpus: self.gpus.unwrap_or(needs.gpus),
                ..needs
            })
        })
    }

    pub(crate) fn job(&self) -> JobOptions {
        JobOptions {
            nodes: self.nodes,
            partition: self.partition.clone(),
            account: self.account.clone(),
            time: self.time,
            constraint: self.constraint.clone(),
            extra: self.slurm.clone(),
            ..JobOptions::default()
        }
    }
}

/// What a failure does. A race has no such flags: it continues until one command succeeds.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Failure {
    /// What a failure does to the other commands [default: cancel]
    #[arg(long, value_enum, value_name = "WHAT", help_heading = FAILURES)]
    on_failure: Option<OnFailure>,

    /// Let the other commands finish after a failure: --on-failure=wait
    #[arg(short, long, conflicts_with = "on_failure", help_heading = FAILURES)]
    keep_going: bool,

    /// Stop after this many failures, successes or ends, or a share of them: `now` stops the
    /// others, `soon` starts no more, no retries either; like soon,fail=3 or now,fail=10%
    #[arg(long, value_name = "WHEN", conflicts_with_all = ["on_failure", "keep_going"])]
    #[arg(help_heading = FAILURES)]
    pub(crate) halt: Option<Halt>,
}

impl Failure {
    pub(crate) fn on_failure(&self) -> OnFailure {
        self.given().unwrap_or_default()
    }

    /// What was asked for, if anything was.
    pub(crate) fn given(&self) -> Option<OnFailure> {
        let keep_going = self.keep_going || self.halt.is_some();
        let keep_going = keep_going.then_some(OnFailure::Wait);
        self.on_failure.or(keep_going)
    }
}

impl Common {
    pub(crate) fn tty(&self) -> Tty {
        match &self.tty {
            None => Tty::Off,
            Some(names) if names.iter().all(String::is_empty) => Tty::All,
            Some(names) => Tty::Named(names.clone()),
        }
    }

    pub(crate) fn reader(&self) -> Reader {
        match &self.stdin {
            Some(name) => Reader::Named(name.clone()),
            None if self.tty.is_some() => Reader::WithTerminal,
            None => Reader::Off,
        }
    }

    pub(crate) fn room(&self) -> Room {
        Room {
            load: self.load,
            memory: self.memfree,
            delay: self.delay,
        }
    }

    /// The most commands at a time, if that was said.
    pub(crate) fn jobs(&self) -> Option<NonZeroUsize> {
        self.jobs.map(|jobs| jobs.most)
    }

    pub(crate) fn grace(&self) -> Duration {
        self.grace.unwrap_or(Work::GRACE)
    }

    /// The files to write.
    pub(crate) fn written(&self) -> Vec<FileSpec> {
        let files = [
            (FileSpec::JSON, &self.json),
            (FileSpec::RESUME, &self.resume),
            (FileSpec::JUNIT, &self.junit),
            (FileSpec::TRACE, &self.trace),
            (FileSpec::REPORT, &self.report),
            (FileSpec::JOBLOG, &self.joblog),
        ];
        let files = files.into_iter().filter_map(|(flag, path)| {
            Some(FileSpec {
                flag,
                path: path.clone()?,
                resumed: flag == FileSpec::RESUME,
            })
        });
        files.collect()
    }

    /// What a file of tasks says is replaced by this.
    pub(crate) fn overrides(&self, failure: &Failure) -> Overrides {
        Overrides {
            on_failure: failure.given(),
            timeout: self.timeout,
            grace: self.grace,
            retries: self.retries,
            backoff: self.backoff,
            shell: self.shell.clone(),
            on: self.cluster.on,
            cpus: self.cluster.cpus,
            memory: self.cluster.memory,
            gpus: self.cluster.gpus,
            job: self.cluster.job(),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  Checks side by side; the first failure stops the others:
    taskgroup run 'npm run lint' 'npm test' 'cargo test'
  A command for each file, four at a time:
    taskgroup map -j 4 'gzip -9 {}' ::: *.log
  The tasks of a file, and a page that shows what happened when:
    taskgroup run -f tasks.toml --report run.html";

const RUN_EXAMPLES: &str = "\
Examples:
  Checks side by side; the first failure stops the others:
    taskgroup run 'npm run lint' 'npm test' 'cargo test'
  All of them, even after a failure, two at a time, each for at most ten minutes:
    taskgroup run -k -j 2 --timeout 10m './check a' './check b' './check c'
  The tasks of a file, and a page that shows what happened when:
    taskgroup run -f tasks.toml --report run.html
  Two tasks of a file and what they need, even after a failure:
    taskgroup run -f tasks.toml -k lint test/unit
  The same of the taskgroup.toml in this folder or above:
    taskgroup run -k -t lint -t test/unit
  The same file on a cluster, in a job of four nodes:
    taskgroup run -f tasks.toml --on slurm --nodes 4 --time 2h
  Two servers; one that fails is started again, one that ends well stops the other:
    taskgroup run --restart failure --when-one-ends stop './api' './web'";

const MAP_EXAMPLES: &str = "\
Examples:
  A command for each argument, as many at a time as there are processors:
    taskgroup map 'gzip -9 {}' ::: *.log
  A command for each line of another command, whatever the names contain:
    find . -name '*.png' -print0 | taskgroup map -0 -j 8 'optipng {}'
  Rename by parts of the name, and see it first:
    taskgroup map --dry-run 'mv {} {//}/old-{/}' ::: *.log
  Each of two with each of two others, until two tenths have failed:
    taskgroup map --halt now,fail=20% './test {1} {2}' ::: x86 arm ::: dev release
  Two lists side by side:
    taskgroup map 'mv {1} {2}' ::: a.log b.log :::+ old.log older.log
  Parts of a large input, one for each command:
    taskgroup map --pipe --block 10M 'grep -c error' < a.log
  On a cluster, each command with four processors of its node:
    taskgroup map --on slurm --nodes 2 --cpus 4 './simulate {}' ::: *.conf
  Retry failures, and after an interruption continue where the run stopped:
    taskgroup map -k --retries 3 --resume done.jsonl 'curl -fsSO {}' < urls.txt";

const RACE_EXAMPLES: &str = "\
Examples:
  The fastest mirror wins:
    taskgroup race 'curl -fsS https://a.example/x' 'curl -fsS https://b.example/x'
  A fast way that may fail, together with a slow one that works:
    taskgroup race --names cache,build './from-cache' 'make'
  For at most ten seconds; exit code 124 if no command succeeds in time:
    taskgroup race --deadline 10s 'nc -z db1 5432' 'nc -z db2 5432'";

const CHECK_EXAMPLES: &str = "\
Examples:
  Show each error of a file with its line, or else its tree:
    taskgroup check tasks.toml
  Check a file before a commit:
    taskgroup check tasks.toml > /dev/null && git commit
  An example file:
    jobs = 4

    [tasks.lint]
    run = \"cargo clippy\"        # for sh -c

    [tasks.test]
    run = [\"cargo\", \"test\"]    # without a shell
    after = [\"lint\"]
    retries = 2
    cleanup = [\"rm -rf scratch\"]";

const LIST_EXAMPLES: &str = "\
Examples:
    taskgroup list
    taskgroup list -f tasks.toml";

const SCHEMA_EXAMPLES: &str = "\
Examples:
  Let an editor check taskgroup.toml; its first line is then `#:schema ./taskgroup.schema.json`:
    taskgroup schema > taskgroup.schema.json";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
    taskgroup completions bash > ~/.local/share/bash-completion/completions/taskgroup
    taskgroup completions zsh > ~/.zfunc/_taskgroup
    taskgroup completions fish > ~/.config/fish/completions/taskgroup.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  Read a page:
    taskgroup man map | man -l -
  Install the pages:
    taskgroup man > /usr/local/share/man/man1/taskgroup.1
    taskgroup man run > /usr/local/share/man/man1/taskgroup-run.1";

/// How a run works, for the help and the manual.
pub(crate) const RUNNING: [&str; 2] = [
    "Each command runs in its own process group, under a guard process that adopts the processes \
     that the command leaves behind. To stop a command, taskgroup sends SIGTERM to all its \
     processes, and SIGKILL to those that remain after the grace. A command has ended when none of its \
     processes is left: taskgroup stops what it left in the background, even a daemon, and reports \
     it. Ctrl-C, SIGTERM, SIGHUP and SIGQUIT stop everything in the same way; a second \
     signal skips the grace. Ctrl-Z suspends the commands as well, and timeouts stand still.",
    "Each line of output starts with the name of its command. The report of failures goes to \
     standard error.",
];

fn long_help(examples: &str) -> String {
    let mut text = format!("{examples}\n\n{}\n\nExit codes:\n", RUNNING.join("\n\n"));
    for exit in exit::Exit::ALL {
        text.push_str(&format!("  {:>3}  {}\n", exit.code(), exit.meaning()));
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::file;
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    /// A message about a key that is an option knows them all.
    #[test]
    fn an_option_of_run_is_a_key_or_known_to_be_none() {
        let command = Args::command();
        let run = command.find_subcommand("run").unwrap();
        let longs = run.get_arguments().filter_map(clap::Arg::get_long);
        // What names a file or its tasks is no key, and no file has names for commands.
        let others = ["file", "task", "help", "names"];
        for long in longs.filter(|long| !others.contains(long)) {
            assert!(file::is_key(long) != file::is_option(long), "{long}");
        }
    }

    #[test]
    fn every_verb_has_a_page_and_the_readme_installs_it() {
        let command = Args::command();
        let verbs: Vec<&str> = command
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        assert_eq!(verbs, VERBS);
        let readme = include_str!("../../README.md");
        assert!(readme.contains(&format!("for verb in {}; do", VERBS.join(" "))));
    }

    /// The command line accepts what the help teaches.
    #[test]
    fn every_example_is_a_right_command_line() {
        let folder = tempfile::TempDir::new().unwrap();
        for file in ["a.log", "b.log", "urls.txt", "tasks.toml"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let mut count = 0;
        for (text, verb) in [
            (EXAMPLES, "run"),
            (RUN_EXAMPLES, "run"),
            (MAP_EXAMPLES, "map"),
            (RACE_EXAMPLES, "race"),
            (CHECK_EXAMPLES, "check"),
            (LIST_EXAMPLES, "list"),
            (SCHEMA_EXAMPLES, "schema"),
            (COMPLETIONS_EXAMPLES, "completions"),
            (MAN_EXAMPLES, "man"),
        ] {
            assert!(text.contains(&format!("taskgroup {verb} ")), "{verb}");
            for line in text.lines().filter(|line| line.contains("taskgroup ")) {
                // The shell splits it into words. Redirections are left out.
                let line = line.split(" > ").next().unwrap();
                let script = format!("taskgroup() {{ printf '%s\\0' \"$@\"; }}; {line}");
                let script = script.replace(" | man -l -", "");
                let shell = std::process::Command::new("sh")
                    .args(["-c", &script])
                    .current_dir(folder.path())
                    .output();
                let words = String::from_utf8(shell.unwrap().stdout).unwrap();
                let words = words.trim_end_matches('\0').split('\0');
                if let Err(error) = Args::try_parse_from(["taskgroup"].into_iter().chain(words)) {
                    panic!("{line}: {error}");
                }
                count += 1;
            }
        }
        assert_eq!(count, 3 + 7 + 8 + 3 + 2 + 2 + 1 + 3 + 3);
    }
}
