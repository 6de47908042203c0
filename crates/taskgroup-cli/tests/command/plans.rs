//! The file as a tool: found, selected, overridden.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::support::{Ended, Running, Sandbox};

const FILE: &str = r#"
tasks.prepare = "echo prepare"
tasks.lint = "echo lint"
[groups.test]
description = "All tests"
after = ["prepare"]
cleanup = ["echo clean"]
tasks.unit = "echo unit"
tasks.doc = { run = ["echo", "doc"], after = ["unit"], description = "Examples" }
"#;

/// A sandbox whose `taskgroup.toml` is above the folder in which the commands start.
fn below(file: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("taskgroup.toml", file);
    fs::create_dir_all(sandbox.path("sub/deep")).unwrap();
    sandbox
}

fn deep(sandbox: &Sandbox, args: &[&str]) -> Ended {
    let mut command = sandbox.command();
    Running::of(command.current_dir(sandbox.path("sub/deep")).args(args)).ended()
}

/// What was printed, in any order.
fn lines(ended: &Ended) -> Vec<&str> {
    let mut lines: Vec<&str> = ended.out().lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn the_file_is_found_above() {
    let sandbox = below(FILE);
    let ended = deep(&sandbox, &["run"]);
    ended.code(0);
    assert_eq!(ended.out().lines().count(), 5, "{}", ended.out());
    for verb in ["check", "list"] {
        let found = deep(&sandbox, &[verb]);
        found.code(0);
        let file = sandbox.word("taskgroup.toml");
        for named in [&[verb, &file][..], &[verb, "-f", &file]] {
            assert_eq!(deep(&sandbox, named).out(), found.out());
        }
    }
    deep(&sandbox, &["run", "--names=a"])
        .code(2)
        .says("--names is for commands; tasks of a file have names");
    // The nearest one counts.
    sandbox.file("sub/taskgroup.toml", "tasks.near = 'echo near'\n");
    assert_eq!(deep(&sandbox, &["run"]).out(), "near | near\n");
}

#[test]
fn the_name_of_a_task_in_place_of_a_command_gets_a_hint() {
    let sandbox =
        below("tasks.lint = 'echo lint'\ngroups.a.tasks.b = 'echo b'\ntasks.true = 'x'\n");
    let ended = deep(&sandbox, &["run", "-k", "lint", "a/b", "other"]);
    ended
        .code(1)
        .says("taskgroup: ../../taskgroup.toml has `lint`; run it with -t lint\n")
        .says("has `a/b`; run it with -t a/b\n")
        .says_not("has `other`");
    let file = sandbox.word("taskgroup.toml");
    deep(&sandbox, &["run", &file]).code(1).says(&format!(
        "taskgroup: {file} is a file of tasks; run it with -f {file}\n"
    ));
    // A program is meant, or a name is given as one.
    deep(&sandbox, &["run", "true"])
        .code(0)
        .says_not("has `true`");
    deep(&sandbox, &["run", "-t", "lint"])
        .code(0)
        .says_not("has `lint`");
}

#[test]
fn without_a_file_the_search_is_told() {
    let ended = deep(
        &{
            let sandbox = Sandbox::new();
            fs::create_dir_all(sandbox.path("sub/deep")).unwrap();
            sandbox
        },
        &["run"],
    );
    ended
        .code(2)
        .says("no command and no --file was given")
        .says("no taskgroup.toml in ")
        .says("/sub/deep or above");
}

#[test]
fn what_is_named_runs_with_what_it_needs() {
    let sandbox = below(FILE);
    let path = sandbox.path("taskgroup.toml");
    let path = path.to_str().unwrap();
    let cases: [(&[&str], &[&str]); 5] = [
        (&["run", "-f", path, "lint"], &["lint | lint"]),
        (&["run", "-t", "lint"], &["lint | lint"]),
        (
            &["run", "--task=test/unit"],
            &[
                "prepare             | prepare",
                "test (cleanup 1)    | clean",
                "test/unit           | unit",
            ],
        ),
        (
            &["run", "-f", path, "test/doc", "-t", "lint"],
            &[
                "lint             | lint",
                "prepare          | prepare",
                "test (cleanup 1) | clean",
                "test/doc         | doc",
                "test/unit        | unit",
            ],
        ),
        (
            &["run", "-f", path, "test/"],
            &[
                "prepare          | prepare",
                "test (cleanup 1) | clean",
                "test/doc         | doc",
                "test/unit        | unit",
            ],
        ),
    ];
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    for (args, expected) in cases {
        let ended = deep(&sandbox, args);
        ended.code(0);
        let found: Vec<String> = lines(&ended).into_iter().map(squeezed).collect();
        let mut expected: Vec<String> = expected.iter().map(|line| squeezed(line)).collect();
        expected.sort_unstable();
        let mut found = found;
        found.sort_unstable();
        assert_eq!(found, expected, "{args:?}");
    }
}

#[test]
fn a_name_that_is_not_there_is_told() {
    let sandbox = below(FILE);
    for (name, help) in [
        ("unit", "did you mean `test/unit`?"),
        ("lnit", "did you mean `lint`?"),
        (
            "something-else",
            "`taskgroup list ../../taskgroup.toml` shows all names",
        ),
    ] {
        deep(&sandbox, &["run", "-t", name])
            .code(2)
            .says(&format!(
                "../../taskgroup.toml has no task or group `{name}`"
            ))
            .says(help);
    }
    // Also a combination that a matrix does not have.
    let file = sandbox.file(
        "matrix.toml",
        "[tasks.build]\nrun = 'x'\nmatrix.target = ['x86', 'arm']\n",
    );
    for (name, near) in [("build/x87", "build/x86"), ("arm", "build/arm")] {
        deep(&sandbox, &["run", "-f", &file, name])
            .code(2)
            .says(&format!(
                "no task or group `{name}`; did you mean `{near}`?"
            ));
    }
    deep(&sandbox, &["run", "-t", "lint", "echo x"])
        .code(2)
        .says("a command cannot stand beside it");
}

/// Words are commands where no file is named, whatever files there are.
#[test]
fn words_without_a_file_are_commands() {
    let ended = deep(&below(FILE), &["run", "echo command"]);
    assert_eq!(ended.out(), "echo | command\n");
}

#[test]
fn list_shows_the_names_that_run_takes() {
    let ended = deep(&below(FILE), &["list"]);
    assert_eq!(
        ended.out(),
        "\
prepare    echo prepare
lint       echo lint
test/      All tests
test/unit  echo unit
test/doc   Examples
"
    );
}

#[test]
fn a_dry_run_shows_what_would_be_run() {
    let sandbox = below(FILE);
    let ended = deep(
        &sandbox,
        &["run", "--dry-run", "-t", "test/unit", "-j2", "--retries=3"],
    );
    assert_eq!(
        ended.out(),
        "\
run  [2 at a time]
├─ prepare: echo prepare  [retries 3]
└─ test/  [after prepare; 1 step of cleanup]
   └─ unit: echo unit  [retries 3]
"
    );
    let ended = deep(&sandbox, &["run", "--dry-run", "touch x", "touch 'y z'"]);
    assert_eq!(ended.out(), "touch x\ntouch 'y z'\n");
    assert!(!sandbox.path("sub/deep/x").exists());
    let ended = deep(&sandbox, &["race", "--dry-run", "a", "b"]);
    assert_eq!(ended.out(), "a\nb\n");
}

#[test]
fn options_count_before_the_file() {
    let file = r#"
jobs = 4
deadline = "1h"
[tasks.a]
run = "true"
timeout = "1m"
[groups.g]
on-failure = "cancel"
grace = "9s"
tasks.b = { run = "true", retries = 1, on-failure = "cancel" }
[groups.h]
on-failure = "ignore"
tasks.c = "true"
"#;
    let args = [
        "run",
        "--dry-run",
        "-k",
        "-j1",
        "--retries=2",
        "--timeout=3s",
        "--deadline=2h",
        "--shell=bash -c",
    ];
    let ended = deep(&below(file), &args);
    assert_eq!(
        ended.out(),
        "\
run  [on failure wait; 1 at a time; deadline 2h]
├─ a: true  [timeout 3s; retries 2; by bash -c]
├─ g/  [on failure wait]
│  └─ b: true  [timeout 3s; retries 2; on failure wait; by bash -c]
└─ h/  [on failure ignore]
   └─ c: true  [timeout 3s; retries 2; by bash -c]
"
    );
}

#[test]
fn the_grace_of_the_command_line_is_that_of_every_task() {
    let sandbox = Sandbox::new();
    sandbox.fifo("ready");
    let path = sandbox.file(
        "tasks.toml",
        r#"
[tasks.deaf]
grace = "1h"
run = """trap '' TERM; echo x > "$DIR/ready"; while :; do sleep 0.01; done"""
"#,
    );
    let running = sandbox.start(&["-f", &path, "--grace=10ms"]);
    sandbox.hear("ready");
    running.signal(rustix::process::Signal::TERM);
    running.ended().code(143).says("SIGKILL");
}

#[test]
fn failures_of_one_task_may_count_differently() {
    let file = |on_failure: &str| {
        format!(
            r#"
jobs = 1
[tasks.bad]
run = "exit 1"
on-failure = "{on_failure}"
[tasks.next]
run = "echo next"
[tasks.later]
run = "echo later"
after = ["bad"]
"#
        )
    };
    let run = |on_failure: &str, more: &[&str]| {
        let sandbox = Sandbox::new();
        let path = sandbox.file("tasks.toml", &file(on_failure));
        sandbox.run(&[&["-f", &path], more].concat())
    };
    let ended = run("ignore", &[]);
    ended.code(0).says("FAILED (ignored) bad");
    assert_eq!(lines(&ended).len(), 2);
    // Its failure stays harmless, whatever else is asked for.
    run("ignore", &["--on-failure=cancel"]).code(0);
    let ended = run("wait", &[]);
    ended
        .code(1)
        .says("NOT STARTED later: because bad did not succeed");
    assert_eq!(lines(&ended).len(), 1);
    let ended = run("cancel", &["--on-failure=wait"]);
    ended.code(1);
    assert_eq!(lines(&ended).len(), 1);
    let ended = run("cancel", &[]);
    ended.code(1).says("NOT STARTED");
    assert_eq!(lines(&ended), [""; 0]);
}

#[test]
fn folders_start_at_the_file() {
    let sandbox = below(
        r#"
tasks.here = "pwd"
[groups.g]
cwd = "sub"
tasks.there = { run = "pwd", cwd = "deep" }
"#,
    );
    let root = sandbox.path("").canonicalize().unwrap();
    let ended = deep(&sandbox, &["run", "-j1"]);
    ended.code(0);
    let expected = format!("g/there | {0}/sub/deep\nhere    | {0}\n", root.display());
    assert_eq!(lines(&ended).join("\n") + "\n", expected);
    // A file from standard input has no folder.
    let mut command = sandbox.command();
    command
        .current_dir(sandbox.path("sub"))
        .args(["run", "-f", "-"]);
    let mut running = Running::of(command.stdin(Stdio::piped()));
    let mut stdin = running.child().stdin.take().unwrap();
    stdin.write_all(b"tasks.here = 'pwd'\n").unwrap();
    drop(stdin);
    assert_eq!(
        running.ended().out(),
        format!("here | {}/sub\n", root.display())
    );
}

#[test]
fn errors_of_standard_input_are_shown_with_their_place() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command();
    let mut running = Running::of(command.args(["check", "-"]).stdin(Stdio::piped()));
    let mut stdin = running.child().stdin.take().unwrap();
    stdin.write_all(b"tasks.a = 5\n").unwrap();
    drop(stdin);
    running.ended().code(2).says("standard input:1:11");
}

