//! Moves one pipe of one command into the sink.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use memchr::memmem;
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, read};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::partial::Place;
use super::{Label, Outlet, Partials, Stream, Tail, lines::Lines};
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
    /// Shows lines without an end; none if there is no place for that.
    pub(crate) partials: Option<Partials>,
    /// Gets a copy of all bytes, as they came.
    pub(crate) copy: Option<File>,
    pub(crate) sought: Option<Sought>,
    /// Set when no process of the command is left, so none of them can write any more.
    pub(crate) all_gone: Flag,
}

/// A text that the lines of a command are searched for. Clones are the same search.
#[derive(Clone, Debug)]
pub(crate) struct Sought {
    text: Arc<[u8]>,
    pub(crate) found: Flag,
}

impl Sought {
    pub(crate) fn new(text: &[u8]) -> Sought {
        Sought {
            text: text.into(),
            found: Flag::new(),
        }
    }

    fn look_at(&self, line: &[u8]) {
        if !self.found.is_set() && memmem::find(line, &self.text).is_some() {
            self.found.set();
        }
    }
}

/// What the pump knows at the end of a pipe.
#[derive(Default)]
pub(crate) struct Pumped {
    pub(crate) tail: Tail,
    /// No process of the command was left, but another process still held the pipe.
    pub(crate) held_open: bool,
    /// Its copy could not be written.
    pub(crate) copy_error: Option<io::Error>,
}

/// Resolves at the end of `pipe`, or when no process of the command is left and its output has been
/// moved, whichever comes first. So a stray process that holds the pipe cannot delay the runner.
pub(crate) async fn pump<P>(mut pipe: P, to: Pump) -> Pumped
where
    P: AsyncRead + AsFd + Unpin,
{
    let partials = to.partials.as_ref();
    let mut flow = Flow {
        lines: Lines::default(),
        pumped: Pumped::default(),
        place: partials.map(|partials| partials.place(to.label.name().to_owned())),
        to,
    };
    let all_gone = flow.to.all_gone.clone();
    // Most commands write little. Memory that nothing was read into is never touched.
    let mut chunk = Vec::with_capacity(CHUNK);
    loop {
        chunk.clear();
        let read = tokio::select! {
            read = pipe.read_buf(&mut chunk) => read,
            () = all_gone.wait() => {
                flow.pumped.held_open = flow.take_the_rest(&pipe, &mut chunk).await;
                break;
            }
        };
        match read {
            Ok(0) => break,
            Ok(_) => flow.take(&chunk).await,
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
    place: Option<Place>,
    to: Pump,
}

impl Flow {
    async fn take(&mut self, bytes: &[u8]) {
        self.pumped.tail.push(bytes);
        if let Some(Err(error)) = self.to.copy.as_mut().map(|copy| copy.write_all(bytes)) {
            self.pumped.copy_error = Some(error);
            self.to.copy = None;
        }
        let mut named = Vec::new();
        let label = self.to.label.on(self.to.stream);
        let sought = self.to.sought.as_ref();
        self.lines.push(bytes, |line| {
            if let Some(sought) = sought {
                sought.look_at(line);
            }
            label.write(line, &mut named);
        });
        if let Some(place) = &mut self.place {
            place.set(self.lines.partial(), bytes.len());
        }
        self.send(named).await;
    }

    async fn end(mut self) -> Pumped {
        let mut named = Vec::new();
        let label = self.to.label.on(self.to.stream);
        self.lines.finish(|line| label.write(line, &mut named));
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
    async fn take_the_rest(&mut self, pipe: &impl AsFd, chunk: &mut Vec<u8>) -> bool {
        let mut taken = 0;
        while taken < PIPE {
            chunk.clear();
            match read(pipe, spare_capacity(chunk)) {
                Ok(0) => return false,
                Ok(count) => {
                    taken += count;
                    self.take(chunk).await;
                }
                Err(Errno::INTR) => {}
                Err(error) => return error == Errno::AGAIN,
            }
        }
        true
    }
}
