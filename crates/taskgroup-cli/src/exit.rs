//! All exit codes.
//!
//! 1 and 2 mean what they mean in nearly every tool. 124 is the code of `timeout`, and 125 its code
//! for "the runner itself failed". 128 + n is what a shell reports for an end by signal n.

use std::process::ExitCode;

use crate::record::{Cause, Summary};
use crate::signals::Stop;

/// How the command ends. If several apply, the first of these counts: internal, a signal, output,
/// left behind, timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Success,
    Failed,
    Usage,
    LeftBehind,
    Output,
    TimedOut,
    Internal,
    Hangup,
    Interrupted,
    Quit,
    BrokenPipe,
    Terminated,
    /// So many commands failed.
    Counted(u8),
}

/// More failures are not told apart.
const MOST_COUNTED: usize = 101;

impl Exit {
    pub(crate) const ALL: [Exit; 12] = [
        Exit::Success,
        Exit::Failed,
        Exit::Usage,
        Exit::LeftBehind,
        Exit::Output,
        Exit::TimedOut,
        Exit::Internal,
        Exit::Hangup,
        Exit::Interrupted,
        Exit::Quit,
        Exit::BrokenPipe,
        Exit::Terminated,
    ];

    pub(crate) const fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::LeftBehind => 3,
            Exit::Output => 74,
            Exit::TimedOut => 124,
            Exit::Internal => 125,
            Exit::Hangup => 129,
            Exit::Interrupted => 130,
            Exit::Quit => 131,
            Exit::BrokenPipe => 141,
            Exit::Terminated => 143,
            Exit::Counted(failures) => failures,
        }
    }

    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Exit::Success => "every command succeeded",
            Exit::Failed => "a command failed or could not be started; in a race, all of them",
            Exit::Usage => {
                "the command line, the file of tasks or the input was wrong; nothing was started"
            }
            Exit::LeftBehind => "a process could not be stopped, not even by SIGKILL",
            Exit::Output => "the output or a file could not be written",
            Exit::TimedOut => "every failure was an expired timeout or deadline",
            Exit::Internal => "taskgroup itself failed",
            Exit::Hangup => "stopped by SIGHUP",
            Exit::Interrupted => "stopped by SIGINT (Ctrl-C)",
            Exit::Quit => "stopped by SIGQUIT",
            Exit::BrokenPipe => "the reader of the output closed it",
            Exit::Terminated => "stopped by SIGTERM",
            Exit::Counted(_) => "the number of failed commands, at most 101",
        }
    }

    /// The number of failures in place of [`Failed`](Exit::Failed) and
    /// [`TimedOut`](Exit::TimedOut).
    pub(crate) fn counted(self, summary: &Summary) -> Exit {
        match (self, summary.failures().count()) {
            (Exit::Failed | Exit::TimedOut, failures) if failures > 0 => {
                let failures = u8::try_from(failures.min(MOST_COUNTED));
                Exit::Counted(failures.unwrap_or(u8::MAX))
            }
            _ => self,
        }
    }

    pub(crate) fn of(summary: &Summary) -> Exit {
        if summary.internal.is_some() {
            return Exit::Internal;
        }
        if let Some(stop) = summary.signal {
            return stop.into();
        }
        if let Some(error) = &summary.output_error {
            return match error.kind() {
                std::io::ErrorKind::BrokenPipe => Exit::BrokenPipe,
                _ => Exit::Output,
            };
        }
        let mut entries = summary.entries.iter();
        if entries.any(|entry| entry.record.has_lost_output()) {
            return Exit::Output;
        }
        let mut entries = summary.entries.iter();
        if entries.any(|entry| !entry.record.survivors().is_empty()) {
            return Exit::LeftBehind;
        }
        if !summary.failed {
            return match summary.report_errors.is_empty() {
                true => Exit::Success,
                false => Exit::Output,
            };
        }
        if summary.input_error.is_some() && summary.counts.ended() == 0 {
            return Exit::Usage;
        }
        let mut failures = summary.failures().peekable();
        let too_late = matches!(summary.cause, Some(Cause::Deadline { .. }));
        let any = failures.peek().is_some() || too_late;
        if any && summary.input_error.is_none() && failures.all(|entry| entry.record.timed_out()) {
            Exit::TimedOut
        } else {
            Exit::Failed
        }
    }
}

