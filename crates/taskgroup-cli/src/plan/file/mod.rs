//! A plan from a TOML file.
//!
//! `table` reads values and reports what it expected instead, `schema` reads the keys that `keys`
//! lists, `cluster` those for a cluster, `expand` and `matrix` fill in variables, `order` resolves
//! dependencies, `fault` points at the place in the file, `folders` looks for what is missing,
//! `tree` draws, `json_schema` describes files to other programs.

mod cluster;
mod expand;
mod fault;
mod folders;
mod json_schema;
mod keys;
mod matrix;
mod order;
mod schema;
mod table;
mod tree;

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fmt, fs, io};

use super::{Overrides, Plan};
use crate::reason::reason;
use fault::{Fault, render};
use schema::Around;

pub(crate) use fault::nearest;
pub(crate) use folders::missing;
pub(crate) use json_schema::json_schema;
pub(crate) use keys::KEYS;
#[cfg(test)]
pub(crate) use keys::{is_key, is_option};
pub(crate) use tree::{list, tree};

/// People write files of tasks by hand, so none is larger.
const LARGEST: u64 = 16 << 20;

/// The file that is looked for when none is named.
pub(crate) const NAME: &str = "taskgroup.toml";

/// Where a file of tasks is.
pub(crate) enum Place {
    /// `-`
    Stdin,
    Path(PathBuf),
}

impl Place {
    pub(crate) fn named(path: PathBuf) -> Place {
        if path.as_os_str() == "-" {
            Place::Stdin
        } else {
            Place::Path(path)
        }
    }

    /// The [`NAME`] in this folder, or in the nearest one above it that has one. Fails with the
    /// folder where the search began.
    pub(crate) fn found() -> Result<Place, PathBuf> {
        let here = env::current_dir().unwrap_or_default();
        // Relative, so that messages and commands have short paths.
        let mut path = PathBuf::from(NAME);
        for _ in here.ancestors() {
            if path.is_file() {
                return Ok(Place::Path(path));
            }
            path = Path::new("..").join(path);
        }
        Err(here)
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Place::Stdin => None,
            Place::Path(path) => Some(path),
        }
    }

    /// The folder of the file, if it is not the one in which we are.
    fn base(&self) -> Option<PathBuf> {
        let Place::Path(path) = self else { return None };
        let folder = path.parent()?;
        (!folder.as_os_str().is_empty()).then(|| folder.to_owned())
    }

    /// Why it cannot be read.
    fn reason(&self, error: &io::Error) -> String {
        let Place::Path(path) = self else {
            return error.to_string();
        };
        let reason = reason(path, error);
        let inside = path.join(NAME);
        match path.is_dir() && inside.is_file() {
            true => format!("{reason}; did you mean {}?", inside.display()),
            false => reason,
        }
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        let too_large = || io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20));
        let mut bytes = Vec::new();
        match self {
            Place::Stdin => io::stdin()
                .lock()
                .take(LARGEST + 1)
                .read_to_end(&mut bytes)?,
            Place::Path(path) => {
                let file = fs::File::open(path)?;
                file.take(LARGEST + 1).read_to_end(&mut bytes)?
            }
        };
        if bytes.len() as u64 > LARGEST {
            return Err(too_large());
        }
        Ok(bytes)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Stdin => f.write_str("standard input"),
            Place::Path(path) => path.display().fmt(f),
        }
    }
}

/// Returns the plan, or the errors of the file as text. `grace` applies if the file has none.
pub(crate) fn read(
    place: &Place,
    grace: Duration,
    overrides: &Overrides,
    coloured: bool,
) -> Result<Plan, String> {
    let shown = place.to_string();
    let unreadable = |what: &dyn std::fmt::Display| format!("error: cannot read {shown}: {what}\n");
    let bytes = place.bytes();
    let bytes = bytes.map_err(|error| unreadable(&place.reason(&error)))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid]
            .iter()
            .filter(|&&b| b == b'\n')
            .count()
            + 1;
        unreadable(&format!("line {line} is not UTF-8; save the file as UTF-8"))
    })?;
    // TOML leaves it to the reader which ends of lines a string of several lines has. Shells need
    // these.
    let text = text.replace("\r\n", "\n");
    let around = Around {
        base: place.base(),
        grace,
        overrides,
        variable: |name| env::var_os(name),
    };
    parse_around(&text, &around).map_err(|faults| render(&shown, &text, &faults, coloured))
}

