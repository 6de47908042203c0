//! One command under its guard: start, wait, stop.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::sleep;

use super::limits;
use super::pool::{Guard, Guards, gone};
use super::slurm::Lease;
use super::terminal::{Feed, Size, Terminal};
use super::wire::{Event, Process, Request, Start, Stdio, Stopped, StoppedBy, pipe};
use crate::flag::Flag;

/// How often a command is tried that a limit keeps from starting although no other one will end.
const TRIES: u32 = 30;

/// How often a command that Slurm has not started yet looks whether it is given up.
const LOOK: Duration = Duration::from_millis(100);

/// The runner's ends of what the command has as its standard streams.
pub(crate) struct Pipes {
    pub(crate) stdout: Receiver,
    /// None if it is the same as standard output.
    pub(crate) stderr: Option<Receiver>,
    /// None if standard input is empty.
    pub(crate) stdin: Option<Feed>,
    pub(crate) terminal: Option<Arc<Terminal>>,
}

/// A standard input that several attempts at a command have one after the other. Each one reads on
/// where the one before it has stopped, as in a shell.
pub(crate) struct InputPipe {
    theirs: OwnedFd,
    /// None at the end of the input.
    ours: Mutex<Option<OwnedFd>>,
}

impl InputPipe {
    pub(crate) fn open() -> io::Result<InputPipe> {
        let (theirs, ours) = pipe()?;
        Ok(InputPipe {
            theirs,
            ours: Mutex::new(Some(ours)),
        })
    }

    /// Nothing more is written, apart from what a [`Feed`] still writes.
    pub(crate) fn end(&self) {
        *self.ours.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn has_ended(&self) -> bool {
        let ours = self.ours.lock().unwrap_or_else(PoisonError::into_inner);
        ours.is_none()
    }

    /// What an attempt reads, and the way to it.
    fn both(&self) -> io::Result<(OwnedFd, Option<OwnedFd>)> {
        let ours = self.ours.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = ours.as_ref().map(OwnedFd::try_clone).transpose()?;
        Ok((self.theirs.try_clone()?, ours))
    }
}

impl Pipes {
    /// With the descriptors for the command. A terminal has this size. Without `input`, it gets one
    /// of its own.
    pub(super) fn open(
        (stdio, size): (Stdio, Size),
        input: Option<&InputPipe>,
    ) -> io::Result<(Pipes, Vec<OwnedFd>)> {
        if let Stdio::Terminal { input } = stdio {
            let (terminal, theirs) = Terminal::open(size)?;
            let terminal = Arc::new(terminal);
            let pipes = Pipes {
                stdout: terminal.output()?,
                stderr: None,
                stdin: input.then(|| terminal.input()).transpose()?,
                terminal: Some(terminal),
            };
            return Ok((pipes, vec![theirs]));
        }
        let (out, stdout) = pipe()?;
        let (err, stderr) = pipe()?;
        let mut pipes = Pipes {
            stdout: Receiver::from_owned_fd(out)?,
            stderr: Some(Receiver::from_owned_fd(err)?),
            stdin: None,
            terminal: None,
        };
        let mut theirs = vec![stdout, stderr];
        if stdio == Stdio::InputAndOutput {
            let (stdin, ours) = match input {
                Some(input) => input.both()?,
                None => pipe().map(|(stdin, ours)| (stdin, Some(ours)))?,
            };
            let feed = |ours| {
                Sender::from_owned_fd(ours).map(|to| Feed {
                    to,
                    terminal: None,
                    in_line: false,
                })
            };
            pipes.stdin = ours.map(feed).transpose()?;
            theirs.insert(0, stdin);
        }
        Ok((pipes, theirs))
    }
}

/// A started command. If it is dropped before its end, its guard stops it.
pub(crate) struct Contained {
    /// Until the end of the command.
    guard: Option<Guard>,
    guards: Guards,
    /// How the leader ended.
    leader: Option<LeaderEnd>,
    /// The name of the process that asked the terminal, and was stopped for it.
    wants_terminal: Option<String>,
    /// The guard has ended.
    lost: Option<(io::ErrorKind, String)>,
    /// Why what the command ran in has ended it.
    why: Option<(io::ErrorKind, String)>,
    end: Option<End>,
}

struct LeaderEnd {
    status: ExitStatus,
    /// Whether it had been asked to end before that.
    asked: bool,
    ran: Duration,
}

/// How the part of a command ended that its runner waits for.
pub(crate) enum Leader {
    Ended(ExitStatus),
    /// The process with this name asked the terminal. It is stopped and will not go on by itself.
    WantsTerminal(String),
}

struct End {
    by: Option<StoppedBy>,
    survivors: Vec<Process>,
}

impl Contained {
    /// Starts the command under a guard. Its terminal, if it gets one, has this size, and its
    /// input, if it gets any, is this one. Waits while a limit of the machine keeps it from
    /// starting. A command that `lasts` does not end by itself, so no other one waits for its end.
    /// When it is `given_up` meanwhile, the error is of the kind `Interrupted`. Its streams are
    /// `opened` before anything of it runs. With a `lease`, it runs at that place. Not cancel safe.
    pub(crate) async fn start(
        (guards, lease): (&Guards, Option<&Lease>),
        start: Start,
        (size, input): (Size, Option<&InputPipe>),
        lasts: bool,
        given_up: impl Fn() -> bool,
        mut opened: impl FnMut(&mut Pipes),
    ) -> io::Result<(Contained, Pipes)> {
        let stdio = start.stdio;
        let request = Request::Start(start);
        let how = (stdio, size, input, lasts);
        match Contained::try_to_start((guards, lease), &request, how, &given_up, &mut opened).await
        {
            Err(error) if limits::is_reached(&error) => {}
            result => return result,
        }
        // One at a time. Otherwise their guards alone could take all that there is.
        let _turn = guards.turn().await;
        let mut tries = 0;
        while !given_up() {
            match Contained::try_to_start((guards, lease), &request, how, &given_up, &mut opened)
                .await
            {
                Err(error) if limits::is_reached(&error) && tries < TRIES => {}
                result => return result,
            }
            // While other commands run, one of them will end.
            tries = if guards.will_change() { 0 } else { tries + 1 };
            guards.changed().await;
        }
        Err(io::Error::from(io::ErrorKind::Interrupted))
    }

