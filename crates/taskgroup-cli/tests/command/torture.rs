//! Seven commands that are hard to stop, and everything that can happen to a run: no process is
//! left.
//!
//! A process belongs to a run if its environment contains the sandbox's folder. No process escapes
//! that by leaving its group, its session or its parent.

use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::support::{Ended, Running, Sandbox, kill, skipped, state, wait_for};

/// Each reports through the FIFO of its name that it is running, and then does not end.
const JOBS: [(&str, &str); 7] = [
    (
        "fails",
        r#"echo x > "$DIR/fails"; cat "$DIR/go"; echo out; exit 3"#,
    ),
    ("sleeps", r#"echo x > "$DIR/sleeps"; exec sleep 100"#),
    (
        "background",
        r#"sleep 100 & echo x > "$DIR/background"; wait"#,
    ),
    (
        "session",
        r#"setsid sh -c 'echo x > "$DIR/session"; sleep 100' & wait"#,
    ),
    (
        "daemon",
        r#"(setsid sh -c '(echo x > "$DIR/daemon"; exec sleep 100) & exit' &) ; sleep 100"#,
    ),
    (
        "trap",
        r#"trap 'echo cleaned; exit 1' TERM; echo x > "$DIR/trap"; while :; do sleep 0.01; done"#,
    ),
    ("deaf", r#"trap '' TERM; echo x > "$DIR/deaf"; sleep 100"#),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Happens {
    Failure,
    /// The timeout of each command.
    Timeout,
    /// The deadline of the whole run.
    Deadline,
    Interrupt,
    Terminate,
    /// SIGKILL for the runner.
    RunnerKilled,
    /// SIGKILL for all guards.
    GuardsKilled,
    /// SIGKILL for the runner and all guards, as nearly at the same time as possible.
    BothKilled,
    StdoutClosed,
    /// Nothing can be written to standard output.
    DiskFull,
    /// Nothing can be written to the requested files; then a command fails.
    ReportsFull,
}

const EVENTS: [Happens; 10] = [
    Happens::Failure,
    Happens::Timeout,
    Happens::Deadline,
    Happens::Interrupt,
    Happens::Terminate,
    Happens::RunnerKilled,
    Happens::GuardsKilled,
    Happens::StdoutClosed,
    Happens::DiskFull,
    Happens::ReportsFull,
];

/// Where and how the jobs run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    /// Side by side.
    Plain,
    /// The first one; the others wait for its slot.
    OneSlot,
    /// In a runner that is a command of another one. The outer one gets the signals.
    Nested,
    /// The same, but the inner one gets the signals.
    Inner,
    /// Each has a terminal of its own.
    Terminals,
}

impl Happens {
    /// Depends on the clock, so it may happen before all commands are running.
    fn by_the_clock(self) -> bool {
        matches!(self, Happens::Timeout | Happens::Deadline)
    }

    /// How the runner that the test started ends.
    fn ending(self, shape: Shape) -> (Option<i32>, Option<i32>) {
        let nested = matches!(shape, Shape::Nested | Shape::Inner);
        let code = match self {
            Happens::Failure | Happens::GuardsKilled | Happens::ReportsFull => 1,
            // For the outer runner, a command has failed.
            Happens::Timeout | Happens::Deadline if nested => 1,
            Happens::Interrupt | Happens::Terminate | Happens::RunnerKilled
                if shape == Shape::Inner =>
            {
                1
            }
            Happens::Timeout | Happens::Deadline => 124,
            Happens::Interrupt => 130,
            Happens::Terminate => 143,
            Happens::StdoutClosed => 141,
            Happens::DiskFull => 74,
            Happens::RunnerKilled | Happens::BothKilled => return (None, Some(9)),
        };
        (Some(code), None)
    }
}

/// Runs the jobs with these names, triggers the event when all are running, and returns how the run
/// ended.
fn run(level: &str, names: &[&str], event: Happens, shape: Shape) -> (Sandbox, Ended) {
    let sandbox = Sandbox::new();
    sandbox.fifo("go");
    let mut names = names.to_vec();
    // The others do not fail, and write nothing.
    if !names.contains(&"fails") {
        names.push("fails");
    }
    for name in &names {
        sandbox.fifo(name);
    }
    let mut words = ["run", "--grace=50ms", "--contain", level]
        .map(str::to_owned)
        .to_vec();
    words.push(format!("--names={}", names.join(",")));
    match event {
        Happens::Timeout => words.push("--timeout=500ms".to_owned()),
        Happens::Deadline => words.push("--deadline=500ms".to_owned()),
        Happens::ReportsFull => {
            let flags = ["--json", "--junit", "--trace", "--report"];
            words.extend(flags.map(|flag| format!("{flag}=/dev/full")));
        }
        _ => {}
    }
    if shape == Shape::Terminals {
        words.push("--tty".to_owned());
    }
    if shape == Shape::OneSlot {
        words.push("-j1".to_owned());
    }
    words.extend(names.iter().map(|name| job(name).to_owned()));
    let mut command = sandbox.command();
    if let Shape::Nested | Shape::Inner = shape {
        command.args(["run", "--names=inner", &as_command(&words)]);
    } else {
        command.args(words);
    }
    if event == Happens::DiskFull {
        command.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
    }
    let mut running = Running::of(&mut command);
    if event == Happens::StdoutClosed {
        drop(running.child().stdout.take());
    }
    let mut open = Vec::new();
    if event.by_the_clock() {
        open = open_all(&sandbox, &names);
    } else {
        let first = if shape == Shape::OneSlot {
            1
        } else {
            names.len()
        };
        names[..first]
            .iter()
            .for_each(|name| drop(sandbox.hear(name)));
    }
    let runner = i32::try_from(running.child().id()).unwrap();
    let target = match shape {
        Shape::Inner => sandbox.pid("inner"),
        _ => runner,
    };
    if !event.by_the_clock() {
        let names = guards(runner)
            .into_iter()
            .map(|pid| format!("taskgroup-{pid}\n"));
        sandbox.file("cgroups", &names.collect::<String>());
    }
    if event == Happens::GuardsKilled {
        // A command runs a moment before its guard tells the runner so, and then waits. A guard
        // that is killed in between leaves a process group that the runner does not know.
        wait_for("a guard is busy", move || {
            guards(runner).into_iter().all(|guard| state(guard) == 'S')
        });
    }
    let signal = |signal| kill(target, signal).unwrap();
    match event {
        Happens::Failure | Happens::StdoutClosed | Happens::DiskFull | Happens::ReportsFull => {
            sandbox.tell("go");
        }
        Happens::Timeout | Happens::Deadline => {}
        Happens::Interrupt => signal(Signal::INT),
        Happens::Terminate => signal(Signal::TERM),
        Happens::RunnerKilled => signal(Signal::KILL),
        Happens::GuardsKilled => guards(runner).into_iter().for_each(end),
        Happens::BothKilled => {
            let guards = guards(runner);
            signal(Signal::STOP);
            guards.into_iter().for_each(end);
            signal(Signal::KILL);
        }
    }
    let ended = running.ended();
    drop(open);
    (sandbox, ended)
}

/// The runner with these words, as a command of another one. It writes its pid to `inner`.
fn as_command(words: &[String]) -> String {
    let mut text = format!(
        "echo $$ > \"$DIR/inner\"; exec '{}'",
        env!("CARGO_BIN_EXE_taskgroup")
    );
    for word in words {
        text.push_str(&format!(" '{}'", word.replace('\'', r"'\''")));
    }
    text
}

/// While the files are open, every command can report that it is running.
fn open_all(sandbox: &Sandbox, names: &[&str]) -> Vec<File> {
    // Opened for reading and writing, so no command waits for the other side.
    let open = |name| {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(sandbox.path(name))
    };
    names.iter().map(|name| open(name).unwrap()).collect()
}

fn job(name: &str) -> &'static str {
    JOBS.iter().find(|(known, _)| *known == name).unwrap().1
}

