//! Reads the sources and finds calls of foreign code that go around `gate.rs` (S39, G1, G2).
//!
//! It knows words, not types. So it finds what is usual; [`RULES`] lists the kinds, each with
//! examples. What is no foreign code, and looks like it, stands in [`ALLOWED`] with the reason.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What is not looked at: the gate itself, tests, models of the schedule checker, and the tools for
/// tests of users, whose driver stands for Tokio's.
const SKIPPED: [&str; 6] = [
    "gate.rs",
    "scope/models/",
    "scope/driver/model.rs",
    "testing/",
    "error/tests/",
    "scope/tests.rs",
];

/// `file: line`, and why it is no bypass.
const ALLOWED: &[(&str, &str)] = &[
    ("scope/tree/wakers.rs: waker.wake();", STORED),
    ("scope/spans/site.rs: callsite::register(self);", SITE),
    (
        "scope/spans/site.rs: _ => to.enabled(Callsite::metadata(self)),",
        SITE,
    ),
    ("scope/spans/site.rs: id: to.new_span(&span),", SITE),
    (
        "scope/spans/mod.rs: span.to.record(&span.id, &Record::new(&values));",
        SITE,
    ),
    (
        "scope/spans/mod.rs: dispatcher::get_default(|current| {",
        "in what `at` hands to the gate by `record`",
    ),
    (
        "scope/spans/mod.rs: let is_inside = current.current_span().id().is_some();",
        "called by `at`, in what it hands to the gate",
    ),
    ("scope/tree/deferred.rs: drop(waker);", STORED),
    ("local_group.rs: waker.wake();", STORED),
    (
        "scope/driver/light.rs: PumpCall::Wake(waker) => waker.wake(),",
        STORED,
    ),
    ("scope/driver/light.rs: waker.wake();", STORED),
    (
        "scope/driver/tokio_task.rs: Self::Child(child) => child.poll(cx),",
        "the driver, as Tokio polls it",
    ),
    (
        "scope/driver/tokio_task.rs: Self::Other(other) => other.as_mut().as_mut().poll(cx),",
        "a future of the engine, as Tokio polls it",
    ),
    (
        "scope/task/kept.rs: match self.project().future.poll(cx) {",
        "an adaptor inside the future of a task, which is polled through the gate",
    ),
    (
        "scope/task/stage.rs: let value = match future.poll(cx) {",
        "what `poll_future` calls by the table of the task, through `gate::call`",
    ),
    (
        "scope/dated.rs: let polled = self.project().future.poll(cx);",
        "an adaptor inside code that is polled through the gate",
    ),
    ("scope/tree/spread.rs: None => waker.wake(),", STORED),
    (
        "scope/group/limit.rs: PlaceGoesTo::Waiter(waker) => waker.wake(),",
        STORED,
    ),
    (
        "scope/time/alarm.rs: (Self::Wake(waker), _) => waker.wake(),",
        STORED,
    ),
    (
        "scope/task/extra.rs: _ => _ = self.rare_or_new().drive.get_or_init(|| waker.clone()),",
        TOKIO,
    ),
    (
        "scope/task/extra.rs: let counted = ManuallyDrop::new(waker.clone());",
        TOKIO,
    ),
    (
        "scope/task/waker.rs: static WAKER: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);",
        OURS,
    ),
    (
        "scope/task/waker.rs: unsafe fn wake_by_ref(data: *const ()) {",
        OURS,
    ),
    (
        "scope/task/outcome.rs: Self::Failed(failure) => failure.source(),",
        "a failure is ours, and its source goes through the gate",
    ),
    (
        "runner.rs: Err(error) => panic!(\"cannot build a Tokio runtime: {error}\"),",
        "an error of the standard library",
    ),
    (
        "runner.rs: Err(error) => panic!(\"{error}\"),",
        "a run's error is ours",
    ),
    (
        "observe/stall.rs: panic!(\"`report_blocking`: its thread cannot be started: {error}\");",
        "an error of the standard library",
    ),
    (
        "observe/signal.rs: panic!(\"`tree_on_signal`: signal {number} cannot be handled: {error}\")",
        "an error of the standard library",
    ),
    (
        "observe/signal.rs: Err(error) => panic!(\"`tree_on_signal`: its thread cannot be started: {error}\"),",
        "an error of the standard library",
    ),
    (
        "scope/task/outcome.rs: write!(f, \"the task failed before it was ready: {error}\")",
        "a text that came through the gate",
    ),
];
const SITE: &str = "called by `scope/spans/mod.rs` alone, in what it hands to the gate";
const STORED: &str = "a `StoredWaker`, whose wake and drop are the gate's";
const TOKIO: &str = "Tokio's waker of the task that drives a child, outside any lock";
const OURS: &str = "the table of our own wakers";

