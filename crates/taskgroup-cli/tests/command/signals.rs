//! Signals to the runner stop everything, are reported, and have their own exit codes.

use nix::sys::signal::Signal;

use crate::support::{NEVER, Running, Sandbox, assert_gone};

#[test]
fn every_stop_signal_stops_all_commands_with_sigterm() {
    let signals = [
        (Signal::SIGHUP, 129),
        (Signal::SIGINT, 130),
        (Signal::SIGQUIT, 131),
        (Signal::SIGTERM, 143),
    ];
    for (signal, code) in signals {
        let sandbox = Sandbox::new();
        sandbox.fifo("ready");
        let running = Running::of(sandbox.hears_hangups().args([
            "run",
            "--names=one",
            NEVER,
            "trap 'echo got TERM; exit 0' TERM; trap 'echo got INT' INT
             echo $$ > \"$DIR/ready\"; while :; do sleep 0.01; done",
        ]));
        let pgid = sandbox.pid("ready");
        running.signal(signal);
        let ended = running.ended();
        ended
            .code(code)
            .says(&format!("stopped by {signal}: 1 cancelled in "));
        ended.says(&format!(
            "stopped by SIGTERM (exit code 0), because of {signal}"
        ));
        assert_eq!(ended.out(), "one | got TERM\n");
        assert_gone(pgid);
    }
}

#[test]
fn a_second_signal_skips_the_grace() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    sandbox.fifo("heard");
    let running = sandbox.start(&[
        NEVER,
        "trap 'echo x > \"$DIR/heard\"' TERM; echo $$ > \"$DIR/ready\"; while :; do sleep 0.01; done",
    ]);
    let pgid = sandbox.pid("ready");
    running.signal(Signal::SIGINT);
    sandbox.hear("heard");
    running.signal(Signal::SIGINT);
    let ended = running.ended();
    ended
        .code(130)
        .says("stopped by SIGKILL at once, because of SIGINT");
    assert_gone(pgid);
}

#[test]
fn a_signal_keeps_what_waits_from_starting() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let running = sandbox.start(&[
        "-j1",
        "--keep-going",
        "--names=a,b",
        "echo $$ > \"$DIR/ready\"; sleep 100",
        "touch \"$DIR/started\"",
    ]);
    sandbox.pid("ready");
    running.signal(Signal::SIGTERM);
    running
        .ended()
        .code(143)
        .says("NOT STARTED b: because of SIGTERM");
    assert!(!sandbox.path("started").exists());
}

#[test]
fn a_signal_during_the_cleanup_after_a_failure_decides_the_exit_code() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    sandbox.fifo("heard");
    let running = sandbox.start(&[
        "--names=bad,slow",
        NEVER,
        "cat \"$DIR/ready\"; exit 1",
        "trap 'echo x > \"$DIR/heard\"' TERM; echo x > \"$DIR/ready\"; while :; do sleep 0.01; done",
    ]);
    sandbox.hear("heard");
    // This is not a second signal yet: the grace continues until another one comes.
    running.signal(Signal::SIGTERM);
    running.signal(Signal::SIGINT);
    let ended = running.ended();
    assert!(matches!(ended.code, Some(130 | 143)), "{ended:?}");
    ended
        .says("FAILED bad: exit code 1")
        .says("arrived while the run was ending");
    ended
        .says("CANCELLED slow: ")
        .says("stopped by SIGKILL at once, because bad failed");
}

#[test]
fn nohup_is_respected() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    sandbox.fifo("go");
    let mut shell = sandbox.by_shell("trap '' HUP; exec \"$@\"");
    let running = Running::of(shell.args([
        "run",
        "echo x > \"$DIR/ready\"; cat \"$DIR/go\"; echo lived on",
    ]));
    sandbox.hear("ready");
    running.signal(Signal::SIGHUP);
    sandbox.tell("go");
    let ended = running.ended();
    ended.code(0);
    assert!(ended.out().ends_with("lived on\n"));
}

#[test]
fn signals_that_were_ignored_at_the_start_still_stop_the_run() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let mut shell = sandbox.by_shell("trap '' INT TERM QUIT; exec \"$@\"");
    let running = Running::of(shell.args(["run", NEVER, "echo $$ > \"$DIR/ready\"; sleep 100"]));
    let pgid = sandbox.pid("ready");
    running.signal(Signal::SIGINT);
    running.ended().code(130).says("stopped by SIGTERM");
    assert_gone(pgid);
}

#[test]
fn an_ignored_sigchld_hides_no_exit_code() {
    use std::process::Stdio;
    // Shells do not ignore SIGCHLD for their children. Here `env` requests it, where it can.
    let probe = std::process::Command::new("env")
        .args(["--ignore-signal=CHLD", "true"])
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this `env` has no --ignore-signal");
        return;
    }
    let sandbox = Sandbox::new();
    let mut shell = sandbox.by_shell("exec env --ignore-signal=CHLD \"$@\"");
    Running::of(shell.args(["run", "exit 3"]))
        .ended()
        .code(1)
        .says("exit code 3");
}
