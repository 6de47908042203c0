//! Tasks from a file.

use std::fs;

use crate::support::{Ended, Running, Sandbox, assert_gone};

fn run(sandbox: &Sandbox, text: &str) -> Ended {
    let path = sandbox.file("tasks.toml", text);
    sandbox.run(&["--file", &path])
}

const TREE: &str = r#"
jobs = 4
cleanup = ["echo bye"]

[tasks.lint]
run = "echo lint"
timeout = "1m"

[groups.test]
after = ["lint"]
on-failure = "wait"

[groups.test.tasks.unit]
run = "echo unit"
retries = 2

[groups.test.tasks.doc]
run = ["echo", "a  b"]
after = ["unit"]

[groups.mirrors]
policy = "race"
[groups.mirrors.tasks]
one = { run = "echo one" }
"#;

#[test]
fn check_shows_the_tree_and_runs_nothing() {
    let sandbox = Sandbox::new();
    let path = sandbox.file("tasks.toml", TREE);
    let ended = sandbox.verb("check", &[path]);
    ended.code(0);
    assert_eq!(
        ended.out(),
        "\
run  [4 at a time; 1 step of cleanup]
├─ lint: echo lint  [timeout 1m]
├─ test/  [on failure wait; after lint]
│  ├─ unit: echo unit  [retries 2]
│  └─ doc: echo a  b  [after test/unit]
└─ mirrors/  [race]
   └─ one: echo one
"
    );
}

#[test]
fn a_share_is_taken_as_the_options_take_it() {
    let sandbox = Sandbox::new();
    let path = sandbox.file(
        "tasks.toml",
        "jobs = '1%'\ntimeout = '300%'\ntasks.a = 'true'\n\
         tasks.b = { run = 'true', timeout = '1s' }\n",
    );
    let tree = |args: &[&str]| {
        let args = [&["--dry-run", "-f", &path], args].concat();
        sandbox.run(&args).code(0).out().to_owned()
    };
    assert_eq!(
        tree(&[]),
        "run  [1 at a time]\n├─ a: true  [timeout 300%]\n└─ b: true  [timeout 1s]\n"
    );
    assert_eq!(
        tree(&["--timeout=200%"]),
        "run  [1 at a time]\n├─ a: true  [timeout 200%]\n└─ b: true  [timeout 200%]\n"
    );
}

#[test]
fn the_file_of_the_guide_is_right() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/guide/src/command/release.toml"
    );
    let ended = Sandbox::new().verb("check", &[file]);
    ended.code(0);
    assert!(ended.out().contains("browser: trap '' TERM; sleep 9\n"));
}

#[test]
fn a_file_is_run_in_the_order_it_asks_for() {
    let ended = run(&Sandbox::new(), TREE);
    ended.code(0);
    let position = |line: &str| ended.out().find(line).unwrap_or_else(|| panic!("{line}"));
    assert!(position("| lint\n") < position("| unit\n"));
    assert!(position("| unit\n") < position("| a  b\n"));
    assert!(
        ended.out().ends_with("run (cleanup 1) | bye\n"),
        "{}",
        ended.out()
    );
}

#[test]
fn what_waits_for_a_failure_is_not_started() {
    let sandbox = Sandbox::new();
    let ended = run(
        &sandbox,
        r#"
on-failure = "wait"
[tasks.a]
run = "exit 1"
[tasks.b]
run = 'touch "$DIR/b"'
after = ["a"]
[groups.g]
after = ["b"]
[groups.g.tasks.c]
run = 'touch "$DIR/c"'
[tasks.d]
run = "echo d"
"#,
    );
    ended.code(1).says("1 failed, 2 not started, 1 succeeded");
    ended.says("NOT STARTED b: because a did not succeed");
    ended.says("NOT STARTED g/c: because b did not succeed");
    assert!(!sandbox.path("b").exists() && !sandbox.path("c").exists());
}

