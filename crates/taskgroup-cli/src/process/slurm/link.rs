//! What goes through the standard streams of `srun`: frames between the guard of a step, which is
//! on the machine of the runner, and the process of the step, which is on a node.
//!
//! Both ends are the same program, so there are no versions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::process::wire::{Event, Request};

/// Comes before the first frame of a node. Slurm may have written something before it: the prolog
/// of a task writes to its standard output.
pub(super) const BEGIN: &[u8] = b"\0taskgroup-node\n";

/// How often the guard of a step shows that it lives.
pub(super) const BEAT: Duration = Duration::from_secs(5);

/// A node that has had nothing from the guard of its step for this long takes it for dead.
pub(super) const SILENCE: Duration = Duration::from_secs(30);

/// How much input may be on its way to a command that does not read. Whatever a command does with
/// its input, a request to stop it arrives.
pub(super) const WINDOW: usize = 64 << 10;

/// How much of a stream goes into one frame.
pub(super) const CHUNK: usize = 16 << 10;

/// To the process of a step.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ToNode {
    Request(Request),
    /// For the standard input of the command.
    Input(Vec<u8>),
    EndOfInput,
    /// The sender lives.
    Alive,
}

/// From the process of a step.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum FromNode {
    Event(Event),
    /// Of the standard output or, if it is `error`, the standard error of the command.
    Output {
        error: bool,
        bytes: Vec<u8>,
    },
    /// The command takes no more input.
    InputClosed,
    /// The command has taken this many bytes of its input.
    Took(u64),
}
