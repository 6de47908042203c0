//! What users of xargs and GNU parallel type.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use crate::support::{Ended, NEVER, Running, Sandbox, guarded, wait_for};

fn map(args: &[&str]) -> Ended {
    Sandbox::new().verb("map", args)
}

/// What the commands printed, without their names.
fn printed(ended: &Ended) -> Vec<String> {
    let lines = ended.out().lines();
    lines
        .map(|line| line.split_once(" | ").unwrap().1.to_owned())
        .collect()
}

#[test]
fn parts_of_a_path_have_placeholders() {
    let ended = map(&[
        "-j1",
        "echo {.} {/} {//} {/.} {#}",
        ":::",
        "a b/c.tar.gz",
        "x",
    ]);
    ended.code(0);
    assert_eq!(
        printed(&ended),
        ["a b/c.tar c.tar.gz a b c.tar 1", "x x . x 2"]
    );
}

#[test]
fn a_command_can_have_several_arguments() {
    for option in ["-n2", "-L2", "--max-args=2", "--max-lines=2"] {
        let ended = map(&["-j1", option, "printf '<%s>'", ":::", "a b", "c", "d"]);
        ended.code(0);
        assert_eq!(printed(&ended), ["<a b><c>", "<d>"], "{option}");
    }
    let ended = map(&["-j1", "-n2", "echo {2} {1}", ":::", "a", "b", "c"]);
    assert_eq!(printed(&ended), ["b a", " c"]);
}

#[test]
fn lists_are_combined() {
    let args = ["-j1", "echo {2}-{1}", ":::", "a", "b", ":::", "1", "2"];
    assert_eq!(printed(&map(&args)), ["1-a", "2-a", "1-b", "2-b"]);
    // All of them, each a word of its own.
    let ended = map(&["-j1", "printf '<%s>' {}", ":::", "a b", ":::", "c"]);
    assert_eq!(printed(&ended), ["<a b><c>"]);
}

/// What GNU parallel makes of the same words, where it is installed; what it made of them here.
#[test]
fn lists_are_linked_as_by_gnu_parallel() {
    let sandbox = Sandbox::new();
    let numbers = sandbox.file("numbers", "1\n2\n3\n");
    let letters = sandbox.file("letters", "x\ny\n");
    let (numbers, letters) = (&*numbers, &*letters);
    let cases: &[(&[&str], &str)] = &[
        (&[":::", "a", "b", "c", ":::+", "1", "2"], "a-1 b-2"),
        (
            &[":::", "a", "b", ":::+", "1", "2", ":::", "X", "Y"],
            "a-1-X a-1-Y b-2-X b-2-Y",
        ),
        (
            &[":::", "X", "Y", ":::", "a", "b", ":::+", "1", "2"],
            "X-a-1 X-b-2 Y-a-1 Y-b-2",
        ),
        (
            &[
                ":::", "a", "b", ":::+", "1", "2", ":::", "X", "Y", ":::+", "8", "9",
            ],
            "a-1-X-8 a-1-Y-9 b-2-X-8 b-2-Y-9",
        ),
        (
            &[
                ":::", "a", "b", "c", ":::+", "1", "2", "3", ":::+", "p", "q",
            ],
            "a-1-p b-2-q",
        ),
        (&[":::", "a", "b", "c", "::::+", numbers], "a-1 b-2 c-3"),
        (
            &[":::", "a", "b", "c", "::::+", numbers, letters],
            "a-1-x b-2-y",
        ),
        (
            &["--link", ":::", "a", "b", "c", ":::", "1", "2", ":::", "z"],
            "a-1-z b-2-z c-1-z",
        ),
        (&["--link", "::::", letters, numbers], "x-1 y-2 x-3"),
        (
            &["--link", ":::", "a", "b", "c", ":::+", "1", "2", ":::", "X"],
            "a-1-X b-2-X c-1-X",
        ),
        (&["--link", ":::", "a", "b"], "a b"),
        (
            &["-n2", ":::", "a", "b", "c", ":::+", "1", "2", "3"],
            "a-1-b-2 c-3",
        ),
        (
            &["-n3", ":::", "a", "b", ":::", "1", "2"],
            "a-1-a-2-b-1 b-2",
        ),
        (
            &["-n2", "--colsep=,", ":::", "a,b", "c", "d,e"],
            "a-b-c d-e",
        ),
        (
            &["-n2", "--link", ":::", "a", "b", "c", ":::", "1"],
            "a-1-b-1 c-1",
        ),
    ];
    let parallel = |words: &[&str]| {
        let mut parallel = Command::new("parallel");
        parallel.args(["--will-cite", "-k", "-j1"]).args(words);
        let parallel = parallel.env("HOME", sandbox.path("")).stdin(Stdio::null());
        parallel.output().ok()
    };
    let is_gnu = |version: Output| version.stdout.starts_with(b"GNU parallel");
    let is_here = parallel(&["--version"]).is_some_and(is_gnu);
    for (words, expected) in cases {
        let (options, lists): (Vec<&str>, Vec<&str>) =
            words.iter().partition(|word| word.starts_with('-'));
        let ended = sandbox.verb("map", &[&["-j1"], &*options, &["echo {}"], &lists].concat());
        ended.code(0);
        let ours = printed(&ended).join("\n").replace(' ', "-");
        assert_eq!(ours.replace('\n', " "), *expected, "{words:?}");
        if is_here {
            let theirs = parallel(&[&*options, &["echo {}"], &lists].concat()).unwrap();
            let theirs = String::from_utf8(theirs.stdout).unwrap();
            assert_eq!(theirs.trim_end().replace(' ', "-"), ours, "{words:?}");
        }
    }
}

