//! What a signal does to a program, and what its end tells the one who started it.

use std::os::unix::process::ExitStatusExt;

use libtest_mimic::Trial;

use crate::process::Program;
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "the_first_signal_waits_for_cleanup",
            the_first_signal_waits_for_cleanup,
        ),
        trial(
            "main_may_clean_up_and_return_the_cancellation",
            main_may_clean_up_and_return_the_cancellation,
        ),
        trial(
            "the_second_signal_ends_the_process",
            the_second_signal_ends_the_process,
        ),
        trial(
            "the_second_signal_ends_a_process_whose_threads_are_blocked",
            the_second_signal_ends_a_process_whose_threads_are_blocked,
        ),
        trial("signals_count_from_the_start", signals_count_from_the_start),
        trial(
            "without_signals_the_system_decides",
            without_signals_the_system_decides,
        ),
        trial(
            "the_grace_bounds_cleanup_after_a_signal",
            the_grace_bounds_cleanup_after_a_signal,
        ),
        trial("run_tells_the_reason", run_tells_the_reason),
        trial(
            "a_failing_main_prints_its_tree",
            a_failing_main_prints_its_tree,
        ),
    ]
}

/// The signals that stop a program, with their numbers and the words for them.
pub(crate) const STOP: [(&str, i32, &str); 2] = [("INT", 2, "Ctrl-C"), ("TERM", 15, "SIGTERM")];

// S17, S1: cleanup goes on until the input ends, which is after the signal, and the reason is told
// to the task and to the user.
fn the_first_signal_waits_for_cleanup() {
    for (signal, number, word) in STOP {
        let mut program = Program::start("cleanup");
        program.says("started");
        program.signal(signal);
        program.says("cleaning");
        program.end_input();
        let end = program.end();
        let stopped = format!("the program was stopped by {word} (");
        assert_eq!(end.lines.len(), 1, "{:?}", end.lines);
        let cleaned = format!("cleaned: Shutdown: {stopped}");
        assert!(end.lines[0].starts_with(&cleaned), "{:?}", end.lines);
        let told = format!("Error: cancelled: {stopped}");
        assert!(end.errors.starts_with(&told), "{}", end.errors);
        assert!(end.errors.contains("programs.rs:"), "{}", end.errors);
        assert_eq!(end.status.code(), Some(128 + number));
    }
}

// S12: a main body that returns its guard was stopped, as one that was dropped.
fn main_may_clean_up_and_return_the_cancellation() {
    for (signal, number, word) in STOP {
        let mut program = Program::start("main_cleans_up");
        program.says("started");
        program.signal(signal);
        program.says("cleaning");
        program.end_input();
        let end = program.end();
        assert_eq!(end.lines.len(), 1, "{:?}", end.lines);
        assert!(end.errors.contains(word), "{}", end.errors);
        assert_eq!(end.status.code(), Some(128 + number), "{}", end.errors);
    }
}

// The number of the second signal is the one that counts: it is the one that ended the process. The
// input has not ended, so nothing else can have.
fn the_second_signal_ends_the_process() {
    for (first, (second, number, _)) in [("INT", STOP[1]), ("TERM", STOP[0]), ("INT", STOP[0])] {
        let program = Program::start("cleanup");
        program.says("started");
        program.signal(first);
        program.says("cleaning");
        program.signal(second);
        let end = program.end();
        assert_eq!(end.lines, [""; 0]);
        assert_eq!(end.status.code(), Some(128 + number));
    }
}

// The first signal is taken although no thread is left to poll anything, and so is the second.
fn the_second_signal_ends_a_process_whose_threads_are_blocked() {
    for program in ["blocked_on_one_thread", "blocked_on_two"] {
        let program = Program::start(program);
        program.says("started");
        program.signal("INT");
        program.says("cancelled");
        program.signal("TERM");
        let end = program.end();
        assert_eq!(end.status.code(), Some(143), "{}", end.errors);
        let told = "Error: a second signal, SIGTERM, cut this off:";
        assert!(end.errors.contains(told), "{}", end.errors);
    }
}

// A signal that comes in the first poll of main, on its only thread, is not the system's to handle.
fn signals_count_from_the_start() {
    let mut program = Program::start("busy_from_the_start");
    program.says("started");
    program.signal("TERM");
    program.end_input();
    program.says("suspends");
    let end = program.end();
    assert_eq!(end.status.code(), Some(143), "{}", end.status);
}

fn without_signals_the_system_decides() {
    let program = Program::start("without_signals");
    program.says("started");
    program.signal("TERM");
    let end = program.end();
    assert_eq!(end.lines, [""; 0]);
    assert_eq!(end.status.signal(), Some(15));
}

// S18
fn the_grace_bounds_cleanup_after_a_signal() {
    let program = Program::start("grace");
    program.says("started");
    program.signal("INT");
    let end = program.end();
    assert_eq!(end.lines, ["cleaned: prompt"]);
    assert!(end.errors.contains("task `slow` ["), "{}", end.errors);
    let overrun = "cleanup exceeded the grace of 3600s";
    assert_eq!(end.errors.matches(overrun).count(), 1, "{}", end.errors);
    assert!(!end.errors.contains("prompt"), "{}", end.errors);
    assert_eq!(end.status.code(), Some(130));
}

fn run_tells_the_reason() {
    let mut program = Program::start("stopped_run");
    program.says("started");
    program.signal("INT");
    program.says("cleaning");
    program.end_input();
    let end = program.end();
    let [_cleaned, error, parts, value] = &end.lines[..] else {
        panic!("{:?}", end.lines);
    };
    let text = "the run was cancelled: the program was stopped by Ctrl-C (";
    assert!(error.starts_with(text), "{error}");
    assert_eq!(parts, "Some(Shutdown) None");
    assert_eq!(value, "a value: false");
    assert_eq!(end.errors, "");
    assert_eq!(end.status.code(), Some(0));
}

// S23: the whole tree, as its alternate form draws it.
fn a_failing_main_prints_its_tree() {
    let end = Program::start("failing").end();
    let tree = end.lines.join("\n");
    for part in [
        "backup",
        "copy",
        "the disk is full",
        "report",
        "the network is down",
    ] {
        assert!(tree.contains(part), "{tree}");
    }
    assert_eq!(end.errors.trim_end(), format!("Error: {}", tree.trim_end()));
    assert_eq!(end.status.code(), Some(1));
}
