//! Files for other programs, and the ways to show output.

use std::fs;

use serde_json::Value;

use crate::support::Sandbox;
use crate::{browser, chrome_trace};

fn lines(sandbox: &Sandbox, name: &str) -> Vec<Value> {
    let text = sandbox.read(name);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn path(sandbox: &Sandbox, name: &str) -> String {
    sandbox.path(name).into_os_string().into_string().unwrap()
}

#[test]
fn json_tells_what_happens() {
    let sandbox = Sandbox::new();
    let json = path(&sandbox, "json");
    let ended = sandbox.run(&[
        "--json",
        &json,
        "-k",
        "-j1",
        "--names=a,b",
        "echo why >&2; exit 3",
        "true",
    ]);
    ended.code(1);
    let lines = lines(&sandbox, "json");
    let events: Vec<&str> = lines
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        events,
        ["start", "started", "ended", "started", "ended", "end"]
    );
    assert_eq!(
        (&lines[0]["version"], &lines[0]["contain"]),
        (&1.into(), &"guard".into())
    );
    let failed = &lines[2];
    assert_eq!(
        (&failed["task"], &failed["result"], &failed["code"]),
        (&"a".into(), &"failed".into(), &3.into())
    );
    assert_eq!(failed["stderr"][0], "why");
    assert_eq!(
        (&lines[5]["code"], &lines[5]["failed"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn junit_has_a_case_for_each_task() {
    let sandbox = Sandbox::new();
    let junit = path(&sandbox, "junit.xml");
    sandbox
        .run(&[
            "--junit",
            &junit,
            "-j1",
            "--names=good,bad,late",
            "true",
            "echo '<why>' >&2; exit 3",
            "true",
        ])
        .code(1);
    let text = sandbox.read("junit.xml");
    for part in [
        r#"tests="3""#,
        r#"failures="1""#,
        r#"name="good""#,
        r#"message="exit code 3, after"#,
        "&lt;why>",
        "because bad failed",
    ] {
        assert!(
            text.replace("&gt;", ">").contains(part),
            "no {part} in {text}"
        );
    }
}

/// A run with everything that a timeline can show.
const COLOURFUL: &str = r#"
jobs = 3
cleanup = ["true"]
[tasks.first]
run = "true"
cleanup = ["true"]
[groups.g]
after = ["first"]
grace = "10ms"
[groups.g.tasks.deaf]
run = "trap '' TERM; echo x > $DIR/deaf; exec sleep 100"
[groups.g.tasks.bad]
run = "cat $DIR/deaf $DIR/asleep; echo '<b>why</b>' >&2; exit 3"
[groups.g.tasks.asleep]
run = "echo x > $DIR/asleep; exec sleep 100"
[groups.g.tasks.queued]
run = "true"
[groups.later.tasks.never]
run = "true"
after = ["g"]
"#;

fn colourful(sandbox: &Sandbox, flag: &str, file: &str) {
    sandbox.fifo("deaf");
    sandbox.fifo("asleep");
    let tasks = sandbox.file("tasks.toml", COLOURFUL);
    sandbox.run(&[flag, file, "-f", &tasks]).code(1);
}

#[test]
fn a_trace_is_one() {
    let sandbox = Sandbox::new();
    let file = path(&sandbox, "trace.json");
    colourful(&sandbox, "--trace", &file);
    let trace: Value = serde_json::from_str(&sandbox.read("trace.json")).unwrap();
    if let Err(fault) = chrome_trace::validate(&trace) {
        panic!("{fault}");
    }
    let events = trace["traceEvents"].as_array().unwrap();
    let count = |phase: &str, name: &str| {
        let found = events
            .iter()
            .filter(|e| e["ph"] == phase && e["name"] == name);
        found.count()
    };
    for name in ["run", "g", "first", "g/bad", "g/deaf", "g/asleep"] {
        assert_eq!(count("X", name), 1, "{name}");
    }
    for name in [
        "run (cleanup 1)",
        "first (cleanup 1)",
        "cleanup",
        "cancelling",
    ] {
        assert!(count("X", name) >= 1, "{name}");
    }
    // A task that waits for its turn takes no lane.
    for name in ["g/queued", "later/never"] {
        assert_eq!((count("X", name), count("i", name)), (0, 1), "{name}");
    }
    assert_eq!(
        (
            count("s", "cancelled because"),
            count("f", "cancelled because")
        ),
        (2, 2)
    );
}

#[test]
#[ignore = "needs Chromium; `.ci/run page` runs it where there is one"]
fn chromium_draws_the_page_of_a_run() {
    let sandbox = Sandbox::new();
    let folder = browser::Folder::new("command");
    let file = folder.path("page.html");
    colourful(&sandbox, "--report", file.to_str().unwrap());
    let dom = browser::dom(&folder, &file, "");
    let shown = dom.split("<script").next().unwrap();
    for part in [
        r#"data-rows="11""#,
        "6 tasks in",
        ": 1 succeeded, 1 failed, 1 cancelled, 1 killed, 2 not started",
        // The page opens at the cause.
        "<h2>task g/bad [2]</h2>",
        "exit code 3, after",
        "&lt;b&gt;why&lt;/b&gt;",
        "3 cancellations",
    ] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
}

#[test]
fn the_page_holds_everything_by_itself() {
    let sandbox = Sandbox::new();
    let page = path(&sandbox, "page.html");
    let tasks = r#"
on-failure = "cancel"
[groups.g.tasks.bad]
run = "echo '<b>why</b>' >&2; exit 3"
[groups.g.tasks.waits]
run = "sleep 100"
after = ["bad"]
"#;
    let tasks = sandbox.file("tasks.toml", tasks);
    sandbox.run(&["--report", &page, "-f", &tasks]).code(1);
    let text = sandbox.read("page.html");
    assert!(text.starts_with("<!doctype html>") && text.contains("</html>"));
    for part in ["g/bad", "g/waits", "exit code 3", "because g/bad"] {
        assert!(text.contains(part), "no {part}");
    }
    assert!(!text.contains("<b>why"), "foreign text is not markup");
    assert!(
        !text.contains(" src=") && !text.contains("<link"),
        "nothing is loaded"
    );
}

#[test]
fn files_that_cannot_be_written_are_told() {
    let sandbox = Sandbox::new();
    for flag in ["--junit", "--trace", "--report", "--json"] {
        let ended = sandbox.run(&[flag, "/dev/full", "true"]);
        ended
            .code(74)
            .says("could not be written: /dev/full: No space left");
    }
    sandbox
        .run(&["--junit", "/nowhere/x", "true"])
        .code(74)
        .says("/nowhere/x");
    // A run that cannot write its record does not start.
    sandbox
        .run(&["--json", "/nowhere/x", "touch \"$DIR/x\""])
        .code(125)
        .says("/nowhere/x");
    sandbox
        .run(&["--resume", "/", "touch \"$DIR/x\""])
        .code(125);
    let other = sandbox.file("other", "not json\n");
    sandbox
        .run(&["--resume", &other, "touch \"$DIR/x\""])
        .code(125)
        .says("line 1");
    assert!(!sandbox.path("x").exists());
}

#[test]
fn a_resumed_run_does_what_was_not_done() {
    let sandbox = Sandbox::new();
    let record = path(&sandbox, "record");
    let commands = [
        "echo a >> \"$DIR/log\"",
        "[ -e \"$DIR/ok\" ]",
        "echo c >> \"$DIR/log\"",
    ];
    let run = |more: &[&str]| {
        let mut args = vec!["--resume", &record, "-j1", "-k"];
        args.extend(more);
        sandbox.run(&args)
    };
    run(&commands).code(1);
    fs::write(sandbox.path("ok"), "").unwrap();
    run(&commands).code(0);
    assert_eq!(sandbox.read("log"), "a\nc\n");
    // A changed command counts as another one.
    run(&["echo b >> \"$DIR/log\"", commands[1], commands[2]]).code(0);
    assert_eq!(sandbox.read("log"), "a\nc\nb\n");
}

#[test]
fn the_ways_to_show_output() {
    let sandbox = Sandbox::new();
    let run = |mode: &str| {
        sandbox.run(&[
            "-o",
            mode,
            "-k",
            "-j1",
            "--names=a,b",
            "echo 1; echo 2 >&2",
            "echo 3; exit 1",
        ])
    };
    assert_eq!(run("stream").code(1).out(), "a | 1\nb | 3\n");
    let group = run("group");
    assert_eq!(group.code(1).out(), "a | 1\nb | 3\n");
    group
        .says("a | 2\n")
        .says("[1/2] a: after")
        .says("[2/2] b: exit code 1");
    let failures = run("failures");
    assert_eq!(failures.code(1).out(), "b | 3\n");
    failures.says_not("a | 2").says("[1/2] a");
    let quiet = run("quiet");
    assert_eq!(quiet.code(1).out(), "");
    quiet.says("FAILED b").says_not("[1/2]");
}

#[test]
fn grouped_output_stays_together() {
    let sandbox = Sandbox::new();
    let talk = "for i in $(seq 1 2000); do echo $i; done";
    let ended = sandbox.run(&["-o", "group", "--names=a,b", talk, talk]);
    ended.code(0);
    let labels: Vec<&str> = ended.out().lines().map(|line| &line[..1]).collect();
    let changes = labels.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!((labels.len(), changes), (4000, 1));
}

#[test]
fn completions_and_the_manual_are_printed() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        let ended = sandbox.verb("completions", &[shell]);
        ended.code(0);
        assert!(ended.out().contains("on-failure"), "{shell}");
    }
    let manual = sandbox.verb("man", &[""; 0]);
    manual.code(0);
    assert!(manual.out().starts_with(".ie") && manual.out().contains(".TH taskgroup 1"));
    for verb in ["run", "map", "race", "check", "completions", "man"] {
        let manual = sandbox.verb("man", &[verb]);
        manual.code(0);
        let title = format!(".TH taskgroup-{verb} 1");
        assert!(manual.out().contains(&title), "{verb}");
        assert!(manual.out().contains(".SH EXAMPLES"), "{verb}");
    }
}

/// The first thing that `-h` shows is what a user types.
#[test]
fn every_verb_teaches_with_examples() {
    let sandbox = Sandbox::new();
    for verb in ["run", "map", "race", "check", "completions", "man"] {
        for flag in ["-h", "--help"] {
            let help = sandbox.verb(verb, &[flag]);
            help.code(0);
            let (_, examples) = help.out().split_once("Examples:").unwrap();
            let taught = examples.matches(&format!("taskgroup {verb} ")).count();
            assert!(taught >= 2, "{verb} {flag}");
        }
    }
}
