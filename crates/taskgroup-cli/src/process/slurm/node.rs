//! The process of a step, on a node: it runs one command after the other under a guard of that
//! node, and passes everything on.
//!
//! Slurm signals all processes of a step when it ends one, and kills them one by one some time
//! later. This process does not end by SIGTERM. It stops its command, as when the runner asks for
//! that, so that nothing is left by then which starts a process while Slurm kills the others.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::future::pending;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use signal_hook::flag;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::lease::Settings;
use super::link::{BEGIN, CHUNK, FromNode, SILENCE, ToNode};
use crate::process::contained::Pipes;
use crate::process::level::Level;
use crate::process::pool::{Guard, Guards};
use crate::process::set_name;
use crate::process::terminal::{Feed, Size};
use crate::process::wire::{Event, Inbox, Request, Start, frame};
use crate::signals::Ignored;

/// The first argument of the process of a step. No user types it by accident.
pub(super) const MARK: &str = "--taskgroup-node-process";

/// The most that a command gets of its grace when Slurm ends its step. Slurm kills it after 30 s,
/// if the cluster has no other `KillWait`.
const GRACE: Duration = Duration::from_secs(25);

/// How many frames may wait to be written.
const QUEUE: usize = 4;

/// If this process was started as that of a step, runs until the end of the step.
pub(super) fn run_if_asked(mut args: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let (level, folder) = (args.next(), args.next());
    let ended = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| {
            let ended = runtime.block_on(run(level.as_deref(), folder.as_deref()));
            // A thread that reads the standard input may wait for ever.
            runtime.shutdown_background();
            ended
        });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // It becomes the message of `srun`.
            let _ = writeln!(io::stderr(), "taskgroup: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(level: Option<&OsStr>, folder: Option<&OsStr>) -> io::Result<()> {
    set_name();
    for number in Ignored::now().outlived() {
        flag::register(number, Arc::new(AtomicBool::new(false)))?;
    }
    let mut term = signal(SignalKind::terminate())?;
    let level = level.and_then(OsStr::to_str);
    let level = level.and_then(|word| Level::from_str(word, false).ok());
    let guards = Guards::new(level.unwrap_or_default(), Settings::default())?;
    let mut link = Link::open();
    match folder.map(std::env::set_current_dir).transpose() {
        Ok(_) => link.send(&FromNode::Event(Event::Ready)),
        Err(error) => {
            let folder = std::path::Path::new(folder.unwrap_or_default()).display();
            let text = format!("{folder}: {error}; is it on a file system that all nodes share?");
            link.send(&FromNode::Event(Event::Refused(text)));
        }
    }
    while !link.end_is_known {
        let turn = tokio::select! {
            turn = link.turn() => turn,
            // The step ends, and there is no command.
            _ = term.recv() => Turn::End,
        };
        match turn {
            Turn::Message(ToNode::Request(Request::Start(start))) => {
                serve(&guards, start, &mut link, &mut term).await;
            }
            // A request may cross with the end of the command.
            Turn::Message(ToNode::Request(Request::Census)) => {
                link.send(&FromNode::Event(Event::Living(Vec::new())));
            }
            Turn::Message(_) | Turn::Wrote => {}
            Turn::End => break,
        }
    }
    link.flush().await;
    guards.close().await;
    Ok(())
}

