//! The input of `map`: lines of standard input, or arguments.
//!
//! A thread reads a few lines ahead and then waits until they are taken. So an endless input does
//! not fill the memory, and the writer at the other end is slowed down. It is a thread because a
//! read of standard input cannot be cancelled. If the run ends first, the thread is left behind.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, BufRead};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::mpsc;

use crate::plan::{Command, TaskSpec, names};

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
                if let Err(error) = source.feed(&sender) {
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
    fn feed(self, sender: &mpsc::Sender<TaskSpec>) -> io::Result<()> {
        let mut number = 0;
        // False when the receiver was dropped.
        let mut send = |argument: &OsStr| {
            number += 1;
            if argument.as_bytes().contains(&0) {
                let text =
                    format!("line {number} contains a NUL byte, which no argument can contain");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            let task = self.task(argument, number);
            Ok(sender.blocking_send(task).is_ok())
        };
        match &self.from {
            From::Arguments(arguments) => {
                for argument in arguments {
                    if !send(argument)? {
                        break;
                    }
                }
                Ok(())
            }
            From::Stdin(end) => each_line(io::stdin().lock(), *end, &mut send),
        }
    }

    fn task(&self, argument: &OsStr, number: u64) -> TaskSpec {
        let mut task = self.template.clone();
        task.name = names::of_argument(argument, number);
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

/// A shell script that has its argument in `$1`, where the template had `{}`.
///
/// The argument is never part of the script, so the shell never runs any of it as code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script(OsString);

/// An error in a template, and its byte, counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TemplateError {
    /// The template ends inside a quotation that was opened here.
    Unclosed { quote: char, position: usize },
    /// A placeholder of another program.
    Foreign {
        placeholder: &'static str,
        position: usize,
    },
}

/// Placeholders of GNU parallel and similar programs. As plain text they would make a command that
/// runs but does something else.
const FOREIGN: [&str; 9] = [
    "{.}", "{/}", "{//}", "{/.}", "{#}", "{%}", "{0}", "{1}", "{2}",
];

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::Unclosed { quote, position } => write!(
                f,
                "the command has an opening {quote} at character {position} and no closing one"
            ),
            TemplateError::Foreign {
                placeholder,
                position,
            } => write!(
                f,
                "the command has {placeholder} at character {position}, but the only placeholder \
                 is {{}}; let the shell do the rest: x={{}}; mv \"$x\" \"${{x%.*}}.bak\" (in single \
                 quotes {placeholder} is left alone)"
            ),
        }
    }
}

impl Error for TemplateError {}

impl Script {
    /// Replaces `{}`, inside and outside of quotations, by what the shell takes as exactly one
    /// word, or as a part of one. A template without `{}` gets the argument at its end.
    pub(crate) fn from_template(template: &OsStr) -> Result<Script, TemplateError> {
        let bytes = template.as_bytes();
        let mut script = Vec::new();
        let mut open: Option<(u8, usize)> = None;
        let mut replaced = false;
        let mut index = 0;
        while index < bytes.len() {
            let (byte, next) = (bytes[index], bytes.get(index + 1));
            if let (b'{', Some(b'}')) = (byte, next) {
                script.extend_from_slice(match open {
                    None => br#""$1""#,
                    Some((b'"', _)) => b"${1}",
                    Some(_) => br#"'"$1"'"#,
                });
                replaced = true;
                index += 2;
                continue;
            }
            let is_literal = matches!(open, Some((b'\'', _))) || script.last() == Some(&b'$');
            if let (b'{', false) = (byte, is_literal) {
                let rest = &bytes[index..];
                let mut foreign = FOREIGN.into_iter();
                if let Some(placeholder) = foreign.find(|word| rest.starts_with(word.as_bytes())) {
                    return Err(TemplateError::Foreign {
                        placeholder,
                        position: index + 1,
                    });
                }
            }
            match (byte, open) {
                (b'\\', None | Some((b'"', _))) => {
                    script.push(byte);
                    script.extend(next);
                    index += 2;
                    continue;
                }
                (b'\'' | b'"', None) => open = Some((byte, index)),
                (_, Some((quote, _))) if byte == quote => open = None,
                _ => {}
            }
            script.push(byte);
            index += 1;
        }
        if let Some((quote, position)) = open {
            return Err(TemplateError::Unclosed {
                quote: char::from(quote),
                position: position + 1,
            });
        }
        if !replaced {
            script.extend_from_slice(br#" "$1""#);
        }
        Ok(Script(OsString::from_vec(script)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command as Shell;

    fn script(template: &str) -> Result<String, TemplateError> {
        let script = Script::from_template(OsStr::new(template))?;
        Ok(script.0.into_string().unwrap())
    }

    #[test]
    fn nothing_in_an_argument_is_code() {
        let nasty = "a  b'\"`$(touch x)`\\;*\n{}|&";
        for (template, expected) in [
            ("printf %s {}", nasty.to_owned()),
            ("printf %s", nasty.to_owned()),
            ("printf %s \"<{}>\"", format!("<{nasty}>")),
            ("printf %s '<{}>'", format!("<{nasty}>")),
            ("printf %s x{}y", format!("x{nasty}y")),
            ("printf %s%s {} {}", format!("{nasty}{nasty}")),
            ("printf %s \\'{}", format!("'{nasty}")),
        ] {
            let script = script(template).unwrap();
            let output = Shell::new("sh").args(["-c", &script, "sh", nasty]).output();
            let output = String::from_utf8(output.unwrap().stdout).unwrap();
            assert_eq!(output, expected, "{template} as {script}");
        }
    }

    #[test]
    fn an_open_quotation_is_told_with_its_place() {
        let unclosed = |quote, position| Err(TemplateError::Unclosed { quote, position });
        assert_eq!(script("echo 'a"), unclosed('\'', 6));
        assert_eq!(script("echo \"a\\\""), unclosed('"', 6));
        assert!(script("echo 'a\\'").is_ok());
    }

    #[test]
    fn placeholders_of_others_are_refused_where_they_could_be_meant() {
        for placeholder in FOREIGN {
            for (template, position) in [
                (format!("gzip {placeholder}"), 6),
                (format!("echo \"{placeholder}\" {{}}"), 7),
            ] {
                let expected = TemplateError::Foreign {
                    placeholder,
                    position,
                };
                assert_eq!(script(&template), Err(expected));
            }
        }
        for plain in [
            "awk '{1}' {}",
            "echo ${#} ${1}",
            "echo {1..3}",
            "echo {a,b}",
        ] {
            assert!(script(plain).is_ok(), "{plain}");
        }
    }

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