struct Found {
    line: usize,
    text: String,
    what: &'static str,
}

/// The bypasses in `source`. `is_engine`: futures that are polled are looked for as well.
fn bypasses(source: &str, is_engine: bool) -> Vec<Found> {
    let mut found = Vec::new();
    let mut test_item = false;
    let mut test_module = false;
    let mut gated = 0_usize;
    for (number, raw) in source.lines().enumerate() {
        if test_module {
            // A module at the margin ends there.
            test_module = raw != "}";
            continue;
        }
        let line = raw.trim();
        if line.starts_with("#[cfg(")
            && line.contains("test")
            && !line.contains("not(test")
            && !line.contains("feature = \"testing\"")
        {
            test_item = true;
            continue;
        }
        if test_item && !line.starts_with("#[") {
            test_item = false;
            if raw.starts_with("mod ") && raw.ends_with('{') {
                test_module = true;
            }
            continue;
        }
        let code = code_of(line);
        // What is handed to the gate most often begins some lines before.
        gated = if has(
            &code,
            &["gate::call", "span.event(|span|", "tell_recorder(||"],
        ) {
            6
        } else {
            gated.saturating_sub(1)
        };
        let what = what_is_wrong(&code, is_engine, gated > 0);
        if let Some(what) = what {
            let text = line.to_owned();
            found.push(Found {
                line: number + 1,
                text,
                what,
            });
        }
    }
    found
}

/// The line without a comment.
fn code_of(line: &str) -> String {
    if line.starts_with("//") {
        return String::new();
    }
    line.split(" // ").next().unwrap_or_default().to_owned()
}

/// A kind of bypass: how the reader finds it, and an example of it beside one of what only looks
/// like it.
struct Rule {
    what: &'static str,
    finds: fn(&str) -> bool,
    /// Only where the engine's own code is read.
    engine_only: bool,
    /// Not in a closure that is handed to the gate.
    unless_gated: bool,
    planted: &'static [&'static str],
    harmless: &'static [&'static str],
}

fn has(code: &str, words: &[&str]) -> bool {
    words.iter().any(|word| code.contains(word))
}