    async fn try_to_start(
        (guards, lease): (&Guards, Option<&Lease>),
        request: &Request,
        (stdio, size, input, lasts): (Stdio, Size, Option<&InputPipe>, bool),
        given_up: &impl Fn() -> bool,
        opened: &mut impl FnMut(&mut Pipes),
    ) -> io::Result<(Contained, Pipes)> {
        loop {
            let mut guard = guards.get(lease)?;
            let (mut pipes, theirs) = match Pipes::open((stdio, size), input) {
                Ok(pipes) => pipes,
                Err(error) => {
                    guards.give_back(guard);
                    return Err(error);
                }
            };
            opened(&mut pipes);
            // The guard may have been killed while it was idle. Then try another one.
            if guard.ask_with(request, theirs).await.is_err() {
                guards.bury(&mut guard).await;
                continue;
            }
            guards.has_command(&guard, lasts);
            let mut is_withdrawn = false;
            let answer = loop {
                tokio::select! {
                    biased;
                    answer = guard.event() => match answer {
                        Ok(Event::Ready) => {}
                        answer => break answer,
                    },
                    () = sleep(LOOK), if lease.is_some() && !is_withdrawn => {
                        if given_up() {
                            is_withdrawn = true;
                            // If the guard has ended, its events show that.
                            let _ = guard.ask(&Request::Withdraw).await;
                        }
                    }
                }
            };
            return match answer {
                Ok(Event::NotBegun { .. }) if is_withdrawn => {
                    guards.retire(guard);
                    Err(io::ErrorKind::Interrupted.into())
                }
                // The step ended while it was idle. Nothing of the command has run.
                Ok(Event::NotBegun { .. }) if guard.has_served() => {
                    guards.retire(guard);
                    continue;
                }
                Ok(Event::Started(leader)) => {
                    guards.began(&mut guard, leader);
                    Ok((Contained::new(guard, guards.clone()), pipes))
                }
                Ok(Event::NotStarted { code, text }) => {
                    guards.give_back(guard);
                    let code = code.map(io::Error::from_raw_os_error);
                    Err(match code {
                        Some(error) if limits::is_reached(&error) => error,
                        Some(error) => io::Error::new(error.kind(), text),
                        None => io::Error::other(text),
                    })
                }
                Ok(Event::Refused(text)) => {
                    guards.retire(guard);
                    Err(io::Error::other(text))
                }
                Ok(Event::Lost { text, .. }) => {
                    guards.retire(guard);
                    Err(io::Error::other(text))
                }
                Ok(Event::NotBegun { text, elsewhere }) => {
                    guards.retire(guard);
                    Err(io::Error::new(kind(elsewhere), text))
                }
                Ok(event) => {
                    guards.retire(guard);
                    Err(io::Error::other(format!(
                        "unexpected message from a guard: {event:?}"
                    )))
                }
                Err(error) => {
                    guards.bury(&mut guard).await;
                    Err(error)
                }
            };
        }
    }

    fn new(guard: Guard, guards: Guards) -> Contained {
        Contained {
            guard: Some(guard),
            guards,
            leader: None,
            wants_terminal: None,
            lost: None,
            why: None,
            end: None,
        }
    }

    /// Why what the command ran in has ended it, if it has. An error of the kind `HostUnreachable`
    /// says that the command may succeed elsewhere.
    pub(crate) fn why(&self) -> Option<io::Error> {
        let (kind, text) = self.why.as_ref()?;
        Some(io::Error::new(*kind, text.clone()))
    }

    /// Resolves when the leader has ended, or cannot go on. Cancel safe; may be called again.
    pub(crate) async fn leader_ended(&mut self) -> io::Result<Leader> {
        loop {
            if let Some(leader) = &self.leader {
                return Ok(Leader::Ended(leader.status));
            }
            if let Some(name) = &self.wants_terminal {
                return Ok(Leader::WantsTerminal(name.clone()));
            }
            if let Some((kind, text)) = &self.lost {
                return Err(io::Error::new(*kind, text.clone()));
            }
            self.next().await;
        }
    }

