//! Commands that wait for room in a job.

use std::fs;
use std::process::Stdio;

use crate::cluster::Cluster;

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_command_whose_step_finds_no_room_can_be_stopped() {
    let mut cluster = Cluster::start();
    let asked = [
        "salloc",
        "--no-shell",
        "--nodes=1",
        "--exclusive",
        "--mem=0",
    ];
    cluster.ask(&asked).unwrap();
    // Another step has all processors of the job, and the run does not know of it.
    let mut other = cluster.program("srun");
    other.args([
        "--jobid=1",
        "--ntasks=1",
        "--cpus-per-task=4",
        "sleep",
        "1000",
    ]);
    let mut other = other
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    cluster.wait_until("the other step runs", |cluster| {
        cluster.steps() == ["1.0 n1"]
    });
    let mut run = cluster.command();
    run.env("SLURM_JOB_ID", "1");
    let run = run.args([
        "run",
        "--on=slurm",
        "--deadline=1s",
        "--grace=1s",
        "touch ran",
    ]);
    let run = run.spawn().unwrap();
    let output = cluster.ended(run);
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(124), "{err}");
    assert!(!cluster.path("work/ran").exists());
    assert_eq!(cluster.steps(), ["1.0 n1"]);
    cluster.ask(&["scancel", "1"]).unwrap();
    other.wait().unwrap();
}

/// Slurm does not free the processors of the steps that run on the other nodes meanwhile.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn the_processors_of_a_job_that_has_lost_a_node_are_used_again() {
    let mut cluster = Cluster::start();
    let mut run = cluster.command();
    run.args([
        "run",
        "--on=slurm",
        "--nodes=2",
        "--retries=1",
        "--backoff=0s",
    ]);
    let text = "echo >> begun; until test -e go; do sleep 0.01; done";
    let run = run.args([text; 8]).spawn().unwrap();
    cluster.wait_until("all eight run", |cluster| {
        fs::read(cluster.path("work/begun")).is_ok_and(|lines| lines.len() == 8)
    });
    cluster.kill_node("n2");
    let down = [
        "scontrol",
        "update",
        "nodename=n2",
        "state=down",
        "reason=lost",
    ];
    cluster.ask(&down).unwrap();
    fs::write(cluster.path("work/go"), "").unwrap();
    let output = cluster.ended(run);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    assert!(
        err.contains("8 succeeded (4 not at the first attempt)"),
        "{err}"
    );
}
