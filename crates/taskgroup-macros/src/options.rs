//! The options of the attributes: reads them, and reports what is wrong with them.

use std::fmt::Display;
use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprLit, Ident, Lit, Token};

use crate::expand::Attribute;
use crate::nearest::nearest;

const NAMES: [&str; 5] = [
    "flavor",
    "worker_threads",
    "start_paused",
    "grace",
    "graceful",
];
const FLAVORS: [&str; 2] = ["current_thread", "multi_thread"];

/// The settings of an attribute. Reading rejects combinations that no runtime has.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) current_thread: bool,
    pub(crate) worker_threads: Option<usize>,
    pub(crate) start_paused: bool,
    pub(crate) grace: Option<Duration>,
    pub(crate) graceful: bool,
}

/// `name = value`, with the value still unread, so that each option can report what it expects.
/// `graceful` may stand alone.
struct Assignment {
    name: Ident,
    value: Expr,
}

impl Parse for Assignment {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name: Ident = input.parse()?;
        // Before the `=`, so that a misspelt bare word is reported for its spelling first.
        check_name(&name)?;
        if !input.peek(Token![=]) {
            if name == "graceful" {
                let value = syn::parse_quote_spanned!(name.span()=> true);
                return Ok(Self { name, value });
            }
            let wanted = wanted(&name.to_string());
            return Err(Error::new(
                name.span(),
                format!("`{name}` needs a value: `{name} = {wanted}`"),
            ));
        }
        input.parse::<Token![=]>()?;
        Ok(Self {
            name,
            value: input.parse()?,
        })
    }
}

/// A value and the place where it was written.
type Placed<T> = Option<(T, Span)>;

impl Options {
    pub(crate) fn read(attribute: Attribute, args: TokenStream) -> Result<Self, Vec<Error>> {
        let assignments = Punctuated::<Assignment, Token![,]>::parse_terminated
            .parse2(args)
            .map_err(|error| vec![error])?;
        let mut errors = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        let mut flavor: Placed<bool> = None;
        let mut worker_threads: Placed<usize> = None;
        let mut start_paused: Placed<bool> = None;
        let mut grace: Placed<Duration> = None;
        let mut graceful: Placed<bool> = None;
        for Assignment { name, value } in &assignments {
            let key = name.to_string();
            if seen.contains(&key) {
                errors.push(Error::new(name.span(), format!("`{key}` is set twice")));
                continue;
            }
            let read = match key.as_str() {
                "flavor" => place(&mut flavor, name, read_flavor(value)),
                "worker_threads" => place(&mut worker_threads, name, read_threads(value)),
                "start_paused" => place(&mut start_paused, name, read_bool(&key, value)),
                "graceful" => place(&mut graceful, name, read_bool(&key, value)),
                _ => place(&mut grace, name, read_grace(value)),
            };
            errors.extend(read.err());
            seen.push(key);
        }
        // A flavor that could not be read is reported once, and not again by the options that
        // depend on it.
        if errors.is_empty() {
            let current_thread =
                flavor.map_or(attribute == Attribute::Test, |(current, _)| current);
            if let (true, Some((_, span))) = (current_thread, worker_threads) {
                errors.push(Error::new(
                    span,
                    "`worker_threads` needs the multi-thread runtime: add `flavor = \"multi_thread\"`",
                ));
            }
            if let (false, Some((true, span))) = (current_thread, start_paused) {
                errors.push(Error::new(
                    span,
                    "pausing time needs the current-thread runtime: add `flavor = \"current_thread\"`",
                ));
            }
            if let (Attribute::Test, Some((_, span))) = (attribute, graceful) {
                errors.push(Error::new(
                    span,
                    "`graceful` is an option of `#[taskgroup::main]`: no signal stops a test",
                ));
            }
            if errors.is_empty() {
                return Ok(Self {
                    current_thread,
                    worker_threads: worker_threads.map(|(threads, _)| threads),
                    start_paused: start_paused.map_or(
                        attribute == Attribute::Test && current_thread,
                        |(yes, _)| yes,
                    ),
                    grace: grace.map(|(grace, _)| grace),
                    graceful: graceful.is_some_and(|(yes, _)| yes),
                });
            }
        }
        Err(errors)
    }
}

fn place<T>(slot: &mut Placed<T>, name: &Ident, value: syn::Result<T>) -> syn::Result<()> {
    *slot = Some((value?, name.span()));
    Ok(())
}

fn check_name(name: &Ident) -> syn::Result<()> {
    let word = name.to_string();
    if NAMES.contains(&word.as_str()) {
        return Ok(());
    }
    Err(Error::new(
        name.span(),
        format!("unknown option `{word}`: {}", hint(&word, &NAMES)),
    ))
}

/// What to write instead of `word`.
fn hint(word: &str, candidates: &[&str]) -> String {
    let list = |quoted: Vec<String>| quoted.join(", ");
    match nearest(word, candidates) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!(
            "valid are {}",
            list(candidates.iter().map(|name| format!("`{name}`")).collect())
        ),
    }
}

