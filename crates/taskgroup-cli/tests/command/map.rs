//! One command for each line or argument.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::process::Stdio;

use rustix::process::Signal;

use crate::support::{Ended, Running, Sandbox};

#[test]
fn arguments_come_after_three_colons() {
    let ended = Sandbox::new().verb(
        "map",
        &["-j1", "echo '<'{}'>'", ":::", "a b", "--flag", "$x"],
    );
    ended.code(0);
    assert_eq!(ended.out(), "a-b | <a b>\nflag | <--flag>\nx | <$x>\n");
}

#[test]
fn lines_of_the_input_are_arguments_whatever_is_in_them() {
    let ended = Sandbox::new().map(&["-j1", "printf '%s\\n'"], b"a'b\n\n\xff $(x)\nlast");
    ended.code(0);
    assert_eq!(ended.out, b"a-b | a'b\nx | \xff $(x)\nlast | last\n");
    let ended = Sandbox::new().map(&["-0", "-j1", "printf '%s.\\n' {}"], b"two\nlines\0b\0");
    ended.code(0);
    assert_eq!(ended.out(), "two-lines | two\ntwo-lines | lines.\nb | b.\n");
}

#[test]
fn nothing_to_do_is_done() {
    Sandbox::new().map(&["false"], b"").code(0);
    Sandbox::new().verb("map", &["false", ":::"]).code(0);
}

#[test]
fn a_failure_stops_the_reading_and_is_named() {
    let input: String = (0..100_000).map(|n| format!("{n}\n")).collect();
    let sandbox = Sandbox::new();
    let ended = sandbox.map(
        &["-j2", "echo {} >> \"$DIR/log\"; [ {} != 5 ]"],
        input.as_bytes(),
    );
    ended.code(1).says("FAILED 5: exit code 1");
    assert!(sandbox.read("log").lines().count() < 50);
}

#[test]
fn an_endless_input_is_slowed_down() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let mut command = sandbox.command();
    command.args(["map", "-j1", "echo {} > \"$DIR/ready\"; sleep 100"]);
    let mut running = Running::of(command.stdin(Stdio::piped()));
    let mut stdin = running.child().stdin.take().unwrap();
    write_until_full(&mut stdin);
    assert_eq!(sandbox.hear("ready"), "1");
    running.signal(Signal::INT);
    running.ended().code(130).says("1 cancelled");
    drop(stdin);
}

/// Writes until the pipe is full. The pipe and the runner take far less than would be written
/// otherwise, because no command has ended.
fn write_until_full(stdin: &mut std::process::ChildStdin) {
    rustix::io::ioctl_fionbio(&*stdin, true).unwrap();
    let mut written = 0;
    let line = "1\n".repeat(1000);
    // The runner may still take lines. When it has enough, the pipe stays full.
    let mut refused = 0;
    while refused < 1000 {
        match stdin.write(line.as_bytes()) {
            Ok(count) => {
                written += count;
                refused = 0;
            }
            Err(_) => {
                refused += 1;
                std::thread::yield_now();
            }
        }
        assert!(written < 10_000_000, "nothing slows the writer down");
    }
}

#[test]
fn a_signal_ends_it_though_the_input_stays_open() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let mut command = sandbox.command();
    command.args(["map", "echo {} > \"$DIR/ready\""]);
    let mut running = Running::of(command.stdin(Stdio::piped()));
    let mut stdin = running.child().stdin.take().unwrap();
    stdin.write_all(b"1\n").unwrap();
    assert_eq!(sandbox.hear("ready"), "1");
    running.signal(Signal::TERM);
    running.ended().code(143);
    drop(stdin);
}

/// Thirty lines, of which the second one fails, and all ways to end there.
const LINES: usize = 30;
const ENDINGS: [&[&str]; 3] = [&[], &["--halt=soon,fail=1"], &["--halt=now,fail=1"]];

fn lines() -> Vec<String> {
    (1..=LINES).map(|number| format!("line-{number}")).collect()
}