const RULES: &[Rule] = &[
    Rule {
        what: "catches a panic",
        finds: |code| code.contains("catch_unwind") && !code.starts_with("use "),
        engine_only: false,
        unless_gated: false,
        planted: &["let _ = std::panic::catch_unwind(|| drop(value));"],
        harmless: &[
            "use std::panic::catch_unwind;",
            "let caught = gate::call(|| drop(value));",
        ],
    },
    Rule {
        what: "wakes by reference",
        finds: |code| code.contains("wake_by_ref") && !code.contains("gate::wake_by_ref"),
        engine_only: false,
        unless_gated: false,
        planted: &["cx.waker().wake_by_ref();"],
        harmless: &["gate::wake_by_ref(cx.waker());"],
    },
    Rule {
        what: "wakes",
        finds: |code| {
            let calls = ["waker.wake()", "waker().wake()", "waker().clone().wake()"];
            has(code, &calls) || code.contains("Waker::wake") && !code.contains("StoredWaker::wake")
        },
        engine_only: false,
        unless_gated: false,
        planted: &[
            "waker.wake();",
            "cx.waker().clone().wake();",
            "wakers.into_iter().for_each(Waker::wake);",
        ],
        harmless: &[
            "wakers.into_iter().for_each(StoredWaker::wake);",
            "scope.wake();",
        ],
    },
    Rule {
        what: "clones a waker",
        finds: |code| {
            let calls = [
                "waker.clone()",
                "waker().clone()",
                "clone_from(waker",
                "Waker::clone",
            ];
            has(code, &calls)
        },
        engine_only: false,
        unless_gated: false,
        planted: &[
            "let kept = cx.waker().clone();",
            "let kept = waker.clone();",
            "kept.clone_from(waker);",
            "let kept = known.map(Waker::clone);",
        ],
        harmless: &[
            "let kept = gate::clone_waker(cx.waker());",
            "let kept = task.clone();",
        ],
    },
    Rule {
        what: "asks an error for its source",
        finds: |code| has(code, &[".source()", "Error::source"]),
        engine_only: false,
        unless_gated: false,
        planted: &[
            "let next = error.source();",
            "let next = error.and_then(Error::source);",
        ],
        harmless: &[
            "let next = gate::source(error);",
            "let source = self.source;",
        ],
    },
    Rule {
        what: "asks an error for its text",
        finds: |code| {
            let calls = ["error.to_string()", "cause.to_string()", "error.fmt("];
            let formats = ["{error}", "{error:", "{cause}", "{cause:"];
            has(code, &calls) || has(code, &formats)
        },
        engine_only: false,
        unless_gated: false,
        planted: &[
            "let text = error.to_string();",
            "let text = format!(\"failed: {error}\");",
            "write!(f, \"{cause:#}\")",
            "error.fmt(f)",
        ],
        harmless: &[
            "let text = gate::text(&error);",
            "let text = name.to_string();",
        ],
    },
    Rule {
        what: "polls a future",
        finds: |code| has(code, &[".poll(cx)", ".poll(&mut "]) && !code.contains("gate::"),
        engine_only: true,
        unless_gated: true,
        planted: &[
            "let polled = future.as_mut().poll(cx);",
            "let polled = future.as_mut().poll(&mut cx);",
        ],
        harmless: &[
            "let polled = gate::call(|| future.as_mut().poll(cx));",
            "let polled = self.poll_done(cx.waker());",
        ],
    },
    Rule {
        what: "tells a `tracing` subscriber",
        finds: |code| {
            let macros = [
                "error", "warn", "info", "debug", "trace", "event", "enabled", "span",
            ];
            let calls = |name: &&str| code.contains(&format!("tracing::{name}!("));
            let spans = [
                "info_span!(",
                "debug_span!(",
                "tracing::Span,",
                "Dispatch::",
                "dispatcher::get_default(",
                "dispatcher::with_default(",
                "callsite::register(",
                "Span::child_of(",
                "Span::new(metadata",
                ".record_all(",
                ".new_span(",
                "to.enabled(",
                "to.record(",
                "to.enter(",
                "to.exit(",
                ".try_close(opened",
                ".clone_span(",
                ".current_span(",
            ];
            macros.iter().any(calls) || has(code, &spans)
        },
        engine_only: false,
        unless_gated: true,
        planted: &[
            "tracing::debug!(target: \"taskgroup\", \"cancelled\");",
            "if tracing::enabled!(tracing::Level::DEBUG) {",
            "let span = info_span!(target: \"taskgroup\", \"task\");",
            "pub(crate) span: tracing::Span,",
            "tracing::dispatcher::get_default(|to| to.enabled(metadata))",
            "dispatcher::with_default(&to, || tell());",
            "callsite::register(site);",
            "let span = Span::child_of(parent, metadata, &values);",
            "None => Span::new(metadata, &values),",
            "span.record_all(&values);",
            "let id = to.new_span(&attributes);",
            "opened.to.enter(&opened.id);",
            "opened.to.try_close(opened.id)",
        ],
        harmless: &[
            "header.span.event(|span| tell(span));",
            "let _entered = header.span.enter();",
            "pub(crate) span: spans::Span,",
        ],
    },
    Rule {
        what: "tells a recorder of `metrics`",
        finds: |code| {
            let macros = ["counter", "gauge", "histogram"];
            let calls = |name: &&str| code.contains(&format!("{name}!("));
            macros.iter().any(calls) || code.contains("metrics::with_recorder(")
        },
        engine_only: false,
        unless_gated: true,
        planted: &[
            "metrics::counter!(STARTED, \"name\" => name).increment(1);",
            "metrics::gauge!(RUNNING).decrement(1.0);",
            "metrics::describe_histogram!(DURATION, \"how long\");",
            "metrics::with_recorder(|to| to.register_counter(&key, &metadata));",
        ],
        harmless: &[
            "gate::call_or_report(RECORDER, || metrics::counter!(STARTED).increment(1));",
            "header.meter.started(name);",
        ],
    },
    Rule {
        what: "drops what is foreign by hand",
        finds: |code| {
            let values = [
                "waker", "payload", "error", "cleanup", "future", "output", "hook",
            ];
            values.iter().any(|value| {
                has(
                    code,
                    &[&format!("drop({value})"), &format!("drop({value}.")],
                )
            })
        },
        engine_only: true,
        unless_gated: true,
        planted: &[
            "drop(cleanup);",
            "return drop(payload);",
            "None => drop(error),",
        ],
        harmless: &[
            "gate::drop_or_report(\"a cleanup\", cleanup);",
            "drop(inner);",
        ],
    },
];

