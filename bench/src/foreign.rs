//! The same work in other languages, in separate processes that time themselves.
//!
//! The first run that is not quick builds the Go program and installs Python's packages below
//! `target/bench`. The report lists as left out what is unavailable.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::{said_by, workspace};
use crate::report::LeftOut;
use crate::row::Row;

/// A program in another language.
pub(crate) struct Foreign {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    program: PathBuf,
    arguments: Vec<String>,
}

/// The names of all contenders.
pub(crate) const NAMES: &[&str] = &["go", "asyncio", "uvloop", "trio", "anyio"];

const PYTHON: &[&str] = &["asyncio", "uvloop", "trio", "anyio"];

/// The contenders that are available on this machine.
pub(crate) fn available(
    quick: bool,
    contends: impl Fn(&str) -> bool,
    left_out: &mut Vec<LeftOut>,
) -> Vec<Foreign> {
    let mut found = Vec::new();
    if contends("go") {
        match go(quick) {
            Ok(foreign) => found.push(foreign),
            Err(why) => left_out.push(LeftOut::new("go", None, why)),
        }
    }
    let wanted: Vec<_> = PYTHON.iter().filter(|name| contends(name)).collect();
    if !wanted.is_empty() {
        let python = python(quick);
        for name in wanted {
            match python
                .as_deref()
                .map_err(Clone::clone)
                .and_then(|python| library(python, name))
            {
                Ok(foreign) => found.push(foreign),
                Err(why) => left_out.push(LeftOut::new(name, None, why)),
            }
        }
    }
    found
}

fn place() -> PathBuf {
    workspace().join("target").join("bench")
}

fn go(quick: bool) -> Result<Foreign, String> {
    let program = place().join("groups-go");
    let version = said_by("go", &["version"]);
    if version.is_empty() {
        return Err("there is no Go on this machine (Debian's package golang-go)".into());
    }
    let source = workspace().join("bench/go/main.go");
    if !quick || !program.exists() {
        run(Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(source))?;
    }
    Ok(Foreign {
        name: "go",
        version: version.replace("go version ", ""),
        program,
        arguments: Vec::new(),
    })
}

/// The interpreter that has the packages.
fn python(quick: bool) -> Result<PathBuf, String> {
    let environment = place().join("python");
    let python = environment.join("bin/python");
    let done = environment.join("complete");
    if !done.exists() {
        if quick {
            return Err(
                "Python's packages are not installed, and a quick run installs none".into(),
            );
        }
        eprintln!(
            "installing Python's packages below {}",
            environment.display()
        );
        run(Command::new("python3")
            .args(["-m", "venv"])
            .arg(&environment))?;
        let list = workspace().join("bench/python/requirements.txt");
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "-r"])
            .arg(list))?;
        std::fs::write(&done, "").map_err(|error| error.to_string())?;
    }
    Ok(python)
}

fn library(python: &Path, name: &'static str) -> Result<Foreign, String> {
    let script = workspace().join("bench/python/groups.py");
    let arguments = vec![script.display().to_string(), name.into()];
    let version = run(Command::new(python).args(&arguments))?;
    Ok(Foreign {
        name,
        version: version.trim().into(),
        program: python.into(),
        arguments,
    })
}

impl Foreign {
    pub(crate) fn can(&self, row: Row, n: usize) -> bool {
        match row {
            Row::SpawnJoin | Row::YieldsOnce | Row::FailFast => n >= 1_000,
            Row::Nested | Row::TimeoutReady | Row::TimeoutWoken => true,
            _ => false,
        }
    }

    /// The nanoseconds per part of one repetition.
    pub(crate) fn measure(&self, row: Row, n: usize) -> Result<f64, String> {
        let times = row.times(n);
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command.args([row.name(), &n.to_string(), &times.to_string()]);
        let text = run(&mut command)?;
        let spent: f64 = text
            .trim()
            .parse()
            .map_err(|_| format!("it printed '{text}'"))?;
        Ok(spent / (row.parts(n) * times) as f64)
    }
}

/// The output of a command.
fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.trim().lines().last().unwrap_or_default();
    Err(format!("{name} ended with {}: {last}", output.status))
}