/// The report is complete: it has a group that waits when everything is stopped, and a group in it.
#[test]
fn a_group_that_never_began_is_told_whole() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let text = r#"
[tasks.bad]
run = 'cat "$DIR/ready"; exit 1'
[groups.wait.tasks.slow]
run = 'echo x > "$DIR/ready"; sleep 100'
[groups.late]
after = ["wait"]
policy = "race"
[groups.late.tasks.a]
run = "true"
[groups.late.groups.inner.tasks.b]
run = "true"
"#;
    run(&sandbox, text)
        .code(1)
        .says("1 failed, 1 cancelled, 2 not started")
        .says("NOT STARTED late/a, late/inner/b: because bad failed");
}

#[test]
fn a_failure_stops_its_group_and_what_contains_it() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let ended = run(
        &sandbox,
        r#"
grace = "1h"
[tasks.outside]
run = 'echo $$ > "$DIR/outside"; echo x > "$DIR/ready"; sleep 100'
[groups.g.tasks.bad]
run = 'cat "$DIR/ready"; exit 1'
[groups.g.tasks.inside]
run = "sleep 100"
"#,
    );
    ended.code(1).says("FAILED g/bad");
    ended
        .says("CANCELLED g/inside")
        .says("because g/bad failed");
    ended.says("CANCELLED outside").says("because g failed");
    assert_gone(sandbox.pid("outside"));
}

#[test]
fn a_group_that_ignores_failures_keeps_them_to_itself() {
    let ended = run(
        &Sandbox::new(),
        r#"
[groups.g]
on-failure = "ignore"
tasks.bad.run = "exit 1"
[tasks.next]
run = "echo next"
after = ["g"]
"#,
    );
    ended.code(0).says("FAILED (ignored) g/bad");
    assert!(ended.out().contains("| next\n"));
}

#[test]
fn a_deadline_of_a_group_ends_the_group_alone() {
    let ended = run(
        &Sandbox::new(),
        r#"
on-failure = "wait"
[groups.slow]
deadline = "100ms"
tasks.sleep.run = "exec sleep 100"
[tasks.other]
run = "echo other"
"#,
    );
    ended
        .code(1)
        .says("CANCELLED slow/sleep")
        .says("because the deadline of slow expired");
    assert!(ended.out().contains("other"));
}

#[test]
fn the_first_of_a_race_wins_in_a_file_too() {
    let ended = run(
        &Sandbox::new(),
        r#"
[groups.r]
policy = "race"
tasks.slow.run = "exec sleep 100"
tasks.bad.run = "exit 1"
tasks.quick.run = "true"
[tasks.after]
run = "echo after"
after = ["r"]
"#,
    );
    ended.code(0);
    assert!(ended.out().contains("| after\n"));
}

#[test]
fn environment_and_folder_are_inherited_and_overridden() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("sub/deep")).unwrap();
    let text = format!(
        r#"
cwd = "{}"
env = {{ A = "1", B = "1", HOME = false }}
[groups.g]
cwd = "sub"
env = {{ A = "2" }}
[groups.g.tasks.t]
cwd = "deep"
env = {{ C = "3" }}
run = 'echo "$A$B$C${{HOME-none}} $(basename "$(dirname "$PWD")")/$(basename "$PWD")"'
"#,
        sandbox.path("").display()
    );
    let ended = run(&sandbox, &text);
    ended.code(0);
    assert_eq!(ended.out(), "g/t | 213none sub/deep\n");
}

#[test]
fn a_program_or_folder_that_is_not_there_is_named() {
    let ended = run(&Sandbox::new(), "[tasks.t]\nrun = [\"no-such-program\"]\n");
    ended
        .code(1)
        .says("could not be started: `no-such-program`: no such program in PATH");
    let ended = run(&Sandbox::new(), "tasks.t = ['./run --fast']\n");
    ended
        .code(1)
        .says("`./run --fast`: nothing has this name, which has a space");
    let ended = run(
        &Sandbox::new(),
        "[tasks.t]\nrun = \"true\"\ncwd = \"/nowhere\"\n",
    );
    ended
        .code(1)
        .says("`sh` in /nowhere: there is no such folder");
}

