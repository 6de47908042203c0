//! Turns the run into a recording of the library, which draws a trace and a page.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use taskgroup::observe::recorder::{Outcome, Recording, TaskRecord};

use crate::output::Tail;
use crate::process::StoppedBy;
use crate::record::{Cause, Ending, Entry, JobUsed, Record, Summary};
use crate::report;

pub(crate) fn trace(summary: &Summary) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    recording(summary).write_trace(&mut text)?;
    Ok(text)
}

pub(crate) fn page(summary: &Summary) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    recording(summary).write_html(&mut text)?;
    Ok(text)
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
        details: where_and_when(summary),
        ..TaskRecord::default()
    };
    let mut drawing = Drawing {
        has_nodes: summary.job.is_some(),
        tasks: vec![run],
        groups: HashMap::from([(String::new(), RUN)]),
    };
    // Nothing is waited for inside of a job.
    let asked_for = summary.job.iter().filter(|job| job.own);
    drawing.tasks.extend(asked_for.map(wait));
    let mut indices = HashMap::new();
    let (tasks, cleanup): (Vec<&Entry>, Vec<&Entry>) = {
        let entries = summary.entries.iter();
        entries.partition(|entry| entry.cleans_up.is_none())
    };
    for entry in &tasks {
        indices.insert(&*entry.name, drawing.add(entry));
    }
    for entry in cleanup {
        let of = entry.cleans_up.as_deref().unwrap_or_default();
        let known = indices.get(of).or_else(|| drawing.groups.get(of));
        let of = known.copied().unwrap_or_else(|| drawing.group(of));
        drawing.add_cleanup(entry, of);
    }
    for entry in tasks {
        if let Some(
            Cause::Failed { name }
            | Cause::TimedOut { name }
            | Cause::Before { name }
            | Cause::Won { name },
        ) = &entry.because
        {
            let by = indices.get(&**name).or_else(|| drawing.groups.get(name));
            drawing.tasks[indices[&*entry.name]].caused_by = by.copied();
        }
    }
    if summary.cause.is_some() {
        let cancelled = drawing.tasks.iter().filter(|task| task.reason.is_some());
        drawing.tasks[RUN].cancelled_ns = cancelled.filter_map(|task| task.cancelled_ns).min();
    }
    Recording {
        title: typed(),
        duration_ns: end,
        tasks: drawing.tasks,
        omitted: 0,
    }
}

/// So that a page can be told from another one of the same command.
fn where_and_when(summary: &Summary) -> Vec<(String, String)> {
    let date = humantime::format_rfc3339_seconds(summary.date).to_string();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let folder = std::env::current_dir().unwrap_or_default();
    let job = summary.job.as_ref();
    let job = job.map_or_else(String::new, |job| {
        format!("{} on {}", job.id, job.nodes.join(", "))
    });
    let details = [
        ("date", date),
        ("host", host.trim().to_owned()),
        ("folder", folder.display().to_string()),
        ("job", job),
    ];
    let known = details.into_iter().filter(|(_, text)| !text.is_empty());
    known.map(|(name, text)| (name.to_owned(), text)).collect()
}

/// The index of the whole run.
const RUN: usize = 0;

/// A word as a user would type it in a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=+./,:@%{}".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// The longest part of a command line that makes a title.
const TITLE: usize = 160;

/// The command line of this process, cut if it is long.
fn typed() -> String {
    let mut title = "taskgroup".to_owned();
    for word in std::env::args_os().skip(1) {
        title.push(' ');
        title.push_str(&quoted(&word.to_string_lossy()));
        if let Some((cut, _)) = title.char_indices().nth(TITLE) {
            title.truncate(cut);
            title.push('…');
            break;
        }
    }
    title
}

struct Drawing {
    /// Places are told apart.
    has_nodes: bool,
    tasks: Vec<TaskRecord>,
    /// By path.
    groups: HashMap<String, usize>,
}

impl Drawing {
    fn add(&mut self, entry: &Entry) -> usize {
        let parent = match &*entry.group {
            "" => RUN,
            group => self.group(group),
        };
        self.tasks.push(TaskRecord {
            parent: Some(parent),
            kind: "task".to_owned(),
            id: entry.id.to_string(),
            started_ns: entry.began.map(nanos),
            ended_ns: Some(gone(entry).unwrap_or_else(|| nanos(entry.ended))),
            // The attempts may have run in several places.
            place: self.place(&entry.record).filter(|_| entry.attempts <= 1),
            ..described(entry)
        });
        let index = self.tasks.len() - 1;
        if parent != RUN && entry.because.is_some() {
            let asked = self.tasks[index].cancelled_ns;
            let group = &mut self.tasks[parent].cancelled_ns;
            *group = group.iter().copied().chain(asked).min();
        }
        self.widen(parent, index);
        if entry.attempts > 1 {
            let last = std::iter::once((entry.attempts, &entry.record));
            let earlier = entry
                .earlier
                .iter()
                .map(|(number, record)| (*number, record));
            for (number, record) in earlier.chain(last) {
                self.tasks.push(TaskRecord {
                    place: self.place(record),
                    ..attempt(entry, index, number, record)
                });
            }
        }
        index
    }

