//! The report at the end: every failure, and who was cancelled because of whom.

use std::fmt::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use anstyle::{AnsiColor, Style};
use nix::sys::signal::Signal;

use crate::duration::Human;
use crate::output::task_style;
use crate::plan::Plan;
use crate::process::{Process, Stopped, StoppedBy};
use crate::record::{Cause, Ending, Record, Summary};

/// Names of commands that were not started, at most.
const NAMED: usize = 10;

/// The report; empty when every command succeeded and left nothing behind.
pub(crate) fn render(plan: &Plan, summary: &Summary, coloured: bool) -> String {
    let mut report = Report {
        plan,
        summary,
        coloured,
        text: String::new(),
    };
    if summary.cause.is_some()
        || summary.internal.is_some()
        || summary.output_error.is_some()
        || summary
            .records
            .iter()
            .any(|record| record.is_failure() || has_notes(record))
    {
        report.headline();
        report.records();
        report.not_started();
        report.internal();
    }
    report.text
}

/// For what kept `taskgroup` itself from working.
pub(crate) fn internal(error: &std::io::Error) {
    // With standard error gone there is nobody to tell.
    let _ = std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("taskgroup: cannot run: {error}\n"),
    );
}

struct Report<'a> {
    plan: &'a Plan,
    summary: &'a Summary,
    coloured: bool,
    text: String,
}

const BAD: Style = AnsiColor::Red.on_default().bold();
const STOPPED: Style = AnsiColor::Yellow.on_default();
const GOOD: Style = AnsiColor::Green.on_default();
const FAINT: Style = Style::new().dimmed();

