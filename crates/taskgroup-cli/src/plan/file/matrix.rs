//! The combinations of a matrix.

use std::collections::HashMap;
use std::ffi::OsString;

use toml::Spanned;
use toml::de::DeValue;

use super::expand::is_name;
use super::table::{Table, text};

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

/// All combinations, the last list first, as nested loops would go through them.
pub(super) fn combinations(value: &Spanned<DeValue<'_>>) -> Result<Vec<Combination>, String> {
    let expected = || r#"lists of values by name, like { target = ["x86", "arm"] }"#.to_owned();
    let table = value.get_ref().as_table().ok_or_else(expected)?;
    let mut all = vec![Combination::default()];
    let mut empty = true;
    for (name, _, value) in Table::new(table).entries() {
        if !is_name(name) {
            return Err("names of variables, with letters, digits and `_`".to_owned());
        }
        let list = value.get_ref().as_array().ok_or_else(expected)?;
        let values: Result<Vec<String>, String> =
            list.iter().map(|v| scalar(v.get_ref())).collect();
        let values = values.map_err(|_| expected())?;
        if values.is_empty() {
            return Err(format!("at least one value for `{name}`"));
        }
        if all.len() * values.len() > MOST {
            return Err(format!("at most {MOST} combinations"));
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
        empty = false;
    }
    if empty {
        return Err(expected());
    }
    name_all(&mut all);
    Ok(all)
}

fn scalar(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Float(number) => Ok(number.to_string()),
        DeValue::Boolean(value) => Ok(value.to_string()),
        other => text(other),
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