/// An endless list ends with a shorter one, and the other way round.
#[test]
fn an_endless_input_is_linked_as_far_as_the_other_reaches() {
    for lists in ["::: 1 2 3 ::::+ -", ":::: - :::+ 1 2 3"] {
        let sandbox = Sandbox::new();
        let text = format!("yes y | \"$@\" map -j1 'echo {{1}}{{2}}' {lists}");
        let ended = Running::of(&mut sandbox.by_shell(&text)).ended();
        ended.code(0);
        let mut all: Vec<String> = printed(&ended);
        all.iter_mut()
            .for_each(|line| *line = line.replace('y', ""));
        assert_eq!(all, ["1", "2", "3"]);
    }
}

#[test]
fn files_have_a_line_for_each_argument() {
    let sandbox = Sandbox::new();
    let one = sandbox.file("one", "a\n\nb c\n");
    let two = sandbox.file("two", "1\x002\0");
    let ended = sandbox.verb("map", &["-j1", "echo {}", "::::", &one]);
    assert_eq!(printed(&ended), ["a", "b c"]);
    let ended = sandbox.verb(
        "map",
        &["-j1", "-0", "echo {2}{1}", "::::", &two, ":::", "x"],
    );
    assert_eq!(printed(&ended), ["x1", "x2"]);
    let ended = sandbox.verb("map", &["-j1", "echo {1} {2}", "::::", &one, &one]);
    assert_eq!(printed(&ended).len(), 4);
    let ended = sandbox.map(
        &["-j1", "echo {1}{2}", "::::", "-", ":::", "x", "y"],
        b"1\n2\n",
    );
    assert_eq!(printed(&ended), ["1x", "1y", "2x", "2y"]);
    // A pipe of the shell is read once.
    let mut shell = sandbox.through(Command::new("bash"));
    shell.args(["-c", "\"$1\" map 'echo {}' :::: <(echo piped)", "bash"]);
    let ended = Running::of(shell.arg(env!("CARGO_BIN_EXE_taskgroup"))).ended();
    assert_eq!(printed(&ended), ["piped"]);
}

#[test]
fn lines_can_have_columns() {
    let sandbox = Sandbox::new();
    let ended = sandbox.map(&["-j1", "--colsep=\\t", "echo {2} {1}"], b"a b\tc\nd\n");
    assert_eq!(printed(&ended), ["c a b", " d"]);
    let ended = map(&["-j1", "--colsep=, ", "echo {1.} {2}", ":::", "x.y, z"]);
    assert_eq!(printed(&ended), ["x z"]);
}