    /// Where it ran, if the run had a job.
    fn place(&self, record: &Record) -> Option<String> {
        let _ = record.began.filter(|_| self.has_nodes)?;
        Some(match &record.node {
            Some(node) => format!("node {node}"),
            None => "this machine".to_owned(),
        })
    }

    /// A step of cleanup has its own row, and the row of its task or group ends with it.
    fn add_cleanup(&mut self, entry: &Entry, of: usize) {
        let began = entry.began.map(nanos);
        self.tasks.push(TaskRecord {
            parent: Some(of),
            kind: "cleanup".to_owned(),
            started_ns: began,
            cleanup_ns: began,
            ended_ns: gone(entry).or(began),
            cancelled_ns: None,
            place: self.place(&entry.record),
            ..described(entry)
        });
        let step = self.tasks.len() - 1;
        let (began, ended) = (self.tasks[step].cleanup_ns, self.tasks[step].ended_ns);
        let owner = &mut self.tasks[of];
        owner.cleanup_ns = owner.cleanup_ns.or(began);
        owner.ended_ns = owner.ended_ns.max(ended);
        if let (Some(parent), true) = (owner.parent, of != RUN) {
            self.widen(parent, of);
        }
    }

    /// The group that the task's path names.
    fn group_around(&mut self, path: &str) -> usize {
        path.rsplit_once('/')
            .map_or(RUN, |(group, _)| self.group(group))
    }

    /// The group with this path, created on first use.
    fn group(&mut self, path: &str) -> usize {
        if let Some(&known) = self.groups.get(path) {
            return known;
        }
        let parent = self.group_around(path);
        self.tasks.push(TaskRecord {
            parent: Some(parent),
            kind: "group".to_owned(),
            name: path.to_owned(),
            outcome: Some(Outcome::Cancelled),
            ..TaskRecord::default()
        });
        let index = self.tasks.len() - 1;
        self.groups.insert(path.to_owned(), index);
        index
    }

    /// A group lasts from the first start in it to the last end. It failed if something in it
    /// failed, and was cancelled if everything in it was.
    fn widen(&mut self, mut group: usize, by: usize) {
        let member = &self.tasks[by];
        let (started_ns, ended_ns) = (member.started_ns, member.ended_ns);
        let outcome = member.outcome;
        while group != RUN {
            let widened = &mut self.tasks[group];
            widened.started_ns = match (widened.started_ns, started_ns) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            widened.ended_ns = widened.ended_ns.max(ended_ns);
            match outcome {
                Some(Outcome::Failed) => widened.outcome = Some(Outcome::Failed),
                Some(Outcome::Succeeded) if widened.outcome == Some(Outcome::Cancelled) => {
                    widened.outcome = Some(Outcome::Succeeded);
                }
                _ => {}
            }
            group = widened.parent.unwrap_or(RUN);
        }
    }
}

/// The wait for the nodes of the job.
fn wait(job: &JobUsed) -> TaskRecord {
    let (asked, there) = (nanos(job.asked), nanos(job.asked + job.waited));
    let nodes = (!job.nodes.is_empty()).then(|| ("nodes".to_owned(), job.nodes.join(", ")));
    let trouble = job.trouble.clone();
    TaskRecord {
        parent: Some(RUN),
        kind: "wait".to_owned(),
        name: format!("waiting for job {}", job.id),
        spawned_ns: asked,
        started_ns: Some(asked),
        ended_ns: Some(there),
        outcome: Some(match nodes {
            Some(_) => Outcome::Succeeded,
            None => Outcome::Cancelled,
        }),
        details: nodes
            .into_iter()
            .chain(trouble.map(|trouble| ("trouble".to_owned(), trouble)))
            .collect(),
        ..TaskRecord::default()
    }
}

/// One attempt of several, below its task, so that the pauses between them can be seen.
fn attempt(entry: &Entry, task: usize, number: u32, record: &Record) -> TaskRecord {
    let began = record.began.map(nanos);
    let details = [
        said("stdout", &record.stdout),
        said("stderr", &record.stderr),
    ];
    TaskRecord {
        parent: Some(task),
        kind: "attempt".to_owned(),
        name: format!("{} (attempt {number})", entry.name),
        spawned_ns: began.unwrap_or_default(),
        started_ns: began,
        ended_ns: gone_of(record),
        outcome: Some(outcome(&record.ending)),
        error: record.is_failure().then(|| report::ended(record)),
        details: details.into_iter().flatten().collect(),
        ..TaskRecord::default()
    }
}

