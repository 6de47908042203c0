//! No comment and no line of prose in the repository is wider than 100 columns, and none has one of
//! the words that hide who does what.
//!
//! rustfmt keeps code to that width and leaves comments alone. A column is a character, not a byte.
//! Tables, blocks of code and lines that are too long for the sake of one URL are exempt.

use std::fs;
use std::path::{Path, PathBuf};

const WIDTH: usize = 100;

/// Words that hide a subject. Say which task, thread, user or piece of code it is.
const VAGUE: &[&str] = &[
    "anybody",
    "everybody",
    "nobody",
    "of ours",
    "somebody",
    "to be had",
    "whoever",
];

/// Folders that are not sources.
const SKIPPED: &[&str] = &[
    "target",
    "corpus",
    "artifacts",
    "__pycache__",
    "node_modules",
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Markdown,
    Rust,
    Python,
    /// Shell and TOML: comments begin with `#`.
    Hash,
}

fn kind(path: &Path, text: &str) -> Option<Kind> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension {
        Some("md") => Some(Kind::Markdown),
        Some("rs") => Some(Kind::Rust),
        Some("py") => Some(Kind::Python),
        Some("sh" | "toml") => Some(Kind::Hash),
        None if text.starts_with("#!") || path.ends_with("justfile") => Some(Kind::Hash),
        _ => None,
    }
}

/// Finds the lines of prose. A comment is Markdown, too, so both are read in the same way.
#[derive(Default)]
struct Prose {
    fenced: bool,
    listed: bool,
    indented: bool,
    after_blank: bool,
}

impl Prose {
    /// Whether this line is prose. `line` is the text of a comment, or a line of a document.
    fn is_prose(&mut self, line: &str) -> bool {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        let after_blank = std::mem::replace(&mut self.after_blank, text.is_empty());
        if text.starts_with("```") {
            self.fenced = !self.fenced;
            return false;
        }
        if self.fenced || text.is_empty() {
            return false;
        }
        let is_item = text.starts_with("- ") || text.starts_with("* ") || starts_with_number(text);
        if is_item {
            self.listed = true;
        } else if indent == 0 && after_blank {
            self.listed = false;
        }
        let begins_code = after_blank || self.indented;
        self.indented = begins_code && indent >= 4 && !self.listed;
        !self.indented && !text.starts_with('|')
    }
}

fn starts_with_number(text: &str) -> bool {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < text.len() && rest.starts_with(". ")
}

/// Whether the line is too long and could be broken.
fn is_too_wide(line: &str) -> bool {
    if line.chars().count() <= WIDTH {
        return false;
    }
    let last_word = line.split_whitespace().last().unwrap_or_default();
    let is_link = last_word.contains("://") || last_word.contains("](");
    let before = line.trim_end().strip_suffix(last_word).unwrap_or_default();
    !is_link || before.trim_end().chars().count() > WIDTH
}

/// The vague words of a line, apart from code in backticks.
fn vague_words(line: &str) -> Vec<&'static str> {
    let prose: Vec<_> = line.split('`').step_by(2).collect();
    let words = prose.join("`").to_lowercase();
    let words = words
        .split(|c: char| !c.is_alphanumeric() && c != '`' && c != '_')
        .filter(|word| !word.is_empty());
    let words = format!(" {} ", words.collect::<Vec<_>>().join(" "));
    VAGUE
        .iter()
        .copied()
        .filter(|vague| words.contains(&format!(" {vague} ")))
        .collect()
}

/// The numbers of the lines that are too wide.
fn too_wide(kind: Kind, text: &str) -> Vec<usize> {
    let lines = prose_of(kind, text).into_iter();
    lines
        .filter(|(_, line)| is_too_wide(line))
        .map(|(number, _)| number)
        .collect()
}

