//! Commands as steps of a job of Slurm.
//!
//! A command on a node has a guard like any other. It is started with `srun`: the *step process*,
//! on the machine of the runner, speaks the protocol of a guard, and passes it on through the
//! standard streams of `srun` to the *node process*, which has a guard of that node. So nothing but
//! this room knows of Slurm.
//!
//! ```text
//! runner -- socket -- step process -- srun ---- node process -- guard -- command
//! runner -- salloc -- holder -------- srun ---- keeper
//! ```
//!
//! Invariants
//! 1. A step ends when nothing of its command is left on the node: its process is the subreaper of
//!    everything in it, and ends last.
//! 2. No signal is passed to `srun`, which would end the step at once. A command is stopped by a
//!    request, or by the end of the input of its node process.
//! 3. What is taken of a node is given back when `srun` has ended, and so when the controller knows
//!    that the step has. The next step finds its place free.
//! 4. A node process that has had no sign of life from its step process stops its command.
//! 5. A job that the run has asked for ends with the run: the holder ends with the runner and the
//!    keeper with the holder.
//!
//! | file | what it answers |
//! |---|---|
//! | `job` | the job: found, or asked for and given back |
//! | `nodes` | where there is room |
//! | `lease` | a place for one command |
//! | `step` | the guard of a step |
//! | `link` | what it and the node process send each other |
//! | `node` | the process of a step |
//! | `hold` | what ends the job if the runner is gone |
//! | `tools` | asks the programs of Slurm |
//! | `words` | what their messages mean |

mod hold;
mod job;
mod lease;
mod link;
mod node;
mod nodes;
mod step;
mod tools;
mod words;

use std::process::ExitCode;

pub(super) use lease::Cluster;
pub(crate) use lease::{For, Lease, Settings, Used};

/// The name of the steps in which commands run.
const STEP: &str = "taskgroup";

/// If this process was started as a part of a job, runs until its end.
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let mark = args.next()?;
    Some(match mark.to_str()? {
        step::MARK => step::run_if_asked(args),
        node::MARK => node::run_if_asked(args),
        hold::MARK => hold::hold_if_asked(args),
        hold::ASK => hold::ask_if_asked(args),
        hold::KEEP => hold::keep_if_asked(args),
        _ => return None,
    })
}
