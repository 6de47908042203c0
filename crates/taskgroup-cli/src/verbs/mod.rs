//! From a verb to a run. `words` checks what was typed.
//!
//! The types of the command line end here: a run gets a plan and options.

mod words;

use std::collections::HashSet;
use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::error::ErrorKind;

use self::words::{checked_options, is_blank};
use crate::args::{Args, Failure, MapArgs, RunArgs, Verb};
use crate::exit::Exit;
use crate::input::{Script, Source};
use crate::output::{self, Colour, Stream};
use crate::plan::file::{self, Place};
use crate::plan::{
    GroupSpec, Halt, Overrides, Plan, Policy, ROOT, TaskSpec, Total, Work, is_in_path,
};
use crate::reason::reason;
use crate::run::Run;
use crate::typed::{Reader, Tty};
use crate::{man, process, report};

pub(crate) fn carry_out(args: Args) -> Exit {
    if let Some(directory) = &args.directory {
        if let Err(error) = env::set_current_dir(directory) {
            let text = format!(
                "--directory: {}: {}",
                directory.display(),
                reason(directory, &error)
            );
            named(None).error(ErrorKind::ValueValidation, text).exit();
        }
    }
    match args.verb {
        Verb::Run(raw) => together("run", raw, Policy::All),
        Verb::Race(raw) => {
            if raw.file.is_some() {
                usage_error(
                    "race",
                    &"a file declares its races itself, with policy = \"race\"",
                );
            }
            let raw = RunArgs {
                commands: raw.commands,
                file: None,
                tasks: Vec::new(),
                names: raw.names,
                when_one_ends: None,
                restart: None,
                failure: Failure::default(),
                common: raw.common,
            };
            together("race", raw, Policy::Race)
        }
        Verb::Map(raw) => map(&raw),
        Verb::Check(raw) => show("check", raw.file(), raw.color, checked),
        Verb::List(raw) => show("list", raw.file(), raw.color, file::list),
        Verb::Schema => print(file::json_schema().as_bytes()),
        Verb::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "taskgroup", &mut text);
            print(&text)
        }
        Verb::Man { verb } => {
            let mut text = Vec::new();
            let rendered = man::write(named(verb.as_deref()), &mut text);
            rendered.map_or_else(|error| failed(&error), |()| print(&text))
        }
    }
}

fn together(verb: &str, raw: RunArgs, policy: Policy) -> Exit {
    let (common, when_one_ends, halt) = (raw.common.clone(), raw.when_one_ends, raw.failure.halt);
    let mut options = checked_options(&common).unwrap_or_else(|error| usage_error(verb, &error));
    let from_file = raw.file.is_some() || !raw.tasks.is_empty() || raw.commands.is_empty();
    let mut plan = if from_file && policy == Policy::All {
        let place = place(verb, raw.file.clone(), &raw.tasks);
        if let Place::Stdin = place {
            words::without_stdin(&mut options).unwrap_or_else(|error| usage_error(verb, &error));
        }
        options.reads.extend(place.path().map(Path::to_owned));
        match of_file(verb, &raw, &place) {
            Ok(plan) => plan,
            Err(exit) => return exit,
        }
    } else {
        if policy == Policy::All {
            point_at_tasks(&raw);
        }
        words::plan(raw, policy).unwrap_or_else(|error| usage_error(verb, &error))
    };
    let flag = common.cluster.given();
    words::check_names(&mut options, &plan)
        .and_then(|()| words::check_shell(&common, Some(&plan)))
        .and_then(|()| words::check_place(&common, flag, plan.is_on_slurm()))
        .and_then(|()| words::check_terminals(&options.tty, &plan))
        .unwrap_or_else(|error| usage_error(verb, &error));
    let root = &mut plan.groups[ROOT];
    root.when_one_ends = when_one_ends.unwrap_or(root.when_one_ends);
    root.jobs = common.jobs().or(root.jobs);
    root.deadline = common.deadline.or(root.deadline);
    let total = Some(plan.tasks.len() as u64);
    root.halt = halt.map(|halt| Halt { total, ..halt });
    options.job = plan.job.request(&plan);
    if common.dry_run {
        return print(&match from_file {
            true => file::tree(&plan).into_bytes(),
            false => commands(&plan),
        });
    }
    execute(
        Run {
            plan,
            source: None,
            options,
        },
        common.nice,
    )
}