#[test]
fn a_dry_run_can_be_given_to_a_shell() {
    let args = ["echo {/} \"{}\" 'and {}' {#}", ":::", "a'b/c  $d", "e"];
    let dry = map(&[&["--dry-run"], &args[..]].concat());
    dry.code(0);
    assert_eq!(
        dry.out(),
        "echo 'c  $d' \"a'b/c  \\$d\" 'and a'\\''b/c  $d' 1\necho e \"e\" 'and e' 2\n"
    );
    let by_shell = Command::new("sh").args(["-c", dry.out()]).output().unwrap();
    let by_map = printed(&map(&[&["-j1"], &args[..]].concat()));
    assert_eq!(
        String::from_utf8(by_shell.stdout).unwrap(),
        by_map.join("\n") + "\n"
    );
}

#[test]
fn the_order_can_be_random() {
    let many: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let dry = map(&[&["--dry-run", "--shuf", "echo", ":::"], &many[..]].concat());
    let mut lines: Vec<&str> = dry.out().lines().map(|line| &line[5..]).collect();
    assert_ne!(
        lines, many,
        "this happens by chance less often than the hardware fails"
    );
    let (mut sorted, mut all) = (std::mem::take(&mut lines), many);
    sorted.sort_unstable();
    all.sort_unstable();
    assert_eq!(sorted, all);
}

#[test]
fn a_run_can_halt_after_failures() {
    // `now` stops what runs.
    let sandbox = Sandbox::new();
    sandbox.fifo("up");
    let command = "case {} in slow) echo x > \"$DIR/up\"; exec sleep 100 ;; \
                   bad) cat \"$DIR/up\"; exit 1 ;; worse) exit 1 ;; esac";
    let args = ["-j2", command, ":::", "slow", "bad", "worse", "late"];
    let ended = sandbox.verb("map", &[&["--halt=now,fail=2"], &args[..]].concat());
    ended
        .code(1)
        .says("2 failed, 1 cancelled")
        .says("CANCELLED slow")
        .says("because of --halt now,fail=2");
    // `soon` lets it end. The journal says when the failure is known.
    let sandbox = Sandbox::new();
    let json = sandbox.word("json");
    let command = "case {} in bad) exit 1 ;; late) echo late ;; good) \
                   until grep -q '\"result\":\"failed\"' \"$DIR/json\"; do sleep 0.01; done; \
                   echo end ;; esac";
    let args = [
        "--halt=soon,fail=1",
        "--json",
        &json,
        "-j2",
        command,
        ":::",
        "good",
        "bad",
        "late",
    ];
    let ended = sandbox.verb("map", &args);
    ended
        .code(1)
        .says("1 failed, 1 not started, 1 succeeded")
        .says_not("CANCELLED");
    assert_eq!(printed(&ended), ["end"]);
}

#[test]
fn a_run_can_halt_after_successes_and_shares() {
    let ended = Sandbox::new().run(&[
        "--halt=now,success=1",
        "--names=a,b,c",
        "-j1",
        "exit 1",
        "true",
        "exec sleep 100",
    ]);
    // The failure came first, and counts.
    ended
        .code(1)
        .says("NOT STARTED c: because of --halt now,success=1");
    let ended = Sandbox::new().run(&[
        "--halt=soon,success=1",
        "-j1",
        "--names=a,b",
        "true",
        "echo b",
    ]);
    ended.code(0);
    assert_eq!(ended.out(), "");
    let args = [
        "-j1",
        "--halt=soon,fail=50%",
        "exit {}",
        ":::",
        "1",
        "0",
        "2",
        "0",
        "0",
    ];
    let ended = map(&args);
    // Half of five is two and a half: it goes on to the end.
    ended.code(1).says("2 failed, 3 succeeded");
    let ended = map(&[
        "-j1",
        "--halt=soon,fail=40%",
        "exit {}",
        ":::",
        "1",
        "0",
        "2",
        "0",
        "0",
    ]);
    ended.code(1).says("2 failed").says("1 succeeded");
}