fn all_names() -> Vec<&'static str> {
    JOBS.iter().map(|(name, _)| *name).collect()
}

fn end(pid: i32) {
    // The second process of a guard may have ended with the first.
    let _ = kill(pid, Signal::KILL);
}

/// Every guard process below the runner. In namespaces there are two for each command.
fn guards(runner: i32) -> Vec<i32> {
    let mut guards = Vec::new();
    let mut parents = vec![runner.to_string()];
    while let Some(parent) = parents.pop() {
        // A process that has ended meanwhile has no children.
        let Ok(tasks) = fs::read_dir(format!("/proc/{parent}/task")) else {
            continue;
        };
        for task in tasks.flatten() {
            let Ok(children) = fs::read_to_string(task.path().join("children")) else {
                continue;
            };
            for child in children.split_whitespace() {
                let name = fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
                if name == "taskgroup-guard\n" {
                    guards.push(child.parse().unwrap());
                }
                parents.push(child.to_owned());
            }
        }
    }
    assert!(!guards.is_empty());
    guards
}

/// Every process with the sandbox's folder in its environment. Zombies have an empty one, so they
/// do not count.
fn left_over(folder: &Path) -> Vec<i32> {
    let needle = [b"DIR=", folder.as_os_str().as_bytes()].concat();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let environment = fs::read(entry.path().join("environ")).ok()?;
            let found = environment
                .split(|&byte| byte == 0)
                .any(|variable| variable == needle);
            found.then_some(pid)
        })
        .collect()
}

