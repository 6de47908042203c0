//! Statements of the documents that a program can check: commands that exist, numbers that are
//! right, examples that are named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../..")
        .canonicalize()
        .unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Documents, by their path from the root of the repository.
fn documents() -> Vec<(String, String)> {
    fn collect(folder: &Path, all: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                if name != "target" && name != "corpus" && !name.starts_with('.') {
                    collect(&entry.path(), all);
                }
            } else if name.ends_with(".md") {
                all.push(entry.path());
            }
        }
    }
    let (root, mut all) = (root(), Vec::new());
    collect(&root, &mut all);
    assert!(all.len() > 50, "only {} documents", all.len());
    let relative = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
    let read = |path: &PathBuf| (relative(path), fs::read_to_string(path).unwrap());
    all.iter().map(read).collect()
}

/// The commands that begin with these words, each up to the end of its code or line.
fn commands<'a>(text: &'a str, words: &str) -> Vec<&'a str> {
    let rests = text.match_indices(words).map(|(at, _)| &text[at..]);
    rests
        .map(|rest| {
            rest.split(['`', '\n', '#', '|', ';', ',', ')'])
                .next()
                .unwrap()
        })
        .collect()
}

#[test]
fn commands_exist() {
    let steps = read(".ci/run");
    let recipes = read("justfile");
    let mut packages = BTreeSet::new();
    for folder in ["crates", "docs/guide"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let manifest = entry.unwrap().path().join("Cargo.toml");
            if let Ok(manifest) = fs::read_to_string(manifest) {
                packages.insert(name_in(&manifest));
            }
        }
    }
    packages.extend(["bench/Cargo.toml", "proof/Cargo.toml"].map(|path| name_in(&read(path))));
    let (mut found, mut wrong) = (0, Vec::new());
    for (path, text) in documents() {
        for command in commands(&text, ".ci/run ") {
            for step in command.split_whitespace().skip(1) {
                // A sentence goes on where the code has ended.
                if !step.bytes().all(|byte| byte.is_ascii_lowercase()) {
                    break;
                }
                found += 1;
                if !steps.contains(&format!("\nstep_{step}() {{")) {
                    wrong.push(format!("{path}: .ci/run {step}"));
                }
            }
        }
        for command in commands(&text, "`just ") {
            let recipe = command.split_whitespace().nth(1).unwrap_or_default();
            let Some(recipe) = recipe.split('`').next().filter(|name| !name.is_empty()) else {
                continue;
            };
            let is_ours = path == "CONTRIBUTING.md" || path == "README.md";
            let defined = recipes.lines().any(|line| {
                line.starts_with(&format!("{recipe}:")) || line.starts_with(&format!("{recipe} "))
            });
            found += 1;
            if is_ours && !defined {
                wrong.push(format!("{path}: just {recipe}"));
            }
        }
        for command in commands(&text, "cargo ") {
            let words: Vec<_> = command.split_whitespace().collect();
            for pair in words.windows(2).filter(|pair| pair[0] == "-p") {
                found += 1;
                let name = pair[1].trim_matches(|c: char| !c.is_alphanumeric());
                if name.starts_with("taskgroup") && !packages.contains(name) {
                    wrong.push(format!("{path}: {command}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "there is no such thing: {wrong:#?}");
    assert!(found > 40, "only {found} commands were found");
}

fn name_in(manifest: &str) -> String {
    let mut lines = manifest.lines();
    let name = lines.find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    name.unwrap().to_owned()
}

/// `08_timeout` and `08_timeout.rs` are files.
#[test]
fn examples_that_are_named_exist() {
    let folder = root().join("crates/taskgroup/examples");
    let mut found = BTreeSet::new();
    for (path, text) in documents() {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for word in words {
            let digits = word.len() > 4 && word.as_bytes()[..2].iter().all(u8::is_ascii_digit);
            if !digits || word.as_bytes()[2] != b'_' || !word.as_bytes()[3].is_ascii_lowercase() {
                continue;
            }
            found.insert(word.to_owned());
            let there = folder.join(format!("{word}.rs")).exists();
            assert!(there, "{path}: there is no example {word}");
        }
    }
    assert!(found.len() > 40, "only {} examples are named", found.len());
}

/// "in 54 numbered rules", "54 numbered rules, which comments and tests cite as S1 to S54".
#[test]
fn the_number_of_rules_is_right() {
    let contract = read("docs/contract.md");
    let rules = contract.lines().filter(|line| line.starts_with("### S"));
    let rules = rules.count();
    assert!(rules > 50, "only {rules} rules");
    let mut found = 0;
    for (path, text) in documents() {
        for (before, _) in text
            .split(" numbered rules")
            .zip(text.split(" numbered rules").skip(1))
        {
            let number = before.split_whitespace().last().unwrap_or_default();
            let Ok(number) = number.parse::<usize>() else {
                continue;
            };
            found += 1;
            assert_eq!(number, rules, "{path}: {number} numbered rules");
        }
    }
    assert!(found >= 2, "{found} documents give the number");
}

/// CONTRIBUTING.md says how many comparisons the step `differential` makes.
#[test]
fn the_number_of_comparisons_is_right() {
    let step = read(".ci/run");
    let programs = step
        .split_once("local programs=")
        .and_then(|(_, rest)| rest.split_whitespace().next()?.parse::<usize>().ok())
        .expect("the step says how many programs it makes");
    assert!(
        step.contains("expected=$((4 * programs * "),
        "two drivers, two oracles"
    );
    let page = read("CONTRIBUTING.md");
    let said = page
        .split_once("`.ci/run differential` (")
        .and_then(|(_, rest)| rest.split_once(" comparisons)"))
        .map(|(number, _)| number.replace(' ', ""))
        .expect("CONTRIBUTING.md gives the number");
    assert_eq!(said, (4 * programs).to_string());
}

/// While no address is known, nothing says that the library can be had from a registry.
#[test]
fn readme_says_how_to_add_it_as_it_is() {
    let published = read("Cargo.toml").contains("\nrepository = ");
    for path in ["README.md", "docs/guide/src/first-hour.md"] {
        let page = read(path);
        let says = page.contains("not on crates.io yet");
        assert_ne!(says, published, "{path}: is it on crates.io?");
        let line = "cargo add taskgroup --path ../taskgroup/crates/taskgroup";
        assert_eq!(page.contains(line), !published, "{path}: how is it added?");
    }
}

/// Programs that start with a paused clock do not compile with Tokio's feature `full` alone.
#[test]
fn a_paused_clock_is_explained() {
    for path in [
        "docs/guide/src/introduction.md",
        "docs/guide/src/examples.md",
    ] {
        let page = read(path);
        assert!(
            page.contains("start_paused = true") && page.contains("`test-util`"),
            "{path} does not say what a paused clock needs"
        );
    }
    let faq = read("docs/guide/src/faq.md");
    assert!(faq.contains("cargo add tokio --features full,test-util"));
}

/// What crates.io asks of the keywords and categories of a crate. It refuses others.
#[test]
fn keywords_are_within_the_limits_of_the_registry() {
    let manifests = ["taskgroup", "taskgroup-macros", "taskgroup-cli"]
        .map(|name| format!("crates/{name}/Cargo.toml"));
    let mut found = 0;
    for path in manifests.iter().map(String::as_str).chain(["Cargo.toml"]) {
        for (name, most, longest) in [("keywords", 5, 20), ("categories", 5, 64)] {
            let manifest = read(path);
            let line = manifest
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name} = [")));
            let Some(line) = line else { continue };
            let words: Vec<_> = line.split('"').skip(1).step_by(2).collect();
            found += 1;
            assert!(words.len() <= most, "{path}: more than {most} {name}");
            for word in words {
                let letters = word
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_+:".contains(&byte));
                let fits = word.len() <= longest && letters;
                assert!(fits, "{path}: {word} is no word for {name}");
            }
        }
    }
    assert!(found >= 4, "only {found} lists were found");
}