impl Report<'_> {
    fn headline(&mut self) {
        let count = |what: fn(&Record) -> bool| {
            self.summary
                .records
                .iter()
                .filter(|record| what(record))
                .count()
        };
        let counts = [
            (count(Record::is_failure), "failed"),
            (
                count(|r| matches!(r.ending, Ending::Cancelled(_))),
                "cancelled",
            ),
            (
                count(|r| matches!(r.ending, Ending::NotStarted)),
                "not started",
            ),
            (count(succeeded), "succeeded"),
        ];
        let counts: Vec<String> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let why = match &self.summary.cause {
            Some(Cause::Signal(stop)) => format!("stopped by {stop}: "),
            Some(Cause::Output(error)) => format!("the output could not be written ({error}): "),
            Some(Cause::Task(_)) | None => String::new(),
        };
        let elapsed = Human(self.summary.elapsed);
        let bold = self.paint(Style::new().bold(), "taskgroup:");
        let counts = counts.join(", ");
        let contained = self.plan.contain.described();
        let _ = writeln!(self.text, "{bold} {why}{counts} in {elapsed}, {contained}");
        if let (Some(stop), Some(Cause::Task(_) | Cause::Output(_)) | None) =
            (self.summary.signal, &self.summary.cause)
        {
            self.note(&format!("{stop} came while the run was ending"));
        }
        if let (Some(error), Some(Cause::Task(_) | Cause::Signal(_)) | None) =
            (&self.summary.output_error, &self.summary.cause)
        {
            self.note(&format!("some output could not be written: {error}"));
        }
    }

    fn records(&mut self) {
        let of = |what: fn(&Record) -> bool| {
            self.summary
                .records
                .iter()
                .enumerate()
                .filter(move |(_, record)| what(record))
        };
        let failed = of(Record::is_failure);
        let cancelled = of(|r| matches!(r.ending, Ending::Cancelled(_)));
        let noted = of(|r| succeeded(r) && has_notes(r));
        for (index, record) in failed.chain(cancelled).chain(noted) {
            self.record(index, record);
        }
    }

    fn record(&mut self, index: usize, record: &Record) {
        let ran = Human(record.ran);
        let (style, word, what) = match &record.ending {
            Ending::NotStarted => return,
            Ending::CouldNotStart(error) => (
                BAD,
                "FAILED",
                format!("the shell could not be started: {error}"),
            ),
            Ending::Lost(error) => (
                BAD,
                "FAILED",
                format!("nobody knows how it ended, after {ran}: {error}"),
            ),
            Ending::Exited(status) if status.success() => (GOOD, "OK", format!("after {ran}")),
            Ending::Exited(status) => (BAD, "FAILED", format!("{}, after {ran}", ending(*status))),
            Ending::TimedOut => {
                let how = record
                    .stopped
                    .as_ref()
                    .map_or("", |stopped| self.how(stopped));
                (BAD, "TIMED OUT", format!("after {ran}, {how}"))
            }
            Ending::Cancelled(status) => {
                let how = record
                    .stopped
                    .as_ref()
                    .map_or("", |stopped| self.how(stopped));
                let ended = match status {
                    Some(status) if status.signal().is_none() => {
                        format!(" ({})", ending(*status))
                    }
                    _ => String::new(),
                };
                (
                    STOPPED,
                    "CANCELLED",
                    format!("after {ran}, {how}{ended}, {}", self.because()),
                )
            }
        };
        let word = self.paint(style, word);
        let name = self.name(index);
        let _ = writeln!(self.text, "{word} {name}: {what}");
        if !record.left_in_background.is_empty() {
            let how = record
                .stopped
                .as_ref()
                .map_or("", |stopped| self.how(stopped));
            let who = list(&record.left_in_background);
            self.note(&format!("left in the background: {who}; {how}"));
        }
        // A survivor holds it too, and is told below.
        if record.output_held && record.survivors().is_empty() {
            self.note("a process that it did not start still held its output");
        }
        if !record.survivors().is_empty() {
            let who = list(record.survivors());
            self.note(&format!("STILL THERE, in spite of SIGKILL: {who}"));
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
                    "the end of its standard error ({dropped} lines before):"
                ));
            }
        }
        let bar = self.paint(FAINT, "|");
        for line in lines {
            let _ = writeln!(self.text, "    {bar} {line}");
        }
    }

    fn not_started(&mut self) {
        let waiting: Vec<String> = self
            .summary
            .records
            .iter()
            .enumerate()
            .filter(|(_, record)| matches!(record.ending, Ending::NotStarted))
            .map(|(index, _)| self.name(index))
            .collect();
        if waiting.is_empty() {
            return;
        }
        let more = match waiting.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let word = self.paint(STOPPED, "NOT STARTED");
        let names = waiting[..waiting.len().min(NAMED)].join(", ");
        let _ = writeln!(self.text, "{word} {names}{more}: {}", self.because());
    }

    fn internal(&mut self) {
        if let Some(error) = &self.summary.internal {
            let word = self.paint(BAD, "taskgroup itself failed, please report this:");
            let _ = writeln!(self.text, "{word}\n{error:#}");
        }
    }

    fn because(&self) -> String {
        match &self.summary.cause {
            Some(Cause::Task(index)) => {
                let what = match self.summary.records[*index].ending {
                    Ending::TimedOut => "timed out",
                    _ => "failed",
                };
                format!("because {} {what}", self.name(*index))
            }
            Some(Cause::Signal(stop)) => format!("because of {stop}"),
            Some(Cause::Output(_)) => "because the output could not be written".to_owned(),
            // After a failure of the runner itself.
            None => "without a cause".to_owned(),
        }
    }

    fn how(&self, stopped: &Stopped) -> &'static str {
        match stopped.by {
            _ if !stopped.survivors.is_empty() => "could not be stopped",
            StoppedBy::Term => "stopped by SIGTERM",
            StoppedBy::KillAfterGrace => "stopped by SIGKILL after its grace",
            StoppedBy::KillAtOnce => "stopped by SIGKILL at once",
        }
    }

    fn name(&self, index: usize) -> String {
        self.paint(task_style(index), &self.plan.tasks[index].name)
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

fn succeeded(record: &Record) -> bool {
    matches!(&record.ending, Ending::Exited(status) if status.success())
}

/// Something happened that a success would not show.
fn has_notes(record: &Record) -> bool {
    !record.left_in_background.is_empty() || record.output_held || !record.survivors().is_empty()
}

/// `exit code 3`, `exit code 127 (command not found)`, `ended by SIGSEGV (core dumped)`.
fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(126), _) => "exit code 126 (not executable)".to_owned(),
        (Some(127), _) => "exit code 127 (command not found)".to_owned(),
        (Some(code), _) => match Signal::try_from(code - 128) {
            // What a shell makes of a command of its own that a signal ended.
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
    use crate::args::Colour;
    use crate::exit::Exit;
    use crate::plan::{OnFailure, TaskSpec};
    use crate::process::Level;
    use crate::signals::Stop;

    /// Two commands, one of which fails for the given reason.
    fn summary(ending: Ending, cause: Option<Cause>) -> (Plan, Summary) {
        let task = |name: &str| TaskSpec {
            name: name.to_owned(),
            command: "true".into(),
        };
        let plan = Plan {
            tasks: vec![task("one"), task("two")],
            jobs: None,
            timeout: None,
            grace: Duration::ZERO,
            on_failure: OnFailure::Cancel,
            contain: Level::Guard,
            colour: Colour::Never,
        };
        let records = vec![
            Record::without_process(ending),
            Record::without_process(Ending::NotStarted),
        ];
        let summary = Summary {
            records,
            cause,
            signal: None,
            output_error: None,
            internal: None,
            elapsed: Duration::from_millis(1500),
        };
        (plan, summary)
    }

    #[test]
    fn a_whole_report() {
        let (plan, mut summary) = summary(
            Ending::Exited(ExitStatus::from_raw(3 << 8)),
            Some(Cause::Task(0)),
        );
        summary.records[0].ran = Duration::from_millis(250);
        summary.records[0].stderr.push(b"why");
        summary.signal = Some(Stop::Interrupt);
        assert_eq!(
            render(&plan, &summary, false),
            "taskgroup: 1 failed, 1 not started in 1.50s, contained by guard processes\n    \
             SIGINT came while the run was ending\n\
             FAILED one: exit code 3, after 0.25s\n    \
             its standard error:\n    \
             | why\n\
             NOT STARTED two: because one failed\n"
        );
    }

    #[tokio::test]
    async fn a_failure_of_the_runner_itself_is_told_whole() {
        let (plan, mut summary) = summary(Ending::NotStarted, None);
        let broken = taskgroup::TaskGroup::run(async |_| Err::<(), _>("a bug".into()));
        summary.internal = broken.await.err();
        let report = render(&plan, &summary, false);
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
