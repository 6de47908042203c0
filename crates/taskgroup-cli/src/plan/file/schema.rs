//! The keys of a file: which exist, what they mean, what is inherited.

use std::ffi::OsString;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;
use super::table::{
    Table, command, count, describe, duration, jobs, longer_than_zero, one_of, text,
};
use crate::plan::{Command, GroupSpec, Node, Plan, Policy, ROOT, Retry, TaskSpec, Work};

/// A plan whose names are not resolved yet.
pub(super) struct Raw {
    pub(super) plan: Plan,
    pub(super) waits: Vec<Wait>,
    /// Where each one is in the file.
    pub(super) task_spans: Vec<Range<usize>>,
    pub(super) group_spans: Vec<Range<usize>>,
}

/// One name in the `after` of a task or group.
pub(super) struct Wait {
    pub(super) waiter: Node,
    pub(super) name: String,
    pub(super) span: Range<usize>,
}

/// Settings that a group passes down.
#[derive(Clone)]
struct Inherited {
    prefix: String,
    env: Vec<(OsString, Option<OsString>)>,
    cwd: Option<PathBuf>,
    timeout: Option<Duration>,
    grace: Duration,
    retry: Retry,
    cleanup_timeout: Option<Duration>,
}

struct Reader<'f> {
    raw: Raw,
    faults: &'f mut Vec<Fault>,
}

pub(super) fn read(
    document: &Spanned<DeTable<'_>>,
    grace: Duration,
    faults: &mut Vec<Fault>,
) -> Raw {
    let mut reader = Reader {
        raw: Raw {
            plan: Plan {
                tasks: Vec::new(),
                groups: Vec::new(),
            },
            waits: Vec::new(),
            task_spans: Vec::new(),
            group_spans: Vec::new(),
        },
        faults,
    };
    let inherited = Inherited {
        prefix: String::new(),
        env: Vec::new(),
        cwd: None,
        timeout: None,
        grace,
        retry: Retry::NEVER,
        cleanup_timeout: None,
    };
    reader.group("", document.span(), document.get_ref(), None, inherited);
    if reader.raw.plan.tasks.is_empty() && reader.faults.is_empty() {
        let label = "a task is written as `[tasks.name]` with a key `run`";
        reader
            .faults
            .push(Fault::new(0..0, "there are no tasks", label));
    }
    reader.raw
}

