//! Writes lines of JSON as things happen: one object a line, its kind in `event`.
//!
//! A whole line is written before the run continues, so everything recorded before a SIGKILL is in
//! the file. The schema is in the README. `version` changes when a field changes its meaning.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::{result, signal, status};
use crate::plan::{JournalFile, Task, Work};
use crate::process::{Level, StoppedBy};
use crate::record::{Counts, Entry};

pub(crate) const VERSION: u32 = 1;

#[derive(Default)]
pub(crate) struct Journal {
    file: Option<(File, PathBuf)>,
    /// After a failed write nothing more is written, because half a line must stay the last one.
    failure: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line<'a> {
    Start {
        version: u32,
        time: String,
        contain: &'a str,
        tasks: Option<usize>,
    },
    Started {
        at: f64,
        id: usize,
        task: &'a str,
        attempt: u32,
    },
    Ended(Ended<'a>),
    Cleanup(Ended<'a>),
    End {
        at: f64,
        code: u8,
        #[serde(flatten)]
        counts: Totals,
    },
}

#[derive(Serialize)]
struct Totals {
    succeeded: u64,
    failed: u64,
    cancelled: u64,
    not_started: u64,
    done_before: u64,
}

#[derive(Serialize)]
struct Ended<'a> {
    at: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<usize>,
    task: &'a str,
    result: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    ran: f64,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_in_background: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    survivors: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stderr: Vec<String>,
    command: &'a str,
    key: String,
}

impl Journal {
    pub(super) fn open(file: &JournalFile) -> io::Result<Journal> {
        let mut options = OpenOptions::new();
        options.create(true);
        let path = file.path();
        let file = match file {
            JournalFile::New(_) => options.write(true).truncate(true).open(path)?,
            JournalFile::Resumed(_) => {
                let mut file = options.read(true).append(true).open(path)?;
                if ends_within_a_line(&mut file)? {
                    file.write_all(b"\n")?;
                }
                file
            }
        };
        Ok(Journal {
            file: Some((file, path.to_owned())),
            failure: None,
        })
    }

    pub(crate) fn begin(&mut self, contain: Level, tasks: Option<usize>) {
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        self.write(&Line::Start {
            version: VERSION,
            time,
            contain: contain.word(),
            tasks,
        });
    }

    pub(crate) fn started(&mut self, task: &Task, attempt: u32, at: Duration) {
        self.write(&Line::Started {
            at: at.as_secs_f64(),
            id: task.id,
            task: &task.spec.name,
            attempt,
        });
    }

    pub(crate) fn ended(&mut self, entry: &Entry, work: &Work) {
        if self.file.is_some() {
            let ended = Ended::of(entry, work.key());
            self.write(&match entry.cleans_up {
                None => Line::Ended(ended),
                Some(_) => Line::Cleanup(ended),
            });
        }
    }

    /// Writes the last line. Returns the error if something could not be written.
    pub(crate) fn end(mut self, at: Duration, code: u8, counts: Counts) -> Option<String> {
        self.write(&Line::End {
            at: at.as_secs_f64(),
            code,
            counts: Totals {
                succeeded: counts.succeeded,
                failed: counts.failed,
                cancelled: counts.cancelled,
                not_started: counts.not_started,
                done_before: counts.done_before,
            },
        });
        self.failure
    }

    fn write(&mut self, line: &Line<'_>) {
        let Some((file, path)) = &mut self.file else {
            return;
        };
        let mut text = serde_json::to_vec(line).expect("strings and numbers");
        text.push(b'\n');
        if let Err(error) = file.write_all(&text) {
            self.failure = Some(format!("{}: {error}", path.display()));
            self.file = None;
        }
    }
}

fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

impl<'a> Ended<'a> {
    fn of(entry: &'a Entry, key: String) -> Ended<'a> {
        let record = &entry.record;
        let list = |processes: &[crate::process::Process]| {
            processes.iter().map(ToString::to_string).collect()
        };
        Ended {
            at: entry.ended.as_secs_f64(),
            id: entry.cleans_up.is_none().then_some(entry.id),
            task: &entry.name,
            result: result(entry),
            code: status(&record.ending).and_then(|status| status.code()),
            signal: signal(&record.ending),
            because: entry.because.as_ref().map(ToString::to_string),
            ran: record.ran.as_secs_f64(),
            attempts: entry.attempts,
            stopped_by: record.stopped.as_ref().map(|stopped| match stopped.by {
                StoppedBy::Term => "SIGTERM",
                StoppedBy::KillAfterGrace | StoppedBy::KillAtOnce => "SIGKILL",
            }),
            left_in_background: list(&record.left_in_background),
            survivors: list(record.survivors()),
            stderr: if record.is_failure() {
                record.stderr.lines().collect()
            } else {
                Vec::new()
            },
            command: &entry.command,
            key,
        }
    }
}