#[test]
fn cleanup_runs_on_every_exit_and_in_order() {
    let text = |ending: &str| {
        format!(
            r#"
grace = "5s"
cleanup = ['echo group >> "$DIR/log"']
[tasks.t]
run = '{ending}'
cleanup = ['echo one >> "$DIR/log"; exit 1', 'echo two >> "$DIR/log"']
"#
        )
    };
    for (ending, code) in [("true", 1), ("exit 3", 1), ("kill -KILL $$", 1)] {
        let sandbox = Sandbox::new();
        let ended = run(&sandbox, &text(ending));
        ended.code(code).says("FAILED t (cleanup 1): exit code 1");
        assert_eq!(sandbox.read("log"), "one\ntwo\ngroup\n");
    }
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let path = sandbox.file("tasks.toml", &text("echo x > \"$DIR/ready\"; sleep 100"));
    let running = sandbox.start(&["-f", &path]);
    sandbox.hear("ready");
    running.signal(rustix::process::Signal::TERM);
    running.ended().code(143);
    assert_eq!(sandbox.read("log"), "one\ntwo\ngroup\n");
}

#[test]
fn cleanup_that_takes_too_long_is_stopped_and_told() {
    let ended = run(
        &Sandbox::new(),
        r#"
[tasks.t]
run = "true"
cleanup = ["exec sleep 100"]
cleanup-timeout = "100ms"
"#,
    );
    ended
        .code(124)
        .says("TIMED OUT t (cleanup 1)")
        .says("stopped by SIGTERM");
}

#[test]
fn what_was_not_started_is_not_cleaned_up() {
    let sandbox = Sandbox::new();
    run(
        &sandbox,
        r#"
jobs = 1
[tasks.bad]
run = "exit 1"
[tasks.t]
run = "true"
cleanup = ['touch "$DIR/cleaned"']
"#,
    )
    .code(1);
    assert!(!sandbox.path("cleaned").exists());
}

