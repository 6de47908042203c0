//! What the runner and a guard say to each other: frames on a socket, each a length and a message.
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
    /// Set in the environment of the command; without a value, taken away.
    pub(crate) env: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub(crate) cwd: Option<Vec<u8>>,
    /// For when the runner goes away.
    pub(crate) grace: Duration,
}

/// From the runner to a guard.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    /// With two descriptors, the command's standard output and error.
    Start(Start),
    /// SIGTERM, the grace, SIGKILL.
    Stop { grace: Duration },
    /// No more grace.
    Kill,
    /// Asks for [`Event::Living`].
    Census,
}

/// From a guard to the runner.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Event {
    /// The first one: it does contain.
    Ready,
    /// The first and last one: this level of containment is not to be had.
    Refused(String),
    Started,
    /// The command could not be started; the number of the system's error, where there is one.
    NotStarted {
        code: Option<i32>,
        text: String,
    },
    /// With the status as `wait` gives it; whether it was asked to end.
    LeaderEnded {
        status: i32,
        asked: bool,
    },
    Living(Vec<Process>),
    /// Nothing is left of the command.
    Empty(Option<StoppedBy>),
    /// In spite of SIGKILL, these are still there. Nothing comes after it.
    Survived(StoppedBy, Vec<Process>),
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
    /// Who was still there when we gave up.
    pub(crate) survivors: Vec<Process>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StoppedBy {
    Term,
    /// SIGKILL, after SIGTERM had its grace.
    KillAfterGrace,
    /// SIGKILL, because nobody wanted to wait (any longer).
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

/// Sends the beginning of `bytes`, and with it the descriptors; how much went out.
pub(super) fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        let fits = control.push(SendAncillaryMessage::ScmRights(fds));
        assert!(fits, "the space is for two descriptors");
    }
    let flags = SendFlags::NOSIGNAL;
    Ok(sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut control,
        flags,
    )?)
}

/// Puts frames together from what comes out of a socket.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl Inbox {
    /// Takes what is there now, without waiting; false at the end of the stream.
    pub(super) fn receive(&mut self, socket: impl AsFd) -> io::Result<bool> {
        let mut chunk = [0; 16 << 10];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut chunk)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
        )?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds);
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
