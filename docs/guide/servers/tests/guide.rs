//! The page of the guide says what is in the programs.

use std::fs;
use std::path::Path;

const NAMES: [&str; 4] = ["tcp", "hyper", "axum", "queue"];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn program(name: &str) -> String {
    read(&format!("src/bin/{name}.rs"))
}

fn lines_of_code(source: &str) -> usize {
    let lines = source.lines().map(str::trim);
    let is_code = |line: &&str| !line.is_empty() && !line.starts_with("//");
    lines.filter(is_code).count()
}

#[test]
fn the_lines_are_counted() {
    let page = read("../src/servers.md");
    for name in NAMES {
        let count = |kind: &str| lines_of_code(&program(&format!("{name}{kind}")));
        let [own, tracker, toplevel] = ["", "_tracker", "_toplevel"].map(count);
        let row = format!("| `{name}` | {own} | {tracker} | {toplevel} |\n");
        assert!(page.contains(&row), "the page has no {row}");
    }
}

#[test]
fn the_code_is_that_of_the_programs() {
    let page = read("../src/servers.md");
    let (_, rest) = page.split_once("<!-- from tcp.rs -->\n```rust\n").unwrap();
    let (shown, _) = rest.split_once("```\n").unwrap();
    // Before that, the page has what the programs share.
    let begin = shown.find("async fn serve()").unwrap();
    let shown = shown[begin..].lines().filter(|line| !line.starts_with('#'));
    let shown: Vec<_> = shown.collect();
    assert!(program("tcp").contains(&shown.join("\n")), "{shown:#?}");
}
