//! Reads the sources and holds them to the floors of the house: words, the engine, the face.
//!
//! - **Words** are what the others build on: errors, reasons, policies, counts, the gate, the
//!   locks.
//! - The **engine** is `scope/`. It imports words and itself.
//! - The **face** is everything else. It may import anything.
//!
//! An import is a `use`, or a path in the code that begins with `crate`, `super`, `self` or an
//! imported module. A path is followed through re-exports to the file that defines the name. So
//! `crate::TaskGroup` leads to `group.rs`, not to the root. A re-export is a name and no import,
//! unless the file uses the name itself. Calls of methods are not seen, because they need no
//! import.
//!
//! It also compares the lists of rooms with the folder: the table in `ARCHITECTURE.md`, and the
//! table of files at the top of a `mod.rs` that has one.
//!
//! Tests, the models of the schedule checker and `lib.rs`, which only lists names, are left out.
//!
//! The command has floors, too: the rows of its table in `ARCHITECTURE.md`. There a room imports
//! only what is on lower floors, so its rooms form no circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The rooms of the lowest floor: files, or folders with all that is in them.
const WORDS: &[&str] = &[
    "ambient.rs",
    "clock.rs",
    "error",
    "gate.rs",
    "policy.rs",
    "progress.rs",
    "reason.rs",
    "sync.rs",
    "warning.rs",
];

/// The folder of the engine.
const ENGINE: &str = "scope";

/// Not looked at: the list of names, and what is only built to test.
const SKIPPED: &[&str] = &[
    "lib.rs",
    "scope/models",
    "scope/driver/model.rs",
    "error/tests",
    "scope/tests.rs",
];

/// The most lines that a file of the engine has, comments included, its test module not.
const MOST_LINES: usize = 400;

/// The most files that reach each other by imports, in the whole library.
const LARGEST_CIRCLE: usize = 5;

/// The path of a module, from the root of the crate.
type ModulePath = Vec<String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Floor {
    Words,
    Engine,
    Face,
}

