//! The chapter of examples lists each example once by topic, and has its program and what it
//! prints. What it says about threads and features is so.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn source(name: &str) -> String {
    read(&format!("crates/taskgroup/examples/{name}.rs"))
}

fn examples() -> BTreeSet<String> {
    let files = fs::read_dir(root().join("crates/taskgroup/examples")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let names = names.filter_map(|name| Some(name.strip_suffix(".rs")?.to_owned()));
    let names: BTreeSet<_> = names.collect();
    assert!(names.len() > 40, "only {} examples", names.len());
    names
}

#[test]
fn each_example_is_listed_once_and_printed() {
    let page = read("docs/guide/src/examples.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ["));
    let mut listed = BTreeSet::new();
    for row in rows {
        let (name, rest) = row.split_once("](#").expect(row);
        assert!(rest.starts_with(&format!("{name}) | ")), "{row}");
        assert!(listed.insert(name.to_owned()), "{name} is listed twice");
    }
    assert_eq!(listed, examples());
    for name in listed {
        let file = format!("../../../crates/taskgroup/examples/{name}");
        let section = format!(
            "\n## {name}\n\n```rs\n{{{{#include {file}.rs}}}}\n```\n\nIt prints:\n\n\
             ```text\n{{{{#include {file}.out}}}}\n```\n"
        );
        assert!(page.contains(&section), "expected:{section}");
    }
}

/// The program and the output that the book shows are one file each, so only what the text says of
/// them can be wrong.
#[test]
fn what_the_chapter_says_of_them_is_so() {
    let paused = |name: &String| source(name).contains("start_paused = true");
    let (paused, other): (Vec<_>, Vec<_>) = examples().into_iter().partition(paused);
    assert!(paused.len() > other.len(), "most of them begin so");
    let (intro, _) = read("docs/guide/src/examples.md")
        .split_once("\n## ")
        .map(|(intro, rest)| (intro.to_owned(), rest.to_owned()))
        .unwrap();
    for name in ["20_at_most_five", "63_local_and_defer"] {
        assert!(intro.contains(&format!("[{name}](#{name})")), "{name}");
        let source = source(name);
        assert!(source.contains("\n#[tokio::main]\n"), "{name}");
    }
}

/// `cargo run -p taskgroup --example NAME` says which feature is missing, instead of not compiling.
#[test]
fn each_example_names_the_features_that_it_needs() {
    let manifest = read("crates/taskgroup/Cargo.toml");
    let uses = [
        ("Retry", "retry"),
        ("observe::recorder", "recorder"),
        ("taskgroup::main", "macros"),
        ("taskgroup::testing", "testing"),
        ("cancellation_token", "tokio-util"),
    ];
    for name in examples() {
        let source = source(&name);
        let code: Vec<_> = source
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        let needed = uses
            .iter()
            .filter(|(word, _)| code.iter().any(|line| line.contains(word)))
            .map(|(_, feature)| format!("\"{feature}\""))
            .collect::<Vec<_>>()
            .join(", ");
        let entry = format!("[[example]]\nname = \"{name}\"\n");
        let named = manifest
            .split_once(&entry)
            .and_then(|(_, rest)| rest.strip_prefix("required-features = ["))
            .and_then(|rest| Some(rest.split_once(']')?.0))
            .unwrap_or_default();
        assert_eq!(named, needed, "required-features of {name}");
    }
}