#[test]
fn faults_are_shown_where_they_are() {
    let cases: &[(&str, &[&str])] = &[
        ("[tasks.a\n", &["tasks.toml:1:9", "not valid TOML"]),
        (
            "[tasks.a]\nrn = 'x'\nrun = 'x'",
            &["tasks.toml:2:1", "unknown key `rn`", "did you mean `run`?"],
        ),
        (
            "[tasks.a]\nwhatever = 1\nrun = 'x'",
            &["unknown key `whatever`", "valid keys of a task: `run`"],
        ),
        (
            "jobs = 0\n[tasks.a]\nrun='x'",
            &[
                "tasks.toml:1:8",
                "1 or more, or a share of the processors like \"50%\", found the number 0",
            ],
        ),
        (
            "deadline = 5\n[tasks.a]\nrun='x'",
            &["expected a duration", "found the number 5"],
        ),
        (
            "on-failure = 'stop'\n[tasks.a]\nrun='x'",
            &["\"cancel\" or \"wait\" or \"ignore\""],
        ),
        (
            "[tasks.a]\n",
            &["the task `a` has nothing to run", "tasks.toml:1:8"],
        ),
        (
            "[tasks.a]\nrun = ''\n",
            &["expected a command", "found the string \"\""],
        ),
        (
            "[tasks.a]\nrun = 'x'\nafter = ['b']\n",
            &[
                "nothing is named `b`",
                "tasks.toml:3:10",
                "did you mean `a`?",
            ],
        ),
        (
            "[tasks.a]\nrun = 'x'\nafter = 'b'\n",
            &["expected a list of names"],
        ),
        (
            "[tasks.a]\nrun='x'\nafter=['b']\n[tasks.b]\nrun='x'\nafter=['a']\n",
            &["a cycle: a → b → a"],
        ),
        (
            "[groups.g]\nafter=['t']\ntasks.x.run='x'\n[tasks.t]\nrun='x'\nafter=['g']\n",
            &["a cycle: t → g → t"],
        ),
        (
            "[groups.g.tasks.x]\nrun='x'\nafter=['g']\n",
            &["a cycle: ", "everything in it has ended"],
        ),
        ("", &["there are no tasks"]),
        ("[tasks.'a/b']\nrun='x'", &["not a valid name"]),
        (
            "[tasks.a]\nrun='x'\ndepends=['b']",
            &["unknown key `depends`", "did you mean `after`?"],
        ),
        (
            "[tasks.a]\ncmd='x'",
            &["unknown key `cmd`", "did you mean `run`?"],
        ),
        (
            "[groups.g]\nafter=['b']\ntasks.b='x'",
            &["`g/b` is part of `g`, which cannot wait for its own part"],
        ),
        (
            "[tasks.a]\nrun='x'\nafter=['unit']\n[groups.g.tasks.unit]\nrun='x'",
            &["did you mean `g/unit`?"],
        ),
        (
            "[tasks.a]\nrun='x'\ntimeout='5'",
            &["a duration with a unit, like \"5s\""],
        ),
        (
            "tasks.a = 5",
            &["expected a table with a key `run`, or a command"],
        ),
        (
            "[tasks.a]\nrun='x'\nmatrix = { x = [] }",
            &["invalid value for `x`", "at least one value", ":3:16"],
        ),
        (
            "[tasks.a]\nrun='x'\nmatrix = { x = ['1', 'z', 1] }",
            &[
                "the matrix of `a` has the value \"1\" of `x` twice",
                "here first",
                "tasks.toml:3:27",
                "remove one of them",
            ],
        ),
        (
            "[groups.g.tasks.a]\nrun='x'\nmatrix = { x = [[1]] }",
            &["expected a string, a number, `true` or `false`, found the list [1]"],
        ),
        (
            "[tasks.a]\nrun='x'\nmatrix = { 'x-y' = [1] }",
            &["the name of a variable, with letters", "tasks.toml:3:12"],
        ),
        (
            "depth = 1\ntasks.a='x'",
            &["valid keys of the file: `shell`"],
        ),
        (
            "jobs = 4294967296\ntasks.a='x'",
            &["expected a whole number from 1 to 4294967295"],
        ),
        (
            "tasks.a = { run = 'x', retries = -1 }",
            &["expected a whole number, 0 or more, found the number -1"],
        ),
        (
            "tasks.a = ['x', 1, \"\\u0000\", [], {}, 5]",
            &["found the list [\"x\", 1, \"\\0\", […], …]"],
        ),
        ("tasks.a.run = []", &["found an empty list"]),
        (
            "[tasks.a]\nrun='x'\nenv = { \"A\\u0000\" = '' }",
            &["a name must not be empty or contain `=` or NUL"],
        ),
        (
            "[tasks.a]\nrun='x'\ncwd = ''",
            &["expected the path of a folder; \".\" is the one around"],
        ),
        // A key at a place where it does not belong.
        (
            "[tasks.a]\nrun='x'\njobs=2",
            &[
                "`jobs` is no key of a task",
                "tasks.toml:3:1",
                "`jobs` belongs to a group, below `[groups.NAME]`, or the file, above all tables",
            ],
        ),
        (
            "after=['a']\ntasks.a='x'",
            &[
                "`after` is no key of the file",
                "`after` belongs to a task, below `[tasks.NAME]`, or a group",
            ],
        ),
        (
            "[groups.g]\nrun='x'",
            &["`run` is no key of a group", "belongs to a task, below"],
        ),
        (
            "[tasks.a]\nrun='x'\nservice=true\nready={ port=1, cwd='x' }",
            &["`cwd` is no key of `ready`", "belongs to a task, a group"],
        ),
        (
            "[tasks.a]\nrun='x'\nservice=true\nrestart={ on='always', retries=1 }",
            &["`retries` is no key of `restart`", "did you mean `limit`?"],
        ),
        (
            "[tasks.a]\nrun='x'\nservice=true\nready={ tcp=5432 }",
            &["unknown key `tcp`", "did you mean `port`?"],
        ),
        (
            "[tasks.a]\nrun='x'\nservice=true\nport=5432",
            &["`port` belongs to `ready`: `ready = { port = … }`"],
        ),
        (
            "halt='now,fail=1'\ntasks.a='x'",
            &[
                "unknown key `halt`",
                "an option only: `taskgroup run --halt`",
            ],
        ),
        (
            "[lint]\nrun='x'",
            &["a task is written as `[tasks.lint]`, a group as `[groups.lint]`"],
        ),
        (
            "[tasks]\ncwd = 'x'\na = 'x'",
            &[
                "`cwd` is among the names of tasks",
                "tasks.toml:2:1",
                "`cwd` belongs to a task, a group, or the file, above all tables",
            ],
        ),
        (
            "[tasks]\ntimeout='5m'\njobs=2\non-failure='wait'\nafter=['a']\nenv={A='x'}\na='x'",
            &[
                "`timeout` is among the names",
                "`jobs` is among the names",
                "`on-failure` is among the names",
                "`after` is among the names",
                "`env` is among the names",
            ],
        ),
        (
            "tasks.a='x'\n[groups]\njobs=2\nenv={A='x'}",
            &["`jobs` is among the names of groups", "`env` is among"],
        ),
        // Something like it is right.
        (
            "tasks.a = ['echo hello']",
            &["invalid value for `a`", "a word for each argument, like"],
        ),
        (
            "[tasks.a]\nrun = ['echo hello']",
            &[
                "tasks.toml:2:7",
                "a word for each argument, like [\"echo\", \"hello\"], or a string for the shell, \
                 like \"echo hello\", found",
            ],
        ),
        (
            "[tasks.a]\nrun = ['cargo test', '--all']",
            &["like [\"cargo\", \"test\", \"--all\"], or a string"],
        ),
        (
            "[tasks.a]\nrun = ['echo a', 'echo b']",
            &["expected one command, like \"echo a && echo b\" for the shell"],
        ),
        (
            "[tasks.a]\nrun='x'\nservice=true\nready=5432",
            &[
                "a table, like { port = 5432 }, found the number 5432",
                ":4:7",
            ],
        ),
        (
            "[tasks.a]\nrun='x'\nservice=true\nready='http://localhost/x'",
            &["a table, like { http = \"http://localhost/x\" }"],
        ),
        (
            "[tasks.a]\nrun='x'\nservice=true\nready=['pg_isready', '-q']",
            &["a table, like { command = [\"pg_isready\", \"-q\"] }"],
        ),
        (
            "[tasks.a]\nrun='x'\nservice=true\nready='pg_isready'",
            &["a table, like { command = \"pg_isready\" }"],
        ),
        (
            "[tasks.a]\nrun='x'\nservice=true\nready={ port=80000 }",
            &["a port from 1 to 65535", "found the number 80000", ":4:14"],
        ),
        (
            "[tasks.a]\nrun='x'\nafter='b'\ncleanup='rm x'\nenv=['A']\ncwd=5",
            &[
                "a list of names, like [\"b\"]",
                "a list of commands, like [\"rm x\"]",
                "a table, like { LEVEL = \"debug\" }",
                "the path of a folder",
            ],
        ),
        (
            "[tasks.a]\nrun='x'\ntimeout='50%'",
            &["a share of the median above 100%, like \"300%\""],
        ),
        (
            "[tasks.a]\nrun='x'\nshell='bash'",
            &["like \"bash -euo pipefail -c\", found the string \"bash\""],
        ),
        (
            "[tasks.a]\nrun='x'\ncwd='${target}'\nmatrix={ tarjet=[1] }",
            &[
                "invalid value for `cwd`",
                "the matrix has no `target`; did you mean `${tarjet}`?",
                ":3:5",
            ],
        ),
        (
            "cwd='${HOME}'\ntasks.a='x'\ntasks.b='x'",
            &["`${HOME}` would need a `matrix` with `HOME`", ":1:5"],
        ),
        (
            "[tasks.a]\nrun='x'\nafter=['entirely-other']",
            &["nothing is named `entirely-other`", "the names are: `a`"],
        ),
        (
            "tasks.a='x'\ngroups.a.tasks.b='x'",
            &["both named `a`", "give one of them another name"],
        ),
        // What TOML does not allow.
        (
            "[tasks.a]\nrun='x'\nrun='y'",
            &["duplicate key", "tasks.toml:3:1", "remove one of the two"],
        ),
        ("[tasks.a]\nrun: x", &["a line is `key = value`", ":2:6"]),
        (
            "{\"tasks\":1}",
            &["a table begins with a line like `[tasks.lint]`"],
        ),
        ("tasks.a = { run = 'x'\nb = 1", &["commas stand between"]),
        ("tasks.a = 'it's'", &["a string with `'` in it"]),
        ("[tasks.a]\nrun = x", &["put it into quotation marks"]),
        ("[tasks.a:b]\nrun='x'", &["`[tasks.\"build:all\"]`"]),
        ("[tasks.a]\nrun = \"x", &["is for several lines"]),
        ("[tasks.a]\nrun = \"\\d\"", &["`'grep \\d'`"]),
        (
            "[tasks.a]\nrun='x'\nenv = { A = '$HOME' }",
            &["`$HOME` is not replaced: write `${HOME}`"],
        ),
        (
            "[tasks.a]\nrun='x'\nshell = ''",
            &["expected a shell and its options"],
        ),
        (
            "[tasks.a]\nrun='x'\nservice=true\ntimeout='1s'\nretries=2\nbackoff='1s'",
            &[
                "a service has no `timeout`",
                "`ready-timeout` limits the time",
                "a service has no `retries`",
                "a service has no `backoff`",
                "write `restart = { on = \"failure\" }`",
            ],
        ),
    ];
    for (text, parts) in cases {
        let sandbox = Sandbox::new();
        let ended = run(&sandbox, text);
        ended.code(2);
        for part in *parts {
            ended.says(part);
        }
        let path = sandbox.path("tasks.toml");
        let checked = sandbox.verb("check", &[path]);
        assert_eq!(checked.err, ended.err);
    }
}

