//! Names for commands that have none: as few of the first words as distinguish them.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

/// The most words in a name.
const MAX_WORDS: usize = 4;
/// The most characters in a name.
const MAX_CHARS: usize = 24;

/// One name for each command, all different.
///
/// A name is the command's first word, without its folders. If another command has that name, a
/// second word is added, and so on. Commands that stay alike are numbered.
pub(crate) fn derive(commands: &[OsString]) -> Vec<String> {
    let words: Vec<Vec<String>> = commands
        .iter()
        .map(|c| words(&c.to_string_lossy()))
        .collect();
    let mut names: Vec<String> = words.iter().map(|words| joined(words, 1)).collect();
    for count in 2..=MAX_WORDS {
        let uses = tally(&names);
        for (name, words) in names.iter_mut().zip(&words) {
            if uses[name.as_str()] > 1 {
                *name = joined(words, count);
            }
        }
    }
    number_the_alike(names)
}

/// A name for the command that `map` runs for one argument: its number if nothing in the argument
/// can be part of a name. It need not be unique.
pub(crate) fn of_argument(argument: &OsStr, number: u64) -> String {
    let words: Vec<String> = argument
        .to_string_lossy()
        .split_whitespace()
        .map(slug)
        .filter(|word| !word.is_empty())
        .take(MAX_WORDS)
        .collect();
    if words.is_empty() {
        number.to_string()
    } else {
        joined(&words, MAX_WORDS)
    }
}

fn words(command: &str) -> Vec<String> {
    let mut words = command.split_whitespace().peekable();
    // `CC=clang make` is about make.
    while words.peek().is_some_and(|word| is_assignment(word)) {
        words.next();
    }
    words
        .map(slug)
        .filter(|word| !word.is_empty())
        .take(MAX_WORDS)
        .collect()
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

fn slug(word: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || "._+@%".contains(c);
    let end_of_path = word
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or(word);
    let mut slug = String::new();
    for c in end_of_path.chars() {
        if kept(c) {
            slug.push(c);
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_matches(|c: char| !c.is_alphanumeric()).to_owned()
}

fn joined(words: &[String], count: usize) -> String {
    let mut name = words[..count.min(words.len())].join("-");
    if let Some((cut, _)) = name.char_indices().nth(MAX_CHARS) {
        name.truncate(cut);
    }
    if name.is_empty() {
        "task".to_owned()
    } else {
        name
    }
}

fn tally(names: &[String]) -> HashMap<String, usize> {
    let mut uses = HashMap::new();
    for name in names {
        *uses.entry(name.clone()).or_insert(0) += 1;
    }
    uses
}

/// No slug contains `#`, so a numbered name cannot equal another one.
fn number_the_alike(mut names: Vec<String>) -> Vec<String> {
    let uses = tally(&names);
    let mut counters: HashMap<String, usize> = HashMap::new();
    for name in &mut names {
        if uses[name.as_str()] > 1 {
            let counter = counters.entry(name.clone()).or_insert(0);
            *counter += 1;
            *name = format!("{name}#{counter}");
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(commands: &[&str]) -> Vec<String> {
        derive(&commands.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_first_word_is_enough_when_it_is_unique() {
        assert_eq!(
            names(&["cargo test", "./scripts/lint.sh -v"]),
            ["cargo", "lint.sh"]
        );
        assert_eq!(names(&["CC=clang make all"]), ["make"]);
    }

    #[test]
    fn more_words_tell_commands_apart() {
        assert_eq!(
            names(&["sleep 0.3; exit 3", "sleep 100"]),
            ["sleep-0.3", "sleep-100"]
        );
        assert_eq!(
            names(&["npm run lint", "npm run test", "make"]),
            ["npm-run-lint", "npm-run-test", "make"]
        );
    }

    #[test]
    fn commands_that_stay_alike_are_numbered() {
        assert_eq!(
            names(&["true", "true", "true x"]),
            ["true#1", "true#2", "true-x"]
        );
        assert_eq!(names(&["!", "((", "X=1"]), ["task#1", "task#2", "task#3"]);
    }

    #[test]
    fn names_are_short_and_unique_whatever_comes_in() {
        let long = "é".repeat(100);
        let commands = [
            format!("{long}1"),
            format!("{long}2"),
            "\u{1b}[31m \0".to_owned(),
        ];
        let names = names(&commands.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(
            names
                .iter()
                .all(|name| name.chars().count() <= MAX_CHARS + 2),
            "{names:?}"
        );
        assert!(
            names.iter().all(|name| !name.chars().any(char::is_control)),
            "{names:?}"
        );
        assert_eq!(tally(&names).len(), 3);
    }
}
