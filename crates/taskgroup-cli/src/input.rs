//! The input of `map`: lines of standard input, or arguments.
//!
//! A thread reads a few lines ahead and then waits until they are taken. So an endless input does
//! not fill the memory, and the writer at the other end is slowed down. It is a thread because a
//! read of standard input cannot be cancelled. If the run ends first, the thread is left behind.
//!
//! `template` makes the script from the command that was typed.

mod template;

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::mpsc;

pub(crate) use self::template::Script;
use crate::plan::{Command, TaskSpec, Total, names::Namer};

/// How many lines are read ahead.
const AHEAD: usize = 16;

/// Longer lines cannot be arguments: the kernel accepts none above 128 KiB.
const LONGEST: u64 = 128 << 10;

/// The tasks that were read, in order.
pub(crate) type Input = mpsc::Receiver<TaskSpec>;

pub(crate) struct Source {
    /// The task without its argument and name.
    pub(crate) template: TaskSpec,
    pub(crate) script: Script,
    pub(crate) from: From,
    /// How many tasks there are, once that is known.
    pub(crate) total: Total,
}

pub(crate) enum From {
    Arguments(Vec<OsString>),
    /// Standard input, split at this byte.
    Stdin(u8),
}

/// Reports, after the run, whether the input was read to its end.
pub(crate) struct Reading(Arc<Mutex<Option<io::Error>>>);

impl Reading {
    pub(crate) fn start(source: Source) -> io::Result<(Input, Reading)> {
        let (sender, input) = mpsc::channel(AHEAD);
        let failure = Arc::new(Mutex::new(None));
        let reported = Arc::clone(&failure);
        thread::Builder::new()
            .name("input".to_owned())
            .spawn(move || {
                let fed = source.each(&mut |task| sender.blocking_send(task).is_ok());
                if let Err(error) = fed {
                    *reported.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            })?;
        Ok((input, Reading(failure)))
    }

    pub(crate) fn error(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Source {
    /// Reads the input, and hands out each task until that returns false.
    pub(crate) fn each(self, out: &mut dyn FnMut(TaskSpec) -> bool) -> io::Result<()> {
        let mut number = 0;
        let mut namer = Namer::default();
        let mut names = match &self.from {
            From::Arguments(arguments) => Namer::list(arguments).into_iter(),
            From::Stdin(_) => Vec::new().into_iter(),
        };
        let mut send = |argument: &OsStr| {
            number += 1;
            if argument.as_bytes().contains(&0) {
                let text =
                    format!("line {number} contains a NUL byte, which no argument can contain");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            let next = || namer.next(argument, number);
            let task = self.task(argument, names.next().unwrap_or_else(next));
            Ok(out(task))
        };
        match &self.from {
            From::Arguments(arguments) => {
                for argument in arguments {
                    if !send(argument)? {
                        break;
                    }
                }
            }
            From::Stdin(end) => {
                each_line(io::stdin().lock(), *end, &mut send)?;
                let _ = self.total.set(number);
            }
        }
        Ok(())
    }

    fn task(&self, argument: &OsStr, name: String) -> TaskSpec {
        let mut task = self.template.clone();
        task.name = name;
        task.work.command = Command::Shell(self.script.0.clone(), Some(argument.to_owned()));
        task
    }
}

fn each_line(
    mut input: impl BufRead,
    end: u8,
    each: &mut impl FnMut(&OsStr) -> io::Result<bool>,
) -> io::Result<()> {
    loop {
        let mut line = Vec::new();
        let mut limited = io::Read::take(&mut input, LONGEST);
        if limited.read_until(end, &mut line)? == 0 {
            return Ok(());
        }
        if line.len() as u64 == LONGEST && line.last() != Some(&end) {
            let text = format!("a line is longer than {LONGEST} bytes, the limit for an argument");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        if line.last() == Some(&end) {
            line.pop();
        }
        if !line.is_empty() && !each(&OsString::from_vec(line))? {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_the_separator_and_empty_ones_are_none() {
        let lines = |text: &[u8], end| {
            let mut lines = Vec::new();
            each_line(text, end, &mut |line| {
                lines.push(line.as_bytes().to_vec());
                Ok(lines.len() < 3)
            })
            .map(|()| lines)
        };
        assert_eq!(
            lines(b"a\n\nb \xff\nc", b'\n').unwrap(),
            [&b"a"[..], b"b \xff", b"c"]
        );
        assert_eq!(lines(b"a\nb\0c", 0).unwrap(), [&b"a\nb"[..], b"c"]);
        assert_eq!(lines(b"1\n2\n3\n4\n", b'\n').unwrap().len(), 3);
        assert!(lines(&vec![b'x'; 200_000], b'\n').is_err());
    }
}
