//! The guard process: one thread that waits for its runner, its children and the clock.
//!
//! Its standard input is the socket to the runner. It takes no part in job control: it has its own
//! process group, and ignores the signals that end a run. It ends when the runner has ended and no
//! process of the command is left.

mod charge;
mod spawn;

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::SIGCHLD;
use signal_hook::low_level::pipe;

use self::charge::{Charge, Reach};
use super::cgroup::Cgroup;
use super::level::Level;
use super::wire::{Event, Inbox, Request, Start, frame};
use super::{adopt, limits, namespace, set_name};
use crate::signals::Ignored;

/// The first argument of a guard. No user types it by accident.
pub(super) const MARK: &str = "--taskgroup-guard-process";
/// The second one in the inner process of [`Level::Namespace`].
const INSIDE: &str = "inside";

/// The arguments that start a guard for `level`. Its commands get the limit that was `before`.
pub(super) fn arguments(level: Level, before: String) -> [String; 3] {
    [MARK.to_owned(), level.word().to_owned(), before]
}

/// If this process was started as a guard, runs the guard until its end.
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != MARK {
        return None;
    }
    let (level, before) = (args.next(), args.next().unwrap_or_default());
    let before = before.to_str().unwrap_or_default();
    limits::restore(before);
    let ended = start(level.as_deref(), before).and_then(|guard| match guard {
        Some(guard) => guard.run(),
        None => Ok(()),
    });
    // Only the runner reads what a guard reports, and the runner has ended when there is an error.
    Some(ExitCode::from(u8::from(ended.is_err())))
}

fn start(level: Option<&OsStr>, before: &str) -> io::Result<Option<Guard>> {
    set_name();
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let level = level.and_then(OsStr::to_str);
    if level == Some(Level::Namespace.word()) {
        // The process inside sends its own messages.
        if let Err(error) = namespace::enter_and_wait(&[MARK, INSIDE, before]) {
            send(&socket, &Event::Refused(error.to_string()))?;
        }
        return Ok(None);
    }
    let prepared = match level {
        Some(INSIDE) => namespace::inside().map(|()| None),
        Some(word) if word == Level::Cgroup.word() => Cgroup::for_guard().map(Some),
        _ => Ok(None),
    };
    let reach = match level {
        Some(word) if word == Level::Group.word() => Reach::Group,
        _ => Reach::Adopted,
    };
    let ready = prepared.and_then(|cgroup| Ok((cgroup, wakes_on_signals(reach)?)));
    match ready {
        Ok((cgroup, wakes)) => {
            send(&socket, &Event::Ready)?;
            Ok(Some(Guard {
                socket,
                wakes,
                inbox: Inbox::default(),
                charge: None,
                cgroup,
                reach,
                runner_gone: false,
            }))
        }
        Err(error) => {
            send(&socket, &Event::Refused(error.to_string()))?;
            Ok(None)
        }
    }
}

/// Becomes a subreaper, if it is to adopt processes, and receives SIGCHLD. The other signals are
/// caught, not ignored or blocked, because commands would inherit that. Signals that are ignored
/// already stay so, for the commands.
fn wakes_on_signals(reach: Reach) -> io::Result<UnixStream> {
    if reach == Reach::Adopted {
        adopt()?;
    }
    let (wakes, by_handler) = UnixStream::pair()?;
    wakes.set_nonblocking(true)?;
    for signal in Ignored::now().outlived().chain([SIGCHLD]) {
        pipe::register(signal, by_handler.try_clone()?)?;
    }
    Ok(wakes)
}

fn send(mut socket: &UnixStream, event: &Event) -> io::Result<()> {
    socket.write_all(&frame(event))
}

struct Guard {
    socket: UnixStream,
    /// Holds a byte when a signal has arrived.
    wakes: UnixStream,
    inbox: Inbox,
    charge: Option<Charge>,
    cgroup: Option<Cgroup>,
    reach: Reach,
    runner_gone: bool,
}