#[test]
fn another_folder_can_be_the_place_to_start() {
    let sandbox = below("tasks.a = 'echo a'\n");
    let mut command = sandbox.command();
    command
        .current_dir("/")
        .arg("run")
        .arg("-C")
        .arg(sandbox.path("sub"));
    assert_eq!(Running::of(&mut command).ended().out(), "a | a\n");
    let ended = deep(&sandbox, &["-C", "..", "run", "basename \"$PWD\""]);
    assert_eq!(ended.out(), "basename | sub\n");
    deep(&sandbox, &["-C", "nowhere", "run", "true"])
        .code(2)
        .says("--directory: nowhere: there is no such file or folder in ");
}

/// A resumed run knows a task again, from wherever it is started.
#[test]
fn a_run_is_resumed_from_another_folder() {
    let sandbox = below("[tasks.a]\nrun = 'echo a'\ncwd = 'sub'\n");
    let record = sandbox.path("record");
    let record = record.to_str().unwrap();
    assert_eq!(deep(&sandbox, &["run", "--json", record]).out(), "a | a\n");
    let mut command = sandbox.command();
    command
        .current_dir(sandbox.path(""))
        .args(["run", "--resume", record]);
    let again = Running::of(&mut command).ended();
    again.code(0);
    assert_eq!(again.out(), "");
}