#[track_caller]
fn assert_nobody_is_left(what: &str, sandbox: &Sandbox, runner_was_killed: bool) {
    let folder = sandbox.path("").components().as_path().to_owned();
    if runner_was_killed {
        // The guards have the grace to end them.
        let folder = folder.clone();
        wait_for(&format!("{what}: a process stays"), move || {
            left_over(&folder).is_empty()
        });
    }
    assert_eq!(left_over(&folder), [0; 0], "{what}");
}

#[track_caller]
fn check(level: &str, names: &[&str], event: Happens, shape: Shape) -> Ended {
    let (sandbox, ended) = run(level, names, event, shape);
    let what = format!("{names:?} {event:?} {shape:?} {level}: {}", ended.err);
    assert_eq!((ended.code, ended.signal), event.ending(shape), "{what}");
    match event {
        Happens::GuardsKilled => drop(ended.says("its guard process was killed")),
        Happens::ReportsFull => drop(ended.says("could not be written: /dev/full")),
        _ => {}
    }
    // The outer runner waits for what the inner one has left.
    let killed = event == Happens::RunnerKilled && shape != Shape::Inner;
    assert_nobody_is_left(&what, &sandbox, killed);
    if level == "cgroup" && !event.by_the_clock() {
        let cgroups = sandbox.read("cgroups");
        if killed {
            let cgroups = cgroups.clone();
            wait_for(&format!("{what}: a cgroup stays"), move || {
                cgroups_of(&cgroups).is_empty()
            });
        }
        assert_eq!(cgroups_of(&cgroups), [""; 0], "{event:?}");
    }
    ended
}

/// The levels that this system allows.
fn levels() -> Vec<&'static str> {
    let allowed = |level: &&str| {
        let ended = Sandbox::new().run(&["--contain", level, "true"]);
        if ended.code != Some(0) {
            skipped(&ended.err);
        }
        ended.code == Some(0)
    };
    ["guard", "namespace", "cgroup"]
        .into_iter()
        .filter(allowed)
        .collect()
}

#[test]
fn all_seven_together_whatever_happens() {
    for level in levels() {
        for event in EVENTS {
            check(level, &all_names(), event, Shape::Plain);
        }
    }
}

#[test]
fn each_one_alone_whatever_happens() {
    for (name, _) in JOBS {
        for event in EVENTS {
            check("guard", &[name], event, Shape::Plain);
        }
    }
}

#[test]
fn all_seven_on_terminals_whatever_happens() {
    for level in levels() {
        for event in EVENTS {
            check(level, &all_names(), event, Shape::Terminals);
        }
    }
}

/// What stays in its process group is held by that alone.
#[test]
fn a_process_group_holds_all_but_sessions_whatever_happens() {
    let names = ["fails", "sleeps", "background", "trap", "deaf"];
    for event in EVENTS {
        check("group", &names, event, Shape::Plain);
        check("group", &names, event, Shape::Terminals);
    }
}

/// As the guide says. The test ends what is left.
#[test]
fn a_process_group_does_not_hold_a_session() {
    for name in ["session", "daemon"] {
        let (sandbox, ended) = run("group", &[name], Happens::Terminate, Shape::Plain);
        ended.code(143);
        let folder = sandbox.path("").components().as_path().to_owned();
        assert!(!left_over(&folder).is_empty(), "{name} is held after all");
        while !left_over(&folder).is_empty() {
            for pid in left_over(&folder) {
                let _ = kill(pid, Signal::KILL);
            }
        }
    }
}

/// With one slot only the first command is ever started.
#[test]
fn each_one_with_the_others_waiting() {
    for (index, (name, _)) in JOBS.into_iter().enumerate() {
        let mut names = all_names();
        names.swap(0, index);
        for event in EVENTS {
            // Only one of them fails or writes on request, and there is one guard.
            let told = [
                Happens::Failure,
                Happens::StdoutClosed,
                Happens::DiskFull,
                Happens::ReportsFull,
            ];
            if told.contains(&event) && name != "fails" {
                continue;
            }
            let ended = check("guard", &names, event, Shape::OneSlot);
            if event != Happens::RunnerKilled {
                ended.says("6 not started");
            }
        }
    }
}

