//! The words of the command line, checked: a plan from commands, and the options of a run.

use std::collections::HashMap;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::args::{Common, MapArgs, RunArgs};
use crate::engine::can_be_measured;
use crate::input::{From, Items};
use crate::output::{Ci, Prefixed, Show};
use crate::plan::file::Place;
use crate::plan::{
    GroupSpec, JobRequest, Plan, Policy, ROOT, Restart, Retry, RunOptions, Shell, TaskSpec,
    Timeout, Unknown, Work, names, processors,
};
use crate::reason::reason;
use crate::typed::{Reader, Tty};

/// Errors in the command line, and where they are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UsageError {
    BlankCommand {
        position: usize,
    },
    /// `map` has only lists.
    NoCommand {
        list: &'static str,
    },
    /// Between the command of `map` and `:::`.
    Stray {
        word: String,
    },
    NoFile {
        list: &'static str,
    },
    /// No list for this one to be linked with.
    NothingBefore {
        list: &'static str,
    },
    TwoStdins,
    /// The file of tasks and a command would both read it.
    SharedStdin,
    /// No retry and no restart, so no pause before one.
    BackoffAlone,
    BlockAlone,
    NoShell {
        program: String,
    },
    Unreadable {
        path: PathBuf,
        error: String,
    },
    /// `map` hands arguments to the shell in a way that this one does not have.
    NoArguments {
        shell: Shell,
    },
    ZeroTime {
        flag: &'static str,
    },
    SameFile {
        first: &'static str,
        second: &'static str,
    },
    /// The system does not tell how much room there is.
    NoMeasure {
        error: String,
    },
    /// Every command runs on this machine.
    ClusterOnly {
        flag: &'static str,
    },
    /// A command runs on a cluster, and this option is about this machine.
    ThisMachine {
        flag: &'static str,
    },
    /// A share of the processors of this machine, for commands on a cluster.
    ShareOfProcessors,
    /// A command on a node has no terminal. Those of `map` have no names yet.
    NoTerminal {
        name: Option<String>,
    },
    NameCount {
        names: usize,
        commands: usize,
    },
    BlankName {
        position: usize,
    },
    UnprintableName {
        position: usize,
        name: String,
    },
    /// A name that no command has. A wrong name for `--hide` would hide nothing, and look right.
    NoSuchCommand {
        flag: &'static str,
        name: String,
        /// Some of the names there are.
        names: Vec<String>,
    },
    DuplicateName {
        first: usize,
        second: usize,
        name: String,
    },
}

/// Commands side by side.
pub(super) fn plan(raw: RunArgs, policy: Policy) -> Result<Plan, UsageError> {
    if let Some(blank) = raw.commands.iter().position(|command| is_blank(command)) {
        return Err(UsageError::BlankCommand {
            position: blank + 1,
        });
    }
    if raw.restart.is_none() {
        check_backoff(&raw.common)?;
    }
    let names = match raw.names {
        Some(names) => checked_names(names, raw.commands.len())?,
        None => names::derive(&raw.commands),
    };
    let commands = names.into_iter().zip(raw.commands);
    let common = &raw.common;
    let restart = raw.restart.map(|on| Restart {
        on,
        backoff: retry(common).backoff,
        limit: None,
    });
    let tasks = commands.map(|(name, command)| TaskSpec {
        restart,
        ..task(name, command, common)
    });
    let root = GroupSpec {
        policy,
        on_failure: raw.failure.on_failure(),
        jobs: common.jobs(),
        ..GroupSpec::root()
    };
    Ok(Plan {
        tasks: tasks.collect(),
        groups: vec![root],
        job: common.cluster.job(),
    })
}

