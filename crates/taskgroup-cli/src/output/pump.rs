//! Moves one pipe of one command into the sink.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::unistd::read;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Label, Outlet, Stream, Tail, lines::Lines};
use crate::flag::Flag;

const CHUNK: usize = 64 << 10;

/// The largest amount that a pipe holds without privileges. When no process of a command is left,
/// its last output is in the pipe. Anything after that amount comes from another process.
const PIPE: usize = 1 << 20;

/// Where the bytes go.
pub(crate) struct Pump {
    pub(crate) stream: Stream,
    pub(crate) label: Label,
    pub(crate) outlet: Outlet,
    /// Set when no process of the command is left, so none of them can write any more.
    pub(crate) all_gone: Flag,
}

/// What the pump knows at the end of a pipe.
#[derive(Default)]
pub(crate) struct Pumped {
    pub(crate) tail: Tail,
    /// No process of the command was left, but another process still held the pipe.
    pub(crate) held_open: bool,
}

/// Resolves at the end of `pipe`, or when no process of the command is left and its output has been
/// moved, whichever comes first. So a stray process that holds the pipe cannot delay the runner.
pub(crate) async fn pump<P>(mut pipe: P, to: Pump) -> Pumped
where
    P: AsyncRead + AsFd + Unpin,
{
    let mut flow = Flow {
        lines: Lines::default(),
        pumped: Pumped::default(),
        to,
    };
    let all_gone = flow.to.all_gone.clone();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = tokio::select! {
            read = pipe.read(&mut chunk) => read,
            () = all_gone.wait() => {
                flow.pumped.held_open = flow.take_the_rest(&pipe, &mut chunk).await;
                break;
            }
        };
        match read {
            Ok(0) => break,
            Ok(count) => flow.take(&chunk[..count]).await,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A pipe has no other errors; if it had one, there would be nothing more to read.
            Err(_) => break,
        }
    }
    flow.end().await
}

struct Flow {
    lines: Lines,
    pumped: Pumped,
    to: Pump,
}

impl Flow {
    async fn take(&mut self, bytes: &[u8]) {
        let mut named = Vec::new();
        let (to, tail) = (&self.to, &mut self.pumped.tail);
        self.lines
            .push(bytes, |line| to.note(line, tail, &mut named));
        self.send(named).await;
    }

    async fn end(mut self) -> Pumped {
        let mut named = Vec::new();
        let (to, tail) = (&self.to, &mut self.pumped.tail);
        self.lines.finish(|line| to.note(line, tail, &mut named));
        self.send(named).await;
        self.pumped
    }

    async fn send(&self, named: Vec<u8>) {
        if !named.is_empty() {
            self.to.outlet.send(self.to.stream, named).await;
        }
    }

    /// Moves the bytes that are in the pipe now. Returns true if the pipe is still open after that.
    ///
    /// Reads the descriptor directly: Tokio's readiness may not show yet that bytes are there, and
    /// waiting for it would need a time limit.
    async fn take_the_rest(&mut self, pipe: &impl AsFd, chunk: &mut [u8]) -> bool {
        let mut taken = 0;
        while taken < PIPE {
            match read(pipe, chunk) {
                Ok(0) => return false,
                Ok(count) => {
                    taken += count;
                    self.take(&chunk[..count]).await;
                }
                Err(Errno::EINTR) => {}
                Err(error) => return error == Errno::EAGAIN,
            }
        }
        true
    }
}

impl Pump {
    /// Appends the line, named, to `named`. The report shows the end of standard error only.
    fn note(&self, line: &[u8], tail: &mut Tail, named: &mut Vec<u8>) {
        if self.stream == Stream::Err {
            tail.push(line);
        }
        self.label.on(self.stream).write(line, named);
    }
}
