//! Seven commands that are hard to stop, and everything that can happen to a run: nobody is left.
//!
//! Who belongs to a run is told by its environment, which holds the sandbox's folder: no process
//! escapes that by leaving its group, its session or its parent.

use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Ended, Running, Sandbox, guarded};

/// Each says that it is there, through the FIFO of its name, and then does not go.
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
    Timeout,
    Interrupt,
    Terminate,
    /// SIGKILL for the runner.
    RunnerKilled,
    /// SIGKILL for all guards.
    GuardsKilled,
    /// SIGKILL for the runner and all guards, as nearly at once as it goes.
    BothKilled,
    StdoutClosed,
    DiskFull,
}

const EVENTS: [Happens; 8] = [
    Happens::Failure,
    Happens::Timeout,
    Happens::Interrupt,
    Happens::Terminate,
    Happens::RunnerKilled,
    Happens::GuardsKilled,
    Happens::StdoutClosed,
    Happens::DiskFull,
];

/// Runs the jobs with these names, lets it happen when all are there, and hands on how it ended.
fn run(level: &str, names: &[&str], event: Happens) -> (Sandbox, Ended) {
    let sandbox = Sandbox::new();
    sandbox.fifo("go");
    let mut names = names.to_vec();
    // The others do not fail, and say nothing.
    if !names.contains(&"fails") {
        names.push("fails");
    }
    let jobs: Vec<&str> = names.iter().map(|name| job(name)).collect();
    for name in &names {
        sandbox.fifo(name);
    }
    let mut command = sandbox.command();
    command
        .args(["run", "--grace=50ms", "--contain", level])
        .arg(format!("--names={}", names.join(",")));
    if event == Happens::Timeout {
        command.arg("--timeout=500ms");
    }
    if event == Happens::DiskFull {
        command.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
    }
    let mut running = Running::of(command.args(jobs));
    if event == Happens::StdoutClosed {
        drop(running.child().stdout.take());
    }
    // A timeout may come before all are there.
    let mut open = Vec::new();
    if event == Happens::Timeout {
        open = open_all(&sandbox, &names);
    } else {
        names.iter().for_each(|name| drop(sandbox.hear(name)));
    }
    let runner = running.child().id();
    match event {
        Happens::Failure | Happens::StdoutClosed | Happens::DiskFull => sandbox.tell("go"),
        Happens::Timeout => {}
        Happens::Interrupt => running.signal(Signal::SIGINT),
        Happens::Terminate => running.signal(Signal::SIGTERM),
        Happens::RunnerKilled => running.signal(Signal::SIGKILL),
        Happens::GuardsKilled => guards(runner).into_iter().for_each(end),
        Happens::BothKilled => {
            let guards = guards(runner);
            running.signal(Signal::SIGSTOP);
            guards.into_iter().for_each(end);
            running.signal(Signal::SIGKILL);
        }
    }
    let ended = running.ended();
    drop(open);
    (sandbox, ended)
}

/// Lets everybody through who wants to say that he is there, as long as the files are open.
fn open_all(sandbox: &Sandbox, names: &[&str]) -> Vec<File> {
    // For reading and writing: nobody waits for an other side.
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
    // The second process of a guard may have gone with the first.
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
}

/// Every guard process below the runner; in namespaces there are two for each command.
fn guards(runner: u32) -> Vec<i32> {
    let mut guards = Vec::new();
    let mut parents = vec![runner.to_string()];
    while let Some(parent) = parents.pop() {
        for task in fs::read_dir(format!("/proc/{parent}/task")).unwrap() {
            let children = fs::read_to_string(task.unwrap().path().join("children")).unwrap();
            for child in children.split_whitespace() {
                let name = fs::read_to_string(format!("/proc/{child}/comm")).unwrap();
                if name == "taskgroup-guard\n" {
                    guards.push(child.parse().unwrap());
                    parents.push(child.to_owned());
                }
            }
        }
    }
    assert!(!guards.is_empty());
    guards
}

/// Everybody who has the sandbox's folder in his environment, zombies aside (theirs is empty).
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
        // The guards have the grace for it.
        let folder = folder.clone();
        guarded(&format!("{what}: somebody stays"), move || {
            while !left_over(&folder).is_empty() {
                std::thread::yield_now();
            }
        });
    }
    assert_eq!(left_over(&folder), [0; 0], "{what}");
}

