//! Files for other programs, and the ways to show output.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Ended, NEVER, Running, Sandbox, guarded, wait_for};
use crate::{browser, chrome_trace};

#[test]
fn json_tells_what_happens() {
    let sandbox = Sandbox::new();
    let json = sandbox.word("json");
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
    let lines = sandbox.events("json");
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
    let junit = sandbox.word("junit.xml");
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

#[test]
fn junit_has_both_streams_and_each_attempt() {
    let sandbox = Sandbox::new();
    let junit = sandbox.word("junit.xml");
    let tasks = sandbox.file(
        "tasks.toml",
        r#"
[groups.g]
on-failure = "wait"
[groups.g.tasks.flaky]
run = 'echo out; echo "<err>" >&2; sleep 0.1; [ "$TASKGROUP_ATTEMPT" = 3 ]'
retries = 2
backoff = "1ms"
[groups.g.tasks.bad]
run = "echo said; exit 7"
retries = 1
backoff = "1ms"
"#,
    );
    sandbox.run(&["-f", &tasks, "--junit", &junit]).code(1);
    let text = sandbox.read("junit.xml").replace("&gt;", ">");
    let case = |name: &str| {
        let start = format!("<testcase name=\"{name}\" classname=\"g\"");
        let (_, rest) = text.split_once(&start).unwrap();
        rest.split_once("</testcase>").unwrap().0.to_owned()
    };
    let flaky = case("g/flaky");
    assert_eq!(flaky.matches("<flakyFailure ").count(), 2, "{flaky}");
    assert!(
        flaky.contains("attempt 1: exit code 1, after 0."),
        "{flaky}"
    );
    assert!(!flaky.contains("<failure"), "{flaky}");
    assert_eq!(
        flaky.matches("<system-out>out</system-out>").count(),
        3,
        "{flaky}"
    );
    assert_eq!(
        flaky.matches("<system-err>&lt;err></system-err>").count(),
        3,
        "{flaky}"
    );
    // The time of all attempts.
    let time = flaky.split('"').nth(1).unwrap().parse::<f64>().unwrap();
    assert!(time >= 0.3, "{time}");
    let bad = case("g/bad");
    assert_eq!(bad.matches("<rerunFailure ").count(), 1, "{bad}");
    assert!(bad.contains("<failure ") && bad.contains("said"), "{bad}");
    assert!(
        bad.contains(r#"<property name="attempts" value="2"/>"#),
        "{bad}"
    );
}

#[test]
fn a_failure_in_a_race_fails_no_build_if_the_race_is_won() {
    let sandbox = Sandbox::new();
    let (json, junit) = (sandbox.word("json"), sandbox.word("junit"));
    let race = |good: &str| {
        let mut command = sandbox.command();
        command.args(["race", "--json", &json, "--junit", &junit, "--ci=github"]);
        command.args(["--names=bad,good", "echo why; exit 3", good]);
        Running::of(&mut command).ended()
    };
    let late = "until grep -q '\"result\":\"failed\"' \"$DIR/json\"; do sleep 0.01; done";
    race(late)
        .code(0)
        .says("::warning title=bad::")
        .says_not("::error");
    let text = sandbox.read("junit");
    assert!(!text.contains("<failure"), "{text}");
    let (_, skipped) = text.split_once("<skipped ").unwrap();
    let (skipped, _) = skipped.split_once("</skipped>").unwrap();
    assert!(skipped.contains("exit code 3, after"), "{skipped}");
    assert!(
        skipped.contains("(does not count, because good succeeded first)"),
        "{skipped}"
    );
    assert!(skipped.contains("why"), "{skipped}");
    let args = ["--ci=teamcity", "--names=bad,good", "-j1", "exit 3", "true"];
    let ended = sandbox.verb("race", &args);
    ended.code(0).says_not("testFailed");
    ended.says("##teamcity[testIgnored name='bad' message='exit code 3, after");
    // Without a winner each failure counts.
    race("exit 4").code(1).says("::error title=bad::");
    let text = sandbox.read("junit");
    assert_eq!(text.matches("<failure").count(), 2, "{text}");
}

/// What reads the file calls a build with a failure a failed one, and the run has succeeded.
#[test]
fn an_ignored_failure_fails_no_build() {
    let sandbox = Sandbox::new();
    let junit = sandbox.word("junit.xml");
    let tasks = sandbox.file(
        "tasks.toml",
        "tasks.lint = { run = 'echo why; exit 3', retries = 1, on-failure = 'ignore' }\n",
    );
    let ended = sandbox.run(&["-f", &tasks, "--junit", &junit, "--ci=teamcity"]);
    ended.code(0).says_not("testFailed");
    ended.says("##teamcity[testIgnored name='lint' message='exit code 3, after");
    ended.says("(ignored)' flowId=");
    let text = sandbox.read("junit.xml");
    assert!(text.contains(r#"failures="0" errors="0""#), "{text}");
    let (_, skipped) = text.split_once("<skipped ").unwrap();
    let (skipped, _) = skipped.split_once("</skipped>").unwrap();
    assert!(skipped.contains("exit code 3, after"), "{skipped}");
    assert!(skipped.contains("(ignored)"), "{skipped}");
    assert!(skipped.contains("why"), "{skipped}");
    assert!(!text.contains("<failure"), "{text}");
}

#[test]
fn junit_is_xml_whatever_a_command_writes() {
    let sandbox = Sandbox::new();
    let junit = sandbox.word("junit.xml");
    let text = r"printf 'x\357\277\276\357\277\277y\n' >&2; printf 'a\357\277\276b\n'; exit 1";
    let args = ["--junit", &junit, "--names=n\u{fffe}\u{ffff}", text];
    sandbox.run(&args).code(1);
    let text = sandbox.read("junit.xml");
    assert!(!text.contains(['\u{fffe}', '\u{ffff}']), "{text}");
    for part in ["x\u{fffd}\u{fffd}y", "a\u{fffd}b", "n\u{fffd}\u{fffd}"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
}

#[test]
fn json_has_the_attempts_and_both_streams() {
    let sandbox = Sandbox::new();
    let json = sandbox.word("json");
    let text = "echo out; echo err >&2; exit 3";
    sandbox
        .run(&["--json", &json, "--retries=1", "--backoff=1ms", text])
        .code(1);
    let lines = sandbox.events("json");
    let ended = lines.iter().find(|line| line["event"] == "ended").unwrap();
    for attempt in [ended, &ended["earlier"][0]] {
        assert_eq!(attempt["stdout"][0], "out");
        assert_eq!(attempt["stderr"][0], "err");
        assert_eq!(attempt["code"], 3);
    }
    assert_eq!(ended["earlier"][0]["attempt"], 1);
}

#[test]
fn a_joblog_has_the_columns_of_gnu_parallel() {
    let sandbox = Sandbox::new();
    let log = sandbox.word("log");
    let args = [
        "-k",
        "-j1",
        "--joblog",
        &log,
        "printf 12345; exit {}",
        ":::",
        "0",
        "7",
    ];
    sandbox.verb("map", &args).code(1);
    let text = sandbox.read("log");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(
        rows[0].join(" "),
        "Seq Host Starttime JobRuntime Send Receive Exitval Signal Command"
    );
    for (row, code) in rows[1..].iter().zip(["0", "7"]) {
        assert!(row[2].parse::<f64>().unwrap() > 1e9, "{row:?}");
        assert!(row[3].trim().parse::<f64>().unwrap() < 60.0, "{row:?}");
        let command = format!("printf 12345; exit {code}");
        assert_eq!(row[4..], ["0", "5", code, "0", &*command]);
    }
    assert_eq!((rows[1][0], rows[2][0], rows.len()), ("1", "2", 3));
}

#[test]
fn results_are_in_a_folder() {
    let sandbox = Sandbox::new();
    let folder = sandbox.word("results");
    let text = r#"printf 'a\000b'; echo "$TASKGROUP_ATTEMPT" >&2; [ "$TASKGROUP_ATTEMPT" = 2 ]"#;
    let args = [
        "--results",
        &folder,
        "--retries=1",
        "--backoff=1ms",
        "--names=x",
        text,
    ];
    sandbox.run(&args).code(0);
    for (file, expected) in [
        ("stdout", "a\0b"),
        ("stdout.1", "a\0b"),
        ("stderr", "2\n"),
        ("stderr.1", "1\n"),
    ] {
        assert_eq!(
            sandbox.read(&format!("results/x/{file}")),
            expected,
            "{file}"
        );
    }
    // A name of a command leads nowhere else, and what cannot be written is told.
    sandbox.file("full", "");
    let args = [
        "--results",
        &folder,
        "--names=../full,x/stdout",
        "echo 1",
        "echo 2",
    ];
    sandbox.run(&args).code(74).says("output of it was lost: ");
    assert_eq!(sandbox.read("results/_../full/stdout"), "1\n");
    // A disk that gets full. What is shown and reported is whole all the same.
    fs::create_dir(sandbox.path("results/full")).unwrap();
    std::os::unix::fs::symlink("/dev/full", sandbox.path("results/full/stdout")).unwrap();
    let ended = sandbox.run(&["--results", &folder, "--names=full", "echo 1"]);
    ended.code(74).says("output of it was lost: No space left");
    assert_eq!(ended.out(), "full | 1\n");
}

fn in_ci(sandbox: &Sandbox, name: &str, args: &[&str]) -> Ended {
    let summary = sandbox.word("summary");
    let mut command = sandbox.command();
    command
        .env(name, "true")
        .env("GITHUB_STEP_SUMMARY", summary);
    Running::of(command.arg("run").args(args)).ended()
}

#[test]
fn github_gets_groups_annotations_and_a_table() {
    let sandbox = Sandbox::new();
    let args = [
        "-k",
        "-j1",
        "--names=a,b:c|d",
        "echo 1",
        "echo 50%; echo 2 >&2; exit 3",
    ];
    let ended = in_ci(&sandbox, "GITHUB_ACTIONS", &args);
    ended.code(1);
    assert_eq!(ended.out(), "a     | 1\nb:c|d | 50%\n");
    ended.says("::group::[1/2] a: after 0.");
    let (_, group) = ended
        .err
        .split_once("::group::[2/2] b:c|d: exit code 3")
        .unwrap();
    let (_, rest) = group.split_once('\n').unwrap();
    assert!(rest.starts_with("b:c|d | 2\n::endgroup::\n"), "{rest}");
    ended.says("\n::error title=b%3Ac|d::exit code 3, after 0.");
    ended.says("s%0A50%25%0A2\n");
    let table = sandbox.read("summary");
    assert!(
        table.starts_with("### taskgroup: 1 failed, 1 succeeded in 0."),
        "{table}"
    );
    let (bad, good) = (table.find("| ❌ | b:c\\|d |"), table.find("| ✅ | a |"));
    assert!(bad.is_some() && bad < good, "{table}");
    // Lines that are shown at once cannot be folded, and no system means nothing of that.
    in_ci(
        &sandbox,
        "GITHUB_ACTIONS",
        &[&["-ostream"], &args[..]].concat(),
    )
    .says_not("::group::")
    .says("::error title=");
    in_ci(
        &sandbox,
        "GITHUB_ACTIONS",
        &[&["--ci=none"], &args[..]].concat(),
    )
    .says_not("::");
    in_ci(&sandbox, "CI", &args).says_not("::");
    // Where nothing is shown there is nothing to fold.
    let failures = in_ci(
        &sandbox,
        "GITHUB_ACTIONS",
        &[&["-ofailures"], &args[..]].concat(),
    );
    failures.says("\n::group::[2/2] b:c|d: exit code 3");
    assert!(
        failures.err.starts_with("[1/2] a: after 0."),
        "{}",
        failures.err
    );
}

#[test]
fn gitlab_gets_sections_and_teamcity_tests() {
    let sandbox = Sandbox::new();
    let args = [
        "-k",
        "-j1",
        "--names=a,b",
        "echo 1 >&2",
        "echo 2 >&2; exit 3",
    ];
    let ended = in_ci(&sandbox, "GITLAB_CI", &args);
    ended
        .code(1)
        .says("_0[collapsed=true]\r\x1b[0K[1/2] a: after 0.");
    ended.says("_1[collapsed=false]\r\x1b[0K[2/2] b: exit code 3");
    let count = |part| ended.err.matches(part).count();
    assert_eq!(
        (count("\x1b[0Ksection_start:"), count("\x1b[0Ksection_end:")),
        (2, 2)
    );
    let ended = sandbox.run(&[&["--ci=teamcity"], &args[..]].concat());
    ended
        .code(1)
        .says("##teamcity[blockOpened name='|[1/2|] a: after");
    ended.says("##teamcity[testFailed name='b' message='exit code 3, after 0.");
    ended.says("details='2' flowId='taskgroup-1']");
    assert_eq!(
        ended.err.matches("##teamcity[testFinished name=").count(),
        2
    );
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
    let file = sandbox.word("trace.json");
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

/// Presses keys wherever the focus is, and shows what came of it.
const PRESS: &str = r#"<script>
const mark = document.documentElement.dataset;
const opened = () =>
  get("details").querySelector("h2")?.textContent + (window.inSight ? ", in sight" : ", hidden");
const pressed = key => new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
const press = key => document.activeElement.dispatchEvent(pressed(key));
mark.size = innerWidth + "x" + innerHeight;
mark.sideways = document.documentElement.scrollWidth > innerWidth;
mark.opened = opened();
mark.apart = ticks().every((at, n, all) => n === 0 || x(at) - x(all[n - 1]) > 54);
document.activeElement.blur();
press("End"); mark.end = opened();
press("f"); mark.next = opened();
press("ArrowDown"); mark.below = opened();
press("f"); mark.back = opened();
press("/"); mark.typing = document.activeElement.id;
press("f"); mark.typed = opened();
</script></body>"#;

#[test]
#[ignore = "needs Chromium; `.ci/run page` runs it where there is one"]
fn chromium_opens_at_the_failure_and_takes_keys() {
    let sandbox = Sandbox::new();
    let folder = browser::Folder::new("sight");
    let file = folder.path("page.html");
    let items: Vec<String> = (0..200).map(|n| format!("item-{n}")).collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    let report = file.to_str().unwrap();
    // Much in the details, and a long title.
    let text = "[ {} != item-120 ] || { seq 100 >&2; exit 3; }; : a command with a long text that \
                makes a title of several lines on a small screen, and with many words";
    let args = ["-k", "-j4", "--report", report, text, ":::"];
    sandbox.verb("map", &[&args[..], &items].concat()).code(1);
    let page = fs::read_to_string(&file).unwrap();
    fs::write(&file, page.replace("</body>", PRESS)).unwrap();
    for (wide, high) in [(1200, 900), (360, 640), (800, 400)] {
        // A window has no size of one's choice, a frame has. It hands out what its page shows.
        let frame = folder.path("frame.html");
        let text = format!(
            "<!doctype html><iframe src=page.html width={wide} height={high} style='border:0' \
             onload='document.title = this.contentDocument.documentElement.outerHTML'>"
        );
        fs::write(&frame, text).unwrap();
        let dom = browser::dom(&folder, &frame, "");
        let root = dom.split_once("<title>").unwrap().1;
        let root = root.split_once("&gt;").unwrap().0;
        let size = format!("data-size=\"{wide}x{high}\"");
        for part in [
            &*size,
            "data-sideways=\"false\"",
            "data-apart=\"true\"",
            "data-opened=\"task item-120 [120], in sight\"",
            "data-end=\"task item-199 [199], in sight\"",
            "data-next=\"task item-120 [120], in sight\"",
            "data-below=\"task item-121 [121], in sight\"",
            "data-back=\"task item-120 [120], in sight\"",
            "data-typing=\"filter\"",
            "data-typed=\"task item-120 [120], in sight\"",
        ] {
            assert!(root.contains(part), "no {part} in {root}");
        }
        let about = dom.split_once("&lt;p id=\"about\"&gt;").unwrap().1;
        assert!(about.starts_with("20") && about.contains("Z · "), "{about}");
    }
}

#[test]
fn a_cause_ends_before_what_it_causes() {
    let sandbox = Sandbox::new();
    let trace = sandbox.word("trace");
    let names = "--names=culprit,victim";
    let args = [
        "--trace",
        &trace,
        names,
        "sleep 0.05; exit 1",
        "exec sleep 100",
    ];
    for _ in 0..5 {
        sandbox.run(&args).code(1);
        let trace: Value = serde_json::from_str(&sandbox.read("trace")).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let slice = |name: &str, lane: &Value| {
            let of = |e: &&Value| e["ph"] == "X" && e["name"] == name;
            let mut found = events
                .iter()
                .filter(of)
                .filter(|e| *lane == Value::Null || e["tid"] == *lane);
            let one = found.next().unwrap();
            let (at, lasts) = (one["ts"].as_f64().unwrap(), one["dur"].as_f64().unwrap());
            (at, at + lasts, one["tid"].clone())
        };
        let (_, ended, _) = slice("culprit", &Value::Null);
        let (_, _, lane) = slice("victim", &Value::Null);
        let victim = events
            .iter()
            .filter(|e| e["name"] == "cancelling" && e["tid"] == lane);
        let cancelled = victim
            .filter_map(|e| e["ts"].as_f64())
            .fold(f64::MAX, f64::min);
        assert!(ended <= cancelled + 0.001, "{ended} {cancelled}");
    }
}

#[test]
fn each_attempt_is_a_bar() {
    let sandbox = Sandbox::new();
    let (page, trace) = (sandbox.word("page"), sandbox.word("trace"));
    let args = [
        "--report",
        &page,
        "--trace",
        &trace,
        "--retries=2",
        "--backoff=1ms",
    ];
    let text = "echo \"said $TASKGROUP_ATTEMPT\"; [ $TASKGROUP_ATTEMPT = 2 ]";
    sandbox
        .run(&[&args[..], &["--names=shaky", text]].concat())
        .code(0);
    let trace: Value = serde_json::from_str(&sandbox.read("trace")).unwrap();
    chrome_trace::validate(&trace).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let slice = |name: &str| {
        let mut found = events
            .iter()
            .filter(|e| e["ph"] == "X" && e["name"] == name);
        let (one, none) = (found.next().unwrap(), found.next());
        assert!(none.is_none());
        let begin = one["ts"].as_f64().unwrap();
        (
            begin,
            begin + one["dur"].as_f64().unwrap(),
            one["args"]["outcome"].clone(),
        )
    };
    let (whole, first, second) = (
        slice("shaky"),
        slice("shaky (attempt 1)"),
        slice("shaky (attempt 2)"),
    );
    // Sums of fractions are exact to a nanosecond.
    assert!(whole.0 <= first.0 && first.1 < second.0 && second.1 <= whole.1 + 0.001);
    assert_eq!(
        (&first.2, &second.2),
        (&"failed".into(), &"succeeded".into())
    );
    let page = sandbox.read("page");
    assert!(page.contains("said 1") && page.contains("said 2"));
}

#[test]
fn the_page_holds_everything_by_itself() {
    let sandbox = Sandbox::new();
    let page = sandbox.word("page.html");
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

/// Each of the flags that name a file to write.
const WRITTEN: [&str; 6] = [
    "--json", "--resume", "--junit", "--trace", "--report", "--joblog",
];

#[test]
fn files_that_cannot_be_written_are_told_before_anything_runs() {
    let sandbox = Sandbox::new();
    let touch = "touch \"$DIR/x\"";
    for flag in WRITTEN {
        sandbox
            .run(&[flag, "/nowhere/x", touch])
            .code(74)
            .says("nothing was started: ")
            .says(&format!(
                "{flag} /nowhere/x cannot be written: there is no folder /nowhere"
            ));
    }
    sandbox
        .run(&["--results", "/dev/null/x", touch])
        .code(74)
        .says("--results /dev/null/x cannot be written: /dev/null is no folder");
    let file = sandbox.file("plain", "");
    sandbox
        .run(&["--results", &file, touch])
        .code(74)
        .says(&format!("{file} is no folder, and a folder is needed"));
    sandbox
        .run(&["--json", &sandbox.word("."), touch])
        .code(74)
        .says("it is a folder, and a file is needed");
    // Others are not touched by a run that is refused.
    let old = sandbox.file("old", "old\n");
    let new = sandbox.word("new");
    let args = [
        "--json",
        &old,
        "--trace",
        &new,
        "--junit",
        "/nowhere/x",
        touch,
    ];
    sandbox.run(&args).code(74);
    assert_eq!(sandbox.read("old"), "old\n");
    assert!(!sandbox.path("new").exists());
    sandbox
        .run(&["--resume", "/", touch])
        .code(2)
        .says("--resume / cannot be read");
    let other = sandbox.file("other", "not json\n");
    sandbox
        .run(&["--resume", &other, touch])
        .code(2)
        .says("line 1");
    assert!(!sandbox.path("x").exists());
}

#[test]
fn files_that_get_full_are_told_at_the_end() {
    let sandbox = Sandbox::new();
    for flag in ["--junit", "--trace", "--report", "--json", "--joblog"] {
        sandbox
            .run(&[flag, "/dev/full", "true"])
            .code(74)
            .says("could not be written: /dev/full: No space left");
    }
}

#[test]
fn one_file_under_two_names_is_refused() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("file", "old\n");
    let link = sandbox.word("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let hard = sandbox.word("hard");
    fs::hard_link(&file, &hard).unwrap();
    for other in [&link, &hard] {
        for flag in ["--junit", "--trace", "--report", "--joblog"] {
            sandbox
                .run(&["--json", &file, flag, other, "touch \"$DIR/x\""])
                .code(2)
                .says(&format!("--json and {flag} would write the same file"));
        }
    }
    assert_eq!(sandbox.read("file"), "old\n");
    let tasks = sandbox.file("tasks.toml", "[tasks.a]\nrun = 'touch \"$DIR/x\"'\n");
    sandbox
        .run(&["-f", &tasks, "--junit", &tasks])
        .code(2)
        .says(&format!(
            "--junit would overwrite {tasks}, which the run reads"
        ));
    sandbox
        .verb(
            "map",
            &["--json", &file, "touch \"$DIR/x\" {}", "::::", &link],
        )
        .code(2)
        .says(&format!(
            "--json would overwrite {link}, which the run reads"
        ));
    let mut shell = sandbox.by_shell(&format!("exec \"$@\" < '{file}'"));
    Running::of(shell.args(["map", "--json", &link, "touch \"$DIR/x\" {}"]))
        .ended()
        .code(2)
        .says("--json would overwrite the standard input");
    assert!(!sandbox.path("x").exists());
    assert_eq!(sandbox.read("file"), "old\n");
}

#[test]
fn a_pipe_without_a_reader_keeps_no_signal_out() {
    let sandbox = Sandbox::new();
    sandbox.fifo("pipe");
    let pipe = sandbox.word("pipe");
    for flag in ["--json", "--junit", "--report", "--joblog"] {
        for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
            let mut running = sandbox.start(&[flag, &pipe, "touch \"$DIR/x\""]);
            let pid = running.child().id();
            // A thread of its own waits for the reader. By then the signals are caught.
            wait_for("no thread opens it", move || {
                threads(pid).iter().any(|name| name == "open")
            });
            running.signal(signal);
            running
                .ended()
                .code(code)
                .says("nothing was started: stopped by SIG");
        }
    }
    assert!(!sandbox.path("x").exists());
}

#[test]
fn a_dash_is_the_standard_output() {
    let sandbox = Sandbox::new();
    for (flag, part) in [
        ("--json", "\"event\":\"end\""),
        ("--junit", "</testsuites>"),
        ("--joblog", "Exitval"),
        ("--report", "</html>"),
    ] {
        let ended = sandbox.run(&["-o", "quiet", flag, "-", "echo x"]);
        ended.code(0);
        assert!(ended.out().contains(part), "{flag}: {}", ended.out());
    }
    let both = sandbox.run(&["--json", "-", "--junit", "-", "true"]);
    both.code(2)
        .says("--json and --junit would write the same file");
}

/// The file is that of the standard output: neither may overwrite what the other has written.
#[test]
fn a_file_that_is_the_standard_output_is_shared() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("file", "");
    for name in ["/dev/stdout", &file] {
        let mut shell = sandbox.by_shell(&format!("exec \"$@\" > '{file}'"));
        let args = ["run", "--json", name, "--names=a", "seq 1000"];
        Running::of(shell.args(args)).ended().code(0);
        let text = sandbox.read("file");
        let (events, output): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with('{'));
        assert_eq!(events.len(), 4, "{text}");
        let expected: Vec<String> = (1..=1000).map(|n| format!("a | {n}")).collect();
        assert_eq!(output, expected);
    }
}

/// The names of the threads of a process.
fn threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).collect()
}

#[test]
fn a_pipe_gets_what_a_file_gets() {
    let sandbox = Sandbox::new();
    for flag in ["--json", "--junit", "--report", "--joblog"] {
        let name = &flag[2..];
        sandbox.fifo(name);
        let pipe = sandbox.word(name);
        let running = sandbox.start(&[flag, &pipe, "--names=one", "true"]);
        let text = sandbox.hear(name);
        running.ended().code(0);
        assert!(text.contains("one") || flag == "--joblog", "{flag}: {text}");
        assert!(!text.is_empty());
    }
}

#[test]
fn a_reader_that_reads_nothing_keeps_no_signal_out() {
    let sandbox = Sandbox::new();
    sandbox.fifo("pipe");
    sandbox.fifo("ready");
    let pipe = sandbox.word("pipe");
    // What is written when it ends is more than a pipe holds.
    let command = format!("{} echo x > \"$DIR/ready\"; sleep 100", ":;".repeat(50_000));
    let running = sandbox.start(&["--json", &pipe, NEVER, &command]);
    let reader = guarded("a pipe without a writer", move || {
        fs::File::open(pipe).unwrap()
    });
    sandbox.hear("ready");
    running.signal(Signal::TERM);
    running.ended().code(143).says("nothing read it");
    drop(reader);
}

#[test]
fn a_resumed_run_does_what_was_not_done() {
    let sandbox = Sandbox::new();
    let record = sandbox.word("record");
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
    // A heading comes before its lines.
    let (heading, line) = (group.err.find("[1/2] a: after"), group.err.find("a | 2\n"));
    assert!(heading < line, "{}", group.err);
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
fn what_is_hidden_is_in_the_report_only() {
    let sandbox = Sandbox::new();
    for mode in ["stream", "group"] {
        let args = [
            "-k",
            "-j1",
            "-o",
            mode,
            "--hide=b",
            "--names=a,b",
            "echo 1",
            "echo 2; exit 1",
        ];
        let ended = sandbox.run(&args);
        assert_eq!(ended.code(1).out(), "a | 1\n");
        ended.says("FAILED b: ").says("    | 2\n");
    }
    sandbox
        .run(&["--hide=c", "--names=a", "true"])
        .code(2)
        .says("--hide: no command has the name \"c\"");
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