/// What `map` runs its command for.
pub(super) fn items(raw: &MapArgs) -> Result<Items, UsageError> {
    if let Some(List { word: list, .. }) = List::of(&raw.command) {
        return Err(UsageError::NoCommand { list });
    }
    check_backoff(&raw.common)?;
    if raw.block.is_some() && !raw.pipe {
        return Err(UsageError::BlockAlone);
    }
    let mut sources: Vec<Vec<From>> = Vec::new();
    let mut given = raw.arguments.iter().peekable();
    let mut reads_stdin = 0;
    while let Some(word) = given.next() {
        let Some(list) = List::of(word) else {
            return Err(UsageError::Stray {
                word: word.to_string_lossy().into_owned(),
            });
        };
        let words = std::iter::from_fn(|| given.next_if(|word| List::of(word).is_none()));
        let of_list = if list.of_files {
            let files = words.map(|path| match path == "-" {
                true => {
                    reads_stdin += 1;
                    Ok(From::Stdin)
                }
                false => opened(path.into()),
            });
            files.collect::<Result<Vec<From>, UsageError>>()?
        } else {
            vec![From::Arguments(words.cloned().collect())]
        };
        if of_list.is_empty() {
            return Err(UsageError::NoFile { list: list.word });
        }
        match sources.last_mut() {
            Some(before) if list.is_linked || raw.link => before.extend(of_list),
            None if list.is_linked => return Err(UsageError::NothingBefore { list: list.word }),
            None if raw.link => sources.push(of_list),
            // Each file is a list of its own.
            _ => sources.extend(of_list.into_iter().map(|source| vec![source])),
        }
    }
    if reads_stdin > 1 {
        return Err(UsageError::TwoStdins);
    }
    if sources.is_empty() {
        sources.push(vec![From::Stdin]);
    }
    Ok(Items {
        sources,
        repeat: raw.link,
        end: if raw.null { 0 } else { b'\n' },
        separator: raw.colsep.clone(),
        batch: raw.max_args,
        shuffled: raw.shuf,
        pipe: raw.pipe.then(|| {
            let size = raw.block.unwrap_or(BLOCK).max(1);
            usize::try_from(size).unwrap_or(usize::MAX)
        }),
    })
}

/// In a file, tasks may have retries of their own.
fn check_backoff(common: &Common) -> Result<(), UsageError> {
    match common.backoff.is_some() && common.retries.is_none() {
        true => Err(UsageError::BackoffAlone),
        false => Ok(()),
    }
}

/// Checks that the shell of the command line is there. A file may set another PATH.
pub(super) fn check_shell(common: &Common, plan: Option<&Plan>) -> Result<(), UsageError> {
    let Some(shell) = &common.shell else {
        return Ok(());
    };
    let mut tasks = plan.into_iter().flat_map(|plan| &plan.tasks);
    let has_path = tasks.any(|task| task.work.env.iter().any(|(name, _)| name == "PATH"));
    if has_path || shell.may_be_there() {
        return Ok(());
    }
    let program = shell.program().to_string_lossy().into_owned();
    Err(UsageError::NoShell { program })
}

/// The size of a block of `--pipe`.
const BLOCK: u64 = 1 << 20;

/// What a list of arguments begins with.
#[derive(Clone, Copy)]
struct List {
    word: &'static str,
    of_files: bool,
    /// With the list before it.
    is_linked: bool,
}

impl List {
    fn of(word: &OsStr) -> Option<List> {
        let all = [":::", "::::", ":::+", "::::+"];
        let word = all.into_iter().find(|known| word == *known)?;
        Some(List {
            word,
            of_files: word.starts_with("::::"),
            is_linked: word.ends_with('+'),
        })
    }
}

fn opened(path: PathBuf) -> Result<From, UsageError> {
    match File::open(&path) {
        Ok(file) => Ok(From::File(path, file)),
        Err(error) => Err(UsageError::Unreadable {
            error: reason(&path, &error),
            path,
        }),
    }
}

/// A task with one command of the command line.
pub(super) fn task(name: String, command: OsString, common: &Common) -> TaskSpec {
    let shell = common.shell.clone().unwrap_or_default();
    let work = Work {
        needs: common.cluster.needs(),
        ..Work::shell(command, shell, common.grace())
    };
    TaskSpec {
        timeout: common.timeout,
        retry: retry(common),
        ..TaskSpec::new(name, ROOT, work)
    }
}

