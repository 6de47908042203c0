//! The command `taskgroup`: run commands as one group and leave nothing behind.
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

fn main() -> ExitCode {
    match process::guard_if_asked() {
        Some(ended) => ended,
        None => verbs::carry_out(args::Args::parse()).into(),
    }
}
