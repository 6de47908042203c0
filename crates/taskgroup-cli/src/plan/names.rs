//! Names for commands that have none: as few of the first words as distinguish them.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};

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
        rename_the_alike(&mut names, |place, _| joined(&words[place], count));
    }
    // No slug contains `#`, so a numbered name cannot equal another one.
    let mut counters: HashMap<String, usize> = HashMap::new();
    rename_the_alike(&mut names, |_, name| {
        let counter = counters.entry(name.to_owned()).or_insert(0);
        *counter += 1;
        format!("{name}#{counter}")
    });
    names
}

/// The most folders in the name of a path.
const MAX_FOLDERS: usize = 8;
/// The most characters in the name of a path with folders.
const MAX_PATH: usize = 40;
/// How many names are compared with those before them. From there on, each has a number.
const MAX_COMPARED: usize = 100_000;

/// Names for the commands that `map` runs, one for each argument, all different.
///
/// A name is the argument without what no name can contain. Of a path it is the last part, with as
/// many folders before it as distinguish it. Names that stay alike have the place of the argument
/// behind a `#`.
#[derive(Default)]
pub(crate) struct Namer {
    /// Short hashes, because an input may go on for long. Two names with the same one are taken for
    /// alike, so the second gets a longer name.
    seen: HashSet<u32>,
    /// How many arguments there were.
    number: u64,
}

impl Namer {
    /// The names of arguments that are all known.
    pub(crate) fn list(arguments: &[OsString]) -> Vec<String> {
        let named = |place: usize, folders| {
            let number = place as u64 + 1;
            of_argument(&arguments[place], number, folders)
        };
        let places = 0..arguments.len();
        let mut names: Vec<String> = places.map(|place| named(place, 0)).collect();
        for folders in 1..=MAX_FOLDERS {
            rename_the_alike(&mut names, |place, _| named(place, folders));
        }
        rename_the_alike(&mut names, |place, name| format!("{name}#{}", place + 1));
        names
    }

    /// The name of the next argument of an input, of which the rest is not known.
    pub(crate) fn next(&mut self, argument: &OsStr) -> String {
        self.number += 1;
        let number = self.number;
        if self.seen.len() < MAX_COMPARED {
            for folders in 0..=MAX_FOLDERS {
                let name = of_argument(argument, number, folders);
                if self.seen.insert(hash(&name)) {
                    return name;
                }
            }
        }
        format!("{}#{number}", of_argument(argument, number, 0))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "half of a hash is one, too"
)]
fn hash(name: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish() as u32
}

/// The argument's number if nothing in the argument can be part of a name.
fn of_argument(argument: &OsStr, number: u64, folders: usize) -> String {
    let text = argument.to_string_lossy();
    let words: Vec<&str> = text.split_whitespace().take(MAX_WORDS).collect();
    let slugs: Vec<String> = words.iter().map(|word| slug(word)).collect();
    let slugs: Vec<String> = slugs.into_iter().filter(|slug| !slug.is_empty()).collect();
    if slugs.is_empty() {
        return number.to_string();
    }
    let [path] = words[..] else {
        return joined(&slugs, MAX_WORDS);
    };
    let parts = path.trim_end_matches('/').rsplit('/').skip(1).map(slug);
    let before: Vec<String> = parts
        .filter(|part| !part.is_empty())
        .take(folders)
        .collect();
    if before.is_empty() {
        return joined(&slugs, MAX_WORDS);
    }
    let mut name = slugs.concat();
    for folder in before {
        name = format!("{folder}/{name}");
    }
    // The end of a path distinguishes it, and what is too long begins at a folder.
    let excess = name.chars().count().saturating_sub(MAX_PATH);
    if let Some((cut, _)) = name.char_indices().nth(excess).filter(|_| excess > 0) {
        name.drain(..cut);
        if let Some(slash) = name.find('/') {
            name.drain(..=slash);
        }
    }
    name
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
        name.truncate(name.trim_end_matches('-').len());
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

/// Gives another name to each of those that are not unique, by its place and its name so far.
fn rename_the_alike(names: &mut [String], mut name: impl FnMut(usize, &str) -> String) {
    let uses = tally(names);
    for (place, alike) in names.iter_mut().enumerate() {
        if uses[alike.as_str()] > 1 {
            *alike = name(place, alike);
        }
    }
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
    fn the_names_of_arguments_are_all_different() {
        let list = |arguments: &[&str]| {
            Namer::list(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
        };
        assert_eq!(
            list(&["a/Makefile", "b/Makefile", "c/x.txt"]),
            ["a/Makefile", "b/Makefile", "x.txt"]
        );
        assert_eq!(list(&["x/d/f", "y/d/f", "f"]), ["x/d/f", "y/d/f", "f"]);
        assert_eq!(list(&["a", "a", "!", "3"]), ["a#1", "a#2", "3#3", "3#4"]);
        let deep = format!("{}f", "folder/".repeat(50));
        let name = &list(&[&deep, &format!("x{deep}")])[1];
        assert!(
            name.ends_with("/f#2") && name.chars().count() <= MAX_PATH + 2,
            "{name}"
        );
        let mut namer = Namer::default();
        let mut next = |argument: &str| namer.next(OsStr::new(argument));
        assert_eq!(next("a/Makefile"), "Makefile");
        assert_eq!(next("b/Makefile"), "b/Makefile");
        assert_eq!(next("b/Makefile"), "Makefile#3");
        assert_eq!(next("x y"), "x-y");
        assert_eq!(next("x y"), "x-y#5");
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
