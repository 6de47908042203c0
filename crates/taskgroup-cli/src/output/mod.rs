//! From the pipes of the commands to the runner's standard output and error.
//!
//! Bytes are not changed. Only whole lines are moved, each with the name of its command in front.
//! `pump` reads one pipe, `lines` cuts it into lines, `label` adds the name (`prefix`), `tail`
//! keeps the last lines for the reports, `partial` shows lines that have no end yet. `outlet` holds
//! back (`held`) lines that must not be shown yet, and `order` knows whose turn it is. `sink`
//! writes, and `modes` brings back what the commands have changed at the terminal.

mod held;
mod label;
mod lines;
mod modes;
mod order;
mod outlet;
mod partial;
mod prefix;
mod pump;
mod sink;
mod tail;

pub(crate) use label::{Label, Labels, task_style};
pub(crate) use order::Order;
pub(crate) use outlet::{Heading, Outlet, Trouble};
pub(crate) use partial::{Partials, Typed};
pub(crate) use prefix::Prefixed;
pub(crate) use pump::{Pump, Pumped, Sought, pump};
pub(crate) use sink::{Blocked, Redraw, Sink, Stream, Ticker, Writer};
pub(crate) use tail::{Tail, and_more, one_line, printable};

use clap::ValueEnum;

/// Which output of the commands is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Show {
    /// Each line as it arrives
    Stream,
    /// All lines of a command together, when it ends
    Group,
    /// The same, but only for failed commands
    Failures,
    /// Nothing
    Quiet,
}

/// `auto` asks the terminal and the environment (`NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    Auto,
    Always,
    Never,
}

/// The system that runs a build, by what it makes of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ci {
    /// What the environment says: GitHub Actions, GitLab, or none
    Auto,
    /// Groups, annotations and a table of the run, for GitHub Actions
    Github,
    /// Sections that can be folded, for GitLab
    Gitlab,
    /// Blocks and tests, for TeamCity
    Teamcity,
    /// Nothing of that
    None,
}

impl Ci {
    /// With the answer of the environment instead of [`Ci::Auto`].
    pub(crate) fn resolved(self) -> Ci {
        let set = |name| std::env::var_os(name).is_some_and(|value| value == "true");
        match self {
            Ci::Auto if set("GITHUB_ACTIONS") => Ci::Github,
            Ci::Auto if set("GITLAB_CI") => Ci::Gitlab,
            Ci::Auto => Ci::None,
            chosen => chosen,
        }
    }
}

/// What commands are told, unless they are told otherwise already: to colour what they write, if
/// our output is coloured. They see a pipe, and would not.
pub(crate) fn variables(colour: Colour) -> Vec<(&'static str, String)> {
    if !is_coloured(colour, Stream::Out) || std::env::var_os("NO_COLOR").is_some() {
        return Vec::new();
    }
    let has = |name, word: &str| std::env::var(name).is_ok_and(|value| value.contains(word));
    let level = match () {
        () if has("COLORTERM", "truecolor") || has("COLORTERM", "24bit") => "3",
        () if has("TERM", "256") => "2",
        () => "1",
    };
    let told = [("FORCE_COLOR", level), ("CLICOLOR_FORCE", "1")];
    let told = told
        .into_iter()
        .filter(|(name, _)| std::env::var_os(name).is_none());
    told.map(|(name, value)| (name, value.to_owned())).collect()
}

/// Whether output to `stream` is coloured.
pub(crate) fn is_coloured(colour: Colour, stream: Stream) -> bool {
    let choice = match (colour, stream) {
        (Colour::Always, _) => return true,
        (Colour::Never, _) => return false,
        (Colour::Auto, Stream::Out) => anstream::AutoStream::choice(&std::io::stdout()),
        (Colour::Auto, Stream::Err) => anstream::AutoStream::choice(&std::io::stderr()),
    };
    choice != anstream::ColorChoice::Never
}
