//! Reports besides the output: files for other programs, and the progress of the run.
//!
//! `journal` writes lines of JSON as things happen, and `past` reads them again. `junit` and
//! `timeline` write at the end. `progress` is for people who wait.

mod journal;
mod junit;
mod past;
mod progress;
mod terminal;
mod timeline;

pub(crate) use journal::Journal;
pub(crate) use junit::write as write_junit;
pub(crate) use past::Past;
pub(crate) use progress::Progress;
pub(crate) use timeline::{write_page, write_trace};

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::Signal;

use crate::plan::JournalFile;
use crate::record::{Ending, Entry};

/// Opens the journal, and reads what an earlier run wrote there if this run resumes it.
pub(crate) fn open(file: &JournalFile) -> io::Result<(Past, Journal)> {
    let past = match file {
        JournalFile::New(_) => Ok(Past::default()),
        JournalFile::Resumed(path) => Past::read(path),
    };
    let opened = past.and_then(|past| Ok((past, Journal::open(file)?)));
    opened.map_err(|error| {
        let text = format!("{}: {error}", file.path().display());
        io::Error::new(error.kind(), text)
    })
}

/// One word for the outcome, the same in all files.
fn result(entry: &Entry) -> &'static str {
    match &entry.record.ending {
        Ending::NotStarted => "not-started",
        Ending::DoneBefore => "done-before",
        Ending::CouldNotStart(_) => "could-not-start",
        Ending::Exited(status) if status.success() => "succeeded",
        Ending::Exited(_) => "failed",
        Ending::TimedOut => "timed-out",
        Ending::Cancelled(_) => "cancelled",
        Ending::Lost(_) => "lost",
    }
}

fn status(ending: &Ending) -> Option<ExitStatus> {
    match ending {
        Ending::Exited(status) => Some(*status),
        Ending::Cancelled(status) => *status,
        _ => None,
    }
}

fn signal_name(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |s| s.to_string())
}

fn signal(ending: &Ending) -> Option<String> {
    status(ending)?.signal().map(signal_name)
}
