//! However a run ends, its commands are stopped on every node, and the job is given back.
//!
//! The runs here have a command on each of two nodes. `tidy` cleans up, however long that takes.
//! `deaf` ignores SIGTERM, and so does a daemon that it has started.

use std::fs;

use rustix::process::Signal;

use crate::cluster::Cluster;
use crate::runs::{Ended, Running};

const FILE: &str = r#"
    [slurm]
    nodes = 2
    cpus = 1
    [tasks.tidy]
    grace = "1h"
    run = """
    trap 'echo > tidied; exit 0' TERM
    echo > tidy
    sleep 1000 & wait"""
    [tasks.deaf]
    grace = "100ms"
    run = """
    trap '' TERM
    (setsid sh -c 'echo > daemon; sleep 1000' &)
    echo > deaf
    sleep 1000"""
"#;

const RUNS: [&str; 3] = ["tidy", "deaf", "daemon"];

/// Both commands run, each on its node.
fn both_run(cluster: &mut Cluster, words: &[&str]) -> Running {
    cluster.file(FILE);
    let running = cluster.begin(&[&["run"], words].concat());
    cluster.await_files(&RUNS);
    running
}

#[track_caller]
fn stopped(cluster: &mut Cluster, running: Running) -> Ended {
    let ended = cluster.end_of(running);
    cluster.left_nothing();
    assert!(cluster.has("tidied"), "{}", ended.err());
    ended
}

/// Issue 15: the first failure stops the others, on any node.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_failure_stops_the_others_on_their_nodes() {
    let mut cluster = Cluster::start();
    // The third command runs here, beside them.
    let fails = "[tasks.fails]\non = 'local'\nrun = 'cat go; exit 7'\n";
    cluster.file(format!("{FILE}{fails}"));
    let fifo = cluster.work("go");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let running = cluster.begin(&["run"]);
    cluster.await_files(&RUNS);
    fs::write(&fifo, "").unwrap();
    let ended = stopped(&mut cluster, running);
    ended.code(1).says("FAILED fails: exit code 7");
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn signals_stop_everything_on_the_nodes() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut cluster = Cluster::start();
        let running = both_run(&mut cluster, &[]);
        running.signal(signal);
        stopped(&mut cluster, running).code(code);
    }
}

/// The machine may be too slow for a short deadline, so the next one is longer.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_deadline_stops_everything_on_the_nodes() {
    let ran = ["--deadline=1s", "--deadline=5s", "--deadline=25s"];
    let ran = ran.iter().any(|deadline| {
        let mut cluster = Cluster::start();
        cluster.file(FILE);
        let ended = cluster.run(&["run", deadline]);
        ended.code(124);
        cluster.left_nothing();
        assert_eq!(
            cluster.has("tidied"),
            cluster.has("tidy"),
            "{}",
            ended.err()
        );
        RUNS.iter().all(|name| cluster.has(name))
    });
    assert!(ran);
}

/// Issue 15: after SIGKILL for the runner, what it has started gives the job back.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_killed_runner_leaves_nothing() {
    let mut cluster = Cluster::start();
    let running = both_run(&mut cluster, &[]);
    running.signal(Signal::KILL);
    cluster.end_of(running).was_killed();
    cluster.await_nothing_left();
    assert!(cluster.has("tidied"));
}

/// The processes of the steps find the end of their input.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_killed_runner_leaves_nothing_when_its_guards_are_killed_too() {
    let mut cluster = Cluster::start();
    let running = both_run(&mut cluster, &[]);
    cluster.kill_all(|process| {
        running.is(process)
            || process.names("--taskgroup-step-process") && !process.program().starts_with("srun")
    });
    cluster.end_of(running).was_killed();
    cluster.await_nothing_left();
    assert!(cluster.has("tidied"));
}

/// The keeper of the job, which is on a node, gives it back.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_job_ends_when_everything_here_is_killed() {
    let mut cluster = Cluster::start();
    // The job ends when all its commands have had their grace.
    let running = both_run(&mut cluster, &["--grace=1s"]);
    let here = ["srun", "salloc"];
    let parts = ["--taskgroup-step-process", "--taskgroup-hold-process"];
    cluster.kill_all(|process| {
        running.is(process)
            || here.contains(&process.program().as_str())
            || parts.iter().any(|part| process.names(part))
    });
    cluster.end_of(running).was_killed();
    cluster.await_nothing_left();
}

/// A job that was there before stays, and so does what it is for.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_job_of_others_stays() {
    let mut cluster = Cluster::start();
    cluster.job(&["--nodes=2", "--ntasks-per-node=1"]);
    cluster.file(FILE);
    let begin = |cluster: &mut Cluster| {
        let mut command = cluster.on_slurm(&["run"]);
        let running = Running::of(command.env("SLURM_JOB_ID", "1"));
        cluster.await_files(&RUNS);
        running
    };
    let running = begin(&mut cluster);
    running.signal(Signal::TERM);
    cluster.end_of(running).code(143);
    let left = cluster.left(&["1"]);
    assert!(left.is_empty(), "{left:#?}");
    for name in RUNS.iter().chain(&["tidied"]) {
        fs::remove_file(cluster.work(name)).unwrap();
    }
    let running = begin(&mut cluster);
    running.signal(Signal::KILL);
    cluster.end_of(running).was_killed();
    cluster.wait_until("the steps have ended", |cluster| {
        cluster.left(&["1"]).is_empty()
    });
    assert!(cluster.has("tidied"));
    assert_eq!(cluster.jobs(), ["1 RUNNING n[1-2]"]);
}
