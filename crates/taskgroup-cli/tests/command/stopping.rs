//! Whatever the commands do: when the runner has ended, so have they.

use std::fs::OpenOptions;

use crate::support::{NEVER, Sandbox, assert_gone};

#[test]
fn the_first_failure_stops_the_others() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let ended = sandbox.run(&[
        "--names=bad,long",
        NEVER,
        "echo $$ > \"$DIR/bad\"; cat \"$DIR/ready\"; exit 3",
        "echo $$ > \"$DIR/long\"; echo x > \"$DIR/ready\"; sleep 100",
    ]);
    ended
        .code(1)
        .says("1 failed, 1 cancelled in ")
        .says("FAILED bad: exit code 3");
    ended
        .says("CANCELLED long: after ")
        .says("stopped by SIGTERM, because bad failed");
    assert_gone(sandbox.pid("bad"));
    assert_gone(sandbox.pid("long"));
}

#[test]
fn whoever_ignores_sigterm_is_gone_after_the_grace() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let ended = sandbox.run(&[
        "--names=bad,deaf",
        "--grace=100ms",
        "cat \"$DIR/ready\"; exit 1",
        "trap '' TERM; echo $$ > \"$DIR/deaf\"; echo x > \"$DIR/ready\"; sleep 100",
    ]);
    ended
        .code(1)
        .says("CANCELLED deaf: ")
        .says("stopped by SIGKILL after its grace");
    assert_gone(sandbox.pid("deaf"));
}

#[test]
fn a_trap_may_clean_up_within_the_grace() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let ended = sandbox.run(&[
        "--names=bad,tidy",
        NEVER,
        "cat \"$DIR/ready\"; exit 1",
        "trap 'echo cleaned; exit 9' TERM; echo x > \"$DIR/ready\"; while :; do sleep 0.01; done",
    ]);
    // Its response to SIGTERM is reported, and is not a separate failure.
    ended
        .code(1)
        .says("stopped by SIGTERM (exit code 9), because bad failed")
        .says("1 cancelled");
    assert!(ended.out().contains("tidy | cleaned\n"));
}

#[test]
fn escalation_goes_by_the_group_and_not_by_its_leader() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    // SIGTERM ends the leader. Its child ignores the signal and stays.
    let ended = sandbox.run(&[
        "--names=bad,parent",
        "--grace=100ms",
        "cat \"$DIR/ready\"; exit 1",
        "echo $$ > \"$DIR/pid\"
         (trap '' TERM; echo x > \"$DIR/ready\"; sleep 100) & wait",
    ]);
    ended.code(1).says("stopped by SIGKILL after its grace");
    assert_gone(sandbox.pid("pid"));
}

#[test]
fn a_success_that_leaves_children_behind_has_them_stopped_and_says_so() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&[
        "--names=forgetful",
        NEVER,
        "echo $$ > \"$DIR/pid\"; sleep 100 &",
    ]);
    ended.code(0).says("OK forgetful: after ");
    ended
        .says("left in the background: sleep (pid ")
        .says("); stopped by SIGTERM");
    assert_gone(sandbox.pid("pid"));
}

#[test]
fn a_child_that_ends_with_its_leader_is_no_news() {
    // The filter gets its end of file only when the leader has ended.
    let sandbox = Sandbox::new();
    sandbox.fifo("filter");
    let ended = sandbox.run(&["cat < \"$DIR/filter\" & exec > \"$DIR/filter\"; echo filtered"]);
    ended.code(0).says_not("background");
    assert_eq!(ended.out(), "cat | filtered\n");
}

#[test]
fn a_failed_leader_with_a_stubborn_child_does_not_keep_the_others_running() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    // The child of `bad` leaves on its own, but only once `good` has been stopped.
    let ended = sandbox.run(&[
        "--names=bad,good",
        NEVER,
        "(trap '' TERM; echo x > \"$DIR/armed\"; until [ -e \"$DIR/stopped\" ]; do sleep 0.01; done) &
         cat \"$DIR/ready\"; until [ -e \"$DIR/armed\" ]; do sleep 0.01; done; exit 1",
        "trap 'echo x > \"$DIR/stopped\"; exit' TERM; echo x > \"$DIR/ready\"; while :; do sleep 0.01; done",
    ]);
    ended
        .code(1)
        .says("FAILED bad: exit code 1")
        .says("CANCELLED good: ");
}

#[test]
fn a_stopped_process_is_woken_to_hear_its_sigterm() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&[
        "--names=bad,asleep",
        NEVER,
        "until grep -qs '^State:.T' \"/proc/$(cat \"$DIR/pid\" 2>/dev/null)/status\"; do sleep 0.01; done; exit 1",
        "echo $$ > \"$DIR/pid\"; kill -STOP $$; sleep 100",
    ]);
    ended
        .code(1)
        .says("CANCELLED asleep: ")
        .says("stopped by SIGTERM");
    assert_gone(sandbox.pid("pid"));
}