/// A run that starts no more goes on, and so does what can happen in it.
#[test]
fn a_failure_after_the_halt_counts() {
    let until = "until grep -q '\"result\":\"succeeded\"' \"$DIR/json\"; do sleep 0.01; done; ";
    let halted = |halt: &str, more: &str, then: &str| {
        let sandbox = Sandbox::new();
        let json = sandbox.path("json").into_os_string().into_string().unwrap();
        let late = format!("{until}{then}");
        let args = [halt, more, "--json", &json, "-j2", "true", &late, "true"];
        sandbox.run(&args)
    };
    for halt in ["--halt=soon,done=1", "--halt=soon,success=1"] {
        halted(halt, NEVER, "exit 4")
            .code(1)
            .says("1 failed, 1 not started, 1 succeeded");
        halted(halt, "--deadline=1s", "exec sleep 100")
            .code(124)
            .says("because the deadline expired");
    }
}

#[test]
fn a_run_that_halts_does_not_wait_for_its_input() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command();
    command.args(["map", "--halt=soon,fail=1", "exit {}"]);
    let mut running = Running::of(command.stdin(Stdio::piped()));
    let mut input = running.child().stdin.take().unwrap();
    input.write_all(b"3\n").unwrap();
    running.ended().code(1).says("1 failed");
    drop(input);
}

/// Otherwise the run might go on without end.
#[test]
fn a_command_is_not_restarted_after_the_halt() {
    let sandbox = Sandbox::new();
    sandbox.fifo("tried");
    let ended = sandbox.run(&[
        "--restart=failure",
        "--backoff=1h",
        "--halt=soon,success=1",
        "--names=bad,good",
        "echo x > \"$DIR/tried\"; exit 5",
        "cat \"$DIR/tried\"",
    ]);
    ended.code(1).says("FAILED bad: exit code 5");
}

/// A retry is a start: it is cut off in its pause, and there is none after an attempt that goes on.
#[test]
fn a_command_is_not_retried_after_the_halt() {
    let sandbox = Sandbox::new();
    sandbox.fifo("tried");
    let ended = sandbox.run(&[
        "--retries=3",
        "--backoff=1h",
        "--halt=soon,success=1",
        "--names=bad,good",
        "echo x > \"$DIR/tried\"; exit 5",
        "cat \"$DIR/tried\"",
    ]);
    ended
        .code(1)
        .says("1 failed, 1 succeeded")
        .says("FAILED bad: exit code 5");
    let sandbox = Sandbox::new();
    let json = sandbox.word("json");
    let ended = sandbox.run(&[
        "--json",
        &json,
        "--retries=3",
        "--backoff=1ms",
        "--halt=soon,success=1",
        "--names=bad,good",
        "until grep -q '\"result\":\"succeeded\"' \"$DIR/json\"; do sleep 0.01; done; exit 5",
        "true",
    ]);
    ended.code(1).says("FAILED bad: exit code 5, after");
    let starts = sandbox.events_of("json", "started");
    assert_eq!(starts.len(), 2, "{starts:?}");
}

#[test]
fn a_race_that_halts_without_a_winner_has_failed() {
    let halted = |file: &str, halt: &str| {
        let sandbox = Sandbox::new();
        let path = sandbox.file("tasks.toml", file);
        sandbox.run(&["-j1", "-f", &path, "--halt", halt])
    };
    let race = "[groups.r]\npolicy = 'race'\ntasks.a = 'exit 1'\ntasks.b = 'true'\n\
                [tasks.next]\nrun = 'true'\nafter = ['r']\n";
    halted(race, "soon,done=1")
        .code(1)
        .says("NOT STARTED next, r/b: because of --halt soon,done=1");
    // Nothing of this one was run, so it has not failed. It has not succeeded either.
    let late = race.replace("policy", "after = ['first']\npolicy");
    let late = late + "[tasks.first]\nrun = 'true'\n";
    halted(&late, "soon,success=1")
        .code(0)
        .says("3 not started, 1 succeeded");
}

