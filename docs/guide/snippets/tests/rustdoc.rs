//! The chapters of the guide in the library's documentation: each is there, its links lead to pages
//! and headings, and its tables and code fit.
//!
//! `.ci/run doc` builds the documentation and runs the tests of its pages. `TASKGROUP_DOC` names
//! the folder of the library.

mod browser;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use browser::{broken_links, cut};

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The module of each chapter in the table of contents. The first page of the book and its part on
/// the command are in the book alone.
fn modules() -> BTreeSet<String> {
    let summary = read("docs/guide/src/SUMMARY.md");
    let mut modules = BTreeSet::new();
    let mut part = "";
    for line in summary.lines() {
        part = line.strip_prefix("# ").unwrap_or(part);
        let chapter = line.strip_prefix("- ").filter(|_| part != "The command");
        if let Some((_, target)) = chapter.and_then(|line| line.split_once("](")) {
            modules.insert(target.replace(".md)", "").replace('-', "_"));
        }
    }
    assert!(modules.len() > 25, "only {} chapters", modules.len());
    modules
}

#[test]
fn each_chapter_of_the_library_is_a_module() {
    let source = read("crates/taskgroup/src/_guide.rs");
    let (index, list) = source.split_once("taskgroup_macros::guide!").unwrap();
    let words = list.split(|c: char| !c.is_ascii_lowercase() && c != '_');
    let listed: BTreeSet<_> = words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    assert_eq!(listed, modules());
    for name in &listed {
        let linked = index.contains(&format!("]({name})")) || index.contains(&format!("[{name}]"));
        assert!(linked, "the index has no link to {name}");
    }
}

/// The folder of the pages, and the pages by name.
fn pages() -> (PathBuf, BTreeMap<String, String>) {
    let folder = std::env::var_os("TASKGROUP_DOC").expect("TASKGROUP_DOC names the built pages");
    let folder = PathBuf::from(folder).join("_guide");
    let names = modules()
        .into_iter()
        .map(|name| format!("{name}/index.html"));
    let pages = names.chain(["index.html".to_owned()]).map(|name| {
        let page = fs::read_to_string(folder.join(&name));
        let page = page.unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, page)
    });
    let pages = pages.collect();
    (folder, pages)
}

#[test]
#[ignore = "needs the built documentation: .ci/run doc"]
fn links_of_the_chapters_lead_somewhere() {
    let (folder, pages) = pages();
    let (links, mut wrong) = broken_links(&folder, &pages);
    for (name, page) in &pages {
        if page.contains("{{#") {
            wrong.push(format!("{name}: something is not included"));
        }
    }
    assert!(wrong.is_empty(), "of {links}:\n{}", wrong.join("\n"));
    assert!(links > 500, "only {links} links");
    println!("{links} links of the chapters lead somewhere");
}

#[test]
#[ignore = "needs the built documentation and Chromium: .ci/run doc"]
fn chromium_shows_no_table_and_no_code_of_the_chapters_that_is_cut() {
    let (folder, pages) = pages();
    let names: Vec<_> = pages.into_keys().collect();
    let ([measured, tables, blocks], wrong) = cut(&folder, &names);
    let counts = format!("{measured} pages, {tables} tables, {blocks} blocks of code");
    assert!(wrong.is_empty(), "{counts}\n{wrong}");
    assert!(
        measured == names.len() && tables > 50 && blocks > 250,
        "{counts}"
    );
    println!("{counts}, at two widths each: none is cut");
}
