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
        ("Runner", "runner"),
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

/// Each function at the root of the library is called in an example.
#[test]
fn each_function_of_the_library_is_in_an_example() {
    let library = read("crates/taskgroup/src/lib.rs");
    let mut functions = BTreeSet::new();
    for item in library.split("\npub use ").skip(1) {
        let names = item.split(';').next().unwrap();
        let names = names.rsplit("::").next().unwrap();
        let names = names.trim_matches(['{', '}']).split(',').map(str::trim);
        functions.extend(names.filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase())));
    }
    // A bridge to another crate, and the entrance of the models, which is no part of the interface.
    functions.retain(|name| !["cancellation_token", "models"].contains(name));
    assert!(functions.len() > 25, "{functions:?}");
    let sources: String = examples().iter().map(|name| source(name)).collect();
    let words: BTreeSet<_> = sources
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    let missing: Vec<_> = functions.difference(&words).collect();
    assert!(missing.is_empty(), "in no example: {missing:?}");
}
