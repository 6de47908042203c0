//! Reads comments and documents. Fails for a label that is not defined or stands for two things.
//!
//! A *label* is one or two capitals and a number of one or two digits, with an `a` or `b` behind it
//! where a reference has one: `S12`, `TG03`, `TG20a`. It is a word of its own. What stands in
//! backticks is no label, and neither is code, so any other word of that form (a bucket `S3`, the
//! protocol `H2`) goes in backticks.
//!
//! Labels are looked for in the comments of `.rs` and `.py` files, in the prose of `.md` files, and
//! in string literals that are nothing but labels or begin with labels and a colon, as messages of
//! assertions do. A range (`T1–T8`) cites what lies between, too.
//!
//! There are four kinds, and each is defined in one way:
//!
//! | kind | example | defined in |
//! |---|---|---|
//! | rule | `S12` | a heading `### S12: …` of `docs/contract.md` |
//! | reference behaviour | `TG03` | an item `- **TG03** …` of `docs/contract/reference.md` |
//! | fault | `fault B4` | an item `- **B4** …` of `docs/proof/faults.md` |
//! | invariant | `K1` | an item `- **K1** …` or a paragraph `**K1** …` of a source file |
//!
//! One capital from `A` to `F` is a fault, and is cited with that word. The letters of invariants
//! belong to one file, or to a file and the folder of its submodules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