#[test]
fn what_a_file_says_is_shown_without_control_characters() {
    let sandbox = Sandbox::new();
    let file = sandbox.file(
        "t.toml",
        "tasks.a = { run = [\"\\u001b[31m\", \"x\"], cwd = \"\\u001b\", shell = \"\\u0007\" }\n\
         tasks.b = { run = \"\\u0007\\ny\", shell = \"\\u001b -c\", after = [\"a\"] }\n",
    );
    for args in [&["check", &file][..], &["list", "-f", &file]] {
        let ended = sandbox.verb(args[0], &args[1..]);
        let all = format!("{}{}", ended.code(0).out(), ended.err);
        assert!(
            all.contains("\\u{1b}[31m x") && all.contains("\\u{7} y"),
            "{all}"
        );
        assert!(
            !all.contains(|c: char| c.is_control() && c != '\n'),
            "{all}"
        );
    }
}

/// What a task before it could make may be missing.
#[test]
fn check_warns_of_a_folder_that_is_missing() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("files/here")).unwrap();
    sandbox.file("files/plain", "");
    let check = |text: &str| {
        sandbox.file("files/tasks.toml", text);
        let mut command = sandbox.command();
        command.args(["check", "files/tasks.toml"]);
        Running::of(command.current_dir(sandbox.path(""))).ended()
    };
    let ended = check(
        r#"
[tasks.a]
run = "x"
cwd = "nowhere"
[groups.g]
cwd = "nowhere"
tasks.b = "x"
tasks.c = { run = "x", matrix = { n = [1, 2] } }
tasks.d = { run = "x", cwd = "../here" }
[tasks.e]
run = "x"
cwd = "plain"
[tasks.f]
run = "x"
cwd = "/nowhere"
"#,
    );
    let folder = sandbox.path("files").canonicalize().unwrap();
    let folder = folder.display();
    ended
        .code(0)
        .says(&format!(
            "warning: the `cwd` of `a`, `g/b`, `g/c/1` and 1 more does not exist: {folder}/nowhere; \
             nothing that comes before could make it"
        ))
        .says(&format!("the `cwd` of `e` is no folder: {folder}/plain;"))
        .says("the `cwd` of `f` does not exist: /nowhere;");
    assert!(ended.out().starts_with("run\n"), "{}", ended.out());
    // The task, a group around it, or nothing that has a folder of its own.
    let ended = check(
        r#"
tasks.make = "mkdir made"
tasks.use = { run = "x", cwd = "made", after = ["make"] }
[groups.g]
after = ["make"]
cwd = "made"
groups.h.tasks.b = "x"
"#,
    );
    assert_eq!(ended.code(0).err, "");
    check("cwd = 'here'\ntasks.a = 'x'\n")
        .code(0)
        .says_not("warning");
    sandbox
        .verb(
            "list",
            &["-f", &sandbox.file("t.toml", "cwd = 'no'\ntasks.a = 'x'\n")],
        )
        .code(0)
        .says_not("warning");
}

