//! What a failure does; retries, deadlines, races.

use rustix::process::Signal;

use crate::support::{NEVER, Running, Sandbox, assert_gone};

#[test]
fn a_failure_that_is_ignored_is_told_and_does_not_count() {
    let ended = Sandbox::new().run(&["--on-failure=ignore", "exit 1", "echo on"]);
    ended.code(0).says("FAILED (ignored) exit: exit code 1");
    assert!(ended.out().contains("on\n"));
}

#[test]
fn waiting_is_the_long_form_of_keep_going() {
    let ended = Sandbox::new().run(&["--on-failure=wait", "-j1", "exit 1", "echo on"]);
    ended.code(1).says("1 failed, 1 succeeded");
    Sandbox::new()
        .run(&["--on-failure=wait", "-k", "true"])
        .code(2)
        .says("cannot be used with");
}

/// What stops the others is no failure, and comes before the group of the failure has ended.
#[test]
fn a_failure_in_a_group_is_not_lost_when_the_run_is_stopped() {
    let run = |file: &str, more: &[&str]| {
        let sandbox = Sandbox::new();
        sandbox.fifo("go");
        let path = sandbox.file("tasks.toml", file);
        let json = sandbox.path("json").into_os_string().into_string().unwrap();
        sandbox.run(&[&["-f", &path, "--json", &json][..], more].concat())
    };
    let deep = "[groups.g.groups.h]\ntasks.a = 'exit 1'\n\
                [tasks.other]\nrun = 'exec sleep 100'\n";
    for halt in ["--halt=now,fail=1", "--halt=now,done=1"] {
        run(deep, &[halt])
            .code(1)
            .says("CANCELLED other")
            .says("because of --halt now,");
    }
    let waits = "when-one-ends = 'stop'\n[groups.g]\non-failure = 'wait'\n\
                 tasks.a = 'exit 1'\ntasks.b = 'exec sleep 100'\n[tasks.other]\nrun = '''\n\
                 until grep -q '\"result\":\"failed\"' \"$DIR/json\"; do sleep 0.01; done'''\n";
    run(waits, &[])
        .code(1)
        .says("CANCELLED g/b")
        .says("because other ended");
    // One that ignores it does.
    let ignored = waits.replace(
        "[groups.g]",
        "[groups.f]\non-failure = 'ignore'\n[groups.f.groups.g]",
    );
    run(&ignored, &[])
        .code(0)
        .says("FAILED (ignored) f/g/a")
        .says("because other ended");
    // Cleanup is not stopped with its command, so its failure is one.
    let cleanup = "when-one-ends = 'stop'\n[tasks]\nfirst = 'cat \"$DIR/go\"'\n[tasks.b]\n\
                   run = 'echo x > \"$DIR/go\"; exec sleep 100'\ncleanup = ['exit 4']\n";
    run(cleanup, &[]).code(1).says("FAILED b (cleanup 1)");
}

/// The report says that it has failed, and so does the exit code.
#[test]
fn a_failure_counts_although_the_command_is_stopped_before_it_is_tried_again() {
    let sandbox = Sandbox::new();
    let mut shell = sandbox.by_shell("\"$@\" 2> \"$DIR/err\"");
    let args = ["run", "--when-one-ends=stop", "-o", "group", "--retries=1"];
    let fails = "exit 3";
    let ends = "until grep -q 'fails: attempt 1: exit code 3' \"$DIR/err\"; do sleep 0.01; done";
    let names = ["--backoff=1h", "--names=fails,ends"];
    let ended = Running::of(shell.args(args).args(names).args([fails, ends])).ended();
    assert!(sandbox.read("err").contains("FAILED fails: exit code 3"));
    ended.code(1);
}

#[test]
fn a_retry_that_succeeds_is_a_success() {
    let sandbox = Sandbox::new();
    let third = "echo x >> \"$DIR/log\"; [ $(wc -l < \"$DIR/log\") -ge 3 ]";
    sandbox
        .run(&["--retries=5", "--backoff=1ms", third])
        .code(0);
    assert_eq!(sandbox.read("log"), "x\nx\nx\n");
}

