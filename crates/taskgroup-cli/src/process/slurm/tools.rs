//! Asks the programs of Slurm.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::time::timeout;

use super::words;
use crate::process::pool::Children;

/// The programs of Slurm try for some seconds by themselves.
const LIMIT: Duration = Duration::from_secs(30);

/// What a program of Slurm has written.
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) messages: String,
    pub(super) succeeded: bool,
}

impl Answer {
    /// Its text, or what went wrong.
    pub(super) fn text(self) -> io::Result<String> {
        if self.succeeded {
            return Ok(self.text);
        }
        let why = words::why(&self.messages).map(|why| why.text);
        let why = why.or_else(|| words::last_line(&self.messages));
        Err(io::Error::other(why.unwrap_or_else(|| {
            "it failed without a message".to_owned()
        })))
    }
}

/// Runs the program and returns what it writes. Cancel safe: then it is killed.
pub(super) async fn ask(
    children: &Children,
    program: &str,
    arguments: &[&str],
) -> io::Result<Answer> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .process_group(0);
    let mut tool = Tool::start(children, command)?;
    let answer = async {
        let (mut text, mut messages) = (Vec::new(), Vec::new());
        let both = tokio::join!(
            tool.out.read_to_end(&mut text),
            tool.errors.read_to_end(&mut messages)
        );
        both.0.and(both.1).map(|_| (text, messages))
    };
    let Ok(answer) = timeout(LIMIT, answer).await else {
        let text = format!("`{program}` has not answered in {} s", LIMIT.as_secs());
        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
    };
    let (text, messages) = answer?;
    let status = tool.child.wait()?;
    let words = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Answer {
        text: words(text),
        messages: words(messages),
        succeeded: status.success(),
    })
}

/// The beginnings of the variables by which users set what these programs show or touch. They
/// would change an answer, and could keep a job from being cancelled.
const PREFERENCES: [&str; 3] = ["SCANCEL_", "SCONTROL_", "SQUEUE_"];

/// The program without them.
pub(super) fn without_preferences(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if PREFERENCES
            .iter()
            .any(|start| name.as_encoded_bytes().starts_with(start.as_bytes()))
        {
            command.env_remove(name);
        }
    }
    command
}

/// A program of Slurm that runs. When this is dropped, it is killed, unless it was left.
pub(super) struct Tool {
    pub(super) child: Child,
    pub(super) out: Receiver,
    pub(super) errors: Receiver,
    children: Children,
    /// It goes on when this is dropped.
    is_left: bool,
}

impl Tool {
    pub(super) fn start(children: &Children, mut command: Command) -> io::Result<Tool> {
        without_preferences(&mut command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let program = command.get_program().to_owned();
        let started = children.spawn(&mut command);
        let mut child = started.map_err(|error| not_there(&program, error))?;
        let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
        let out = OwnedFd::from(child.stdout.take().ok_or_else(missing)?);
        let errors = OwnedFd::from(child.stderr.take().ok_or_else(missing)?);
        Ok(Tool {
            child,
            out: Receiver::from_owned_fd(out)?,
            errors: Receiver::from_owned_fd(errors)?,
            children: children.clone(),
            is_left: false,
        })
    }

    /// Lets it go on by itself.
    pub(super) fn leave(&mut self) {
        self.is_left = true;
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        if self.is_left {
            return;
        }
        // Nothing happens if it has ended and was waited for.
        let _ = self.child.kill();
        self.children.reap(&mut self.child);
    }
}

/// The system's error does not say what is missing.
pub(super) fn not_there(program: &OsStr, error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::NotFound {
        return error;
    }
    let text = format!(
        "there is no `{}` in PATH, so commands cannot run on Slurm from this machine; \
         --on local runs them here",
        program.to_string_lossy()
    );
    io::Error::new(io::ErrorKind::NotFound, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tool_that_is_left_goes_on() {
        let start = |children: &Children| {
            let mut command = Command::new("sh");
            let script = "read line; echo \"$line\"";
            command.args(["-c", script]).stdin(Stdio::piped());
            Tool::start(children, command).unwrap()
        };
        let children = Children::default();
        for (is_left, wanted) in [(true, "on\n"), (false, "")] {
            let mut tool = start(&children);
            let mut input = tool.child.stdin.take().unwrap();
            let (_, another) = tokio::net::unix::pipe::pipe().unwrap();
            let mut out = std::mem::replace(&mut tool.out, another);
            if is_left {
                tool.leave();
            }
            drop(tool);
            let _ = std::io::Write::write_all(&mut input, b"on\n");
            let mut text = String::new();
            out.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, wanted);
        }
    }
}
