//! The report at the end: every failure, and which command was cancelled because of which.

use std::fmt::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use anstyle::{AnsiColor, Style};
use nix::sys::signal::Signal;

use crate::duration::Human;
use crate::output::task_style;
use crate::process::{Level, Process, Stopped, StoppedBy};
use crate::record::{Cause, Ending, Entry, Record, Summary};

/// The most names of commands that were not started.
const NAMED: usize = 10;

/// The report; empty when every command succeeded and left nothing behind.
pub(crate) fn render(summary: &Summary, contain: Level, coloured: bool) -> String {
    let mut report = Report {
        contain,
        summary,
        coloured,
        text: String::new(),
    };
    let noted = |entry: &Entry| entry.record.is_failure() || entry.record.has_notes();
    if summary.failed
        || !matches!(summary.cause, None | Some(Cause::Won { .. }))
        || summary.signal.is_some()
        || summary.internal.is_some()
        || summary.output_error.is_some()
        || !summary.report_errors.is_empty()
        || summary.entries.iter().any(noted)
    {
        report.headline();
        report.entries();
        report.not_started();
        report.internal();
    }
    report.text
}

/// In a few words, how a task ended.
pub(crate) fn what(entry: &Entry) -> String {
    let record = &entry.record;
    let ran = Human(record.ran);
    let how = record.stopped.as_ref().map_or("", how);
    let because = || {
        let because = entry.because.as_ref().map(ToString::to_string);
        // Only after a failure of the runner itself.
        because.unwrap_or_else(|| "cause unknown".to_owned())
    };
    let attempts = match entry.attempts {
        0 | 1 => String::new(),
        attempts => format!(", attempt {attempts}"),
    };
    match &record.ending {
        Ending::NotStarted => format!("not started, {}", because()),
        Ending::DoneBefore => "done in an earlier run".to_owned(),
        Ending::CouldNotStart(error) => format!("could not be started: {error}"),
        Ending::Lost(error) => format!("its outcome is unknown, after {ran}: {error}"),
        Ending::Exited(status) if status.success() => format!("after {ran}{attempts}"),
        Ending::Exited(status) => format!("{}, after {ran}{attempts}", ending(*status)),
        Ending::TimedOut => format!("after {ran}, {how}{attempts}"),
        Ending::Cancelled(status) => {
            let ended = match status {
                Some(status) if status.signal().is_none() => format!(" ({})", ending(*status)),
                _ => String::new(),
            };
            format!("after {ran}, {how}{ended}, {}", because())
        }
    }
}

