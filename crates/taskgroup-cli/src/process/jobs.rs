//! Job control: the process group that has the terminal, and whether a suspended run can be
//! continued.
//!
//! The kernel returns 0 for a group or a session whose leader is outside of the PID namespace. A
//! `Pid` of rustix cannot be 0, so the functions of nix are called here.

use std::os::fd::AsFd;

use nix::unistd::{Pid, getpgid, getpgrp, getppid, getsid, tcgetpgrp};

use super::children::parent_of;

/// Whether another process could continue this one after Ctrl-Z, such as a shell with job control.
/// Otherwise the kernel would not stop it either. The first process of a container is an example.
pub(crate) fn is_under_job_control() -> bool {
    let (Ok(session), group) = (getsid(None), getpgrp()) else {
        return false;
    };
    let mut next = Some(getppid());
    // The parent of the first process of a namespace is 0, which would mean the process itself.
    while let Some(parent) = next.filter(|parent| parent.as_raw() != 0) {
        if getsid(Some(parent)) != Ok(session) {
            return false;
        }
        if getpgid(Some(parent)).is_ok_and(|of| of != group) {
            return true;
        }
        next = parent_of(parent.as_raw()).map(Pid::from_raw);
    }
    false
}

/// Whether the group of this process has the terminal that controls it. If that is another terminal
/// than `terminal`, or there is none, the answer is unknown.
pub(crate) fn is_in_front(terminal: impl AsFd) -> Option<bool> {
    let front = tcgetpgrp(terminal).ok()?;
    Some(front == getpgrp())
}
