//! The command on a real Slurm, which each test starts for itself on loopback.
//!
//! The tests need Debian's packages `munge`, `slurm-client`, `slurmctld` and `slurmd`, so they run
//! by `.ci/run slurm` only. A time limit only guards against a hang.

mod cluster;
mod ends;
mod files;
mod ground;
mod reports;
mod room;
mod runs;
mod steps;
mod stopping;
mod waiting;
