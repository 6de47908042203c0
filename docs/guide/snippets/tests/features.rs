//! The front page of the library lists each feature of its manifest, and no other.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../crates/taskgroup");
    fs::read_to_string(root.join(path)).unwrap()
}

/// The names at the beginning of the lines between `from` and the next line that begins with `to`.
fn names<'a>(text: &'a str, from: &str, to: &str, before: &str, after: &str) -> Vec<&'a str> {
    let lines = text.lines().skip_while(|line| *line != from).skip(1);
    let lines = lines.take_while(|line| !line.starts_with(to));
    let names = lines.filter_map(|line| Some(line.strip_prefix(before)?.split_once(after)?.0));
    let mut names: Vec<_> = names.filter(|name| !name.starts_with('#')).collect();
    names.sort_unstable();
    names
}

#[test]
fn the_front_page_lists_each_feature() {
    let (manifest, page) = (read("Cargo.toml"), read("src/lib.rs"));
    let mut features = names(&manifest, "[features]", "[", "", " = ");
    features.retain(|feature| *feature != "default");
    let listed = names(&page, "//! # Features", "//! # ", "//! | `", "` |");
    assert!(features.len() > 5, "{features:?}");
    assert_eq!(listed, features);
}
