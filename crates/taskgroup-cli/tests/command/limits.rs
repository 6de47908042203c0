//! A run that reaches a limit of the machine goes on, with fewer commands at a time.

use crate::support::{Running, Sandbox, guarded, skipped};

/// Many more commands than fit below the hard limit.
#[test]
fn commands_wait_when_there_are_no_more_descriptors() {
    let sandbox = Sandbox::new();
    let mut shell = sandbox.by_shell("ulimit -n 128; exec \"$@\"");
    let mut words = vec!["run", "-o", "group"];
    words.extend(["sleep 0.05; echo x"; 100]);
    let ended = Running::of(shell.args(words)).ended();
    ended.code(0);
    assert_eq!(ended.out().lines().count(), 100);
}

/// So few that the guards have not enough for each command either.
#[test]
fn commands_wait_when_there_are_hardly_any_descriptors() {
    let sandbox = Sandbox::new();
    let mut shell = sandbox.by_shell("ulimit -n 24; exec \"$@\"");
    let mut words = vec!["run"];
    words.extend(["sleep 0.05; echo x"; 20]);
    let ended = Running::of(shell.args(words)).ended();
    ended.code(0);
    assert_eq!(ended.out().lines().count(), 20);
}

/// With the fewest places that there are, and more services than that.
#[test]
fn services_take_no_place_for_a_command() {
    let sandbox = Sandbox::new();
    let mut file = String::new();
    for number in 0..6 {
        file += &format!("[tasks.s{number}]\nrun = 'exec sleep 100'\nservice = true\n");
    }
    file += "[tasks.a]\nrun = 'echo a'\nafter = ['s0', 's1', 's2', 's3', 's4', 's5']\n";
    let path = sandbox.file("tasks.toml", &file);
    let mut shell = sandbox.by_shell("ulimit -n 60; exec \"$@\"");
    let ended = Running::of(shell.args(["run", "-f", &path])).ended();
    ended.code(0);
    assert_eq!(ended.out(), "a  | a\n");
}

/// With some of these limits there are enough descriptors for the service, and too few for the
/// command beside it.
#[test]
fn what_a_limit_keeps_from_starting_beside_a_service_fails() {
    let sandbox = Sandbox::new();
    let path = sandbox.file(
        "tasks.toml",
        "[tasks.db]\nrun = 'exec sleep 100'\nservice = true\n\
         [tasks.a]\nrun = 'true'\nafter = ['db']\n",
    );
    let start = |limit| {
        let mut shell = sandbox.by_shell(&format!("ulimit -n {limit}; exec \"$@\""));
        Running::of(shell.args(["run", "-f", &path]))
    };
    let running: Vec<Running> = (18..=26).map(start).collect();
    let ended: Vec<_> = running.into_iter().map(Running::ended).collect();
    let says = |text: &str| ended.iter().any(|ended| ended.err.contains(text));
    assert!(says("FAILED a: could not be started"), "{ended:?}");
    assert!(says("2 succeeded"), "{ended:?}");
}

/// All of them at the same time, and none sees that the limit was raised.
#[test]
fn the_soft_limit_of_descriptors_is_raised_for_the_runner_alone() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    sandbox.fifo("go");
    let mut shell = sandbox.by_shell("ulimit -S -n 50; exec \"$@\"");
    let text = "exec 3< \"$DIR/go\"; echo x > \"$DIR/ready\"; cat <&3; ulimit -S -n";
    let mut words = vec!["run"];
    words.extend([text; 40]);
    // Open at both ends, so that no command waits for more than the line that it wants.
    let open = |name| {
        let path = sandbox.path(name);
        std::fs::File::options()
            .read(true)
            .write(true)
            .open(path)
            .unwrap()
    };
    let (ready, go) = (open("ready"), open("go"));
    let running = Running::of(shell.args(words));
    guarded("some wait", move || {
        use std::io::Read;
        let mut lines = [0; 2 * 40];
        (&ready).read_exact(&mut lines).unwrap();
    });
    // The end of the file, for all.
    let closed = std::fs::File::options()
        .write(true)
        .open(sandbox.path("go"))
        .unwrap();
    drop((go, closed));
    let ended = running.ended();
    ended.code(0);
    let limits: Vec<&str> = ended
        .out()
        .lines()
        .filter(|line| line.ends_with("| 50"))
        .collect();
    assert_eq!(limits.len(), 40, "{}", ended.out());
}

/// `taskgroup run` as a user who may have 24 processes, which is no limit for root. None where that
/// cannot be tried.
fn with_few_processes(user: u32, commands: &[&str]) -> Option<std::process::Output> {
    let sandbox = Sandbox::new();
    let mut limited = std::process::Command::new("setpriv");
    limited.args([
        &format!("--reuid={user}"),
        "--clear-groups",
        "prlimit",
        "--nproc=24",
    ]);
    limited.args([env!("CARGO_BIN_EXE_taskgroup"), "run"]);
    let mut command = sandbox.through(limited);
    let output = command.args(commands).current_dir("/").output().ok()?;
    let err = String::from_utf8_lossy(&output.stderr);
    if err.contains("setpriv: ") || err.contains("prlimit: ") {
        skipped(&err);
        return None;
    }
    Some(output)
}

#[test]
fn commands_wait_when_there_are_no_more_processes() {
    let Some(output) = with_few_processes(54321, &["exec sleep 0.05"; 40]) else {
        return;
    };
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(err.contains("40 succeeded"), "{err}");
}

/// A command that waits for the machine is as easy to stop as any that waits.
#[test]
fn what_waits_for_a_process_is_not_started_after_a_failure() {
    // Which of them come first is open. Each fails at once.
    let Some(output) = with_few_processes(54322, &["exec false"; 40]) else {
        return;
    };
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(
        err.contains(" failed, ") && err.contains(" not started"),
        "{err}"
    );
}

/// The commands have the default of the signal, which ends them.
#[test]
fn a_file_that_would_be_too_large_is_an_error_of_its_own() {
    let sandbox = Sandbox::new();
    let limited = |args: &[&str]| {
        let mut shell = sandbox.by_shell("ulimit -f 1; exec \"$@\"");
        Running::of(shell.args(args)).ended()
    };
    let journal = sandbox.path("journal");
    let long = format!("true {}", "x".repeat(2000));
    limited(&["run", "--json", journal.to_str().unwrap(), &long])
        .code(74)
        .says("File too large");
    let ended = limited(&["run", "seq 10000 > \"$DIR/large\""]);
    ended.code(1).says("exit code 153 (128 + SIGXFSZ)");
}
