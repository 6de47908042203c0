//! The table of what was asked for keeps its word: what it lists exists, every example is listed,
//! and nothing is open.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn guide() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../src")
}

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../crates/taskgroup")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One line of a table.
struct Row {
    what: String,
    evidence: Vec<String>,
    status: String,
}

/// The rows of `seeds.md`, without heads and the lines that only name a text.
fn rows() -> Vec<Row> {
    let text = read(&guide().join("seeds.md"));
    let tables = text.lines().filter(|line| line.starts_with('|'));
    let rows = tables.filter_map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [what, evidence, status] = cells[..] else {
            panic!("not three cells: {line}");
        };
        let is_data = !what.starts_with("---") && !what.starts_with("**") && status != "Status";
        is_data.then(|| Row {
            what: what.to_owned(),
            evidence: evidence.split(", ").map(str::to_owned).collect(),
            status: status.to_owned(),
        })
    });
    rows.collect()
}

/// What stands in backticks. An example is a link to its program.
fn quoted(evidence: &str) -> Option<&str> {
    let Some(rest) = evidence.strip_prefix("[`") else {
        return evidence.strip_prefix('`')?.strip_suffix('`');
    };
    let (name, target) = rest.split_once("`](")?;
    (target == format!("examples.md#{name})")).then_some(name)
}

fn examples() -> BTreeSet<String> {
    let files = fs::read_dir(library().join("examples")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names
        .filter_map(|name| Some(name.strip_suffix(".rs")?.to_owned()))
        .collect()
}

/// The anchor that mdBook makes of a heading.
fn anchor(heading: &str) -> String {
    let letters = heading.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ => letter
            .is_alphanumeric()
            .then(|| letter.to_ascii_lowercase()),
    });
    letters.collect()
}

/// Whether the evidence exists; if not, what is missing.
fn check(evidence: &str, examples: &BTreeSet<String>) -> Result<(), String> {
    let link = evidence.strip_prefix('[');
    if let Some(link) = link.filter(|link| !link.starts_with('`')) {
        let target = link
            .split_once("](")
            .and_then(|(_, rest)| rest.strip_suffix(')'));
        let target = target.ok_or(format!("{evidence} is no link"))?;
        let (file, section) = target.split_once('#').unwrap_or((target, ""));
        let path = guide().join(file);
        if !path.exists() {
            return Err(format!("{file} is missing"));
        }
        let text = read(&path);
        let mut headings = text.lines().filter(|line| line.starts_with('#'));
        let known = headings.any(|line| anchor(line.trim_start_matches('#').trim()) == section);
        return match section.is_empty() || known {
            true => Ok(()),
            false => Err(format!("{file} has no section {section}")),
        };
    }
    let name = quoted(evidence).ok_or(format!("{evidence:?} is neither link nor name"))?;
    let Some((file, test)) = name.split_once('#') else {
        return match examples.contains(name) {
            true => Ok(()),
            false => Err(format!("there is no example {name}")),
        };
    };
    let path = library().join(file);
    if !path.exists() {
        return Err(format!("{file} is missing"));
    }
    match read(&path).contains(&format!("fn {test}(")) {
        true => Ok(()),
        false => Err(format!("{file} has no test {test}")),
    }
}

#[test]
fn what_is_listed_exists() {
    let (rows, examples) = (rows(), examples());
    assert!(rows.len() > 80, "only {} rows were found", rows.len());
    let mut missing = Vec::new();
    for row in &rows {
        for evidence in &row.evidence {
            if let Err(complaint) = check(evidence, &examples) {
                missing.push(format!("{}: {complaint}", row.what));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_example_is_listed() {
    let rows = rows();
    let evidence = rows.iter().flat_map(|row| &row.evidence);
    let listed: BTreeSet<_> = evidence
        .filter_map(|evidence| Some(quoted(evidence)?.to_owned()))
        .collect();
    let examples = examples();
    let unlisted: Vec<_> = examples.difference(&listed).collect();
    assert!(unlisted.is_empty(), "not in seeds.md: {unlisted:?}");
}

#[test]
fn nothing_is_open() {
    for row in rows() {
        let known = match row.status.split_once(": ") {
            Some(("differs", instead)) => !instead.is_empty(),
            _ => row
                .status
                .split(", ")
                .all(|word| ["shown", "tested"].contains(&word)),
        };
        assert!(known, "{}: the status is {:?}", row.what, row.status);
    }
}

#[test]
fn what_is_missing_is_seen() {
    let examples = BTreeSet::from(["08_timeout".to_owned()]);
    assert!(check("`08_timeout`", &examples).is_ok());
    assert!(check("[`08_timeout`](examples.md#08_timeout)", &examples).is_ok());
    for missing in [
        "`09_nothing`",
        "[`09_nothing`](examples.md#09_nothing)",
        "[`08_timeout`](examples.md#09_main)",
        "`tests/all/seeds.rs#no_such_test`",
        "`tests/all/nothing.rs#a_test`",
        "[Nothing](nothing.md)",
        "[Pitfalls](pitfalls.md#no-such-section)",
        "later",
    ] {
        assert!(check(missing, &examples).is_err(), "{missing}");
    }
}
