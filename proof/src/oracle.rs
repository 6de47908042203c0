//! The oracles: Python processes that interpret programs, one line in, one line out.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::program::Block;
use crate::rules::{self, Counts};
use crate::trace::{Event, Trace};

/// What went wrong with an oracle, as text.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The pinned requirements of the Trio oracle.
const REQUIREMENTS: &str = include_str!("../python/requirements.txt");

/// The file in an environment that says what was installed there. It is written last.
const STAMP: &str = "requirements.txt";

/// The implementation to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oracle {
    /// Trio, from PyPI.
    Trio,
    /// asyncio, from the installed Python.
    Asyncio,
}

impl fmt::Display for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trio => "Trio",
            Self::Asyncio => "asyncio",
        })
    }
}

/// The result of one run of one program.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The trace.
    pub trace: Trace,
    /// The named differences that were bridged.
    pub rules: Counts,
}

/// Something that runs programs.
pub trait Interpreter {
    /// Runs one. `variation` 0 is the plain schedule; the others break ties differently.
    ///
    /// # Errors
    /// If the interpreter itself fails.
    fn run(&mut self, program: &Block, variation: u64) -> Result<Answer, Error>;
}

#[derive(Serialize)]
struct Request<'a> {
    program: &'a Block,
    variation: u64,
}

#[derive(Deserialize)]
struct Response {
    events: Vec<Event>,
    rules: BTreeMap<String, u64>,
}

/// A running Python interpreter of programs.
#[derive(Debug)]
pub struct Process {
    oracle: Oracle,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts the oracle, installing what it needs on first use.
    ///
    /// # Errors
    /// If there is no Python 3.11 or later, or Trio cannot be installed.
    pub fn start(oracle: Oracle) -> Result<Self, Error> {
        let mut child = command(oracle)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start Python for {oracle}: {error}"))?;
        let input = child.stdin.take();
        let output = child
            .stdout
            .take()
            .ok_or("the oracle has no standard output")?;
        Ok(Self {
            oracle,
            child,
            input,
            output: BufReader::new(output),
        })
    }
}

impl Interpreter for Process {
    fn run(&mut self, program: &Block, variation: u64) -> Result<Answer, Error> {
        let mut line = serde_json::to_vec(&Request { program, variation })?;
        line.push(b'\n');
        let input = self
            .input
            .as_mut()
            .ok_or("the oracle has no standard input")?;
        input.write_all(&line)?;
        input.flush()?;
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            let program = serde_json::to_string(program)?;
            return Err(format!(
                "the oracle on {} died while it ran this program: {program}",
                self.oracle
            )
            .into());
        }
        let response: Response = serde_json::from_str(&line)?;
        let mut rules = Counts::new();
        for (name, count) in response.rules {
            let rule = rules::by_name(&name)
                .ok_or_else(|| format!("the oracle names an unknown rule: {name}"))?;
            rules.insert(rule, count);
        }
        Ok(Answer {
            trace: Trace::new(response.events),
            rules,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of its input ends the process.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// The oracle's own version, for the report.
///
/// # Errors
/// As [`Process::start`].
pub fn version(oracle: Oracle) -> Result<String, Error> {
    let output = command(oracle)?.arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What the oracle needs and this machine does not have yet. Installs nothing.
pub fn missing(oracle: Oracle) -> Option<String> {
    if let Err(error) = check_python() {
        return Some(error.to_string());
    }
    (oracle == Oracle::Trio && !is_complete(&home())).then(|| {
        "Trio is not installed: `cargo run -p taskgroup-proof -- prepare` puts it below target/"
            .to_owned()
    })
}

fn command(oracle: Oracle) -> Result<Command, Error> {
    let (python, script) = match oracle {
        Oracle::Trio => (environment()?, "trio_oracle.py"),
        Oracle::Asyncio => (PathBuf::from("python3"), "asyncio_oracle.py"),
    };
    if oracle == Oracle::Asyncio {
        check_python()?;
    }
    let mut command = Command::new(python);
    command.arg("-B").arg(here().join("python").join(script));
    Ok(command)
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn check_python() -> Result<(), Error> {
    let status = Command::new("python3")
        .args(["-c", "import sys; sys.exit(sys.version_info < (3, 11))"])
        .status()
        .map_err(|error| format!("the differential test needs python3 (3.11 or later): {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err("the differential test needs Python 3.11 or later".into())
    }
}

/// The place of the virtual environment.
fn home() -> PathBuf {
    let root = here().parent().unwrap_or(here());
    root.join("target").join("proof-python")
}

/// Whether the environment was made to its end, of the requirements of today.
fn is_complete(home: &Path) -> bool {
    std::fs::read_to_string(home.join(STAMP)).is_ok_and(|made_of| made_of == REQUIREMENTS)
}

/// The Python of a virtual environment under `target/` with the pinned Trio, created on first use.
fn environment() -> Result<PathBuf, Error> {
    // The tests of one process wait here for the first one. If two processes create it, the last
    // rename counts.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let home = home();
    let python = home.join("bin").join("python");
    if is_complete(&home) {
        return Ok(python);
    }
    check_python()?;
    let fresh = home.with_file_name(format!("proof-python-{}", std::process::id()));
    std::fs::create_dir_all(&fresh)?;
    step(
        "make a virtual environment",
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&fresh),
    )?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "-r",
    ];
    let requirements = here().join("python").join("requirements.txt");
    step(
        "install Trio from PyPI",
        Command::new(fresh.join("bin").join("python"))
            .args(pip)
            .arg(requirements),
    )?;
    std::fs::write(fresh.join(STAMP), REQUIREMENTS)?;
    if !is_complete(&home) {
        // It has an older Trio, or is incomplete, or does not exist.
        let _ = std::fs::remove_dir_all(&home);
        let _ = std::fs::rename(&fresh, &home);
    }
    let _ = std::fs::remove_dir_all(&fresh);
    if is_complete(&home) {
        Ok(python)
    } else {
        Err(format!("cannot put the Python environment at {}", home.display()).into())
    }
}

fn step(what: &str, command: &mut Command) -> Result<(), Error> {
    let output = command
        .output()
        .map_err(|error| format!("cannot {what}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("cannot {what} for the differential test: {}", said.trim()).into())
}
