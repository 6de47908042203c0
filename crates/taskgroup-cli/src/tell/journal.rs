//! Writes lines of JSON as things happen: one object a line, its kind in `event`.
//!
//! In a regular file, a whole line is written before the run continues, so everything recorded
//! before a SIGKILL is in it. A thread writes to anything else, such as a pipe. The schema is in
//! the README. `version` changes when a field changes its meaning.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::files::{Finishing, Target};
use super::{result, signal};
use crate::output::Tail;
use crate::plan::{Task, Work};
use crate::process::{Level, StoppedBy};
use crate::record::{Counts, Entry, Record, Summary};

pub(crate) const VERSION: u32 = 1;

#[derive(Default)]
pub(crate) struct Journal {
    target: Option<Target>,
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
    Ready {
        at: f64,
        id: usize,
        task: &'a str,
    },
    Ended(Ended<'a>),
    Cleanup(Ended<'a>),
    End {
        at: f64,
        code: u8,
        #[serde(flatten)]
        counts: Counts,
        not_started: Option<u64>,
    },
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
    stdout: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stderr: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<Earlier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    argument: Option<&'a str>,
    command: &'a str,
    key: String,
}

/// An attempt before the last one.
#[derive(Serialize)]
struct Earlier {
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    began: Option<f64>,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    ran: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stdout: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stderr: Vec<String>,
}

impl Journal {
    pub(crate) fn new(target: Option<Target>) -> Journal {
        Journal { target }
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

    pub(crate) fn ready(&mut self, task: &Task, at: Duration) {
        self.write(&Line::Ready {
            at: at.as_secs_f64(),
            id: task.id,
            task: &task.spec.name,
        });
    }

    pub(crate) fn ended(&mut self, entry: &Entry, work: &Work) {
        if self.target.is_some() {
            let ended = Ended::of(entry, work.key());
            self.write(&match entry.cleans_up {
                None => Line::Ended(ended),
                Some(_) => Line::Cleanup(ended),
            });
        }
    }

    /// Writes the last line.
    pub(crate) fn end(mut self, code: u8, summary: &Summary) -> Option<Finishing> {
        self.write(&Line::End {
            at: summary.elapsed.as_secs_f64(),
            code,
            counts: summary.counts,
            not_started: summary.not_started(),
        });
        self.target.map(Target::finish)
    }

    fn write(&mut self, line: &Line<'_>) {
        let Some(target) = &mut self.target else {
            return;
        };
        let mut text = serde_json::to_vec(line).expect("strings and numbers");
        text.push(b'\n');
        target.write(text);
    }
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
            result: result(&record.ending),
            code: record.ending.status().and_then(|status| status.code()),
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
            stdout: said(record, &record.stdout),
            stderr: said(record, &record.stderr),
            earlier: entry.earlier.iter().map(Earlier::of).collect(),
            argument: entry.argument.as_deref(),
            command: &entry.command,
            key,
        }
    }
}

impl Earlier {
    fn of((attempt, record): &(u32, Record)) -> Earlier {
        Earlier {
            attempt: *attempt,
            began: record.began.map(|began| began.as_secs_f64()),
            result: result(&record.ending),
            code: record.ending.status().and_then(|status| status.code()),
            signal: signal(&record.ending),
            ran: record.ran.as_secs_f64(),
            stdout: said(record, &record.stdout),
            stderr: said(record, &record.stderr),
        }
    }
}

/// The end of what a failure said.
fn said(record: &Record, tail: &Tail) -> Vec<String> {
    match record.is_failure() {
        true => tail.lines().1,
        false => Vec::new(),
    }
}