/// The plan in the text, or all its errors. No variable is set.
pub(crate) fn parse(
    text: &str,
    grace: Duration,
    overrides: &Overrides,
) -> Result<Plan, Vec<Fault>> {
    let none: fn(&str) -> Option<OsString> = |_| None;
    let around = Around {
        base: None,
        grace,
        overrides,
        variable: none,
    };
    parse_around(text, &around)
}

fn parse_around(text: &str, around: &Around<'_>) -> Result<Plan, Vec<Fault>> {
    let document = match toml::de::DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => return Err(vec![not_toml(&error)]),
    };
    let mut faults = Vec::new();
    let raw = schema::read(&document, around, &mut faults);
    let plan = order::resolve(raw, &mut faults);
    if faults.is_empty() {
        Ok(plan)
    } else {
        Err(faults)
    }
}

fn not_toml(error: &toml::de::Error) -> Fault {
    let span = error.span().unwrap_or(0..0);
    if error.message().contains("recurs") {
        let help = "groups can be nested 39 deep; longer names do the same with fewer groups";
        return Fault::new(span, "nested too deeply", "").help(Some(help.to_owned()));
    }
    let help = TOML.iter().find(|(part, _)| error.message().contains(part));
    let help = help.map(|(_, help)| (*help).to_owned());
    Fault::new(span, "not valid TOML", error.message()).help(help)
}

/// Parts of the messages about TOML, and what to do then.
const TOML: [(&str, &str); 10] = [
    (
        "invalid key-value pair",
        "a line is `key = value`, and a table begins with a line like `[tasks.lint]`",
    ),
    (
        "missing comma",
        "commas stand between values, and `}` or `]` after the last one",
    ),
    (
        "unexpected key or value",
        "nothing follows a value on its line; a string with `'` in it is written with `\"`",
    ),
    (
        "duplicate key",
        "remove one of the two, or give it another name: each key is there once",
    ),
    (
        "key with no value",
        "a line is `key = value`, and a string is in quotation marks: `run = \"make\"`",
    ),
    (
        "values must be quoted",
        "put it into quotation marks: `run = \"make\"`",
    ),
    (
        "unquoted key",
        "a name with other characters is in quotation marks: `[tasks.\"build:all\"]`",
    ),
    (
        "unclosed table",
        "a table is written as `[tasks.lint]`; a name with spaces is in quotation marks",
    ),
    (
        "escaped value",
        "in single quotation marks a backslash is nothing but a backslash: `'grep \\d'`",
    ),
    (
        "basic string",
        "a string ends with `\"` on the line where it begins; `\"\"\"` is for several lines",
    ),
];

/// The tree of the plan in the text, or its errors as text.
pub(crate) fn check(text: &str) -> String {
    match parse(text, Duration::ZERO, &Overrides::default()) {
        Ok(plan) => tree(&plan),
        Err(faults) => render("tasks.toml", text, &faults, false),
    }
}

#[cfg(test)]
mod tests {
    use super::keys::Key;
    use super::*;
    use crate::plan::{Needs, Ready, Work};

    fn faults(text: &str) -> String {
        let faults = parse(text, Duration::ZERO, &Overrides::default()).unwrap_err();
        render("x", text, &faults, false)
    }

    /// The keys that the reader knows, as it tells them.
    fn told(text: &str) -> Vec<String> {
        let told = faults(text);
        let line = told.lines().find(|line| line.contains("valid keys of"));
        let line = line.unwrap_or_else(|| panic!("{told}"));
        let mut keys: Vec<String> = line
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        keys.sort();
        keys
    }

    #[test]
    fn the_reader_knows_the_keys_of_the_table() {
        let table = |has: fn(&Key) -> bool| {
            let mut keys: Vec<String> = KEYS
                .iter()
                .filter(|key| has(key))
                .map(|key| key.name.to_owned())
                .collect();
            keys.sort();
            keys
        };
        let odd = "xyxyxyxyxyxyxy = 1\n";
        assert_eq!(
            told(&format!("[tasks.a]\nrun='x'\n{odd}")),
            table(|key| key.of.tasks())
        );
        let in_group = format!("[groups.g]\n{odd}tasks.a='x'\n");
        assert_eq!(told(&in_group), table(|key| key.of.groups()));
        assert_eq!(
            told(&format!("{odd}tasks.a='x'\n")),
            table(|key| key.of.file())
        );
    }