/// The end of a stream, if there was anything.
fn said(name: &str, tail: &Tail) -> Option<(String, String)> {
    let text = || tail.lines().1.join("\n");
    (!tail.is_empty()).then(|| (name.to_owned(), text()))
}

/// The fields that a task and a step of cleanup share.
fn described(entry: &Entry) -> TaskRecord {
    let record = &entry.record;
    let stopped = record.stopped.as_ref();
    let killed = stopped.is_some_and(|stopped| stopped.by != StoppedBy::Term);
    let detail = |name: &str, text: String| (name.to_owned(), text);
    let attempts = entry.attempts.to_string();
    let attempts = (entry.attempts > 1).then(|| detail("attempts", attempts));
    let what = (!record.is_failure()).then(|| detail("what", report::what(entry)));
    let command = Some(detail("command", entry.command.clone()));
    let argument = entry.argument.clone();
    let argument = argument.map(|argument| detail("argument", argument));
    let (stdout, stderr) = (
        said("stdout", &record.stdout),
        said("stderr", &record.stderr),
    );
    let details = [what, argument, command, stdout, stderr, attempts];
    let asked = record.began.map(|began| nanos(began + record.ran));
    TaskRecord {
        name: entry.name.clone(),
        spawned_ns: nanos(entry.known),
        cancelled_ns: asked.filter(|_| stopped.is_some()),
        killed_ns: gone(entry).filter(|_| killed),
        outcome: Some(match outcome(&record.ending) {
            Outcome::Cancelled if killed => Outcome::Killed,
            outcome => outcome,
        }),
        error: record.is_failure().then(|| report::what(entry)),
        reason: entry.because.as_ref().map(ToString::to_string),
        details: details.into_iter().flatten().collect(),
        ..TaskRecord::default()
    }
}

/// When no process of its last attempt was left.
fn gone(entry: &Entry) -> Option<u64> {
    gone_of(&entry.record)
}

/// What it caused by its end came after that end, so the end must not seem to be later.
fn gone_of(record: &Record) -> Option<u64> {
    let lasted = match record.stopped {
        Some(_) => record.gone.max(record.ran),
        None => record.ran,
    };
    Some(nanos(record.began? + lasted))
}

fn outcome(ending: &Ending) -> Outcome {
    match ending {
        ending if ending.is_success() => Outcome::Succeeded,
        Ending::NotStarted | Ending::Cancelled(_) => Outcome::Cancelled,
        _ => Outcome::Failed,
    }
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

#[cfg(test)]
mod tests {
    use taskgroup::observe::recorder::Phase;

    use super::*;
    use crate::tell::sample;

    #[test]
    fn each_attempt_is_in_the_place_of_its_node() {
        let recording = recording(&sample::on_two_nodes());
        let found = |name: &str| {
            let mut tasks = recording.tasks.iter();
            tasks.find(|task| task.name == name).unwrap()
        };
        let place = |name: &str| found(name).place.as_deref();
        assert_eq!(place("run"), None);
        assert_eq!(place("prepare"), Some("this machine"));
        assert_eq!(place("item-1"), Some("node n1"));
        assert_eq!(place("item-7"), None);
        assert_eq!(place("item-7 (attempt 1)"), Some("node n2"));
        assert_eq!(place("item-7 (attempt 2)"), Some("node n1"));
        assert_eq!(place("item-7 (attempt 3)"), Some("node n2"));
        assert_eq!(place("item-29"), None, "it did not run");
        let wait = found("waiting for job 65");
        assert_eq!(
            wait.phases(0),
            [(Phase::Queued, 100_000_000, 5_100_000_000)]
        );
        let by = found("item-17").caused_by.unwrap();
        assert_eq!(recording.tasks[by].name, "item-20");
    }

    #[test]
    fn without_a_job_of_its_own_there_is_no_wait_and_without_any_no_place() {
        let mut summary = sample::on_two_nodes();
        let waits = |recording: &Recording| recording.tasks.iter().any(|task| task.kind == "wait");
        summary.job.as_mut().unwrap().own = false;
        assert!(!waits(&recording(&summary)));
        summary.job = None;
        let recording = recording(&summary);
        assert!(!waits(&recording));
        let of = |name: &str| recording.tasks.iter().find(|task| task.name == name);
        assert_eq!(of("prepare").unwrap().place, None);
    }

    #[test]
    fn a_title_is_what_one_would_type() {
        assert_eq!(quoted("-j2"), "-j2");
        assert_eq!(quoted("echo 'a'; b"), r"'echo '\''a'\''; b'");
        assert_eq!(quoted(""), "''");
    }
}
