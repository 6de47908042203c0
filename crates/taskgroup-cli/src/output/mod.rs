//! From the pipes of the commands to the runner's standard output and error.
//!
//! Bytes are not changed. Only whole lines are moved, each with the name of its command in front.
//! `pump` reads one pipe, `lines` cuts it into lines, `label` adds the name, `tail` keeps the last
//! lines for the report, `outlet` holds back lines that must not be shown yet, `sink` writes.

mod label;
mod lines;
mod outlet;
mod pump;
mod sink;
mod tail;

pub(crate) use label::{Label, Labels, task_style};
pub(crate) use outlet::Outlet;
pub(crate) use pump::{Pump, Pumped, pump};
pub(crate) use sink::{Sink, Stream, Ticker, Writer};
pub(crate) use tail::Tail;

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