fn is_in(file: &str, room: &str) -> bool {
    let rest = file.strip_prefix(room);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn floor_of(file: &str) -> Floor {
    if WORDS.iter().any(|room| is_in(file, room)) {
        Floor::Words
    } else if is_in(file, ENGINE) {
        Floor::Engine
    } else {
        Floor::Face
    }
}

// ---- reading ----

/// The words and marks of a source, without comments and with strings reduced to a `"`.
fn tokens(source: &str) -> Vec<String> {
    let chars: Vec<char> = source.chars().collect();
    let at = |place: usize| chars.get(place).copied().unwrap_or('\0');
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let mut tokens = Vec::new();
    let mut place = 0;
    while place < chars.len() {
        match at(place) {
            '/' if at(place + 1) == '/' => {
                while place < chars.len() && at(place) != '\n' {
                    place += 1;
                }
            }
            '/' if at(place + 1) == '*' => {
                let mut depth = 0_usize;
                loop {
                    match (at(place), at(place + 1)) {
                        ('/', '*') => depth += 1,
                        ('*', '/') => depth -= 1,
                        _ => {
                            place += 1;
                            continue;
                        }
                    }
                    place += 2;
                    if depth == 0 {
                        break;
                    }
                }
            }
            'r' if matches!(at(place + 1), '"' | '#') && {
                let hashes = (place + 1..).take_while(|place| at(*place) == '#').count();
                at(place + 1 + hashes) == '"'
            } =>
            {
                let hashes = (place + 1..).take_while(|place| at(*place) == '#').count();
                place += hashes + 2;
                let closes =
                    |end: usize| at(end) == '"' && (1..=hashes).all(|more| at(end + more) == '#');
                while place < chars.len() && !closes(place) {
                    place += 1;
                }
                place += hashes + 1;
                tokens.push("\"".to_owned());
            }
            '"' => {
                place += 1;
                while place < chars.len() && at(place) != '"' {
                    place += if at(place) == '\\' { 2 } else { 1 };
                }
                place += 1;
                tokens.push("\"".to_owned());
            }
            // A character, not a lifetime.
            '\'' if at(place + 1) == '\\' => {
                place += 3;
                while place < chars.len() && at(place) != '\'' {
                    place += 1;
                }
                place += 1;
            }
            '\'' if at(place + 2) == '\'' => place += 3,
            char if is_word(char) => {
                let end = (place..).find(|end| !is_word(at(*end))).unwrap_or(place);
                tokens.push(chars[place..end].iter().collect());
                place = end;
            }
            ':' if at(place + 1) == ':' => {
                tokens.push("::".to_owned());
                place += 2;
            }
            char => {
                if !char.is_whitespace() {
                    tokens.push(char.to_string());
                }
                place += 1;
            }
        }
    }
    tokens
}

/// The end of what begins with the bracket at `start`.
fn end_of_bracket(tokens: &[String], start: usize) -> usize {
    let mut depth = 0_usize;
    for (place, token) in tokens.iter().enumerate().skip(start) {
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth -= 1;
                if depth == 0 {
                    return place + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// Without the items that only tests have.
fn without_tests(tokens: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut place = 0;
    while place < tokens.len() {
        if tokens[place] == "#" && tokens.get(place + 1).is_some_and(|token| token == "[") {
            let end = end_of_bracket(tokens, place + 1);
            let attribute = &tokens[place..end];
            let has = |word: &str| attribute.iter().any(|token| token == word);
            if has("cfg") && has("test") && !has("\"") && !has("feature") {
                // The item goes too: up to its `;`, or to the end of its block.
                place = end;
                while place < tokens.len() && tokens[place] != ";" && tokens[place] != "{" {
                    place = match tokens[place].as_str() {
                        "(" | "[" => end_of_bracket(tokens, place),
                        _ => place + 1,
                    };
                }
                place = if tokens.get(place).is_some_and(|token| token == "{") {
                    end_of_bracket(tokens, place)
                } else {
                    place + 1
                };
                continue;
            }
        }
        kept.push(tokens[place].clone());
        place += 1;
    }
    kept
}

/// One name that a `use` brings in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Import {
    /// The module it stands in.
    module: ModulePath,
    path: Vec<String>,
    name: String,
    is_public: bool,
}

/// What a file says about others.
#[derive(Default)]
struct Source {
    imports: Vec<Import>,
    /// Paths in the code, with the module they stand in.
    paths: Vec<(ModulePath, Vec<String>)>,
    /// How often each word stands in the code, `use` items apart.
    words: BTreeMap<String, usize>,
}

fn expand(tree: &[String], before: &[String], into: &mut Vec<(Vec<String>, String)>) {
    let mut path = before.to_vec();
    let mut place = 0;
    let mut alias = None;
    while place < tree.len() {
        match tree[place].as_str() {
            "::" => {}
            "{" => {
                let end = end_of_bracket(tree, place);
                let mut start = place + 1;
                let mut depth = 0_usize;
                for comma in place + 1..end {
                    match tree[comma].as_str() {
                        "{" => depth += 1,
                        "}" if depth > 0 => depth -= 1,
                        "," | "}" if depth == 0 => {
                            if start < comma {
                                expand(&tree[start..comma], &path, into);
                            }
                            start = comma + 1;
                        }
                        _ => {}
                    }
                }
                return;
            }
            "as" => {
                alias = tree.get(place + 1).cloned();
                break;
            }
            word => path.push(word.to_owned()),
        }
        place += 1;
    }
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let name = alias.or_else(|| path.last().cloned()).unwrap_or_default();
    into.push((path, name));
}

fn read(source: &str, module: &[String]) -> Source {
    let tokens = without_tests(&tokens(source));
    let mut read = Source::default();
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut depth = 0_usize;
    let mut is_public = false;
    let mut place = 0;
    while place < tokens.len() {
        let here = || -> ModulePath {
            let inner = inline.iter().map(|(name, _)| name.clone());
            module.iter().cloned().chain(inner).collect()
        };
        let next = |more: usize| tokens.get(place + more).map_or("", String::as_str);
        let is_path =
            |word: &str| word.starts_with(|char: char| char.is_alphabetic() || char == '_');
        match tokens[place].as_str() {
            "pub" => {
                is_public = true;
                place = if next(1) == "(" {
                    end_of_bracket(&tokens, place + 1)
                } else {
                    place + 1
                };
                continue;
            }
            "use" => {
                let end = (place..tokens.len()).find(|end| tokens[*end] == ";");
                let end = end.unwrap_or(tokens.len());
                let mut names = Vec::new();
                expand(&tokens[place + 1..end], &[], &mut names);
                let module = here();
                let import = |(path, name)| Import {
                    module: module.clone(),
                    path,
                    name,
                    is_public,
                };
                read.imports.extend(names.into_iter().map(import));
                place = end;
            }
            "mod" if next(2) == "{" => {
                inline.push((next(1).to_owned(), depth));
                place += 1;
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if inline.last().is_some_and(|(_, outer)| *outer == depth) {
                    inline.pop();
                }
            }
            word if is_path(word) => {
                let mut path = vec![word.to_owned()];
                let mut end = place + 1;
                while tokens.get(end).is_some_and(|token| token == "::")
                    && tokens.get(end + 1).is_some_and(|token| is_path(token))
                {
                    path.push(tokens[end + 1].clone());
                    end += 2;
                }
                for word in &path {
                    *read.words.entry(word.clone()).or_default() += 1;
                }
                if path.len() > 1 {
                    read.paths.push((here(), path));
                }
                place = end;
                is_public = false;
                continue;
            }
            _ => {}
        }
        is_public = false;
        place += 1;
    }
    read
}

/// The sources of a crate by module.
#[derive(Default)]
struct House {
    files: BTreeMap<ModulePath, String>,
    sources: BTreeMap<ModulePath, Source>,
}

impl House {
    fn add(&mut self, file: &str, source: &str) {
        let module = module_of(file);
        let read = read(source, &module);
        self.sources.insert(module.clone(), read);
        self.files.insert(module, file.to_owned());
    }

    /// The module where a path begins, and what follows.
    fn start<'a>(
        &self,
        module: &[String],
        path: &'a [String],
    ) -> Option<(ModulePath, &'a [String])> {
        let mut base = module.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while let Some((first, more)) =
                    rest.split_first().filter(|(first, _)| *first == "super")
                {
                    let _ = first;
                    base.pop();
                    rest = more;
                }
            }
            first => {
                let child = [module, &[first.to_owned()]].concat();
                if !self.files.contains_key(&child) {
                    return None;
                }
            }
        }
        Some((base, rest))
    }

    /// The file that defines what a path leads to; `None` if that is no item of this crate.
    fn home(&self, module: &[String], path: &[String], depth: usize) -> Option<ModulePath> {
        let (mut at, mut rest) = self.start(module, path)?;
        if depth == 0 {
            return None;
        }
        while let Some((first, more)) = rest.split_first() {
            let child = [&at[..], std::slice::from_ref(first)].concat();
            if self.files.contains_key(&child) {
                at = child;
                rest = more;
                continue;
            }
            // A name that the module only passes on.
            let source = self.sources.get(&at);
            let mut passed = source
                .into_iter()
                .flat_map(|source| &source.imports)
                .filter(|import| import.is_public && import.module == at)
                .filter(|import| import.name == *first || import.name == "*");
            let found = passed.find_map(|import| {
                let mut path = import.path.clone();
                if import.name == "*" {
                    path.pop();
                    path.push(first.clone());
                }
                path.extend(more.iter().cloned());
                self.home(&at, &path, depth - 1)
                    .filter(|home| import.name != "*" || *home != at)
            });
            if found.is_some() {
                return found;
            }
            break;
        }
        // What an inline module has is in its file.
        while !self.files.contains_key(&at) {
            at.pop()?;
        }
        Some(at)
    }

    fn is_module(&self, module: &[String], path: &[String]) -> bool {
        self.start(module, path)
            .is_some_and(|(base, rest)| self.files.contains_key(&[&base[..], rest].concat()))
    }

    /// What each file imports.
    fn arrows(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut arrows: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (module, source) in &self.sources {
            let mut homes = BTreeSet::new();
            for import in &source.imports {
                // A module is only a way to what is in it.
                if self.is_module(&import.module, &import.path) {
                    continue;
                }
                let used = source.words.contains_key(&import.name);
                if !import.is_public || used {
                    homes.extend(self.home(&import.module, &import.path, 8));
                }
            }
            for (at, path) in &source.paths {
                let alias = source.imports.iter().find(|import| {
                    import.name == path[0]
                        && import.module == *at
                        && self.is_module(&import.module, &import.path)
                });
                homes.extend(match alias {
                    Some(import) => {
                        let path = [&import.path[..], &path[1..]].concat();
                        self.home(at, &path, 8)
                    }
                    None => self.home(at, path, 8),
                });
            }
            homes.remove(module);
            let targets = homes.iter().filter_map(|home| self.files.get(home));
            arrows
                .entry(&self.files[module])
                .or_default()
                .extend(targets.map(String::as_str));
        }
        arrows
    }
}