/// One command, from its start until nothing is left of it.
async fn serve(guards: &Guards, start: Start, link: &mut Link, term: &mut Signal) {
    let begun = begin(guards, start).await;
    let mut command = match begun {
        Ok(command) => command,
        Err(error) => {
            let code = error.raw_os_error();
            let text = error.to_string();
            return link.send(&FromNode::Event(Event::NotStarted { code, text }));
        }
    };
    loop {
        // The runner reads output when it knows that the command has started.
        let takes_output = command.started && link.queue.len() < QUEUE;
        tokio::select! {
            biased;
            turn = link.turn() => match turn {
                Turn::Message(ToNode::Request(request)) => command.ask(&request).await,
                Turn::Message(ToNode::Input(bytes)) => command.input.bytes.extend(bytes),
                Turn::Message(ToNode::EndOfInput) => command.input.has_ended = true,
                Turn::Message(ToNode::Alive) | Turn::Wrote => {}
                Turn::End => command.lose_runner().await,
            },
            _ = term.recv() => command.stop_with_step().await,
            event = command.guard.event() => {
                let event = event.unwrap_or_else(|error| Event::Lost {
                    text: error.to_string(),
                    elsewhere: false,
                });
                command.started |= matches!(event, Event::Started(_));
                let has_ended = matches!(
                    event,
                    Event::Empty(_) | Event::Survived(..) | Event::NotStarted { .. }
                        | Event::Refused(_) | Event::Lost { .. }
                );
                let is_lost = matches!(
                    event,
                    Event::Lost { .. } | Event::Survived(..) | Event::Refused(_)
                );
                if has_ended {
                    command.drain(link);
                }
                if !matches!(event, Event::Ready) {
                    link.send(&FromNode::Event(event));
                }
                if has_ended {
                    command.end(guards, is_lost).await;
                    break;
                }
            }
            chunk = read(&mut command.out), if takes_output && command.out.is_some() => {
                output(link, false, chunk);
            }
            chunk = read(&mut command.err), if takes_output && command.err.is_some() => {
                output(link, true, chunk);
            }
            count = command.input.pass_on() => match count {
                Some(count) => link.send(&FromNode::Took(count)),
                None => link.send(&FromNode::InputClosed),
            },
        }
    }
}

fn output(link: &mut Link, error: bool, bytes: Vec<u8>) {
    if !bytes.is_empty() {
        link.send(&FromNode::Output { error, bytes });
    }
}

/// What there is to read. Nothing at the end, and then the stream is gone.
async fn read(from: &mut Option<Receiver>) -> Vec<u8> {
    let mut bytes = vec![0; CHUNK];
    let count = match from {
        Some(stream) => stream.read(&mut bytes).await.unwrap_or(0),
        None => pending().await,
    };
    if count == 0 {
        *from = None;
    }
    bytes.truncate(count);
    bytes
}

struct Command {
    guard: Guard,
    started: bool,
    grace: Duration,
    out: Option<Receiver>,
    err: Option<Receiver>,
    input: Input,
}

struct Input {
    /// None if the command takes no input, or no more.
    to: Option<Feed>,
    bytes: VecDeque<u8>,
    has_ended: bool,
}

async fn begin(guards: &Guards, start: Start) -> io::Result<Command> {
    let grace = start.grace;
    let stdio = start.stdio;
    let request = Request::Start(start);
    let (guard, pipes) = loop {
        let mut guard = guards.get(None)?;
        let (pipes, theirs) = match Pipes::open((stdio, Size::default()), None) {
            Ok(opened) => opened,
            Err(error) => {
                guards.give_back(guard);
                return Err(error);
            }
        };
        // The guard may have been killed while it was idle. Then try another one.
        match guard.ask_with(&request, theirs).await {
            Ok(()) => break (guard, pipes),
            Err(_) => drop(guards.bury(&mut guard).await),
        }
    };
    Ok(Command {
        guard,
        started: false,
        grace,
        out: Some(pipes.stdout),
        err: pipes.stderr,
        input: Input {
            to: pipes.stdin,
            bytes: VecDeque::new(),
            has_ended: false,
        },
    })
}

impl Command {
    /// If the guard has ended, its events show that.
    async fn ask(&mut self, request: &Request) {
        let _ = self.guard.ask(request).await;
    }

    async fn stop_with_step(&mut self) {
        let grace = self.grace.min(GRACE);
        self.ask(&Request::Stop { grace }).await;
    }

    async fn lose_runner(&mut self) {
        let grace = self.grace;
        self.ask(&Request::Stop { grace }).await;
    }

    /// Passes on what its streams hold now. It asks the kernel: the runtime may not know yet that
    /// there is something.
    fn drain(&mut self, link: &mut Link) {
        for (stream, error) in [(&mut self.out, false), (&mut self.err, true)] {
            while let Some(from) = stream {
                let mut bytes = vec![0; CHUNK];
                match rustix::io::read(from, &mut bytes) {
                    Ok(0) => *stream = None,
                    Ok(count) => {
                        bytes.truncate(count);
                        link.send(&FromNode::Output { error, bytes });
                    }
                    Err(_) => break,
                }
            }
        }
    }

