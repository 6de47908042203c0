//! Containment: whatever a command starts ends with it.
//!
//! Every command has a *guard*: a small process of ours, in a process group of its own, that is the
//! parent of the command and the *subreaper* of all that comes from it. A process that loses its
//! parent becomes a child of the guard, whatever it does: `setsid`, a double fork, a daemon. So the
//! command has ended when its guard has no children, which the kernel says exactly. A guard that
//! has become idle takes the next command.
//!
//! Invariants
//! 1. A command runs in a fresh process group, from before its first instruction.
//! 2. The command has ended when its guard has no children left. Escalation from SIGTERM to SIGKILL
//!    goes by that, not by the end of the leader.
//! 3. Signals are sent by the guard alone, to its own children that it has not reaped and to the
//!    group whose leader it has not reaped: those numbers cannot belong to anybody else. Nobody is
//!    found by name or by walking the parents of others.
//! 4. The runner hears from its guards through sockets. It reaps its guards, and what a killed
//!    guard left to it, one by one; there is no `waitpid(-1)` beside Tokio.
//! 5. A guard whose runner has gone stops its command as the runner would have, and ends. A runner
//!    whose guard has gone is the subreaper of what that leaves, and kills it.
//! 6. No `PR_SET_PDEATHSIG`: it fires when the *thread* that started the command ends.
//!
//! `guard` is that process, `pool` starts guards and talks to them, `contained` is one command as
//! the rest of the program sees it, `wire` is what the two sides say to each other, `children` lists
//! one's own children, `sweep` is for what a killed guard leaves, `level`, `namespace` and `cgroup`
//! are the stronger levels.

mod cgroup;
mod children;
mod contained;
mod guard;
mod level;
mod namespace;
mod pool;
mod sweep;
mod wire;

pub(crate) use contained::{Contained, Pipes};
pub(crate) use guard::run_if_asked as guard_if_asked;
pub(crate) use level::Level;
pub(crate) use pool::Guards;
pub(crate) use wire::{Process, Start, Stopped, StoppedBy};
