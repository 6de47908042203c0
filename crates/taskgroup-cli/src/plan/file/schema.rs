//! The keys of a file: which exist, what they mean, what is inherited.

use std::collections::HashMap;
use std::ffi::OsString;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::cluster::{checked_here, read_job, read_needs};
use super::expand::expand;
use super::fault::Fault;
use super::keys::{Form, named};
use super::matrix::{Combination, combinations};
use super::table::{
    Table, command, count, duration, flag, folder, invalid, jobs, line, longer_than_zero, memory,
    on, one_of, options, port, shell, shown, text, timeout, url, words, wrong,
};
use crate::plan::{
    Command, GroupSpec, JobOptions, Needs, Node, On, OnFailure, Overrides, Plan, Policy, ROOT,
    Ready, Restart, RestartOn, Retry, Service, Shell, TaskSpec, Timeout, WhenOneEnds, Work,
};

/// A plan whose names are not resolved yet.
pub(super) struct Raw {
    pub(super) plan: Plan,
    pub(super) waits: Vec<Wait>,
    /// Where each one is in the file.
    pub(super) task_spans: Vec<Range<usize>>,
    pub(super) group_spans: Vec<Range<usize>>,
    /// The paths of all of them.
    names: HashMap<String, Node>,
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
    /// Where the innermost `cwd` is in the file.
    cwd_span: Range<usize>,
    timeout: Option<Timeout>,
    grace: Duration,
    retry: Retry,
    cleanup_timeout: Option<Duration>,
    shell: Shell,
    base: Option<PathBuf>,
    on: On,
    /// On a cluster.
    needs: Arc<Needs>,
}

/// What a file is read with.
pub(super) struct Around<'a> {
    /// The folder of the file.
    pub(super) base: Option<PathBuf>,
    /// The grace of a file that has none.
    pub(super) grace: Duration,
    pub(super) overrides: &'a Overrides,
    /// The environment of the runner.
    pub(super) variable: fn(&str) -> Option<OsString>,
}

struct Reader<'f> {
    raw: Raw,
    around: &'f Around<'f>,
    /// The tasks that matrices have made.
    combined: usize,
    faults: &'f mut Vec<Fault>,
}