/// How many commands of `map` run at a time. On a cluster it is the job that holds only some.
pub(super) fn jobs_of_map(common: &Common) -> Option<NonZeroUsize> {
    let otherwise = common.cluster.needs().is_none().then(processors);
    common.jobs().or(otherwise)
}

fn retry(common: &Common) -> Retry {
    Retry {
        times: common.retries.unwrap_or(Retry::NEVER.times),
        backoff: common.backoff.unwrap_or(Retry::NEVER.backoff),
    }
}

/// The options of a run, if what is common to all verbs makes sense.
pub(super) fn checked_options(common: &Common) -> Result<RunOptions, UsageError> {
    check(common)?;
    let ci = common.ci.resolved();
    let default = match ci {
        Ci::Auto | Ci::None => Show::Stream,
        Ci::Github | Ci::Gitlab | Ci::Teamcity => Show::Group,
    };
    let show = common.output.unwrap_or(default);
    Ok(RunOptions {
        contain: common.contain,
        show,
        colour: common.color,
        room: common.room(),
        grace: common.grace(),
        job: JobRequest::default(),
        items_per_step: NonZeroU32::MIN,
        count_failures: common.count_failures,
        ci,
        bar: !common.no_bar && (show != Show::Quiet || common.bar),
        keep_order: common.keep_order,
        prefix: match common.tag {
            true => Prefixed::argument(),
            false => common.prefix.clone(),
        },
        hide: common.hide.clone(),
        tty: common.tty(),
        reader: common.reader(),
        slowest: common.slowest as usize,
        results: common.results.clone(),
        files: common.written(),
        reads: Vec::new(),
    })
}

/// The file of tasks has been read from standard input, and nothing is left in it.
pub(super) fn without_stdin(options: &mut RunOptions) -> Result<(), UsageError> {
    match &options.reader {
        Reader::Named(name) if name != "none" => Err(UsageError::SharedStdin),
        _ => {
            options.reader = Reader::Off;
            Ok(())
        }
    }
}

/// Checks the names in `--hide`, `--tty` and `--stdin`, now that those of the commands are known.
pub(super) fn check_names(options: &mut RunOptions, plan: &Plan) -> Result<(), UsageError> {
    let known = |flag, name: &String| {
        let names = plan.tasks.iter().map(|task| &*task.name);
        if names.clone().any(|known| known == name) {
            return Ok(());
        }
        Err(UsageError::NoSuchCommand {
            flag,
            name: name.clone(),
            names: names.take(10).map(str::to_owned).collect(),
        })
    };
    let mut hidden = options.hide.iter();
    hidden.try_for_each(|name| known("--hide", name))?;
    if let Tty::Named(names) = &options.tty {
        names.iter().try_for_each(|name| known("--tty", name))?;
    }
    match &options.reader {
        // Checked after names that could be these words.
        Reader::Named(name) if known("--stdin", name).is_ok() => {}
        Reader::Named(name) if name == "none" => options.reader = Reader::Off,
        Reader::Named(name) if name == "first" => {
            let first = plan.tasks.first().map(|task| task.name.clone());
            options.reader = first.map_or(Reader::Off, Reader::Named);
        }
        Reader::Named(name) => known("--stdin", name)?,
        Reader::Off | Reader::WithTerminal => {}
    }
    Ok(())
}

