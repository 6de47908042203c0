//! What is meant: the validated form of [`RunArgs`]. Past this point no input can be wrong.

use std::collections::HashMap;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::args::{Colour, RunArgs};
use crate::names;
use crate::process::Level;

#[derive(Debug)]
pub(crate) struct Plan {
    /// In the order of the command line; never empty.
    pub(crate) tasks: Vec<TaskSpec>,
    pub(crate) jobs: Option<NonZeroUsize>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) grace: Duration,
    pub(crate) on_failure: OnFailure,
    pub(crate) contain: Level,
    pub(crate) colour: Colour,
}

#[derive(Debug)]
pub(crate) struct TaskSpec {
    /// Unique in its plan, one line, printable.
    pub(crate) name: String,
    /// For `sh -c`; not blank.
    pub(crate) command: OsString,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    Cancel,
    KeepGoing,
}

/// What is wrong with the command line, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PlanError {
    BlankCommand {
        position: usize,
    },
    ZeroTimeout,
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

impl TryFrom<RunArgs> for Plan {
    type Error = PlanError;

    fn try_from(raw: RunArgs) -> Result<Plan, PlanError> {
        if let Some(blank) = raw.commands.iter().position(|command| is_blank(command)) {
            return Err(PlanError::BlankCommand {
                position: blank + 1,
            });
        }
        if raw.timeout == Some(Duration::ZERO) {
            return Err(PlanError::ZeroTimeout);
        }
        let names = match raw.names {
            Some(names) => checked_names(names, raw.commands.len())?,
            None => names::derive(&raw.commands),
        };
        let tasks = names
            .into_iter()
            .zip(raw.commands)
            .map(|(name, command)| TaskSpec { name, command })
            .collect();
        Ok(Plan {
            tasks,
            jobs: raw.jobs,
            timeout: raw.timeout,
            grace: raw.grace,
            on_failure: if raw.keep_going {
                OnFailure::KeepGoing
            } else {
                OnFailure::Cancel
            },
            contain: raw.contain,
            colour: raw.color,
        })
    }
}

fn is_blank(command: &OsStr) -> bool {
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
            PlanError::ZeroTimeout => {
                write!(
                    f,
                    "--timeout must be longer than zero: no command could ever succeed"
                )
            }
            PlanError::NameCount { names, commands } => write!(
                f,
                "--names must have one name for each command: {names} given for {commands}"
            ),
            PlanError::BlankName { position } => write!(f, "--names: name {position} is empty"),
            PlanError::UnprintableName { position, name } => {
                write!(
                    f,
                    "--names: name {position} has a control character: {name:?}"
                )
            }
            PlanError::DuplicateName {
                first,
                second,
                name,
            } => {
                write!(
                    f,
                    "--names: names {first} and {second} are the same: {name:?}"
                )
            }
        }
    }
}

impl Error for PlanError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Verb};
    use clap::Parser;

    fn plan(args: &[&str]) -> Result<Plan, PlanError> {
        let all = ["taskgroup", "run"].iter().chain(args);
        let Verb::Run(raw) = Args::try_parse_from(all).expect("clap takes it").verb;
        Plan::try_from(raw)
    }

    #[test]
    fn defaults() {
        let plan = plan(&["true", "false"]).unwrap();
        assert_eq!(plan.grace, Duration::from_secs(5));
        assert_eq!((plan.jobs, plan.timeout), (None, None));
        assert_eq!(plan.on_failure, OnFailure::Cancel);
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
            PlanError::ZeroTimeout
        );
        assert_eq!(
            plan(&["--grace", "0s", "true"]).unwrap().grace,
            Duration::ZERO
        );
    }
}