#[test]
fn one_after_the_other() {
    for level in levels() {
        let sandbox = Sandbox::new();
        let names = all_names();
        let mut args = vec![
            "--grace=50ms",
            "--timeout=200ms",
            "-k",
            "-j1",
            "--contain",
            level,
        ];
        args.extend(names.iter().map(|name| job(name)));
        sandbox.fifo("go");
        for name in &names {
            sandbox.fifo(name);
        }
        let open = open_all(&sandbox, &names);
        let ended = sandbox.run(&args);
        drop(open);
        ended.code(124).says("7 failed");
        assert_nobody_is_left(level, &sandbox, false);
    }
}

#[test]
fn a_runner_in_a_runner_whatever_happens() {
    for event in EVENTS {
        check("guard", &all_names(), event, Shape::Nested);
    }
    for event in [
        Happens::Interrupt,
        Happens::Terminate,
        Happens::RunnerKilled,
    ] {
        check("guard", &all_names(), event, Shape::Inner);
    }
}

#[test]
fn with_runner_and_guards_killed_at_once_only_a_namespace_holds() {
    for level in levels() {
        let (sandbox, ended) = run(level, &all_names(), Happens::BothKilled, Shape::Plain);
        assert_eq!(
            (ended.code, ended.signal),
            Happens::BothKilled.ending(Shape::Plain)
        );
        if level == "namespace" {
            assert_nobody_is_left(level, &sandbox, true);
            continue;
        }
        // As the guide says, they survive. The test ends them.
        let folder = sandbox.path("").components().as_path().to_owned();
        let left = left_over(&folder);
        assert!(!left.is_empty(), "{level} holds more than the guide says");
        loop {
            let left = left_over(&folder);
            if left.is_empty() {
                break;
            }
            for pid in left {
                let _ = kill(pid, Signal::KILL);
            }
        }
        if level == "cgroup" {
            remove_cgroups(&sandbox.read("cgroups"));
        }
    }
}

/// The cgroups with these names. Other tests use others.
fn cgroups_of(names: &str) -> Vec<String> {
    let mut find = Command::new("find");
    find.args(["/sys/fs/cgroup", "-type", "d", "-name", "taskgroup-*"]);
    let found = String::from_utf8(find.output().unwrap().stdout).unwrap();
    let ours = |path: &&str| {
        names
            .lines()
            .any(|name| path.ends_with(&format!("/{name}")))
    };
    found.lines().filter(ours).map(str::to_owned).collect()
}

fn remove_cgroups(names: &str) {
    for path in cgroups_of(names) {
        // Killed processes take a while to end.
        wait_for("a cgroup stays in use", move || {
            fs::remove_dir(&path).is_ok()
        });
    }
}

#[test]
fn children_from_before_are_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    sandbox.fifo("go");
    // A shell passes its child on to the runner. Then its guard is killed.
    let mut shell =
        sandbox.by_shell("sleep 100 > /dev/null 2>&1 & echo $! > \"$DIR/before\"; exec \"$@\"");
    let mut running = Running::of(shell.args(["run", "echo x > \"$DIR/ready\"; sleep 100"]));
    sandbox.hear("ready");
    let before = sandbox.pid("before");
    guards(running.child().id().try_into().unwrap())
        .into_iter()
        .for_each(end);
    running.ended().code(1).says("its guard process was killed");
    let alive = kill(before, Signal::KILL);
    assert_eq!(alive, Ok(()));
}

#[test]
fn a_level_that_is_not_to_be_had_is_refused() {
    let sandbox = Sandbox::new();
    let runner = env!("CARGO_BIN_EXE_taskgroup");
    let mut limited = Command::new("setpriv");
    limited.args([
        "--reuid=65534",
        "--clear-groups",
        runner,
        "run",
        "--contain=cgroup",
    ]);
    let ended = sandbox.through(limited).arg("true").output();
    match ended {
        Ok(ended) if ended.status.code() == Some(125) => {
            let err = String::from_utf8_lossy(&ended.stderr);
            assert!(err.contains("cgroup"), "{err}");
        }
        // Without root there are no privileges to drop, and nothing to refuse.
        other => skipped(&format!("{other:?}")),
    }
}
