//! A sandbox with FIFOs, a running `taskgroup`, and the list of processes in a process group.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Once, mpsc};
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;
use tempfile::TempDir;

/// Nothing here takes this long unless it hangs.
const HANG: Duration = Duration::from_secs(60);

/// Runs long enough that a command must be stopped some other way.
pub(crate) const NEVER: &str = "--grace=1h";

/// Runs `work` and panics when it hangs.
pub(crate) fn guarded<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || {
        let _ = done.send(work());
    });
    result
        .recv_timeout(HANG)
        .unwrap_or_else(|_| panic!("hangs: {what}"))
}

/// Waits until `holds` returns true, and panics when that never happens.
pub(crate) fn wait_for(never: &str, mut holds: impl FnMut() -> bool + Send + 'static) {
    guarded(never, move || {
        while !holds() {
            thread::yield_now();
        }
    });
}

/// The letter of a process's state.
pub(crate) fn state(pid: i32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat[stat.rfind(')').unwrap() + 2..].chars().next().unwrap()
}

pub(crate) fn kill(pid: i32, signal: Signal) -> rustix::io::Result<()> {
    kill_process(Pid::from_raw(pid).unwrap(), signal)
}

/// As the report writes it.
pub(crate) fn name(signal: Signal) -> &'static str {
    signal_hook::low_level::signal_name(signal.as_raw()).unwrap()
}

/// Both sides of a terminal with 24 lines of 80 columns: ours, and the one of a program.
pub(crate) fn terminal() -> (File, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&ours, size).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = open(&*name, flags, Mode::empty()).unwrap();
    (File::from(ours), File::from(theirs))
}

/// Lets programs receive the signals that end a run, although these tests may run under `nohup` or
/// in the background of a script. A program inherits that a signal is ignored. It does not inherit
/// that one is caught.
fn receive_signals() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
    for signal in [Signal::HUP, Signal::INT, Signal::QUIT].map(Signal::as_raw) {
        if ignored & 1 << (signal - 1) != 0 {
            signal_hook::flag::register(signal, Arc::default()).unwrap();
        }
    }
}