impl Reader<'_> {
    fn group(
        &mut self,
        name: &str,
        span: Range<usize>,
        table: &DeTable<'_>,
        parent: Option<usize>,
        mut inherited: Inherited,
    ) {
        let id = self.raw.plan.groups.len();
        let mut table = Table::new(table);
        self.inheritable(&mut table, &mut inherited);
        let spec = GroupSpec {
            name: name.to_owned(),
            parent,
            policy: table
                .read("policy", self.faults, one_of::<Word>)
                .map_or(Policy::All, |word| match word {
                    Word::All => Policy::All,
                    Word::Race => Policy::Race,
                }),
            on_failure: table
                .read("on-failure", self.faults, one_of)
                .unwrap_or_default(),
            jobs: table.read("jobs", self.faults, jobs),
            deadline: table.read("deadline", self.faults, longer_than_zero),
            after: Vec::new(),
            cleanup: Vec::new(),
        };
        self.raw.plan.groups.push(spec);
        self.raw.group_spans.push(span);
        if id != ROOT {
            self.waits(Node::Group(id), &mut table);
        }
        let cleanup = self.cleanup(&mut table, &inherited);
        self.raw.plan.groups[id].cleanup = cleanup;
        for (key, value) in [
            ("tasks", table.take("tasks")),
            ("groups", table.take("groups")),
        ] {
            let Some(value) = value else { continue };
            let Some(children) = self.table(key, value) else {
                continue;
            };
            for (child, span, value) in Table::new(children).entries() {
                self.child(key, id, child, span, value, &inherited);
            }
        }
        table.finish("a group", self.faults);
    }

    fn child(
        &mut self,
        key: &str,
        group: usize,
        name: &str,
        span: Range<usize>,
        value: &Spanned<DeValue<'_>>,
        inherited: &Inherited,
    ) {
        if let Some(label) = wrong_name(name) {
            self.faults
                .push(Fault::new(span.clone(), "not a valid name", label));
        }
        let path = format!("{}{name}", inherited.prefix);
        let taken = |(known, span): (&str, &Range<usize>)| (known == path).then(|| span.clone());
        let plan = &self.raw.plan;
        let tasks = plan
            .tasks
            .iter()
            .map(|task| &*task.name)
            .zip(&self.raw.task_spans);
        let groups = plan
            .groups
            .iter()
            .map(|group| &*group.name)
            .zip(&self.raw.group_spans);
        if let Some(first) = tasks.chain(groups).find_map(taken) {
            let title = format!("a task and a group are both named `{path}`");
            self.faults
                .push(Fault::new(span.clone(), title, "here again").and(first, "here first"));
        }
        let Some(table) = self.table(name, value) else {
            return;
        };
        if key == "tasks" {
            self.task(path, span, table, group, inherited.clone());
        } else {
            let mut inherited = inherited.clone();
            inherited.prefix = format!("{path}/");
            self.group(&path, span, table, Some(group), inherited);
        }
    }

    fn task(
        &mut self,
        name: String,
        span: Range<usize>,
        table: &DeTable<'_>,
        group: usize,
        mut inherited: Inherited,
    ) {
        let id = self.raw.plan.tasks.len();
        let mut table = Table::new(table);
        let given = self.faults.len();
        let run = table.read("run", self.faults, command);
        if run.is_none() && self.faults.len() == given {
            let title = format!("the task `{name}` has nothing to run");
            let help = r#"write `run = "…"` below its name"#;
            let fault = Fault::new(span.clone(), title, "needs a key `run`");
            self.faults.push(fault.help(Some(help.to_owned())));
        }
        self.inheritable(&mut table, &mut inherited);
        let cleanup = self.cleanup(&mut table, &inherited);
        let command = run.unwrap_or(Command::Direct(Vec::new()));
        self.raw.plan.tasks.push(TaskSpec {
            name,
            group,
            work: Work {
                cleanup,
                ..inherited.work(command)
            },
            timeout: inherited.timeout,
            retry: inherited.retry,
            after: Vec::new(),
        });
        self.raw.task_spans.push(span);
        self.waits(Node::Task(id), &mut table);
        table.finish("a task", self.faults);
    }

    /// The keys that a task has and a group passes down.
    fn inheritable(&mut self, table: &mut Table<'_>, to: &mut Inherited) {
        let faults = &mut *self.faults;
        if let Some(timeout) = table.read("timeout", faults, longer_than_zero) {
            to.timeout = Some(timeout);
        }
        if let Some(grace) = table.read("grace", faults, duration) {
            to.grace = grace;
        }
        if let Some(times) = table.read("retries", faults, count) {
            to.retry.times = times;
        }
        if let Some(backoff) = table.read("backoff", faults, duration) {
            to.retry.backoff = backoff;
        }
        if let Some(limit) = table.read("cleanup-timeout", faults, longer_than_zero) {
            to.cleanup_timeout = Some(limit);
        }
        if let Some(cwd) = table.read("cwd", faults, text) {
            to.cwd = Some(match &to.cwd {
                Some(around) => around.join(cwd),
                None => PathBuf::from(cwd),
            });
        }
        if let Some(value) = table.take("env") {
            self.env(value, to);
        }
    }

    fn env(&mut self, value: &Spanned<DeValue<'_>>, to: &mut Inherited) {
        let Some(table) = self.table("env", value) else {
            return;
        };
        for (name, span, value) in Table::new(table).entries() {
            if name.is_empty() || name.contains(['=', '\0']) {
                let label = "a name must not be empty or contain `=`";
                self.faults
                    .push(Fault::new(span, "not a valid variable name", label));
                continue;
            }
            // `false` removes a variable.
            let content = match value.get_ref() {
                DeValue::Boolean(false) => Ok(None),
                other => text(other).map(|text| Some(OsString::from(text))),
            };
            match content {
                Ok(content) => {
                    to.env.retain(|(known, _)| known != name);
                    to.env.push((name.into(), content));
                }
                Err(expected) => {
                    let found = describe(value.get_ref());
                    let label =
                        format!("expected {expected}, or `false` to remove it, found {found}");
                    let title = format!("invalid value for `{name}`");
                    self.faults.push(Fault::new(value.span(), title, label));
                }
            }
        }
    }

    fn cleanup(&mut self, table: &mut Table<'_>, inherited: &Inherited) -> Vec<Work> {
        let mut steps = Vec::new();
        let Some(value) = table.take("cleanup") else {
            return steps;
        };
        let Some(list) = value.get_ref().as_array() else {
            let found = describe(value.get_ref());
            let label = format!("expected a list of commands, found {found}");
            self.faults.push(Fault::new(
                value.span(),
                "invalid value for `cleanup`",
                label,
            ));
            return steps;
        };
        for step in list.iter() {
            match command(step.get_ref()) {
                Ok(command) => steps.push(inherited.work(command)),
                Err(expected) => {
                    let label = format!("expected {expected}, found {}", describe(step.get_ref()));
                    self.faults.push(Fault::new(
                        step.span(),
                        "invalid value for `cleanup`",
                        label,
                    ));
                }
            }
        }
        steps
    }

    fn waits(&mut self, waiter: Node, table: &mut Table<'_>) {
        let Some(value) = table.take("after") else {
            return;
        };
        let list = value
            .get_ref()
            .as_array()
            .into_iter()
            .flat_map(|list| list.iter());
        let mut names = list.map(|name| (name.get_ref().as_str(), name.span()));
        if !value.get_ref().is_array() || names.clone().any(|(name, _)| name.is_none()) {
            let found = describe(value.get_ref());
            let label = format!("expected a list of names, like [\"build\"], found {found}");
            self.faults
                .push(Fault::new(value.span(), "invalid value for `after`", label));
            return;
        }
        while let Some((Some(name), span)) = names.next() {
            let name = name.to_owned();
            self.raw.waits.push(Wait { waiter, name, span });
        }
    }

    fn table<'t>(&mut self, key: &str, value: &'t Spanned<DeValue<'t>>) -> Option<&'t DeTable<'t>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let label = format!("expected a table, found {}", describe(value.get_ref()));
            self.faults.push(Fault::new(
                value.span(),
                format!("invalid value for `{key}`"),
                label,
            ));
        }
        table
    }
}

impl Inherited {
    fn work(&self, command: Command) -> Work {
        Work {
            command,
            env: self.env.clone(),
            cwd: self.cwd.clone(),
            grace: self.grace,
            cleanup: Vec::new(),
            cleanup_timeout: self.cleanup_timeout.unwrap_or(self.grace),
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Word {
    All,
    Race,
}

fn wrong_name(name: &str) -> Option<&'static str> {
    if name.trim().is_empty() {
        Some("it is empty")
    } else if name.chars().any(char::is_control) {
        Some("it has a control character")
    } else if name.contains('/') {
        Some("`/` separates the names of groups and tasks")
    } else {
        None
    }
}
