//! Files of tasks on nodes: services, cleanup, races, several nodes, several jobs.

use std::fs;

use crate::cluster::Cluster;
use crate::runs::events;

/// A service on a node is ready by a line, or by a command that runs beside it. It ends when
/// nothing needs it.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn services_run_on_nodes() {
    let mut cluster = Cluster::start();
    cluster.file(
        r#"
        [tasks.lines]
        run = "trap 'echo ended > lines; exit 0' TERM; echo listening; sleep 100 & wait"
        service = true
        ready = { line = "listening" }
        [tasks.checked]
        run = "echo $TASKGROUP_NODE > node; sleep 100"
        service = true
        ready = { command = "test $TASKGROUP_NODE = $(cat node) && touch checked" }
        [tasks.user]
        run = "test -e checked && echo done"
        after = ["lines", "checked"]
        "#,
    );
    let ended = cluster.run(&["run"]);
    ended.code(0).says("3 succeeded");
    assert!(ended.out().contains("user    | done"), "{}", ended.out());
    assert_eq!(cluster.read("lines"), "ended\n");
    cluster.left_nothing();
}

/// The cleanup of a task runs on the node of the task, even if the job is full. The cleanup of the
/// run comes last.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn cleanup_runs_on_nodes() {
    let mut cluster = Cluster::start();
    cluster.file(
        r#"
        cleanup = ["echo run >> order"]
        [tasks.fails]
        run = "echo $TASKGROUP_NODE > where; exit 3"
        cpus = 4
        cleanup = ["test $TASKGROUP_NODE = $(cat where) && echo task >> order"]
        "#,
    );
    cluster.run(&["run"]).code(1).says("exit code 3");
    assert_eq!(cluster.read("order"), "task\nrun\n");
    cluster.left_nothing();
}

/// The winner of a race stops a loser on another node, which cleans up.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_race_runs_on_two_nodes() {
    let mut cluster = Cluster::start();
    let loser =
        "trap 'echo cleaned > cleaned; exit 1' TERM; touch begun; while :; do sleep 0.01; done";
    let winner = "while [ ! -e begun ]; do sleep 0.01; done";
    let words = [
        "race",
        "--nodes=2",
        "--cpus=4",
        "--names=loser,winner",
        loser,
        winner,
    ];
    let ended = cluster.run(&words);
    ended.code(0).says("1 succeeded, 1 cancelled");
    assert_eq!(cluster.read("cleaned"), "cleaned\n");
    cluster.left_nothing();
}

/// A command that takes two nodes finds both, also by an `srun` of its own.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_command_has_several_nodes() {
    let mut cluster = Cluster::start();
    cluster.file(
        r#"
        [tasks.wide]
        run = "echo $TASKGROUP_NODES; srun -N2 -n2 sh -c 'echo $SLURMD_NODENAME'"
        nodes = 2
        cpus = 2
        "#,
    );
    let ended = cluster.run(&["run"]);
    let out = ended.code(0).out();
    let mut lines: Vec<&str> = out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["wide | n1", "wide | n1,n2", "wide | n2"]);
    cluster.left_nothing();
}

/// `--resume` goes on in another job, and does nothing twice.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_run_is_resumed_in_another_job() {
    let mut cluster = Cluster::start();
    let command = "echo {} >> log; [ {} != 3 ] || [ -e again ]";
    let words = [
        "map",
        "-k",
        "--resume=journal",
        command,
        ":::",
        "1",
        "2",
        "3",
        "4",
    ];
    cluster.run(&words).code(1).says("1 failed, 3 succeeded");
    fs::write(cluster.work("again"), "").unwrap();
    cluster.run(&words).code(0).says("1 succeeded");
    let log = cluster.read("log");
    let mut log: Vec<&str> = log.lines().collect();
    log.sort_unstable();
    assert_eq!(log, ["1", "2", "3", "3", "4"]);
    let journal = cluster.read("journal");
    let jobs: Vec<_> = events(&journal, "end")
        .iter()
        .map(|end| end["job"]["id"].clone())
        .collect();
    assert_eq!(jobs, ["1", "2"]);
    cluster.left_nothing();
}

/// The timeline has a place for each node.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn the_timeline_has_the_nodes() {
    let mut cluster = Cluster::start();
    let words = [
        "run",
        "--nodes=2",
        "--cpus=4",
        "--trace=trace",
        "true",
        "true",
    ];
    cluster.run(&words).code(0);
    let trace = cluster.read("trace");
    for place in ["node n1", "node n2"] {
        assert!(trace.contains(place), "{trace}");
    }
    cluster.left_nothing();
}
