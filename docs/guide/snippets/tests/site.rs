//! The built book: its links lead to pages and anchors of it, and its tables and code fit.
//!
//! `.ci/run site` builds it and runs these tests. `TASKGROUP_SITE` names the folder.

mod browser;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use browser::{broken_links, cut};

fn site() -> PathBuf {
    let folder = std::env::var_os("TASKGROUP_SITE").expect("TASKGROUP_SITE names the built book");
    PathBuf::from(folder)
}

/// The pages by name. The page for printing repeats the others; 404 has links from the root.
fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    for entry in fs::read_dir(site()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let is_page = name.ends_with(".html");
        if is_page && !["print.html", "404.html", "toc.html"].contains(&name.as_str()) {
            pages.insert(name, fs::read_to_string(path).unwrap());
        }
    }
    assert!(pages.len() > 30, "only {} pages", pages.len());
    pages
}

#[test]
#[ignore = "needs the built book: .ci/run site"]
fn links_of_the_site_lead_somewhere() {
    let pages = pages();
    let (links, mut wrong) = broken_links(&site(), &pages);
    for (name, page) in &pages {
        if page.contains("{{#") {
            wrong.push(format!("{name}: something is not included"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {links}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(links > 500, "only {links} links");
    println!("{links} links lead somewhere");
}

#[test]
#[ignore = "needs the built book and Chromium: .ci/run site"]
fn chromium_shows_no_table_and_no_code_that_is_cut() {
    let names: Vec<_> = pages().into_keys().collect();
    let ([measured, tables, blocks], wrong) = cut(&site(), &names);
    let counts = format!("{measured} pages, {tables} tables, {blocks} blocks of code");
    assert!(wrong.is_empty(), "{counts}\n{wrong}");
    assert!(
        measured == names.len() && tables > 60 && blocks > 300,
        "{counts}"
    );
    println!("{counts}, at two widths each: none is cut");
}
