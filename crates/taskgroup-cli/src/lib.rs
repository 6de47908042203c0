//! The command `taskgroup`: run commands as one group and leave nothing behind.
//!
//! This library is for `main.rs` and the fuzzer only. It has no stable interface.
//!
//! Data flows one way: `args` (the command line) → `plan` (what it means, validated) and `input`
//! (what `map` reads) → `run` (the frame), `engine` (the task groups), `job` (one attempt at one
//! command) → `record` (what happened) → `report`, `tell` and `exit` (the results). `process`
//! contains all code for processes and signals, `output` all code that touches the bytes of the
//! commands. Each module imports only what is below it; ARCHITECTURE.md has the floors, and a test
//! of the library holds the modules to them.

#[cfg(not(unix))]
compile_error!(
    "the command `taskgroup` needs Linux, macOS or a BSD: it contains commands by process groups \
     and signals, which Windows does not have; the library `taskgroup` works on Windows"
);

mod args;
mod clock;
mod duration;
mod engine;
mod exit;
mod flag;
mod input;
mod job;
mod man;
mod needs;
mod output;
mod plan;
mod process;
mod reason;
mod record;
mod report;
mod results;
mod run;
mod signals;
mod tell;
mod typed;
mod verbs;
mod verdict;

use std::process::ExitCode;

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    // Of this process, and of the guard that it may be.
    signals::unblock_all();
    let asked = process::guard_if_asked()
        .or_else(process::become_command_if_asked)
        .or_else(process::be_part_of_a_job_if_asked);
    match asked {
        Some(ended) => ended,
        None => verbs::carry_out(args::Args::of_this_process()).into(),
    }
}

/// Reads a file of tasks as `check` does. Returns its errors, or its tree.
#[doc(hidden)]
#[must_use]
pub fn check(text: &str) -> String {
    plan::file::check(text)
}
