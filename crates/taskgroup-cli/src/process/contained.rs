//! One command in its process group: start, wait, stop.

use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use super::census::{Census, Process};
use crate::flag::Flag;

/// How often an emptying group is looked at: there is no event for "the last member has gone",
/// since only the leader is our child. Starts short, because most groups are empty with their
/// leader.
const FIRST_POLL: Duration = Duration::from_millis(1);
const LAST_POLL: Duration = Duration::from_millis(64);
/// The pause before the first look that also tells zombies from the living; later ones do at
/// [`LAST_POLL`] only, since it costs a walk through `/proc`.
const FIRST_CENSUS: Duration = Duration::from_millis(4);

/// SIGKILL acts at once, unless a process hangs inside the kernel or belongs to somebody else. It
/// is sent again at this interval, for members that join late, …
const KILL_AGAIN: Duration = Duration::from_millis(100);
/// … until this is over. Whoever is left then is reported as a survivor.
const KILL_LIMIT: Duration = Duration::from_secs(2);

/// The read ends of what the command writes to.
pub(crate) struct Pipes {
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
}

/// A started command. Dropped before its group was seen empty, it sends SIGKILL to the group.
pub(crate) struct Contained {
    leader: Child,
    pgid: Pid,
    /// The leader was reaped: its pid is no longer ours to signal.
    reaped: bool,
    /// The group was seen empty: `pgid` is no longer ours to signal.
    empty: bool,
}

/// What it took to empty a group.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) by: StoppedBy,
    /// Who was still there when we gave up.
    pub(crate) survivors: Vec<Process>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoppedBy {
    Term,
    /// SIGKILL, after SIGTERM had its grace.
    KillAfterGrace,
    /// SIGKILL, because nobody wanted to wait (any longer).
    KillAtOnce,
}

impl Contained {
    /// Starts `sh -c command` in a new process group, its standard input empty.
    pub(crate) fn spawn(command: &OsStr) -> io::Result<(Contained, Pipes)> {
        let mut leader = Command::new("sh")
            .arg("-c")
            .arg(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let pid = leader.id().expect("not waited for yet");
        let pipes = Pipes {
            stdout: leader.stdout.take().expect("piped"),
            stderr: leader.stderr.take().expect("piped"),
        };
        let pgid = Pid::from_raw(i32::try_from(pid).expect("a pid fits"));
        Ok((
            Contained {
                leader,
                pgid,
                reaped: false,
                empty: false,
            },
            pipes,
        ))
    }

    /// Resolves when the leader has exited. Cancel safe; may be called again.
    pub(crate) async fn leader_ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.leader.wait().await;
        self.reaped = true;
        status
    }

    /// The leader's status, if it has exited by now.
    pub(crate) fn leader_has_ended(&mut self) -> Option<ExitStatus> {
        let status = self.leader.try_wait().ok().flatten();
        self.reaped |= status.is_some();
        status
    }

    /// Resolves when the group is empty. Cancel safe; may be called again.
    pub(crate) async fn emptied(&mut self) {
        // Waiting fails only when there is nothing left to wait for.
        let _ = self.leader_ended().await;
        let mut pause = FIRST_POLL;
        while !self.look(pause == FIRST_CENSUS || pause == LAST_POLL) {
            sleep(pause).await;
            pause = LAST_POLL.min(pause * 2);
        }
    }

    /// Who lives in the group now.
    pub(crate) fn living(&self) -> Vec<Process> {
        if self.empty {
            Vec::new()
        } else {
            Census::of_group(self.pgid).living
        }
    }

    /// SIGTERM, `grace`, SIGKILL; resolves when the group is empty, or [`KILL_LIMIT`] after
    /// SIGKILL. `hurry` cuts the grace short.
    pub(crate) async fn stop(&mut self, grace: Duration, hurry: &Flag) -> Stopped {
        let mut by = StoppedBy::KillAtOnce;
        if !hurry.is_set() {
            self.signal(Signal::SIGTERM);
            // A stopped process could not act on it.
            self.signal(Signal::SIGCONT);
            tokio::select! {
                () = self.emptied() => {
                    return Stopped { by: StoppedBy::Term, survivors: Vec::new() };
                }
                () = sleep(grace) => by = StoppedBy::KillAfterGrace,
                () = hurry.wait() => {}
            }
        }
        let killing = async {
            loop {
                self.signal(Signal::SIGKILL);
                if timeout(KILL_AGAIN, self.emptied()).await.is_ok() {
                    break;
                }
            }
        };
        // On giving up, an unreaped leader is left to Tokio's orphan queue.
        let _ = timeout(KILL_LIMIT, killing).await;
        Stopped {
            by,
            survivors: self.living(),
        }
    }

    /// Is the group empty? `thorough` also asks whether only zombies are left, which costs a walk
    /// through `/proc`.
    fn look(&mut self, thorough: bool) -> bool {
        self.empty = self.empty
            || match killpg(self.pgid, None) {
                Err(Errno::ESRCH) => true,
                // EPERM: there are members, and none that we may signal.
                Err(_) => false,
                Ok(()) => thorough && Census::of_group(self.pgid).is_dead(),
            };
        self.empty
    }

    fn signal(&self, signal: Signal) {
        if self.empty {
            return;
        }
        // A leader may move to another group; while it is not reaped its pid is still ours.
        // Errors have no answer here: whoever cannot be signalled comes out as a survivor.
        if killpg(self.pgid, signal) == Err(Errno::ESRCH) && !self.reaped {
            let _ = kill(self.pgid, signal);
        }
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}
