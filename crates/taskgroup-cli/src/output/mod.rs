//! From the pipes of the commands to our own standard output and error.
//!
//! Bytes stay what they are; only whole lines are moved, each with the name of its command in
//! front. `pump` reads one pipe, `lines` cuts, `label` names, `tail` remembers for the report,
//! `outlet` holds back what is not to be shown yet, `sink` writes.

mod label;
mod lines;
mod outlet;
mod pump;
mod sink;
mod tail;

pub(crate) use label::{Label, Labels, Prefix, task_style};
pub(crate) use outlet::Outlet;
pub(crate) use pump::{Pump, Pumped, pump};
pub(crate) use sink::{Sink, Stream, Ticker, Writer};
pub(crate) use tail::Tail;

use crate::args::Colour;

/// Whether colour goes to `stream`.
pub(crate) fn is_coloured(colour: Colour, stream: Stream) -> bool {
    let choice = match (colour, stream) {
        (Colour::Always, _) => return true,
        (Colour::Never, _) => return false,
        (Colour::Auto, Stream::Out) => anstream::AutoStream::choice(&std::io::stdout()),
        (Colour::Auto, Stream::Err) => anstream::AutoStream::choice(&std::io::stderr()),
    };
    choice != anstream::ColorChoice::Never
}
