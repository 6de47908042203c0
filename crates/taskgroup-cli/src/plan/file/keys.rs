//! All keys of a file of tasks, for the manual, the JSON schema and the messages.
//!
//! `schema` reads them; a test compares what it reads with this table.

/// Where a key may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    Tasks,
    /// Groups, and the file itself.
    Groups,
    Both,
    /// Tasks and groups, but not the file.
    BothNested,
    File,
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Command,
    Commands,
    Names,
    Duration,
    /// A duration longer than zero.
    Span,
    /// The same, or a share of what others take.
    Timeout,
    /// Zero or more.
    Count,
    /// One or more.
    Number,
    /// One or more, or a share of the processors.
    Jobs,
    /// How much memory.
    Size,
    Text,
    /// One line that is not empty.
    Name,
    /// Options for another program.
    Options,
    /// A path that is not empty.
    Folder,
    Shell,
    Env,
    OnFailure,
    Policy,
    Matrix,
    WhenOneEnds,
    Flag,
    Ready,
    Restart,
    On,
    Slurm,
    Tasks,
    Groups,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) of: Of,
    pub(crate) form: Form,
    /// As it stands in the manual and in the schema.
    pub(crate) about: &'static str,
}

const fn key(name: &'static str, of: Of, form: Form, about: &'static str) -> Key {
    Key {
        name,
        of,
        form,
        about,
    }
}

