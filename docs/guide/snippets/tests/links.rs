//! Each relative link of each document leads to a file, and to a heading of it. A link of the book
//! leads to a page of the book.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../..")
        .canonicalize()
        .unwrap()
}

/// All documents by their path.
fn documents() -> BTreeMap<PathBuf, String> {
    fn collect(folder: &Path, all: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                let skipped = ["target", "corpus", "node_modules", ".git"];
                if !skipped.contains(&name.as_str()) {
                    collect(&path, all);
                }
            } else if name.ends_with(".md") {
                let text = fs::read_to_string(&path).unwrap();
                all.insert(path, text);
            }
        }
    }
    let mut all = BTreeMap::new();
    collect(&root(), &mut all);
    assert!(all.len() > 50, "only {} documents", all.len());
    all
}

/// The text without code and comments: blocks become empty lines, spans become spaces.
fn without_code(text: &str) -> String {
    let mut parts = text.split("<!--");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str(part.split_once("-->").map_or("", |(_, rest)| rest));
    }
    let text = &shown;
    let (mut fenced, mut after_blank, mut prose) = (false, false, String::new());
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        // An indented block follows an empty line. No list here indents that far.
        let indented = after_blank && line.starts_with("    ");
        if !fence && !fenced && !indented {
            prose.push_str(line);
        }
        after_blank = line.is_empty() || indented;
        prose.push('\n');
    }
    // A span may go over a line end, but not over an empty line.
    let paragraphs = prose.split("\n\n").map(|paragraph| {
        let mut parts: Vec<_> = paragraph.split('`').map(str::to_owned).collect();
        if parts.len() % 2 == 1 {
            for span in parts.iter_mut().skip(1).step_by(2) {
                *span = " ".repeat(span.len());
            }
        }
        parts.join("`")
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// The targets of links and pictures.
fn targets(text: &str) -> Vec<String> {
    let prose = without_code(text);
    let ends = prose.split("](").skip(1);
    ends.filter_map(|rest| Some(rest.split_once(')')?.0.trim().to_owned()))
        .collect()
}

/// The anchor that GitHub and mdBook give to a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim().replace('`', "");
    // Of a link, its text.
    let text = text.replace("](", "\u{0}");
    let mut kept = String::new();
    let mut in_target = false;
    for c in text.chars() {
        match c {
            '\u{0}' => in_target = true,
            ')' if in_target => in_target = false,
            _ if in_target => {}
            ' ' => kept.push('-'),
            '-' | '_' => kept.push(c),
            _ if c.is_alphanumeric() => kept.extend(c.to_lowercase()),
            _ => {}
        }
    }
    kept
}

/// The anchors of a page. A second heading with the same text gets a number.
fn anchors(text: &str) -> BTreeSet<String> {
    let (mut fenced, mut seen) = (false, BTreeMap::<String, usize>::new());
    let mut all = BTreeSet::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let title = line.trim_start_matches('#');
        if fenced || !line.starts_with('#') || !title.starts_with(' ') {
            continue;
        }
        let anchor = anchor(title);
        let count = seen.entry(anchor.clone()).or_default();
        all.insert(match count {
            0 => anchor,
            _ => format!("{anchor}-{count}"),
        });
        *count += 1;
    }
    all
}

/// Resolves `..` and `.` by the names alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// The text with the documents that a page of the book includes.
fn with_included(page: &Path, text: &str) -> String {
    let mut whole = text.to_owned();
    for rest in text.split("{{#include ").skip(1) {
        let file = rest.split('}').next().unwrap();
        if file.ends_with(".md") {
            let there = page.parent().unwrap().join(file);
            whole.push_str(&fs::read_to_string(there).unwrap());
        }
    }
    whole
}

/// What is wrong with a link of this page.
fn complaint(page: &Path, target: &str, documents: &BTreeMap<PathBuf, String>) -> Option<String> {
    let (file, wanted) = target.split_once('#').unwrap_or((target, ""));
    let there = match file {
        "" => page.to_owned(),
        file => plain(&page.parent().unwrap().join(file)),
    };
    if !there.exists() {
        return Some(format!("{target}: there is no such file"));
    }
    if wanted.is_empty() {
        return None;
    }
    let known = documents
        .get(&there)
        .is_some_and(|text| anchors(&with_included(&there, text)).contains(wanted));
    (!known).then(|| format!("{target}: there is no such heading"))
}

fn is_relative(target: &str) -> bool {
    !target.contains("://") && !target.starts_with("mailto:")
}

#[test]
fn links_lead_somewhere() {
    let documents = documents();
    let (mut links, mut wrong) = (0, Vec::new());
    for (page, text) in &documents {
        for target in targets(text).iter().filter(|target| is_relative(target)) {
            links += 1;
            if let Some(complaint) = complaint(page, target, &documents) {
                wrong.push(format!("{}: {complaint}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(links > 300, "only {links} links were found");
}

/// `[text][name]` needs a line `[name]: target`.
#[test]
fn named_links_are_defined() {
    let (mut links, mut wrong) = (0, Vec::new());
    for (page, text) in documents() {
        for rest in without_code(&text).split("][").skip(1) {
            let name = rest.split(']').next().unwrap().replace('\n', " ");
            links += 1;
            if !text.contains(&format!("\n[{name}]: ")) {
                wrong.push(format!("{}: [{name}]", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(links > 10, "only {links} links were found");
}

/// What is not in the folder of the book is not on its site.
#[test]
fn the_book_links_to_nothing_outside() {
    let book = root().join("docs/guide/src");
    let documents = documents();
    let mut wrong = Vec::new();
    for (page, text) in documents.iter().filter(|(page, _)| page.starts_with(&book)) {
        for target in targets(text).iter().filter(|target| is_relative(target)) {
            let file = target.split('#').next().unwrap();
            let there = plain(&page.parent().unwrap().join(file));
            if !file.is_empty() && !there.starts_with(&book) {
                wrong.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A chapter that shows a file names one that exists.
#[test]
fn what_the_book_includes_exists() {
    let book = root().join("docs/guide/src");
    let mut includes = 0;
    for (page, text) in documents()
        .iter()
        .filter(|(page, _)| page.starts_with(&book))
    {
        for rest in text.split("{{#include ").skip(1) {
            let file = rest.split([':', '}']).next().unwrap();
            includes += 1;
            let there = plain(&page.parent().unwrap().join(file));
            assert!(there.exists(), "{}: {file}", page.display());
        }
    }
    assert!(includes > 80, "only {includes} files are included");
}

#[test]
fn the_checks_see_what_they_should() {
    let page = root().join("README.md");
    let text = "# A `b`, [c](d.md) e\n\n## Two\n## Two\n\n```text\n# no\n```\n";
    let anchors = anchors(text);
    let expected = ["a-b-c-e", "two", "two-1"].map(str::to_owned);
    assert_eq!(anchors, expected.into());

    let text = "[a](b.md), `[c](d.md)`, ![e](f.png) and [g\nh](i.md#j)\n\n```\n[k](l)\n```\n";
    assert_eq!(targets(text), ["b.md", "f.png", "i.md#j"]);

    let documents = BTreeMap::from([(page.clone(), "# Here\n".to_owned())]);
    for good in ["#here", "README.md#here", "docs", "CHANGELOG.md"] {
        assert_eq!(complaint(&page, good, &documents), None, "{good}");
    }
    for bad in [
        "#there",
        "README.md#",
        "nothing.md",
        "docs/nothing",
        "CHANGELOG.md#nowhere",
    ] {
        let found = complaint(&page, bad, &documents);
        assert_eq!(found.is_some(), bad != "README.md#", "{bad}");
    }
}
