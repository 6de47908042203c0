//! What only Linux has, for other systems: nothing. There the level is always
//! [`Level::Group`](super::Level::Group), and none of this is reached.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use rustix::process::Pid;

use super::wire::Process;

pub(super) mod children {
    use std::io;

    use rustix::process::{Pid, Signal, getpgid};

    use super::super::{group, wire::Process};

    pub(in crate::process) fn own() -> io::Result<Vec<Pid>> {
        Ok(Vec::new())
    }

    pub(in crate::process) fn describe(_: &[Pid]) -> Vec<Process> {
        Vec::new()
    }

    /// The first process of these systems reaps orphans at once, so they are no zombies for long.
    pub(in crate::process) fn is_group_alive(_: Pid) -> bool {
        true
    }

    /// Nothing here keeps SIGTSTP pending on purpose.
    pub(in crate::process) fn has_pending(_: Pid, _: Signal) -> bool {
        false
    }

    /// All that can be said without looking into the processes.
    pub(in crate::process) fn who_asks_the_terminal(leader: Pid) -> String {
        let members = group::members(leader);
        let asks = members.last().map(|process| process.name.clone());
        asks.unwrap_or_else(|| "it".to_owned())
    }

    /// The parents of others are not known.
    pub(in crate::process) fn parent_of(_: i32) -> Option<i32> {
        None
    }

    pub(in crate::process) struct Stat {
        pub(in crate::process) group: i32,
    }

    impl Stat {
        pub(in crate::process) fn of(pid: Pid) -> Option<Stat> {
            let group = getpgid(Some(pid)).ok()?.as_raw_nonzero().get();
            Some(Stat { group })
        }
    }
}

pub(super) mod cgroup {
    use std::io;

    /// There is none.
    #[derive(Clone, Debug)]
    pub(in crate::process) struct Cgroup;

    impl Cgroup {
        pub(in crate::process) fn for_guard() -> io::Result<Cgroup> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(in crate::process) fn visit(&self) -> io::Result<Visit> {
            Ok(Visit)
        }

        pub(in crate::process) fn kill(&self) {}
    }

    #[must_use]
    pub(in crate::process) struct Visit;

    impl Visit {
        pub(in crate::process) fn leave(self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(in crate::process) fn remove_of(_: u32) {}
}

pub(super) mod namespace {
    use std::io;

    pub(in crate::process) fn enter_and_wait(_: &[&str]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::process) fn inside() -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

pub(super) mod sweep {
    use super::{Duration, HashSet, Pid, Process};

    /// Nothing becomes a child of the runner that it did not start.
    #[expect(clippy::unused_async, reason = "on Linux it waits")]
    pub(in crate::process) async fn sweep(_: impl Fn() -> HashSet<Pid>) -> Vec<Process> {
        Vec::new()
    }

    /// There is nothing to wait for.
    #[expect(clippy::unused_async, reason = "on Linux it waits")]
    pub(in crate::process) async fn wait(_: impl Fn() -> HashSet<Pid>, _: Duration) {}
}

/// No process adopts those of others.
pub(super) fn adopt() -> io::Result<()> {
    Ok(())
}

pub(super) fn set_name() {}
