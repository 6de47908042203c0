//! A plan from a TOML file.
//!
//! `table` reads values and reports what it expected instead, `schema` lists the keys, `order`
//! resolves dependencies, `fault` points at the place in the file, `tree` draws.

mod fault;
mod order;
mod schema;
mod table;
mod tree;

use std::path::Path;
use std::time::Duration;

use super::Plan;
use fault::{Fault, render};

pub(crate) use tree::tree;

/// People write files of tasks by hand, so none is larger.
const LARGEST: u64 = 16 << 20;

/// Returns the plan, or the errors of the file as text. `grace` applies if the file has none.
pub(crate) fn read(path: &Path, grace: Duration, coloured: bool) -> Result<Plan, String> {
    let shown = path.display().to_string();
    let unreadable = |what: &dyn std::fmt::Display| format!("error: cannot read {shown}: {what}\n");
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > LARGEST => return Err(unreadable(&"it is too large")),
        Ok(_) => {}
        Err(error) => return Err(unreadable(&error)),
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid]
            .iter()
            .filter(|&&b| b == b'\n')
            .count()
            + 1;
        unreadable(&format!("line {line} is not UTF-8"))
    })?;
    parse(&text, grace).map_err(|faults| render(&shown, &text, &faults, coloured))
}

/// The plan in the text, or all its errors.
pub(crate) fn parse(text: &str, grace: Duration) -> Result<Plan, Vec<Fault>> {
    let document = match toml::de::DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            return Err(vec![Fault::new(span, "not valid TOML", error.message())]);
        }
    };
    let mut faults = Vec::new();
    let raw = schema::read(&document, grace, &mut faults);
    let plan = order::resolve(raw, &mut faults);
    if faults.is_empty() {
        Ok(plan)
    } else {
        Err(faults)
    }
}

/// The tree of the plan in the text, or its errors as text.
pub(crate) fn check(text: &str) -> String {
    match parse(text, Duration::ZERO) {
        Ok(plan) => tree(&plan),
        Err(faults) => render("tasks.toml", text, &faults, false),
    }
}