/// Otherwise a run would stop because of it, and end with success.
#[test]
fn a_failure_that_does_not_count_is_no_reason_to_halt() {
    let run = |file: &str, before: &str, halt: &str| {
        let sandbox = Sandbox::new();
        let next = format!("[tasks.next]\nrun = 'true'\nafter = ['{before}']\n");
        let path = sandbox.file("tasks.toml", &format!("{file}{next}"));
        sandbox.run(&["-j1", "-f", &path, "--halt", halt])
    };
    let race = "[groups.r]\npolicy = 'race'\ntasks.a = 'exit 1'\ntasks.b = 'true'\n";
    for (file, before) in [
        ("tasks.a = { run = 'exit 1', on-failure = 'ignore' }\n", "a"),
        (
            "tasks.a = { run = 'true', cleanup = ['exit 1'], on-failure = 'ignore' }\n",
            "a",
        ),
        (
            "[groups.g]\non-failure = 'ignore'\ngroups.h.tasks.a = 'exit 1'\n",
            "g",
        ),
        (race, "r"),
    ] {
        let ended = run(file, before, "now,fail=1");
        ended.code(0).says("1 failed, ").says_not("NOT STARTED");
        assert_eq!(ended.err.contains("(ignored)"), before != "r");
    }
    // A race without a winner has failed with all that is in it.
    let lost = race.replace("true", "exit 2");
    run(&lost, "r", "now,fail=2")
        .code(1)
        .says("NOT STARTED next: because of --halt now,fail=2");
    run(&lost, "r", "now,fail=3")
        .code(1)
        .says("NOT STARTED next: because r did not succeed");
}

