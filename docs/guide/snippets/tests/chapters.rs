//! The guide is whole: each chapter is in the table of contents and among the doctests, and none of
//! its code is skipped.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn guide() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../src")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of the guide but for the table of contents.
fn chapters() -> BTreeSet<String> {
    let files = fs::read_dir(guide()).unwrap();
    let mut names: BTreeSet<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md"))
        .collect();
    assert!(names.remove("SUMMARY.md"), "the guide has no SUMMARY.md");
    assert!(!names.is_empty(), "the guide has no chapter");
    names
}

/// What stands between `open` and `close`, wherever they occur in the text.
fn between(text: &str, open: &str, close: &str) -> BTreeSet<String> {
    let after_each = text.split(open).skip(1);
    after_each
        .filter_map(|rest| Some(rest.split_once(close)?.0.to_owned()))
        .collect()
}

#[test]
fn the_table_of_contents_lists_every_chapter_and_no_other() {
    let listed = between(&read(&guide().join("SUMMARY.md")), "](", ")");
    assert_eq!(listed, chapters());
}

#[test]
fn every_chapter_is_among_the_doctests() {
    let source = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"));
    assert_eq!(
        between(&source, "include_str!(\"../../src/", "\")"),
        chapters()
    );
    assert!(source.contains("README.md"));
}

#[test]
fn no_code_is_skipped() {
    let readme = guide().join("../../../README.md");
    let files = chapters().into_iter().map(|chapter| guide().join(chapter));
    for file in files.chain([readme]) {
        for (number, line) in read(&file).lines().enumerate() {
            // Code that must not compile is `compile_fail`, which is checked, too.
            for skipped in ["ignore", "no_run"] {
                assert!(
                    !(line.starts_with("```") && line.contains(skipped)),
                    "{}:{}: a block is marked `{skipped}`",
                    file.display(),
                    number + 1
                );
            }
        }
    }
}

/// The anchor that mdBook gives to a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        _ => c.is_alphanumeric().then_some(c),
    });
    kept.collect::<String>().to_lowercase()
}

/// The section of a chapter that a link leads to: from its heading to the next one of that level.
fn section<'a>(page: &'a str, wanted: &str) -> Option<&'a str> {
    let mut fenced = false;
    let mut found: Option<(usize, usize)> = None;
    let mut at = 0;
    for line in page.split_inclusive('\n') {
        let begin = at;
        at += line.len();
        fenced ^= line.starts_with("```");
        let level = line.len() - line.trim_start_matches('#').len();
        if fenced || level == 0 {
            continue;
        }
        match found {
            Some((from, outer)) if level <= outer => return Some(&page[from..begin]),
            Some(_) => {}
            None if anchor(&line[level..]) == wanted => found = Some((begin, level)),
            None => {}
        }
    }
    found.map(|(from, _)| &page[from..])
}

/// What the table of compared.md says of this library leads to code that is run.
#[test]
fn each_claim_of_the_comparison_leads_to_code() {
    let page = read(&guide().join("compared.md"));
    let rows: Vec<_> = page
        .lines()
        .skip_while(|line| !line.ends_with("| here |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert!(rows.len() > 20, "only {} rows", rows.len());
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 11, "{row}");
        let peers = &cells[1..10];
        assert!(
            peers
                .iter()
                .all(|cell| ["yes", "part", "hand", "no"].contains(cell)),
            "{row}"
        );
        let target = between(cells[10], "](", ")").pop_first().expect(row);
        let (file, wanted) = target.split_once('#').expect(row);
        let there = match file {
            "" => page.clone(),
            file => read(&guide().join(file)),
        };
        let code = section(&there, wanted).expect(row);
        assert!(
            code.contains("```rust\n"),
            "{target} has no code that is run"
        );
    }
}

/// The first program of README.md prints what stands below it, because both are those of an
/// example.
#[test]
fn the_program_of_the_readme_is_the_first_example() {
    let root = guide().join("../../..");
    let readme = read(&root.join("README.md"));
    let source = read(&root.join("crates/taskgroup/examples/00_readme.rs"));
    let output = read(&root.join("crates/taskgroup/examples/00_readme.out"));
    assert_eq!(block(&readme, "```rust\n"), source);
    let printed = block(&readme, "<!-- what it prints -->\n```text\n");
    assert_eq!(
        printed,
        output.replace("crates/taskgroup/examples/00_readme.rs", "src/main.rs")
    );
}

/// The live tree in the guide is the one that the example prints.
#[test]
fn the_tree_of_the_guide_is_what_came_out() {
    let output = guide().join("../../../crates/taskgroup/examples/60_live_tree.out");
    let page = read(&guide().join("seeing.md"));
    assert_eq!(
        block(&page, "<!-- what it prints -->\n```text\n"),
        read(&output)
    );
}

/// What stands in the first block that begins so.
fn block<'a>(text: &'a str, begin: &str) -> &'a str {
    let (_, rest) = text
        .split_once(begin)
        .unwrap_or_else(|| panic!("no {begin:?}"));
    let (code, _) = rest.split_once("```\n").expect("the block ends");
    code
}
