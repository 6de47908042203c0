//! The combinations of a matrix.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::ops::Range;

use toml::de::DeValue;

use super::expand::is_name;
use super::fault::{Fault, nearest};
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
    /// Replaces `${name}` for the names of the matrix only. Values are data: nothing is replaced in
    /// them.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            filled += before;
            let value = |(name, after)| Some((self.value(name)?, after));
            let value = after.split_once('}').and_then(value);
            let (part, after) = value.unwrap_or(("${", after));
            filled += part;
            rest = after;
        }
        filled + rest
    }

    /// The first `${name}` in the text that stands for nothing.
    pub(super) fn missing<'t>(&self, text: &'t str) -> Option<&'t str> {
        let names = text.split("${").skip(1);
        let mut names = names.filter_map(|rest| rest.split_once('}').map(|(name, _)| name));
        names.find(|name| is_name(name) && self.value(name).is_none())
    }

    /// What to do about a `${name}` that stands for nothing.
    pub(super) fn told_of(&self, name: &str) -> String {
        let known = || self.values.iter().map(|(known, _)| &**known);
        if self.values.is_empty() {
            return format!("`${{{name}}}` would need a `matrix` with `{name}`");
        }
        match nearest(name, known()) {
            Some(near) => format!("the matrix has no `{name}`; did you mean `${{{near}}}`?"),
            None => {
                let known: Vec<String> = known().map(|name| format!("`{name}`")).collect();
                format!("the matrix has no `{name}`, only {}", known.join(", "))
            }
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        let found = self.values.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| &**value)
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
    let mut taken: HashSet<String> = HashSet::new();
    for combination in all {
        let values = combination
            .values
            .iter()
            .map(|(name, value)| match value.trim() {
                "" => format!("no-{name}"),
                _ => value.clone(),
            });
        let name = values.collect::<Vec<_>>().join(",");
        let name = name.replace(|c: char| c == '/' || c.is_control(), "-");
        let count = uses.entry(name.clone()).or_default();
        // A value may look like a name with a number.
        loop {
            *count += 1;
            combination.name = match *count {
                1 => name.clone(),
                count => format!("{name}#{count}"),
            };
            if taken.insert(combination.name.clone()) {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn combination(values: &[(&str, &str)]) -> Combination {
        let values = values
            .iter()
            .map(|&(name, value)| (name.into(), value.into()));
        Combination {
            name: String::new(),
            values: values.collect(),
        }
    }

    #[test]
    fn values_are_filled_in_and_are_data() {
        let combination = combination(&[("a", "${b}"), ("b", "x")]);
        for (text, filled) in [
            ("${a} ${b}", "${b} x"),
            ("${c} ${ ${${b}}$b}", "${c} ${ ${x}$b}"),
            ("${b", "${b"),
            ("${}é", "${}é"),
        ] {
            assert_eq!(combination.fill(text), filled, "{text}");
        }
    }

    #[test]
    fn the_names_of_combinations_are_all_different() {
        let values = ["a/b", "a-b", "a-b#2", "", " ", "no-v", "\n"];
        let mut all = values.map(|value| combination(&[("v", value)]));
        name_all(&mut all);
        let names = all.map(|combination| combination.name);
        let expected = [
            "a-b", "a-b#2", "a-b#2#2", "no-v", "no-v#2", "no-v#3", "no-v#4",
        ];
        assert_eq!(names, expected);
    }
}