#[track_caller]
fn check(level: &str, names: &[&str], event: Happens) {
    let (sandbox, ended) = run(level, names, event);
    let what = format!("{names:?} {event:?} {level}: {}", ended.err);
    match event {
        Happens::Failure => assert_eq!(ended.code, Some(1), "{what}"),
        Happens::Timeout => assert_eq!(ended.code, Some(124), "{what}"),
        Happens::Interrupt => assert_eq!(ended.code, Some(130), "{what}"),
        Happens::Terminate => assert_eq!(ended.code, Some(143), "{what}"),
        Happens::RunnerKilled | Happens::BothKilled => assert_eq!(ended.signal, Some(9), "{what}"),
        Happens::GuardsKilled => {
            assert_eq!(ended.code, Some(1), "{what}");
            ended.says("its guard process was killed");
        }
        Happens::StdoutClosed => assert_eq!(ended.code, Some(141), "{what}"),
        Happens::DiskFull => assert_eq!(ended.code, Some(74), "{what}"),
    }
    assert_nobody_is_left(&what, &sandbox, event == Happens::RunnerKilled);
}

/// The levels that this system allows.
fn levels() -> Vec<&'static str> {
    let allowed = |level: &&str| {
        let ended = Sandbox::new().run(&["--contain", level, "true"]);
        if ended.code != Some(0) {
            eprintln!("skipped: {}", ended.err);
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
            check(level, &all_names(), event);
        }
    }
}

#[test]
fn each_one_alone_whatever_happens() {
    for (name, _) in JOBS {
        for event in EVENTS {
            check("guard", &[name], event);
        }
    }
}

#[test]
fn one_at_a_time() {
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
fn a_runner_in_a_runner() {
    let inner = |sandbox: &Sandbox| {
        let mut text = format!(
            "exec '{}' run --grace=50ms",
            env!("CARGO_BIN_EXE_taskgroup")
        );
        for (name, job) in JOBS {
            sandbox.fifo(name);
            text.push_str(&format!(" '{}'", job.replace('\'', r"'\''")));
        }
        sandbox.fifo("go");
        format!("echo $$ > \"$DIR/inner\"; {text}")
    };
    for event in ["outer TERM", "outer KILL", "inner KILL", "failure"] {
        let sandbox = Sandbox::new();
        sandbox.fifo("inner");
        let running = sandbox.start(&["--grace=500ms", "--names=inner", &inner(&sandbox)]);
        let pid = Pid::from_raw(sandbox.pid("inner"));
        for name in all_names() {
            sandbox.hear(name);
        }
        match event {
            "outer TERM" => running.signal(Signal::SIGTERM),
            "outer KILL" => running.signal(Signal::SIGKILL),
            "inner KILL" => kill(pid, Signal::SIGKILL).unwrap(),
            _ => sandbox.tell("go"),
        }
        running.ended();
        assert_nobody_is_left(event, &sandbox, event == "outer KILL");
    }
}

#[test]
fn with_runner_and_guards_killed_at_once_only_a_namespace_holds() {
    for level in levels() {
        let (sandbox, ended) = run(level, &all_names(), Happens::BothKilled);
        assert_eq!(ended.signal, Some(9));
        if level == "namespace" {
            assert_nobody_is_left(level, &sandbox, true);
            continue;
        }
        // As the guide says. They are ended by the test.
        let folder = sandbox.path("").components().as_path().to_owned();
        let left = left_over(&folder);
        assert!(!left.is_empty(), "{level} holds more than the guide says");
        loop {
            let left = left_over(&folder);
            if left.is_empty() {
                break;
            }
            for pid in left {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        if level == "cgroup" {
            remove_cgroups();
        }
    }
}

/// The folders of cgroups whose guards were killed.
fn remove_cgroups() {
    let found = Command::new("find")
        .args([
            "/sys/fs/cgroup",
            "-depth",
            "-type",
            "d",
            "-name",
            "taskgroup-*",
        ])
        // Refused for those that are in use.
        .args(["-exec", "rmdir", "{}", "+"])
        .output();
    drop(found);
}

#[test]
fn children_from_before_are_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    sandbox.fifo("go");
    // A shell that hands its child on to the runner, whose guard is killed then.
    let mut shell =
        sandbox.by_shell("sleep 100 > /dev/null 2>&1 & echo $! > \"$DIR/before\"; exec \"$@\"");
    let mut running = Running::of(shell.args(["run", "echo x > \"$DIR/ready\"; sleep 100"]));
    sandbox.hear("ready");
    let before = sandbox.pid("before");
    guards(running.child().id()).into_iter().for_each(end);
    running.ended().code(1).says("its guard process was killed");
    let alive = kill(Pid::from_raw(before), Signal::SIGKILL);
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
        // Without root there is nobody to step down from, and nothing to be refused.
        other => eprintln!("skipped: {other:?}"),
    }
}
