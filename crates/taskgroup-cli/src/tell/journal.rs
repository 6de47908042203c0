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
use crate::record::{Counts, Entry, JobUsed, Record, Summary};

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
        #[serde(skip_serializing_if = "Option::is_none")]
        job: Option<Job<'a>>,
    },
}

/// The job of Slurm in which commands ran.
#[derive(Serialize)]
struct Job<'a> {
    id: &'a str,
    nodes: &'a [String],
    own: bool,
    asked: f64,
    waited: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<&'a str>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
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
    earlier: Vec<Earlier<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    argument: Option<&'a str>,
    command: &'a str,
    key: String,
}

/// An attempt before the last one.
#[derive(Serialize)]
struct Earlier<'a> {
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    began: Option<f64>,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    ran: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
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
        self.write(&Line::end(code, summary));
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

impl<'a> Line<'a> {
    fn end(code: u8, summary: &'a Summary) -> Line<'a> {
        Line::End {
            at: summary.elapsed.as_secs_f64(),
            code,
            counts: summary.counts,
            not_started: summary.not_started(),
            job: summary.job.as_ref().map(Job::of),
        }
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
            node: record.node.as_deref(),
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

impl<'a> Earlier<'a> {
    fn of((attempt, record): &'a (u32, Record)) -> Earlier<'a> {
        Earlier {
            attempt: *attempt,
            began: record.began.map(|began| began.as_secs_f64()),
            result: result(&record.ending),
            code: record.ending.status().and_then(|status| status.code()),
            signal: signal(&record.ending),
            ran: record.ran.as_secs_f64(),
            node: record.node.as_deref(),
            stdout: said(record, &record.stdout),
            stderr: said(record, &record.stderr),
        }
    }
}

impl<'a> Job<'a> {
    fn of(job: &'a JobUsed) -> Job<'a> {
        Job {
            id: &job.id,
            nodes: &job.nodes,
            own: job.own,
            asked: job.asked.as_secs_f64(),
            waited: job.waited.as_secs_f64(),
            trouble: job.trouble.as_deref(),
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::tell::sample;

    #[test]
    fn each_attempt_has_its_node_and_the_end_the_job() {
        let mut summary = sample::on_two_nodes();
        let ended = |id| {
            let ended = Ended::of(sample::task(&summary, id), "k".to_owned());
            serde_json::to_value(Line::Ended(ended)).unwrap()
        };
        assert_eq!(ended(0).get("node"), None);
        assert_eq!(ended(20)["node"], "n2");
        assert_eq!(ended(29).get("node"), None);
        let tried = ended(7);
        let nodes = tried["earlier"].as_array().unwrap().iter();
        let nodes: Vec<&Value> = nodes.map(|earlier| &earlier["node"]).collect();
        assert_eq!(nodes, ["n2", "n1"]);
        assert_eq!(tried["node"], "n2");
        let end = |summary: &Summary| serde_json::to_value(Line::end(1, summary)).unwrap();
        assert_eq!(
            end(&summary)["job"],
            json!({"id": "65", "nodes": ["n1", "n2"], "own": true, "asked": 0.1, "waited": 5.0})
        );
        let job = summary.job.as_mut().unwrap();
        job.trouble = Some("n2 does not answer".to_owned());
        assert_eq!(end(&summary)["job"]["trouble"], "n2 does not answer");
        summary.job = None;
        assert_eq!(end(&summary).get("job"), None);
    }
}
