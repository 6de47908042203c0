//! Reads the sources and finds calls of foreign code that go around `scope/gate.rs` (S39, G1, G2).
//!
//! It knows words, not types. So it finds what is usual: a panic that is caught elsewhere, a waker that is cloned or woken elsewhere, the text
//! or the source of an error that is asked for elsewhere, a future that the engine polls elsewhere. What is no foreign code, and looks like
//! it, stands in [`ALLOWED`] with the reason.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What is not looked at: the gate itself, tests, models of the schedule checker, and the tools for tests of users, whose driver stands for
/// Tokio's.
const SKIPPED: [&str; 5] = [
    "scope/gate.rs",
    "scope/models/",
    "scope/driver/model.rs",
    "testing/",
    "error/tests/",
];

/// `file: line`, and why it is no bypass.
const ALLOWED: &[(&str, &str)] = &[
    ("scope/tree.rs: waker.wake();", STORED),
    (
        "scope/driver/light.rs: Call::Wake(waker) => waker.wake(),",
        STORED,
    ),
    ("scope/driver/light.rs: waker.wake();", STORED),
    (
        "scope/task.rs: match self.project().future.poll(cx) {",
        "an adaptor inside the future of a task, which is polled through the gate",
    ),
    (
        "scope/task.rs: if let Poll::Ready(output) = future.poll(cx) {",
        "the closure that `gate::call` calls a few lines below",
    ),
    (
        "scope/dated.rs: let polled = self.project().future.poll(cx);",
        "an adaptor inside code that is polled through the gate",
    ),
    ("scope/tree/spread.rs: waker.wake();", STORED),
    (
        "scope/tree/spread.rs: sections.for_each(|(_, waker)| waker.wake());",
        STORED,
    ),
    (
        "scope/group.rs: Some(Next::Waiter(waker)) => waker.wake(),",
        STORED,
    ),
    (
        "scope/timer.rs: Alarm::Wake(waker) => waker.wake(),",
        STORED,
    ),
    (
        "scope/extra.rs: _ => _ = self.rare_or_new().drive.get_or_init(|| waker.clone()),",
        TOKIO,
    ),
    (
        "scope/extra.rs: let counted = ManuallyDrop::new(waker.clone());",
        TOKIO,
    ),
    (
        "scope/node.rs: static WAKER: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);",
        OURS,
    ),
    (
        "scope/node.rs: unsafe fn wake_by_ref(data: *const ()) {",
        OURS,
    ),
    (
        "handle.rs: Self::Failed(failure) => failure.source(),",
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
        "observe/stall.rs: panic!(\"the thread that watches for blocking tasks does not start: {error}\");",
        "an error of the standard library",
    ),
    (
        "observe/signal.rs: let runtime = runtime.unwrap_or_else(|error| panic!(\"no runtime for signals: {error}\"));",
        "an error of the standard library",
    ),
    (
        "observe/signal.rs: Err(error) => panic!(\"signal {} cannot be handled: {error}\", kind.as_raw_value()),",
        "an error of the standard library",
    ),
    (
        "observe/signal.rs: Err(error) => panic!(\"no thread for signals: {error}\"),",
        "an error of the standard library",
    ),
    (
        "start.rs: write!(f, \"the task failed before it was ready: {error}\")",
        "a text that came through the gate",
    ),
];
const STORED: &str = "a `StoredWaker`, whose wake is the gate's";
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
        gated = if code.contains("gate::call") {
            6
        } else {
            gated.saturating_sub(1)
        };
        let what = what_is_wrong(&code, is_engine && gated == 0);
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

fn what_is_wrong(code: &str, polls: bool) -> Option<&'static str> {
    let has = |words: &[&str]| words.iter().any(|word| code.contains(word));
    if has(&["catch_unwind"]) && !code.starts_with("use ") {
        return Some("catches a panic");
    }
    if has(&["wake_by_ref"]) && !has(&["gate::wake_by_ref"]) {
        return Some("wakes");
    }
    if has(&["waker.wake()", "waker().wake()", "waker().clone().wake()"])
        || has(&["Waker::wake"]) && !has(&["StoredWaker::wake"])
    {
        return Some("wakes");
    }
    if has(&["waker.clone()", "waker().clone()", "clone_from(waker"]) || has(&["Waker::clone"]) {
        return Some("clones a waker");
    }
    if has(&[".source()", "Error::source"]) {
        return Some("asks an error for its source");
    }
    if has(&[
        "error.to_string()",
        "cause.to_string()",
        "{error}",
        "{error:",
        "{cause}",
        "{cause:",
        "error.fmt(",
    ]) {
        return Some("asks an error for its text");
    }
    if polls && has(&[".poll(cx)", ".poll(&mut "]) && !has(&["gate::"]) {
        return Some("polls a future");
    }
    None
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

// Each kind of bypass is found where it is planted, and not in tests and comments.
#[test]
fn a_planted_bypass_is_found() {
    let planted = [
        "    let _ = std::panic::catch_unwind(|| drop(value));",
        "    waker.wake();",
        "    cx.waker().wake_by_ref();",
        "    wakers.into_iter().for_each(Waker::wake);",
        "    let kept = cx.waker().clone();",
        "    let kept = waker.clone();",
        "    let next = error.source();",
        "    let text = error.to_string();",
        "    let text = format!(\"failed: {error}\");",
        "    let polled = future.as_mut().poll(cx);",
    ];
    for bypass in planted {
        let source = format!(
            "use std::panic::catch_unwind;\n// {bypass}\n/// {bypass}\nfn planted() {{\n{bypass}\n}}\n\
             #[cfg(all(test, not(loom)))]\nmod tests {{\n{bypass}\n}}\n"
        );
        let lines: Vec<usize> = bypasses(&source, true)
            .iter()
            .map(|found| found.line)
            .collect();
        assert_eq!(lines, [5], "{bypass}");
        let after = format!("#[cfg(test)]\nmod tests {{\n}}\n{bypass}\n");
        assert_eq!(bypasses(&after, true).len(), 1, "{bypass}");
    }
    let right = "    let polled = gate::call(|| future.as_mut().poll(cx));\n    gate::wake_by_ref(cx.waker());\n    \
                 let text = gate::text(&error);\n    wakers.into_iter().for_each(StoredWaker::wake);";
    assert!(bypasses(right, true).is_empty());
    assert!(bypasses("    future.as_mut().poll(cx)", false).is_empty());
}
