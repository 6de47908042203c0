//! A `taskgroup` that uses a cluster, what it printed, and what it left.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Once};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cluster::{Cluster, Process, processes_left};

/// Makes a command clean up within any time that it takes.
pub(crate) const PATIENT: &str = "--grace=1h";

/// A run that goes on.
pub(crate) struct Running {
    child: Child,
    out: JoinHandle<Vec<u8>>,
    err: JoinHandle<Vec<u8>>,
}

/// A run that has ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
}

impl Cluster {
    /// A file in the folder in which the runs start.
    pub(crate) fn work(&self, name: &str) -> PathBuf {
        self.path("work").join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.work(name), text).unwrap();
    }

    /// The file of tasks that runs find.
    pub(crate) fn file(&self, text: impl AsRef<[u8]>) {
        self.write("taskgroup.toml", text);
    }

    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.work(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.work(name).exists()
    }

    /// Waits until commands have made these files.
    #[track_caller]
    pub(crate) fn await_files(&mut self, names: &[&str]) {
        self.wait_until(&format!("{names:?} are there"), |cluster| {
            names.iter().all(|name| cluster.has(name))
        });
    }

    /// Runs the words after `taskgroup`, with `--on slurm`, until the end.
    #[track_caller]
    pub(crate) fn run(&mut self, words: &[&str]) -> Ended {
        let running = self.begin(words);
        self.end_of(running)
    }

    /// Starts the words after `taskgroup`, with `--on slurm`.
    pub(crate) fn begin(&self, words: &[&str]) -> Running {
        Running::of(&mut self.on_slurm(words))
    }

    pub(crate) fn on_slurm(&self, words: &[&str]) -> Command {
        let mut command = self.command();
        let (verb, words) = words.split_first().unwrap();
        command.args([verb, "--on=slurm"]).args(words);
        command
    }

    #[track_caller]
    pub(crate) fn end_of(&mut self, mut running: Running) -> Ended {
        let child = &mut running.child;
        self.wait_until("the run ends", |_| child.try_wait().unwrap().is_some());
        let (out, err) = (&running.out, &running.err);
        self.wait_until("nothing has its output", |_| {
            out.is_finished() && err.is_finished()
        });
        Ended {
            status: running.child.wait().unwrap(),
            out: running.out.join().unwrap(),
            err: running.err.join().unwrap(),
        }
    }

    /// What runs have left: processes, steps and jobs, other than these jobs.
    pub(crate) fn left(&self, except: &[&str]) -> Vec<String> {
        let mut processes = processes_left(self.marker());
        processes.retain(|process| !process.is_daemon());
        let processes = processes.iter().map(|process| format!("{process:?}"));
        let is_known = |job: &String| except.iter().any(|id| job.starts_with(&format!("{id} ")));
        let jobs = self.jobs().into_iter().filter(|job| !is_known(job));
        let steps = self.steps().into_iter().map(|step| format!("step {step}"));
        processes.chain(jobs).chain(steps).collect()
    }

    /// A run that was not killed has waited for everything.
    #[track_caller]
    pub(crate) fn left_nothing(&self) {
        let left = self.left(&[]);
        assert!(left.is_empty(), "{left:#?}");
    }

    /// After the runner was killed, others end what it has started.
    #[track_caller]
    pub(crate) fn await_nothing_left(&mut self) {
        self.wait_until("nothing is left", |cluster| cluster.left(&[]).is_empty());
    }

    /// A job in which nothing runs. It does not end with a process.
    #[track_caller]
    pub(crate) fn job(&self, options: &[&str]) {
        let words = [&["salloc", "--no-shell", "--quiet"], options].concat();
        self.ask(&words).unwrap();
    }
}

impl Running {
    pub(crate) fn of(command: &mut Command) -> Running {
        static ONCE: Once = Once::new();
        ONCE.call_once(receive_signals);
        let mut child = command.spawn().unwrap();
        let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (out, err) = (
            thread::spawn(move || all_of(&mut out)),
            thread::spawn(move || all_of(&mut err)),
        );
        Running { child, out, err }
    }

    /// The writing end of its standard input.
    pub(crate) fn input(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether a process is the runner.
    pub(crate) fn is(&self, process: &Process) -> bool {
        u32::try_from(process.pid).unwrap() == self.child.id()
    }
}

impl Ended {
    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.err).into_owned()
    }

    #[track_caller]
    pub(crate) fn code(&self, code: i32) -> &Ended {
        let what = format!("{:?}\n{}{}", self.status, self.out(), self.err());
        assert_eq!(self.status.code(), Some(code), "{what}");
        self
    }

    #[track_caller]
    pub(crate) fn was_killed(&self) {
        assert_eq!(self.status.signal(), Some(Signal::KILL.as_raw()));
    }

    /// The report has this.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Ended {
        assert!(self.err().contains(text), "not {text:?}:\n{}", self.err());
        self
    }
}

/// The events of a file of `--json` with this name.
#[track_caller]
pub(crate) fn events(text: &str, name: &str) -> Vec<Value> {
    let events = text.lines().map(|line| serde_json::from_str(line).unwrap());
    events
        .filter(|event: &Value| event["event"] == name)
        .collect()
}

fn all_of(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Lets runs receive the signals that end them, although these tests may run under `nohup` or in
/// the background of a script. A program inherits that a signal is ignored, not that it is caught.
fn receive_signals() {
    for signal in [Signal::HUP, Signal::INT, Signal::QUIT] {
        let number = signal.as_raw();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
        if ignored & 1 << (number - 1) != 0 {
            signal_hook::flag::register(number, Arc::default()).unwrap();
        }
    }
}

/// A command in whose standard input the test writes.
pub(crate) fn with_input(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::piped())
}
