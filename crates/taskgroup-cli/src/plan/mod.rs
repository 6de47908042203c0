//! The plan: groups and tasks, validated. After this point no input can be wrong.
//!
//! A plan comes from a file (`file`) or from the command line, whose commands get their names from
//! `names`. `options` says how the plan is run.

pub(crate) mod file;
mod halt;
mod job;
pub(crate) mod names;
mod options;
mod select;
mod service;
mod share;
mod shell;

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::ValueEnum;

pub(crate) use crate::needs::{JobRequest, Needs, On};
use crate::process::{Start, Stdio};

pub(crate) use halt::Halt;
pub(crate) use job::{JobOptions, counted, size};
pub(crate) use options::{FileSpec, Overrides, Room, RunOptions};
pub(crate) use select::Unknown;
pub(crate) use service::{Ready, Restart, RestartOn, Service, Url, is_host};
pub(crate) use share::{Jobs, Timeout, is_dashed, memory, processors};
pub(crate) use shell::{Shell, is_in_path};

/// The work: a tree of groups with tasks as its leaves.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    /// In the order in which they were written.
    pub(crate) tasks: Vec<TaskSpec>,
    /// The first one is the root; parents come before their children.
    pub(crate) groups: Vec<GroupSpec>,
    /// What is said about the job for the commands that run on Slurm.
    pub(crate) job: JobOptions,
}

/// How many tasks a run has, once that is known. Clones share it.
pub(crate) type Total = Arc<OnceLock<u64>>;

/// The root of every plan.
pub(crate) const ROOT: usize = 0;

/// An index into a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Task(usize),
    Group(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TaskSpec {
    /// Unique in its plan, one line, printable; with the names of its groups before it.
    pub(crate) name: String,
    pub(crate) group: usize,
    pub(crate) work: Work,
    pub(crate) timeout: Option<Timeout>,
    pub(crate) retry: Retry,
    pub(crate) restart: Option<Restart>,
    /// Runs until nothing needs it.
    pub(crate) service: Option<Service>,
    /// What its failure does, if that is not what its group says.
    pub(crate) on_failure: Option<OnFailure>,
    /// For people, in a list.
    pub(crate) description: Option<String>,
    /// Nodes that have to succeed first.
    pub(crate) after: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroupSpec {
    /// Empty for the root.
    pub(crate) name: String,
    /// None for the root.
    pub(crate) parent: Option<usize>,
    pub(crate) policy: Policy,
    pub(crate) when_one_ends: WhenOneEnds,
    pub(crate) on_failure: OnFailure,
    pub(crate) halt: Option<Halt>,
    pub(crate) jobs: Option<NonZeroUsize>,
    pub(crate) deadline: Option<Duration>,
    /// For people, in a list.
    pub(crate) description: Option<String>,
    pub(crate) after: Vec<Node>,
    /// Run one after the other when everything in the group has ended, in whatever way.
    pub(crate) cleanup: Vec<Work>,
}

/// One task of a run: of the plan, or of the input.
pub(crate) struct Task {
    pub(crate) id: usize,
    pub(crate) spec: TaskSpec,
}

/// How to run something, and where.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Work {
    pub(crate) command: Command,
    pub(crate) shell: Shell,
    pub(crate) env: Vec<(OsString, Option<OsString>)>,
    /// The folder of the file of tasks. The key of the work does not depend on it, so that a run
    /// can be resumed from another folder.
    pub(crate) base: Option<PathBuf>,
    /// Below `base`, if that is given.
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) grace: Duration,
    /// What it takes of the nodes of a job. None: it runs on this machine.
    pub(crate) needs: Option<Arc<Needs>>,
    /// What it reads. Without it, standard input is empty, or ours.
    pub(crate) input: Option<Arc<[u8]>>,
    /// Run one after the other when this has ended, in whatever way. Cleanup itself has none.
    pub(crate) cleanup: Vec<Work>,
    /// How long each step of cleanup may take.
    pub(crate) cleanup_timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// For a shell; not blank.
    Shell(OsString),
    /// For a shell, with arguments.
    Filled {
        script: OsString,
        /// `$1` and so on.
        arguments: Vec<OsString>,
        /// As one would type it, with the arguments in it.
        shown: OsString,
        /// All that was filled in, as one text.
        argument: OsString,
    },
    /// Without a shell; never empty.
    Direct(Vec<OsString>),
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Retry {
    /// Attempts after the first one.
    pub(crate) times: u32,
    /// The pause before the second attempt. It doubles with each attempt, and a random time of up
    /// to the same length is added.
    pub(crate) backoff: Duration,
}

/// When a group is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    /// When all have ended.
    #[default]
    All,
    /// When one has succeeded.
    Race,
}

