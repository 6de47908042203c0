//! Containment: whatever a command starts ends with it.
//!
//! Every command has a *guard*: a small process of this program, in its own process group. It is
//! the parent of the command and the *subreaper* of all processes that come from it. A process that
//! loses its parent becomes a child of the guard, whatever it does: `setsid`, a double fork, a
//! daemon. So the command has ended when its guard has no children, which the kernel reports
//! exactly. An idle guard takes the next command.
//!
//! Invariants
//! 1. A command runs in a fresh process group, from before its first instruction.
//! 2. The command has ended when its guard has no children left. Escalation from SIGTERM to SIGKILL
//!    depends on that, not on the end of the leader.
//! 3. Only the guard sends signals: to its own children that it has not reaped, and to the group
//!    whose leader it has not reaped. No other process can have those numbers. No process is looked
//!    up by name or through the parents of others.
//!    At the level `group` there is no subreaper: the end is the end of the process group. It is
//!    signalled even after its leader was reaped, because its members keep its number. The runner
//!    kills the group of a guard that was killed.
//! 4. The runner communicates with its guards through sockets. It reaps its guards, and what a
//!    killed guard left to it, one by one. There is no `waitpid(-1)` besides Tokio's own waiting.
//! 5. A guard whose runner has ended stops its command as the runner would have, and ends. A runner
//!    whose guard has ended is the subreaper of what the guard leaves, and kills it.
//! 6. No `PR_SET_PDEATHSIG`: it fires when the *thread* that started the command ends.
//!
//! `guard` is that process, `pool` starts guards and communicates with them, `contained` is one
//! command as the rest of the program sees it, `wire` is the protocol between the two sides,
//! `terminal` is the pseudo-terminal of a command, `children` lists the children of a process,
//! `jobs` asks about job control, `limits` are those of the machine, `sweep` handles what a killed
//! guard leaves, `level`, `namespace` and `cgroup` are the stronger levels, `group` is the weaker
//! one. `slurm` runs commands on the nodes of a job: its guards speak the same protocol. `linux`
//! and `elsewhere` are the differences between the systems.

#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(target_os = "linux")]
mod children;
mod contained;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
mod group;
mod guard;
mod jobs;
mod level;
mod limits;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod namespace;
mod pool;
mod slurm;
#[cfg(target_os = "linux")]
mod sweep;
mod terminal;
mod wire;

#[cfg(not(target_os = "linux"))]
use elsewhere::{adopt, set_name};
#[cfg(not(target_os = "linux"))]
use elsewhere::{cgroup, children, namespace, sweep};
#[cfg(target_os = "linux")]
use linux::{adopt, set_name};

pub(crate) use contained::{Contained, InputPipe, Leader, Pipes};
pub(crate) use guard::run_if_asked as guard_if_asked;
pub(crate) use jobs::{is_in_front, is_under_job_control};
pub(crate) use level::Level;
pub(crate) use pool::Guards;
pub(crate) use slurm::run_if_asked as be_part_of_a_job_if_asked;
pub(crate) use slurm::{For, Lease, Settings, Used};
pub(crate) use terminal::run_if_asked as become_command_if_asked;
pub(crate) use terminal::{Feed, Keyboard, Keys, Size, Terminal, Typing, restore_keyboard};
pub(crate) use wire::{Process, Start, Stdio, Stopped, StoppedBy};

/// Lowers the priority of this process and of all that it starts, or raises it, as `nice` does.
pub(crate) fn change_priority(by: i32) -> std::io::Result<()> {
    rustix::process::nice(by)?;
    Ok(())
}