const CONTRACT: &str = "docs/contract.md";
const REFERENCE: &str = "docs/contract/reference.md";
const FAULTS: &str = "docs/proof/faults.md";
const ARCHITECTURE: &str = "ARCHITECTURE.md";

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Label {
    letters: String,
    number: u32,
    suffix: Option<char>,
    text: String,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Label {
    /// The label that `text` begins with, if a word ends there.
    fn at_start(text: &str) -> Option<Self> {
        let count = |text: &str, is: fn(&char) -> bool| text.chars().take_while(is).count();
        let letters = count(text, char::is_ascii_uppercase);
        let digits = count(&text[letters..], char::is_ascii_digit);
        if !(1..=2).contains(&letters) || !(1..=2).contains(&digits) {
            return None;
        }
        let mut end = letters + digits;
        let suffix = text[end..]
            .chars()
            .next()
            .filter(|c| matches!(c, 'a' | 'b'));
        end += usize::from(suffix.is_some());
        let goes_on = |c: char| c.is_alphanumeric() || c == '_';
        if text[end..].starts_with(goes_on) {
            return None;
        }
        Some(Self {
            letters: text[..letters].to_owned(),
            number: text[letters..letters + digits].parse().ok()?,
            suffix,
            text: text[..end].to_owned(),
        })
    }

    fn is_fault(&self) -> bool {
        matches!(self.letters.as_str(), "A" | "B" | "C" | "D" | "E" | "F")
    }
}

/// The labels of `text`, each with its place.
fn labels(text: &str) -> Vec<(usize, Label)> {
    let mut found = Vec::new();
    let mut before = ' ';
    let mut skipped = 0;
    for (at, c) in text.char_indices() {
        let in_a_word = before.is_alphanumeric() || "_-.#$&\\@'".contains(before);
        before = c;
        if in_a_word || at < skipped {
            continue;
        }
        if let Some(label) = Label::at_start(&text[at..]) {
            skipped = at + label.text.len();
            found.push((at, label));
        }
    }
    found
}

/// A line of prose: of a comment or a document, without what stands in backticks.
struct Line {
    number: usize,
    text: String,
    /// A heading of a document.
    is_heading: bool,
    /// It goes on with the sentence of the line before.
    goes_on: bool,
}

/// Removes code from lines that follow one another.
#[derive(Default)]
struct Prose {
    lines: Vec<Line>,
    /// In a block of code between fences.
    fenced: bool,
    /// In code between so many backticks.
    ticks: usize,
    last: usize,
}

impl Prose {
    fn push(&mut self, number: usize, raw: &str, in_document: bool) {
        let text = raw.trim();
        let goes_on = number == self.last + 1 && !text.is_empty();
        self.last = number;
        if !goes_on {
            self.ticks = 0;
        }
        if text.starts_with("```") {
            self.fenced = !self.fenced;
            return;
        }
        if self.fenced || text.is_empty() {
            return;
        }
        let mut kept = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('`') {
            if self.ticks == 0 {
                kept.push_str(&rest[..at]);
            }
            let run = rest[at..].chars().take_while(|c| *c == '`').count();
            if self.ticks == 0 {
                self.ticks = run;
                // What touches the code is not a word of its own.
                kept.push('_');
            } else if self.ticks == run {
                self.ticks = 0;
                kept.push('_');
            }
            rest = &rest[at + run..];
        }
        if self.ticks == 0 {
            kept.push_str(rest);
        }
        self.lines.push(Line {
            number,
            text: kept,
            is_heading: in_document && text.starts_with('#'),
            goes_on,
        });
    }

    /// Code: comments do not go on behind it.
    fn interrupt(&mut self) {
        self.fenced = false;
        self.ticks = 0;
    }
}

fn prose_of(path: &str, source: &str) -> Vec<Line> {
    let mut prose = Prose::default();
    for (number, raw) in (1..).zip(source.lines()) {
        let line = raw.trim_start();
        if path.ends_with(".md") {
            prose.push(number, raw, true);
        } else if path.ends_with(".py") {
            match line
                .strip_prefix('#')
                .or(line.split_once(" # ").map(|(_, comment)| comment))
            {
                Some(comment) => prose.push(number, comment, false),
                None => prose.interrupt(),
            }
        } else if let Some(comment) = line.strip_prefix("//") {
            prose.push(number, comment.trim_start_matches(['/', '!']), false);
        } else {
            prose.interrupt();
            if let Some((_, comment)) = line.split_once(" // ") {
                prose.push(number, comment, false);
                prose.interrupt();
            }
            for labels in labelled_strings(line) {
                prose.push(number, labels, false);
                prose.interrupt();
            }
        }
    }
    prose.lines
}

/// What the string literals of a line of code cite: `"K1, K2"` and `"K1: it is so"`.
fn labelled_strings(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices('"') {
        let literal = &line[at + 1..];
        let mut rest = literal;
        while let Some(label) = Label::at_start(rest) {
            rest = &rest[label.text.len()..];
            if rest.starts_with(['"', ':']) {
                found.push(&literal[..literal.len() - rest.len()]);
                break;
            }
            match rest.strip_prefix(", ") {
                Some(more) => rest = more,
                None => break,
            }
        }
    }
    found
}

/// The label that a line defines.
fn defined(line: &Line) -> Option<Label> {
    if line.is_heading {
        let label = Label::at_start(line.text.trim_start_matches('#').trim_start())?;
        return line.text.contains(&format!(" {label}: ")).then_some(label);
    }
    let text = line.text.strip_prefix("- ").unwrap_or(&line.text);
    let label = Label::at_start(text.strip_prefix("**")?)?;
    text[2 + label.text.len()..]
        .starts_with("**")
        .then_some(label)
}

/// A label is defined where labels of its kind are.
fn may_define(path: &str, label: &Label) -> bool {
    match path {
        CONTRACT => label.letters == "S",
        FAULTS => label.is_fault(),
        REFERENCE => label.letters.len() == 2,
        _ => path.ends_with(".rs") && label.letters != "S" && !label.is_fault(),
    }
}

/// What is said about labels, and what is wrong with it.
#[derive(Default)]
struct Labels {
    /// Where each is defined, as `file:line`.
    defined: BTreeMap<Label, Vec<String>>,
    cited: BTreeMap<Label, BTreeSet<String>>,
    citations: usize,
    wrong: Vec<String>,
}

impl Labels {
    fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut all = Self::default();
        for (path, source) in files {
            all.read(path, source);
        }
        all.judge();
        all
    }

    fn read(&mut self, path: &str, source: &str) {
        let mut behind = String::new();
        for line in prose_of(path, source) {
            let place = format!("{path}:{}", line.number);
            let definition = defined(&line);
            if let Some(label) = &definition {
                if may_define(path, label) {
                    let places = self.defined.entry(label.clone()).or_default();
                    places.push(place.clone());
                } else {
                    self.wrong
                        .push(format!("{place}: {label} is not defined here"));
                }
            }
            if !line.goes_on {
                behind.clear();
            }
            // The last word of the line before may be "fault".
            let text = format!("{behind} {}", line.text);
            let from = behind.len() + 1;
            self.cite(&place, &text, from, definition.as_ref());
            behind = text
                .split_whitespace()
                .last()
                .unwrap_or_default()
                .to_owned();
        }
    }

    /// `own` is the label that the line defines. What is before `from` was read already.
    fn cite(&mut self, place: &str, text: &str, from: usize, own: Option<&Label>) {
        let mut before: Option<(usize, Label, bool)> = None;
        for (at, label) in labels(text) {
            if at < from {
                continue;
            }
            let between = before.as_ref().map_or("", |(end, ..)| &text[*end..at]);
            let word = text[..at].trim_end().to_lowercase();
            let as_fault = word.ends_with("fault")
                || word.ends_with("faults")
                || before.as_ref().is_some_and(|(.., fault)| *fault)
                    && [", ", " and ", " or ", ", and ", ", or ", "–"].contains(&between);
            if label.is_fault() && !as_fault && own != Some(&label) {
                let wrong = format!("{place}: a fault is cited as `fault {label}`");
                self.wrong.push(wrong);
            }
            if let (Some((_, first, _)), "–") = (&before, between) {
                if first.letters == label.letters && first.suffix.is_none() {
                    let width = first.text.len() - first.letters.len();
                    for number in first.number + 1..label.number {
                        let text = format!("{}{number:0width$}", first.letters);
                        let (letters, suffix) = (first.letters.clone(), None);
                        self.cited_at(
                            place,
                            Label {
                                letters,
                                number,
                                suffix,
                                text,
                            },
                        );
                    }
                }
            }
            if own != Some(&label) {
                self.citations += 1;
                self.cited_at(place, label.clone());
            }
            let as_fault = as_fault && label.is_fault();
            before = Some((at + label.text.len(), label, as_fault));
        }
    }

    fn cited_at(&mut self, place: &str, label: Label) {
        self.cited
            .entry(label)
            .or_default()
            .insert(place.to_owned());
    }

    fn judge(&mut self) {
        for (label, places) in &self.cited {
            if !self.defined.contains_key(label) {
                let places: Vec<_> = places.iter().map(String::as_str).collect();
                let place = places.join(", ");
                self.wrong
                    .push(format!("{place}: {label} is defined nowhere"));
            }
        }
        let mut homes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (label, places) in &self.defined {
            if places.len() > 1 {
                let wrong = format!("{}: {label} stands for two things", places.join(", "));
                self.wrong.push(wrong);
            }
            for place in places {
                let file = place.split(':').next().unwrap_or(place);
                let stem = file.trim_end_matches(".rs").trim_end_matches("/mod");
                homes.entry(&label.letters).or_default().insert(stem);
            }
        }
        for (letters, homes) in homes {
            let first = homes.first().copied().unwrap_or_default();
            let below = |home: &&str| {
                home.strip_prefix(first)
                    .is_some_and(|rest| rest.starts_with('/'))
            };
            if !homes.iter().skip(1).all(below) {
                let homes: Vec<_> = homes.into_iter().collect();
                self.wrong.push(format!(
                    "{}: all of them define {letters}",
                    homes.join(", ")
                ));
            }
        }
    }

    fn defined_in(&self, path: &str) -> Vec<&Label> {
        let inside = |places: &Vec<String>| places.iter().any(|place| place.starts_with(path));
        self.defined
            .iter()
            .filter(|(_, places)| inside(places))
            .map(|(label, _)| label)
            .collect()
    }
}