/// The cleanup of a group in a race fails while the race is still open. What wins it goes on.
#[test]
fn a_cleanup_that_fails_in_an_open_race_is_no_reason_to_halt() {
    let sandbox = Sandbox::new();
    sandbox.fifo("go");
    let tasks = sandbox.file(
        "tasks.toml",
        r#"
        [groups.r]
        policy = "race"
        tasks.winner = 'cat "$DIR/go"'
        [groups.r.groups.loser]
        on-failure = "wait"
        cleanup = ["exit 1"]
        tasks.a = "true"
        [groups.r.groups.late]
        after = ["loser"]
        on-failure = "ignore"
        tasks.b = "true"
        "#,
    );
    let journal = sandbox.word("journal");
    let running = sandbox.start(&["-f", &tasks, "--halt=now,fail=1", "--json", &journal]);
    // The group has ended when what waits for it is decided.
    wait_for("the group does not end", move || {
        let lines = std::fs::read_to_string(&journal).unwrap_or_default();
        lines.contains(r#""task":"r/late/b""#)
    });
    sandbox.tell("go");
    running.ended().code(0).says_not("--halt");
}

/// It ends because the others have ended. That is not what a user waits for.
#[test]
fn a_service_that_nothing_needs_any_longer_is_no_success_to_halt_for() {
    let sandbox = Sandbox::new();
    sandbox.fifo("journal");
    sandbox.fifo("go");
    let tasks = sandbox.file(
        "tasks.toml",
        r#"
        jobs = 4
        tasks.db = { run = "exec sleep 100", service = true }
        tasks.user = { run = "true", after = ["db"] }
        tasks.late = 'cat "$DIR/go"'
        tasks.last = { run = "true", after = ["late"] }
        "#,
    );
    let journal = sandbox.word("journal");
    let running = sandbox.start(&["-f", &tasks, "--halt=soon,success=3", "--json", &journal]);
    let lines = guarded("the service", move || {
        let mut lines = BufReader::new(File::open(journal).unwrap()).lines();
        let is_end =
            |line: &str| line.contains(r#""event":"ended""#) && line.contains(r#""task":"db""#);
        assert!(lines.any(|line| is_end(&line.unwrap())));
        lines
    });
    sandbox.tell("go");
    running.ended().code(0).says_not("NOT STARTED");
    // There was a reader to the end.
    drop(lines);
}

#[test]
fn the_exit_code_can_be_the_number_of_failures() {
    let args = [
        "-k",
        "--count-failures",
        "exit {}",
        ":::",
        "0",
        "1",
        "2",
        "0",
        "3",
    ];
    map(&args).code(3);
    Sandbox::new()
        .run(&["-k", "--count-failures", "--timeout=1ms", "exec sleep 100"])
        .code(1);
    Sandbox::new().run(&["--count-failures", "true"]).code(0);
}

#[test]
fn what_takes_much_longer_than_the_others_is_stopped() {
    let command = "[ {} != slow ] || exec sleep 100";
    let ended = map(&[
        "-j1",
        "--timeout=1000%",
        command,
        ":::",
        "a",
        "b",
        "c",
        "slow",
    ]);
    ended.code(124).says("TIMED OUT slow");
    // Of a file, too.
    let sandbox = Sandbox::new();
    let text = "tasks.a = 'true'\ntasks.b = 'true'\ntasks.c = 'true'\n\
                [tasks.slow]\nrun = 'exec sleep 100'\nafter = ['a', 'b', 'c']\ntimeout = '1h'\n";
    let path = sandbox.file("tasks.toml", text);
    sandbox
        .run(&["-f", &path, "--timeout=1000%"])
        .code(124)
        .says("TIMED OUT slow");
}

/// There is never so much memory, so the commands run one by one.
#[test]
fn commands_wait_for_room() {
    let command = "true {} && mkdir \"$DIR/lock\" && rmdir \"$DIR/lock\"";
    let sandbox = Sandbox::new();
    let args = ["-j4", "--memfree=9999T", command, ":::", "a", "b", "c"];
    sandbox.verb("map", &args).code(0);
    let args = [
        "-j4",
        "--load=0.000001",
        "--load=100000",
        "true",
        ":::",
        "a",
        "b",
        "c",
    ];
    sandbox
        .verb("map", &args)
        .code(2)
        .says("cannot be used multiple times");
    sandbox
        .verb("map", &["--load=100000", "true", ":::", "a", "b"])
        .code(0);
}

/// In each verb, of a file, too. Before a command starts, the delay has passed once for each one
/// before it; nothing is sooner, however slow the machine is.
#[test]
fn commands_are_started_with_a_delay() {
    let sandbox = Sandbox::new();
    let json = sandbox.word("json");
    let file = sandbox.file(
        "tasks.toml",
        "tasks.a = ':'\ntasks.b = ':'\ntasks.c = ':'\n",
    );
    let verbs: [(&str, &[&str]); 4] = [
        ("run", &["true", "true", "true"]),
        ("run", &["-f", &file]),
        ("map", &["-j3", "true", ":::", "a", "b", "c"]),
        ("race", &["false", "false", "true"]),
    ];
    for (verb, args) in verbs {
        let ended = sandbox.verb(verb, &[&["--delay=300ms", "--json", &json], args].concat());
        ended.code(0);
        let started = sandbox.events_of("json", "started").into_iter();
        let starts: Vec<f64> = started.map(|line| line["at"].as_f64().unwrap()).collect();
        assert_eq!(starts.len(), 3, "{verb}");
        for (before, at) in starts.iter().enumerate() {
            assert!(*at >= 0.3 * before as f64, "{verb}: {starts:?}");
        }
    }
    sandbox
        .run(&["--delay=1", "true"])
        .code(2)
        .says("a unit is missing: 1s");
    // What waits is not started when the run halts meanwhile, and the run does not wait for it.
    let args = [
        "--delay=1h",
        "--halt=soon,fail=1",
        "false",
        "touch \"$DIR/late\"",
    ];
    sandbox.run(&args).code(1).says("because of --halt soon");
    assert!(!sandbox.path("late").exists());
    // Longer than any clock: a single command has none before it.
    sandbox.run(&["--delay=500000000000years", "true"]).code(0);
}

#[test]
fn commands_can_be_nice() {
    let here = Command::new("nice").output().unwrap();
    let here: i32 = String::from_utf8(here.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let ended = Sandbox::new().run(&["--nice=3", "nice"]);
    ended.code(0);
    assert_eq!(printed(&ended), [(here + 3).min(19).to_string()]);
}

#[test]
fn mistakes_are_told_with_the_way_out() {
    let sandbox = Sandbox::new();
    let cases: &[(&[&str], &str)] = &[
        (
            &["echo {2}", ":::", "a"],
            "each command has one argument; a second ':::'",
        ),
        (
            &["echo {3}", ":::", "a", ":::", "b"],
            "each command has 2 arguments",
        ),
        (&["-n2", "echo x{}", ":::", "a"], "{1} is the first one"),
        (
            &["-n2", "echo {/}", ":::", "a"],
            "write {1/} for the first one",
        ),
        (&["echo {0}", ":::", "a"], "{0} at character 6"),
        (
            &["echo {}", ":::+", "a", ":::", "b"],
            "begin with ':::' or '::::'",
        ),
        (
            &["echo {}", "::::+", "/dev/null"],
            "'::::+' links its list with the one before it",
        ),
        (
            &["echo {}", ":::", "a", "::::+"],
            "no file follows '::::+'; '-' is standard input",
        ),
        (
            &["echo {3}", ":::", "a", ":::+", "b"],
            "each command has 2 arguments",
        ),
        (&["--link", "--pipe", "wc"], "cannot be used with"),
        (
            &["echo {}", "::::", "/nowhere"],
            "cannot read /nowhere: there is no such file or folder in /",
        ),
        (&["echo {}", "::::"], "no file follows '::::'"),
        (&["echo {}", "::::", "-", "-"], "standard input '-' twice"),
        (
            &["--halt=now", "echo {}", ":::", "a"],
            "like soon,fail=3 or now,fail=10%",
        ),
        (&["--timeout=50%", "echo {}", ":::", "a"], "above 100%"),
        (
            &["--halt=now,fail=1", "-k", "echo", ":::", "a"],
            "cannot be used with",
        ),
    ];
    for (args, part) in cases {
        sandbox.verb("map", args).code(2).says(part);
    }
}

#[test]
fn commands_can_read_blocks_of_the_input() {
    let sandbox = Sandbox::new();
    let lines: String = (0..1000).map(|n| format!("{n}\n")).collect();
    // As much as it takes; the commands need not read all of it.
    let ended = sandbox.map(&["-j2", "--pipe", "--block=1K", "cat"], lines.as_bytes());
    ended.code(0);
    let mut numbers: Vec<u32> = printed(&ended)
        .iter()
        .map(|line| line.parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..1000));
    let ended = sandbox.map(&["-j1", "--pipe", "-n400", "wc -l"], lines.as_bytes());
    assert_eq!(ended.out(), "1 | 400\n2 | 400\n3 | 200\n");
    let long = "x".repeat(3 << 20) + "\n";
    let ended = sandbox.map(&["--pipe", "head -c3; echo {#}"], long.repeat(2).as_bytes());
    let mut parts = printed(&ended);
    parts.sort_unstable();
    assert_eq!(parts, ["xxx1", "xxx2"]);
    let ended = sandbox.map(
        &["--pipe", "--keep-order", "-0", "-n1", "tr '\\0' .; echo"],
        b"a\0b\0",
    );
    assert_eq!(printed(&ended), ["a.", "b."]);
    // What was done is known by what was read.
    let record = sandbox.word("record");
    // Each attempt gets its whole block.
    let text = "head -n1; [ $TASKGROUP_ATTEMPT = 3 ]";
    let args = ["--pipe", "--retries=2", "--backoff=1ms", text];
    let ended = sandbox.map(&args, b"one\ntwo\n");
    assert_eq!(ended.code(0).out(), "1 | one\n".repeat(3));
    let args = ["-j1", "--pipe", "-n1", "--resume", &record, "cat"];
    assert_eq!(printed(&sandbox.map(&args, b"a\nb\n")), ["a", "b"]);
    assert_eq!(printed(&sandbox.map(&args, b"a\nc\nb\n")), ["c"]);
    let wrong: [(&[&str], &str); 3] = [
        (&["--pipe", "wc {}"], "it reads its standard input"),
        (&["--pipe", "wc", ":::", "a"], "cannot be used with"),
        (&["--block=1M", "wc"], "blocks of --pipe: add --pipe"),
    ];
    for (args, part) in wrong {
        sandbox.verb("map", args).code(2).says(part);
    }
}
