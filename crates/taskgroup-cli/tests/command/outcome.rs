//! Results: exit codes, the report, names, `-j`, `--keep-going`, `--timeout`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;

use crate::support::{NEVER, Running, Sandbox, assert_gone, script};

#[test]
fn exit_codes() {
    let forever = "exec sleep 100";
    let cases: [(&[&str], i32); 9] = [
        (&["true"], 0),
        (&["true", "exit 0", ":"], 0),
        (&["exit 7"], 1),
        (&["true", "kill -KILL $$"], 1),
        (&["no-such-program-anywhere"], 1),
        (&["--timeout=50ms", forever], 124),
        (&["--timeout=50ms", forever, forever], 124),
        (&["--timeout=50ms", "--keep-going", forever, "exit 1"], 1),
        (&["if"], 1),
    ];
    for (args, code) in cases {
        Sandbox::new().run(args).code(code);
    }
}

#[test]
fn a_success_has_one_line_of_its_own() {
    let ended = Sandbox::new().run(&["echo out", "echo err >&2"]);
    ended.code(0);
    assert_eq!(ended.out(), "echo-out | out\n");
    let (first, last) = ended.err.split_once('\n').unwrap();
    assert_eq!(first, "echo-err | err");
    assert!(last.starts_with("taskgroup: 2 succeeded in 0."), "{last}");
    assert_eq!(last.lines().count(), 1);
    let quiet = Sandbox::new().run(&["-o", "quiet", "echo out", "echo err >&2"]);
    quiet.code(0);
    assert_eq!((quiet.out(), quiet.err.as_str()), ("", ""));
}

#[test]
fn a_failure_is_reported_with_code_and_stderr() {
    let ended = Sandbox::new().run(&["echo first >&2; echo 'second one' >&2; exit 3"]);
    ended
        .code(1)
        .says("1 failed in ")
        .says("FAILED echo: exit code 3, after ");
    ended.says("    | first\n    | second one\n");
}

#[test]
fn only_the_end_of_a_long_stderr_is_repeated() {
    let ended = Sandbox::new().run(&["seq 1 100 >&2; exit 1"]);
    ended
        .code(1)
        .says("(90 earlier lines left out)")
        .says("    | 91\n")
        .says("    | 100\n");
    ended.says_not("    | 90\n").says("seq | 90\n");
}

#[test]
fn an_end_by_a_signal_is_named() {
    Sandbox::new()
        .run(&["kill -SEGV $$"])
        .code(1)
        .says("ended by SIGSEGV");
    Sandbox::new()
        .run(&["sh -c 'kill -KILL $$'; exit $?"])
        .code(1)
        .says("137 (128 + SIGKILL)");
}

#[test]
fn a_program_that_is_not_there_or_not_executable() {
    let sandbox = Sandbox::new();
    script(&sandbox.path("plain.sh"), 0o644);
    let ended = sandbox.run(&["-k", "no-such-program-anywhere --flag", "\"$DIR/plain.sh\""]);
    ended.code(1).says("2 failed");
    ended.says("FAILED no-such-program-anywhere: exit code 127 (command not found)");
    ended.says("FAILED plain.sh: exit code 126 (not executable)");
}

#[test]
fn a_shell_that_is_not_there() {
    let sandbox = Sandbox::new();
    let ended = Running::of(
        sandbox
            .command()
            .env("PATH", "/nowhere")
            .args(["run", "true"]),
    )
    .ended();
    ended
        .code(1)
        .says("could not be started: `sh`: no such program in PATH");
}

#[test]
fn what_keeps_the_runner_itself_from_working() {
    // Enough descriptors to load the program, too few for the runtime.
    // None comes from a test that runs beside this one.
    let close = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-";
    let mut starved = Sandbox::new().by_shell(&format!("{close}; ulimit -n 4; exec \"$@\""));
    Running::of(starved.args(["run", "true"]))
        .ended()
        .code(125)
        .says("taskgroup: cannot run");
}

