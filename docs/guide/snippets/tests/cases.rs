//! docs/proof/cases.md, command.md and documents.md name tests that exist, and models.md has all
//! models.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn read(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands in backticks.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn each_test_of_the_table_is_in_its_file() {
    let page = read("docs/proof/cases.md");
    let rows: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|row| {
            row.trim_matches('|')
                .split('|')
                .map(str::trim)
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(rows.len() > 10, "only {} rows", rows.len());
    let mut tests = 0;
    for row in rows {
        assert_eq!(row.len(), 9, "{row:?}");
        let file = names(row[1])[0];
        let source = read(&format!("crates/taskgroup/tests/{file}"));
        for cell in &row[2..] {
            let cited = names(cell);
            assert!(!cited.is_empty() || *cell == "does not apply", "{row:?}");
            for test in cited {
                tests += 1;
                let defined = format!("fn {test}() {{");
                assert!(source.contains(&defined), "{file} has no test {test}");
            }
        }
    }
    assert!(tests > 100, "only {tests} tests are named");
}

#[test]
fn each_test_of_a_fault_of_the_command_is_in_its_file() {
    let page = read("docs/proof/command.md");
    let (mut tests, mut wrong) = (0, Vec::new());
    for row in page.lines().filter(|line| line.ends_with(" |")) {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for cited in names(cell) {
            let (file, test) = match cited.split_once(": ") {
                Some((file, test)) => (file.to_owned(), test),
                None => {
                    let (module, test) = cited.split_once("::").expect(cited);
                    (format!("tests/command/{module}.rs"), test)
                }
            };
            tests += 1;
            let source = read(&format!("crates/taskgroup-cli/{file}"));
            if !source.contains(&format!("fn {test}() {{")) {
                wrong.push(cited.to_owned());
            }
        }
    }
    assert!(wrong.is_empty(), "there is no such test: {wrong:#?}");
    assert!(tests > 50, "only {tests} tests are named");
}

#[test]
fn each_check_of_a_fault_of_the_documents_is_there() {
    let page = read("docs/proof/documents.md");
    let steps = read(".ci/run");
    let (mut checks, mut wrong) = (0, Vec::new());
    let (page, _) = page.split_once("\n## Tried as a new user\n").unwrap();
    for row in page.lines().filter(|line| line.ends_with(" |")) {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let cited = names(cell);
        let is_head = cell == "check";
        if cited.is_empty() && !is_head && !cell.starts_with("none: ") {
            wrong.push(format!("no check: {row}"));
        }
        for cited in cited {
            checks += 1;
            let there = match (cited.strip_prefix(".ci/run "), cited.split_once(": ")) {
                (Some(step), _) => steps.contains(&format!("step_{step}() {{")),
                (None, Some((file, test))) => read(file).contains(&format!("fn {test}() {{")),
                (None, None) => !read(cited).is_empty(),
            };
            if !there {
                wrong.push(cited.to_owned());
            }
        }
    }
    assert!(wrong.is_empty(), "there is no such check: {wrong:#?}");
    assert!(checks > 30, "only {checks} checks are named");
}

/// The models as the sources have them: name and bound.
fn models() -> BTreeSet<(String, String)> {
    let folder = "crates/taskgroup/src/scope/models";
    let mut models = BTreeSet::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let source = read(&format!("{folder}/{file}"));
        for rest in source.split("    Model {\n        name: \"").skip(1) {
            let (name, rest) = rest.split_once('"').unwrap();
            let (_, bound) = rest.split_once("preemptions: ").unwrap();
            let bound = match bound.split(',').next().unwrap() {
                "None" => "–",
                some => some.trim_start_matches("Some(").trim_end_matches(')'),
            };
            models.insert((name.to_owned(), bound.to_owned()));
        }
    }
    models
}

/// The table has each model with its bound and its figures, and the sum is right.
#[test]
fn each_model_of_the_engine_is_in_its_table() {
    let page = read("docs/proof/models.md");
    let (mut listed, mut sum) = (BTreeSet::new(), 0);
    for row in page.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, _, bound, interleavings, ..] = cells[..] else {
            panic!("{row}")
        };
        listed.insert((name.to_owned(), bound.to_owned()));
        sum += interleavings.replace(' ', "").parse::<usize>().expect(row);
    }
    assert_eq!(listed, models());
    let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let (before, _) = words.split_once(" interleavings of ").unwrap();
    let (_, said) = before.rsplit_once(": ").unwrap();
    assert_eq!(said.replace(' ', ""), sum.to_string());
    assert!(words.contains(&format!(" interleavings of {} models", listed.len())));
}