/// Says so if a command is no program, but a file of tasks, or the name of a task in the file that
/// would be found.
fn point_at_tasks(raw: &RunArgs) {
    for command in &raw.commands {
        let path = Path::new(command);
        let is_file = path.extension().is_some_and(|end| end == "toml") && path.is_file();
        let may_run = || path.metadata().is_ok_and(|file| file.mode() & 0o111 != 0);
        if is_file && !may_run() && !is_in_path(command) {
            let path = path.display();
            hint(&format!("{path} is a file of tasks; run it with -f {path}"));
        }
    }
    // Without a file, nothing is looked up for each command.
    let Ok(place) = Place::found() else { return };
    let commands = raw.commands.iter().filter_map(|command| command.to_str());
    let words: HashSet<&str> = commands
        .clone()
        .filter(|command| !command.contains(char::is_whitespace))
        .collect();
    let unknown: HashSet<&str> = words
        .into_iter()
        .filter(|word| !is_in_path(word.as_ref()))
        .collect();
    if unknown.is_empty() {
        return;
    }
    let (Some(path), Ok(plan)) = (
        place.path(),
        file::read(&place, Work::GRACE, &Overrides::default(), false),
    ) else {
        return;
    };
    let known = plan.by_name();
    let is_meant = |name: &&str| unknown.contains(name) && known.contains_key(name);
    for name in commands.filter(is_meant) {
        let path = path.display();
        hint(&format!("{path} has `{name}`; run it with -t {name}"));
    }
}

fn hint(text: &str) {
    // If standard error is closed, there is no place left to report to.
    let _ = io::stderr().write_all(format!("taskgroup: {text}\n").as_bytes());
}

/// The plan of a file: all of it, or what is named. Without a file, the plan of the file that is
/// found.
fn of_file(verb: &str, raw: &RunArgs, place: &Place) -> Result<Plan, Exit> {
    if raw.file.is_none() && !raw.commands.is_empty() {
        usage_error(
            verb,
            &"--task names tasks of a file, so a command cannot stand beside it; with --file, the \
              words are names of tasks, too",
        );
    }
    if raw.restart.is_some() {
        usage_error(
            verb,
            &"--restart is for commands; in a file, services have a key `restart`",
        );
    }
    if raw.names.is_some() {
        let text = "--names is for commands; tasks of a file have names, which --task chooses from";
        usage_error(verb, &text);
    }
    let overrides = raw.common.overrides(&raw.failure);
    let plan = read(place, &overrides, raw.common.color)?;
    let names = raw.commands.iter().chain(&raw.tasks);
    let names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    if names.is_empty() {
        return Ok(plan);
    }
    let selected = plan.select(&names);
    Ok(selected.unwrap_or_else(|unknown| usage_error(verb, &words::not_in_file(&unknown, place))))
}

/// The file that `--file` or the only argument names, or else the one that is found.
fn place(verb: &str, file: Option<PathBuf>, tasks: &[OsString]) -> Place {
    let found = file.map_or_else(Place::found, |path| Ok(Place::named(path)));
    found.unwrap_or_else(|here| {
        let missing = match (verb, tasks.first()) {
            (_, Some(task)) => format!("--task {}: no --file", task.to_string_lossy()),
            ("run", None) => "no command and no --file".to_owned(),
            (_, None) => "no file".to_owned(),
        };
        let text = format!(
            "{missing} was given, and there is no {} in {} or above",
            file::NAME,
            here.display()
        );
        usage_error(verb, &text)
    })
}

/// The commands, one to a line, as a shell takes them.
fn commands(plan: &Plan) -> Vec<u8> {
    plan.tasks.iter().flat_map(line).collect()
}

fn line(task: &TaskSpec) -> Vec<u8> {
    let mut line = task.work.command.text().into_vec();
    line.push(b'\n');
    line
}

