//! The command that a guard is in charge of, with all processes that came from it.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, waitid,
};

use super::spawn::spawn;
use crate::process::cgroup::Cgroup;
use crate::process::children::{self, Stat};
use crate::process::group;
use crate::process::wire::{Event, Process, Start, StoppedBy};

/// The kernel does not notify a guard of a new child that it adopts. While a command is being
/// stopped, the guard therefore looks at the list from time to time. The end itself wakes the
/// guard.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(64);

/// A program may suspend itself in its own way on SIGTSTP within this time. Then comes SIGSTOP.
const SUSPEND_LIMIT: Duration = Duration::from_millis(100);

/// A program that keeps SIGTSTP pending will act on it, as a runner inside does, which suspends its
/// own commands first. It has more time: on a busy machine it may get no processor for a while.
const PENDING_LIMIT: Duration = Duration::from_secs(10);

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
    started: Instant,
    suspended: Suspended,
    /// The process group took SIGTERM. It does not when the leader is about to make the group.
    group_asked: bool,
    /// It was reported that the command wants the terminal.
    wants_terminal: bool,
    /// The grace to use if the runner ends.
    grace: Duration,
    cgroup: Option<Cgroup>,
    reach: Reach,
}

/// Which processes belong to the command, for its guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Its process group, and all that the guard adopts.
    Adopted,
    /// Its process group.
    Group,
}

#[derive(Clone, Copy)]
enum Phase {
    Running,
    /// SIGTERM was sent. SIGKILL follows at this moment, if there is one.
    Asked(Option<Instant>),
    /// SIGKILL was sent. The guard gives up at this moment.
    Killed(Instant),
}

/// What Ctrl-Z has done to the command.
#[derive(Default)]
struct Suspended {
    /// Since when.
    since: Option<Instant>,
    /// SIGTSTP was sent. SIGSTOP follows at this moment.
    stop_at: Option<Instant>,
    /// How long, before that.
    time: Duration,
}

impl Charge {
    pub(super) fn spawn(
        start: &Start,
        given: Vec<OwnedFd>,
        cgroup: Option<Cgroup>,
        reach: Reach,
    ) -> io::Result<Charge> {
        let started = Instant::now();
        // The handle adds nothing: the guard waits for the leader by its pid.
        let leader = Pid::from_child(&spawn(start, given)?);
        Ok(Charge {
            leader,
            leader_ended: false,
            leader_reaped: false,
            phase: Phase::Running,
            by: None,
            asked: HashSet::new(),
            pause: FIRST_LOOK,
            started,
            suspended: Suspended::default(),
            group_asked: false,
            wants_terminal: false,
            grace: start.grace,
            cgroup,
            reach,
        })
    }