impl From<Stop> for Exit {
    fn from(stop: Stop) -> Exit {
        match stop {
            Stop::Hangup => Exit::Hangup,
            Stop::Interrupt => Exit::Interrupted,
            Stop::Quit => Exit::Quit,
            Stop::Terminate => Exit::Terminated,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::output::Trouble;
    use crate::process::{Process, Stopped, StoppedBy};
    use crate::record::{Counts, Ending, Entry, Record};

    fn exited(code: i32) -> Record {
        Record::without_process(Ending::Exited(ExitStatus::from_raw(code << 8)))
    }

    fn survived() -> Record {
        let survivors = vec![Process {
            pid: 1,
            name: "rock".to_owned(),
        }];
        let stopped = Some(Stopped {
            by: StoppedBy::KillAtOnce,
            survivors,
        });
        Record {
            stopped,
            ..Record::without_process(Ending::Cancelled(None))
        }
    }

    fn entry(record: Record) -> Entry {
        Entry {
            id: 0,
            cleans_up: None,
            name: String::new(),
            group: String::new(),
            argument: None,
            command: String::new(),
            record,
            attempts: 1,
            earlier: Vec::new(),
            known: Duration::ZERO,
            began: None,
            date: None,
            ended: Duration::ZERO,
            because: None,
            ignored: false,
            outrun: None,
        }
    }

    fn summary(records: Vec<Record>) -> Summary {
        Summary {
            failed: records.iter().any(Record::is_failure),
            entries: records.into_iter().map(entry).collect(),
            counts: Counts::default(),
            cause: None,
            signal: None,
            output_error: None,
            report_errors: Vec::new(),
            input_error: None,
            open_end: false,
            internal: None,
            elapsed: Duration::ZERO,
            date: SystemTime::UNIX_EPOCH,
            slowest: Vec::new(),
            job: None,
        }
    }

    #[test]
    fn the_worst_decides() {
        let timed_out = || Record::without_process(Ending::TimedOut);
        let mut all = summary(vec![exited(0)]);
        assert_eq!(Exit::of(&all), Exit::Success);
        all.report_errors.push("no space".to_owned());
        assert_eq!(Exit::of(&all), Exit::Output);
        all = summary(vec![exited(0), timed_out(), timed_out()]);
        assert_eq!(Exit::of(&all), Exit::TimedOut);
        all.entries.push(entry(exited(124)));
        assert_eq!(Exit::of(&all), Exit::Failed);
        all.entries.push(entry(survived()));
        assert_eq!(Exit::of(&all), Exit::LeftBehind);
        let mut lost = exited(0);
        lost.trouble = Some(Trouble::Lost(io::ErrorKind::StorageFull.into()));
        all.entries.push(entry(lost));
        assert_eq!(Exit::of(&all), Exit::Output);
        all.output_error = Some(Arc::new(io::ErrorKind::StorageFull.into()));
        assert_eq!(Exit::of(&all), Exit::Output);
        all.output_error = Some(Arc::new(io::ErrorKind::BrokenPipe.into()));
        assert_eq!(Exit::of(&all), Exit::BrokenPipe);
        all.signal = Some(Stop::Terminate);
        assert_eq!(Exit::of(&all), Exit::Terminated);
    }

    #[test]
    fn failures_can_be_counted() {
        let failing = |count: usize| summary((0..count).map(|_| exited(1)).collect());
        for (count, code) in [(0, 0), (1, 1), (7, 7), (101, 101), (300, 101)] {
            let all = failing(count);
            assert_eq!(Exit::of(&all).counted(&all).code(), code);
        }
        let mut stopped = failing(2);
        stopped.signal = Some(Stop::Terminate);
        assert_eq!(Exit::of(&stopped).counted(&stopped), Exit::Terminated);
    }

    #[test]
    fn what_does_not_count_is_no_failure() {
        let mut all = summary(vec![exited(1)]);
        all.failed = false;
        assert_eq!(Exit::of(&all), Exit::Success);
        let mut late = summary(vec![]);
        late.cause = Some(Cause::Deadline {
            group: String::new(),
        });
        late.failed = true;
        assert_eq!(Exit::of(&late), Exit::TimedOut);
    }

    #[test]
    fn an_input_of_which_nothing_was_taken_is_a_usage_error() {
        let mut all = summary(vec![]);
        all.failed = true;
        all.input_error = Some(io::ErrorKind::InvalidData.into());
        assert_eq!(Exit::of(&all), Exit::Usage);
        all.counts.succeeded = 1;
        assert_eq!(Exit::of(&all), Exit::Failed);
    }

    #[test]
    fn the_readme_holds_the_whole_table() {
        let readme = include_str!("../README.md");
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit.code(), exit.meaning());
            assert!(readme.contains(&row), "no {row:?}");
        }
    }

    #[test]
    fn the_table_is_what_is_documented() {
        let table: Vec<(Exit, u8)> = Exit::ALL.iter().map(|&exit| (exit, exit.code())).collect();
        assert_eq!(
            table,
            [
                (Exit::Success, 0),
                (Exit::Failed, 1),
                (Exit::Usage, 2),
                (Exit::LeftBehind, 3),
                (Exit::Output, 74),
                (Exit::TimedOut, 124),
                (Exit::Internal, 125),
                (Exit::Hangup, 128 + 1),
                (Exit::Interrupted, 128 + 2),
                (Exit::Quit, 128 + 3),
                (Exit::BrokenPipe, 128 + 13),
                (Exit::Terminated, 128 + 15),
            ]
        );
    }
}