#[track_caller]
fn counts_the_rest(sandbox: &Sandbox, ended: &Ended) {
    ended
        .code(1)
        .says("1 failed, 28 not started, 1 succeeded in")
        .says("NOT STARTED line-3, line-4, ")
        .says(", line-12 and 18 more: because");
    assert_eq!(sandbox.read("junit").matches("<skipped").count(), 28);
    assert_eq!(sandbox.events_of("json", "ended").len(), LINES);
    assert_eq!(sandbox.events_of("json", "end")[0]["not_started"], 28);
}

#[test]
fn what_was_not_started_is_counted_if_all_of_the_input_is_there() {
    let file = format!("{}\n", lines().join("\n"));
    for ending in ENDINGS {
        for input in ["arguments", "file", "stdin", "pipe"] {
            let sandbox = Sandbox::new();
            let path = sandbox.file("list", &file);
            let (json, junit) = (sandbox.word("json"), sandbox.word("junit"));
            let mut command = sandbox.command();
            command.args(["map", "-j1", "--json", &json, "--junit", &junit]);
            command.args(ending).arg("[ {} != line-2 ]");
            match input {
                "arguments" => drop(command.arg(":::").args(lines())),
                "file" => drop(command.args(["::::", &path])),
                "stdin" => drop(command.stdin(File::open(&path).unwrap())),
                _ => {
                    let (reader, mut writer) = std::io::pipe().unwrap();
                    writer.write_all(file.as_bytes()).unwrap();
                    command.stdin(reader);
                }
            }
            let ended = Running::of(&mut command).ended();
            counts_the_rest(&sandbox, &ended);
        }
    }
}

/// A thousand million rows are there, but not counted in any useful time.
#[test]
fn a_failure_ends_a_run_with_more_rows_than_can_be_counted() {
    let sandbox = Sandbox::new();
    let list = sandbox.file("list", &"x\n".repeat(1000));
    let lists = ["::::", &list, "::::", &list, "::::", &list];
    let ended = sandbox.verb("map", &[&["exit 3"], &lists[..]].concat());
    ended.code(1).says("the rest of the input not read");
}

#[test]
fn the_rest_of_an_input_that_is_open_has_no_number() {
    let file = format!("{}\n", lines().join("\n"));
    for ending in ENDINGS {
        let sandbox = Sandbox::new();
        let (json, junit) = (sandbox.word("json"), sandbox.word("junit"));
        let mut command = sandbox.command();
        command.args(["map", "-j1", "--json", &json, "--junit", &junit]);
        command.args(ending).arg("[ {} != line-2 ]");
        let mut running = Running::of(command.stdin(Stdio::piped()));
        let mut stdin = running.child().stdin.take().unwrap();
        stdin.write_all(file.as_bytes()).unwrap();
        let ended = running.ended();
        drop(stdin);
        ended
            .code(1)
            .says("1 failed, 1 succeeded, the rest of the input not read in")
            .says_not("NOT STARTED");
        assert!(!sandbox.read("junit").contains("<skipped"));
        assert!(sandbox.events_of("json", "end")[0]["not_started"].is_null());
    }
    let sandbox = Sandbox::new();
    let mut endless = sandbox.by_shell("yes | \"$1\" map -j1 false");
    let ended = Running::of(&mut endless).ended();
    ended
        .code(1)
        .says("1 failed, the rest of the input not read in");
}

#[test]
fn what_is_no_argument_is_told() {
    let ended = Sandbox::new().map(&["-j1", "-k", "true"], b"a\nb\0c\nd\n");
    ended
        .code(1)
        .says("the input was not read to its end")
        .says("line 2 contains a NUL byte");
    let long = vec![b'x'; 1 << 20];
    Sandbox::new()
        .map(&["true"], &long)
        .code(2)
        .says("nothing was run in")
        .says("longer than 131072 bytes");
}

