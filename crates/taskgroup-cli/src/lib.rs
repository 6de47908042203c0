//! The command `taskgroup`: run commands as one group and leave nothing behind.
//!
//! This library is the program's own, for `main.rs` and the fuzzer; it promises nothing to others.
//!
//! Data flows one way: `args` (what was typed) → `plan` (what is meant, validated) and `input` (what
//! `map` reads) → `run` (around it all), `engine` (the task groups), `job` (one attempt at one
//! command) → `record` (what happened) → `report`, `tell` and `exit` (what is told). `process` holds
//! everything that knows processes and signals, `output` everything that touches the bytes of the
//! commands.

#[cfg(not(target_os = "linux"))]
compile_error!("the command `taskgroup` is built on Linux's subreapers");

mod args;
mod duration;
mod engine;
mod exit;
mod flag;
mod input;
mod job;
mod man;
mod output;
mod plan;
mod process;
mod record;
mod report;
mod run;
mod signals;
mod tell;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    match process::guard_if_asked() {
        Some(ended) => ended,
        None => verbs::carry_out(args::Args::parse()).into(),
    }
}

/// Reads a file of tasks as `check` does; its faults, or its tree.
#[doc(hidden)]
#[must_use]
pub fn check(text: &str) -> String {
    plan::file::check(text)
}