/// What the end of one does to the others in its group, however it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhenOneEnds {
    /// Let the others go on, unless it failed
    #[default]
    Wait,
    /// Stop the others
    Stop,
}

/// What a failure does to the others in its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnFailure {
    /// Stop the others
    #[default]
    Cancel,
    /// Let the others finish; the run has failed
    Wait,
    /// Let the others finish; the failure is reported and does not count
    Ignore,
}

impl Retry {
    pub(crate) const NEVER: Retry = Retry {
        times: 0,
        backoff: Duration::from_secs(1),
    };
}

impl Plan {
    pub(crate) fn name(&self, node: Node) -> &str {
        match node {
            Node::Task(id) => &self.tasks[id].name,
            Node::Group(id) => &self.groups[id].name,
        }
    }

    /// The groups around a node, from the inside; the last one is the root.
    pub(crate) fn around(&self, node: Node) -> impl Iterator<Item = usize> {
        let innermost = match node {
            Node::Task(id) => Some(self.tasks[id].group),
            Node::Group(id) => self.groups[id].parent,
        };
        std::iter::successors(innermost, |&group| self.groups[group].parent)
    }

    /// The longest time that a command, with its cleanup, may take to end when it is stopped.
    pub(crate) fn longest_grace(&self) -> Duration {
        let of = |work: &Work| {
            let steps = u32::try_from(work.cleanup.len()).unwrap_or(u32::MAX);
            work.grace
                .saturating_add(work.cleanup_timeout.saturating_mul(steps))
        };
        let tasks = self.tasks.iter().map(|task| of(&task.work));
        tasks.max().unwrap_or_default()
    }

    /// All names that may precede a line of output.
    pub(crate) fn labels(&self) -> impl Iterator<Item = String> {
        let tasks = self.tasks.iter();
        let of_tasks = tasks.clone().map(|task| (&task.name, &task.work.cleanup));
        let of_groups = self
            .groups
            .iter()
            .map(|group| (&group.name, &group.cleanup));
        let steps = of_tasks
            .chain(of_groups)
            .flat_map(|(name, steps)| (0..steps.len()).map(move |step| cleanup_name(name, step)));
        tasks.map(|task| task.name.clone()).chain(steps)
    }
}

/// The name of a step of cleanup. An empty name stands for the run.
pub(crate) fn cleanup_name(of: &str, step: usize) -> String {
    let of = if of.is_empty() { "run" } else { of };
    format!("{of} (cleanup {})", step + 1)
}

impl TaskSpec {
    /// A task with nothing but this.
    pub(crate) fn new(name: String, group: usize, work: Work) -> TaskSpec {
        TaskSpec {
            name,
            group,
            work,
            timeout: None,
            retry: Retry::NEVER,
            restart: None,
            service: None,
            on_failure: None,
            description: None,
            after: Vec::new(),
        }
    }
}

impl GroupSpec {
    pub(crate) fn root() -> GroupSpec {
        GroupSpec {
            name: String::new(),
            parent: None,
            policy: Policy::All,
            when_one_ends: WhenOneEnds::Wait,
            on_failure: OnFailure::Cancel,
            halt: None,
            jobs: None,
            deadline: None,
            description: None,
            after: Vec::new(),
            cleanup: Vec::new(),
        }
    }
}

impl Work {
    /// The grace of a command that has none of its own.
    pub(crate) const GRACE: Duration = Duration::from_secs(5);

    pub(crate) fn shell(text: OsString, shell: Shell, grace: Duration) -> Work {
        Work {
            command: Command::Shell(text),
            shell,
            env: Vec::new(),
            base: None,
            cwd: None,
            grace,
            needs: None,
            input: None,
            cleanup: Vec::new(),
            cleanup_timeout: grace,
        }
    }

    /// In the form that the guard expects.
    pub(crate) fn start(&self) -> Start {
        let bytes = |text: &OsStr| text.as_bytes().to_vec();
        let argv = match &self.command {
            Command::Shell(script) | Command::Filled { script, .. } => {
                let mut argv: Vec<_> = self.shell.words().iter().map(|word| bytes(word)).collect();
                argv.push(bytes(script));
                if let Command::Filled { arguments, .. } = &self.command {
                    argv.push(bytes(self.shell.program()));
                    argv.extend(arguments.iter().map(|argument| bytes(argument)));
                }
                argv
            }
            Command::Direct(argv) => argv.iter().map(|word| bytes(word)).collect(),
        };
        let env = self.env.iter();
        Start {
            argv,
            env: env
                .map(|(name, value)| (bytes(name), value.as_deref().map(bytes)))
                .collect(),
            cwd: self.folder().map(|cwd| bytes(cwd.as_os_str())),
            grace: self.grace,
            stdio: Stdio::default(),
        }
    }

