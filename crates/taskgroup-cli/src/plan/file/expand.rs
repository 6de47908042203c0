//! `${NAME}` in a value.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Replaces `${NAME}` and `${NAME:-text}` by what `lookup` finds, and `$$` by `$`. The error says
/// what was expected.
pub(super) fn expand(
    text: &str,
    lookup: impl Fn(&str) -> Option<OsString>,
) -> Result<OsString, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('$') {
            out.push(b'$');
            rest = after;
        } else if let Some(inner) = after.strip_prefix('{') {
            let Some(end) = inner.find('}') else {
                return Err("`${` has no closing `}`; `$$` is a dollar sign".to_owned());
            };
            out.extend_from_slice(value(&inner[..end], &lookup)?.as_bytes());
            rest = &inner[end + 1..];
        } else if let Some(name) = leading_name(after) {
            return Err(format!(
                "`${name}` is not replaced: write `${{{name}}}` for the variable, or `$${name}` \
                 for a dollar sign"
            ));
        } else {
            out.push(b'$');
            rest = after;
        }
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(OsString::from_vec(out))
}

fn value(inner: &str, lookup: impl Fn(&str) -> Option<OsString>) -> Result<OsString, String> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if !is_name(name) {
        return Err(format!("`{name}` cannot be the name of a variable"));
    }
    match (lookup(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(OsStr::new(default).to_owned()),
        (None, None) => Err(format!(
            "the variable `{name}` is not set; `${{{name}:-}}` stands for nothing then"
        )),
    }
}

/// What a shell takes as the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && leading_name(text).is_some_and(|name| name.len() == text.len())
}

fn leading_name(text: &str) -> Option<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let starts = text.starts_with(|c: char| is_part(c) && !c.is_ascii_digit());
    starts.then(|| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, String> {
        let lookup = |name: &str| match name {
            "A" => Some("a b".into()),
            "EMPTY" => Some("".into()),
            _ => None,
        };
        expand(text, lookup).map(|text| text.into_string().unwrap())
    }

    #[test]
    fn variables_are_replaced() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("<${A}>${A}", "<a b>a b"),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}${NONE:-y z}${NONE:-}${A:-q}", "xy za b"),
            ("$$A costs 5$, $5, 100$$", "$A costs 5$, $5, 100$"),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_variable_is_told() {
        for (text, part) in [
            ("${NONE}", "`NONE` is not set"),
            ("$A:x", "write `${A}`"),
            ("${A", "no closing"),
            ("${A!}", "`A!` cannot be"),
            ("${}", "cannot be"),
        ] {
            let error = expanded(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