#[test]
fn bad_templates_and_bad_lists_are_usage_errors() {
    let sandbox = Sandbox::new();
    sandbox
        .verb("map", &["echo 'x", ":::", "a"])
        .code(2)
        .says("opening ' at character 6");
    sandbox
        .verb("map", &[" ", ":::", "a"])
        .code(2)
        .says("the command is empty");
    sandbox
        .verb("map", &["echo", "a", "b"])
        .code(2)
        .says("unexpected \"a\" after the command");
    sandbox.verb("map", &[""; 0]).code(2).says("<COMMAND>");
    sandbox
        .verb("map", &["gzip {0}.gz", ":::", "a"])
        .code(2)
        .says("the command has {0} at character 6, but the placeholders are {} {.}");
    // A character may have several bytes.
    sandbox
        .verb("map", &["ä → '{}' {0}", ":::", "a"])
        .code(2)
        .says("the command has {0} at character 10,");
    sandbox
        .verb("map", &["→ 'x", ":::", "a"])
        .code(2)
        .says("opening ' at character 3 ");
    sandbox
        .verb("map", &[":::", "echo a", "echo b"])
        .code(2)
        .says("there is no command before ':::'; `taskgroup run` runs commands themselves");
}

#[test]
fn a_here_document_gets_the_argument_or_is_refused() {
    let sandbox = Sandbox::new();
    let map = |command: &str| sandbox.verb("map", &[command, ":::", "one two"]);
    let ended = map("cat <<EOF\nname = {}\nEOF");
    ended.code(0);
    assert_eq!(ended.out(), "one-two | name = one two\n");
    map("cat <<'EOF'\nname = {}\nEOF")
        .code(2)
        .says("in a here-document that the shell takes as it is");
    map("echo $(( {} * 2 ))").code(2).says("as an expression");
    map("echo hi;").code(2).says("ends with an operator");
    // What is shown of the command has the argument, too.
    let json = sandbox.word("json");
    let args = ["--json", &json, "echo {} '{}' \"{}\"", ":::", "one two"];
    sandbox.verb("map", &args).code(0);
    let shown = r#""command":"echo 'one two' 'one two' \"one two\"""#;
    assert!(
        sandbox.read("json").contains(shown),
        "{}",
        sandbox.read("json")
    );
}

#[test]
fn an_apostrophe_in_a_comment_is_no_quotation() {
    let args = ["# don't\necho {} # it's", ":::", "a"];
    let ended = Sandbox::new().verb("map", &args);
    ended.code(0);
    assert_eq!(ended.out(), "a | a\n");
}

#[test]
fn arguments_need_not_be_utf_8() {
    let argument = OsString::from_vec(b"\xff a".to_vec());
    let args = ["printf '<%s>'", ":::"].map(OsString::from);
    let ended = Sandbox::new().verb("map", &[&args[..], &[argument]].concat());
    ended.code(0);
    assert_eq!(ended.out, b"a | <\xff a>\n");
    let args = ["--dry-run", "printf '<%s>' {}", ":::"].map(OsString::from);
    let argument = OsString::from_vec(b"\xff a".to_vec());
    let ended = Sandbox::new().verb("map", &[&args[..], &[argument]].concat());
    assert_eq!(ended.code(0).out, b"printf '<%s>' '\xff a'\n");
}

#[test]
fn a_killed_run_is_resumed_where_it_was() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let input: String = (1..=20).map(|n| format!("{n}\n")).collect();
    let input = sandbox.file("input", &input);
    let record = sandbox.word("record");
    // The command is part of the comparison, so it stays the same: the gate is a file.
    let gated = "[ -e \"$DIR/open\" ] || [ {} != 8 ] || { echo x > \"$DIR/ready\"; sleep 100; }; echo {} >> \"$DIR/log\"";
    let begin = |flag: &str| {
        let mut shell = sandbox.by_shell(&format!("exec \"$@\" < '{input}'"));
        Running::of(shell.args(["map", "-j1", flag, &record, gated]))
    };
    let first = begin("--json");
    sandbox.hear("ready");
    first.signal(Signal::KILL);
    assert_eq!(first.ended().signal, Some(9));
    sandbox.file("open", "");
    begin("--resume").ended().code(0);
    let expected: String = (1..=20).map(|n| format!("{n}\n")).collect();
    assert_eq!(sandbox.read("log"), expected);
    // A third run has nothing to do.
    begin("--resume").ended().code(0);
    assert_eq!(sandbox.read("log"), expected);
}