/// The text of an item or a section: from the line that defines `label` to the next definition.
fn entry<'a>(document: &'a str, label: &Label) -> &'a str {
    let starts = [format!("- **{label}** "), format!("### {label}: ")];
    let start = starts
        .iter()
        .find_map(|start| document.find(start))
        .expect("it is defined");
    let rest = &document[start..];
    let ends = ["\n- **", "\n### ", "\n## "].map(|end| rest[1..].find(end));
    let end = ends
        .into_iter()
        .flatten()
        .min()
        .map_or(rest.len(), |end| end + 1);
    &rest[..end]
}

/// The functions of `source` whose names begin with `fault_`.
fn fault_tests(source: &str) -> impl Iterator<Item = &str> {
    source.match_indices("fn fault_").map(|(at, _)| {
        let name = &source[at + 3..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        &name[..name.find(|c| !is_name(c)).unwrap_or(name.len())]
    })
}

/// What is wrong with the list of faults.
fn faults_and_tests(faults: &[&Label], document: &str, tests: &BTreeSet<&str>) -> Vec<String> {
    let mut wrong = Vec::new();
    for test in tests {
        let fault = test.split('_').nth(1).unwrap_or_default().to_uppercase();
        if !faults.iter().any(|label| label.text == fault) {
            wrong.push(format!("{test}: there is no fault {fault} in {FAULTS}"));
        }
    }
    for label in faults {
        let entry = entry(document, label);
        let prefix = format!("fault_{}_", label.text.to_lowercase());
        if entry.contains("Fixed.") == entry.contains("Open.") {
            wrong.push(format!("{label} is neither fixed nor open, or both"));
        }
        if entry.contains("Fixed.") && !tests.iter().any(|test| test.starts_with(&prefix)) {
            wrong.push(format!(
                "{label} is said to be fixed, and no test is named {prefix}…"
            ));
        }
        for named in entry.split('`').filter(|word| word.starts_with("fault_")) {
            if !tests.contains(named) || !named.starts_with(&prefix) {
                wrong.push(format!("{label} names {named}, which is no test of it"));
            }
        }
    }
    wrong
}

/// The files in which labels are looked for, by their paths.
fn repository() -> BTreeMap<String, String> {
    fn collect(root: &Path, under: &Path, into: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(under).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with(['.', '_']) {
                    collect(root, &path, into);
                }
            } else if [".rs", ".md", ".py"].iter().any(|end| name.ends_with(end)) {
                let relative = path.strip_prefix(root).unwrap().to_string_lossy();
                let text = fs::read_to_string(&path).unwrap();
                into.insert(relative.replace('\\', "/"), text);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = BTreeMap::new();
    collect(&root, &root, &mut files);
    // What is planted here is no label.
    let this = files.remove("crates/taskgroup/tests/labels.rs");
    assert!(this.is_some(), "the sources are not where they were");
    files
}

fn of_repository(files: &BTreeMap<String, String>) -> Labels {
    Labels::of(
        files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str())),
    )
}

