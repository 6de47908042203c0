//! A plan from the words of the command line.

use std::collections::HashMap;
use std::error::Error;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::{GroupSpec, Plan, Policy, ROOT, Retry, TaskSpec, Work, names};
use crate::args::{Common, RunArgs};

/// Errors in the command line, and where they are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PlanError {
    BlankCommand {
        position: usize,
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
    DuplicateName {
        first: usize,
        second: usize,
        name: String,
    },
}

impl Plan {
    /// Commands side by side.
    pub(crate) fn of_words(
        raw: RunArgs,
        common: &Common,
        policy: Policy,
    ) -> Result<Plan, PlanError> {
        if let Some(blank) = raw.commands.iter().position(|command| is_blank(command)) {
            return Err(PlanError::BlankCommand {
                position: blank + 1,
            });
        }
        let names = match raw.names {
            Some(names) => checked_names(names, raw.commands.len())?,
            None => names::derive(&raw.commands),
        };
        let commands = names.into_iter().zip(raw.commands);
        let retry = retry(common);
        let tasks = commands.map(|(name, command)| TaskSpec {
            name,
            group: ROOT,
            work: Work::shell(command, common.grace()),
            timeout: common.timeout,
            retry,
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
}

pub(crate) fn retry(common: &Common) -> Retry {
    Retry {
        times: common.retries.unwrap_or(Retry::NEVER.times),
        backoff: common.backoff.unwrap_or(Retry::NEVER.backoff),
    }
}

/// The rules that all verbs share.
pub(crate) fn check(common: &Common) -> Result<(), PlanError> {
    for (flag, value) in [
        ("--timeout", common.timeout),
        ("--deadline", common.deadline),
    ] {
        if value == Some(Duration::ZERO) {
            return Err(PlanError::ZeroTime { flag });
        }
    }
    let mut taken: HashMap<&Path, &'static str> = HashMap::new();
    for (second, path) in common.written() {
        // A device may have any number of writers.
        if path.starts_with("/dev") {
            continue;
        }
        if let Some(first) = taken.insert(path, second) {
            return Err(PlanError::SameFile { first, second });
        }
    }
    Ok(())
}

pub(crate) fn is_blank(command: &OsStr) -> bool {
    command
        .as_encoded_bytes()
        .iter()
        .all(u8::is_ascii_whitespace)
}

fn checked_names(names: Vec<String>, commands: usize) -> Result<Vec<String>, PlanError> {
    if names.len() != commands {
        return Err(PlanError::NameCount {
            names: names.len(),
            commands,
        });
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (index, name) in names.iter().enumerate() {
        let position = index + 1;
        if name.trim().is_empty() {
            return Err(PlanError::BlankName { position });
        }
        if name.chars().any(char::is_control) {
            return Err(PlanError::UnprintableName {
                position,
                name: name.clone(),
            });
        }
        if let Some(first) = seen.insert(name, position) {
            return Err(PlanError::DuplicateName {
                first,
                second: position,
                name: name.clone(),
            });
        }
    }
    Ok(names)
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::BlankCommand { position } => {
                write!(f, "command {position} is empty")
            }
            PlanError::ZeroTime { flag } => write!(
                f,
                "{flag} must be longer than zero: no command could ever succeed"
            ),
            PlanError::SameFile { first, second } => {
                write!(f, "{first} and {second} would write the same file")
            }
            PlanError::NameCount { names, commands } => write!(
                f,
                "--names must have one name for each command: {names} given for {commands}"
            ),
            PlanError::BlankName { position } => write!(f, "--names: name {position} is empty"),
            PlanError::UnprintableName { position, name } => write!(
                f,
                "--names: name {position} has a control character: {name:?}"
            ),
            PlanError::DuplicateName {
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

impl Error for PlanError {}

/// A short name for the command that `map` runs for one argument.
pub(crate) fn name_of_argument(argument: &OsStr, number: u64) -> String {
    names::of_argument(&argument.to_string_lossy()).unwrap_or_else(|| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Verb};
    use crate::plan::OnFailure;
    use clap::Parser;

    fn plan(args: &[&str]) -> Result<(Plan, Common), PlanError> {
        let all = ["taskgroup", "run"].iter().chain(args);
        let Verb::Run(raw) = Args::try_parse_from(all).expect("clap takes it").verb else {
            panic!("it is a run");
        };
        let common = raw.common.clone();
        check(&common)?;
        Ok((Plan::of_words(raw, &common, Policy::All)?, common))
    }

    #[test]
    fn defaults() {
        let (plan, common) = plan(&["true", "false"]).unwrap();
        assert_eq!(common.grace(), Duration::from_secs(5));
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
            plan(&["true", " \t"]).unwrap_err(),
            PlanError::BlankCommand { position: 2 }
        );
    }

    #[test]
    fn names_must_fit() {
        assert_eq!(
            plan(&["--names", "a", "true", "true"]).unwrap_err(),
            PlanError::NameCount {
                names: 1,
                commands: 2
            }
        );
        assert_eq!(
            plan(&["--names", "a,", "true", "true"]).unwrap_err(),
            PlanError::BlankName { position: 2 }
        );
        assert_eq!(
            plan(&["--names", "a,b,a", "true", "true", "true"]).unwrap_err(),
            PlanError::DuplicateName {
                first: 1,
                second: 3,
                name: "a".into()
            }
        );
        assert_eq!(
            plan(&["--names", "a\x1b", "true"]).unwrap_err(),
            PlanError::UnprintableName {
                position: 1,
                name: "a\x1b".into()
            }
        );
    }

    #[test]
    fn a_timeout_of_zero_is_refused_and_a_grace_of_zero_is_not() {
        assert_eq!(
            plan(&["--timeout", "0s", "true"]).unwrap_err(),
            PlanError::ZeroTime { flag: "--timeout" }
        );
        let (_, common) = plan(&["--grace", "0s", "true"]).unwrap();
        assert_eq!(common.grace(), Duration::ZERO);
    }
}
