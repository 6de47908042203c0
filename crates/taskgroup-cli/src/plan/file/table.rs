//! Reads one table. Known keys are taken, each with its type; the rest is unknown.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::num::{IntErrorKind, NonZeroU32, NonZeroUsize};
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, nearest};
use super::keys::{from_elsewhere, is_option, named, table_of};
use crate::plan::{
    self, Command, Jobs, On, RestartOn, Shell, Timeout, Url, is_dashed, is_host, is_in_path,
};

pub(super) type Value<'t> = Spanned<DeValue<'t>>;

pub(super) struct Table<'t> {
    /// In the order of the file.
    left: BTreeMap<usize, (&'t str, Range<usize>, &'t Value<'t>)>,
    /// The keys that were looked up.
    known: Vec<&'static str>,
}

impl<'t> Table<'t> {
    pub(super) fn new(table: &'t DeTable<'t>) -> Table<'t> {
        let left = table.iter().map(|(key, value)| {
            let span = key.span();
            (span.start, (key.get_ref().as_ref(), span, value))
        });
        Table {
            left: left.collect(),
            known: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<&'t Value<'t>> {
        self.known.push(key);
        let (&at, _) = self.left.iter().find(|(_, (name, ..))| *name == key)?;
        self.left.remove(&at).map(|(.., value)| value)
    }

    /// Where the value of this key is, if it is given.
    pub(super) fn span(&self, key: &str) -> Option<Range<usize>> {
        let mut left = self.left.values();
        left.find(|(name, ..)| *name == key)
            .map(|(.., value)| value.span())
    }

    /// The value of this key as `read` converts it. Adds a fault if it cannot.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        faults: &mut Vec<Fault>,
        read: impl FnOnce(&'t DeValue<'t>) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.take(key)?;
        match read(value.get_ref()) {
            Ok(value) => Some(value),
            Err(expected) => {
                faults.push(wrong(key, value, &expected));
                None
            }
        }
    }

    /// All entries, for tables whose keys are names.
    pub(super) fn entries(self) -> impl Iterator<Item = (&'t str, Range<usize>, &'t Value<'t>)> {
        self.left.into_values()
    }

    /// Adds a fault for each key that was not taken.
    pub(super) fn finish(self, of: &str, faults: &mut Vec<Fault>) {
        for (key, span, value) in self.left.into_values() {
            let title = match named(key) {
                Some(_) => format!("`{key}` is no key of {of}"),
                None => format!("unknown key `{}`", key.escape_debug()),
            };
            let help = way_out(key, value.get_ref(), of, &self.known);
            faults.push(Fault::new(span, title, "").help(Some(help)));
        }
    }
}

/// What may be meant by a key that is none of the `known` ones.
fn way_out(key: &str, value: &DeValue<'_>, of: &str, known: &[&str]) -> String {
    let nearest = |key| nearest(key, known.iter().copied());
    let elsewhere = from_elsewhere(key).filter(|here| known.contains(here));
    if let Some(here) = elsewhere {
        return format!("did you mean `{here}`?");
    }
    if let Some(key) = named(key) {
        return format!("`{}` belongs to {}", key.name, key.of.place());
    }
    if let Some(table) = table_of(key).filter(|table| known.contains(table)) {
        return format!("`{key}` belongs to `{table}`: `{table} = {{ {key} = … }}`");
    }
    if table_of(key) == Some("slurm") && known.contains(&"cpus") {
        let limit = match key {
            "time" => "; a limit for one command is `timeout`",
            _ => "",
        };
        return format!("`{key}` is about the job as a whole: write it in `[slurm]`{limit}");
    }
    if is_option(key) {
        return format!("`{key}` is an option only: `taskgroup run --{key}`");
    }
    if let Some(near) = nearest(key) {
        return format!("did you mean `{near}`?");
    }
    if value.is_table() && known.contains(&"tasks") {
        let name = key.escape_debug();
        return format!("a task is written as `[tasks.{name}]`, a group as `[groups.{name}]`");
    }
    let known: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
    format!("valid keys of {of}: {}", known.join(", "))
}

/// The value of the key is something else than was expected.
pub(super) fn wrong(key: &str, value: &Value<'_>, expected: &str) -> Fault {
    let found = describe(value.get_ref());
    invalid(
        key,
        value.span(),
        format!("expected {expected}, found {found}"),
    )
}

/// The value of the key, which is there, cannot be used.
pub(super) fn invalid(key: &str, there: Range<usize>, label: impl Into<String>) -> Fault {
    Fault::new(there, format!("invalid value for `{key}`"), label)
}

/// The most characters of a string, and values of a list, that a message shows.
const SHOWN_OF_TEXT: usize = 60;
const SHOWN_OF_LIST: usize = 4;

fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => format!("the string {}", brief(value)),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(value) => format!("`{value}`"),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(list) if list.is_empty() => "an empty list".to_owned(),
        DeValue::Array(_) => format!("the list {}", shown(value)),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// As it is written, but not all of it, and of a list its values.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    let Some(list) = value.as_array() else {
        return brief(value);
    };
    let values = list.iter().take(SHOWN_OF_LIST);
    let mut values: Vec<String> = values.map(|value| brief(value.get_ref())).collect();
    if list.len() > SHOWN_OF_LIST {
        values.push("…".to_owned());
    }
    format!("[{}]", values.join(", "))
}

/// As it is written, but not all of it.
fn brief(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => match text.char_indices().nth(SHOWN_OF_TEXT) {
            Some((cut, _)) => format!("{:?}…", &text[..cut]),
            None => format!("{text:?}"),
        },
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(_) => "[…]".to_owned(),
        DeValue::Table(_) => "{…}".to_owned(),
    }
}

pub(super) fn duration(value: &DeValue<'_>) -> Result<Duration, String> {
    let expected = || r#"a duration like "90s" or "1h 30m""#.to_owned();
    let text = value.as_str().ok_or_else(expected)?;
    humantime::parse_duration(text).map_err(|_| match text.parse::<u64>() {
        Ok(number) => format!(r#"a duration with a unit, like "{number}s" or "{number}m""#),
        Err(_) => expected(),
    })
}

pub(super) fn longer_than_zero(value: &DeValue<'_>) -> Result<Duration, String> {
    match duration(value)? {
        Duration::ZERO => Err("a duration longer than zero".to_owned()),
        duration => Ok(duration),
    }
}

pub(super) fn count(value: &DeValue<'_>) -> Result<u32, String> {
    from(0, value)
}

/// A duration, or a share of what others take.
pub(super) fn timeout(value: &DeValue<'_>) -> Result<Timeout, String> {
    match value.as_str() {
        Some(text) if text.ends_with('%') => Timeout::share(text)
            .ok_or_else(|| r#"a share of the median above 100%, like "300%""#.to_owned()),
        _ => longer_than_zero(value).map(Timeout::After),
    }
}

/// A number of commands, or a share of the processors.
pub(super) fn jobs(value: &DeValue<'_>) -> Result<Jobs, String> {
    if let Some(jobs) = value.as_str().and_then(Jobs::share) {
        return Ok(jobs);
    }
    let or = |expected| format!(r#"{expected}, or a share of the processors like "50%""#);
    let number = from(1, value).map_err(or)?;
    let number = NonZeroUsize::new(number as usize).unwrap_or(NonZeroUsize::MIN);
    Ok(Jobs::number(number))
}

/// A number of processors or nodes.
pub(super) fn number(value: &DeValue<'_>) -> Result<NonZeroU32, String> {
    from(1, value).map(|number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN))
}

/// How much memory.
pub(super) fn memory(value: &DeValue<'_>) -> Result<u64, String> {
    let bytes = value.as_str().and_then(plan::memory);
    bytes.ok_or_else(|| r#"a size with its unit, like "500M" or "2G""#.to_owned())
}

/// Options for another program, each with its value in the same word.
pub(super) fn options(value: &DeValue<'_>) -> Result<Vec<OsString>, String> {
    let expected = || r#"a list of options with their values, like ["--qos=long"]"#.to_owned();
    let list = value.as_array().ok_or_else(expected)?;
    let options = list.iter().map(|option| {
        let option = option.get_ref().as_str().filter(|text| is_dashed(text));
        option.map(OsString::from).ok_or_else(expected)
    });
    options.collect()
}

/// Where commands run. The same word is in the table `restart`.
pub(super) fn on(value: &DeValue<'_>) -> Result<On, String> {
    one_of(value).map_err(|expected| match one_of::<RestartOn>(value) {
        Ok(_) => format!("{expected}, or `restart = {{ on = {} }}`", shown(value)),
        Err(_) => expected,
    })
}

/// A whole number from this one on.
fn from(least: u32, value: &DeValue<'_>) -> Result<u32, String> {
    let expected = || format!("a whole number, {least} or more");
    let number = value.as_integer().ok_or_else(expected)?;
    match u32::from_str_radix(number.as_str(), number.radix()) {
        Ok(number) if number >= least => Ok(number),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => {
            Err(format!("a whole number from {least} to {}", u32::MAX))
        }
        _ => Err(expected()),
    }
}

/// The path of a folder.
pub(super) fn folder(value: &DeValue<'_>) -> Result<String, String> {
    match text(value) {
        Ok(text) if !text.is_empty() => Ok(text),
        _ => Err("the path of a folder; \".\" is the one around".to_owned()),
    }
}

pub(super) fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value.as_str() {
        Some(text) if text.contains('\0') => Err("a string without NUL".to_owned()),
        Some(text) => Ok(text.to_owned()),
        None => Err("a string".to_owned()),
    }
}

pub(super) fn flag(value: &DeValue<'_>) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| "`true` or `false`".to_owned())
}

/// A port of this machine, or an address with one.
pub(super) fn port(value: &DeValue<'_>) -> Result<String, String> {
    let expected = || {
        "a port from 1 to 65535, like 5432, or an address in quotation marks, like \
         \"db.local:5432\""
            .to_owned()
    };
    let port = |port: &u16| *port > 0;
    if value.is_integer() {
        let number = count(value)
            .ok()
            .and_then(|number| u16::try_from(number).ok());
        return number
            .filter(port)
            .map(|port| format!("localhost:{port}"))
            .ok_or_else(expected);
    }
    let address = line(value).map_err(|_| expected())?;
    match address.rsplit_once(':') {
        Some((host, number)) if is_host(host) && number.parse().is_ok_and(|n| port(&n)) => {
            Ok(address)
        }
        _ => Err(expected()),
    }
}

pub(super) fn url(value: &DeValue<'_>) -> Result<Url, String> {
    Url::parse(value.as_str().unwrap_or_default())
}

/// A text that is not empty, in one line.
pub(super) fn words(value: &DeValue<'_>) -> Result<String, String> {
    match line(value) {
        Ok(text) if !text.is_empty() => Ok(text),
        _ => Err("a text in one line".to_owned()),
    }
}

/// A name in Slurm, or a constraint.
pub(super) fn name(value: &DeValue<'_>) -> Result<String, String> {
    match line(value) {
        Ok(text) if !text.trim().is_empty() => Ok(text),
        _ => Err("a name in one line".to_owned()),
    }
}

/// Text in one line.
pub(super) fn line(value: &DeValue<'_>) -> Result<String, String> {
    match text(value)? {
        text if text.chars().any(char::is_control) => Err("a string in one line".to_owned()),
        text => Ok(text),
    }
}

/// A shell and its options, as a string with spaces between them or as a list.
pub(super) fn shell(value: &DeValue<'_>) -> Result<Shell, String> {
    let expected = || r#"a shell and its options, like "bash -euo pipefail -c""#.to_owned();
    let words = match value.as_array() {
        Some(list) => {
            let words = list
                .iter()
                .map(|word| text(word.get_ref()).map(OsString::from));
            words.collect::<Result<Vec<OsString>, String>>()
        }
        None => text(value).map(|text| text.split_whitespace().map(OsString::from).collect()),
    };
    let words = words.map_err(|_| expected())?;
    Shell::from_words(words).ok_or_else(expected)
}

/// One of the words that clap accepts.
pub(super) fn one_of<T: clap::ValueEnum>(value: &DeValue<'_>) -> Result<T, String> {
    let parsed = value
        .as_str()
        .and_then(|text| T::from_str(text, false).ok());
    parsed.ok_or_else(|| {
        let words = T::value_variants().iter();
        let words = words.filter_map(clap::ValueEnum::to_possible_value);
        let words: Vec<String> = words
            .map(|word| format!("\"{}\"", word.get_name()))
            .collect();
        words.join(" or ")
    })
}

/// A string for the shell, or a list of words without a shell.
pub(super) fn command(value: &DeValue<'_>) -> Result<Command, String> {
    let expected = || {
        r#"a command: a string for the shell, like "make all", or a list of words, like ["make", "all"]"#
            .to_owned()
    };
    if let Some(words) = value.as_array() {
        let words: Result<Vec<OsString>, String> = words
            .iter()
            .map(|word| text(word.get_ref()).map(OsString::from))
            .collect();
        let words = words.map_err(|_| expected())?;
        return match words.first() {
            Some(program) if has_arguments(program) => Err(as_words(&words)),
            Some(program) if !program.is_empty() => Ok(Command::Direct(words)),
            _ => Err(expected()),
        };
    }
    match text(value) {
        Ok(text) if !text.trim().is_empty() => Ok(Command::Shell(text.into())),
        _ => Err(expected()),
    }
}

/// Whether the first word of a list has spaces and is no program: it is a whole command in one
/// word. A path may have spaces.
fn has_arguments(program: &OsStr) -> bool {
    let text = program.to_string_lossy();
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    words.next().is_some() && !first.contains('/') && !is_in_path(program)
}

/// How to write what stands in too few words.
fn as_words(words: &[OsString]) -> String {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let all_have_arguments = words.iter().all(|word| word.contains(char::is_whitespace));
    let for_shell = words.join(if all_have_arguments { " && " } else { " " });
    let mut split: Vec<&str> = words[0].split_whitespace().collect();
    split.extend(words[1..].iter().map(|word| &**word));
    if for_shell.len() > SHOWN_OF_TEXT {
        return "a word for each argument, or a string for the shell".to_owned();
    }
    match all_have_arguments && words.len() > 1 {
        true => format!("one command, like {for_shell:?} for the shell"),
        false => format!(
            "a word for each argument, like {split:?}, or a string for the shell, like \
             {for_shell:?}"
        ),
    }
}
