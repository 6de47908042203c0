//! A stop by signal that the program calls a success. S54.

use libtest_mimic::Trial;

use crate::process::{End, Program};
use crate::signals::STOP;
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "fault_f4_a_graceful_stop_is_a_success",
            fault_f4_a_graceful_stop_is_a_success,
        ),
        trial("many_tasks_clean_up", many_tasks_clean_up),
        trial("all_fail_after_the_stop", all_fail_after_the_stop),
        trial("what_is_shielded_is_finished", what_is_shielded_is_finished),
        trial("the_future_of_the_stop", the_future_of_the_stop),
        trial("a_loop_of_sections_ends", a_loop_of_sections_ends),
        trial("the_stop_is_a_level", the_stop_is_a_level),
        trial(
            "a_child_may_wait_for_the_stop",
            a_child_may_wait_for_the_stop,
        ),
        trial("run_gives_the_value", run_gives_the_value),
        trial(
            "without_a_wait_the_run_is_cancelled",
            without_a_wait_the_run_is_cancelled,
        ),
        trial(
            "without_the_option_the_run_is_cancelled",
            without_the_option_the_run_is_cancelled,
        ),
        trial(
            "a_second_signal_shows_what_was_alive",
            a_second_signal_shows,
        ),
        trial("a_failure_is_no_success", a_failure_is_no_success),
        trial("the_grace_names_what_it_cut", the_grace_names_what_it_cut),
        trial("the_grace_names_main", the_grace_names_main),
    ]
}

/// Starts the program, sends it the signal, ends its input.
fn stopped(name: &str, signal: &str) -> End {
    let mut program = Program::start(name);
    program.says("started");
    program.signal(signal);
    program.end_input();
    program.end()
}

#[track_caller]
fn is_success(end: &End, lines: &[&str]) {
    assert_eq!(end.lines, lines);
    assert_eq!(end.errors, "");
    assert_eq!(end.status.code(), Some(0));
}

// S54: the cleanup goes on until the input ends, which is after the signal.
fn fault_f4_a_graceful_stop_is_a_success() {
    for name in ["graceful", "graceful_on_one_thread"] {
        for (signal, _, word) in STOP {
            let mut program = Program::start(name);
            program.says("started");
            program.signal(signal);
            program.says("cleaning");
            program.end_input();
            let mut end = program.end();
            let cleaned = end.lines.remove(0);
            let reason = format!("cleaned: Shutdown: the program was stopped by {word} (");
            assert!(cleaned.starts_with(&reason), "{cleaned}");
            let after = [
                "ended by itself: false",
                "flushed: 7",
                "told of a cancellation: false",
            ];
            is_success(&end, &after);
        }
    }
}

// S54: many tasks, of both drivers, on both flavours.
fn many_tasks_clean_up() {
    for name in [
        "graceful_many",
        "graceful_many_light",
        "graceful_many_on_one_thread",
        "graceful_many_light_on_one_thread",
    ] {
        is_success(&stopped(name, "TERM"), &["cleaned: 8"]);
    }
}

// S54, S6, S10: every failure comes out, panics too.
fn all_fail_after_the_stop() {
    for (name, error) in [
        ("graceful_all_fail", "the disk is full"),
        ("graceful_all_panic", "panicked: a bug"),
    ] {
        let end = stopped(name, "TERM");
        assert_eq!(end.lines, ["cleaned: 8"], "{name}");
        assert_eq!(
            end.errors.matches(error).count(),
            8,
            "{name}: {}",
            end.errors
        );
        assert_eq!(end.status.code(), Some(1), "{name}");
    }
}

// S54, S13: also where the body is not cut off.
fn what_is_shielded_is_finished() {
    is_success(&stopped("graceful_shielded", "TERM"), &["answered", "None"]);
    is_success(
        &stopped("graceful_in_the_body", "TERM"),
        &["answered", "goes on"],
    );
}

// S54
fn the_future_of_the_stop() {
    is_success(&stopped("graceful_future", "INT"), &["asked"]);
}

// S54
fn a_loop_of_sections_ends() {
    is_success(&stopped("graceful_loop", "TERM"), &["rounds: 3"]);
}

// S54: a stop that comes between two sections is for the next one.
fn the_stop_is_a_level() {
    is_success(&stopped("graceful_level", "TERM"), &["goes on", "None"]);
}

// S54
fn a_child_may_wait_for_the_stop() {
    is_success(&stopped("graceful_in_a_child", "TERM"), &["None"]);
}

// S54
fn run_gives_the_value() {
    is_success(&stopped("graceful_value", "TERM"), &["Ok(7)"]);
}

// S54: a program that never asks would not end.
fn without_a_wait_the_run_is_cancelled() {
    let end = stopped("graceful_never_asks", "TERM");
    assert_eq!(end.lines.len(), 2, "{:?}", end.lines);
    assert!(end.errors.contains("SIGTERM"), "{}", end.errors);
    assert_eq!(end.status.code(), Some(143));
}

// S17, S54: the whole run is cancelled, and `until_stopped` lets the outer scope act.
fn without_the_option_the_run_is_cancelled() {
    let end = stopped("graceful_not", "TERM");
    assert_eq!(end.lines.len(), 2, "{:?}", end.lines);
    assert_eq!(end.status.code(), Some(143));
}

// S54, S33: the input has not ended, so only the signal can have ended the process.
fn a_second_signal_shows() {
    let program = Program::start("graceful");
    program.says("started");
    program.signal("INT");
    program.says("cleaning");
    program.signal("TERM");
    let end = program.end();
    assert_eq!(end.lines, [""; 0]);
    let first = "Error: a second signal, SIGTERM, cut this off:\n";
    assert!(end.errors.starts_with(first), "{}", end.errors);
    assert!(end.errors.contains("task `worker` ["), "{}", end.errors);
    assert_eq!(end.status.code(), Some(143));
}

// S54, S19, S6: the run returns the error, whether cleanup fails, the end of `main`, or a task that
// `main` left behind.
fn a_failure_is_no_success() {
    for (name, lines, error) in [
        ("graceful_cleanup_fails", &[][..], "the disk is full"),
        ("graceful_end_fails", &[], "cannot flush"),
        (
            "graceful_left_fails",
            &["main has ended"],
            "the disk is full",
        ),
    ] {
        let end = stopped(name, "TERM");
        assert_eq!(end.lines, lines, "{name}");
        assert!(end.errors.contains(error), "{name}: {}", end.errors);
        assert_eq!(end.status.code(), Some(1), "{name}");
    }
}

// S54, S18
fn the_grace_names_what_it_cut() {
    let end = stopped("graceful_late_task", "TERM");
    assert_eq!(end.lines, ["cleaned: prompt"]);
    let overrun = "cleanup exceeded the grace of 3600s";
    assert_eq!(end.errors.matches(overrun).count(), 1, "{}", end.errors);
    assert!(end.errors.contains("task `slow` ["), "{}", end.errors);
    let reason = "Error: cancelled: the program was stopped by SIGTERM";
    assert!(end.errors.contains(reason), "{}", end.errors);
    assert_eq!(end.status.code(), Some(143));
}

// S54, S18: a main that nothing can stop is dropped, and it is not dropped in silence.
fn the_grace_names_main() {
    let end = stopped("graceful_late_main", "TERM");
    assert_eq!(end.lines, ["asked"]);
    let overrun = "cleanup exceeded the grace of 3600s";
    assert!(end.errors.contains(overrun), "{}", end.errors);
    assert!(end.errors.contains("`main`"), "{}", end.errors);
    assert_eq!(end.status.code(), Some(143));
}
