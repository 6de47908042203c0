//! The command that a guard is in charge of, with all processes that came from it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, waitid,
};

use crate::process::cgroup::Cgroup;
use crate::process::children::{self, Stat};
use crate::process::wire::{Event, Process, Start, StoppedBy};

/// The kernel does not notify a guard of a new child that it adopts. While a command is being
/// stopped, the guard therefore looks at the list from time to time. The end itself wakes the
/// guard.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(64);

/// SIGKILL acts at once, unless a process hangs inside the kernel or belongs to another user. A
/// process that is left after this time is reported as a survivor.
const KILL_LIMIT: Duration = Duration::from_secs(2);

pub(super) struct Charge {
    leader: Pid,
    /// Its status was reported. It is reaped last: until then no other process can have its number,
    /// or the number of its group.
    leader_ended: bool,
    leader_reaped: bool,
    phase: Phase,
    by: Option<StoppedBy>,
    /// Processes that got a SIGTERM of their own.
    asked: HashSet<Pid>,
    pause: Duration,
    /// The grace to use if the runner ends.
    grace: Duration,
    cgroup: Option<Cgroup>,
}

#[derive(Clone, Copy)]
enum Phase {
    Running,
    /// SIGTERM was sent. SIGKILL follows at this moment, if there is one.
    Asked(Option<Instant>),
    /// SIGKILL was sent. The guard gives up at this moment.
    Killed(Instant),
}

