//! The command `taskgroup`: run commands as one group and leave nothing behind.
//!
//! Data flows one way: `args` (what was typed) → `plan` (what is meant, validated) → `run` (around
//! it all), `group` (the task group), `job` (one command of it) → `record` (what happened) →
//! `report` and `exit` (what is told). `process` holds everything that knows processes and
//! signals, `output` everything that touches the bytes of the commands.

#[cfg(not(target_os = "linux"))]
compile_error!("the command `taskgroup` is built on Linux's subreapers");

mod args;
mod duration;
mod exit;
mod flag;
mod group;
mod job;
mod names;
mod output;
mod plan;
mod process;
mod record;
mod report;
mod run;
mod signals;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Args, Verb};
use crate::exit::Exit;

fn main() -> ExitCode {
    if let Some(ended) = process::guard_if_asked() {
        return ended;
    }
    let Args {
        verb: Verb::Run(raw),
    } = Args::parse();
    let plan = match plan::Plan::try_from(raw) {
        Ok(plan) => plan,
        Err(error) => usage_error(&error),
    };
    let exit = match run::run(plan) {
        Ok(summary) => Exit::of(&summary),
        Err(error) => {
            report::internal(&error);
            Exit::Internal
        }
    };
    exit.into()
}

/// Shows what was wrong in clap's own shape, usage line included, and ends with [`Exit::Usage`].
fn usage_error(error: &plan::PlanError) -> ! {
    let mut command = Args::command();
    command.build();
    let run = command
        .find_subcommand_mut("run")
        .expect("the subcommand exists");
    run.error(clap::error::ErrorKind::ValueValidation, error)
        .exit()
}