impl Guard {
    fn run(mut self) -> io::Result<()> {
        loop {
            let wait = self.charge.as_ref().and_then(Charge::next_look);
            let has_request = self.wait(wait)?;
            // Before the requests: a process that has ended by now was not ended by them.
            self.look()?;
            if has_request {
                self.receive();
                self.look()?;
            }
            if self.runner_gone && self.charge.is_none() {
                return Ok(());
            }
        }
    }

    fn look(&mut self) -> io::Result<()> {
        let mut events = Vec::new();
        if let Some(charge) = &mut self.charge {
            if charge.look(&mut events)? {
                self.charge = None;
            }
        }
        for event in events {
            self.report(&event);
        }
        Ok(())
    }

    /// Waits for a request, a signal or the clock. Returns true for a request.
    fn wait(&self, limit: Option<Duration>) -> io::Result<bool> {
        // A time beyond the clock of the system is no limit.
        let timeout = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut fds = [
            PollFd::new(&self.wakes, PollFlags::IN),
            PollFd::new(&self.socket, PollFlags::IN),
        ];
        // After the runner has ended, the socket would be ready for ever.
        let count = if self.runner_gone { 1 } else { 2 };
        match poll(&mut fds[..count], timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let has_request = !self.runner_gone && !fds[1].revents().is_empty();
        let mut wakes = &self.wakes;
        while matches!(wakes.read(&mut [0; 64]), Ok(1..)) {}
        Ok(has_request)
    }

    fn receive(&mut self) {
        match self.inbox.receive(&self.socket) {
            Ok(true) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Ok(false) | Err(_) => self.lose_runner(),
        }
        loop {
            match self.inbox.next() {
                Ok(Some(request)) => self.carry_out(request),
                Ok(None) => return,
                Err(_) => return self.lose_runner(),
            }
        }
    }

    fn carry_out(&mut self, request: Request) {
        match (request, &mut self.charge) {
            (Request::Start(start), _) => self.begin(&start),
            (Request::Stop { grace }, Some(charge)) => charge.stop(grace, Instant::now()),
            (Request::Kill, Some(charge)) => charge.kill(Instant::now()),
            (Request::Census, Some(charge)) => {
                let living = charge.living();
                self.report(&Event::Living(living));
            }
            // The request crossed with the end of the command.
            (Request::Census, None) => self.report(&Event::Living(Vec::new())),
            (Request::Suspend, Some(charge)) => charge.suspend(Instant::now()),
            (Request::Resume, Some(charge)) => charge.resume(Instant::now()),
            (Request::Stop { .. } | Request::Kill | Request::Suspend | Request::Resume, None) => {}
            (Request::Withdraw, _) => {}
        }
    }

    fn begin(&mut self, start: &Start) {
        let mut given = Vec::new();
        while given.len() < start.stdio.descriptors() {
            match self.inbox.fd() {
                Some(fd) => given.push(fd),
                None => {
                    let error = io::Error::other("its descriptors did not arrive");
                    return self.report(&not_started(&error));
                }
            }
        }
        match self.spawn(start, given) {
            Ok(charge) => {
                let leader = charge.leader();
                self.charge = Some(charge);
                self.report(&Event::Started(leader));
            }
            Err(error) => self.report(&not_started(&error)),
        }
    }

    fn spawn(&self, start: &Start, given: Vec<OwnedFd>) -> io::Result<Charge> {
        let Some(cgroup) = &self.cgroup else {
            return Charge::spawn(start, given, None, self.reach);
        };
        // What starts in there stays in there. The guard itself leaves again.
        let inside = cgroup.visit()?;
        let charge = Charge::spawn(start, given, Some(cgroup.clone()), self.reach);
        inside.leave()?;
        charge
    }

    fn report(&mut self, event: &Event) {
        if !self.runner_gone && send(&self.socket, event).is_err() {
            self.lose_runner();
        }
    }

    fn lose_runner(&mut self) {
        self.runner_gone = true;
        if let Some(charge) = &mut self.charge {
            charge.lose_runner(Instant::now());
        }
    }
}

fn not_started(error: &io::Error) -> Event {
    Event::NotStarted {
        code: error.raw_os_error(),
        text: error.to_string(),
    }
}