    /// When to look even without being woken.
    pub(super) fn next_look(&self) -> Option<Duration> {
        let until = |then: Instant| then.saturating_duration_since(Instant::now());
        match self.phase {
            // The end of a process that is no child wakes nothing.
            Phase::Running if self.leader_reaped => Some(self.pause),
            Phase::Running => self.suspended.stop_at.map(until),
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
        self.suspended.stop_at = None;
        self.group_asked = self.signal_group(Signal::TERM);
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

    /// Stops the processes as Ctrl-Z does. Those that are in another process group and have a
    /// living parent go on. A command that is being ended is not suspended.
    pub(super) fn suspend(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Running) || self.suspended.since.is_some() {
            return;
        }
        self.suspended.since = Some(now);
        self.suspended.stop_at = Some(now + SUSPEND_LIMIT);
        self.signal_group(Signal::TSTP);
    }

    /// The time to act on SIGTSTP has passed.
    fn stop_what_goes_on(&mut self, now: Instant) {
        let since = self.suspended.since;
        let in_time = since.is_some_and(|since| now < since + PENDING_LIMIT);
        if in_time && !self.leader_reaped && children::has_pending(self.leader, Signal::TSTP) {
            self.suspended.stop_at = Some(now + SUSPEND_LIMIT);
            return;
        }
        self.suspended.stop_at = None;
        self.signal_all(Signal::STOP);
    }

    pub(super) fn resume(&mut self, now: Instant) {
        let Some(since) = self.suspended.since.take() else {
            return;
        };
        self.suspended.time += now.saturating_duration_since(since);
        self.suspended.stop_at = None;
        self.signal_all(Signal::CONT);
    }

    /// How long the command has run, apart from the time in which it was suspended.
    fn ran(&self) -> Duration {
        let now = Instant::now();
        let still = self.suspended.since;
        let still = still.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let all = now.saturating_duration_since(self.started);
        all.saturating_sub(self.suspended.time + still)
    }

    pub(super) fn lose_runner(&mut self, now: Instant) {
        self.stop(self.grace, now);
    }

    pub(super) fn leader(&self) -> i32 {
        self.leader.as_raw_nonzero().get()
    }

    pub(super) fn living(&self) -> Vec<Process> {
        if self.reach == Reach::Group {
            return group::members(self.leader);
        }
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
                    ran: self.ran(),
                });
            }
        }
        self.look_for_a_stop(events)?;
        let left = self.reap_others()?;
        if self.leader_ended && left.is_empty() && self.is_empty()? {
            events.push(Event::Empty(self.by));
            return Ok(true);
        }
        let now = Instant::now();
        match self.phase {
            Phase::Running => {
                if self.suspended.stop_at.is_some_and(|then| now >= then) {
                    self.stop_what_goes_on(now);
                }
                if self.leader_reaped {
                    self.pause = LAST_LOOK.min(self.pause * 2);
                }
                return Ok(false);
            }
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

    /// The kernel stops the whole process group of a process in the background that asks the
    /// terminal. Nothing would ever continue it.
    fn look_for_a_stop(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        if self.leader_ended || self.wants_terminal {
            return Ok(());
        }
        let observe = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        let status = match waitid(WaitId::Pid(self.leader), observe) {
            Ok(Some(status)) => status,
            // It has ended since it was looked at, so it cannot stop. The next look finds the end.
            Ok(None) | Err(Errno::CHILD) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let by = status.stopping_signal();
        let terminal = [Signal::TTIN, Signal::TTOU].map(Signal::as_raw);
        if by.is_some_and(|by| terminal.contains(&by)) {
            self.wants_terminal = true;
            let name = children::who_asks_the_terminal(self.leader);
            events.push(Event::WantsTerminal(name));
        }
        Ok(())
    }

    /// Reaps the children that have ended, except the leader. Returns those that are left,
    /// including a living leader.
    fn reap_others(&self) -> io::Result<Vec<Pid>> {
        let mut left = Vec::new();
        for child in self.own()? {
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
        if self.reach == Reach::Group {
            return Ok(group::is_empty(self.leader));
        }
        loop {
            match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(false),
                Err(Errno::CHILD) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends SIGTERM, once each, to those that the signal to the group did not reach.
    fn ask(&mut self, left: &[Pid]) {
        for &child in left {
            if self.asked.insert(child) && !(self.group_asked && self.is_reached_by_group(child)) {
                send(child, Signal::TERM);
                send(child, Signal::CONT);
            }
        }
    }

    fn begin_to_kill(&mut self, by: StoppedBy, now: Instant) {
        self.by = Some(by);
        self.phase = Phase::Killed(now + KILL_LIMIT);
        self.pause = FIRST_LOOK;
        let left = self.own().unwrap_or_default();
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

    /// The processes that the guard may signal one by one.
    fn own(&self) -> io::Result<Vec<Pid>> {
        match self.reach {
            Reach::Adopted => children::own(),
            Reach::Group if self.leader_ended => Ok(Vec::new()),
            Reach::Group => Ok(vec![self.leader]),
        }
    }

    fn is_reached_by_group(&self, child: Pid) -> bool {
        let leader = self.leader();
        !self.leader_reaped && Stat::of(child).is_some_and(|stat| stat.group == leader)
    }

    /// Returns whether there was a process to take it. A process that cannot be signalled is
    /// reported as a survivor.
    fn signal_group(&self, signal: Signal) -> bool {
        // Without a subreaper, members of the group keep its number, as its leader did before.
        let is_ours = !self.leader_reaped || self.reach == Reach::Group;
        is_ours && kill_process_group(self.leader, signal).is_ok()
    }

    /// The group, and what the guard has adopted.
    fn signal_all(&self, signal: Signal) {
        self.signal_group(signal);
        for child in self.own().unwrap_or_default() {
            if !self.is_reached_by_group(child) {
                send(child, signal);
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::wire::Stdio;

    #[test]
    fn a_command_may_end_between_two_looks() {
        let start = Start {
            argv: vec![b"true".to_vec()],
            env: Vec::new(),
            cwd: None,
            grace: Duration::ZERO,
            stdio: Stdio::Output,
        };
        let null = || OwnedFd::from(std::fs::File::create("/dev/null").unwrap());
        let given = vec![null(), null()];
        let mut charge = Charge::spawn(&start, given, None, Reach::Group).unwrap();
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(charge.leader), ended).unwrap();
        let mut events = Vec::new();
        charge.look_for_a_stop(&mut events).unwrap();
        assert!(charge.look(&mut events).unwrap());
        assert!(matches!(events[0], Event::LeaderEnded { status: 0, .. }));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_keeps_sigtstp_pending_has_more_time() {
        use nix::sys::signal::{SigSet, Signal as Number};

        // The command inherits that. A runner that is busy looks the same.
        let pending = SigSet::from(Number::SIGTSTP);
        pending.thread_block().unwrap();
        let start = Start {
            argv: vec![b"sleep".to_vec(), b"100".to_vec()],
            env: Vec::new(),
            cwd: None,
            grace: Duration::ZERO,
            stdio: Stdio::Output,
        };
        let null = || OwnedFd::from(std::fs::File::create("/dev/null").unwrap());
        let mut charge = Charge::spawn(&start, vec![null(), null()], None, Reach::Group).unwrap();
        pending.thread_unblock().unwrap();
        let now = Instant::now();
        charge.suspend(now);
        let in_time = now + PENDING_LIMIT / 2;
        charge.stop_what_goes_on(in_time);
        assert_eq!(charge.suspended.stop_at, Some(in_time + SUSPEND_LIMIT));
        charge.stop_what_goes_on(now + PENDING_LIMIT);
        assert_eq!(charge.suspended.stop_at, None);
        let stopped = waitid(WaitId::Pid(charge.leader), WaitIdOptions::STOPPED).unwrap();
        let by = stopped.and_then(|status| status.stopping_signal());
        assert_eq!(by, Some(Signal::STOP.as_raw()));
        // Without a signal that is pending, there is no more time.
        charge.resume(now);
        charge.suspended.since = Some(now);
        charge.stop_what_goes_on(in_time);
        assert_eq!(charge.suspended.stop_at, None);
        charge.begin_to_kill(StoppedBy::KillAtOnce, now);
        waitid(WaitId::Pid(charge.leader), WaitIdOptions::EXITED).unwrap();
    }
}
