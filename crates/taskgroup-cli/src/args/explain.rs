//! What clap says about a wrong command line, with the way out that only this command knows.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory};

use super::{Args, VERBS};
use crate::plan::file::nearest;

/// Options of xargs, GNU parallel, concurrently, make and Slurm, and the one that does the same
/// here.
const ELSEWHERE: [(&str, &str); 25] = [
    ("--cwd", "--directory"),
    ("--chdir", "--directory"),
    ("--workdir", "--directory"),
    ("--wd", "--directory"),
    ("-P", "--jobs"),
    ("--max-procs", "--jobs"),
    ("--parallel", "--jobs"),
    ("--concurrency", "--jobs"),
    ("--max-processes", "--jobs"),
    ("--kill-others", "--when-one-ends"),
    ("--kill-others-on-fail", "--on-failure"),
    ("--restart-tries", "--retries"),
    ("--bail", "--on-failure"),
    ("--keep-running", "--keep-going"),
    ("--max-time", "--timeout"),
    ("--cpus-per-task", "--cpus"),
    ("--mem", "--memory"),
    ("--gres", "--gpus"),
    ("--gpus-per-task", "--gpus"),
    ("--queue", "--partition"),
    ("--walltime", "--time"),
    ("--time-limit", "--time"),
    ("--qos", "--slurm"),
    ("--reservation", "--slurm"),
    ("--cluster", "--on"),
];

/// The command. A value that measures something may begin with a dash: then the error is about the
/// value, and not about an option `-1`.
pub(super) fn command() -> Command {
    let measures = |arg: &Arg| {
        let names = arg.get_value_names().unwrap_or_default();
        names
            .iter()
            .any(|name| ["N", "DURATION", "SIZE"].contains(&name.as_str()))
    };
    let with_dash = |arg: Arg| match measures(&arg) {
        true => arg.allow_hyphen_values(true),
        false => arg,
    };
    Args::command().mut_subcommands(|verb| verb.mut_args(with_dash))
}

/// The error with a tip that leads on, in place of one that does not.
pub(super) fn explained(mut error: clap::Error) -> clap::Error {
    match error.kind() {
        ErrorKind::InvalidSubcommand => verb(&mut error),
        ErrorKind::UnknownArgument => option(&mut error),
        ErrorKind::InvalidValue | ErrorKind::MissingRequiredArgument => missing(&mut error),
        _ => {}
    }
    error
}

/// Clap itself finds `rnu` too far from `run`.
fn verb(error: &mut clap::Error) {
    let Some(typed) = text(error, ContextKind::InvalidSubcommand) else {
        return;
    };
    if error.get(ContextKind::SuggestedSubcommand).is_some() {
        return;
    }
    match nearest(&typed, VERBS.into_iter()) {
        Some(near) => {
            let near = ContextValue::Strings(vec![near.to_owned()]);
            error.insert(ContextKind::SuggestedSubcommand, near);
        }
        None => tip(error, "'taskgroup run' runs commands, each as one argument"),
    }
}

/// An option of another verb, or of another program. Clap suggests one that only looks like it, or
/// to pass it as a command.
fn option(error: &mut clap::Error) {
    let Some(typed) = text(error, ContextKind::InvalidArg) else {
        return;
    };
    // With its dashes; what has none is a word too many.
    if !typed.starts_with('-') {
        return;
    }
    let all = Args::command();
    let verbs = all.get_subcommands();
    let verbs = verbs.filter(|verb| verb.get_arguments().any(|arg| is(arg, &typed)));
    let verbs: Vec<&str> = verbs.map(Command::get_name).collect();
    let elsewhere = ELSEWHERE.iter().find(|(known, _)| *known == typed);
    error.remove(ContextKind::Suggested);
    if !verbs.is_empty() {
        error.remove(ContextKind::SuggestedArg);
        // It shows the option that was suggested.
        error.remove(ContextKind::Usage);
        let text = format!("'{typed}' is an option of {}", listed(&verbs));
        tip(error, &text);
    } else if let Some((_, here)) = elsewhere {
        error.insert(
            ContextKind::SuggestedArg,
            ContextValue::String((*here).to_owned()),
        );
    } else if error.get(ContextKind::SuggestedArg).is_none() {
        tip(error, "a word that begins with a dash stands after '--'");
    }
}

fn is(arg: &Arg, typed: &str) -> bool {
    let is_short = |short: &char| typed.strip_prefix('-') == Some(short.encode_utf8(&mut [0; 4]));
    let is_long = |long: &&str| typed.strip_prefix("--") == Some(*long);
    let shorts = arg.get_short_and_visible_aliases().unwrap_or_default();
    let longs = arg.get_long_and_visible_aliases().unwrap_or_default();
    !arg.is_hide_set() && (shorts.iter().any(is_short) || longs.iter().any(is_long))
}

fn listed(verbs: &[&str]) -> String {
    let verbs: Vec<String> = verbs
        .iter()
        .map(|verb| format!("'taskgroup {verb}'"))
        .collect();
    match verbs.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// What is missing, explained. A wrong value says itself what is right.
fn missing(error: &mut clap::Error) {
    let given = text(error, ContextKind::InvalidValue);
    if given.is_some_and(|given| !given.is_empty()) {
        return;
    }
    let of = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(of)) => vec![of.clone()],
        Some(ContextValue::Strings(all)) => all.clone(),
        _ => return,
    };
    // Only an argument that is built can be shown.
    let mut all = Args::command();
    all.build();
    let all: Vec<&Arg> = [&all]
        .into_iter()
        .chain(all.get_subcommands())
        .flat_map(Command::get_arguments)
        .collect();
    let has_values = error.get(ContextKind::ValidValue).is_some();
    for of in of {
        let arg = all.iter().find(|arg| arg.to_string() == of);
        let Some(arg) = arg else { continue };
        let values: Vec<String> = arg
            .get_possible_values()
            .iter()
            .map(|value| value.get_name().to_owned())
            .collect();
        if let Some(help) = arg.get_help() {
            // The rest is about what else it could be.
            let help = help.to_string();
            let help = help.split(';').next().unwrap_or_default();
            tip(error, &format!("{of}: {help}"));
        }
        if !values.is_empty() && !has_values {
            tip(error, &format!("{of} is one of {}", values.join(", ")));
        }
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    }
}

/// Adds a line below the error.
fn tip(error: &mut clap::Error, text: &str) {
    let mut tips = match error.remove(ContextKind::Suggested) {
        Some(ContextValue::StyledStrs(tips)) => tips,
        _ => Vec::new(),
    };
    tips.push(text.to_owned().into());
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_of_another_program_leads_to_one_that_is_there() {
        let all = Args::command();
        let known = |typed: &str| {
            let verbs = all.get_subcommands().chain([&all]);
            verbs
                .flat_map(Command::get_arguments)
                .any(|arg| is(arg, typed))
        };
        for (theirs, ours) in ELSEWHERE {
            assert!(!known(theirs) && known(ours), "{theirs} {ours}");
        }
    }
}
