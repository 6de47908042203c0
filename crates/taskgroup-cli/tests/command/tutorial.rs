//! The tutorial of the guide: each of its files is written, each of its commands is run, and what
//! it prints is what stands there. Times may differ, and so may the order of lines.

use std::path::Path;
use std::process::Command;

use crate::support::{Running, Sandbox};

const PAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/guide/src/command-tutorial.md"
);

/// A block of the page, with the comment before it.
struct Block<'a> {
    note: &'a str,
    language: &'a str,
    text: String,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let (mut blocks, mut note) = (Vec::new(), "");
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(comment) = line.strip_prefix("<!-- ") {
            note = comment.strip_suffix(" -->").expect("one line");
        } else if let Some(language) = line.strip_prefix("```") {
            let text = lines.by_ref().take_while(|line| *line != "```");
            let text = text.map(|line| format!("{line}\n")).collect();
            blocks.push(Block {
                note,
                language,
                text,
            });
            note = "";
        }
    }
    blocks
}

/// The commands of a block, each with the lines that it prints.
fn commands(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut commands = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => commands.push((command, Vec::new())),
            None => commands.last_mut().expect("a command first").1.push(line),
        }
    }
    commands
}

/// Without the times, and in an order of its own.
fn comparable<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let without_time = |word: &str| {
        let number = word.trim_end_matches(',').strip_suffix('s');
        match number.is_some_and(|number| number.parse::<f64>().is_ok() && number.contains('.')) {
            true => "0.00s".to_owned(),
            false => word.to_owned(),
        }
    };
    let plain = |line: &str| {
        line.split(' ')
            .map(without_time)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut lines: Vec<_> = lines.into_iter().map(plain).collect();
    lines.sort();
    lines
}

/// How the command ended, and all that it wrote.
fn run(command: &str, sandbox: &Sandbox) -> (Option<i32>, String) {
    let binary = Path::new(env!("CARGO_BIN_EXE_taskgroup"));
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", binary.parent().unwrap().display());
    let mut shell = sandbox.through(Command::new("sh"));
    shell
        .args(["-c", &format!("{{ {command}; }} 2>&1")])
        .current_dir(sandbox.path("."))
        .env("PATH", path);
    let ended = Running::of(&mut shell).ended();
    (ended.code, ended.out().to_owned())
}

#[test]
fn each_command_of_the_tutorial_prints_what_stands_there() {
    let sandbox = Sandbox::new();
    let page = std::fs::read_to_string(PAGE).unwrap();
    let mut ran = 0;
    for block in blocks(&page) {
        if let Some(name) = block.note.strip_prefix("file: ") {
            sandbox.file(name, &block.text);
            continue;
        }
        match block.language {
            "console" => {}
            "yaml" => continue,
            other => panic!("a block of {other} without a name:\n{}", block.text),
        }
        let code = match block.note.strip_prefix("exit ") {
            Some(code) => code.parse().unwrap(),
            None => 0,
        };
        for (command, printed) in commands(&block.text) {
            let (ended, said) = run(command, &sandbox);
            assert_eq!(ended, Some(code), "{command}\n{said}");
            let (promised, said) = (comparable(printed), comparable(said.lines()));
            assert_eq!(promised, said, "{command}");
            ran += 1;
        }
    }
    assert!(ran > 10, "only {ran} commands");
}
