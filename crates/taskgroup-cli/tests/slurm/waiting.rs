//! A run that has no job yet: it says what it waits for, and withdraws its request when it ends. A
//! request that Slurm refuses is a failure with Slurm's own words.

use std::fs;
use std::io::{BufRead, BufReader};

use rustix::process::Signal;

use crate::cluster::Cluster;
use crate::runs::Running;

/// A cluster without room: another job has all of it.
fn full() -> Cluster {
    let cluster = Cluster::start();
    cluster.job(&["--nodes=2", "--exclusive"]);
    cluster
}

/// Starts a run, and waits until its job is in the queue.
fn waits(cluster: &mut Cluster, words: &[&str]) -> Running {
    let running = cluster.begin(words);
    cluster.wait_until("the job is in the queue", |cluster| {
        cluster.jobs().iter().any(|job| job.contains("PENDING"))
    });
    running
}

#[track_caller]
fn left_the_other_job(cluster: &mut Cluster) {
    assert_eq!(cluster.jobs(), ["1 RUNNING n[1-2]"]);
    let left = cluster.left(&["1"]);
    assert!(left.is_empty(), "{left:#?}");
    assert!(!cluster.has("ran"));
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_run_says_what_it_waits_for_and_a_signal_ends_that() {
    let mut cluster = full();
    let mut child = cluster.on_slurm(&["run", "echo > ran"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    assert!(line.contains("waiting for job 2: "), "{line}");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(cluster.ended(child).status.code(), Some(143));
    left_the_other_job(&mut cluster);
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_deadline_ends_the_wait() {
    let mut cluster = full();
    cluster
        .run(&["run", "--deadline=2s", "echo > ran"])
        .code(124);
    left_the_other_job(&mut cluster);
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_killed_runner_does_not_wait_any_longer() {
    let mut cluster = full();
    let running = waits(&mut cluster, &["run", "echo > ran"]);
    running.signal(Signal::KILL);
    cluster.end_of(running).was_killed();
    // Slurm gives it the job if it is still in the queue.
    cluster.ask(&["scancel", "1"]).unwrap();
    cluster.await_nothing_left();
    assert!(!cluster.has("ran"));
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_run_goes_on_when_it_has_its_job() {
    let mut cluster = full();
    let running = waits(&mut cluster, &["run", "echo > ran"]);
    cluster.ask(&["scancel", "1"]).unwrap();
    cluster.end_of(running).code(0);
    assert!(cluster.has("ran"));
    cluster.left_nothing();
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_refused_job_is_a_failure_with_the_words_of_slurm() {
    let mut cluster = Cluster::start();
    for (option, word) in [
        ("--partition=none", "partition"),
        ("--constraint=none", "feature"),
        ("--slurm=--mem=5000G", "not available"),
    ] {
        let ended = cluster.run(&["run", option, "echo > ran"]);
        ended.code(1).says("Slurm has refused the job: ").says(word);
        cluster.left_nothing();
    }
    let mut command = cluster.on_slurm(&["run", "echo > ran"]);
    let running = Running::of(command.env("PATH", cluster.path("work")));
    let ended = cluster.end_of(running);
    ended
        .code(1)
        .says("there is no `salloc` in PATH")
        .says("--on local");
    assert!(!cluster.has("ran"));
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_folder_that_is_gone_when_the_job_comes_is_a_failure() {
    let mut cluster = full();
    let folder = cluster.work("gone");
    fs::create_dir(&folder).unwrap();
    let mut command = cluster.on_slurm(&["run", "echo > ../ran"]);
    let running = Running::of(command.current_dir(&folder));
    cluster.wait_until("the job is in the queue", |cluster| {
        cluster.jobs().len() == 2
    });
    fs::remove_dir(&folder).unwrap();
    cluster.ask(&["scancel", "1"]).unwrap();
    let ended = cluster.end_of(running);
    ended.code(1).says("on node n1: getcwd failed");
    assert!(!cluster.has("ran"));
    cluster.left_nothing();
}
