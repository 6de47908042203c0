//! The report at the end: every failure, and which command was cancelled because of which.

use std::collections::HashMap;
use std::fmt::Write;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use anstyle::{AnsiColor, Style};

use crate::duration::Human;
use crate::output::{Tail, Trouble, and_more, task_style};
use crate::process::{Level, Process, Stopped, StoppedBy};
use crate::record::{Cause, Ending, Entry, JobUsed, Record, Summary};
use crate::signals;

/// The most names of commands that were not started.
pub(crate) const NAMED: usize = 10;

/// How many lines of a stream are repeated.
pub(crate) const LINES: usize = 10;

/// How many failed attempts are shown of a task that has not failed in the end.
const ATTEMPTS: usize = 5;

/// The report, or a line if every command succeeded and left nothing behind.
pub(crate) fn render(summary: &Summary, contain: Level, coloured: bool) -> String {
    let mut report = Report {
        contain,
        summary,
        coloured,
        text: String::new(),
    };
    if is_success(summary) {
        report.closing_line();
        report.stopped();
        report.flaky();
    } else {
        report.headline();
        report.entries();
        report.not_started();
        report.internal();
    }
    report.slowest();
    report.text
}

/// Whether there is nothing to report but that every command succeeded.
pub(crate) fn is_success(summary: &Summary) -> bool {
    let is_plain = |entry: &Entry| !entry.record.is_failure() && !entry.record.has_notes();
    !summary.failed
        && matches!(summary.cause, None | Some(Cause::Won { .. }))
        && summary.signal.is_none()
        && summary.internal.is_none()
        && summary.output_error.is_none()
        && summary.report_errors.is_empty()
        && summary.trouble_with_job().is_none()
        && summary.entries.iter().all(is_plain)
}

/// The counts and the time, as in the first line of the report.
pub(crate) fn in_short(summary: &Summary) -> String {
    let counts = summary.counts;
    let mut counts = [
        (counts.failed, "failed"),
        (counts.cancelled, "cancelled"),
        (counts.not_started, "not started"),
        (counts.succeeded, "succeeded"),
        (counts.done_before, "done before"),
    ];
    if is_success(summary) {
        // The news first: what was cancelled has lost a race.
        counts.rotate_left(3);
    }
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let counts = match counts.is_empty() {
        true => "nothing was run".to_owned(),
        false => counts.join(", "),
    };
    let rest = match summary.open_end {
        true => ", the rest of the input not read",
        false => "",
    };
    let flaky = match summary.counts.flaky {
        0 => String::new(),
        flaky => format!(" ({flaky} not at the first attempt)"),
    };
    let job = summary.job.as_ref().map_or_else(String::new, in_job);
    let elapsed = Human(summary.elapsed);
    format!("{counts}{flaky}{rest} in {elapsed}{job}")
}

/// `, in job 65 on 2 nodes, waited 12.4s for it`.
fn in_job(job: &JobUsed) -> String {
    let nodes = match &job.nodes[..] {
        [] => String::new(),
        [node] => format!(" on {node}"),
        nodes => format!(" on {} nodes", nodes.len()),
    };
    let waited = match job.own {
        true => format!(", waited {} for it", Human(job.waited)),
        false => String::new(),
    };
    format!(", in job {}{nodes}{waited}", job.id)
}

/// The name, and for `map` the whole argument if the name is not just that.
pub(crate) fn named(entry: &Entry) -> String {
    match &entry.argument {
        Some(argument) if *argument != entry.name => format!("{} ({argument})", entry.name),
        _ => entry.name.clone(),
    }
}

/// The ends of both streams.
pub(crate) fn ends(record: &Record) -> String {
    let ends = [&record.stdout, &record.stderr].map(|tail| tail.last(LINES).1);
    ends.concat().join("\n")
}

/// Only after a failure of the runner itself is there no cause.
fn because(cause: Option<&Cause>) -> String {
    cause.map_or_else(|| "cause unknown".to_owned(), ToString::to_string)
}