#[test]
fn every_label_is_defined_once() {
    let files = repository();
    let labels = of_repository(&files);
    assert!(labels.wrong.is_empty(), "\n{}\n", labels.wrong.join("\n"));
    println!(
        "labels: {} citations of {} labels in {} files; {} are defined",
        labels.citations,
        labels.cited.len(),
        files.len(),
        labels.defined.len()
    );
}

// The rules are numbered without gaps, and a test cites each one that is not planned.
#[test]
fn every_rule_in_force_has_a_test() {
    let files = repository();
    let labels = of_repository(&files);
    let rules = labels.defined_in(CONTRACT);
    let numbers: Vec<_> = rules.iter().map(|rule| rule.number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u32).collect::<Vec<_>>());
    assert!(numbers.len() >= 54, "rules are missing");
    for rule in rules {
        let section = entry(&files[CONTRACT], rule);
        let is_test = |place: &String| place.contains("/tests/");
        let is_tested = labels
            .cited
            .get(rule)
            .is_some_and(|places| places.iter().any(is_test));
        assert!(
            is_tested || section.contains("*Planned"),
            "no test cites {rule}"
        );
    }
}

#[test]
fn faults_and_their_tests_agree() {
    let files = repository();
    let labels = of_repository(&files);
    let tests: BTreeSet<_> = files.values().flat_map(|text| fault_tests(text)).collect();
    assert!(
        tests.len() > 100,
        "the tests of faults are not where they were"
    );
    let wrong = faults_and_tests(&labels.defined_in(FAULTS), &files[FAULTS], &tests);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn the_architecture_names_every_invariant() {
    let labels = of_repository(&repository());
    let invariants = labels
        .defined
        .iter()
        .filter(|(_, places)| places[0].contains(".rs:"));
    let mut missing = Vec::new();
    for (label, places) in invariants {
        let is_there = |places: &BTreeSet<String>| {
            let prefix = format!("{ARCHITECTURE}:");
            places.iter().any(|place| place.starts_with(&prefix))
        };
        if !labels.cited.get(label).is_some_and(is_there) {
            missing.push(format!("{label} of {}", places[0]));
        }
    }
    assert!(
        missing.is_empty(),
        "not in {ARCHITECTURE}:\n{}\n",
        missing.join("\n")
    );
}

/// What a small repository is told.
fn told(files: &[(&str, &str)]) -> Vec<String> {
    let rules = (CONTRACT, "### S1: One\n\n### S2: Two, see S1 and TG01\n");
    let reference = (
        REFERENCE,
        "- **TG01** An end.\n- **TG02** A body.\n- **TG03** A child.\n",
    );
    let faults = (FAULTS, "- **B4** Lost. Broke S1.\n- **B5** Found.\n");
    let room = ("src/room.rs", "//! - **K1** First.\n//! - **K2** Second.\n");
    let files = [rules, reference, faults, room]
        .into_iter()
        .chain(files.iter().copied());
    Labels::of(files).wrong
}

#[test]
fn a_planted_label_is_found() {
    let unknown = [
        (
            "src/a.rs",
            "// S3: so\n",
            "src/a.rs:1: S3 is defined nowhere",
        ),
        (
            "src/a.rs",
            "fn a() {} // K3\n",
            "src/a.rs:1: K3 is defined nowhere",
        ),
        (
            "src/a.rs",
            "\n    /// As ever (Q7).\n",
            "src/a.rs:2: Q7 is defined nowhere",
        ),
        (
            "src/a.rs",
            "/// `K1`, K3\n",
            "src/a.rs:1: K3 is defined nowhere",
        ),
        (
            "src/a.rs",
            "assert!(is(), \"K9: it is\");\n",
            "src/a.rs:1: K9 is defined nowhere",
        ),
        (
            "src/a.rs",
            "fault(\"K1, K8\", a);\n",
            "src/a.rs:1: K8 is defined nowhere",
        ),
        (
            "src/a.rs",
            "// K1–K3\n",
            "src/a.rs:1: K3 is defined nowhere",
        ),
        ("a.md", "TG01–TG04\n", "a.md:1: TG04 is defined nowhere"),
        (
            "a.md",
            "K1–K4 and K1, K4.\n",
            "a.md:1: K3 is defined nowhere\na.md:1: K4 is defined nowhere",
        ),
        (
            "a.md",
            "| TG20a | there |\n",
            "a.md:1: TG20a is defined nowhere",
        ),
        ("a.py", "a = 1  # TG9\n", "a.py:1: TG9 is defined nowhere"),
        ("a.md", "By fault B6.\n", "a.md:1: B6 is defined nowhere"),
        ("a.md", "By B4.\n", "a.md:1: a fault is cited as `fault B4`"),
        (
            "src/a.rs",
            "// S1, B4: so\n",
            "src/a.rs:1: a fault is cited as `fault B4`",
        ),
        (
            "src/a.rs",
            "// fault B4, S1, B5\n",
            "src/a.rs:1: a fault is cited as `fault B5`",
        ),
    ];
    for (path, text, wrong) in unknown {
        assert_eq!(told(&[(path, text)]).join("\n"), wrong, "{text}");
    }
    let double = [
        (
            "src/a.rs",
            "//! - **K2** Another.\n",
            "src/room.rs:2, src/a.rs:1: K2 stands for two things\n\
             src/a, src/room: all of them define K",
        ),
        (
            "src/a.rs",
            "/// **K7** Another.\n",
            "src/a, src/room: all of them define K",
        ),
        (
            "src/room.rs",
            "//! - **K1** Again.\n",
            "src/room.rs:1, src/room.rs:1: K1 stands for two things",
        ),
        (
            "src/a.rs",
            "//! - **C1** New.\n",
            "src/a.rs:1: C1 is not defined here",
        ),
        (
            "src/a.rs",
            "//! - **S9** New.\n",
            "src/a.rs:1: S9 is not defined here",
        ),
        (
            "docs/a.md",
            "- **P1** New.\n",
            "docs/a.md:1: P1 is not defined here",
        ),
    ];
    for (path, text, wrong) in double {
        let mut found = told(&[(path, text)]);
        found.retain(|wrong| !wrong.ends_with("a fault is cited as `fault C1`"));
        assert_eq!(found.join("\n"), wrong, "{text}");
    }
}

#[test]
fn what_only_looks_like_a_label_is_none() {
    let harmless = [
        ("src/a.rs", "// S2, K1: so\n/// As in TG03 (K2).\n"),
        (
            "src/a.rs",
            "// UTF8, u8, i32, SHA256, S, 12, S123, x86, TLSv1, S3cret, K1x\n",
        ),
        ("src/a.rs", "// the bucket `S3`, `a K3\n// K4`, K1\n"),
        (
            "src/a.rs",
            "/// ```\n/// // S9\n/// let H2 = F1;\n/// ```\n/// K1\n",
        ),
        ("src/a.rs", "let (F1, H2) = (P3, S9);\n"),
        ("src/a.rs", "let name = \"the F1 of S9\";\n"),
        (
            "src/a.rs",
            "// faults B4 and B5, fault B4, and B5; Faults B4–B5\n",
        ),
        ("src/a.rs", "// It is the fault\n// B4 again.\n"),
        (
            "a.md",
            "K1, [S1](docs/contract.md#s1-one)\n\n```text\nS9\n```\n\nxargs -P2, `S9`\n",
        ),
        ("a.py", "S9 = 1  # S1\nH2(P3)\n"),
        ("a.toml", "# S2\n"),
        ("src/room/part.rs", "//! - **K3** Third.\n"),
    ];
    for (path, text) in harmless {
        assert_eq!(told(&[(path, text)]), [""; 0], "{text}");
    }
}

#[test]
fn a_planted_fault_without_a_test_is_found() {
    let document = "- **B4** Lost.\n  Fixed. Test: `fault_b4_lost`.\n- **B5** Found.\n  Open.\n";
    let faults: Vec<_> = ["B4", "B5"]
        .iter()
        .filter_map(|text| Label::at_start(text))
        .collect();
    let faults: Vec<_> = faults.iter().collect();
    let told = |document: &str, tests: &[&str]| {
        faults_and_tests(&faults, document, &tests.iter().copied().collect()).len()
    };
    assert_eq!(told(document, &["fault_b4_lost", "fault_b5_found"]), 0);
    assert_eq!(told(document, &["fault_b4_lost", "fault_b6_found"]), 1);
    assert_eq!(told(document, &["fault_b4_gone"]), 1);
    assert_eq!(told(document, &[]), 2);
    assert_eq!(
        told(&document.replace("Open.", "Fixed."), &["fault_b4_lost"]),
        1
    );
    assert_eq!(told(&document.replace("Open.", ""), &["fault_b4_lost"]), 1);
    let source = "fn fault_b4_lost() {}\nasync fn fault_b5_found(a: u8) {}\n// fault_c1_named\n";
    assert_eq!(
        fault_tests(source).collect::<Vec<_>>(),
        ["fault_b4_lost", "fault_b5_found"]
    );
}
