//! What a run does around the programs of Slurm. Scripts stand in for them.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

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
