//! The code in the documentation of the library fits its page: docs.rs cuts off what is wider.
//!
//! Lines that a page does not show, which begin with `# `, may be wider.

use std::fs;
use std::path::{Path, PathBuf};

/// The width of a block of code on a page of docs.rs, in a window of usual size.
const WIDTH: usize = 80;

/// The numbers of the lines of code in doc comments that are too wide.
fn too_wide(text: &str) -> Vec<usize> {
    let mut fenced = false;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_start();
        let doc = line
            .strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"));
        let Some(doc) = doc else {
            fenced = false;
            continue;
        };
        let doc = doc.strip_prefix(' ').unwrap_or(doc);
        if doc.starts_with("```") {
            fenced = !fenced;
        } else if fenced && !doc.starts_with("# ") && doc.chars().count() > WIDTH {
            found.push(number);
        }
    }
    found
}

fn sources(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
}

#[test]
fn code_in_the_documentation_fits_its_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../crates/taskgroup/src");
    let mut all = Vec::new();
    sources(&root, &mut all);
    assert!(all.len() > 100, "only {} files were read", all.len());
    let mut wrong = Vec::new();
    for path in all {
        let name = path.strip_prefix(&root).unwrap().display();
        let lines = too_wide(&fs::read_to_string(&path).unwrap()).into_iter();
        wrong.extend(lines.map(|number| format!("{name}:{number}")));
    }
    assert!(
        wrong.is_empty(),
        "wider than {WIDTH} columns:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_check_sees_what_it_should() {
    let wide = "x".repeat(WIDTH + 1);
    assert_eq!(too_wide(&format!("/// ```\n/// {wide}\n/// ```\n")), [2]);
    assert_eq!(too_wide(&format!("//! ```text\n//! {wide}\n")), [2]);
    assert_eq!(too_wide(&format!("/// ```\n/// # {wide}\n/// ```\n")), []);
    assert_eq!(too_wide(&format!("/// {wide}\nlet a = \"{wide}\";\n")), []);
}
