//! A command is a step, and all that a command has here it has on a node.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::thread;

use rustix::process::Signal;

use crate::cluster::Cluster;
use crate::runs::{PATIENT, Running, events, with_input};

/// A MiB of any bytes, without a newline at the end.
fn mebibyte() -> Vec<u8> {
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
        .take(1 << 20)
        .collect();
    *bytes.last_mut().unwrap() = b'x';
    bytes
}

/// Issue 15: output comes with prefixes, whole and binary-safe.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn any_bytes_come_through_both_streams() {
    let mut cluster = Cluster::start();
    let (out, err) = (mebibyte(), mebibyte());
    cluster.write("out", &out);
    cluster.write("err", &err);
    let file = "tasks.a = 'cat out'\ntasks.b = 'cat err >&2'\n";
    cluster.file(file);
    let ended = cluster.run(&["run"]);
    ended.code(0);
    let lines = |name: &str, bytes: &[u8]| {
        let lines = bytes.split(|byte| *byte == b'\n');
        let lines = lines.map(|line| [name.as_bytes(), b" | ", line, b"\n"].concat());
        lines.collect::<Vec<_>>().concat()
    };
    assert!(ended.out == lines("a", &out), "{}", ended.out.len());
    let err = lines("b", &err);
    // Around it may be what the run waits for, and the report.
    let found = memchr::memmem::find(&ended.err, &err);
    assert!(found.is_some(), "{}", ended.err.len());
    cluster.left_nothing();
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_command_has_its_environment_and_its_folder() {
    let mut cluster = Cluster::start();
    fs::create_dir_all(cluster.work("project/sub")).unwrap();
    let file = r#"
        env = { OWN = "two words", GONE = false }
        [slurm]
        nodes = 2
        [tasks.a]
        cwd = "sub"
        nodes = 2
        run = "echo $TASKGROUP_NODE $TASKGROUP_NODES $OWN ${GONE-none} $AROUND; pwd"
    "#;
    cluster.write("project/tasks.toml", file);
    let mut command = cluster.on_slurm(&["run", "-f", "project/tasks.toml"]);
    command.env("GONE", "here").env("AROUND", "kept");
    let running = Running::of(&mut command);
    let ended = cluster.end_of(running);
    let folder = cluster.work("project/sub");
    let place = format!("a | {}\n", fs::canonicalize(folder).unwrap().display());
    ended.code(0);
    let environment = "a | n1 n1,n2 two words none kept\n";
    assert_eq!(ended.out(), format!("{environment}{place}"));
    cluster.left_nothing();
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn input_arrives_whole_and_ends() {
    let mut cluster = Cluster::start();
    let bytes = [mebibyte(), mebibyte(), mebibyte()].concat();
    let mut command = cluster.on_slurm(&["run", "--stdin=first", "cat > got"]);
    let mut running = Running::of(with_input(&mut command));
    let mut input = running.input();
    let sent = bytes.clone();
    let writer = thread::spawn(move || input.write_all(&sent));
    cluster.end_of(running).code(0);
    writer.join().unwrap().unwrap();
    assert!(fs::read(cluster.work("got")).unwrap() == bytes);
    cluster.left_nothing();
}

/// A request to stop passes the input that waits.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_command_that_does_not_read_its_input_is_stopped() {
    let mut cluster = Cluster::start();
    let text = "trap 'echo > tidied; exit 0' TERM; echo > runs; sleep 1000 & wait";
    let mut command = cluster.on_slurm(&["run", PATIENT, "--stdin=first", text]);
    let mut running = Running::of(with_input(&mut command));
    let mut input = running.input();
    // It ends with an error when the run does.
    let writer = thread::spawn(move || while input.write_all(&mebibyte()).is_ok() {});
    cluster.await_files(&["runs"]);
    running.signal(Signal::TERM);
    cluster.end_of(running).code(143);
    writer.join().unwrap();
    assert!(cluster.has("tidied"));
    cluster.left_nothing();
}

