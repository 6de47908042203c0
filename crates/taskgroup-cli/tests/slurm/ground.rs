//! The cluster itself does what the other tests rely on.

use std::fs;
use std::process::{Child, Command, Stdio};

use crate::cluster::{Cluster, NODES, processes_left};

/// What a step prints.
#[track_caller]
fn step(cluster: &Cluster, words: &[&str]) -> String {
    let words = [&["srun"], words].concat();
    let text = cluster.ask(&words);
    text.unwrap_or_else(|why| panic!("{words:?}: {why}"))
        .trim()
        .to_owned()
}

/// Starts a step on `node` that runs until there is a file `go`, and waits until it runs.
fn waiting(cluster: &mut Cluster, node: &str) -> Child {
    let mut srun = cluster.program("srun");
    let text = "echo > running; until test -e go; do sleep 0.01; done; echo > went; echo went on";
    srun.args(["--nodelist", node, "sh", "-c", text]);
    let srun = srun.stdout(Stdio::piped()).stderr(Stdio::piped());
    let srun = srun.spawn().unwrap();
    cluster.wait_until("the step runs", |cluster| {
        cluster.path("work/running").exists()
    });
    srun
}

fn go(cluster: &Cluster) {
    fs::write(cluster.path("work/go"), "").unwrap();
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_step_runs_on_each_node() {
    let cluster = Cluster::start();
    for node in NODES {
        let words = ["--nodelist", node, "printenv", "SLURMD_NODENAME"];
        assert_eq!(step(&cluster, &words), node);
    }
    let both = ["--nodes=2", "--label", "printenv", "SLURMD_NODENAME"];
    let mut both: Vec<_> = step(&cluster, &both).lines().map(str::to_owned).collect();
    both.sort();
    assert_eq!(both, ["0: n1", "1: n2"]);
}

/// More than the machine may have.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_node_has_processors_memory_and_gpus() {
    let cluster = Cluster::start();
    let text = "echo $SLURM_CPUS_ON_NODE $CUDA_VISIBLE_DEVICES";
    let all = [
        "--cpus-per-task=4",
        "--mem=4000",
        "--gpus-per-node=2",
        "sh",
        "-c",
        text,
    ];
    assert_eq!(step(&cluster, &all), "4 0,1");
    for too_much in ["--cpus-per-task=5", "--mem=4001", "--gpus-per-node=3"] {
        let refused = cluster.ask(&["srun", too_much, "true"]).unwrap_err();
        assert!(refused.contains("not available"), "{too_much}: {refused}");
    }
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_step_that_takes_too_much_memory_is_ended() {
    let cluster = Cluster::start();
    // The shell holds 100 MB, and then waits.
    let text = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); while :; do sleep 0.01; done";
    let refused = cluster
        .ask(&["srun", "--mem=20", "sh", "-c", text])
        .unwrap_err();
    assert!(refused.contains("memory limit"), "{refused}");
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_killed_node_is_down_until_it_is_restarted() {
    let mut cluster = Cluster::start();
    let srun = waiting(&mut cluster, "n2");
    assert_eq!(cluster.steps(), ["1.0 n2"]);
    let tasks = |cluster: &Cluster| {
        let mut tasks = processes_left("SLURMD_NODENAME=n2");
        tasks.retain(|process| process.names(cluster.marker()));
        tasks
    };
    assert!(!tasks(&cluster).is_empty());
    cluster.kill_node("n2");
    let left = tasks(&cluster);
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(cluster.node_state("n1"), "idle");
    cluster.wait_until("n2 is down", |cluster| cluster.node_state("n2") == "down*");
    // The exit code is 0 in some versions, so only the text shows that the node was lost.
    let output = cluster.ended(srun);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("Node failure on n2"), "{err}");
    assert_eq!(output.stdout, b"");
    cluster.restart_node("n2");
    assert_eq!(step(&cluster, &["--nodelist=n2", "echo", "back"]), "back");
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_step_outlives_the_daemon_of_its_node() {
    let mut cluster = Cluster::start();
    let srun = waiting(&mut cluster, "n2");
    cluster.kill_daemon("n2");
    cluster.restart_node("n2");
    go(&cluster);
    let output = cluster.ended(srun);
    assert_eq!(output.stdout, b"went on\n");
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_frozen_node_goes_on() {
    let mut cluster = Cluster::start();
    let srun = waiting(&mut cluster, "n2");
    cluster.freeze_node("n2");
    go(&cluster);
    cluster.wait_until("n2 does not answer", |cluster| {
        cluster.node_state("n2").ends_with('*')
    });
    assert!(!cluster.path("work/went").exists());
    cluster.thaw_node("n2");
    cluster.ended(srun);
    cluster.wait_until("n2 is back", |cluster| cluster.node_state("n2") == "idle");
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_restarted_controller_keeps_a_running_job() {
    let mut cluster = Cluster::start();
    let srun = waiting(&mut cluster, "n1");
    let jobs = cluster.jobs();
    assert_eq!(jobs, ["1 RUNNING n1"]);
    cluster.stop_controller();
    cluster.restart_controller();
    assert_eq!(cluster.jobs(), jobs);
    go(&cluster);
    let output = cluster.ended(srun);
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(0), &b"went on\n"[..])
    );
    cluster.wait_until("the job has ended", |cluster| cluster.jobs().is_empty());
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_killed_controller_answers_when_it_is_restarted() {
    let mut cluster = Cluster::start();
    cluster.kill_controller();
    cluster.restart_controller();
    cluster.wait_until("both nodes are back", |cluster| {
        NODES.iter().all(|node| cluster.node_state(node) == "idle")
    });
    assert_eq!(step(&cluster, &["echo", "back"]), "back");
}

/// Even if a step has a session of its own, and hides its environment.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_dropped_cluster_leaves_no_process_and_no_folder() {
    let mut cluster = Cluster::start();
    let mut srun = waiting(&mut cluster, "n2");
    let text = "setsid sh -c 'echo > apart; exec sleep 1000' & wait";
    let mut apart = cluster
        .program("srun")
        .args(["sh", "-c", text])
        .spawn()
        .unwrap();
    cluster.wait_until("the session runs", |cluster| {
        cluster.path("work/apart").exists()
    });
    let marker = cluster.marker().to_owned();
    let running = processes_left(&marker);
    // The daemons, two `srun` with a second process each, and what runs on the nodes.
    assert!(running.len() > 10, "{running:?}");
    drop(cluster);
    let left = processes_left(&marker);
    assert!(left.is_empty(), "{left:?}");
    srun.wait().unwrap();
    apart.wait().unwrap();
    assert!(!std::path::Path::new(&marker).exists());
}

/// The runner may be in a step, and so may what it starts.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn the_command_runs_here_and_in_a_step() {
    let cluster = Cluster::start();
    let asks = "srun --nodelist=n2 printenv SLURMD_NODENAME";
    let output = cluster.command().args(["run", asks]).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(0), &b"srun | n2\n"[..]),
        "{err}"
    );
    let command = cluster.command();
    let program = command.get_program().to_str().unwrap();
    let words = ["--nodelist=n1", program, "run", "printenv SLURMD_NODENAME"];
    assert_eq!(step(&cluster, &words), "printenv | n1");
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_cluster_that_cannot_start_fails_with_the_log() {
    let started = std::panic::catch_unwind(|| Cluster::start_with("NoSuchKey=1"));
    let why = started.err().unwrap().downcast::<String>().unwrap();
    assert!(
        why.contains("ended: [\"controller: exit status: 1\"]"),
        "{why}"
    );
    assert!(why.contains("NoSuchKey"), "{why}");
}

/// A test can ask for another configuration.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_line_replaces_an_earlier_one() {
    let cluster = Cluster::start_with("KillWait=7\nPartitionName=small Nodes=n2 MaxTime=1");
    let shown = cluster.ask(&["scontrol", "show", "config"]).unwrap();
    assert!(
        shown
            .lines()
            .any(|line| line.starts_with("KillWait ") && line.ends_with("= 7 sec"))
    );
    let words = ["--partition=small", "printenv", "SLURMD_NODENAME"];
    assert_eq!(step(&cluster, &words), "n2");
}

/// A test passes in a job of another cluster, too, and does not disturb it.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_program_sees_its_cluster_only() {
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--ignored", "--exact", "ground::a_step_runs_on_each_node"]);
    test.env("SLURM_CONF", "/no/such/file")
        .env("SLURM_JOB_ID", "4");
    test.env("SLURMD_NODENAME", "n4")
        .env("SQUEUE_PARTITION", "none");
    let output = test.output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains("1 passed"), "{out}");
}