/// Three at a time: 4 and 5 hang, so the third slot goes through the others in order, up to 12.
/// That one ends while the runner is stopped, so the runner never learns of it.
#[test]
fn several_at_a_time_are_resumed_by_what_was_recorded() {
    let sandbox = Sandbox::new();
    for name in ["ready4", "ready5", "ready12", "go", "logged"] {
        sandbox.fifo(name);
    }
    let numbers = |range: &mut dyn Iterator<Item = u32>| range.collect::<Vec<u32>>();
    let input: String = (1..=20).map(|n| format!("{n}\n")).collect();
    let input = sandbox.file("input", &input);
    let record = sandbox.word("record");
    // The text is the same in both runs. Otherwise it would be another command.
    let command = r#"cd "$DIR"; n={}
        gate() { [ ! -e open ]; }
        case $n in 4 | 5 | 12) if gate; then echo x > ready$n; fi ;; esac
        case $n in 4 | 5) if gate; then sleep 100; fi ;; 12) if gate; then cat go; fi ;; esac
        echo $n >> log
        case $n in 12) if gate; then echo x > logged; fi ;; esac"#;
    let begin = |flag: &str| {
        let mut shell = sandbox.by_shell(&format!("exec \"$@\" < '{input}'"));
        Running::of(shell.args(["map", "-j3", flag, &record, command]))
    };
    let logged = || {
        let log = sandbox.read("log");
        let mut logged = numbers(&mut log.lines().map(|line| line.parse().unwrap()));
        logged.sort_unstable();
        logged
    };
    let recorded = || {
        let events = sandbox.events("record").into_iter();
        let done = events.filter(|event| event["result"] == "succeeded");
        let mut done =
            numbers(&mut done.map(|event| event["task"].as_str().unwrap().parse().unwrap()));
        done.sort_unstable();
        done
    };

    let first = begin("--json");
    for name in ["ready4", "ready5", "ready12"] {
        sandbox.hear(name);
    }
    first.signal(Signal::STOP);
    sandbox.tell("go");
    sandbox.hear("logged");
    first.signal(Signal::KILL);
    assert_eq!(first.ended().signal, Some(9));
    assert_eq!(recorded(), numbers(&mut (1..=3).chain(6..=11)));
    assert_eq!(logged(), numbers(&mut (1..=3).chain(6..=12)));

    // Recorded lines are not run again. The others are, 12 for the second time.
    sandbox.file("open", "");
    begin("--resume").ended().code(0);
    assert_eq!(recorded(), numbers(&mut (1..=20)));
    assert_eq!(logged(), numbers(&mut (1..=12).chain(12..=20)));
}

#[test]
fn the_input_of_a_command_is_not_the_input_of_map() {
    let ended = Sandbox::new().map(&["-j1", "cat; echo {}"], b"1\n2\n");
    assert_eq!(ended.out(), "1 | 1\n2 | 2\n");
    let ended = Sandbox::new().map(&["-j1", "--stdin=none", "cat; echo {}"], b"1\n");
    assert_eq!(ended.out(), "1 | 1\n");
}

