//! What Slurm does by itself: the report has its word and the node, and a retry runs on another
//! node.

use rustix::process::Signal;

use crate::cluster::Cluster;
use crate::runs::Running;

/// Waits for a file `go`, each attempt on its node.
const WAITS: &str = "echo > on-$TASKGROUP_NODE; until test -e go; do sleep 0.01; done";

/// Starts a command, and waits until it runs on the first node.
fn begun(cluster: &mut Cluster, options: &[&str]) -> Running {
    let words = ["run", "--nodes=2", "--json=events"];
    let running = cluster.begin(&[&words, options, &[WAITS]].concat());
    cluster.await_files(&["on-n1"]);
    cluster.wait_until("the start is reported", |cluster| {
        cluster.read("events").contains(r#""started""#)
    });
    running
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_cancelled_step_is_a_failure() {
    let mut cluster = Cluster::start();
    let running = begun(&mut cluster, &[]);
    // The keeper of the job is a step as well.
    let names = cluster
        .ask(&["squeue", "--noheader", "--steps", "--format=%i %j"])
        .unwrap();
    let step = names
        .lines()
        .find_map(|line| line.trim().strip_suffix(" taskgroup"));
    cluster.ask(&["scancel", step.unwrap()]).unwrap();
    let ended = cluster.end_of(running);
    ended
        .code(1)
        .says("Slurm ended its step on node n1: ")
        .says(" by scancel");
    cluster.left_nothing();
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_cancelled_job_is_a_failure() {
    let mut cluster = Cluster::start();
    let running = begun(&mut cluster, &[]);
    cluster.ask(&["scancel", "1"]).unwrap();
    let ended = cluster.end_of(running);
    ended.code(1).says("Slurm ended its step on node n1: ");
    cluster.left_nothing();
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_step_with_too_much_memory_is_a_failure() {
    let mut cluster = Cluster::start();
    let text = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); while :; do sleep 0.01; done";
    let ended = cluster.run(&["run", "--memory=90M", text]);
    ended
        .code(1)
        .says("Slurm ended its step on node n1: out of memory");
    cluster.left_nothing();
}

/// Issue 15: a node taken away in the middle of a run, with a retry.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_retry_runs_on_another_node_when_the_first_is_lost() {
    let mut cluster = Cluster::start();
    let running = begun(&mut cluster, &["--retries=1"]);
    cluster.kill_node("n1");
    cluster.await_files(&["on-n2"]);
    cluster.write("go", "");
    let ended = cluster.end_of(running);
    ended.code(0);
    let end = &crate::runs::events(&cluster.read("events"), "ended")[0];
    assert_eq!(end["node"], "n2", "{end}");
    assert_eq!(end["earlier"][0]["node"], "n1", "{end}");
    assert_eq!(end["attempts"], 2, "{end}");
}

/// Issue 15: the controller is restarted in the middle of a run.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_run_goes_on_when_the_controller_is_restarted() {
    let mut cluster = Cluster::start();
    let running = begun(&mut cluster, &[]);
    cluster.stop_controller();
    cluster.restart_controller();
    cluster.write("go", "");
    cluster.end_of(running).code(0);
    cluster.left_nothing();
}

/// A node that is frozen answers nothing. The run does not wait for it without end.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_frozen_node_is_given_up() {
    let mut cluster = Cluster::start();
    let words = ["run", "--grace=1s", "touch begun; sleep 100"];
    let running = cluster.begin(&words);
    cluster.await_files(&["begun"]);
    cluster.freeze_node("n1");
    running.signal(Signal::TERM);
    let ended = cluster.end_of(running);
    ended
        .code(143)
        .says("node n1 does not answer, so what is left of it there is unknown");
    cluster.thaw_node("n1");
    cluster.await_nothing_left();
}