fn what_is_wrong(code: &str, is_engine: bool, gated: bool) -> Option<&'static str> {
    let applies = |rule: &&Rule| {
        (is_engine || !rule.engine_only) && !(gated && rule.unless_gated) && (rule.finds)(code)
    };
    RULES.iter().find(applies).map(|rule| rule.what)
}

fn sources(under: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(under)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

// S39, G1, G2
#[test]
fn foreign_code_is_called_through_the_gate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 50, "the sources are not where they were");
    let mut unused: HashSet<&str> = ALLOWED.iter().map(|(line, _)| *line).collect();
    let mut wrong = Vec::new();
    for file in files {
        let name = file
            .strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/");
        if SKIPPED.iter().any(|skipped| name.starts_with(skipped)) {
            continue;
        }
        let is_engine = name.starts_with("scope/");
        for found in bypasses(&fs::read_to_string(&file).unwrap(), is_engine) {
            let key = format!("{name}: {}", found.text);
            match ALLOWED.iter().find(|(allowed, _)| *allowed == key) {
                Some((allowed, _)) => _ = unused.remove(allowed),
                None => wrong.push(format!(
                    "src/{name}:{}: {}: {}",
                    found.line, found.what, found.text
                )),
            }
        }
    }
    wrong.extend(
        unused
            .iter()
            .map(|line| format!("allowed, and not there: {line}")),
    );
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

// Each kind of bypass is found where it is planted, as that kind, and not in comments, imports and
// tests. What only looks like it is not found.
#[test]
fn a_planted_bypass_is_found() {
    for rule in RULES {
        assert!(!rule.planted.is_empty() && !rule.harmless.is_empty());
        for bypass in rule.planted {
            let source = format!(
                "use std::panic::catch_unwind;\n// {bypass}\n/// {bypass}\nfn planted() {{\n    {bypass}\n}}\n\
                 #[cfg(all(test, not(loom)))]\nmod tests {{\n    {bypass}\n}}\n"
            );
            let found = bypasses(&source, true);
            let found: Vec<_> = found.iter().map(|found| (found.line, found.what)).collect();
            assert_eq!(found, [(5, rule.what)], "{bypass}");
            let after = format!("#[cfg(test)]\nmod tests {{\n}}\n    {bypass}\n");
            assert_eq!(bypasses(&after, true).len(), 1, "{bypass}");
            let elsewhere = bypasses(&source, false).len();
            assert_eq!(elsewhere, usize::from(!rule.engine_only), "{bypass}");
        }
        for right in rule.harmless {
            let found = bypasses(&format!("fn right() {{\n    {right}\n}}\n"), true);
            let found: Vec<_> = found.iter().map(|found| found.what).collect();
            assert!(found.is_empty(), "{right}: {found:?}");
        }
    }
    // Code behind a comment counts, and a comment behind code does not.
    assert_eq!(bypasses("    waker.wake(); // now\n", true).len(), 1);
    assert!(bypasses("    now(); // waker.wake();\n", true).is_empty());
    // What is handed to the gate may begin some lines above, and ends.
    let below = |lines: usize| {
        let between = "    between();\n".repeat(lines);
        format!("    gate::call(|| {{\n{between}    future.poll(cx)\n")
    };
    assert!(bypasses(&below(2), true).is_empty());
    assert_eq!(bypasses(&below(8), true).len(), 1);
    let (planted, harmless) = RULES.iter().fold((0, 0), |(planted, harmless), rule| {
        (planted + rule.planted.len(), harmless + rule.harmless.len())
    });
    println!(
        "gate reader: {} kinds of bypass checked, by {planted} planted and {harmless} harmless lines",
        RULES.len()
    );
}