    #[test]
    fn cleanup_takes_what_is_around_it_and_a_check_takes_nothing_of_it() {
        let text = "on = 'slurm'\ncpus = 2\ncleanup = ['x']\n[tasks.a]\nrun = 'x'\ncpus = 4\n\
                    memory = '1G'\nservice = true\nready = { command = 'x' }\ncleanup = ['x']\n\
                    [groups.g]\ngpus = 1\ncleanup = ['x']\ntasks.b = { run = 'x', on = 'local', \
                    cleanup = ['x'] }\n";
        let plan = parse(text, Duration::ZERO, &Overrides::default()).unwrap();
        let needs = |work: &Work| {
            let needs = work.needs.as_deref()?;
            Some((needs.cpus.get(), needs.memory, needs.gpus))
        };
        let [service, local] = &plan.tasks[..] else {
            panic!("{plan:?}")
        };
        let all = Some((4, Some(1 << 30), 0));
        assert_eq!(needs(&service.work), all);
        assert_eq!(needs(&service.work.cleanup[0]), all);
        let Some(Ready::Command(look)) = service.service.as_ref().map(|service| &service.ready)
        else {
            panic!("{service:?}")
        };
        assert_eq!(look.needs.as_deref(), Some(&Needs::default()));
        assert_eq!(needs(&local.work), None);
        assert_eq!(needs(&local.work.cleanup[0]), None);
        assert_eq!(needs(&plan.groups[0].cleanup[0]), Some((2, None, 0)));
        assert_eq!(needs(&plan.groups[1].cleanup[0]), Some((2, None, 1)));
    }

    #[test]
    fn a_share_of_the_processors_is_a_limit_on_this_machine_only() {
        let jobs = |text: &str| {
            let plan = parse(text, Duration::ZERO, &Overrides::default()).unwrap();
            plan.groups
                .iter()
                .map(|group| group.jobs.is_some())
                .collect::<Vec<bool>>()
        };
        let group = "jobs = '50%'\non = 'slurm'\n[groups.g]\njobs = '50%'\ntasks.a = 'x'\n";
        assert_eq!(jobs(group), [false, false]);
        assert_eq!(
            jobs(&group.replace("[groups.g]", "[groups.g]\non = 'local'")),
            [false, true]
        );
        assert_eq!(jobs(&group.replace("slurm", "local")), [true, true]);
        assert_eq!(jobs(&group.replace("'50%'", "2")), [true, true]);
    }

    #[test]
    fn readme_has_every_key() {
        let readme = include_str!("../../../README.md");
        for key in KEYS {
            let row = readme.lines().any(|line| {
                let first = line.split('|').nth(1).unwrap_or("");
                first.contains(&format!("`{}`", key.name))
            });
            assert!(row, "{}", key.name);
        }
    }

    #[test]
    fn a_long_cycle_is_told_briefly() {
        let mut text = String::new();
        for id in 0..2000 {
            let before = (id + 1) % 2000;
            text += &format!("[tasks.t{id}]\nrun='x'\nafter=['t{before}']\n");
        }
        let told = faults(&text);
        assert!(told.contains("(1988 more)"), "{told}");
        assert!(told.len() < 4000, "{}", told.len());
    }

    #[test]
    fn a_file_of_many_large_matrices_is_refused() {
        let values = |count: usize| (0..count).map(|n| format!("{n},")).collect::<String>();
        let matrix = format!("{{ a = [{0}], b = [{0}] }}", values(64));
        let tasks = (0..6).map(|n| format!("[tasks.t{n}]\nrun='x'\nmatrix={matrix}\n"));
        let told = faults(&tasks.collect::<String>());
        assert!(
            told.contains("more than 16384 combinations"),
            "{}",
            &told[..200]
        );
        let told = faults(&format!(
            "[tasks.t]\nrun='x'\nmatrix={{ a = [{}] }}\n",
            values(5000)
        ));
        assert!(
            told.contains("more than 4096 combinations"),
            "{}",
            &told[..200]
        );
    }

    #[test]
    fn groups_may_be_deep_and_too_deep_ones_are_told_so() {
        let deep = |depth: usize| {
            let groups: String = (0..depth).map(|id| format!("groups.g{id}.")).collect();
            format!("[{groups}tasks.t]\nrun = 'x'\n")
        };
        assert!(parse(&deep(38), Duration::ZERO, &Overrides::default()).is_ok());
        for depth in [40, 400] {
            let told = faults(&deep(depth));
            assert!(told.contains("nested too deeply"), "{told}");
            assert!(told.contains("39 deep"), "{told}");
        }
        let told = faults(&format!("x = {}1{}", "[".repeat(200), "]".repeat(200)));
        assert!(told.contains("nested too deeply"), "{told}");
    }
}