/// The value that an option takes, as it would be written.
fn wanted(name: &str) -> &'static str {
    match name {
        "flavor" => "\"current_thread\"",
        "worker_threads" => "2",
        "start_paused" | "graceful" => "true",
        _ => "\"5s\"",
    }
}

fn refuse<T>(value: &Expr, message: impl Display) -> syn::Result<T> {
    Err(Error::new_spanned(value.to_token_stream(), message))
}

fn read_flavor(value: &Expr) -> syn::Result<bool> {
    let Some(Lit::Str(text)) = literal(value) else {
        return refuse(
            value,
            "`flavor` is a string: \"current_thread\" or \"multi_thread\"",
        );
    };
    match text.value().as_str() {
        "current_thread" => Ok(true),
        "multi_thread" => Ok(false),
        other => refuse(
            value,
            format!("unknown flavor \"{other}\": {}", hint(other, &FLAVORS)),
        ),
    }
}

fn read_threads(value: &Expr) -> syn::Result<usize> {
    let Some(Lit::Int(number)) = literal(value) else {
        return refuse(
            value,
            "`worker_threads` is an integer from 1: `worker_threads = 2`",
        );
    };
    match number.base10_parse::<usize>() {
        Ok(0) => refuse(value, "a runtime needs at least one worker thread"),
        Ok(threads) => Ok(threads),
        Err(error) => refuse(value, format!("`worker_threads`: {error}")),
    }
}

fn read_bool(name: &str, value: &Expr) -> syn::Result<bool> {
    match literal(value) {
        Some(Lit::Bool(yes)) => Ok(yes.value),
        _ => refuse(value, format!("`{name}` is `true` or `false`")),
    }
}

fn read_grace(value: &Expr) -> syn::Result<Duration> {
    let text = match literal(value) {
        Some(Lit::Str(text)) => text.value(),
        _ => String::new(),
    };
    parse_duration(&text).map_or_else(
        || {
            refuse(
                value,
                "`grace` is a string of a whole number and a unit (ms, s, m, h): \"250ms\", \"5s\"",
            )
        },
        Ok,
    )
}

/// A whole number and a unit: `250ms`, `5s`, `1m`, `1h`.
fn parse_duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(attribute: Attribute, args: &str) -> Result<Options, Vec<String>> {
        Options::read(attribute, args.parse().unwrap())
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn defaults_differ_between_main_and_test() {
        let main = read(Attribute::Main, "").unwrap();
        assert!(!main.current_thread && !main.start_paused);
        let test = read(Attribute::Test, "").unwrap();
        assert!(test.current_thread && test.start_paused);
        assert_eq!(test.worker_threads, None);
        assert_eq!(test.grace, None);
    }

    #[test]
    fn a_multi_thread_test_has_a_running_clock() {
        let test = read(
            Attribute::Test,
            r#"flavor = "multi_thread", worker_threads = 3"#,
        );
        let test = test.unwrap();
        assert!(!test.current_thread && !test.start_paused);
        assert_eq!(test.worker_threads, Some(3));
    }

    #[test]
    fn graceful_may_stand_alone() {
        for (args, want) in [
            ("", false),
            ("graceful", true),
            (r#"graceful, grace = "5s""#, true),
            ("graceful = true", true),
            ("graceful = false,", false),
        ] {
            assert_eq!(
                read(Attribute::Main, args).unwrap().graceful,
                want,
                "{args}"
            );
        }
        for wrong in ["graceful = 1", "graceful, graceful", "graceful()"] {
            assert_eq!(
                read(Attribute::Main, wrong).unwrap_err().len(),
                1,
                "{wrong}"
            );
        }
        let errors = read(Attribute::Test, "graceful").unwrap_err();
        assert!(
            errors[0].contains("an option of `#[taskgroup::main]`"),
            "{errors:?}"
        );
    }

    #[test]
    fn a_trailing_comma_is_fine() {
        let main = read(Attribute::Main, r#"grace = "2m","#).unwrap();
        assert_eq!(main.grace, Some(Duration::from_secs(120)));
    }

    #[test]
    fn every_wrong_value_is_reported() {
        let errors = read(
            Attribute::Main,
            "flavor = 1, worker_threads = 0, grace = 5, start_paused = 1",
        );
        assert_eq!(errors.unwrap_err().len(), 4);
    }

    #[test]
    fn durations() {
        let parsed = |text| parse_duration(text);
        assert_eq!(parsed("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parsed("5s"), Some(Duration::from_secs(5)));
        assert_eq!(parsed("0s"), Some(Duration::ZERO));
        assert_eq!(parsed("1h"), Some(Duration::from_secs(3600)));
        for wrong in [
            "",
            "5",
            "s",
            "-5s",
            "5 s",
            "1.5s",
            "5d",
            "99999999999999999999s",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong:?}");
        }
        assert_eq!(parsed("18446744073709551615h"), None, "overflow");
    }
}