#[test]
fn keep_going_collects_every_failure() {
    let sandbox = Sandbox::new();
    sandbox.fifo("go");
    // The last command ends only after the first has failed.
    let ended = sandbox.run(&[
        "--keep-going",
        "echo go > \"$DIR/go\"; exit 1",
        "exit 2",
        "kill -TERM $$",
        "cat \"$DIR/go\"; echo survived",
    ]);
    ended
        .code(1)
        .says("3 failed, 1 succeeded in ")
        .says_not("CANCELLED");
    ended
        .says("exit code 1,")
        .says("exit code 2,")
        .says("ended by SIGTERM,");
    assert!(ended.out().contains("survived"));
}

#[test]
fn one_job_at_a_time_in_the_order_given() {
    let sandbox = Sandbox::new();
    let step =
        |n: u32| format!("mkdir \"$DIR/busy\" && echo {n} >> \"$DIR/log\"; rmdir \"$DIR/busy\"");
    let mut args = vec!["-j1".to_owned()];
    args.extend((1..=20).map(step));
    // `mkdir` fails while another command has the folder.
    sandbox.run(&args).code(0);
    let expected: String = (1..=20).map(|n| format!("{n}\n")).collect();
    assert_eq!(fs::read_to_string(sandbox.path("log")).unwrap(), expected);
}

#[test]
fn two_jobs_really_run_at_the_same_time_and_no_more() {
    let sandbox = Sandbox::new();
    sandbox.fifo("meet");
    // Each of the first two waits for the other. The third would fail if it ran beside one of them.
    let ended = sandbox.run(&[
        "-j2",
        "echo x > \"$DIR/meet\"; touch \"$DIR/one\"",
        "cat \"$DIR/meet\"; until [ -e \"$DIR/one\" ]; do sleep 0.01; done; touch \"$DIR/two\"",
        "[ -e \"$DIR/one\" ]",
    ]);
    ended.code(0);
}

#[test]
fn what_waits_for_its_turn_is_not_started_after_a_failure() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&["-j1", "--names=a,b,c", "exit 1", "touch \"$DIR/b\"", "true"]);
    ended.code(1).says("1 failed, 2 not started in ");
    ended.says("NOT STARTED b, c: because a failed");
    assert!(!sandbox.path("b").exists());
}

#[test]
fn a_timeout_is_a_failure_and_stops_the_others() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&[
        "--timeout=100ms",
        "--names=slow,queue",
        "-j1",
        NEVER,
        "echo $$ > \"$DIR/pid\"; echo last words >&2; exec sleep 100",
        "true",
    ]);
    ended
        .code(124)
        .says("TIMED OUT slow: after ")
        .says("stopped by SIGTERM")
        .says("| last words");
    ended.says("NOT STARTED queue: because slow timed out");
    assert_gone(sandbox.pid("pid"));
}

#[test]
fn names_can_be_given() {
    let ended = Sandbox::new().run(&["--names", "web,ünï", "echo 1", "echo 2 >&2"]);
    ended.code(0);
    assert_eq!(ended.out(), "web | 1\n");
    ended.says("ünï | 2\n");
}

#[test]
fn a_command_need_not_be_utf_8() {
    let command = OsString::from_vec(b"printf '%s' '\xff\xfe'; exit 1".to_vec());
    let ended = Sandbox::new().run(&[command]);
    ended.code(1).says("FAILED printf");
    assert_eq!(ended.out, b"printf | \xff\xfe\n");
}

#[test]
fn thousands_wait_their_turn() {
    let mut args = vec!["-j2".to_owned(), "exit 1".to_owned()];
    args.extend((0..3000).map(|n| format!(": {n}")));
    let ended = Sandbox::new().run(&args);
    ended.code(1).says(" more: because exit failed");
}