    /// Where it runs, if not in the folder of the runner.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        // A matrix may have filled in nothing.
        let cwd = self.cwd.as_ref().filter(|cwd| !cwd.as_os_str().is_empty());
        match (&self.base, cwd) {
            (Some(base), Some(cwd)) => Some(base.join(cwd)),
            (base, cwd) => base.as_ref().or(cwd).cloned(),
        }
    }

    /// What is looked up and executed.
    pub(crate) fn program(&self) -> String {
        let program = match &self.command {
            Command::Shell(_) | Command::Filled { .. } => Some(self.shell.program()),
            Command::Direct(argv) => argv.first().map(OsString::as_os_str),
        };
        program.map_or_else(String::new, |program| {
            program.to_string_lossy().into_owned()
        })
    }

    /// Equal for equal work, in every run. It is short and contains no secret.
    pub(crate) fn key(&self) -> String {
        let start = self.start();
        let mut hash = Fnv::new();
        start.argv.iter().for_each(|word| hash.part(word));
        hash.part(b"env");
        for (name, value) in &start.env {
            hash.part(name);
            hash.part(value.as_deref().unwrap_or(b"\0"));
        }
        let cwd = self.cwd.as_ref().map(|cwd| cwd.as_os_str().as_bytes());
        hash.part(cwd.unwrap_or_default());
        if let Some(input) = &self.input {
            hash.part(input);
        }
        hash.text()
    }
}

/// A short text in place of this one. It is the same in each run and, in all probability, differs
/// from that for any other text.
pub(crate) fn fingerprint(text: &str) -> String {
    let mut hash = Fnv::new();
    hash.part(text.as_bytes());
    hash.text()
}

impl Command {
    /// What `map` runs it for.
    pub(crate) fn argument(&self) -> Option<&OsStr> {
        match self {
            Command::Filled { argument, .. } => Some(argument),
            Command::Shell(_) | Command::Direct(_) => None,
        }
    }

    /// For people, who can read all of it.
    pub(crate) fn shown(&self) -> String {
        self.text().to_string_lossy().into_owned()
    }

    /// As one would type it.
    pub(crate) fn text(&self) -> OsString {
        match self {
            Command::Shell(text) | Command::Filled { shown: text, .. } => text.clone(),
            Command::Direct(argv) => argv.join(OsStr::new(" ")),
        }
    }
}

/// FNV-1a with 128 bits. It is stable across runs and versions; the standard library's hash is not.
struct Fnv(u128);

impl Fnv {
    fn new() -> Fnv {
        Fnv(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    fn text(&self) -> String {
        format!("{:032x}", self.0)
    }

    fn part(&mut self, bytes: &[u8]) {
        let length = bytes.len().to_le_bytes();
        for &byte in length.iter().chain(bytes) {
            self.0 ^= u128::from(byte);
            self.0 = self
                .0
                .wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_everything_apart_that_matters() {
        let work = |text: &str| Work::shell(text.into(), Shell::default(), Duration::ZERO);
        let plain = work("a b");
        assert_eq!(plain.key(), work("a b").key());
        let mut others = [work("a  b"), work("a b"), work("a b"), work("a b")];
        others[1].cwd = Some("/".into());
        others[2].env.push(("A".into(), None));
        others[3].command = Command::Filled {
            script: "a b".into(),
            arguments: vec!["c".into()],
            shown: "a b c".into(),
            argument: "c".into(),
        };
        let keys: std::collections::HashSet<String> = others.iter().map(Work::key).collect();
        assert!(keys.len() == 4 && !keys.contains(&plain.key()));
        let mut patient = work("a b");
        patient.grace = Duration::from_secs(1);
        patient.base = Some("/elsewhere".into());
        assert_eq!(patient.key(), plain.key());
        let mut by_bash = work("a b");
        let mut fed = work("a b");
        fed.input = Some(b"x"[..].into());
        assert_ne!(fed.key(), plain.key());
        by_bash.shell = Shell::from_words(vec!["bash".into(), "-c".into()]).unwrap();
        assert_ne!(by_bash.key(), plain.key());
    }
}