/// In a few words, how a task ended, and on which node.
pub(crate) fn what(entry: &Entry) -> String {
    how_it_ended(&entry.record, entry.attempts, entry.because.as_ref())
}

/// `0.25s`, or `0.25s on n2`.
fn ran(record: &Record) -> String {
    format!("{}{}", Human(record.ran), on_node(record))
}

/// ` on n2`, and nothing for this machine.
fn on_node(record: &Record) -> String {
    let node = record.node.as_ref();
    node.map_or_else(String::new, |node| format!(" on {node}"))
}

pub(crate) fn how_it_ended(record: &Record, attempts: u32, because: Option<&Cause>) -> String {
    let ran = ran(record);
    let how = record.stopped.as_ref().map_or("", how);
    let because = || self::because(because);
    let attempt = match attempts {
        0 | 1 => String::new(),
        attempts => format!(", attempt {attempts}"),
    };
    match &record.ending {
        Ending::NotStarted => format!("not started, {}", because()),
        Ending::DoneBefore => "done in an earlier run".to_owned(),
        Ending::Exited(status) if status.success() && attempts > 1 => {
            format!("succeeded at attempt {attempts}, after {ran}")
        }
        Ending::Exited(status) if status.success() => format!("after {ran}"),
        Ending::Served(_) => format!("after {ran}, {how}{attempt}"),
        Ending::Cancelled(status) => {
            let ended = match status {
                Some(status) if status.signal().is_none() => format!(" ({})", ending(*status)),
                _ => String::new(),
            };
            format!("after {ran}, {how}{ended}, {}", because())
        }
        Ending::CouldNotStart(_) | Ending::Lost(_) => ended(record),
        Ending::Exited(_)
        | Ending::TimedOut
        | Ending::WantsTerminal(_)
        | Ending::EndedEarly(_)
        | Ending::NotReady(_) => {
            format!("{}{attempt}", ended(record))
        }
    }
}

/// In a few words, how an attempt ended by itself.
pub(crate) fn ended(record: &Record) -> String {
    let ran = ran(record);
    let how = record.stopped.as_ref().map_or("", how);
    match &record.ending {
        Ending::CouldNotStart(error) => {
            format!("could not be started{}: {error}", on_node(record))
        }
        Ending::Lost(error) => format!("its outcome is unknown, after {ran}: {error}"),
        Ending::Exited(status) => format!("{}, after {ran}", ending(*status)),
        Ending::TimedOut => format!("after {ran}, {how}"),
        Ending::WantsTerminal(name) => {
            let name = name.escape_debug();
            format!(
                "`{name}` asks the terminal, which it cannot have; give it one with --tty; after \
                 {ran}, {how}"
            )
        }
        Ending::EndedEarly(_) => {
            format!("a service ended by itself, after {ran}, while it was needed")
        }
        Ending::NotReady(check) => {
            format!("not ready after {ran}: {check}; ready-timeout gives it more time; {how}")
        }
        Ending::NotStarted | Ending::DoneBefore | Ending::Served(_) | Ending::Cancelled(_) => {
            format!("after {ran}")
        }
    }
}

/// Reports what kept `taskgroup` itself from working.
pub(crate) fn internal(error: &std::io::Error) {
    remark(&format!("cannot run: {error}"));
}

/// Reports why nothing was started.
pub(crate) fn refused(why: &dyn std::fmt::Display) {
    remark(&format!("nothing was started: {why}"));
}

/// A line of its own, outside of the report.
pub(crate) fn remark(text: &str) {
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("taskgroup: {text}\n"));
}

struct Report<'a> {
    contain: Level,
    summary: &'a Summary,
    coloured: bool,
    text: String,
}

pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
const STOPPED: Style = AnsiColor::Yellow.on_default();
const GOOD: Style = AnsiColor::Green.on_default();
const FAINT: Style = Style::new().dimmed();