/// Reports what kept `taskgroup` itself from working.
pub(crate) fn internal(error: &std::io::Error) {
    // If standard error is closed, there is no place left to report to.
    let _ = std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("taskgroup: cannot run: {error}\n"),
    );
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
        let counts = self.summary.counts;
        let counts = [
            (counts.failed, "failed"),
            (counts.cancelled, "cancelled"),
            (counts.not_started, "not started"),
            (counts.succeeded, "succeeded"),
            (counts.done_before, "done before"),
        ];
        let counts: Vec<String> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let why = match &self.summary.cause {
            Some(Cause::Signal(stop)) => format!("stopped by {stop}: "),
            Some(Cause::Output(error)) => format!("the output could not be written ({error}): "),
            Some(Cause::Deadline { .. }) => "the deadline expired: ".to_owned(),
            Some(
                Cause::Failed { .. }
                | Cause::TimedOut { .. }
                | Cause::Before { .. }
                | Cause::Won { .. },
            )
            | None => String::new(),
        };
        let elapsed = Human(self.summary.elapsed);
        let bold = self.paint(Style::new().bold(), "taskgroup:");
        let counts = counts.join(", ");
        let contained = self.contain.described();
        let _ = writeln!(self.text, "{bold} {why}{counts} in {elapsed}, {contained}");
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
    }

    fn entries(&mut self) {
        let of = |what: fn(&Record) -> bool| {
            let entries = self.summary.entries.iter();
            entries.filter(move |entry| what(&entry.record))
        };
        let failed = of(Record::is_failure);
        let cancelled = of(|r| matches!(r.ending, Ending::Cancelled(_)));
        let noted = of(|r| r.ending.is_success() && r.has_notes());
        for entry in failed.chain(cancelled).chain(noted) {
            self.entry(entry);
        }
    }

    fn entry(&mut self, entry: &Entry) {
        let record = &entry.record;
        let (style, word) = match &record.ending {
            Ending::NotStarted | Ending::DoneBefore => return,
            Ending::Exited(status) if status.success() => (GOOD, "OK"),
            _ if entry.ignored => (STOPPED, "FAILED (ignored)"),
            Ending::CouldNotStart(_) | Ending::Lost(_) | Ending::Exited(_) => (BAD, "FAILED"),
            Ending::TimedOut => (BAD, "TIMED OUT"),
            Ending::Cancelled(_) => (STOPPED, "CANCELLED"),
        };
        let word = self.paint(style, word);
        let name = self.name(entry);
        let _ = writeln!(self.text, "{word} {name}: {}", what(entry));
        if !record.left_in_background.is_empty() {
            let how = record.stopped.as_ref().map_or("", how);
            let who = list(&record.left_in_background);
            self.note(&format!("left in the background: {who}; {how}"));
        }
        // A survivor holds the output, too, and is reported below.
        if record.output_held && record.survivors().is_empty() {
            self.note("a process that the command did not start still held its output");
        }
        if !record.survivors().is_empty() {
            let who = list(record.survivors());
            self.note(&format!("STILL RUNNING despite SIGKILL: {who}"));
        }
        if record.is_failure() {
            self.stderr(record);
        }
    }

    fn stderr(&mut self, record: &Record) {
        if matches!(record.ending, Ending::CouldNotStart(_)) {
            return;
        }
        let lines: Vec<String> = record.stderr.lines().collect();
        if lines.is_empty() {
            self.note("nothing on its standard error");
            return;
        }
        match record.stderr.dropped() {
            0 => self.note("its standard error:"),
            dropped => {
                self.note(&format!(
                    "the end of its standard error ({dropped} earlier lines left out):"
                ));
            }
        }
        let bar = self.paint(FAINT, "|");
        for line in lines {
            let _ = writeln!(self.text, "    {bar} {line}");
        }
    }

    /// Entries with the same cause, together.
    fn not_started(&mut self) {
        let mut by_cause: Vec<(String, Vec<&Entry>)> = Vec::new();
        for entry in &self.summary.entries {
            if !matches!(entry.record.ending, Ending::NotStarted) {
                continue;
            }
            let because = entry.because.as_ref();
            let because = because.map_or("cause unknown".to_owned(), ToString::to_string);
            match by_cause.iter_mut().find(|(cause, _)| *cause == because) {
                Some((_, entries)) => entries.push(entry),
                None => by_cause.push((because, vec![entry])),
            }
        }
        for (because, entries) in by_cause {
            let more = match entries.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let names = entries.iter().take(NAMED).map(|entry| self.name(entry));
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
        self.paint(task_style(entry.id), &entry.name)
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
        (Some(code), _) => match Signal::try_from(code - 128) {
            // A shell exits with this code if a signal ended its command.
            Ok(signal) => format!("exit code {code} (128 + {signal})"),
            Err(_) => format!("exit code {code}"),
        },
        (None, Some(number)) => {
            let core = if status.core_dumped() {
                " (core dumped)"
            } else {
                ""
            };
            match Signal::try_from(number) {
                Ok(signal) => format!("ended by {signal}{core}"),
                Err(_) => format!("ended by signal {number}{core}"),
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
    match processes.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::exit::Exit;
    use crate::record::Counts;
    use crate::signals::Stop;

    fn entry(id: usize, name: &str, ending: Ending, because: Option<Cause>) -> Entry {
        Entry {
            id,
            cleans_up: None,
            name: name.to_owned(),
            command: "true".to_owned(),
            record: Record::without_process(ending),
            attempts: 1,
            known: Duration::ZERO,
            began: None,
            ended: Duration::ZERO,
            because,
            ignored: false,
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
            internal: None,
            elapsed: Duration::from_millis(1500),
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
        one.record.stderr.push(b"why");
        let two = entry(1, "two", Ending::NotStarted, Some(cause.clone()));
        let mut summary = summary(vec![one, two], Some(cause));
        summary.signal = Some(Stop::Interrupt);
        assert_eq!(
            render(&summary, Level::Guard, false),
            "taskgroup: 1 failed, 1 not started in 1.50s, contained by guard processes\n    \
             SIGINT arrived while the run was ending\n\
             FAILED one: exit code 3, after 0.25s\n    \
             its standard error:\n    \
             | why\n\
             NOT STARTED two: because one failed\n"
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