#[test]
fn the_last_words_after_a_progress_bar_are_in_the_report() {
    let text = "for i in $(seq 100); do printf '\\r[download] %3d%% of 107.66MiB' $i >&2; done
        printf '\\rERROR: no space left\\n' >&2; exit 1";
    let ended = Sandbox::new().run(&["-o", "quiet", text]);
    ended
        .code(1)
        .says("    | ERROR: no space left\n")
        .says_not("[download]");
}

#[test]
fn what_a_command_says_on_its_output_is_in_the_report() {
    let ended = Sandbox::new().run(&["-o", "quiet", "seq 12; echo why >&2; exit 1"]);
    ended.code(1);
    ended.says("the end of its standard output (2 earlier lines left out):\n    | 3\n");
    ended.says("    | 12\n    its standard error:\n    | why\n");
    let silent = Sandbox::new().run(&["exit 1"]);
    silent.code(1).says("    it wrote nothing\n");
}

#[test]
fn a_success_at_a_later_attempt_is_told() {
    let sandbox = Sandbox::new();
    let text = "[ -e \"$DIR/x\" ] || { touch \"$DIR/x\"; exit 3; }";
    let ended = sandbox.run(&["--retries=2", "--backoff=1ms", "--names=shaky", text]);
    ended.code(0);
    ended.says("taskgroup: 1 succeeded (1 not at the first attempt) in ");
    ended.says("OK shaky: succeeded at attempt 2, after ");
    ended.says("    attempt 1: exit code 3, after ");
}

#[test]
fn each_command_knows_its_name_place_attempt_and_slot() {
    let sandbox = Sandbox::new();
    let show = "echo \"$TASKGROUP_NAME $TASKGROUP_INDEX $TASKGROUP_ATTEMPT $TASKGROUP_SLOT\"";
    let ended = sandbox.run(&["-j1", "--names=a,b", show, show]);
    ended.code(0);
    assert_eq!(ended.out(), "a | a 1 1 1\nb | b 2 1 1\n");
    let again = format!("{show}; [ \"$TASKGROUP_ATTEMPT\" = 2 ]");
    let ended = sandbox.run(&["--retries=1", "--backoff=1ms", "--names=a", &again]);
    ended.code(0);
    assert_eq!(ended.out(), "a | a 1 1 1\na | a 1 2 1\n");
    // Two at the same time have different slots.
    sandbox.fifo("meet");
    let meet = [
        "echo $TASKGROUP_SLOT > \"$DIR/meet\"",
        "cat \"$DIR/meet\"; echo $TASKGROUP_SLOT",
    ];
    let ended = sandbox.run(&["-j2", "--names=a,b", meet[0], meet[1]]);
    ended.code(0);
    let mut slots: Vec<&str> = ended.out().lines().collect();
    slots.sort_unstable();
    assert_eq!(slots, ["b | 1", "b | 2"]);
}

#[test]
fn the_slowest_are_named() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&["--slowest=1", "--names=quick,slow", "true", "sleep 0.3"]);
    ended
        .code(0)
        .says("slowest:\n")
        .says("s slow\n")
        .says_not(" quick");
}

/// The guard measures from the start of the command to its end. What the runner does meanwhile, and
/// when it hears of both, does not count.
#[test]
fn a_command_is_not_said_to_have_run_shorter_than_it_did() {
    let sandbox = Sandbox::new();
    let journal = sandbox.path("ran.jsonl");
    let mut command = sandbox.command();
    command.args(["run", "-j8", "--json"]).arg(&journal);
    let ended = Running::of(command.args(["sleep 0.1"; 40])).ended();
    ended.code(0);
    let text = sandbox.read("ran.jsonl");
    let ended = text
        .lines()
        .filter(|line| line.contains("\"event\":\"ended\""));
    let ran = ended.map(|line| {
        let (_, rest) = line.split_once("\"ran\":").unwrap();
        let number = rest.split([',', '}']).next().unwrap();
        number.parse::<f64>().unwrap()
    });
    let ran: Vec<f64> = ran.collect();
    assert_eq!(ran.len(), 40);
    assert!(ran.iter().all(|ran| *ran >= 0.1), "{ran:?}");
}