#[test]
fn there_are_no_more_attempts_than_were_asked_for() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&[
        "--retries=2",
        "--backoff=1ms",
        "--names=flaky",
        "echo x >> \"$DIR/log\"; exit 4",
    ]);
    ended
        .code(1)
        .says("FAILED flaky: exit code 4")
        .says("attempt 3");
    assert_eq!(sandbox.read("log"), "x\nx\nx\n");
}

#[test]
fn a_cancel_in_the_pause_before_a_retry_keeps_the_failure() {
    let sandbox = Sandbox::new();
    sandbox.fifo("tried");
    let ended = sandbox.run(&[
        "--retries=1",
        "--backoff=1h",
        "--deadline=500ms",
        "--names=flaky",
        "exit 4",
    ]);
    ended.code(1).says("FAILED flaky: exit code 4");
}

#[test]
fn a_deadline_stops_everything() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&[
        "--deadline=200ms",
        "--names=a,b",
        "-j1",
        NEVER,
        "echo $$ > \"$DIR/pid\"; exec sleep 100",
        "true",
    ]);
    ended
        .code(124)
        .says("the deadline expired: 1 cancelled, 1 not started");
    ended
        .says("CANCELLED a")
        .says("because the deadline expired");
    assert_gone(sandbox.pid("pid"));
    Sandbox::new()
        .run(&["--deadline=0s", "true"])
        .code(2)
        .says("--deadline");
}

#[test]
fn the_first_success_wins_a_race() {
    let sandbox = Sandbox::new();
    sandbox.fifo("slow");
    let events = sandbox.path("events");
    // The winner waits until the others have failed or started.
    let good = "cat \"$DIR/slow\"
        until grep -q '\"result\":\"failed\"' \"$DIR/events\"; do sleep 0.01; done
        echo won";
    let ended = sandbox.verb(
        "race",
        &[
            "--names=bad,good,slow",
            NEVER,
            &format!("--json={}", events.display()),
            "exit 1",
            good,
            "echo x > \"$DIR/slow\"; exec sleep 100",
        ],
    );
    ended.code(0).says("FAILED bad");
    ended
        .says("CANCELLED slow")
        .says("because good succeeded first");
    assert!(ended.out().contains("good | won"));
}

/// To be stopped is what the others in a race are there for.
#[test]
fn a_race_that_is_won_has_one_line() {
    let ended = Sandbox::new().verb("race", &["sleep 100", "true"]);
    ended.code(0).says("taskgroup: 1 succeeded, ");
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
}

#[test]
fn a_race_without_a_winner_has_failed() {
    let ended = Sandbox::new().verb("race", &["exit 1", "exit 2"]);
    ended
        .code(1)
        .says("2 failed")
        .says("exit code 1")
        .says("exit code 2");
}

#[test]
fn nothing_can_win_a_race_without_commands() {
    let run = |file: &str, more: &[&str]| {
        let sandbox = Sandbox::new();
        let path = sandbox.file("tasks.toml", file);
        sandbox.run(&[&["-f", &path][..], more].concat())
    };
    run(
        "[groups.r]\npolicy = 'race'\n[tasks.a]\nrun = 'true'\n",
        &[],
    )
    .code(2)
    .says("nothing can win the race `r`");
    // One of which nothing is started is no fault of the runner either.
    let file = "[tasks.a]\nrun = 'true'\n[groups.r]\npolicy = 'race'\ntasks.b = 'true'\n";
    run(file, &["-j1", "--halt=soon,success=1"])
        .code(0)
        .says("1 not started, 1 succeeded");
}

#[test]
fn a_race_that_is_stopped_is_no_fault_of_the_runner() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let mut command = sandbox.command();
    command.args(["race", "echo x > \"$DIR/ready\"; sleep 100"]);
    let running = Running::of(&mut command);
    sandbox.hear("ready");
    running.signal(Signal::INT);
    running
        .ended()
        .code(130)
        .says("1 cancelled")
        .says_not("itself");
    let late = sandbox.verb("race", &["--deadline=10ms", "sleep 100", "sleep 101"]);
    late.code(124)
        .says("the deadline expired")
        .says_not("itself");
}

#[test]
fn what_waits_in_a_race_is_not_started_after_the_first_success() {
    let sandbox = Sandbox::new();
    let ended = sandbox.verb("race", &["-j1", "exit 1", "true", "touch \"$DIR/third\""]);
    ended.code(0);
    assert!(!sandbox.path("third").exists());
}