#[test]
fn all_faults_are_told_at_once() {
    let ended = run(&Sandbox::new(), "jobs = 0\nx = 1\n[tasks.a]\nrun = 1\n");
    ended
        .code(2)
        .says("`jobs`")
        .says("unknown key `x`")
        .says("invalid value for `run`");
}

/// A generator may repeat a mistake many times.
#[test]
fn many_faults_are_counted() {
    let many = |line: fn(usize) -> String| (0..2000).map(line).collect::<String>();
    let texts = [
        many(|n| format!("tasks.t{n} = {{ run = 'x', after = ['{n}'] }}\n")),
        many(|n| format!("tasks.t{n} = {{ run = 'x', x = 1 }}\n")),
    ];
    for text in texts {
        let ended = run(&Sandbox::new(), &text);
        ended.code(2).says("error: 1900 more errors in ");
        assert_eq!(ended.err.matches("error: ").count(), 101, "{}", ended.err);
    }
}

#[test]
fn unreadable_files_are_told() {
    let sandbox = Sandbox::new();
    let file = std::fs::File::create(sandbox.path("large")).unwrap();
    file.set_len((16 << 20) + 1).unwrap();
    sandbox
        .run(&["-f", &sandbox.word("large")])
        .code(2)
        .says("it is larger than 16 MiB");
    sandbox
        .run(&["-f", "/nowhere.toml"])
        .code(2)
        .says("cannot read /nowhere.toml");
    sandbox
        .run(&["-f", "/nowhere/x.toml"])
        .code(2)
        .says("cannot read /nowhere/x.toml: there is no folder /nowhere");
    sandbox
        .run(&["-f", "/"])
        .code(2)
        .says("cannot read /: it is a folder, and a file is needed\n");
    fs::create_dir(sandbox.path("sub")).unwrap();
    let inside = sandbox.file("sub/taskgroup.toml", "tasks.a = 'true'\n");
    sandbox
        .run(&["-f", &sandbox.word("sub")])
        .code(2)
        .says(&format!("did you mean {inside}?"));
    fs::write(sandbox.path("bad.toml"), b"a = 1\nb = '\xff'\n").unwrap();
    let bad = sandbox.path("bad.toml");
    sandbox
        .verb("check", &[bad])
        .code(2)
        .says("line 2 is not UTF-8; save the file as UTF-8");
}

#[test]
fn what_does_not_go_with_a_file_is_told() {
    let sandbox = Sandbox::new();
    let path = sandbox.file("tasks.toml", TREE);
    sandbox
        .run(&["-f", &path, "true"])
        .code(2)
        .says("has no task or group `true`");
    sandbox
        .run(&["-f", &path, "--names=a"])
        .code(2)
        .says("--names is for commands; tasks of a file have names");
    sandbox
        .run(&["-f", &path, "--restart=failure"])
        .code(2)
        .says("in a file, services have a key `restart`");
    // Tasks may have retries of their own.
    sandbox
        .run(&["-f", &path, "--backoff=1s", "--dry-run"])
        .code(0);
    // Both would read standard input.
    for reader in ["--stdin=first", "--stdin=lint"] {
        sandbox
            .run(&["-f", "-", reader])
            .code(2)
            .says("--file - and --stdin would both read standard input: name the file");
    }
    sandbox
        .verb("race", &["-f", &path])
        .code(2)
        .says("policy = \"race\"");
}
