//! Finds the public functions that take or return futures in the sources.

use std::fs;
use std::path::Path;

/// The names of all of them: `gather`, `GroupBuilder::gather`.
pub(crate) fn public_async_functions() -> Vec<String> {
    let mut found = Vec::new();
    read(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    found.sort();
    found
}

fn read(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            find(&fs::read_to_string(&path).unwrap(), found);
        }
    }
}

fn find(source: &str, found: &mut Vec<String>) {
    let mut within = None;
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("impl") {
            within = inherent(line);
        } else if line.starts_with('}') {
            within = None;
        }
        let start = line.trim_start();
        if !start.starts_with("pub fn ") && !start.starts_with("pub async fn ") {
            continue;
        }
        let mut signature = line.to_owned();
        while !signature.ends_with('{') {
            signature.push_str(lines.next().expect("a function has a body"));
        }
        if signature.contains("async fn ") || signature.contains("Future") {
            let (_, name) = signature.split_once("fn ").unwrap();
            let name = name.split(['(', '<']).next().unwrap();
            let is_method = line.starts_with(' ');
            found.push(match within.filter(|_| is_method) {
                Some(within) => format!("{within}::{name}"),
                None => name.to_owned(),
            });
        }
    }
}

/// The type that a block of methods belongs to.
fn inherent(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("impl")?;
    let rest = match rest.strip_prefix('<') {
        // The parameters of the block have no `>` of their own but those of an arrow.
        Some(parameters) => parameters.split_once("> ")?.1,
        None => rest.trim_start(),
    };
    rest.split([' ', '<', '{']).next()
}

#[test]
fn finds_functions_and_methods() {
    let mut found = Vec::new();
    let source = "\
pub async fn free() {
}
pub(crate) async fn ours() {
}
impl<B: Clone, W> Retry<B, W> {
    pub fn run<F>(
        &self,
    ) -> impl Future<Output = F>
    {
    }
    pub fn plain(&self) {
    }
}
";
    find(source, &mut found);
    assert_eq!(found, ["free", "Retry::run"]);
}
