//! Containment: a shell command in a process group of its own, stopped as a group.
//!
//! Invariants
//! 1. A command runs in a fresh process group whose id is the pid of its leader, from before the
//!    command's first instruction. Nothing is ever found by walking parent pids or by name.
//! 2. The group has ended when it is *empty*, not when its leader has exited. Escalation from
//!    SIGTERM to SIGKILL goes by that.
//! 3. No signal is sent to a group id once the group was seen empty: the number may by then belong
//!    to somebody else. Before, it cannot: the kernel gives no pid away that still names a group.
//!    (Between two looks it could, if all pid numbers came round within 64 ms.)
//! 4. The leader is reaped by Tokio's `Child::wait` alone; there is no `waitpid(-1)` here.
//! 5. No `PR_SET_PDEATHSIG`: it fires when the *thread* that started the command ends.
//!
//! Not contained at this level: processes that leave the group (`setsid`, `set -m`), and everything
//! when the runner itself gets SIGKILL.

mod census;
mod contained;

pub(crate) use census::Process;
pub(crate) use contained::{Contained, Pipes, Stopped, StoppedBy};
