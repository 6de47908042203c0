//! The decision records agree with each other: each has a status, what one says about another
//! stands in the other as well, the index lists them all, and each record that a text refers to
//! exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What a header may say about another record, and what the other one says then.
const RELATIONS: &[(&str, &str)] = &[
    ("Superseded by", "Supersedes"),
    ("Supersedes", "Superseded by"),
    ("Amended by", "Amends"),
    ("Amends", "Amended by"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../..")
        .canonicalize()
        .unwrap()
}

fn folder() -> PathBuf {
    root().join("docs/decisions")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

struct Record {
    file: String,
    title: String,
    status: String,
    /// The numbers of other records, by the words before them.
    relations: BTreeMap<&'static str, BTreeSet<String>>,
    /// The numbers that the quoted lines name.
    marks: BTreeSet<String>,
}

/// The numbers of records in links, `[0013](…)`.
fn linked(text: &str) -> BTreeSet<String> {
    let ends = text.match_indices("](").map(|(at, _)| &text[..at]);
    ends.filter_map(|before| {
        let number = before.get(before.len().checked_sub(5)?..)?;
        let digits = number.strip_prefix('[')?;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.to_owned())
    })
    .collect()
}

fn parse(file: &str, text: &str) -> Result<Record, String> {
    let (head, body) = text.split_once("\n## ").ok_or("it has no section")?;
    let mut lines = head.lines();
    let number = &file[..4];
    let title = lines
        .next()
        .and_then(|line| line.strip_prefix("# "))
        .and_then(|title| title.strip_prefix(number))
        .ok_or_else(|| format!("it does not begin with `# {number} …`"))?;
    let title = title.trim_start_matches(':').trim().to_owned();
    let header = lines.collect::<Vec<_>>().join("\n");
    let status = header
        .trim_start()
        .strip_prefix("Status: ")
        .and_then(|rest| rest.split_once('.'))
        .map(|(status, _)| status)
        .ok_or("after the title there is no `Status: …, DATE.`")?;
    let (status, date) = status.split_once(", ").ok_or("the status has no date")?;
    if !["accepted", "superseded", "rejected", "proposed"].contains(&status) {
        return Err(format!("`{status}` is no status"));
    }
    let form: String = date
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    if form != "0000-00-00" {
        return Err(format!("`{date}` is no date of the form YYYY-MM-DD"));
    }
    let mut starts: Vec<(usize, &'static str)> = RELATIONS
        .iter()
        .flat_map(|(words, _)| header.match_indices(words).map(|(at, _)| (at, *words)))
        .collect();
    starts.sort_unstable();
    let mut relations: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (index, (at, words)) in starts.iter().enumerate() {
        let end = starts.get(index + 1).map_or(header.len(), |next| next.0);
        let numbers = linked(&header[*at..end]);
        if numbers.is_empty() {
            return Err(format!("`{words}` names no record as a link"));
        }
        relations.entry(*words).or_default().extend(numbers);
    }
    let is_superseded = status == "superseded";
    if is_superseded != relations.contains_key("Superseded by") {
        return Err("its status and `Superseded by` disagree".to_owned());
    }
    let quoted: Vec<_> = body.lines().filter(|line| line.starts_with('>')).collect();
    Ok(Record {
        file: file.to_owned(),
        title,
        status: status.to_owned(),
        relations,
        marks: linked(&quoted.join("\n")),
    })
}

/// By their numbers.
fn records() -> BTreeMap<String, Record> {
    let mut records = BTreeMap::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if file == "README.md" {
            continue;
        }
        let record = parse(&file, &read(&folder().join(&file)));
        let record = record.unwrap_or_else(|wrong| panic!("docs/decisions/{file}: {wrong}"));
        let other = records.insert(file[..4].to_owned(), record);
        assert!(
            other.is_none(),
            "two records have the number {}",
            &file[..4]
        );
    }
    assert!(records.len() > 10, "only {} records", records.len());
    records
}

#[test]
fn what_one_record_says_of_another_stands_in_both() {
    let records = records();
    for (number, record) in &records {
        for (words, answer) in RELATIONS {
            for other in record.relations.get(words).into_iter().flatten() {
                let there = records
                    .get(other)
                    .unwrap_or_else(|| panic!("{number}: there is no record {other}"));
                assert!(
                    there
                        .relations
                        .get(answer)
                        .is_some_and(|of| of.contains(number)),
                    "{number} says `{words} {other}`, but {other} does not say `{answer} {number}`"
                );
            }
        }
    }
}

/// A mark names a record that the header names, so that a reader of the header misses nothing.
#[test]
fn marks_name_records_of_the_header() {
    for (number, record) in records() {
        let later = ["Superseded by", "Amended by"];
        let named: BTreeSet<_> = later
            .iter()
            .filter_map(|words| record.relations.get(words))
            .flatten()
            .collect();
        for mark in &record.marks {
            assert!(
                named.contains(mark),
                "{number}: a quoted line names {mark}, and the header does not"
            );
        }
    }
}

#[test]
fn the_index_lists_each_record_with_its_status() {
    let index = read(&folder().join("README.md"));
    let mut expected = Vec::new();
    for (number, record) in records() {
        let mut line = format!(
            "- [{number} {}]({}): {}",
            record.title, record.file, record.status
        );
        for (words, before) in [("Superseded by", " by "), ("Amended by", "; amended by ")] {
            if let Some(others) = record.relations.get(words) {
                let others: Vec<_> = others.iter().map(String::as_str).collect();
                line.push_str(before);
                line.push_str(&others.join(", "));
            }
        }
        expected.push(line);
    }
    // An item may take several lines.
    let (_, list) = index.split_once("\n- ").expect("the index has a list");
    let items: Vec<_> = list
        .split("\n- ")
        .map(|item| {
            format!(
                "- {}",
                item.split_whitespace().collect::<Vec<_>>().join(" ")
            )
        })
        .collect();
    assert_eq!(items, expected, "expected:\n{}\n", expected.join("\n"));
}

/// The numbers that a text refers to: in links to the files, and after the word "decision".
fn cited(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let words = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| !word.is_empty());
    let is_number = |word: &str| word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    let mut in_list = false;
    for word in words {
        let lower = word.to_lowercase();
        if matches!(lower.as_str(), "decision" | "decisions") {
            in_list = true;
        } else if in_list && is_number(word) {
            found.insert(word.to_owned());
        } else if in_list && word.len() > 5 && is_number(&word[..4]) && word.as_bytes()[4] == b'-' {
            found.insert(word[..4].to_owned());
        } else {
            in_list = in_list && matches!(lower.as_str(), "and" | "or" | "docs");
        }
    }
    found
}

