//! How a plan is run: containment, output, and the files that are written.

use std::path::{Path, PathBuf};

use crate::output::{Colour, Show};
use crate::process::Level;

/// The options of a run that concern no single task or group.
#[derive(Clone, Debug)]
pub(crate) struct RunOptions {
    pub(crate) contain: Level,
    pub(crate) show: Show,
    pub(crate) colour: Colour,
    pub(crate) journal: Option<JournalFile>,
    pub(crate) reports: ReportFiles,
}

/// The file that gets a line for each event as it happens.
#[derive(Clone, Debug)]
pub(crate) enum JournalFile {
    /// Starts empty.
    New(PathBuf),
    /// Has the events of an earlier run. What succeeded there is skipped, and this run appends.
    Resumed(PathBuf),
}

/// The files that are written at the end.
#[derive(Clone, Debug)]
pub(crate) struct ReportFiles {
    pub(crate) junit: Option<PathBuf>,
    pub(crate) trace: Option<PathBuf>,
    pub(crate) page: Option<PathBuf>,
}

impl JournalFile {
    pub(crate) fn path(&self) -> &Path {
        match self {
            JournalFile::New(path) | JournalFile::Resumed(path) => path,
        }
    }
}

impl ReportFiles {
    pub(crate) fn is_empty(&self) -> bool {
        self.junit.is_none() && self.trace.is_none() && self.page.is_none()
    }
}