pub(super) fn read(
    document: &Spanned<DeTable<'_>>,
    around: &Around<'_>,
    faults: &mut Vec<Fault>,
) -> Raw {
    let mut reader = Reader {
        raw: Raw {
            plan: Plan {
                tasks: Vec::new(),
                groups: Vec::new(),
                job: JobOptions::default(),
            },
            waits: Vec::new(),
            task_spans: Vec::new(),
            group_spans: Vec::new(),
            names: HashMap::new(),
        },
        around,
        combined: 0,
        faults,
    };
    let inherited = Inherited {
        prefix: String::new(),
        env: Vec::new(),
        cwd: None,
        cwd_span: 0..0,
        timeout: None,
        grace: around.grace,
        retry: Retry::NEVER,
        cleanup_timeout: None,
        shell: Shell::default(),
        base: around.base.clone(),
        on: On::Local,
        needs: Arc::default(),
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
        let mut table = Table::new(table);
        self.inheritable(&mut table, &mut inherited);
        if parent.is_none() {
            self.raw.plan.job = self.job(&mut table);
            // What the file says as a whole is replaced. A task or group may say something else.
            inherited.on = self.around.overrides.on.unwrap_or(inherited.on);
        }
        let jobs = table.read("jobs", self.faults, jobs);
        // A share of this machine's processors means nothing on another.
        let jobs = jobs.filter(|jobs| !jobs.is_share || inherited.on == On::Local);
        let spec = GroupSpec {
            name: name.to_owned(),
            parent,
            policy: table
                .read("policy", self.faults, one_of)
                .unwrap_or_default(),
            on_failure: self.on_failure_of_group(&mut table),
            halt: None,
            jobs: jobs.map(|jobs| jobs.most),
            when_one_ends: table
                .read("when-one-ends", self.faults, one_of)
                .unwrap_or_default(),
            deadline: table.read("deadline", self.faults, longer_than_zero),
            // Nothing lists the file itself, and nothing precedes it.
            description: parent.and_then(|_| table.read("description", self.faults, line)),
            after: Vec::new(),
            cleanup: self.cleanup(&mut table, &inherited),
        };
        let is_race = spec.policy == Policy::Race;
        if let Some(step) = spec.cleanup.first() {
            let what = match parent {
                Some(_) => format!("the cleanup of the group `{name}`"),
                None => "the cleanup of the run".to_owned(),
            };
            self.fits(&what, step, &span);
        }
        let id = self.push_group(spec, span.clone(), &mut table);
        let (faults, tasks) = (self.faults.len(), self.raw.plan.tasks.len());
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
        let plan = &self.raw.plan;
        let is_empty = plan.tasks.len() == tasks && plan.groups.len() == id + 1;
        if is_race && is_empty && self.faults.len() == faults && id != ROOT {
            let title = format!("nothing can win the race `{name}`");
            let fault = Fault::new(span, title, "needs a task or a group in it");
            self.faults.push(fault);
        }
        let what = if id == ROOT { "the file" } else { "a group" };
        table.finish(what, self.faults);
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
        if let Some(fault) = misplaced(key, name, &span, value.get_ref()) {
            self.faults.push(fault);
            return;
        }
        let path = format!("{}{name}", inherited.prefix);
        if let Some(first) = self.raw.names.get(&path).map(|node| self.raw.span(*node)) {
            let title = format!("a task and a group are both named `{path}`");
            let fault = Fault::new(span.clone(), title, "here again").and(first, "here first");
            let help = "give one of them another name";
            self.faults.push(fault.help(Some(help.to_owned())));
        }
        if key == "tasks" && value.get_ref().as_table().is_none() {
            self.brief_task(path, span, value, group, inherited);
            return;
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

    /// A task that is only a command: `tasks.lint = "cargo clippy"`.
    fn brief_task(
        &mut self,
        name: String,
        span: Range<usize>,
        value: &Spanned<DeValue<'_>>,
        group: usize,
        inherited: &Inherited,
    ) {
        let mut inherited = inherited.clone();
        self.fill_cwd(&mut inherited, &Combination::default());
        match command(value.get_ref()) {
            Ok(command) => {
                let task = Written {
                    name,
                    span,
                    group,
                    on_failure: None,
                    description: None,
                    service: None,
                    restart: None,
                };
                self.push_task(task, inherited.work(command), &inherited);
            }
            Err(expected) => {
                let expected = match value.get_ref().is_array() {
                    true => expected,
                    false => "a table with a key `run`, or a command".to_owned(),
                };
                self.faults.push(wrong(&name, value, &expected));
            }
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
        let Some(matrix) = Table::new(table).take("matrix") else {
            let alone = Combination::default();
            self.combination(name, span, table, group, inherited, &alone);
            return;
        };
        let all = combinations(&name, matrix).unwrap_or_else(|fault| {
            self.faults.push(fault);
            vec![Combination::default()]
        });
        self.combined += all.len();
        if self.combined > MOST_COMBINED {
            let title = format!("all matrices have more than {MOST_COMBINED} combinations");
            let label = "these are too many";
            self.faults.push(Fault::new(matrix.span(), title, label));
            return;
        }
        // A group in place of the task.
        let mut table_of_group = Table::new(table);
        let given = self.faults.len();
        let spec = GroupSpec {
            name: name.clone(),
            parent: Some(group),
            on_failure: self.on_failure_of_matrix(&mut table_of_group, group),
            description: table_of_group.read("description", self.faults, line),
            ..GroupSpec::root()
        };
        let id = self.push_group(spec, span.clone(), &mut table_of_group);
        // The first combination tells these faults again.
        self.faults.truncate(given);
        inherited.prefix = format!("{name}/");
        for (index, combination) in all.iter().enumerate() {
            let given = self.faults.len();
            let mut inherited = inherited.clone();
            for (name, value) in combination.env() {
                inherited.set_env(name, value);
            }
            let path = format!("{name}/{}", combination.name);
            self.combination(path, span.clone(), table, id, inherited, combination);
            if index > 0 {
                self.faults.truncate(given);
            }
        }
    }

    /// A task, or one of those that a matrix makes of it.
    fn combination(
        &mut self,
        name: String,
        span: Range<usize>,
        table: &DeTable<'_>,
        group: usize,
        mut inherited: Inherited,
        combination: &Combination,
    ) {
        let in_matrix = !combination.values.is_empty();
        let mut table = Table::new(table);
        let given = self.faults.len();
        let run = table.read("run", self.faults, command);
        if run.is_none() && self.faults.len() == given {
            let title = format!("the task `{name}` has nothing to run");
            let help = r#"write `run = "…"` below its name"#;
            let fault = Fault::new(span.clone(), title, "needs a key `run`");
            self.faults.push(fault.help(Some(help.to_owned())));
        }
        table.take("matrix");
        let about_its_end = ["timeout", "retries", "backoff"];
        let about_its_end = about_its_end.map(|key| (key, table.span(key)));
        self.inheritable(&mut table, &mut inherited);
        self.fill_cwd(&mut inherited, combination);
        if in_matrix {
            inherited.fill_needs(combination);
        }
        let cleanup = self.cleanup(&mut table, &inherited);
        let command = match run {
            Some(Command::Direct(words)) if in_matrix => {
                let words = words
                    .iter()
                    .map(|word| combination.fill(&word.to_string_lossy()));
                Command::Direct(words.map(OsString::from).collect())
            }
            Some(command) => command,
            None => Command::Direct(Vec::new()),
        };
        let on_failure = table.read("on-failure", self.faults, one_of);
        let on_failure = on_failure.map(|written| self.obeyed(written));
        let description: Option<String> = table.read("description", self.faults, line);
        let ready = table.span("ready");
        let (service, restart) = self.service(&mut table, &inherited);
        if let Some(service) = &service {
            self.not_of_services(about_its_end);
            if inherited.on == On::Slurm {
                self.not_of_this_machine(&name, service, ready);
            }
        }
        let work = Work {
            cleanup,
            ..inherited.work(command)
        };
        // A group with the name of the task has the rest, if there is a matrix.
        let task = Written {
            name,
            span,
            group,
            on_failure: on_failure.filter(|_| !in_matrix),
            description: description.filter(|_| !in_matrix),
            service,
            restart,
        };
        let node = self.push_task(task, work, &inherited);
        let waits = self.raw.waits.len();
        self.waits(node, &mut table);
        if in_matrix {
            self.raw.waits.truncate(waits);
        }
        table.finish("a task", self.faults);
    }

    /// Puts the values of the matrix into the folder of a task.
    fn fill_cwd(&mut self, inherited: &mut Inherited, combination: &Combination) {
        let Some(cwd) = &mut inherited.cwd else {
            return;
        };
        let written = cwd.to_string_lossy().into_owned();
        if let Some(name) = combination.missing(&written) {
            let label = combination.told_of(name);
            let fault = invalid("cwd", inherited.cwd_span.clone(), label);
            // The `cwd` of a group may be that of many tasks.
            if self.faults.last() != Some(&fault) {
                self.faults.push(fault);
            }
        }
        *cwd = combination.fill(&written).into();
    }

    /// The keys of a service. Without `service = true` there must be none of them.
    fn service(
        &mut self,
        table: &mut Table<'_>,
        inherited: &Inherited,
    ) -> (Option<Service>, Option<Restart>) {
        let serves = table.read("service", self.faults, flag).unwrap_or_default();
        let mut stray = Vec::new();
        let ready = match table.take("ready") {
            Some(value) => {
                stray.push(("ready", value.span()));
                self.ready(value, inherited)
            }
            None => Ready::Started,
        };
        stray.extend(
            table
                .span("ready-timeout")
                .map(|span| ("ready-timeout", span)),
        );
        stray.extend(table.span("restart").map(|span| ("restart", span)));
        let ready_timeout = table.read("ready-timeout", self.faults, longer_than_zero);
        let restart = match table.take("restart") {
            Some(value) => self.restart(value),
            None => None,
        };
        if serves {
            let service = Service {
                ready,
                ready_timeout: ready_timeout.unwrap_or(Service::READY_TIMEOUT),
            };
            return (Some(service), restart);
        }
        for (key, span) in stray {
            let title = format!("`{key}` is for services only");
            let help = match key {
                "restart" => "add `service = true`, or use `retries` for a command that ends",
                _ => "add `service = true`",
            };
            self.faults
                .push(Fault::new(span, title, "").help(Some(help.to_owned())));
        }
        (None, None)
    }

    /// A service is not to end. It passes over what a group says about that, but not what it says
    /// itself.
    fn not_of_services(&mut self, given: [(&str, Option<Range<usize>>); 3]) {
        for (key, span) in given {
            let Some(span) = span else { continue };
            let title = format!("a service has no `{key}`");
            let help = match key {
                "timeout" => {
                    "it runs until nothing needs it; `ready-timeout` limits the time until it is \
                     ready"
                }
                _ => "write `restart = { on = \"failure\" }`, with `backoff` and `limit`",
            };
            let fault = Fault::new(span, title, "");
            self.faults.push(fault.help(Some(help.to_owned())));
        }
    }

    /// Refuses a check that looks at this machine for a service that runs on a node.
    fn not_of_this_machine(&mut self, name: &str, service: &Service, span: Option<Range<usize>>) {
        let Some(what) = checked_here(service) else {
            return;
        };
        let title = format!("the service `{name}` runs on a node of the cluster");
        let label = format!("this {what} is of this machine");
        let help = "use `ready = { line = \"…\" }` or `ready = { command = \"…\" }`, or run the \
                    service here with `on = \"local\"`";
        let fault = Fault::new(span.unwrap_or_default(), title, label);
        self.faults.push(fault.help(Some(help.to_owned())));
    }

    /// Refuses a command that takes more than the job can ever have.
    fn fits(&mut self, what: &str, work: &Work, span: &Range<usize>) {
        let needs = work.needs.as_deref();
        let lack = needs.and_then(|needs| self.raw.plan.job.lack(needs));
        if let Some(lack) = lack {
            let fault = Fault::new(span.clone(), format!("{what} {lack}"), "could never start");
            let help = "let it take less, or ask for more in `[slurm]`";
            self.faults.push(fault.help(Some(help.to_owned())));
        }
    }

    /// What the file says about the job. The command line counts before it.
    fn job(&mut self, table: &mut Table<'_>) -> JobOptions {
        let asked = self.around.overrides.job.clone();
        let value = table.take("slurm");
        let Some(inner) = value.and_then(|value| self.table("slurm", value)) else {
            return asked;
        };
        let written = read_job(Table::new(inner), self.faults);
        asked.over(written)
    }

    fn ready(&mut self, value: &Spanned<DeValue<'_>>, inherited: &Inherited) -> Ready {
        let Some(inner) = value.get_ref().as_table() else {
            let expected = format!("a table, like {}", like_ready(value.get_ref()));
            self.faults.push(wrong("ready", value, &expected));
            return Ready::Started;
        };
        let mut table = Table::new(inner);
        let given = self.faults.len();
        let faults = &mut *self.faults;
        let by_command = table.read("command", faults, command);
        let by_command =
            by_command.map(|command| Ready::Command(Box::new(inherited.look(command))));
        let all = [
            by_command,
            table.read("port", faults, port).map(Ready::Port),
            table.read("http", faults, url).map(Ready::Http),
            table.read("line", faults, words).map(Ready::Line),
        ];
        table.finish("`ready`", self.faults);
        let mut all = all.into_iter().flatten();
        match (all.next(), all.next()) {
            (Some(ready), None) => return ready,
            _ if self.faults.len() > given => {}
            _ => {
                let label = "expected exactly one of `command`, `port`, `http` and `line`";
                self.faults.push(invalid("ready", value.span(), label));
            }
        }
        Ready::Started
    }

    fn restart(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Restart> {
        let restart = |on| Restart {
            on,
            backoff: Retry::NEVER.backoff,
            limit: None,
        };
        let Some(inner) = value.get_ref().as_table() else {
            return match one_of(value.get_ref()) {
                Ok(on) => Some(restart(on)),
                Err(expected) => {
                    let table = "{ on = \"failure\", limit = 3 }";
                    let expected = format!("{expected}, or a table, like {table}");
                    self.faults.push(wrong("restart", value, &expected));
                    None
                }
            };
        };
        let mut table = Table::new(inner);
        let given = self.faults.len();
        let on = table.read("on", self.faults, one_of);
        if on.is_none() && self.faults.len() == given {
            let label = "needs `on`, which is \"failure\" or \"always\"";
            self.faults.push(invalid("restart", value.span(), label));
        }
        let mut restart = restart(on.unwrap_or(RestartOn::Failure));
        if let Some(backoff) = table.read("backoff", self.faults, duration) {
            restart.backoff = backoff;
        }
        restart.limit = table.read("limit", self.faults, count);
        table.finish("`restart`", self.faults);
        Some(restart)
    }

    /// Below the file itself, a group has a name and may wait for others.
    fn push_group(&mut self, spec: GroupSpec, span: Range<usize>, table: &mut Table<'_>) -> usize {
        let id = self.raw.plan.groups.len();
        let node = Node::Group(id);
        if spec.parent.is_some() {
            self.raw.names.entry(spec.name.clone()).or_insert(node);
            self.waits(node, table);
        }
        self.raw.plan.groups.push(spec);
        self.raw.group_spans.push(span);
        id
    }

    fn push_task(&mut self, task: Written, work: Work, inherited: &Inherited) -> Node {
        let what = format!("the task `{}`", task.name);
        self.fits(&what, &work, &task.span);
        let node = Node::Task(self.raw.plan.tasks.len());
        self.raw.names.entry(task.name.clone()).or_insert(node);
        // A service is not to end, so what is passed down about its end is for others.
        let ends = task.service.is_none();
        self.raw.plan.tasks.push(TaskSpec {
            timeout: inherited.timeout.filter(|_| ends),
            retry: if ends { inherited.retry } else { Retry::NEVER },
            restart: task.restart,
            service: task.service,
            on_failure: task.on_failure,
            description: task.description,
            ..TaskSpec::new(task.name, task.group, work)
        });
        self.raw.task_spans.push(task.span);
        node
    }

    /// What a group does after a failure.
    fn on_failure_of_group(&mut self, table: &mut Table<'_>) -> OnFailure {
        let written = table.read("on-failure", self.faults, one_of);
        self.obeyed(written.unwrap_or_default())
    }

    /// The group of a matrix is in no file, so it does what the group around does.
    fn on_failure_of_matrix(&mut self, table: &mut Table<'_>, around: usize) -> OnFailure {
        let written = table.read("on-failure", self.faults, one_of);
        match written {
            Some(written) => self.obeyed(written),
            None => self.raw.plan.groups[around].on_failure,
        }
    }

    /// What the command line asks for counts before the file. But it is a wish for the run as a
    /// whole, so where a failure is declared harmless, it stays so.
    fn obeyed(&self, written: OnFailure) -> OnFailure {
        match self.around.overrides.on_failure {
            Some(asked) if written != OnFailure::Ignore => asked,
            _ => written,
        }
    }

    /// The keys that a task has and a group passes down.
    fn inheritable(&mut self, table: &mut Table<'_>, to: &mut Inherited) {
        let faults = &mut *self.faults;
        if let Some(shell) = table.read("shell", faults, shell) {
            to.shell = shell;
        }
        if let Some(timeout) = table.read("timeout", faults, timeout) {
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
        if let Some(on) = table.read("on", faults, on) {
            to.on = on;
        }
        read_needs(table, Arc::make_mut(&mut to.needs), faults);
        to.obey(self.around.overrides);
        let span = table.span("cwd");
        if let Some(cwd) = table.read("cwd", faults, folder) {
            to.cwd_span = span.unwrap_or_default();
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
        // `${NAME}` stands for the value around this table.
        let outer = to.env.clone();
        let variable = self.around.variable;
        let lookup = |name: &str| match outer.iter().find(|(known, _)| known == name) {
            Some((_, value)) => value.clone(),
            None => variable(name),
        };
        for (name, span, value) in Table::new(table).entries() {
            if name.is_empty() || name.contains(['=', '\0']) {
                let label = "a name must not be empty or contain `=` or NUL";
                self.faults
                    .push(Fault::new(span, "not a valid variable name", label));
                continue;
            }
            // `false` removes a variable.
            let content = match value.get_ref() {
                DeValue::Boolean(false) => Ok(None),
                other => text(other).map(Some),
            };
            match content.map(|text| text.map(|text| expand(&text, lookup)).transpose()) {
                Ok(Ok(content)) => to.set_env(name.into(), content),
                Ok(Err(label)) => self.faults.push(invalid(name, value.span(), label)),
                Err(expected) => {
                    let expected = format!("{expected}, or `false` to remove it");
                    self.faults.push(wrong(name, value, &expected));
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
            let like = like_list(value.get_ref(), "make clean");
            let expected = format!("a list of commands, {like}");
            self.faults.push(wrong("cleanup", value, &expected));
            return steps;
        };
        for step in list.iter() {
            match command(step.get_ref()) {
                Ok(command) => steps.push(inherited.work(command)),
                Err(expected) => self.faults.push(wrong("cleanup", step, &expected)),
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
            let like = like_list(value.get_ref(), "build");
            let expected = format!("a list of names, {like}");
            self.faults.push(wrong("after", value, &expected));
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
            let example = match key {
                "slurm" => "{ nodes = 2 }",
                "env" => "{ LEVEL = \"debug\" }",
                "tasks" => "{ lint = \"cargo clippy\" }",
                "groups" => "{ test = { tasks = { unit = \"cargo test\" } } }",
                _ => "{ tasks = { unit = \"cargo test\" } }",
            };
            let expected = format!("a table, like {example}");
            self.faults.push(wrong(key, value, &expected));
        }
        table
    }
}

/// The table `ready` that was meant by something else.
fn like_ready(value: &DeValue<'_>) -> String {
    let key = match value {
        _ if port(value).is_ok() => "port",
        _ if url(value).is_ok() => "http",
        _ if command(value).is_ok() => "command",
        _ => return "{ port = 5432 }".to_owned(),
    };
    format!("{{ {key} = {} }}", shown(value))
}

/// The list that was meant by a string, or one with `other`.
fn like_list(value: &DeValue<'_>, other: &str) -> String {
    match value.as_str() {
        Some(text) if !text.trim().is_empty() => format!("like [{}]", shown(value)),
        _ => format!("like [{other:?}]"),
    }
}

/// A key among the names of tasks or groups, below `[tasks]` or `[groups]`. A task may have the
/// name of a key if its value can be nothing but a task.
fn misplaced(kind: &str, name: &str, span: &Range<usize>, value: &DeValue<'_>) -> Option<Fault> {
    let key = named(name)?;
    let has = |keys: &[&str]| {
        let table = value.as_table();
        table.is_some_and(|table| keys.iter().any(|key| table.contains_key(*key)))
    };
    let is_meant = match kind {
        "tasks" => has(&["run"]) || (command(value).is_ok() && !is_of_form(key.form, value)),
        _ => has(&["tasks", "groups"]),
    };
    if is_meant {
        return None;
    }
    let title = format!("`{name}` is among the names of {kind}");
    let label = format!("each key of `{kind}` is a name");
    let help = format!("`{name}` belongs to {}", key.of.place());
    Some(Fault::new(span.clone(), title, label).help(Some(help)))
}

/// Whether the value is of this form, of those that no command has.
fn is_of_form(form: Form, value: &DeValue<'_>) -> bool {
    form.is_no_command()
        && match form {
            Form::Names => value.is_array(),
            Form::Duration => duration(value).is_ok(),
            Form::Span => longer_than_zero(value).is_ok(),
            Form::Timeout => timeout(value).is_ok(),
            Form::Jobs => jobs(value).is_ok(),
            Form::OnFailure => one_of::<OnFailure>(value).is_ok(),
            Form::Policy => one_of::<Policy>(value).is_ok(),
            Form::WhenOneEnds => one_of::<WhenOneEnds>(value).is_ok(),
            Form::Restart => one_of::<RestartOn>(value).is_ok(),
            Form::On => one_of::<On>(value).is_ok(),
            Form::Size => memory(value).is_ok(),
            Form::Options => options(value).is_ok(),
            _ => folder(value).is_ok(),
        }
}

/// More tasks than this, of all matrices together, come from a mistake.
const MOST_COMBINED: usize = 1 << 14;

/// What a task has that no group passes down.
struct Written {
    name: String,
    span: Range<usize>,
    group: usize,
    on_failure: Option<OnFailure>,
    description: Option<String>,
    service: Option<Service>,
    restart: Option<Restart>,
}

impl Raw {
    fn span(&self, node: Node) -> Range<usize> {
        match node {
            Node::Task(id) => self.task_spans[id].clone(),
            Node::Group(id) => self.group_spans[id].clone(),
        }
    }
}

impl Inherited {
    fn set_env(&mut self, name: OsString, value: Option<OsString>) {
        self.env.retain(|(known, _)| *known != name);
        self.env.push((name, value));
    }

    /// The command line counts before the file.
    fn obey(&mut self, overrides: &Overrides) {
        self.timeout = overrides.timeout.or(self.timeout);
        self.grace = overrides.grace.unwrap_or(self.grace);
        self.retry.times = overrides.retries.unwrap_or(self.retry.times);
        self.retry.backoff = overrides.backoff.unwrap_or(self.retry.backoff);
        if let Some(shell) = &overrides.shell {
            self.shell = shell.clone();
        }
        if overrides.on == Some(On::Local) {
            self.on = On::Local;
        }
        let needs = Arc::make_mut(&mut self.needs);
        needs.cpus = overrides.cpus.unwrap_or(needs.cpus);
        needs.memory = overrides.memory.or(needs.memory);
        needs.gpus = overrides.gpus.unwrap_or(needs.gpus);
    }

    /// Puts the values of the matrix into what Slurm reads.
    fn fill_needs(&mut self, combination: &Combination) {
        let needs = Arc::make_mut(&mut self.needs);
        if let Some(constraint) = &mut needs.constraint {
            *constraint = combination.fill(constraint);
        }
        for option in &mut needs.extra {
            *option = combination.fill(&option.to_string_lossy()).into();
        }
    }

    /// A command that looks whether a service is ready. It takes nothing of the service's room.
    fn look(&self, command: Command) -> Work {
        let work = self.work(command);
        Work {
            needs: work.needs.map(|_| Arc::default()),
            ..work
        }
    }

    fn work(&self, command: Command) -> Work {
        Work {
            command,
            shell: self.shell.clone(),
            base: self.base.clone(),
            env: self.env.clone(),
            cwd: self.cwd.clone(),
            grace: self.grace,
            needs: (self.on == On::Slurm).then(|| self.needs.clone()),
            input: None,
            cleanup: Vec::new(),
            cleanup_timeout: self.cleanup_timeout.unwrap_or(self.grace),
        }
    }
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