impl Report<'_> {
    fn headline(&mut self) {
        let why = match &self.summary.cause {
            Some(Cause::Signal(stop)) => format!("stopped by {stop}: "),
            Some(Cause::Output(error)) => format!("the output could not be written ({error}): "),
            Some(Cause::Deadline { .. }) => "the deadline expired: ".to_owned(),
            Some(
                Cause::Failed { .. }
                | Cause::TimedOut { .. }
                | Cause::Ended { .. }
                | Cause::Halted { .. }
                | Cause::Before { .. }
                | Cause::Won { .. },
            )
            | None => String::new(),
        };
        let bold = self.paint(Style::new().bold(), "taskgroup:");
        let in_short = in_short(self.summary);
        let contained = self.contain.described();
        let _ = writeln!(self.text, "{bold} {why}{in_short}, {contained}");
        let cause = &self.summary.cause;
        if let (Some(stop), false) = (self.summary.signal, matches!(cause, Some(Cause::Signal(_))))
        {
            self.note(&format!("{stop} arrived while the run was ending"));
        }
        let by_output = matches!(cause, Some(Cause::Output(_)));
        if let (Some(error), false) = (&self.summary.output_error, by_output) {
            self.note(&format!("some output could not be written: {error}"));
        }
        if let Some(error) = &self.summary.input_error {
            self.note(&format!("the input was not read to its end: {error}"));
        }
        for error in &self.summary.report_errors {
            self.note(&format!("could not be written: {error}"));
        }
        if let Some((id, trouble)) = self.summary.trouble_with_job() {
            self.note(&format!("trouble with job {id}: {trouble}"));
        }
    }

    fn closing_line(&mut self) {
        let bold = self.paint(Style::new().bold(), "taskgroup:");
        let in_short = in_short(self.summary);
        let _ = writeln!(self.text, "{bold} {in_short}");
    }

    fn slowest(&mut self) {
        if self.summary.slowest.is_empty() {
            return;
        }
        self.text.push_str("slowest:\n");
        for (took, name) in &self.summary.slowest {
            let took = Human(*took).to_string();
            let _ = writeln!(self.text, "    {took:>7} {name}");
        }
    }

    fn entries(&mut self) {
        let of = |what: fn(&Record) -> bool| {
            let entries = self.summary.entries.iter();
            entries.filter(move |entry| what(&entry.record))
        };
        let failed = of(Record::is_failure);
        let cancelled = of(|r| matches!(r.ending, Ending::Cancelled(_)));
        // `taskgroup … | head` has what it wanted. The first line says that others were stopped.
        let has_reader = !matches!(
            &self.summary.cause,
            Some(Cause::Output(error)) if error.kind() == ErrorKind::BrokenPipe
        );
        let cancelled = cancelled.filter(|entry| has_reader || entry.record.has_notes());
        let noted = of(|r| r.ending.is_success() && r.has_notes());
        for entry in failed.chain(cancelled).chain(noted) {
            self.entry(entry);
        }
        self.flaky();
    }

    /// What was stopped although all is well, but for those that have lost a race: they are there
    /// to be stopped.
    fn stopped(&mut self) {
        let is_stopped = |entry: &&Entry| {
            let has_lost = matches!(entry.because, Some(Cause::Won { .. }));
            matches!(entry.record.ending, Ending::Cancelled(_)) && !has_lost
        };
        for entry in self.summary.entries.iter().filter(is_stopped) {
            self.entry(entry);
        }
    }

    /// Those with notes are there already.
    fn flaky(&mut self) {
        let entries = self.summary.entries.iter();
        for entry in entries.filter(|entry| entry.is_flaky() && !entry.record.has_notes()) {
            self.entry(entry);
        }
    }

    fn entry(&mut self, entry: &Entry) {
        let record = &entry.record;
        let (style, word) = match &record.ending {
            Ending::NotStarted | Ending::DoneBefore => return,
            ending if ending.is_success() => (GOOD, "OK"),
            _ if entry.ignored => (STOPPED, "FAILED (ignored)"),
            Ending::TimedOut | Ending::NotReady(_) => (BAD, "TIMED OUT"),
            Ending::Cancelled(_) => (STOPPED, "CANCELLED"),
            _ => (BAD, "FAILED"),
        };
        let word = self.paint(style, word);
        let name = self.name(entry);
        let _ = writeln!(self.text, "{word} {name}: {}", what(entry));
        if !record.is_failure() {
            self.failed_before(entry);
        }
        if !record.left_in_background.is_empty() {
            let how = record.stopped.as_ref().map_or("", how);
            let who = list(&record.left_in_background);
            self.note(&format!("left in the background: {who}; {how}"));
        }
        // A survivor holds the output, too, and is reported below.
        if record.output_held && record.survivors().is_empty() {
            self.note(match (&record.ending, self.contain) {
                (Ending::Lost(_), _) => {
                    "its output was still open, so the end of it may be missing"
                }
                (_, Level::Group) => "a process that is not in its group still held its output",
                _ => "a process that the command did not start still held its output",
            });
        }
        if !record.survivors().is_empty() {
            let who = list(record.survivors());
            self.note(&format!("STILL RUNNING despite SIGKILL: {who}"));
        }
        match &record.trouble {
            Some(Trouble::Mixed(error)) => self.note(&format!(
                "its output could not be held back, so it came out at once: {error}"
            )),
            Some(Trouble::Lost(error)) => self.note(&format!("output of it was lost: {error}")),
            None => {}
        }
        if record.is_failure() {
            self.said(record);
        }
    }

    /// The last attempts that failed, of a task that has not failed in the end.
    fn failed_before(&mut self, entry: &Entry) {
        let all = entry.failed_before().count();
        let left_out = all.saturating_sub(ATTEMPTS);
        if left_out > 0 {
            self.note(&format!("{left_out} failed attempts left out"));
        }
        for (number, record) in entry.failed_before().skip(left_out) {
            self.note(&format!("attempt {number}: {}", ended(record)));
        }
    }

    /// The ends of both streams: a command may tell on either why it fails.
    fn said(&mut self, record: &Record) {
        if matches!(record.ending, Ending::CouldNotStart(_)) {
            return;
        }
        if record.stdout.is_empty() && record.stderr.is_empty() {
            self.note("it wrote nothing");
            return;
        }
        self.tail("output", &record.stdout);
        self.tail("error", &record.stderr);
    }

    fn tail(&mut self, stream: &str, tail: &Tail) {
        let (before, lines) = tail.last(LINES);
        match (before, tail.is_empty()) {
            (_, true) => return,
            (0, _) => self.note(&format!("its standard {stream}:")),
            (before, _) => self.note(&format!(
                "the end of its standard {stream} ({before} earlier lines left out):"
            )),
        }
        let bar = self.paint(FAINT, "|");
        for line in lines {
            let _ = writeln!(self.text, "    {bar} {line}");
        }
    }

    /// Entries with the same cause, together.
    fn not_started(&mut self) {
        let mut by_cause: Vec<(String, Vec<&Entry>)> = Vec::new();
        // Each task of a chain has a cause of its own, and a chain may be long.
        let mut places: HashMap<String, usize> = HashMap::new();
        for entry in &self.summary.entries {
            if !entry.is_not_started() {
                continue;
            }
            let because = because(entry.because.as_ref());
            match places.get(&because) {
                Some(&place) => by_cause[place].1.push(entry),
                None => {
                    places.insert(because.clone(), by_cause.len());
                    by_cause.push((because, vec![entry]));
                }
            }
        }
        let listed: usize = by_cause.iter().map(|(_, entries)| entries.len()).sum();
        let not_started = usize::try_from(self.summary.counts.not_started).unwrap_or(usize::MAX);
        let groups = by_cause.len();
        for (place, (because, entries)) in by_cause.into_iter().enumerate() {
            // The rest of an input, of which the first ones are listed, comes last.
            let unlisted = match place + 1 == groups {
                true => not_started.saturating_sub(listed),
                false => 0,
            };
            let more = and_more(entries.len() + unlisted, NAMED);
            let name = |entry: &&Entry| self.paint(task_style(entry.id), &entry.name);
            let names = entries.iter().take(NAMED).map(name);
            let names = names.collect::<Vec<_>>().join(", ");
            let word = self.paint(STOPPED, "NOT STARTED");
            let _ = writeln!(self.text, "{word} {names}{more}: {because}");
        }
    }

    fn internal(&mut self) {
        if let Some(error) = &self.summary.internal {
            let word = self.paint(BAD, "taskgroup itself failed, please report this:");
            let _ = writeln!(self.text, "{word}\n{error:#}");
        }
    }

    fn name(&self, entry: &Entry) -> String {
        self.paint(task_style(entry.id), &named(entry))
    }

    fn note(&mut self, text: &str) {
        let _ = writeln!(self.text, "    {text}");
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.coloured {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

fn how(stopped: &Stopped) -> &'static str {
    match stopped.by {
        _ if !stopped.survivors.is_empty() => "could not be stopped",
        StoppedBy::Term => "stopped by SIGTERM",
        StoppedBy::KillAfterGrace => "stopped by SIGKILL after its grace",
        StoppedBy::KillAtOnce => "stopped by SIGKILL at once",
    }
}

/// `exit code 3`, `exit code 127 (command not found)`, `ended by SIGSEGV (core dumped)`.
fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(126), _) => "exit code 126 (not executable)".to_owned(),
        (Some(127), _) => "exit code 127 (command not found)".to_owned(),
        (Some(code), _) => match signals::name(code - 128) {
            // A shell exits with this code if a signal ended its command.
            Some(signal) => format!("exit code {code} (128 + {signal})"),
            None => format!("exit code {code}"),
        },
        (None, Some(number)) => {
            let core = if status.core_dumped() {
                " (core dumped)"
            } else {
                ""
            };
            match signals::name(number) {
                Some(signal) => format!("ended by {signal}{core}"),
                None => format!("ended by signal {number}{core}"),
            }
        }
        (None, None) => format!("{status}"),
    }
}

