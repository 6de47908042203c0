//! What the chapter about pitfalls says of the compiler is what the compiler says.

use std::fs;
use std::path::{Path, PathBuf};

fn refused() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refused")
}

fn chapter() -> String {
    fs::read_to_string(refused().join("../../../src/pitfalls.md")).unwrap()
}

/// A program that must not compile, and the words below it.
struct Refused {
    program: String,
    words: Vec<String>,
}

/// The blocks of the chapter, with the lines shown that only rustdoc sees.
fn blocks(chapter: &str) -> Vec<Refused> {
    let after_each = chapter.split("```rust,compile_fail\n").skip(1);
    let blocks = after_each.map(|text| {
        let (program, text) = text.split_once("```\n").expect("the block ends");
        let words = text.strip_prefix("\n```text\n");
        let words = words.and_then(|text| text.split_once("```"));
        let (words, _) = words.unwrap_or_else(|| panic!("no words below:\n{program}"));
        let program = program
            .lines()
            .map(|line| line.strip_prefix("# ").unwrap_or(line));
        Refused {
            program: program.flat_map(|line| [line, "\n"]).collect(),
            words: words.lines().map(|line| line.trim().to_owned()).collect(),
        }
    });
    blocks.collect()
}

#[test]
fn the_compiler_refuses_these_programs() {
    trybuild::TestCases::new().compile_fail("tests/refused/*.rs");
}

#[test]
fn the_chapter_shows_them_and_what_the_compiler_says() {
    let mut files: Vec<_> = fs::read_dir(refused())
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    for block in blocks(&chapter()) {
        let same = |file: &PathBuf| fs::read_to_string(file).unwrap() == block.program;
        let found = files.iter().position(same);
        let found = found.unwrap_or_else(|| panic!("not in tests/refused:\n{}", block.program));
        let file = files.swap_remove(found);
        let said = fs::read_to_string(file.with_extension("stderr")).unwrap();
        for words in &block.words {
            assert!(
                said.contains(words),
                "{}: not said: {words}",
                file.display()
            );
        }
    }
    assert!(files.is_empty(), "not in the chapter: {files:?}");
}
