//! Reads the sources of the engine and asks each `unsafe` and each order of an atomic for its
//! reason.
//!
//! - An `unsafe` block or impl has a comment `// SAFETY:` right before it, and an `unsafe fn` a
//!   section `# Safety` in its documentation. It argues from an invariant, which it names by its
//!   label.
//! - An order other than `Relaxed` has a comment in the same function, or in the documentation of
//!   that, with a line that begins with the order: `// Acquire: T8, with the store in …`. It names
//!   an invariant as well.
//!
//! The invariants are those that the headers of the files define, as `**T8**`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The models of the schedule checker are tests, and so is the other one.
const SKIPPED: [&str; 2] = ["models", "tests.rs"];

const ORDERS: [&str; 4] = ["Acquire", "Release", "AcqRel", "SeqCst"];

type Labels = BTreeSet<String>;

/// The labels in a text: one or two capitals and a number. Those of rules, as S39, are none.
fn labels_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric());
    words.filter(|word| {
        let number = word.trim_start_matches(|char: char| char.is_ascii_uppercase());
        let letters = &word[..word.len() - number.len()];
        matches!(letters.len(), 1 | 2)
            && letters != "S"
            && !number.is_empty()
            && number.chars().all(|digit| digit.is_ascii_digit())
    })
}

/// The labels that a source defines.
fn defined(source: &str) -> impl Iterator<Item = String> {
    let comments = source
        .lines()
        .filter(|line| line.trim_start().starts_with("//"));
    let bold = comments.flat_map(|line| line.split("**").skip(1).step_by(2));
    bold.filter(|bold| labels_in(bold).any(|label| label == *bold))
        .map(str::to_owned)
}

/// The code of a line, without a comment behind it.
fn code_of(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with("//") {
        return "";
    }
    line.split(" // ").next().unwrap_or_default()
}

/// A source, line by line, without its test modules.
struct Source<'a>(Vec<&'a str>);

impl<'a> Source<'a> {
    fn new(source: &'a str) -> Self {
        let mut inside = false;
        let mut is_test = false;
        let lines = source.lines().map(|line| {
            if inside {
                // A module at the margin ends there.
                inside = line != "}";
                return "";
            }
            let is_head = line.starts_with("mod ") && line.ends_with('{');
            inside = is_test && is_head;
            is_test = line.starts_with("#[cfg(") && line.contains("test") && !line.contains('"');
            if inside { "" } else { line }
        });
        Self(lines.collect())
    }

    /// The comment that ends right above a line, with nothing but attributes and the beginning of
    /// the same statement between them.
    fn comment_above(&self, line: usize) -> String {
        let above = self.0[..line].iter().rev().map(|line| line.trim());
        let between = |line: &&str| {
            line.starts_with("#[") || (!line.starts_with("//") && line.ends_with(['=', '(']))
        };
        let comment = above.skip_while(between);
        let mut lines: Vec<_> = comment.take_while(|line| line.starts_with("//")).collect();
        lines.reverse();
        lines.join("\n")
    }

    /// The comments of the function around a line, from its documentation down to the line.
    fn comments_around(&self, line: usize) -> Vec<String> {
        let is_head = |line: &usize| format!(" {}", code_of(self.0[*line])).contains(" fn ");
        let head = (0..=line).rev().find(is_head).unwrap_or(0);
        let mut comments = vec![self.comment_above(head)];
        let mut last = "";
        for line in self.0[head..=line].iter().map(|line| line.trim()) {
            let is_comment = line.starts_with("//");
            match comments.last_mut() {
                Some(comment) if is_comment && last.starts_with("//") => {
                    comment.push('\n');
                    comment.push_str(line);
                }
                _ if is_comment => comments.push(line.to_owned()),
                _ => {}
            }
            last = line;
        }
        comments
    }
}

/// What is wrong with a comment that should name invariants.
fn cites(comment: &str, known: &Labels) -> Result<(), String> {
    let mut is_cited = false;
    for label in labels_in(comment) {
        if !known.contains(label) {
            return Err(format!("names {label}, which no file defines"));
        }
        is_cited = true;
    }
    if is_cited {
        Ok(())
    } else {
        Err("names no invariant".to_owned())
    }
}

/// Whether a line of the comment begins with orders, and this one is among them.
fn is_about(comment: &str, order: &str) -> bool {
    comment.lines().any(|line| {
        let text = line.trim_start_matches(['/', '!']).trim_start();
        let Some((head, _)) = text.split_once(':') else {
            return false;
        };
        let mut heads = head.split(", ");
        heads.clone().all(|head| ORDERS.contains(&head)) && heads.any(|head| head == order)
    })
}

/// What was looked at, and the lines with what is wrong about them.
#[derive(Default)]
struct Read {
    unsafes: usize,
    orders: usize,
    wrong: Vec<(usize, String)>,
}

fn read(source: &str, known: &Labels) -> Read {
    let source = Source::new(source);
    let mut read = Read::default();
    for (number, line) in source.0.iter().enumerate() {
        let code = code_of(line);
        let is_fn = code.contains("unsafe fn ");
        if is_fn || code.contains("unsafe {") || code.contains("unsafe impl") {
            read.unsafes += 1;
            let comment = source.comment_above(number);
            let needed = if is_fn { "# Safety" } else { "SAFETY:" };
            let cited = if comment.contains(needed) {
                cites(&comment, known)
            } else {
                Err(format!("has no `{needed}` right above"))
            };
            if let Err(wrong) = cited {
                read.wrong.push((number + 1, wrong));
            }
        }
        for order in ORDERS {
            if !code.contains(&format!("Ordering::{order}")) {
                continue;
            }
            read.orders += 1;
            let comments = source.comments_around(number);
            let own = comments
                .iter()
                .rev()
                .find(|comment| is_about(comment, order));
            let cited = match own {
                Some(comment) => cites(comment, known),
                None => Err(format!("has no comment `{order}:` in its function")),
            };
            if let Err(wrong) = cited {
                read.wrong.push((number + 1, wrong));
            }
        }
    }
    read
}