#[test]
fn variables_stand_for_what_is_around() {
    let file = r#"
env = { A = "1", PATH = "/opt/x:${PATH}", D = "${OUTER}", E = "${NONE:-e}", F = "$$A" }
[groups.g]
env = { A = "${A}2" }
tasks.t = { run = 'echo "$A $D $E $F ${PATH%%:*}"', env = { A = "${A}3" } }
"#;
    let sandbox = below(file);
    let mut command = sandbox.command();
    command
        .current_dir(sandbox.path(""))
        .arg("run")
        .env("OUTER", "o");
    assert_eq!(
        Running::of(&mut command).ended().out(),
        "g/t | 123 o e $A /opt/x\n"
    );
    deep(&sandbox, &["run"])
        .code(2)
        .says("the variable `OUTER` is not set");
}

#[test]
fn a_shell_can_be_chosen() {
    let sandbox = below(
        r#"
shell = "bash -euo pipefail -c"
tasks.pipe = "false | cat; echo not reached"
[groups.g]
shell = ["sh", "-c"]
tasks.pipe = "false | cat; echo reached"
"#,
    );
    let ended = deep(&sandbox, &["run", "-k"]);
    ended.code(1).says("FAILED pipe");
    assert_eq!(ended.out(), "g/pipe | reached\n");
    let bash = "--shell=bash -euo pipefail -c";
    assert_eq!(deep(&sandbox, &["run", "-k", bash]).code(1).out(), "");
    deep(&sandbox, &["run", bash, "[[ a = a ]]"]).code(0);
    deep(&sandbox, &["map", bash, "[[ {} = 'b c' ]]", ":::", "b c"]).code(0);
    // A shell that is not there is told before anything runs, unless a task has another PATH.
    for shell in ["--shell=/nowhere -c", "--shell=no-such-shell"] {
        let program = &shell.split(['=', ' ']).nth(1).unwrap();
        let told = format!("--shell: there is no program `{program}`; write one that is there");
        deep(&sandbox, &["run", shell, "true"]).code(2).says(&told);
        deep(&sandbox, &["run", shell]).code(2).says(&told);
        deep(&sandbox, &["map", shell, "echo", ":::", "a"]).code(2);
    }
    let other = below("env = { PATH = '/opt/x' }\ntasks.a = 'true'\n");
    deep(&other, &["run", "--shell=no-such-shell -c"])
        .code(1)
        .says("could not be started: `no-such-shell`");
}