#[test]
fn whoever_left_the_group_is_stopped_too() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let ended = sandbox.run(&[
        "--names=parent",
        "setsid sh -c 'echo $$ > \"$DIR/ready\"; exec sleep 100' & cat \"$DIR/ready\" > \"$DIR/pid\"; echo told",
    ]);
    ended
        .code(0)
        .says("left in the background: sleep (pid ")
        .says_not("still held its output");
    assert_eq!(ended.out(), "parent | told\n");
    assert_gone(sandbox.pid("pid"));
}

#[test]
fn a_stranger_who_holds_the_output_cannot_keep_the_runner() {
    let sandbox = Sandbox::new();
    // The test keeps the other end of the command's pipe.
    sandbox.fifo("pid");
    sandbox.fifo("go");
    let running = sandbox.start(&[
        "--names=lender",
        "echo $$ > \"$DIR/pid\"; cat \"$DIR/go\"; echo told",
    ]);
    let pipe = format!("/proc/{}/fd/1", sandbox.pid("pid"));
    let held = OpenOptions::new().write(true).open(pipe).unwrap();
    sandbox.tell("go");
    let ended = running.ended();
    drop(held);
    ended
        .code(0)
        .says("a process that the command did not start still held its output");
    assert!(ended.out().ends_with("lender | told\n"));
}

#[test]
fn the_last_words_of_a_stopped_command_are_not_lost() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let ended = sandbox.run(&[
        "--names=bad,wordy",
        NEVER,
        "cat \"$DIR/ready\"; exit 1",
        "trap 'seq 1 5000; printf end; exit' TERM; echo x > \"$DIR/ready\"; while :; do sleep 0.01; done",
    ]);
    ended.code(1);
    assert!(ended.out().contains("wordy | 5000\nwordy | end\n"));
    assert_eq!(
        ended
            .out()
            .lines()
            .filter(|line| line.starts_with("wordy"))
            .count(),
        5001
    );
}

#[test]
fn a_failure_that_comes_with_the_cancel_is_still_a_failure() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    // Both have failed before either can be stopped: neither failure may be lost.
    let ended = sandbox.run(&[
        "-k",
        "cat \"$DIR/ready\"; exit 1",
        "echo x > \"$DIR/ready\"; exit 2",
    ]);
    ended
        .code(1)
        .says("2 failed")
        .says("exit code 1,")
        .says("exit code 2,");
}

#[test]
fn a_leader_that_moved_to_another_group_is_stopped_by_its_pid() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    // It joins the group of the runner, which the guard must not signal.
    let ended = sandbox.run(&[
        "--names=bad,moved",
        NEVER,
        "cat \"$DIR/ready\"; exit 1",
        "exec perl -e 'setpgrp(0, getpgrp(getppid())) or die;
         open(F, \">\", \"$ENV{DIR}/ready\"); close(F); sleep 100'",
    ]);
    ended
        .code(1)
        .says("CANCELLED moved: ")
        .says("stopped by SIGTERM");
}

#[test]
fn no_grace_is_an_immediate_end_and_no_false_report() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let ended = sandbox.run(&[
        "--names=bad,deaf",
        "--grace=0s",
        "cat \"$DIR/ready\"; exit 1",
        "trap '' TERM; echo $$ > \"$DIR/deaf\"; echo x > \"$DIR/ready\"; sleep 100",
    ]);
    ended
        .code(1)
        .says("CANCELLED deaf: ")
        .says("stopped by SIGKILL after its grace")
        .says_not("background");
    assert_gone(sandbox.pid("deaf"));
}

#[test]
fn a_process_group_without_its_leader_is_still_stopped() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&[
        "--contain=group",
        "--names=forgetful",
        NEVER,
        "echo $$ > \"$DIR/pid\"; sleep 100 &",
    ]);
    ended
        .code(0)
        .says("contained by process groups")
        .says("left in the background: sleep (pid ")
        .says("); stopped by SIGTERM");
    assert_gone(sandbox.pid("pid"));
    // One that ignores SIGTERM, too.
    let ended = sandbox.run(&[
        "--contain=group",
        "--names=deaf",
        "--grace=600ms",
        "echo $$ > \"$DIR/pid2\"; (trap '' TERM; exec sleep 100) &",
    ]);
    ended.code(0).says("stopped by SIGKILL after its grace");
    assert_gone(sandbox.pid("pid2"));
    // And one that ends by itself is no news.
    sandbox
        .run(&["--contain=group", "sleep 0.1 & true"])
        .code(0)
        .says_not("background");
}