fn sources(under: &Path, into: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(under).unwrap();
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let is_test = |path: &Path| SKIPPED.iter().any(|name| path.ends_with(name));
    for path in entries.into_iter().filter(|path| !is_test(path)) {
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn each_unsafe_and_each_order_has_its_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/scope");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let texts: Vec<_> = files
        .iter()
        .map(|file| (file, fs::read_to_string(file).unwrap()))
        .collect();
    let known: Labels = texts.iter().flat_map(|(_, text)| defined(text)).collect();
    let mut all = Read::default();
    let mut wrong = Vec::new();
    for (file, text) in &texts {
        let read = read(text, &known);
        all.unsafes += read.unsafes;
        all.orders += read.orders;
        let name = file.strip_prefix(&root).unwrap().display();
        wrong.extend(
            read.wrong
                .iter()
                .map(|(line, wrong)| format!("src/scope/{name}:{line}: {wrong}")),
        );
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(
        known.len() > 30 && all.unsafes > 30 && all.orders > 20,
        "the sources are not where they were"
    );
    println!(
        "safety reader: {} unsafe, {} orders, {} invariants",
        all.unsafes,
        all.orders,
        known.len()
    );
}

#[test]
fn a_planted_line_without_a_reason_is_found() {
    let known: Labels = defined("//! - **K1** One.\n//! **T8** Two. See **T9–T10**.\n").collect();
    assert_eq!(known.iter().collect::<Vec<_>>(), ["K1", "T8"]);
    // Each with the line that is wrong, and a word of what is said of it.
    let planted = [
        ("fn f() {\n    unsafe { *p }\n}\n", 2, "SAFETY"),
        ("// SAFETY: it is fine.\nunsafe { *p }\n", 2, "no invariant"),
        (
            "// SAFETY: S39: a rule is none.\nunsafe { *p }\n",
            2,
            "no invariant",
        ),
        ("// SAFETY: K7: long gone.\nunsafe { *p }\n", 2, "K7"),
        ("// SAFETY: K1.\nlet q = p;\nunsafe { *q }\n", 3, "SAFETY"),
        ("// K1 says so.\nlet q = unsafe { *p };\n", 2, "SAFETY"),
        ("let q = unsafe { *p }; // SAFETY: K1\n", 1, "SAFETY"),
        ("unsafe impl Send for Task {}\n", 1, "SAFETY"),
        ("/// Frees it (K1).\nunsafe fn free() {}\n", 2, "# Safety"),
        (
            "/// # Safety\n/// The caller's.\nunsafe fn free() {}\n",
            3,
            "no invariant",
        ),
        (
            "fn f() {\n    p.load(Ordering::Acquire);\n}\n",
            2,
            "`Acquire:`",
        ),
        (
            "// Release: K1.\np.load(Ordering::Acquire);\n",
            2,
            "`Acquire:`",
        ),
        (
            "// An Acquire: K1.\np.load(Ordering::Acquire);\n",
            2,
            "`Acquire:`",
        ),
        (
            "// Acquire: of course.\np.load(Ordering::Acquire);\n",
            2,
            "no invariant",
        ),
        ("// Acquire: T10.\np.load(Ordering::Acquire);\n", 2, "T10"),
        (
            "// Acquire: K1.\nfn f() {}\nfn g() {\n    fence(Ordering::Acquire);\n}\n",
            4,
            "`Acquire:`",
        ),
        (
            "// AcqRel: K1.\np.swap(q, Ordering::AcqRel, Ordering::Acquire);\n",
            2,
            "`Acquire:`",
        ),
        ("#[cfg(test)]\nmod tests {\n}\nunsafe { *p }\n", 4, "SAFETY"),
    ];
    for (source, line, word) in planted {
        let wrong = read(source, &known).wrong;
        assert_eq!(wrong.len(), 1, "{source}: {wrong:?}");
        assert_eq!(wrong[0].0, line, "{source}");
        assert!(wrong[0].1.contains(word), "{source}: {wrong:?}");
    }
    let harmless = [
        "// SAFETY: K1: it is ours.\nunsafe { *p }\n",
        "// SAFETY: K1: it is\n// ours.\n#[allow(unsafe_code)]\nlet q =\n    unsafe { *p };\n",
        "// SAFETY: K1, T8.\n#[allow(unsafe_code)]\nunsafe impl Send for Task {}\n",
        "/// Frees it.\n///\n/// # Safety\n/// K1: it is the last.\nunsafe fn free() {}\n",
        "free: unsafe fn(Task),\n",
        "// unsafe { *p } and Ordering::SeqCst\n",
        "p.load(Ordering::Relaxed);\n",
        "use crate::sync::{AtomicU32, Ordering};\n",
        "// Acquire: T8, with the store.\nlet q = p.load(Ordering::Acquire);\n",
        "/// Asks.\n///\n/// Acquire: T8.\nfn f() {\n    p.load(Ordering::Acquire);\n}\n",
        "// AcqRel, Acquire: T8.\np.swap(\n    Ordering::AcqRel,\n    Ordering::Acquire,\n);\n",
        "#[cfg(all(test, not(loom)))]\nmod tests {\n    p.load(Ordering::SeqCst);\n}\n",
    ];
    for source in harmless {
        let wrong = read(source, &known).wrong;
        assert!(wrong.is_empty(), "{source}: {wrong:?}");
    }
    println!(
        "safety reader: {} planted lines found, {} harmless ones passed",
        planted.len(),
        harmless.len()
    );
}