fn check(common: &Common) -> Result<(), UsageError> {
    for (flag, value) in [
        ("--timeout", common.timeout.and_then(Timeout::fixed)),
        ("--deadline", common.deadline),
        ("--time", common.cluster.time),
    ] {
        if value == Some(Duration::ZERO) {
            return Err(UsageError::ZeroTime { flag });
        }
    }
    if let Err(error) = can_be_measured(&common.room()) {
        let error = error.to_string();
        return Err(UsageError::NoMeasure { error });
    }
    // Another name of the same file is found when the files are opened.
    let mut taken: HashMap<PathBuf, &'static str> = HashMap::new();
    for file in common.written() {
        // A device may have any number of writers.
        if file.path.starts_with("/dev") {
            continue;
        }
        let second = file.flag;
        if let Some(first) = taken.insert(file.path, second) {
            return Err(UsageError::SameFile { first, second });
        }
    }
    Ok(())
}

/// Whether the options go together with where the commands run. `flag` is the first option that is
/// for commands on a cluster only.
pub(super) fn check_place(
    common: &Common,
    flag: Option<&'static str>,
    is_on_slurm: bool,
) -> Result<(), UsageError> {
    let room = common.room();
    match flag {
        _ if !is_on_slurm => flag.map_or(Ok(()), |flag| Err(UsageError::ClusterOnly { flag })),
        _ if common.jobs.is_some_and(|jobs| jobs.is_share) => Err(UsageError::ShareOfProcessors),
        _ if room.load.is_some() => Err(UsageError::ThisMachine { flag: "--load" }),
        _ if room.memory.is_some() => Err(UsageError::ThisMachine { flag: "--memfree" }),
        _ => Ok(()),
    }
}

/// A command that runs on a node has no terminal.
pub(super) fn check_terminals(tty: &Tty, plan: &Plan) -> Result<(), UsageError> {
    let mut remote = plan.tasks.iter().filter(|task| task.work.needs.is_some());
    let found = match tty {
        Tty::Off => None,
        Tty::All => remote.next(),
        Tty::Named(names) => remote.find(|task| names.contains(&task.name)),
    };
    let name = found.map(|task| Some(task.name.clone()));
    name.map_or(Ok(()), |name| Err(UsageError::NoTerminal { name }))
}

pub(super) fn is_blank(command: &OsStr) -> bool {
    command
        .as_encoded_bytes()
        .iter()
        .all(u8::is_ascii_whitespace)
}