/// The group that it makes is written nowhere.
#[test]
fn a_matrix_does_after_a_failure_what_the_group_around_does() {
    let file = |around: &str, own: &str| {
        format!(
            "jobs = 1\non-failure = '{around}'\n[tasks.t]\nrun = 'echo $n; [ $n != 1 ]'\n\
             matrix = {{ n = [1, 2] }}\n{own}"
        )
    };
    let run = |around, own, args: &[&str]| {
        let sandbox = below(&file(around, own));
        deep(&sandbox, &[&["run"], args].concat())
    };
    let both = "t/1 | 1\nt/2 | 2\n";
    assert_eq!(run("wait", "", &[]).code(1).out(), both);
    assert_eq!(run("ignore", "", &[]).code(0).out(), both);
    assert_eq!(run("cancel", "", &[]).code(1).out(), "t/1 | 1\n");
    assert_eq!(run("cancel", "", &["-k"]).code(1).out(), both);
    let own = "on-failure = 'cancel'\n";
    assert_eq!(run("wait", own, &[]).code(1).out(), "t/1 | 1\n");
}

#[test]
fn a_matrix_runs_each_combination() {
    let file = r#"
[tasks.build]
matrix = { a = ["x", "y/z"], b = [1, ""] }
run = ["echo", "${a}", "<${b}>", "${c}"]
env = { BOTH = "${a}-${b}" }
cleanup = ['echo "$BOTH"']
[tasks.next]
run = "echo next"
after = ["build"]
"#;
    let sandbox = below(file);
    let ended = deep(&sandbox, &["run", "-j1"]);
    ended.code(0);
    let out: Vec<&str> = ended
        .out()
        .lines()
        .map(|line| line.split("| ").nth(1).unwrap())
        .collect();
    assert_eq!(
        out,
        [
            "x <1> ${c}",
            "x-1",
            "x <> ${c}",
            "x-",
            "y/z <1> ${c}",
            "y/z-1",
            "y/z <> ${c}",
            "y/z-",
            "next",
        ]
    );
    let ended = deep(&sandbox, &["run", "-t", "build/x,no-b"]);
    assert!(ended.out().starts_with("build/x,no-b "), "{}", ended.out());
    assert_eq!(ended.out().lines().count(), 2);
    // A folder that a value leaves out is the one around.
    sandbox.file(
        "taskgroup.toml",
        "[tasks.t]\nrun = 'pwd'\ncwd = '${d}'\nmatrix.d = ['', '/']\n",
    );
    let mut command = sandbox.command();
    let ended = Running::of(command.arg("run").current_dir(sandbox.path(""))).ended();
    let here = sandbox.path("").canonicalize().unwrap();
    let out = ended.code(0).out();
    assert!(out.contains(&format!("| {}\n", here.display())), "{out}");
    // A fault is told once, though there are four tasks.
    sandbox.file("taskgroup.toml", &file.replace("cleanup", "cleenup"));
    let ended = deep(&sandbox, &["run"]);
    ended.code(2);
    assert_eq!(ended.err.matches("unknown key").count(), 1, "{}", ended.err);
}

/// Files that were written on Windows.
#[test]
fn a_script_of_a_file_with_crlf_has_plain_lines() {
    let file = "\u{feff}[tasks.a]\nrun = \"\"\"\ncd .\nif true; then\necho a\nfi\n\"\"\"\n";
    let sandbox = below(&file.replace('\n', "\r\n"));
    let ended = deep(&sandbox, &["run"]);
    ended.code(0);
    assert_eq!(ended.out(), "a | a\n");
    // What was written as an escape is data.
    sandbox.file(
        "taskgroup.toml",
        "tasks.a = [\"printf\", \"a\\\\r\\\\n\"]\r\n",
    );
    assert_eq!(deep(&sandbox, &["run"]).out(), "a | a\r\n");
}