    /// How long the leader ran, by the clock of its guard.
    pub(crate) fn ran(&self) -> Option<Duration> {
        self.leader.as_ref().map(|leader| leader.ran)
    }

    /// The leader's status, if it is known.
    pub(crate) fn leader_status(&mut self) -> Option<ExitStatus> {
        while let Some(event) = self.guard.as_mut().and_then(Guard::event_now) {
            self.take(event);
        }
        self.leader.as_ref().map(|leader| leader.status)
    }

    /// The leader's status, if it ended before it was asked to.
    pub(crate) fn ended_by_itself(&mut self) -> Option<ExitStatus> {
        self.leader_status();
        let leader = self.leader.as_ref().filter(|leader| !leader.asked);
        leader.map(|leader| leader.status)
    }

    /// Resolves when no process of the command is left, or when nothing more can be done. Cancel
    /// safe; may be called again.
    pub(crate) async fn emptied(&mut self) {
        while self.end.is_none() {
            self.next().await;
        }
    }

    /// The processes of the command that are left now and whose parents have ended.
    pub(crate) async fn living(&mut self) -> Vec<Process> {
        if self.ask(&Request::Census).await.is_err() {
            return Vec::new();
        }
        loop {
            let Some(guard) = &mut self.guard else {
                return Vec::new();
            };
            match guard.event().await {
                Ok(Event::Living(living)) => return living,
                Ok(event) => self.take(event),
                Err(error) => {
                    self.lose(&error);
                    return Vec::new();
                }
            }
        }
    }

    /// Sends SIGTERM, waits for `grace`, sends SIGKILL. Resolves when no process of the command is
    /// left, or when nothing more can be done. `hurry` cuts the grace short.
    pub(crate) async fn stop(&mut self, grace: Duration, hurry: &Flag) -> Stopped {
        if !hurry.is_set() {
            // If the guard has ended, its events show that.
            let _ = self.ask(&Request::Stop { grace }).await;
            let in_time = tokio::select! {
                biased;
                () = self.emptied() => true,
                () = hurry.wait() => false,
            };
            if in_time {
                return self.stopped();
            }
        }
        let _ = self.ask(&Request::Kill).await;
        self.emptied().await;
        self.stopped()
    }

    fn stopped(&mut self) -> Stopped {
        let end = self.end.as_mut().expect("it has ended");
        Stopped {
            // The command may have ended by itself before the request arrived.
            by: end.by.unwrap_or(StoppedBy::Term),
            survivors: std::mem::take(&mut end.survivors),
        }
    }

    async fn ask(&mut self, request: &Request) -> io::Result<()> {
        match &self.guard {
            Some(guard) => guard.ask(request).await,
            None => Err(gone()),
        }
    }

    async fn next(&mut self) {
        let Some(guard) = &mut self.guard else {
            return;
        };
        if self.lost.is_some() {
            // If this is cancelled here, the next call starts over.
            let survivors = self.guards.bury(guard).await;
            self.guard = None;
            self.end = Some(End {
                by: Some(StoppedBy::KillAtOnce),
                survivors,
            });
            return;
        }
        match guard.event().await {
            Ok(event) => self.take(event),
            Err(error) => self.lose(&error),
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::LeaderEnded { status, asked, ran } => {
                let status = ExitStatus::from_raw(status);
                self.leader = Some(LeaderEnd { status, asked, ran });
            }
            Event::WantsTerminal(name) => self.wants_terminal = Some(name),
            Event::Empty(by) => {
                match self.guard.take() {
                    Some(guard) if self.why.is_some() => self.guards.retire(guard),
                    Some(guard) => self.guards.give_back(guard),
                    None => {}
                }
                self.end = Some(End {
                    by,
                    survivors: Vec::new(),
                });
            }
            Event::Survived(by, survivors) => {
                if let Some(guard) = self.guard.take() {
                    self.guards.retire(guard);
                }
                self.end = Some(End {
                    by: Some(by),
                    survivors,
                });
            }
            Event::Why { text, elsewhere } => self.why = Some((kind(elsewhere), text)),
            Event::Lost { text, elsewhere } => {
                self.why = Some((kind(elsewhere), text.clone()));
                self.lost = Some((kind(elsewhere), text));
            }
            // An answer that no caller waits for any more.
            Event::Living(_) => {}
            Event::Ready
            | Event::Refused(_)
            | Event::Started(_)
            | Event::NotStarted { .. }
            | Event::NotBegun { .. } => {
                debug_assert!(false, "unexpected message from a guard: {event:?}");
            }
        }
    }

    fn lose(&mut self, error: &io::Error) {
        self.lost = Some((error.kind(), error.to_string()));
    }
}

fn kind(elsewhere: bool) -> io::ErrorKind {
    match elsewhere {
        true => io::ErrorKind::HostUnreachable,
        false => io::ErrorKind::Other,
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        if let Some(guard) = self.guard.take() {
            self.guards.retire(guard);
        }
    }
}