/// The module of a file: `a/mod.rs` and `a.rs` are `a`, `lib.rs` is the root.
fn module_of(file: &str) -> ModulePath {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    if path == "lib" {
        return Vec::new();
    }
    path.split('/').map(str::to_owned).collect()
}

/// The largest set of files of which each reaches each other.
fn largest_circle<'a>(arrows: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let reached = |start: &'a str| {
        let mut seen = BTreeSet::new();
        let mut next = vec![start];
        while let Some(file) = next.pop() {
            for target in arrows.get(file).into_iter().flatten() {
                if seen.insert(*target) {
                    next.push(target);
                }
            }
        }
        seen
    };
    let reach: BTreeMap<_, _> = arrows.keys().map(|file| (*file, reached(file))).collect();
    let circle = |file: &'a str| -> BTreeSet<&'a str> {
        let mut circle: BTreeSet<_> = reach[file]
            .iter()
            .copied()
            .filter(|other| reach.get(other).is_some_and(|back| back.contains(file)))
            .collect();
        circle.insert(file);
        circle
    };
    let circles = arrows.keys().map(|file| circle(file));
    circles.max_by_key(BTreeSet::len).unwrap_or_default()
}

/// The lines of a source, comments included, without the test module at its end.
fn lines_of(source: &str) -> usize {
    let lines: Vec<_> = source.lines().collect();
    let is_test =
        |line: &str| line.starts_with("#[cfg(") && line.contains("test") && !line.contains('"');
    let module = (0..lines.len()).find(|number| {
        let after = lines[number + 1..]
            .iter()
            .find(|line| !line.starts_with("#["));
        is_test(lines[*number])
            && after.is_some_and(|line| line.starts_with("mod "))
            && after.is_some_and(|line| line.ends_with('{'))
    });
    module.unwrap_or(lines.len())
}

