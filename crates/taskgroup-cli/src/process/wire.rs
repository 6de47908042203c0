//! The protocol between the runner and a guard: frames on a socket, each a length and a message.
//!
//! Both ends are the same program, so there are no versions.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A command, ready to be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Start {
    /// The program and its arguments.
    pub(crate) argv: Vec<Vec<u8>>,
    /// Variables of the command's environment; one without a value is removed.
    pub(crate) env: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub(crate) cwd: Option<Vec<u8>>,
    /// The grace to use if the runner ends.
    pub(crate) grace: Duration,
    pub(crate) stdio: Stdio,
}

/// What a command has as its standard input, output and error. Pipes and terminals come as
/// descriptors, a terminal as one. The guard opens an empty input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stdio {
    /// Two pipes for its output, and an empty input.
    #[default]
    Output,
    /// Three pipes.
    InputAndOutput,
    /// A terminal, of which it is the session leader.
    Terminal {
        /// Whether it is the standard input as well. Otherwise that is empty.
        input: bool,
    },
}

impl Stdio {
    pub(super) fn descriptors(self) -> usize {
        match self {
            Stdio::Output => 2,
            Stdio::InputAndOutput => 3,
            Stdio::Terminal { .. } => 1,
        }
    }
}

/// From the runner to a guard.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    /// With its descriptors: standard input, if any, output and error; or a terminal.
    Start(Start),
    /// Stop the command: SIGTERM, the grace, SIGKILL.
    Stop {
        grace: Duration,
    },
    /// No more grace.
    Kill,
    /// The command is not needed any more, if it has not been started yet. Only a guard that
    /// waits for a place on another machine heeds it.
    Withdraw,
    /// Asks for [`Event::Living`].
    Census,
    /// Stop all processes of the command, as Ctrl-Z does, until [`Request::Resume`].
    Suspend,
    Resume,
}

/// From a guard to the runner.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Event {
    /// The first event: the containment works.
    Ready,
    /// The first and last event: this level of containment is unavailable.
    Refused(String),
    /// With the pid of the leader, in the guard's own namespace.
    Started(i32),
    /// The command could not be started. Has the number of the system's error, if there is one.
    NotStarted {
        code: Option<i32>,
        text: String,
    },
    /// The leader has ended: its status in the form of `wait`, whether it was asked to end, and
    /// how long it ran.
    LeaderEnded {
        status: i32,
        asked: bool,
        ran: Duration,
    },
    /// The process with this name asked the terminal, and was therefore stopped with the whole
    /// process group.
    WantsTerminal(String),
    Living(Vec<Process>),
    /// No process of the command is left.
    Empty(Option<StoppedBy>),
    /// These processes are still there, despite SIGKILL. No event follows.
    Survived(StoppedBy, Vec<Process>),
    /// The command could not be started where it was to run. `elsewhere` it may be possible.
    NotBegun {
        text: String,
        elsewhere: bool,
    },
    /// What the command ran in has ended it, and this is why. Comes before [`Event::Empty`].
    Why {
        text: String,
        elsewhere: bool,
    },
    /// What the command ran in has ended, and the command with it. No event follows.
    Lost {
        text: String,
        elsewhere: bool,
    },
}

/// A living process, as the report names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) name: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name.escape_debug(), self.pid)
    }
}

/// What it took to end a command.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) by: StoppedBy,
    /// The processes that were left when the guard gave up.
    pub(crate) survivors: Vec<Process>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StoppedBy {
    Term,
    /// SIGKILL, after SIGTERM had its grace.
    KillAfterGrace,
    /// SIGKILL, without the (rest of the) grace.
    KillAtOnce,
}

/// The message as a frame.
pub(super) fn frame(message: &impl Serialize) -> Vec<u8> {
    let mut frame = postcard::to_extend(message, vec![0; LENGTH]).expect("memory takes it all");
    let length = u32::try_from(frame.len() - LENGTH).expect("no command is that long");
    frame[..LENGTH].copy_from_slice(&length.to_le_bytes());
    frame
}

const LENGTH: usize = size_of::<u32>();