/// Files of the same name in several folders, as arguments and as lines.
#[test]
fn the_report_tells_for_which_argument_it_failed() {
    let sandbox = Sandbox::new();
    let junit = sandbox.word("junit");
    let failing = "echo {}; case {} in b/*) exit 1 ;; esac";
    let flags = ["-k", "-j1", "--junit", &junit, failing];
    let files = ["a/Makefile", "b/Makefile", "c/Makefile"];
    let ended = sandbox.verb("map", &[&flags[..], &[":::"], &files].concat());
    ended.code(1).says("FAILED b/Makefile: exit code 1");
    assert!(
        ended
            .out()
            .starts_with("a/Makefile | a/Makefile\nb/Makefile | b/Makefile\n")
    );
    let junit_has = |parts: &[&str]| {
        let text = sandbox.read("junit");
        for part in parts {
            assert!(text.contains(part), "no {part} in {text}");
        }
    };
    junit_has(&[
        r#"<testcase name="b/Makefile" classname="taskgroup""#,
        r#"<property name="argument" value="b/Makefile"/>"#,
        r#"<property name="command" value="echo b/Makefile; case b/Makefile"#,
    ]);
    let ended = sandbox.map(&flags, files.join("\n").as_bytes());
    ended.code(1).says("FAILED b/Makefile: exit code 1");
    // A name is short, the argument is whole.
    let url = "https://example.com/a/b/c?and=on&and=on&and=on";
    let ended = sandbox.verb("map", &["exit 1; : {}", ":::", url]);
    ended.code(1).says(&format!(" ({url}): exit code 1"));
    let ended = sandbox.verb("map", &["exit 1; : {}", ":::", "a\nb"]);
    ended.code(1).says("FAILED a-b (a\\nb): exit code 1");
    // The same argument twice is two cases.
    sandbox
        .verb("map", &[&flags[..], &[":::", "b/x", "b/x"]].concat())
        .code(1);
    junit_has(&[r#"name="b/x""#, r#"name="b/x #2""#]);
}

#[test]
fn a_tag_is_the_whole_argument() {
    let ended = Sandbox::new().verb("map", &["-j1", "--tag", "echo x", ":::", "a/b c", "d\ne"]);
    ended.code(0);
    assert_eq!(ended.out(), "a/b c | x a/b c\nd\\ne | x d\nd\\ne | e\n");
    let ended = Sandbox::new().verb("map", &["-j1", "--prefix=none", "echo x", ":::", "a"]);
    assert_eq!(ended.code(0).out(), "x a\n");
    let ended = Sandbox::new().verb("map", &["-j1", "--prefix=time", "echo x", ":::", "a"]);
    let (time, rest) = ended.code(0).out().split_once(' ').unwrap();
    assert_eq!((time.len(), rest), ("01:23:45.678".len(), "a | x a\n"));
}

#[test]
fn a_prefix_may_be_a_text() {
    let sandbox = Sandbox::new();
    let map = |prefix: &str| sandbox.verb("map", &["-j1", prefix, "echo x", ":::", "a/b"]);
    let ended = map("--prefix=[{index} {argument} {name}] ");
    assert_eq!(ended.code(0).out(), "[1 a/b b] x a/b\n");
    map("--prefix={pid}")
        .code(2)
        .says("there is no {pid}; there are {name}, ");
    map("--prefix=title")
        .code(2)
        .says("neither name, argument, time, none nor");
}

/// A name depends on the other arguments; what was done does not.
#[test]
fn a_resumed_map_may_have_other_arguments() {
    let sandbox = Sandbox::new();
    let record = sandbox.word("record");
    let flags = ["-j1", "--resume", &record, "echo {}", ":::"];
    let run = |files: &[&str]| sandbox.verb("map", &[&flags[..], files].concat());
    assert_eq!(run(&["a/x"]).code(0).out(), "x | a/x\n");
    assert_eq!(run(&["b/x", "a/x"]).code(0).out(), "b/x | b/x\n");
}

#[test]
fn a_dry_run_shows_each_command() {
    let sandbox = Sandbox::new();
    let ended = sandbox.map(&["--dry-run", "touch \"$DIR/x\" {}"], b"a\nb\n");
    ended.code(0);
    assert_eq!(ended.out(), "touch \"$DIR/x\" a\ntouch \"$DIR/x\" b\n");
    assert!(!sandbox.path("x").exists());
}