fn files_below(folder: &Path, before: &str, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let entry = entry.expect("the folder can be read");
        let name = entry.file_name().into_string().expect("names are UTF-8");
        let file = format!("{before}{name}");
        if entry.path().is_dir() {
            files_below(&entry.path(), &format!("{file}/"), into);
        } else if name.ends_with(".rs") {
            let source = fs::read_to_string(entry.path()).expect("sources are UTF-8");
            into.push((file, source));
        }
    }
}

/// Each source of the library by its path below `src`.
fn sources() -> Vec<(String, String)> {
    sources_below("src")
}

/// Each source below a folder, which is relative to the package of the library.
fn sources_below(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    files_below(&folder, "", &mut files);
    assert!(files.len() > 50, "the sources are there");
    files.sort();
    files
}

fn architecture() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join("ARCHITECTURE.md")).expect("it is there")
}

fn is_skipped(file: &str) -> bool {
    SKIPPED.iter().any(|room| is_in(file, room))
}

fn house_of(sources: &[(String, String)]) -> House {
    let mut house = House::default();
    for (file, source) in sources {
        house.add(file, source);
    }
    house
}

/// The imports that count: neither end of an arrow is left out.
fn counted(house: &House) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut arrows = house.arrows();
    arrows.retain(|file, _| !is_skipped(file));
    for targets in arrows.values_mut() {
        targets.retain(|target| !is_skipped(target));
    }
    arrows
}

