//! The run as a recording of the library, which draws it: a trace and a page.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use taskgroup::recorder::{Outcome, Recording, TaskRecord};

use super::result;
use crate::process::StoppedBy;
use crate::record::{Cause, Ending, Entry, Summary};
use crate::report;

pub(crate) fn write_trace(path: &Path, summary: &Summary) -> io::Result<()> {
    recording(summary).write_trace(File::create(path)?)
}

pub(crate) fn write_page(path: &Path, summary: &Summary) -> io::Result<()> {
    recording(summary).write_html(File::create(path)?)
}

fn recording(summary: &Summary) -> Recording {
    let end = nanos(summary.elapsed);
    let run = TaskRecord {
        kind: "run".to_owned(),
        name: "run".to_owned(),
        started_ns: Some(0),
        ended_ns: Some(end),
        outcome: Some(outcome_of_group(summary.failed)),
        reason: summary.cause.as_ref().map(ToString::to_string),
        ..TaskRecord::default()
    };
    let mut drawing = Drawing {
        tasks: vec![run],
        groups: HashMap::new(),
    };
    let mut indices = HashMap::new();
    for entry in &summary.entries {
        indices.insert(&*entry.name, drawing.add(entry, end));
    }
    for entry in &summary.entries {
        if let Some(Cause::Failed { name, .. } | Cause::Before { name } | Cause::Won { name }) =
            &entry.because
        {
            let by = indices.get(&**name).or_else(|| drawing.groups.get(name));
            drawing.tasks[indices[&*entry.name]].caused_by = by.copied();
        }
    }
    Recording {
        title: "taskgroup".to_owned(),
        duration_ns: end,
        tasks: drawing.tasks,
        omitted: 0,
    }
}

struct Drawing {
    tasks: Vec<TaskRecord>,
    /// By path.
    groups: HashMap<String, usize>,
}

impl Drawing {
    fn add(&mut self, entry: &Entry, end: u64) -> usize {
        let record = &entry.record;
        let parent = self.group_of(&entry.name);
        let began = record.began.map(nanos);
        let gone = record
            .began
            .map(|began| nanos(began + record.gone.max(record.ran)));
        let asked = record.began.map(|began| nanos(began + record.ran));
        let stopped = record.stopped.as_ref();
        let killed = stopped.is_some_and(|stopped| stopped.by != StoppedBy::Term);
        let details = [
            ("command", entry.command.clone()),
            ("result", result(entry).to_owned()),
            ("attempts", entry.attempts.to_string()),
            ("what", report::what(entry)),
        ];
        let stderr: Vec<String> = record.stderr.lines().collect();
        let stderr = (!stderr.is_empty()).then(|| ("stderr", stderr.join("\n")));
        let details = details.into_iter().chain(stderr);
        self.tasks.push(TaskRecord {
            parent: Some(parent),
            kind: "task".to_owned(),
            name: entry.name.clone(),
            id: match entry.id {
                usize::MAX => String::new(),
                id => id.to_string(),
            },
            spawned_ns: 0,
            started_ns: began,
            cancelled_ns: asked.filter(|_| stopped.is_some()),
            killed_ns: gone.filter(|_| killed),
            ended_ns: gone.or(Some(end)),
            outcome: outcome(entry),
            error: record.is_failure().then(|| report::what(entry)),
            reason: entry.because.as_ref().map(ToString::to_string),
            details: details
                .map(|(name, text)| (name.to_owned(), text))
                .collect(),
            ..TaskRecord::default()
        });
        let index = self.tasks.len() - 1;
        self.widen(parent, index);
        index
    }

    /// The group that the path says, made when it is the first time.
    fn group_of(&mut self, path: &str) -> usize {
        let Some((group, _)) = path.rsplit_once('/') else {
            return 0;
        };
        if let Some(&known) = self.groups.get(group) {
            return known;
        }
        let parent = self.group_of(group);
        self.tasks.push(TaskRecord {
            parent: Some(parent),
            kind: "group".to_owned(),
            name: group.to_owned(),
            outcome: Some(Outcome::Succeeded),
            ..TaskRecord::default()
        });
        let index = self.tasks.len() - 1;
        self.groups.insert(group.to_owned(), index);
        index
    }

    /// A group lasts from the first start in it to the last end, and fails with what is in it.
    fn widen(&mut self, mut group: usize, by: usize) {
        let member = self.tasks[by].clone();
        while group != 0 {
            let widened = &mut self.tasks[group];
            widened.started_ns = match (widened.started_ns, member.started_ns) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            widened.ended_ns = widened.ended_ns.max(member.ended_ns);
            if member.outcome == Some(Outcome::Failed) {
                widened.outcome = Some(Outcome::Failed);
            }
            group = widened.parent.unwrap_or(0);
        }
    }
}

fn outcome(entry: &Entry) -> Option<Outcome> {
    Some(match &entry.record.ending {
        ending if ending.is_success() => Outcome::Succeeded,
        Ending::NotStarted | Ending::Cancelled(_) => Outcome::Cancelled,
        _ => Outcome::Failed,
    })
}

fn outcome_of_group(failed: bool) -> Outcome {
    if failed {
        Outcome::Failed
    } else {
        Outcome::Succeeded
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