fn checked_names(names: Vec<String>, commands: usize) -> Result<Vec<String>, UsageError> {
    if names.len() != commands {
        return Err(UsageError::NameCount {
            names: names.len(),
            commands,
        });
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (index, name) in names.iter().enumerate() {
        let position = index + 1;
        if name.trim().is_empty() {
            return Err(UsageError::BlankName { position });
        }
        if name.chars().any(char::is_control) {
            return Err(UsageError::UnprintableName {
                position,
                name: name.clone(),
            });
        }
        if let Some(first) = seen.insert(name, position) {
            return Err(UsageError::DuplicateName {
                first,
                second: position,
                name: name.clone(),
            });
        }
    }
    Ok(names)
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::BlankCommand { position } => {
                write!(f, "command {position} is empty")
            }
            UsageError::NoCommand { list } => write!(
                f,
                "there is no command before '{list}'; `taskgroup run` runs commands themselves"
            ),
            UsageError::Stray { word } => write!(
                f,
                "unexpected {word:?} after the command: arguments follow ':::', files follow \
                 '::::', and the command is one quoted argument"
            ),
            UsageError::NoFile { list } => {
                write!(f, "no file follows '{list}'; '-' is standard input")
            }
            UsageError::NothingBefore { list } => write!(
                f,
                "'{list}' links its list with the one before it, and there is none: begin with \
                 ':::' or '::::'"
            ),
            UsageError::SharedStdin => f.write_str(
                "--file - and --stdin would both read standard input: name the file, or leave out \
                 --stdin",
            ),
            UsageError::BackoffAlone => f.write_str(
                "--backoff is the pause before a command runs again: add --retries, or --restart \
                 of run",
            ),
            UsageError::BlockAlone => {
                f.write_str("--block is the size of the blocks of --pipe: add --pipe")
            }
            UsageError::NoShell { program } => write!(
                f,
                "--shell: there is no program `{}`; write one that is there, with its options, \
                 like \"bash -c\"",
                program.escape_debug()
            ),
            UsageError::TwoStdins => f.write_str("'::::' has standard input '-' twice"),
            UsageError::Unreadable { path, error } => {
                write!(f, "'::::': cannot read {}: {error}", path.display())
            }
            UsageError::NoArguments { shell } => write!(
                f,
                "--shell: map gives each argument to the shell as $1, which `{}` may not have; use \
                 sh, bash, dash, zsh or ksh, each with -c at the end",
                shell.shown()
            ),
            UsageError::ZeroTime { flag } => write!(
                f,
                "{flag} must be longer than zero: no command could ever succeed"
            ),
            UsageError::SameFile { first, second } => {
                write!(f, "{first} and {second} would write the same file")
            }
            UsageError::NoMeasure { error } => {
                write!(
                    f,
                    "--load and --memfree cannot be used on this system: {error}"
                )
            }
            UsageError::ClusterOnly { flag } => {
                write!(f, "{flag} is for commands on a cluster: add --on slurm")
            }
            UsageError::ThisMachine { flag } => write!(
                f,
                "{flag} looks at this machine, and commands run on a cluster: leave it out, as \
                 Slurm starts no more than a node holds, or run everything here with --on local"
            ),
            UsageError::ShareOfProcessors => f.write_str(
                "--jobs: a share of the processors of this machine means nothing on a cluster: \
                 write a number, or leave it out for as many as the job holds",
            ),
            UsageError::NoTerminal { name } => {
                let name = name.as_deref().map_or_else(
                    || "the command".to_owned(),
                    |name| format!("`{}`", name.escape_debug()),
                );
                write!(
                    f,
                    "--tty: {name} runs on a node of the cluster, where it can have no terminal: \
                     name others with --tty=NAMES, or run it here with --on local"
                )
            }
            UsageError::NameCount { names, commands } => write!(
                f,
                "--names must have one name for each command: {names} given for {commands}"
            ),
            UsageError::NoSuchCommand { flag, name, names } => {
                let names = names.join(", ");
                write!(
                    f,
                    "{flag}: no command has the name {name:?}; the names are: {names}"
                )
            }
            UsageError::BlankName { position } => write!(f, "--names: name {position} is empty"),
            UsageError::UnprintableName { position, name } => write!(
                f,
                "--names: name {position} has a control character: {name:?}"
            ),
            UsageError::DuplicateName {
                first,
                second,
                name,
            } => write!(
                f,
                "--names: names {first} and {second} are the same: {name:?}"
            ),
        }
    }
}

impl Error for UsageError {}