pub(crate) const KEYS: [Key; 32] = [
    key(
        "run",
        Of::Tasks,
        Form::Command,
        "The command: a string for the shell, or a list of words without a shell.",
    ),
    key(
        "after",
        Of::BothNested,
        Form::Names,
        "Names of tasks and groups that have to succeed first. The nearest group that has the name \
         counts. A path like `test/unit` is a name, too.",
    ),
    key(
        "description",
        Of::BothNested,
        Form::Text,
        "One line for `taskgroup list`.",
    ),
    key(
        "matrix",
        Of::Tasks,
        Form::Matrix,
        "Lists of values by name. The task runs once for each combination, as a group with the \
         name of the task. Each name is a variable of the environment; `${name}` in `cwd` and in a \
         list of words stands for its value.",
    ),
    key(
        "service",
        Of::Tasks,
        Form::Flag,
        "`true` for a command that runs until nothing needs it. What comes after it starts when it \
         is ready. It is stopped when everything has ended that comes after it, or after a group \
         that it is in. If it ends before, it has failed. It takes none of the `jobs`.",
    ),
    key(
        "ready",
        Of::Tasks,
        Form::Ready,
        "When a service is ready: `{ command = … }` has succeeded, `{ port = 5432 }` accepts a \
         connection, `{ http = \"http://localhost:8080/\" }` answers with success, or its output \
         has a line with the text in `{ line = \"listening\" }`. Without it, once it is started. If \
         another program answers at the port or URL before the start, the service has failed.",
    ),
    key(
        "ready-timeout",
        Of::Tasks,
        Form::Span,
        "A service that is not ready after this time has failed. One minute if it is not given.",
    ),
    key(
        "restart",
        Of::Tasks,
        Form::Restart,
        "When a service that has ended is started again: `{ on = \"failure\" }` or \
         `{ on = \"always\" }`, with a `backoff` before the first restart (one second; it doubles, \
         and a random time of up to the same length is added) and a `limit` of restarts. The word \
         alone stands for a table with nothing but `on`.",
    ),
    key(
        "timeout",
        Of::Both,
        Form::Timeout,
        "A command (each attempt) that runs longer is stopped, as a failure; `300%`: longer than \
         three times the median of those that have succeeded. Passed down.",
    ),
    key(
        "retries",
        Of::Both,
        Form::Count,
        "How many times a failed command is run again. Passed down.",
    ),
    key(
        "backoff",
        Of::Both,
        Form::Duration,
        "The pause before the first retry. It doubles each time, and a random time of up to the \
         same length is added. Passed down.",
    ),
    key(
        "grace",
        Of::Both,
        Form::Duration,
        "Time for a command to clean up between SIGTERM and SIGKILL. Passed down.",
    ),
    key(
        "shell",
        Of::Both,
        Form::Shell,
        "The shell and its options, like `bash -euo pipefail -c`. The command is the last \
         argument. Passed down.",
    ),
    key(
        "env",
        Of::Both,
        Form::Env,
        "Variables of the environment, added to those of the enclosing groups; `false` removes \
         one. `${NAME}` stands for the value around, `${NAME:-text}` for text if that is unset or \
         empty, `$$` for a dollar sign.",
    ),
    key(
        "cwd",
        Of::Both,
        Form::Folder,
        "The folder in which commands run, below that of the enclosing group. The file's own \
         folder is the first one.",
    ),
    key(
        "cleanup",
        Of::Both,
        Form::Commands,
        "Commands that run one after the other when the task or group has ended, even after a \
         failure or a signal.",
    ),
    key(
        "cleanup-timeout",
        Of::Both,
        Form::Span,
        "How long each command of the cleanup may take. Without it, the grace. Passed down.",
    ),
    key(
        "on-failure",
        Of::Both,
        Form::OnFailure,
        "What a failure does to the others in the group: `cancel` stops them, `wait` does not, \
         with `ignore` the failure does not count either. That of a task counts before that of its \
         group.",
    ),
    key(
        "jobs",
        Of::Groups,
        Form::Jobs,
        "At most this many commands of the group run at a time; `50%` is half of the processors \
         of this machine, and no limit for commands on a cluster.",
    ),
    key(
        "deadline",
        Of::Groups,
        Form::Span,
        "The group is stopped, as a failure, if it takes longer.",
    ),
    key(
        "policy",
        Of::Groups,
        Form::Policy,
        "`all`, or `race`: the first success stops the others.",
    ),
    key(
        "when-one-ends",
        Of::Groups,
        Form::WhenOneEnds,
        "With `stop`, the end of one task of the group stops the others, whether it succeeded or \
         not. `wait` is how it is without this key.",
    ),
    key(
        "on",
        Of::Both,
        Form::On,
        "Where commands run: `local` on this machine, `slurm` on the nodes of a Slurm job. \
         `--on local` counts before it, and `--on slurm` where neither the task nor a group \
         around it has this key. Passed down.",
    ),
    key(
        "cpus",
        Of::Both,
        Form::Number,
        "How many processors of its node a command takes. One if it is not given. This key and \
         those up to `extra` count on a cluster only. Passed down.",
    ),
    key(
        "memory",
        Of::Both,
        Form::Size,
        "How much memory of its node a command takes, like `2G`. Without it, commands share the \
         memory of the node. Passed down.",
    ),
    key(
        "gpus",
        Of::Both,
        Form::Count,
        "How many GPUs of its node a command takes. Passed down.",
    ),
    key(
        "nodes",
        Of::Both,
        Form::Number,
        "How many nodes a command takes. It runs on the first one, and the rest is on each of \
         them. One if it is not given. Passed down.",
    ),
    key(
        "constraint",
        Of::Both,
        Form::Name,
        "Features that the nodes of a command must have, as Slurm writes them. Passed down.",
    ),
    key(
        "extra",
        Of::Both,
        Form::Options,
        "More options for `srun`, like `[\"--hint=nomultithread\"]`, in place of those of the \
         group around. Passed down.",
    ),
    key(
        "slurm",
        Of::File,
        Form::Slurm,
        "The job that is asked for if the run is not inside one: `nodes`; on each of them `cpus`, \
         `memory` and `gpus`; `partition`, `account`, `time`, `constraint`, and `extra` with more \
         options for `salloc`. Without `cpus`, the job has whole nodes. Without `nodes` or `gpus`, \
         it has as many as the largest command takes.",
    ),
    key(
        "tasks",
        Of::Groups,
        Form::Tasks,
        "Tasks by name. A command alone stands for a task with nothing but `run`.",
    ),
    key("groups", Of::Groups, Form::Groups, "Groups by name."),
];

/// The keys in the tables `ready`, `restart` and `slurm` that are keys nowhere else.
const INNER: [(&str, &str); 8] = [
    ("command", "ready"),
    ("port", "ready"),
    ("http", "ready"),
    ("line", "ready"),
    ("limit", "restart"),
    ("partition", "slurm"),
    ("account", "slurm"),
    ("time", "slurm"),
];

/// Options of `run` with a file that no key stands for.
const OPTIONS: [&str; 28] = [
    "bar",
    "ci",
    "color",
    "contain",
    "count-failures",
    "delay",
    "dry-run",
    "halt",
    "hide",
    "joblog",
    "json",
    "junit",
    "keep-going",
    "keep-order",
    "load",
    "memfree",
    "nice",
    "no-bar",
    "output",
    "prefix",
    "report",
    "results",
    "resume",
    "slowest",
    "stdin",
    "tag",
    "trace",
    "tty",
];

