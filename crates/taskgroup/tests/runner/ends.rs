//! What a program with a plain `#[tokio::main]` says that ends with something left behind. S46.

use libtest_mimic::Trial;

use crate::process::Program;
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_cleanup_is_not_cut_in_silence", cleanups),
        trial("a_failure_is_not_lost_in_silence", failures),
        trial("what_was_deferred_is_not_skipped_in_silence", deferred),
        trial("what_was_drained_is_not_reported", drained),
    ]
}

#[track_caller]
fn says(name: &str, text: &str) {
    let end = Program::start(name).end();
    assert_eq!(end.lines, [""; 0], "{name}");
    assert!(end.errors.contains(text), "{name}: {:?}", end.errors);
    assert_eq!(end.errors.lines().count(), 1, "{name}: {}", end.errors);
    assert!(end.errors.contains("`taskgroup::drain()`"), "{name}");
    // The program decides its exit code.
    assert_eq!(end.status.code(), Some(0), "{name}");
}

// S46, S15: whether it has begun to clean up or not.
fn cleanups() {
    for name in [
        "plain_cleanup",
        "plain_cleanup_on_one_thread",
        "plain_shield",
        "plain_release",
    ] {
        says(name, "was shut down while 1 task was cleaning up");
    }
}

// S46, S6
fn failures() {
    says(
        "plain_failure",
        "1 failure was not taken (task `left` failed: the disk is full)",
    );
}

// S46, S14: with and without a task of the runtime.
fn deferred() {
    for name in ["plain_deferred", "plain_deferred_alone"] {
        says(name, "1 deferred future has not run");
    }
}

// S46: the watch over what is left ends with that.
fn drained() {
    let end = Program::start("plain_drained").end();
    assert_eq!(end.lines.len(), 2, "{:?}", end.lines);
    assert_eq!(end.lines[0], "deferred");
    assert!(
        end.lines[1].ends_with("the disk is full"),
        "{:?}",
        end.lines
    );
    assert_eq!(end.errors, "");
    let end = Program::start("plain_nothing").end();
    assert_eq!((end.lines.len(), end.errors.as_str()), (0, ""));
}