/// What to say about a name that a file does not have.
pub(super) fn not_in_file(unknown: &Unknown, place: &Place) -> String {
    let near: Vec<String> = unknown
        .near
        .iter()
        .map(|near| format!("`{near}`"))
        .collect();
    let help = match near.is_empty() {
        true => {
            let file = place.path().unwrap_or(Path::new("-")).display();
            format!("`taskgroup list {file}` shows all names")
        }
        false => format!("did you mean {}?", near.join(" or ")),
    };
    format!(
        "{place} has no task or group `{}`; {help}",
        unknown.name.escape_debug()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Verb};
    use crate::plan::OnFailure;
    use clap::Parser;

    fn parsed(args: &[&str]) -> RunArgs {
        let all = ["taskgroup", "run"].iter().chain(args);
        let Verb::Run(raw) = Args::try_parse_from(all).expect("clap takes it").verb else {
            panic!("it is a run");
        };
        raw
    }

    fn checked(args: &[&str]) -> Result<Plan, UsageError> {
        let raw = parsed(args);
        checked_options(&raw.common)?;
        plan(raw, Policy::All)
    }

    #[test]
    fn defaults() {
        let plan = checked(&["true", "false"]).unwrap();
        assert_eq!(plan.tasks[0].work.grace, Duration::from_secs(5));
        assert_eq!(
            (plan.groups[ROOT].jobs, plan.tasks[0].timeout),
            (None, None)
        );
        assert_eq!(plan.groups[ROOT].on_failure, OnFailure::Cancel);
        assert_eq!(plan.tasks[0].retry, Retry::NEVER);
        assert_eq!(plan.tasks[1].name, "false");
    }

    #[test]
    fn a_command_on_a_cluster_takes_what_is_said() {
        let plan = checked(&["--cpus", "2", "--on", "slurm", "--memory=1G", "true"]).unwrap();
        let needs = plan.tasks[0].work.needs.as_deref().unwrap();
        assert_eq!((needs.cpus.get(), needs.gpus), (2, 0));
        assert_eq!(needs.memory, Some(1 << 30));
        assert!(plan.is_on_slurm());
        let plan = checked(&["true"]).unwrap();
        assert_eq!(plan.tasks[0].work.needs, None);
    }

    #[test]
    fn map_runs_as_many_as_there_are_processors_or_as_the_job_holds() {
        let jobs = |args: &[&str]| jobs_of_map(&parsed(args).common);
        assert_eq!(jobs(&["x"]), Some(processors()));
        assert_eq!(jobs(&["--on=local", "x"]), Some(processors()));
        assert_eq!(jobs(&["--on=slurm", "x"]), None);
        assert_eq!(jobs(&["--on=slurm", "-j3", "x"]), NonZeroUsize::new(3));
    }

    #[test]
    fn a_blank_command_is_named_by_its_position() {
        assert_eq!(
            checked(&["true", " \t"]).unwrap_err(),
            UsageError::BlankCommand { position: 2 }
        );
    }

    #[test]
    fn names_must_fit() {
        assert_eq!(
            checked(&["--names", "a", "true", "true"]).unwrap_err(),
            UsageError::NameCount {
                names: 1,
                commands: 2
            }
        );
        assert_eq!(
            checked(&["--names", "a,", "true", "true"]).unwrap_err(),
            UsageError::BlankName { position: 2 }
        );
        assert_eq!(
            checked(&["--names", "a,b,a", "true", "true", "true"]).unwrap_err(),
            UsageError::DuplicateName {
                first: 1,
                second: 3,
                name: "a".into()
            }
        );
        assert_eq!(
            checked(&["--names", "a\x1b", "true"]).unwrap_err(),
            UsageError::UnprintableName {
                position: 1,
                name: "a\x1b".into()
            }
        );
    }

    #[test]
    fn a_timeout_of_zero_is_refused_and_a_grace_of_zero_is_not() {
        assert_eq!(
            checked(&["--timeout", "0s", "true"]).unwrap_err(),
            UsageError::ZeroTime { flag: "--timeout" }
        );
        let plan = checked(&["--grace", "0s", "true"]).unwrap();
        assert_eq!(plan.tasks[0].work.grace, Duration::ZERO);
    }

    #[test]
    fn a_journal_is_new_or_resumed_and_no_file_is_written_twice() {
        let options = |args: &[&str]| checked_options(&parsed(args).common);
        assert!(options(&["true"]).unwrap().files.is_empty());
        let file = |args: &[&str]| {
            let mut files = options(args).unwrap().files;
            assert_eq!(files.len(), 1);
            let file = files.remove(0);
            (file.flag, file.path, file.resumed)
        };
        assert_eq!(
            file(&["--json", "a", "true"]),
            ("--json", "a".into(), false)
        );
        assert_eq!(
            file(&["--resume", "a", "true"]),
            ("--resume", "a".into(), true)
        );
        let twice = options(&["--resume", "a", "--report", "a", "true"]);
        assert_eq!(
            twice.unwrap_err(),
            UsageError::SameFile {
                first: "--resume",
                second: "--report"
            }
        );
        assert!(options(&["--json", "/dev/null", "--report", "/dev/null", "true"]).is_ok());
    }
}