/// Sends the beginning of `bytes`, and with it the descriptors. Returns how much was sent.
pub(super) fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        let fits = control.push(SendAncillaryMessage::ScmRights(fds));
        assert!(fits, "the space is for three descriptors");
    }
    let flags = quietly();
    Ok(sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut control,
        flags,
    )?)
}

/// A reader that has ended is an error, not a signal. This program ignores SIGPIPE, so that it does
/// not matter where there is no such flag.
fn quietly() -> SendFlags {
    #[cfg(not(target_vendor = "apple"))]
    return SendFlags::NOSIGNAL;
    #[cfg(target_vendor = "apple")]
    return SendFlags::empty();
}

fn closed_on_exec() -> RecvFlags {
    #[cfg(not(target_vendor = "apple"))]
    return RecvFlags::CMSG_CLOEXEC;
    #[cfg(target_vendor = "apple")]
    return RecvFlags::empty();
}

/// A pipe that no command inherits.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(not(target_vendor = "apple"))]
    return Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?);
    #[cfg(target_vendor = "apple")]
    {
        let (read, write) = rustix::pipe::pipe()?;
        for fd in [&read, &write] {
            rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
        }
        Ok((read, write))
    }
}

/// Assembles frames from the bytes of a socket.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl Inbox {
    /// Bytes from something that is no socket, and can have no descriptors with it.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the bytes that are there now, without waiting. Returns false at the end of the stream.
    pub(super) fn receive(&mut self, socket: impl AsFd) -> io::Result<bool> {
        let mut chunk = [0; 16 << 10];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut chunk)],
            &mut control,
            closed_on_exec() | RecvFlags::DONTWAIT,
        )?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds);
                #[cfg(target_vendor = "apple")]
                for fd in &self.fds {
                    rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
                }
            }
        }
        self.bytes.extend_from_slice(&chunk[..received.bytes]);
        Ok(received.bytes > 0)
    }

    /// The next whole message.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some(length) = self.bytes.first_chunk::<LENGTH>() else {
            return Ok(None);
        };
        let end = LENGTH + u32::from_le_bytes(*length) as usize;
        let Some(body) = self.bytes.get(LENGTH..end) else {
            return Ok(None);
        };
        let message = postcard::from_bytes(body)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.bytes.drain(..end);
        Ok(Some(message))
    }

    /// The next descriptor that came along.
    pub(super) fn fd(&mut self) -> Option<OwnedFd> {
        self.fds.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn messages_and_descriptors_arrive_whole_and_in_order() {
        let (mut here, there) = UnixStream::pair().unwrap();
        let (out, write_end) = rustix::pipe::pipe().unwrap();
        let start = Start {
            argv: vec![b"sh".to_vec(), vec![b'x'; 100_000]],
            env: vec![(b"A".to_vec(), None)],
            cwd: None,
            grace: Duration::from_millis(1),
            stdio: Stdio::Output,
        };
        let first = frame(&Request::Start(start.clone()));
        let sent = send(&here, &first[..7], &[write_end.as_fd(), write_end.as_fd()]).unwrap();
        drop(write_end);
        assert_eq!(sent, 7);
        let mut inbox = Inbox::default();
        assert!(inbox.receive(&there).unwrap());
        assert_eq!(inbox.next::<Request>().unwrap(), None);
        here.write_all(&first[7..]).unwrap();
        here.write_all(&frame(&Request::Census)).unwrap();
        drop(here);
        while inbox.receive(&there).unwrap() {}
        assert_eq!(inbox.next().unwrap(), Some(Request::Start(start)));
        assert_eq!(inbox.next().unwrap(), Some(Request::Census));
        assert_eq!(inbox.next::<Request>().unwrap(), None);
        File::from(inbox.fd().unwrap())
            .write_all(b"through")
            .unwrap();
        drop(inbox);
        let mut text = String::new();
        File::from(out).read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn nonsense_is_an_error_and_no_panic() {
        let mut inbox = Inbox {
            bytes: vec![1, 0, 0, 0, 250],
            ..Inbox::default()
        };
        assert!(inbox.next::<Request>().is_err());
    }
}