/// Issue 15: items of a `map` share a step, and each has its own exit code and output.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn items_share_a_step_and_have_their_own_ends() {
    let mut cluster = Cluster::start();
    let text = "echo {} in step $SLURM_STEP_ID; \
                case {} in 7) kill -KILL $$;; 12) exit 3;; esac";
    let items: Vec<String> = (1..=20).map(|item| item.to_string()).collect();
    let mut words = vec!["map", "-k", "--items-per-step=5", "--json=events", text];
    words.push(":::");
    words.extend(items.iter().map(String::as_str));
    let ended = cluster.run(&words);
    ended.code(1);
    let out = ended.out();
    let steps: BTreeSet<&str> = out
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert!((4..=8).contains(&steps.len()), "{out}");
    let ends = events(&cluster.read("events"), "ended");
    assert_eq!(ends.len(), 20);
    for end in ends {
        let (code, signal) = (end["code"].as_i64(), end["signal"].as_str());
        let expected = match end["argument"].as_str().unwrap() {
            "7" => (None, Some("SIGKILL")),
            "12" => (Some(3), None),
            _ => (Some(0), None),
        };
        assert_eq!((code, signal), expected, "{end}");
    }
    for item in &items {
        let line = format!("{item} | {item} in step ");
        let lines = out.lines().filter(|it| it.trim_start().starts_with(&line));
        assert_eq!(lines.count(), 1, "{item}: {out}");
    }
    cluster.left_nothing();
}

/// Issue 15: as many at once as the allocation holds. Two of these fit, and two run at once.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn no_more_run_at_once_than_there_is_room_for() {
    let mut cluster = Cluster::start();
    // The first two end when both have run at the same time.
    let text = "mkdir $0/here/{}; ls $0/here | wc -l >> $0/counts; \
                until test {} -gt 2 || test -e $0/two; do \
                test $(ls $0/here | wc -l) -lt 2 || echo > $0/two; done; rmdir $0/here/{}";
    cluster.job(&["--nodes=1", "--exclusive", "--mem=0", "--gpus-per-node=2"]);
    for option in ["--cpus=2", "--memory=1500M", "--gpus=1"] {
        fs::create_dir_all(cluster.work(option).join("here")).unwrap();
        let text = text.replace("$0", &format!("./{option}"));
        let words = ["map", option, &text, ":::", "1", "2", "3", "4", "5"];
        let mut command = cluster.on_slurm(&words);
        let running = Running::of(command.env("SLURM_JOB_ID", "1"));
        cluster.end_of(running).code(0);
        let counts = cluster.read(&format!("{option}/counts"));
        let counts: Vec<u32> = counts
            .lines()
            .map(|it| it.trim().parse().unwrap())
            .collect();
        assert_eq!(counts.len(), 5, "{option}");
        assert!(
            counts.iter().all(|count| *count <= 2),
            "{option}: {counts:?}"
        );
    }
    // The job was there before.
    assert_eq!(cluster.jobs(), ["1 RUNNING n1"]);
}

#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_command_that_cannot_fit_fails_at_once_with_both_numbers() {
    let mut cluster = Cluster::start();
    for (option, text) in [
        (
            "--cpus=5",
            "it needs 5 processors on a node, and the job has at most 4 on one",
        ),
        (
            "--memory=5G",
            "it needs 5120 MiB on a node, and the job has at most 4000 MiB on one",
        ),
    ] {
        cluster
            .run(&["run", option, "echo > ran"])
            .code(1)
            .says(text);
    }
    let file = "[slurm]\nnodes = 1\n[tasks.a]\nrun = 'echo > ran'\nconstraint = 'fast'\n";
    cluster.file(file);
    let ended = cluster.run(&["run"]);
    ended.code(1);
    ended.says("it needs 1 node with `fast`, and the job has 0 of them among its 1 node");
    assert!(!cluster.has("ran"));
    cluster.left_nothing();
}

/// Nothing of Slurm is needed if nothing is left to do.
#[test]
#[ignore = "needs Slurm: .ci/run slurm"]
fn a_run_that_was_done_before_asks_for_no_job() {
    let mut cluster = Cluster::start();
    let words = ["run", "--resume=done", "echo a >> ran", "echo b >> ran"];
    cluster.run(&words).code(0);
    let mut again = cluster.on_slurm(&words);
    let running = Running::of(again.env("PATH", cluster.path("work")));
    cluster.end_of(running).code(0);
    assert_eq!(cluster.read("ran").len(), 4);
    cluster.left_nothing();
}