fn texts(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            if name != "target" && !name.starts_with('.') {
                texts(&path, all);
            }
        } else if name.ends_with(".md") || name.ends_with(".rs") {
            all.push(path);
        }
    }
}

#[test]
fn each_record_that_a_text_refers_to_exists() {
    let records = records();
    let mut all = Vec::new();
    texts(&root(), &mut all);
    let mut references = 0;
    for path in all {
        if path.ends_with("tests/decisions.rs") {
            continue;
        }
        for number in cited(&read(&path)) {
            references += 1;
            assert!(
                records.contains_key(&number),
                "{}: there is no decision {number}",
                path.display()
            );
        }
    }
    assert!(references > 10, "only {references} references were found");
}

#[test]
fn the_checks_see_what_they_should() {
    let record = |head: &str| parse("0007-x.md", &format!("# 0007 X\n\n{head}\n\n## Context\n"));
    assert!(record("Status: accepted, 2026-11-21.").is_ok());
    assert!(record("").is_err());
    assert!(record("Status: accepted.").is_err());
    assert!(record("Status: fine, 2026-11-21.").is_err());
    assert!(record("Status: superseded, 2026-11-21.").is_err());
    assert!(record("Status: accepted, 2026-11-21.\nAmended by the next one.").is_err());
    let amended = "Status: accepted, 2026-11-21.\nAmended by [0009](0009-y.md), and\n[0010](z.md).";
    let relations = record(amended).unwrap().relations;
    assert_eq!(relations["Amended by"].len(), 2);

    let text = "see decisions 0007, 0013 and 0015, of 2026; [decision 0003](decisions/0004-a.md)";
    let expected = ["0003", "0004", "0007", "0013", "0015"];
    assert_eq!(cited(text), expected.map(str::to_owned).into());
}