/// Each import of something on a higher floor.
fn upward(arrows: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<String> {
    let mut found = Vec::new();
    for (file, targets) in arrows {
        for target in targets {
            if floor_of(target) > floor_of(file) {
                found.push(format!("{file} -> {target}"));
            }
        }
    }
    found
}

// ---- the lists of rooms ----

/// The names in backquotes in a cell.
fn names_in(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The rows of a table with these heads: its cells, without the two lines at the top.
fn rows<'a>(text: &'a str, head: &str) -> Vec<Vec<&'a str>> {
    let lines = text
        .lines()
        .map(|line| line.trim_start_matches("//!").trim());
    let table = lines.skip_while(|line| !line.starts_with(head)).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// Whether a file is what the table of rooms calls `room`.
fn stands_in(file: &str, room: &str) -> bool {
    is_in(file, room) || file.strip_suffix(".rs") == Some(room)
}

/// What is wrong with a list of rooms: each file is in one of them, on its floor, and each exists.
fn wrong_rooms(architecture: &str, files: &[&str]) -> Vec<String> {
    let mut rooms = Vec::new();
    for row in rows(architecture, "| floor | room |") {
        rooms.extend(names_in(row[1]).map(|room| (row[0], room)));
    }
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for file in files.iter().filter(|file| **file != "lib.rs") {
        let found = rooms.iter().filter(|(_, room)| stands_in(file, room));
        let found: Vec<_> = found.collect();
        match found[..] {
            [(floor, room)] => {
                used.insert(*room);
                if !format!("{:?}", floor_of(file)).eq_ignore_ascii_case(floor) {
                    wrong.push(format!("{file} does not stand on the floor `{floor}`"));
                }
            }
            [] => wrong.push(format!("{file} is in no room")),
            _ => wrong.push(format!("{file} is in several rooms: {found:?}")),
        }
    }
    let gone = rooms.iter().filter(|(_, room)| !used.contains(room));
    wrong.extend(gone.map(|(_, room)| format!("there is no room {room}")));
    wrong
}

/// What is wrong in the command: files without a floor, floors without a file, and imports of
/// another room that do not go down.
fn wrong_in_command(architecture: &str, arrows: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<String> {
    let rows = rows(architecture, "| rooms of the command |");
    let rooms = rows.iter().rev().enumerate();
    let rooms: Vec<(usize, &str)> = rooms
        .flat_map(|(floor, row)| names_in(row[0]).map(move |room| (floor, room)))
        .collect();
    let room_of = |file: &str| rooms.iter().find(|(_, room)| stands_in(file, room));
    let mut wrong = Vec::new();
    for (file, targets) in arrows {
        let Some((floor, room)) = room_of(file) else {
            wrong.push(format!("{file} is in no room"));
            continue;
        };
        for target in targets {
            match room_of(target) {
                Some((lower, _)) if lower < floor => {}
                Some((_, same)) if same == room => {}
                _ => wrong.push(format!("{file} -> {target}")),
            }
        }
    }
    let is_empty = |room: &str| !arrows.keys().any(|file| stands_in(file, room));
    let empty = rooms.iter().filter(|(_, room)| is_empty(room));
    wrong.extend(empty.map(|(_, room)| format!("there is no room {room}")));
    wrong
}

/// What is wrong with the table of files in the `mod.rs` of a folder, if it has one.
fn wrong_table(folder: &str, source: &str, files: &[&str]) -> Vec<String> {
    let table = rows(source, "| file |");
    if table.is_empty() {
        return Vec::new();
    }
    let named = table.iter().flat_map(|row| names_in(row[0]));
    let named = named.map(|name| name.trim_end_matches('/'));
    let named: BTreeSet<_> = named.filter(|name| *name != "mod").collect();
    let below = files.iter().filter_map(|file| file.strip_prefix(folder));
    let below = below.filter_map(|file| file.strip_prefix('/'));
    let there = below.map(|file| file.split('/').next().unwrap_or(file));
    let there = there.map(|name| name.trim_end_matches(".rs"));
    let there: BTreeSet<_> = there
        .filter(|name| !["mod", "tests"].contains(name))
        .collect();
    let differ = named.symmetric_difference(&there);
    differ
        .map(|name| match there.contains(name) {
            true => format!("{folder}/mod.rs does not name {name}"),
            false => format!("{folder}/mod.rs names {name}, which is not there"),
        })
        .collect()
}

// ---- what is asserted ----

#[test]
fn each_file_is_in_one_room_of_the_architecture() {
    let sources = sources();
    let files: Vec<_> = sources.iter().map(|(file, _)| file.as_str()).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut wrong = wrong_rooms(&architecture(), &files);
    let mut tables = 0;
    for (file, source) in &sources {
        if let Some(folder) = file.strip_suffix("/mod.rs") {
            tables += usize::from(!rows(source, "| file |").is_empty());
            wrong.extend(wrong_table(folder, source, &files));
        }
    }
    let page = root.join("crates/taskgroup/src/scope");
    let readme = fs::read_to_string(page.join("README.md")).expect("it is there");
    let named: Vec<_> = names_in(&readme)
        .filter(|name| name.ends_with(".rs"))
        .collect();
    assert!(named.len() > 50, "the page leads through the files");
    let gone = named.iter().filter(|name| !page.join(name).exists());
    wrong.extend(gone.map(|name| format!("scope/README.md names {name}, which is not there")));
    assert!(tables >= 7, "the folders of the engine have tables");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_floor_imports_what_is_above_it() {
    let sources = sources();
    let house = house_of(&sources);
    let arrows = counted(&house);
    // It sees what is there: the face stands on the engine, and the engine on words.
    assert!(arrows["handle.rs"].iter().any(|to| is_in(to, ENGINE)));
    assert!(
        arrows["scope/section/mod.rs"]
            .iter()
            .any(|to| is_in(to, "error"))
    );
    let found = upward(&arrows);
    assert!(
        found.is_empty(),
        "{} imports go upward:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn each_room_of_the_command_imports_only_what_is_below_it() {
    let sources = sources_below("../taskgroup-cli/src");
    let house = house_of(&sources);
    let mut arrows = house.arrows();
    arrows.retain(|file, _| !["lib.rs", "main.rs"].contains(file));
    // It sees what is there.
    assert!(arrows["run.rs"].contains("engine/mod.rs"));
    let wrong = wrong_in_command(&architecture(), &arrows);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_of_the_engine_is_too_long_to_read() {
    let long: Vec<_> = sources()
        .iter()
        .filter(|(file, _)| is_in(file, ENGINE) && !is_skipped(file))
        .map(|(file, source)| (lines_of(source), file.clone()))
        .filter(|(lines, _)| *lines > MOST_LINES)
        .collect();
    assert!(long.is_empty(), "more than {MOST_LINES} lines: {long:?}");
}

#[test]
fn the_largest_circle_does_not_grow() {
    let sources = sources();
    let house = house_of(&sources);
    let arrows = counted(&house);
    let circle = largest_circle(&arrows);
    assert_eq!(
        circle.len(),
        LARGEST_CIRCLE,
        "if it has become smaller, lower the number; if larger, import the other way round: {circle:#?}"
    );
}

// ---- the test of the test ----

fn small(files: &[(&str, &str)]) -> House {
    let mut house = House::default();
    for (file, source) in files {
        house.add(file, source);
    }
    house
}

fn arrows_of(files: &[(&str, &str)]) -> Vec<String> {
    let house = small(files);
    let arrows = house.arrows();
    let pairs = arrows.iter().flat_map(|(from, targets)| {
        let pair = move |to| format!("{from} -> {to}");
        targets.iter().map(pair)
    });
    pairs.collect()
}

#[test]
fn an_import_is_found_in_each_form() {
    let others = [
        ("lib.rs", "mod a; mod b; pub use b::Told;"),
        ("b/mod.rs", "pub(crate) mod c; pub(crate) struct Told;"),
        ("b/c.rs", "pub(crate) struct Leaf; pub(crate) fn leaf() {}"),
    ];
    let forms = [
        ("use crate::b::Told;", "a.rs -> b/mod.rs"),
        ("use super::b::{Told as Other};", "a.rs -> b/mod.rs"),
        ("use crate::b::c::{self, Leaf};", "a.rs -> b/c.rs"),
        ("use crate::{b::{c::Leaf}};", "a.rs -> b/c.rs"),
        ("fn f() { crate::b::c::leaf(); }", "a.rs -> b/c.rs"),
        ("use crate::b::c; fn f() { c::leaf(); }", "a.rs -> b/c.rs"),
        ("use crate::b; fn f() { b::c::leaf(); }", "a.rs -> b/c.rs"),
        (
            "mod imp { use super::super::b::c::leaf; }",
            "a.rs -> b/c.rs",
        ),
        // By way of the root: to the home of the name.
        ("use crate::Told;", "a.rs -> b/mod.rs"),
        ("fn f(told: crate::Told) {}", "a.rs -> b/mod.rs"),
    ];
    for (source, expected) in forms {
        let files = [&others[..], &[("a.rs", source)]].concat();
        assert_eq!(arrows_of(&files), [expected], "{source}");
    }
}

#[test]
fn what_is_no_import_is_not_found() {
    let others = [
        ("b/mod.rs", "pub(crate) mod c; pub(crate) use c::Leaf;"),
        ("b/c.rs", "pub(crate) struct Leaf;"),
    ];
    let none = [
        "// use crate::b::c::Leaf;",
        "/* use /* crate::b */ crate::b::c::Leaf; */",
        "const S: &str = \"crate::b::c::Leaf\"; const C: char = '\"';",
        "const S: &str = r#\"\" crate::b::c::Leaf \"#;",
        "#[cfg(test)] mod tests { use crate::b::c::Leaf; }",
        "#[cfg(all(test, not(loom)))] use crate::b::c::Leaf;",
        "use crate::b;",
        "use std::b::c::Leaf; fn f(x: other::Leaf) {}",
        "fn f(leaf: &'a b) { leaf.c() }",
    ];
    for source in none {
        let files = [&others[..], &[("a.rs", source)]].concat();
        assert!(
            arrows_of(&files).is_empty(),
            "{source}: {:?}",
            arrows_of(&files)
        );
    }
    let others = [("b/c.rs", "pub(crate) struct Leaf;")];
    // A file that uses a name that it passes on imports it all the same.
    let used = (
        "b/mod.rs",
        "pub(crate) mod c; pub(crate) use c::Leaf; fn f(leaf: Leaf) {}",
    );
    let files = [&others[..], &[used]].concat();
    assert_eq!(arrows_of(&files), ["b/mod.rs -> b/c.rs"]);
}

#[test]
fn an_import_of_a_higher_floor_is_found() {
    let house = small(&[
        (
            "group.rs",
            "use crate::scope::tree::Scope; pub(crate) struct TaskGroup;",
        ),
        ("lib.rs", "pub use group::TaskGroup;"),
        (
            "scope/tree.rs",
            "pub(crate) struct Scope(crate::TaskGroup);",
        ),
        ("scope/mod.rs", "pub(crate) mod tree;"),
        ("error/mod.rs", "use crate::scope::tree::Scope;"),
    ]);
    let found = upward(&counted(&house));
    assert_eq!(
        found,
        ["error/mod.rs -> scope/tree.rs", "scope/tree.rs -> group.rs"]
    );
}

#[test]
fn an_import_in_the_command_that_does_not_go_down_is_found() {
    let table = "| rooms of the command | what |\n|---|---|\n\
                 | `run`, `man` | a |\n| `plan` | b |\n| `flag` | c |\n";
    let house = small(&[
        ("run.rs", "use crate::plan::Plan; pub(crate) struct Run;"),
        ("man.rs", "use crate::run::Run;"),
        (
            "plan/mod.rs",
            "use self::file::File; pub(crate) mod file; pub(crate) struct Plan;",
        ),
        (
            "plan/file.rs",
            "use crate::run::Run; pub(crate) struct File;",
        ),
        ("exit.rs", "use crate::plan::Plan;"),
    ]);
    let found = wrong_in_command(table, &house.arrows());
    let expected = [
        "exit.rs is in no room",
        "man.rs -> run.rs",
        "plan/file.rs -> run.rs",
        "there is no room flag",
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_largest_circle_is_found() {
    let house = small(&[
        ("a.rs", "use crate::b::B; pub(crate) struct A;"),
        ("b.rs", "use crate::c::C; pub(crate) struct B;"),
        ("c.rs", "use crate::a::A; pub(crate) struct C;"),
        (
            "d.rs",
            "use crate::a::A; use crate::e::E; pub(crate) struct D;",
        ),
        ("e.rs", "use crate::d::D; pub(crate) struct E;"),
    ]);
    let circle = largest_circle(&house.arrows())
        .into_iter()
        .collect::<Vec<_>>();
    assert_eq!(circle, ["a.rs", "b.rs", "c.rs"]);
}

#[test]
fn a_test_module_has_no_lines() {
    let code = "//! A room.\n\nfn f() {}\n";
    assert_eq!(lines_of(code), 3);
    let tests = "\n#[cfg(all(test, not(loom)))]\nmod tests {\n    fn g() {}\n}\n";
    assert_eq!(lines_of(&format!("{code}{tests}")), 4);
    // A field or a function of a test is code.
    assert_eq!(lines_of(&format!("{code}#[cfg(test)]\nfn g() {{}}\n")), 5);
}

#[test]
fn a_room_that_is_missing_or_gone_is_found() {
    let table = "text\n\n| floor | room | what |\n|---|---|---|\n\
                 | words | `error`, `sync` | a |\n| engine | `scope/tree` | b |\n\ntext\n";
    let files = ["lib.rs", "error/mod.rs", "sync.rs", "scope/tree/mod.rs"];
    assert!(wrong_rooms(table, &files).is_empty());
    let more = [&files[..], &["scope/who.rs"]].concat();
    assert_eq!(wrong_rooms(table, &more), ["scope/who.rs is in no room"]);
    assert_eq!(
        wrong_rooms(table, &files[..3]),
        ["there is no room scope/tree"]
    );
    let face = table.replace("| engine |", "| face |");
    let wrong = "scope/tree/mod.rs does not stand on the floor `face`";
    assert_eq!(wrong_rooms(&face, &files), [wrong]);

    let source = "//! A room.\n//!\n//! | file | what |\n//! |---|---|\n//! | `a`, `b/` | c |\n";
    let files = [
        "scope/mod.rs",
        "scope/a.rs",
        "scope/b/c.rs",
        "scope/tests.rs",
    ];
    assert!(wrong_table("scope", source, &files).is_empty());
    assert!(wrong_table("scope", "//! No table.", &files).is_empty());
    let wrong = wrong_table("scope", source, &files[..2]);
    assert_eq!(wrong, ["scope/mod.rs names b, which is not there"]);
    let more = [&files[..], &["scope/d.rs"]].concat();
    assert_eq!(
        wrong_table("scope", source, &more),
        ["scope/mod.rs does not name d"]
    );
}
