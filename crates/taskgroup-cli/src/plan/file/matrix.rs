//! The combinations of a matrix.

use std::collections::HashMap;
use std::ffi::OsString;
use std::ops::Range;

use toml::de::DeValue;

use super::expand::is_name;
use super::fault::Fault;
use super::table::{Table, Value, invalid, text, wrong};

/// More tasks than this come from a mistake.
const MOST: usize = 4096;

/// One combination: a name for it, and its variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Combination {
    pub(super) name: String,
    pub(super) values: Vec<(String, String)>,
}

impl Combination {
    /// Replaces `${name}` for the names of the matrix only.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, value) in &self.values {
            filled = filled.replace(&format!("${{{name}}}"), value);
        }
        filled
    }

    pub(super) fn env(&self) -> impl Iterator<Item = (OsString, Option<OsString>)> {
        let values = self.values.iter();
        values.map(|(name, value)| (name.into(), Some(value.into())))
    }
}

/// All combinations, the last list first, as nested loops would go through them. `task` is for the
/// message.
pub(super) fn combinations(task: &str, value: &Value<'_>) -> Result<Vec<Combination>, Fault> {
    let lists = r#"lists of values by name, like { target = ["x86", "arm"] }"#;
    let table = value.get_ref().as_table();
    let table = table.ok_or_else(|| wrong("matrix", value, lists))?;
    if table.is_empty() {
        let label = format!("expected {lists}");
        return Err(invalid("matrix", value.span(), label));
    }
    let mut all = vec![Combination::default()];
    for (name, span, value) in Table::new(table).entries() {
        if !is_name(name) {
            let label = "expected the name of a variable, with letters, digits and `_`";
            return Err(invalid("matrix", span, label));
        }
        let values = values(task, name, value)?;
        if all.len() * values.len() > MOST {
            let label = format!("with this list, there are more than {MOST} combinations");
            return Err(invalid("matrix", value.span(), label));
        }
        let with = |combination: &Combination, value: &String| {
            let mut values = combination.values.clone();
            values.push((name.to_owned(), value.clone()));
            Combination {
                name: String::new(),
                values,
            }
        };
        let longer = all
            .iter()
            .flat_map(|one| values.iter().map(move |value| with(one, value)));
        all = longer.collect();
    }
    name_all(&mut all);
    Ok(all)
}

/// The values of one name. Each is written once: two tasks that do the same come from a mistake.
fn values(task: &str, name: &str, value: &Value<'_>) -> Result<Vec<String>, Fault> {
    let list = value.get_ref().as_array();
    let list =
        list.ok_or_else(|| wrong(name, value, r#"a list of values, like ["x86", "arm"]"#))?;
    if list.is_empty() {
        let label = "expected at least one value";
        return Err(invalid(name, value.span(), label));
    }
    let mut values = Vec::new();
    let mut first: HashMap<String, Range<usize>> = HashMap::new();
    for value in list.iter() {
        let text = scalar(value.get_ref()).map_err(|expected| wrong(name, value, &expected))?;
        if let Some(first) = first.insert(text.clone(), value.span()) {
            let title = format!("the matrix of `{task}` has the value {text:?} of `{name}` twice");
            let fault = Fault::new(value.span(), title, "here again").and(first, "here first");
            let help = "remove one of them: the task runs once for each value";
            return Err(fault.help(Some(help.to_owned())));
        }
        values.push(text);
    }
    Ok(values)
}

/// As the environment has it.
fn scalar(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Float(number) => Ok(number.to_string()),
        DeValue::Boolean(value) => Ok(value.to_string()),
        DeValue::String(_) => text(value),
        _ => Err("a string, a number, `true` or `false`".to_owned()),
    }
}

/// The values, in one line and without `/`. Those that stay alike are numbered.
fn name_all(all: &mut [Combination]) {
    let mut uses: HashMap<String, usize> = HashMap::new();
    for combination in all {
        let values = combination
            .values
            .iter()
            .map(|(name, value)| match &**value {
                "" => format!("no-{name}"),
                value => value.to_owned(),
            });
        let name = values.collect::<Vec<_>>().join(",");
        let name = name.replace(|c: char| c == '/' || c.is_control(), "-");
        let count = uses.entry(name.clone()).or_default();
        *count += 1;
        combination.name = match *count {
            1 => name,
            count => format!("{name}#{count}"),
        };
    }
}