impl Charge {
    pub(super) fn spawn(
        start: &Start,
        stdout: OwnedFd,
        stderr: OwnedFd,
        cgroup: Option<Cgroup>,
    ) -> io::Result<Charge> {
        let os = |bytes: &Vec<u8>| OsStr::from_bytes(bytes).to_owned();
        let (program, arguments) = start
            .argv
            .split_first()
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut command = Command::new(os(program));
        command
            .args(arguments.iter().map(os))
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0);
        for (name, value) in &start.env {
            match value {
                Some(value) => command.env(os(name), os(value)),
                None => command.env_remove(os(name)),
            };
        }
        if let Some(cwd) = &start.cwd {
            command.current_dir(os(cwd));
        }
        // The handle adds nothing: the guard waits for the leader by its pid.
        let leader = Pid::from_child(&command.spawn()?);
        Ok(Charge {
            leader,
            leader_ended: false,
            leader_reaped: false,
            phase: Phase::Running,
            by: None,
            asked: HashSet::new(),
            pause: FIRST_LOOK,
            grace: start.grace,
            cgroup,
        })
    }

    /// When to look even without being woken.
    pub(super) fn next_look(&self) -> Option<Duration> {
        let until = |then: Instant| then.saturating_duration_since(Instant::now());
        match self.phase {
            Phase::Running => None,
            Phase::Asked(None) => Some(self.pause),
            Phase::Asked(Some(then)) | Phase::Killed(then) => Some(self.pause.min(until(then))),
        }
    }

    /// Sends SIGTERM, if nothing was sent yet; SIGKILL after the grace.
    pub(super) fn stop(&mut self, grace: Duration, now: Instant) {
        if !matches!(self.phase, Phase::Running) {
            return;
        }
        self.by = Some(StoppedBy::Term);
        // Beyond the clock: no end.
        self.phase = Phase::Asked(now.checked_add(grace));
        self.signal_group(Signal::TERM);
        // A stopped process could not act on it.
        self.signal_group(Signal::CONT);
        self.pause = FIRST_LOOK;
    }

    /// Sends SIGKILL, without any more grace.
    pub(super) fn kill(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Killed(_)) {
            self.begin_to_kill(StoppedBy::KillAtOnce, now);
        }
    }

    pub(super) fn lose_runner(&mut self, now: Instant) {
        self.stop(self.grace, now);
    }

    pub(super) fn living(&self) -> Vec<Process> {
        children::describe(&children::own().unwrap_or_default())
    }

    /// Finds out what has changed and continues from there. Returns true when the command has ended
    /// or the guard has given up.
    pub(super) fn look(&mut self, events: &mut Vec<Event>) -> io::Result<bool> {
        if !self.leader_ended {
            let observe = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            if let Some(status) = waitid(WaitId::Pid(self.leader), observe)? {
                self.leader_ended = true;
                events.push(Event::LeaderEnded {
                    status: raw(&status),
                    asked: !matches!(self.phase, Phase::Running),
                });
            }
        }
        let left = self.reap_others()?;
        if self.leader_ended && left.is_empty() && self.is_empty()? {
            events.push(Event::Empty(self.by));
            return Ok(true);
        }
        let now = Instant::now();
        match self.phase {
            Phase::Running => return Ok(false),
            Phase::Asked(Some(then)) if now >= then => {
                self.begin_to_kill(StoppedBy::KillAfterGrace, now);
            }
            Phase::Asked(_) => self.ask(&left),
            Phase::Killed(limit) if now >= limit => {
                let by = self.by.unwrap_or(StoppedBy::KillAtOnce);
                events.push(Event::Survived(by, self.living()));
                return Ok(true);
            }
            // Again, for late arrivals.
            Phase::Killed(_) => self.send_kill(&left),
        }
        self.pause = LAST_LOOK.min(self.pause * 2);
        Ok(false)
    }

    /// Reaps the children that have ended, except the leader. Returns those that are left,
    /// including a living leader.
    fn reap_others(&self) -> io::Result<Vec<Pid>> {
        let mut left = Vec::new();
        for child in children::own()? {
            if child == self.leader {
                if !self.leader_ended {
                    left.push(child);
                }
            } else {
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
                // An error means that it is not a child any more.
                if matches!(waitid(WaitId::Pid(child), options), Ok(None)) {
                    left.push(child);
                }
            }
        }
        Ok(left)
    }

    /// Exact, unlike the list of children, which may be incomplete. Releases the leader's number.
    fn is_empty(&mut self) -> io::Result<bool> {
        if !self.leader_reaped {
            waitid(WaitId::Pid(self.leader), WaitIdOptions::EXITED)?;
            self.leader_reaped = true;
        }
        loop {
            match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(false),
                Err(rustix::io::Errno::CHILD) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends SIGTERM, once each, to those that the signal to the group did not reach.
    fn ask(&mut self, left: &[Pid]) {
        for &child in left {
            if self.asked.insert(child) && !self.is_reached_by_group(child) {
                send(child, Signal::TERM);
                send(child, Signal::CONT);
            }
        }
    }

    fn begin_to_kill(&mut self, by: StoppedBy, now: Instant) {
        self.by = Some(by);
        self.phase = Phase::Killed(now + KILL_LIMIT);
        self.pause = FIRST_LOOK;
        let left = children::own().unwrap_or_default();
        self.send_kill(&left);
    }

    fn send_kill(&self, left: &[Pid]) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
        }
        self.signal_group(Signal::KILL);
        for &child in left {
            send(child, Signal::KILL);
        }
    }

    fn is_reached_by_group(&self, child: Pid) -> bool {
        let leader = self.leader.as_raw_nonzero().get();
        !self.leader_reaped && Stat::of(child).is_some_and(|stat| stat.group == leader)
    }

    fn signal_group(&self, signal: Signal) {
        if !self.leader_reaped {
            // Errors are ignored here: a process that cannot be signalled is reported as a
            // survivor.
            let _ = kill_process_group(self.leader, signal);
        }
    }
}

fn send(child: Pid, signal: Signal) {
    let _ = kill_process(child, signal);
}

/// In the form of `wait`, as [`std::process::ExitStatus`] takes it.
fn raw(status: &WaitIdStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => (code & 0xff) << 8,
        (None, Some(signal)) => signal | if status.dumped() { 0x80 } else { 0 },
        (None, None) => 0,
    }
}