/// The lines of prose, each with its number.
fn prose_of(kind: Kind, text: &str) -> Vec<(usize, &str)> {
    let mut prose = Prose::default();
    let mut in_docstring = false;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.trim_start();
        let comment = match kind {
            Kind::Markdown => Some(line),
            Kind::Rust => code
                .strip_prefix("//")
                .map(|rest| rest.trim_start_matches(['/', '!'])),
            Kind::Hash => code.strip_prefix('#'),
            Kind::Python => {
                let quotes = code.matches("\"\"\"").count();
                let inside = in_docstring || quotes > 0;
                in_docstring ^= quotes % 2 == 1;
                if inside {
                    Some(code)
                } else {
                    code.strip_prefix('#')
                }
            }
        };
        let Some(comment) = comment else {
            // A fence does not reach past the end of its comment.
            prose = Prose {
                after_blank: true,
                ..Prose::default()
            };
            continue;
        };
        let comment = match kind {
            Kind::Markdown => comment,
            _ => comment.strip_prefix(' ').unwrap_or(comment),
        };
        if prose.is_prose(comment) {
            found.push((number, line));
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../..")
        .canonicalize()
        .unwrap()
}

/// All files below `folder`, by their path from the root of the repository.
fn files(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            if !SKIPPED.contains(&name.as_str()) && name != ".git" {
                files(&entry.path(), all);
            }
        } else if name != ".git" {
            all.push(entry.path());
        }
    }
}

/// Reads all files that are not excused. Returns what `look` finds in each.
fn find(look: impl Fn(Kind, &str) -> Vec<String>) -> Vec<String> {
    let root = root();
    let mut all = Vec::new();
    files(&root, &mut all);
    let mut found = Vec::new();
    let mut read = 0;
    for path in all {
        let name = path.strip_prefix(&root).unwrap();
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let Some(kind) = kind(name, &text) else {
            continue;
        };
        read += 1;
        let place = |what: String| format!("{}:{what}", name.display());
        found.extend(look(kind, &text).into_iter().map(place));
    }
    assert!(read > 100, "only {read} files were read");
    found
}

#[test]
fn no_comment_and_no_prose_is_wider_than_100_columns() {
    let wrong = find(|kind, text| {
        let lines = too_wide(kind, text).into_iter();
        lines.map(|number| number.to_string()).collect()
    });
    assert!(
        wrong.is_empty(),
        "{} lines are wider than {WIDTH} columns:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn no_comment_and_no_prose_hides_its_subject() {
    let wrong = find(|kind, text| {
        let lines = prose_of(kind, text).into_iter();
        let vague = lines.flat_map(|(number, line)| {
            let words = vague_words(line).into_iter();
            words.map(move |word| format!("{number}: {word}"))
        });
        vague.collect()
    });
    assert!(wrong.is_empty(), "say who or what:\n{}", wrong.join("\n"));
}

#[test]
fn the_check_sees_what_it_should() {
    let wide = "word ".repeat(21);
    let fits = "é".repeat(WIDTH);
    let cases = [
        (Kind::Markdown, format!("{wide}\n"), vec![1]),
        (Kind::Markdown, format!("{fits}\n"), vec![]),
        (Kind::Markdown, format!("| {wide} |\n"), vec![]),
        (
            Kind::Markdown,
            format!("```text\n{wide}\n```\n{wide}\n"),
            vec![4],
        ),
        (
            Kind::Markdown,
            format!("text\n\n    {wide}\n    {wide}\n"),
            vec![],
        ),
        (Kind::Markdown, format!("- item\n\n    {wide}\n"), vec![3]),
        (
            Kind::Markdown,
            format!("see https://example.org/{}\n", "a".repeat(100)),
            vec![],
        ),
        (
            Kind::Markdown,
            format!("{wide} https://example.org\n"),
            vec![1],
        ),
        (Kind::Rust, format!("let a = \"{wide}\";\n"), vec![]),
        (Kind::Rust, format!("    /// {wide}\n"), vec![1]),
        (
            Kind::Rust,
            format!("/// ```\n/// {wide}\n/// ```\n// {wide}\n"),
            vec![4],
        ),
        (
            Kind::Rust,
            format!("/// ```\nfn f() {{}}\n// {wide}\n"),
            vec![3],
        ),
        (Kind::Hash, format!("a = 1\n# {wide}\n"), vec![2]),
        (
            Kind::Python,
            format!("def f():\n    \"\"\"One.\n\n    {wide}\"\"\"\n"),
            vec![4],
        ),
        (Kind::Python, format!("a = '{wide}'\n"), vec![]),
    ];
    for (kind, text, expected) in cases {
        assert_eq!(too_wide(kind, &text), expected, "{kind:?}: {text}");
    }
    assert_eq!(
        vague_words("Nobody waits, and somebody else."),
        ["nobody", "somebody"]
    );
    assert_eq!(
        vague_words("begun_by_nobody, and `nobody` in code"),
        [""; 0]
    );
}