    async fn end(self, guards: &Guards, is_lost: bool) {
        let mut guard = self.guard;
        match is_lost {
            true => {
                guards.bury(&mut guard).await;
            }
            false => guards.give_back(guard),
        }
    }
}

impl Input {
    /// Gives the command some of it. Returns how much it took, or None when it takes no more.
    /// Cancel safe.
    async fn pass_on(&mut self) -> Option<u64> {
        let Some(to) = &mut self.to else {
            return pending().await;
        };
        let (first, _) = self.bytes.as_slices();
        if first.is_empty() && !self.has_ended {
            return pending().await;
        }
        let written = match first.is_empty() {
            true => None,
            false => to.write_some(first).await.ok(),
        };
        match written {
            Some(count) => {
                self.bytes.drain(..count);
                Some(count as u64)
            }
            None => {
                self.to = None;
                self.bytes.clear();
                None
            }
        }
    }
}

/// The standard streams of this process. They may be anything, so a thread serves each.
struct Link {
    messages: mpsc::Receiver<Vec<u8>>,
    inbox: Inbox,
    out: mpsc::Sender<Vec<u8>>,
    queue: VecDeque<Vec<u8>>,
    heard: Instant,
    /// Nothing more comes, or nothing has come for too long.
    is_over: bool,
    end_is_known: bool,
    written: thread::JoinHandle<()>,
}

impl Link {
    fn open() -> Link {
        let (to_us, messages) = mpsc::channel(16);
        thread::spawn(move || {
            let mut input = io::stdin().lock();
            let mut bytes = vec![0; CHUNK];
            while let Ok(count @ 1..) = input.read(&mut bytes) {
                if to_us.blocking_send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let (out, mut from_us) = mpsc::channel::<Vec<u8>>(1);
        let written = thread::spawn(move || {
            let mut output = io::stdout().lock();
            while let Some(frame) = from_us.blocking_recv() {
                if output
                    .write_all(&frame)
                    .and_then(|()| output.flush())
                    .is_err()
                {
                    return;
                }
            }
        });
        Link {
            messages,
            inbox: Inbox::default(),
            out,
            queue: VecDeque::from([BEGIN.to_vec()]),
            heard: Instant::now(),
            is_over: false,
            end_is_known: false,
            written,
        }
    }

    fn send(&mut self, message: &FromNode) {
        self.queue.push_back(frame(message));
    }

    /// Waits for the next message, and writes what is queued meanwhile. Cancel safe.
    async fn turn(&mut self) -> Turn {
        loop {
            match self.inbox.next() {
                Ok(Some(message)) => return Turn::Message(message),
                Ok(None) => {}
                Err(_) => self.is_over = true,
            }
            if self.is_over && !self.end_is_known {
                self.end_is_known = true;
                return Turn::End;
            }
            let silent = sleep_until(self.heard + SILENCE);
            tokio::select! {
                biased;
                bytes = self.messages.recv(), if !self.is_over => match bytes {
                    Some(bytes) => {
                        self.heard = Instant::now();
                        self.inbox.push(&bytes);
                    }
                    None => self.is_over = true,
                },
                permit = self.out.reserve(), if !self.queue.is_empty() => {
                    match (permit, self.queue.pop_front()) {
                        (Ok(permit), Some(frame)) => permit.send(frame),
                        // Nothing reads it any more.
                        _ => self.queue.clear(),
                    }
                    return Turn::Wrote;
                }
                () = silent, if !self.is_over => self.is_over = true,
                else => pending().await,
            }
        }
    }

    /// Writes the rest of the queue.
    async fn flush(mut self) {
        while let Some(frame) = self.queue.pop_front() {
            if self.out.send(frame).await.is_err() {
                break;
            }
        }
        drop(self.out);
        // It has written everything, or nothing reads it any more.
        let _ = self.written.join();
    }
}

/// What has happened at the link.
enum Turn {
    Message(ToNode),
    Wrote,
    /// Nothing more comes, or nothing has come for too long. That happens once.
    End,
}