/// Says that a test, or a part of it, is skipped because this machine lacks something. It goes past
/// the capture of the test harness, which shows nothing of tests that pass.
pub(crate) fn skipped(why: &str) {
    let line = format!("skipped: {}\n", why.trim());
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A folder that the commands see as `$DIR`.
pub(crate) struct Sandbox(TempDir);

impl Sandbox {
    pub(crate) fn new() -> Sandbox {
        static ONCE: Once = Once::new();
        ONCE.call_once(receive_signals);
        Sandbox(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a FIFO: a process that opens it waits for the other side.
    pub(crate) fn fifo(&self, name: &str) {
        mkfifoat(CWD, self.path(name), Mode::RWXU).unwrap();
    }

    /// Waits for a command to write to the FIFO, and returns the text.
    pub(crate) fn hear(&self, name: &str) -> String {
        let path = self.path(name);
        let text = guarded("a FIFO without a writer", move || {
            fs::read_to_string(path).unwrap()
        });
        text.trim().to_owned()
    }

    /// Writes to a FIFO that a command waits for.
    pub(crate) fn tell(&self, name: &str) {
        let path = self.path(name);
        guarded("a FIFO without a reader", move || {
            fs::write(path, "go\n").unwrap();
        });
    }

    /// The number that a command has written to a file or FIFO: `echo $$ > "$DIR/name"`.
    pub(crate) fn pid(&self, name: &str) -> i32 {
        self.hear(name).parse().unwrap()
    }

    /// A `taskgroup` that can be configured further.
    pub(crate) fn command(&self) -> Command {
        self.through(Command::new(env!("CARGO_BIN_EXE_taskgroup")))
    }

    /// A `taskgroup run …` that a shell script starts as `"$@"`.
    pub(crate) fn by_shell(&self, text: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", text, "sh", env!("CARGO_BIN_EXE_taskgroup")]);
        self.through(shell)
    }

    pub(crate) fn through(&self, mut command: Command) -> Command {
        command
            .env("DIR", self.0.path())
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR")
            .env_remove("CLICOLOR_FORCE")
            .env_remove("GITHUB_ACTIONS")
            .env_remove("GITHUB_STEP_SUMMARY")
            .env_remove("GITLAB_CI")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// `taskgroup run args…` from start to end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Ended {
        self.start(args).ended()
    }

    /// `taskgroup verb args…` from start to end.
    pub(crate) fn verb<S: AsRef<OsStr>>(&self, verb: &str, args: &[S]) -> Ended {
        Running::of(self.command().arg(verb).args(args)).ended()
    }

    /// Writes a file of the sandbox, and returns its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.word(name)
    }

    /// A path as a word of a command line.
    pub(crate) fn word(&self, name: &str) -> String {
        self.path(name).into_os_string().into_string().unwrap()
    }

    /// `taskgroup map args…`, which reads the input, from start to end.
    pub(crate) fn map(&self, args: &[&str], input: &[u8]) -> Ended {
        let mut command = self.command();
        let mut running = Running::of(command.arg("map").args(args).stdin(Stdio::piped()));
        let mut stdin = running.child().stdin.take().unwrap();
        // A reader that stops reading is no error.
        let _ = stdin.write_all(input);
        drop(stdin);
        running.ended()
    }

    /// The lines of a file of events.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        let text = self.read(name);
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The events of that kind.
    pub(crate) fn events_of(&self, name: &str, kind: &str) -> Vec<Value> {
        let mut events = self.events(name);
        events.retain(|line| line["event"] == kind);
        events
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// `taskgroup run args…`, started.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, args: &[S]) -> Running {
        Running::of(self.command().arg("run").args(args))
    }
}

pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn of(command: &mut Command) -> Running {
        Running(command.spawn().unwrap())
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.0.id().try_into().unwrap(), signal).unwrap();
    }

    pub(crate) fn ended(self) -> Ended {
        let pid = self.0.id();
        let output = guarded("the command", move || self.0.wait_with_output().unwrap());
        let ended = Ended::from(output);
        assert!(
            !ended.err.contains("panicked"),
            "{pid} panicked: {}",
            ended.err
        );
        ended
    }
}

/// How it ended and what it printed.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        Ended {
            code: output.status.code(),
            signal: output.status.signal(),
            out: output.stdout,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn code(&self, code: i32) -> &Ended {
        assert_eq!((self.code, self.signal), (Some(code), None), "{}", self.err);
        self
    }

    #[track_caller]
    pub(crate) fn says(&self, part: &str) -> &Ended {
        assert!(self.err.contains(part), "no {part:?} in:\n{}", self.err);
        self
    }

    #[track_caller]
    pub(crate) fn says_not(&self, part: &str) -> &Ended {
        assert!(!self.err.contains(part), "{part:?} in:\n{}", self.err);
        self
    }

    pub(crate) fn out(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }
}

/// The processes in the process group, without zombies. Does not wait: the promise is that they
/// have all ended when `taskgroup` has.
pub(crate) fn living(pgid: i32) -> Vec<String> {
    let stats = fs::read_dir("/proc").unwrap().flatten();
    let stats = stats.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats
        .filter(|stat| {
            let mut fields = stat[stat.rfind(')').unwrap() + 1..].split_whitespace();
            let state = fields.next().unwrap();
            let group: i32 = fields.nth(1).unwrap().parse().unwrap();
            group == pgid && state != "Z" && state != "X"
        })
        .collect()
}

#[track_caller]
pub(crate) fn assert_gone(pgid: i32) {
    assert_eq!(living(pgid), [""; 0]);
}

/// Makes a script, with the permissions of `mode`.
pub(crate) fn script(path: &PathBuf, mode: u32) {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .unwrap();
    file.write_all(b"#!/bin/sh\n").unwrap();
    file.set_permissions(fs::Permissions::from_mode(mode))
        .unwrap();
}
