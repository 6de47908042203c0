//! What a run does around the programs of Slurm. Scripts stand in for them.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::process::Signal;

use crate::support::{Running, Sandbox};

/// `taskgroup run --on=slurm true` with these programs before, or instead of, those of the system.
fn command(sandbox: &Sandbox, programs: &[(&str, &str)], alone: bool) -> Command {
    std::fs::create_dir(sandbox.path("bin")).unwrap();
    for (name, text) in programs {
        let path = sandbox.path("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut path = sandbox.path("bin").into_os_string();
    if !alone {
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
    }
    let mut command = sandbox.command();
    command
        .args(["run", "--on=slurm", "true"])
        .env("PATH", path)
        .env_remove("SLURM_JOB_ID");
    command
}

#[test]
#[cfg(target_os = "linux")]
fn a_request_that_waits_ends_with_a_runner_that_is_killed() {
    let sandbox = Sandbox::new();
    sandbox.fifo("asked");
    sandbox.fifo("withdrawn");
    let salloc = "trap 'echo done > \"$DIR/withdrawn\"; exit 1' INT
        echo 'salloc: Pending job allocation 7' >&2
        echo yes > \"$DIR/asked\"
        while :; do sleep 0.01; done";
    let running = Running::of(&mut command(&sandbox, &[("salloc", salloc)], false));
    assert_eq!(sandbox.hear("asked"), "yes");
    running.signal(Signal::KILL);
    assert_eq!(sandbox.hear("withdrawn"), "done");
    assert_eq!(running.ended().signal, Some(9));
}

#[test]
fn a_program_of_slurm_that_is_missing_is_named() {
    let sandbox = Sandbox::new();
    let ended = Running::of(&mut command(&sandbox, &[], true)).ended();
    ended.code(1).says("there is no `salloc` in PATH");
    ended.says_not("refused");
}

#[test]
fn an_option_that_slurm_does_not_know_is_quoted() {
    let sandbox = Sandbox::new();
    let salloc = "echo \"salloc: unrecognized option '--bad'\" >&2
        echo 'Try \"salloc --help\" for more information' >&2
        exit 1";
    let ended = Running::of(&mut command(&sandbox, &[("salloc", salloc)], false)).ended();
    ended
        .code(1)
        .says("refused the job: unrecognized option '--bad'");
}

#[test]
fn what_users_want_squeue_to_show_changes_no_answer() {
    let sandbox = Sandbox::new();
    sandbox.fifo("asked");
    let salloc = "trap 'exit 1' TERM
        echo 'salloc: Pending job allocation 7' >&2
        while :; do sleep 0.01; done";
    let squeue = "echo \"states: $SQUEUE_STATES\" > \"$DIR/asked\"";
    let programs = [("salloc", salloc), ("squeue", squeue)];
    let mut command = command(&sandbox, &programs, false);
    let running = Running::of(command.env("SQUEUE_STATES", "all"));
    assert_eq!(sandbox.hear("asked"), "states:");
    running.signal(Signal::TERM);
    running.ended().says("because of SIGTERM");
}