fn list(processes: &[Process]) -> String {
    let named: Vec<String> = processes
        .iter()
        .take(NAMED)
        .map(ToString::to_string)
        .collect();
    named.join(", ") + &and_more(processes.len(), NAMED)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::exit::Exit;
    use crate::record::Counts;
    use crate::signals::Stop;

    fn entry(id: usize, name: &str, ending: Ending, because: Option<Cause>) -> Entry {
        Entry {
            id,
            cleans_up: None,
            name: name.to_owned(),
            group: String::new(),
            argument: None,
            command: "true".to_owned(),
            record: Record::without_process(ending),
            attempts: 1,
            earlier: Vec::new(),
            known: Duration::ZERO,
            began: None,
            date: None,
            ended: Duration::ZERO,
            because,
            ignored: false,
            outrun: None,
        }
    }

    fn summary(entries: Vec<Entry>, cause: Option<Cause>) -> Summary {
        let mut counts = Counts::default();
        entries
            .iter()
            .for_each(|entry| counts.add(&entry.record.ending));
        Summary {
            entries,
            counts,
            failed: cause.is_some(),
            cause,
            signal: None,
            output_error: None,
            report_errors: Vec::new(),
            input_error: None,
            open_end: false,
            internal: None,
            elapsed: Duration::from_millis(1500),
            date: SystemTime::UNIX_EPOCH,
            slowest: Vec::new(),
            job: None,
        }
    }

    #[test]
    fn a_whole_report() {
        let cause = Cause::Failed {
            name: "one".to_owned(),
        };
        let failed = Ending::Exited(ExitStatus::from_raw(3 << 8));
        let mut one = entry(0, "one", failed, None);
        one.record.ran = Duration::from_millis(250);
        one.record.stdout.push(b"said\n");
        one.record.stderr.push(b"why");
        let two = entry(1, "two", Ending::NotStarted, Some(cause.clone()));
        let mut summary = summary(vec![one, two], Some(cause));
        summary.signal = Some(Stop::Interrupt);
        assert_eq!(
            render(&summary, Level::Guard, false),
            "taskgroup: 1 failed, 1 not started in 1.50s, contained by guard processes\n    \
             SIGINT arrived while the run was ending\n\
             FAILED one: exit code 3, after 0.25s\n    \
             its standard output:\n    \
             | said\n    \
             its standard error:\n    \
             | why\n\
             NOT STARTED two: because one failed\n"
        );
    }

    #[test]
    fn a_success_has_one_line_and_one_for_each_that_was_flaky() {
        let succeeded = || Ending::Exited(ExitStatus::from_raw(0));
        let mut summary = summary(
            vec![
                entry(0, "one", succeeded(), None),
                entry(1, "two", succeeded(), None),
            ],
            None,
        );
        let render = |summary: &Summary| render(summary, Level::Guard, false);
        assert_eq!(render(&summary), "taskgroup: 2 succeeded in 1.50s\n");
        let failed = Ending::Exited(ExitStatus::from_raw(3 << 8));
        summary.entries[1].attempts = 2;
        summary.entries[1].earlier = vec![(1, Record::without_process(failed))];
        summary.counts.flaky = 1;
        summary.slowest = vec![(Duration::from_secs(1), "one".to_owned())];
        assert_eq!(
            render(&summary),
            "taskgroup: 2 succeeded (1 not at the first attempt) in 1.50s\n\
             OK two: succeeded at attempt 2, after 0.00s\n    \
             attempt 1: exit code 3, after 0.00s\n\
             slowest:\n      1.00s one\n"
        );
    }

    fn job() -> JobUsed {
        JobUsed {
            id: "65".to_owned(),
            nodes: vec!["n1".to_owned(), "n2".to_owned()],
            own: true,
            asked: Duration::ZERO,
            waited: Duration::from_millis(12_400),
            trouble: None,
        }
    }

    #[test]
    fn a_run_on_other_machines_names_the_job_and_the_node_of_each_attempt() {
        let code = |code: i32| Ending::Exited(ExitStatus::from_raw(code << 8));
        let on = |node: &str, ending| Record {
            node: Some(node.to_owned()),
            ..Record::without_process(ending)
        };
        let because = Cause::Failed {
            name: "bad".to_owned(),
        };
        let mut bad = entry(0, "bad", code(3), None);
        bad.record = on("n2", code(3));
        let mut lost = entry(1, "lost", Ending::NotStarted, None);
        lost.record = on("n1", Ending::Lost(std::io::Error::other("NODE_FAIL")));
        let mut asleep = entry(2, "asleep", Ending::NotStarted, Some(because.clone()));
        asleep.record = on("n1", Ending::Cancelled(None));
        asleep.record.stopped = Some(Stopped {
            by: StoppedBy::Term,
            survivors: Vec::new(),
        });
        let mut shaky = entry(3, "shaky", code(0), None);
        shaky.record = on("n2", code(0));
        shaky.attempts = 2;
        shaky.earlier = vec![(1, on("n1", code(1)))];
        let missing = std::io::Error::other("no such file");
        let mut absent = entry(4, "absent", Ending::NotStarted, None);
        absent.record = on("n2", Ending::CouldNotStart(missing));
        let mut summary = summary(vec![bad, lost, asleep, shaky, absent], Some(because));
        summary.job = Some(job());
        let wrote_nothing = "    it wrote nothing\n";
        assert_eq!(
            render(&summary, Level::Guard, false).replace(wrote_nothing, ""),
            "taskgroup: 3 failed, 1 cancelled, 1 succeeded in 1.50s, in job 65 on 2 nodes, waited \
             12.4s for it, contained by guard processes\n\
             FAILED bad: exit code 3, after 0.00s on n2\n\
             FAILED lost: its outcome is unknown, after 0.00s on n1: NODE_FAIL\n\
             FAILED absent: could not be started on n2: no such file\n\
             CANCELLED asleep: after 0.00s on n1, stopped by SIGTERM, because bad failed\n\
             OK shaky: succeeded at attempt 2, after 0.00s on n2\n    \
             attempt 1: exit code 1, after 0.00s on n1\n"
        );
    }

    #[test]
    fn trouble_with_the_job_is_told_although_all_succeeded() {
        let succeeded = Ending::Exited(ExitStatus::from_raw(0));
        let mut summary = summary(vec![entry(0, "one", succeeded, None)], None);
        let one_node = JobUsed {
            nodes: vec!["n1".to_owned()],
            own: false,
            ..job()
        };
        summary.job = Some(one_node);
        assert!(is_success(&summary));
        assert_eq!(
            render(&summary, Level::Guard, false),
            "taskgroup: 1 succeeded in 1.50s, in job 65 on n1\n"
        );
        summary.job.as_mut().unwrap().trouble = Some("n2 does not answer".to_owned());
        assert!(!is_success(&summary));
        assert_eq!(
            render(&summary, Level::Guard, false),
            "taskgroup: 1 succeeded in 1.50s, in job 65 on n1, contained by guard processes\n    \
             trouble with job 65: n2 does not answer\n"
        );
    }

    #[test]
    fn what_holds_the_output_of_a_command_is_told_as_far_as_it_is_known() {
        let failed = || Ending::Exited(ExitStatus::from_raw(3 << 8));
        let note = |ending, level| {
            let mut summary = summary(vec![entry(0, "one", ending, None)], None);
            summary.entries[0].record.output_held = true;
            let report = render(&summary, level, false);
            report.lines().nth(2).unwrap().trim().to_owned()
        };
        assert_eq!(
            note(failed(), Level::Guard),
            "a process that the command did not start still held its output"
        );
        // There it may have started that process.
        assert_eq!(
            note(failed(), Level::Group),
            "a process that is not in its group still held its output"
        );
        let lost = Ending::Lost(std::io::Error::other("killed"));
        assert_eq!(
            note(lost, Level::Guard),
            "its output was still open, so the end of it may be missing"
        );
    }

    #[tokio::test]
    async fn a_failure_of_the_runner_itself_is_told_whole() {
        let mut summary = summary(vec![entry(0, "one", Ending::NotStarted, None)], None);
        let broken = taskgroup::TaskGroup::run(async |_| Err::<(), _>("a bug".into()));
        summary.internal = broken.await.err();
        let report = render(&summary, Level::Guard, false);
        assert!(
            report.contains("taskgroup itself failed, please report this:"),
            "{report}"
        );
        assert!(report.contains("a bug"), "{report}");
        assert_eq!(Exit::of(&summary), Exit::Internal);
    }

    #[test]
    fn every_kind_of_ending_is_told_apart() {
        // The raw form of wait(2): the code in the high byte, the signal in the low one.
        let code = |code: i32| ending(ExitStatus::from_raw(code << 8));
        let signal = |raw: i32| ending(ExitStatus::from_raw(raw));
        assert_eq!(code(3), "exit code 3");
        assert_eq!(code(126), "exit code 126 (not executable)");
        assert_eq!(code(127), "exit code 127 (command not found)");
        assert_eq!(code(137), "exit code 137 (128 + SIGKILL)");
        assert_eq!(code(255), "exit code 255");
        assert_eq!(signal(15), "ended by SIGTERM");
        assert_eq!(signal(11 | 0x80), "ended by SIGSEGV (core dumped)");
        assert_eq!(signal(40), "ended by signal 40");
    }
}
