//! The machine, the compiler and the versions of a run. Figures mean nothing without these.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// The allocator that this program was built with.
pub(crate) const ALLOCATOR: &str = if cfg!(feature = "mimalloc") {
    "mimalloc"
} else {
    "system"
};

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: Option<u64>,
    pub(crate) system: String,
    pub(crate) compiler: String,
    /// The Git revision. Ends in `+` if files were changed.
    pub(crate) revision: String,
    pub(crate) allocator: String,
    pub(crate) workers: usize,
    pub(crate) repetitions: usize,
    pub(crate) quick: bool,
    /// The processes that wanted a core, averaged over a minute, when the run began and when it
    /// ended. The latter includes the run's own.
    pub(crate) load_before: Option<f64>,
    pub(crate) load_after: Option<f64>,
    /// The name and version of each contender.
    pub(crate) versions: Vec<(String, String)>,
}

/// Above this load, other programs were keeping the machine busy.
const IDLE: f64 = 0.7;

impl Machine {
    pub(crate) fn read(workers: usize, repetitions: usize, quick: bool) -> Self {
        Self {
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            processor: field("/proc/cpuinfo", "model name")
                .unwrap_or_else(|| std::env::consts::ARCH.into()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: memory(),
            system: system(),
            compiler: said_by("rustc", &["--version"]),
            revision: revision(),
            allocator: ALLOCATOR.into(),
            workers,
            repetitions,
            quick,
            load_before: load(),
            load_after: None,
            versions: versions(),
        }
    }

    /// Whether other programs ran when the run began, so that the figures are only an example.
    pub(crate) fn was_loaded(&self) -> bool {
        self.load_before.is_none_or(|load| load > IDLE)
    }

    /// Whether the guide may show the figures.
    pub(crate) fn counts(&self) -> bool {
        !self.was_loaded() && self.repetitions >= 7
    }
}

/// The processes that want a core, averaged over a minute.
pub(crate) fn load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok()
}

/// The root of the workspace.
pub(crate) fn workspace() -> PathBuf {
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    room.parent().unwrap_or(room).into()
}

/// The output of a command, in one line; empty if it is unavailable.
pub(crate) fn said_by(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command)
        .args(arguments)
        .current_dir(workspace())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            text.lines().next().unwrap_or_default().trim().into()
        }
        _ => String::new(),
    }
}

/// The kernel and its version, without the suffix of its builder.
fn system() -> String {
    let full = said_by("uname", &["-sr"]);
    full.split('-').next().unwrap_or_default().into()
}

fn revision() -> String {
    let mut revision = said_by("git", &["rev-parse", "--short", "HEAD"]);
    if !said_by("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty() {
        revision.push('+');
    }
    revision
}

fn memory() -> Option<u64> {
    let total = field("/proc/meminfo", "MemTotal")?;
    let kibibytes: u64 = total.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes.div_ceil(1024 * 1024))
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().into())
}

/// The versions in this program's own lock file, as it was built.
fn versions() -> Vec<(String, String)> {
    const NAMES: &[&str] = &[
        "tokio",
        "tokio-util",
        "futures-util",
        "futures-buffered",
        "futures-concurrency",
        "moro",
        "async-scoped",
        "hyper",
        "hyper-util",
        "mimalloc",
    ];
    let lock = include_str!("../../Cargo.lock");
    let mut versions = Vec::new();
    let mut name = "";
    for line in lock.lines() {
        if let Some(value) = line.strip_prefix("name = ") {
            name = value.trim_matches('"');
        }
        if let (Some(value), true) = (line.strip_prefix("version = "), NAMES.contains(&name)) {
            versions.push((name.to_owned(), value.trim_matches('"').to_owned()));
        }
    }
    versions
}