/// Words of other task files, and the key that means the same here.
const ELSEWHERE: [(&str, &str); 62] = [
    ("depends", "after"),
    ("depends-on", "after"),
    ("depends_on", "after"),
    ("dependencies", "after"),
    ("deps", "after"),
    ("needs", "after"),
    ("requires", "after"),
    ("wait-for", "after"),
    ("cmd", "run"),
    ("cmds", "run"),
    ("command", "run"),
    ("commands", "run"),
    ("script", "run"),
    ("exec", "run"),
    ("environment", "env"),
    ("vars", "env"),
    ("variables", "env"),
    ("dir", "cwd"),
    ("directory", "cwd"),
    ("workdir", "cwd"),
    ("working-directory", "cwd"),
    ("concurrency", "jobs"),
    ("parallel", "jobs"),
    ("max-parallel", "jobs"),
    ("continue-on-error", "on-failure"),
    ("ignore-errors", "on-failure"),
    ("allow_failure", "on-failure"),
    ("keep-going", "on-failure"),
    ("fail-fast", "on-failure"),
    ("daemon", "service"),
    ("background", "service"),
    ("healthcheck", "ready"),
    ("readiness", "ready"),
    ("desc", "description"),
    ("finally", "cleanup"),
    ("teardown", "cleanup"),
    ("after-script", "cleanup"),
    ("timeout-minutes", "timeout"),
    ("retries", "limit"),
    ("tcp", "port"),
    ("address", "port"),
    ("url", "http"),
    ("https", "http"),
    ("log", "line"),
    ("output", "line"),
    ("executor", "on"),
    ("where", "on"),
    ("cores", "cpus"),
    ("threads", "cpus"),
    ("processors", "cpus"),
    ("cpus-per-task", "cpus"),
    ("mem", "memory"),
    ("gpu", "gpus"),
    ("gres", "gpus"),
    ("gpus-per-node", "gpus"),
    ("queue", "partition"),
    ("project", "account"),
    ("walltime", "time"),
    ("time-limit", "time"),
    ("features", "constraint"),
    ("options", "extra"),
    ("qos", "extra"),
];

/// The key with this name, wherever it may stand.
pub(super) fn named(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The table, itself a key, in which this key stands.
pub(super) fn table_of(inner: &str) -> Option<&'static str> {
    let (_, table) = INNER.iter().find(|(known, _)| *known == inner)?;
    Some(table)
}

/// Whether it is a key, of a file or of one of the tables in it.
#[cfg(test)]
pub(crate) fn is_key(name: &str) -> bool {
    named(name).is_some() || table_of(name).is_some()
}

/// Whether the word is an option of `run`, and no key.
pub(crate) fn is_option(word: &str) -> bool {
    OPTIONS.contains(&word)
}

/// The key for what another program calls `word`.
pub(super) fn from_elsewhere(word: &str) -> Option<&'static str> {
    let (_, key) = ELSEWHERE.iter().find(|(known, _)| *known == word)?;
    Some(key)
}

impl Form {
    /// Whether a value of this form, below `[tasks]`, is a key that stands at the wrong place and
    /// not a task: no command looks like it.
    pub(super) fn is_no_command(self) -> bool {
        match self {
            Form::Folder
            | Form::Names
            | Form::Duration
            | Form::Span
            | Form::Timeout
            | Form::Jobs
            | Form::OnFailure
            | Form::Policy
            | Form::WhenOneEnds
            | Form::Restart
            | Form::Size
            | Form::Options
            | Form::On => true,
            Form::Command
            | Form::Commands
            | Form::Count
            | Form::Number
            | Form::Text
            | Form::Name
            | Form::Shell
            | Form::Env
            | Form::Matrix
            | Form::Flag
            | Form::Ready
            | Form::Slurm
            | Form::Tasks
            | Form::Groups => false,
        }
    }
}

impl Of {
    pub(crate) fn tasks(self) -> bool {
        matches!(self, Of::Tasks | Of::Both | Of::BothNested)
    }

    pub(crate) fn groups(self) -> bool {
        !matches!(self, Of::Tasks | Of::File)
    }

    pub(crate) fn file(self) -> bool {
        matches!(self, Of::Groups | Of::Both | Of::File)
    }

    /// Where a key belongs, for the message about one that stands elsewhere.
    pub(crate) fn place(self) -> &'static str {
        match self {
            Of::Tasks => "a task, below `[tasks.NAME]`",
            Of::Groups => "a group, below `[groups.NAME]`, or the file, above all tables",
            Of::Both => "a task, a group, or the file, above all tables",
            Of::BothNested => "a task, below `[tasks.NAME]`, or a group, below `[groups.NAME]`",
            Of::File => "the file, as a table of its own",
        }
    }

    /// For the manual.
    pub(crate) fn shown(self) -> &'static str {
        match self {
            Of::Tasks => "tasks",
            Of::Groups => "groups, the file",
            Of::Both => "tasks, groups, the file",
            Of::BothNested => "tasks, groups",
            Of::File => "the file",
        }
    }
}