fn map(raw: &MapArgs) -> Exit {
    let common = &raw.common;
    let mut options = checked_options(common).unwrap_or_else(|error| usage_error("map", &error));
    if is_blank(&raw.command) {
        usage_error("map", &"the command is empty");
    }
    let shell = common.shell.clone().unwrap_or_default();
    if !shell.takes_arguments() {
        usage_error("map", &words::UsageError::NoArguments { shell });
    }
    words::check_shell(common, None).unwrap_or_else(|error| usage_error("map", &error));
    let items = words::items(raw).unwrap_or_else(|error| usage_error("map", &error));
    options.reads.extend(items.files().map(Path::to_owned));
    match &options.reader {
        Reader::Named(name) if name == "none" => options.reader = Reader::Off,
        Reader::Named(_) => usage_error(
            "map",
            &"--stdin cannot be used with map: its commands have no names yet",
        ),
        Reader::Off | Reader::WithTerminal => {}
    }
    if items.reads_stdin() {
        options.reader = Reader::Off;
    }
    let script = Script::from_template(&raw.command, items.columns())
        .unwrap_or_else(|error| usage_error("map", &error));
    let needs = common.cluster.needs();
    let one_step = raw.items_per_step.map(|_| "--items-per-step");
    words::check_place(common, one_step.or(common.cluster.given()), needs.is_some())
        .unwrap_or_else(|error| usage_error("map", &error));
    if needs.is_some() && !matches!(options.tty, Tty::Off) {
        usage_error("map", &words::UsageError::NoTerminal { name: None });
    }
    options.job = common
        .cluster
        .job()
        .request_for(needs.as_deref().into_iter());
    options.items_per_step = raw.items_per_step.unwrap_or(options.items_per_step);
    let mut root = GroupSpec {
        halt: raw.failure.halt,
        on_failure: raw.failure.on_failure(),
        jobs: words::jobs_of_map(common),
        deadline: common.deadline,
        ..GroupSpec::root()
    };
    let total = Total::default();
    if let Some(known) = items.total() {
        let _ = total.set(known as u64);
    }
    let source = Source {
        // The input gives it a name and a command.
        template: words::task(String::new(), OsString::new(), common),
        script,
        items,
        total,
    };
    if common.dry_run {
        return print_commands(source);
    }
    if let Some(halt) = &mut root.halt {
        halt.total = source.total.get().copied();
    }
    let plan = Plan {
        tasks: Vec::new(),
        groups: vec![root],
        job: common.cluster.job(),
    };
    execute(
        Run {
            plan,
            source: Some(source),
            options,
        },
        common.nice,
    )
}

/// One command to a line, as they are read.
fn print_commands(source: Source) -> Exit {
    let mut ended = Exit::Success;
    let read = source.each(&mut |task| {
        ended = print(&line(&task));
        ended == Exit::Success
    });
    match read {
        Ok(()) => ended,
        Err(error) => usage_error(
            "map",
            &format!("the input was not read to its end: {error}"),
        ),
    }
}

/// Shows the plan in a file.
fn show(verb: &str, file: Option<PathBuf>, colour: Colour, text: fn(&Plan) -> String) -> Exit {
    match read(&place(verb, file, &[]), &Overrides::default(), colour) {
        Ok(plan) => print(text(&plan).as_bytes()),
        Err(exit) => exit,
    }
}

/// The tree of the plan. Warnings go to standard error and change nothing else.
fn checked(plan: &Plan) -> String {
    let mut warnings = file::missing(plan).join("\n");
    if !warnings.is_empty() {
        warnings.push('\n');
        // If standard error is closed, there is no place left to report to.
        let _ = io::stderr().write_all(warnings.as_bytes());
    }
    file::tree(plan)
}

/// The plan in the file. Prints the errors if there are any.
fn read(place: &Place, overrides: &Overrides, colour: Colour) -> Result<Plan, Exit> {
    let coloured = output::is_coloured(colour, Stream::Err);
    file::read(place, Work::GRACE, overrides, coloured).map_err(|errors| {
        // If standard error is closed, there is no place left to report to.
        let _ = io::stderr().write_all(errors.as_bytes());
        Exit::Usage
    })
}

fn print(text: &[u8]) -> Exit {
    let mut out = io::stdout();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Exit::Success,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::BrokenPipe,
        Err(error) => {
            report::internal(&error);
            Exit::Output
        }
    }
}

fn execute(run: Run, nice: Option<i32>) -> Exit {
    if let Some(Err(error)) = nice.map(process::change_priority) {
        let text = format!("--nice: {error}");
        return failed(&io::Error::new(error.kind(), text));
    }
    run.execute().unwrap_or_else(|error| failed(&error))
}

fn failed(error: &io::Error) -> Exit {
    report::internal(error);
    Exit::Internal
}

/// The command, or one of its verbs, with everything that help and the manual need.
fn named(verb: Option<&str>) -> clap::Command {
    let mut command = Args::command();
    command.build();
    match verb {
        Some(verb) => {
            let verb = command.find_subcommand(verb);
            verb.expect("the subcommand exists").clone()
        }
        None => command,
    }
}

/// Shows what was wrong in clap's own shape, usage line included, and ends with [`Exit::Usage`].
fn usage_error(verb: &str, error: &dyn Display) -> ! {
    named(Some(verb))
        .error(ErrorKind::ValueValidation, error)
        .exit()
}
