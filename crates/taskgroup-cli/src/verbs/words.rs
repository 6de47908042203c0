//! The words of the command line, checked: a plan from commands, and the options of a run.

use std::collections::HashMap;
use std::error::Error;
use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::args::{Common, RunArgs};
use crate::output::{Ci, Prefixed, Show};
use crate::plan::file::Place;
use crate::plan::{
    GroupSpec, Plan, Policy, ROOT, Restart, Retry, RunOptions, Shell, TaskSpec, Unknown, Work,
    names,
};
use crate::typed::{Reader, Tty};

/// Errors in the command line, and where they are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UsageError {
    BlankCommand {
        position: usize,
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
    let names = match raw.names {
        Some(names) => checked_names(names, raw.commands.len())?,
        None => names::derive(&raw.commands),
    };
    let commands = names.into_iter().zip(raw.commands);
    let common = &raw.common;
    let retry = retry(common);
    let restart = raw.restart.map(|on| Restart {
        on,
        backoff: retry.backoff,
        limit: None,
    });
    let shell = common.shell.clone().unwrap_or_default();
    let tasks = commands.map(|(name, command)| TaskSpec {
        name,
        group: ROOT,
        work: Work::shell(command, shell.clone(), common.grace()),
        timeout: common.timeout,
        retry,
        restart,
        service: None,
        on_failure: None,
        description: None,
        after: Vec::new(),
    });
    let root = GroupSpec {
        policy,
        on_failure: raw.failure.on_failure(),
        jobs: common.jobs,
        ..GroupSpec::root()
    };
    Ok(Plan {
        tasks: tasks.collect(),
        groups: vec![root],
    })
}

pub(super) fn retry(common: &Common) -> Retry {
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
    Ok(RunOptions {
        contain: common.contain,
        show: common.output.unwrap_or(default),
        colour: common.color,
        ci,
        bar: !common.no_bar,
        keep_order: common.keep_order,
        prefix: match common.tag {
            true => Prefixed::argument(),
            false => common.prefix.clone(),
        },
        hide: common.hide.clone(),
        tty: common.tty(),
        reader: common.reader(),
        slowest: common.slowest,
        results: common.results.clone(),
        files: common.written(),
        reads: Vec::new(),
    })
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
        Reader::Named(name) if name == "none" => options.reader = Reader::Nobody,
        Reader::Named(name) if name == "first" => {
            let first = plan.tasks.first().map(|task| task.name.clone());
            options.reader = first.map_or(Reader::Nobody, Reader::Named);
        }
        Reader::Named(name) => known("--stdin", name)?,
        Reader::Nobody | Reader::WithTerminal => {}
    }
    Ok(())
}

fn check(common: &Common) -> Result<(), UsageError> {
    for (flag, value) in [
        ("--timeout", common.timeout),
        ("--deadline", common.deadline),
    ] {
        if value == Some(Duration::ZERO) {
            return Err(UsageError::ZeroTime { flag });
        }
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
        true => "`taskgroup list` shows all names".to_owned(),
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
