//! Where a command runs, and what it takes of a cluster.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::time::Duration;

use clap::ValueEnum;

/// Where commands run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum On {
    /// On this machine
    #[default]
    Local,
    /// On the nodes of a Slurm job
    Slurm,
}

/// What one command takes of a job while it runs, on each of its nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Needs {
    pub(crate) cpus: NonZeroU32,
    /// In bytes. Without it, the command shares the memory of the node.
    pub(crate) memory: Option<u64>,
    pub(crate) gpus: u32,
    /// The command itself runs on the first one.
    pub(crate) nodes: NonZeroU32,
    /// Features that each node must have, as Slurm writes them.
    pub(crate) constraint: Option<String>,
    /// More options for `srun`.
    pub(crate) extra: Vec<OsString>,
}

impl Default for Needs {
    fn default() -> Needs {
        Needs {
            cpus: NonZeroU32::MIN,
            memory: None,
            gpus: 0,
            nodes: NonZeroU32::MIN,
            constraint: None,
            extra: Vec::new(),
        }
    }
}

/// The job that a run asks for when it is not inside one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobRequest {
    pub(crate) nodes: NonZeroU32,
    /// On each node. Without it, the job has whole nodes.
    pub(crate) cpus: Option<NonZeroU32>,
    /// In bytes, on each node.
    pub(crate) memory: Option<u64>,
    /// On each node.
    pub(crate) gpus: Option<NonZeroU32>,
    pub(crate) partition: Option<String>,
    pub(crate) account: Option<String>,
    /// Slurm ends the job after this time.
    pub(crate) time: Option<Duration>,
    pub(crate) constraint: Option<String>,
    /// More options for `salloc`.
    pub(crate) extra: Vec<OsString>,
}

impl Default for JobRequest {
    fn default() -> JobRequest {
        JobRequest {
            nodes: NonZeroU32::MIN,
            cpus: None,
            memory: None,
            gpus: None,
            partition: None,
            account: None,
            time: None,
            constraint: None,
            extra: Vec::new(),
        }
    }
}
