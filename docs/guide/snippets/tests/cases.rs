//! docs/proof/cases.md names tests that exist.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../..")
        .join(path);
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
