//! A program of `programs`, running.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Killed when it is dropped before its end.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    input: Option<ChildStdin>,
    errors: Option<JoinHandle<String>>,
}

/// What a program has left: the rest of its output, its standard error and its status.
pub(crate) struct End {
    pub(crate) lines: Vec<String>,
    pub(crate) errors: String,
    pub(crate) status: ExitStatus,
}

impl Program {
    pub(crate) fn start(name: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(crate::PROGRAM, name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        // Read at once: a program whose pipe is full waits.
        let mut errors = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).unwrap();
            text
        });
        Self {
            input: child.stdin.take(),
            errors: Some(errors),
            child,
            lines,
        }
    }

    /// The next line of its output, or `None` at the end.
    fn line(&self) -> Option<String> {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        // No test comes near this limit: it turns a hang into a failure.
        match self.lines.recv_timeout(Duration::from_secs(100)) {
            Ok(line) => Some(line),
            Err(Disconnected) => None,
            Err(Timeout) => panic!("the program hangs"),
        }
    }

    /// Its next line is this one.
    #[track_caller]
    pub(crate) fn says(&self, line: &str) {
        assert_eq!(self.line().as_deref(), Some(line));
    }

    /// Sends the signal of this name to it, and to no other.
    pub(crate) fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.args([format!("-{name}"), self.child.id().to_string()]);
        assert!(kill.status().unwrap().success());
    }

    /// Ends its input.
    pub(crate) fn end_input(&mut self) {
        drop(self.input.take());
    }

    pub(crate) fn end(mut self) -> End {
        let lines = std::iter::from_fn(|| self.line()).collect();
        let status = self.child.wait().unwrap();
        End {
            lines,
            errors: self.errors.take().unwrap().join().unwrap(),
            status,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It does nothing to one that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
