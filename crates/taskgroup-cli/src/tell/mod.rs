//! Reports besides the output: files for other programs, and the progress of the run.
//!
//! `files` opens the files. `journal` writes lines of JSON as things happen, and `past` reads them
//! again; `joblog` writes lines, too. `junit` and `timeline` write at the end. `progress` is for
//! people who wait, `ci` for the systems that run a build.

pub(crate) mod ci;
mod files;
mod joblog;
mod journal;
mod junit;
mod past;
mod progress;
#[cfg(test)]
mod sample;
mod terminal;
mod timeline;

pub(crate) use files::{Files, Finishing, Refused};
pub(crate) use joblog::JobLog;
pub(crate) use journal::Journal;
pub(crate) use junit::junit;
pub(crate) use past::Past;
pub(crate) use progress::Progress;
pub(crate) use terminal::can_redraw;
pub(crate) use timeline::{page, trace};

use std::os::unix::process::ExitStatusExt;

use crate::record::Ending;
use crate::signals;

/// One word for the outcome, the same in all files.
fn result(ending: &Ending) -> &'static str {
    match ending {
        Ending::NotStarted => "not-started",
        Ending::DoneBefore => "done-before",
        Ending::CouldNotStart(_) => "could-not-start",
        Ending::Exited(status) if status.success() => "succeeded",
        Ending::Exited(_) | Ending::WantsTerminal(_) => "failed",
        Ending::TimedOut => "timed-out",
        Ending::Served(_) => "succeeded",
        Ending::EndedEarly(_) => "ended-early",
        Ending::NotReady(_) => "not-ready",
        Ending::Cancelled(_) => "cancelled",
        Ending::Lost(_) => "lost",
    }
}

fn signal_name(number: i32) -> String {
    signals::name(number).map_or_else(|| format!("signal {number}"), str::to_owned)
}

fn signal(ending: &Ending) -> Option<String> {
    ending.status()?.signal().map(signal_name)
}
