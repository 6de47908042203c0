//! The only writer to the runner's standard output and error.
//!
//! The writer has its own thread. The reader of the output may stop reading for any time, and a
//! blocked write must not keep the runner from handling signals and stopping its commands. The
//! queue is short, so a slow reader slows the commands down, as a plain pipe would.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, write};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::modes::Modes;
use crate::flag::Flag;

/// How many pieces wait to be written. A piece is what one read of a pipe completed: 64 KiB, or a
/// long line.
const QUEUE: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// The way to the writer. The writer ends when all clones are dropped.
#[derive(Clone)]
pub(crate) struct Sink {
    queue: mpsc::Sender<(Stream, Vec<u8>)>,
    pending: Arc<Mutex<Vec<u8>>>,
    give_up: Flag,
    blocked: Blocked,
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// A way to the writer for callers that cannot wait: short lines, which pile up while it is busy.
#[derive(Clone)]
pub(crate) struct Ticker {
    pending: Arc<Mutex<Vec<u8>>>,
    queue: mpsc::Sender<(Stream, Vec<u8>)>,
}

/// Asks the writer to draw what stands below the output. It does not keep the writer from ending.
#[derive(Clone)]
pub(crate) struct Redraw(mpsc::WeakSender<(Stream, Vec<u8>)>);

impl Redraw {
    pub(crate) fn ask(&self) {
        if let Some(queue) = self.0.upgrade() {
            // If the queue is full, the writer will draw anyway.
            let _ = queue.try_send((Stream::Err, Vec::new()));
        }
    }
}

/// The other end, which reports how the writing went.
pub(crate) struct Writer {
    failure: watch::Receiver<Option<Arc<io::Error>>>,
    finished: Flag,
    give_up: Flag,
    blocked: Blocked,
}

/// Whether the writer waits for a reader, and what came of it. Clones share one state.
#[derive(Clone, Default)]
pub(crate) struct Blocked(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    since: Option<Instant>,
    /// Lines were dropped, because nothing waits for the reader any longer.
    lost: bool,
}

impl Blocked {
    /// A reader that takes nothing for this long is not waited for, once the run is to stop.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// Resolves when the writer has waited in vain for that long, and not before. Cancel safe.
    pub(crate) async fn too_long(&self) {
        let waited = || self.lock().since.map(|since| since.elapsed());
        while waited().is_none_or(|waited| waited < Self::PATIENCE) {
            sleep(Self::PATIENCE / 10).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// Starts the writer. Once `give_up` is set, nothing waits for a reader any longer. The bar is
    /// taken off the terminal while something is written.
    pub(crate) fn start(give_up: &Flag, bar: Option<ProgressBar>) -> io::Result<(Sink, Writer)> {
        let (queue, pieces) = mpsc::channel(QUEUE);
        let (report, failure) = watch::channel(None);
        let finished = Flag::new();
        let at_end = finished.clone();
        let pending = Arc::new(Mutex::new(Vec::new()));
        let of_tickers = Arc::clone(&pending);
        let blocked = Blocked::default();
        let of_writer = blocked.clone();
        thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                write_all_pieces(pieces, &of_tickers, bar.as_ref(), &report, &of_writer);
                at_end.set();
            })?;
        let writer = Writer {
            failure,
            finished,
            give_up: give_up.clone(),
            blocked: blocked.clone(),
        };
        Ok((
            Sink {
                queue,
                pending,
                give_up: give_up.clone(),
                blocked,
                turn: Arc::default(),
            },
            writer,
        ))
    }

    /// Resolves when no other caller has a turn. Pieces that are sent before the result is dropped
    /// come out together, provided that every caller sends such pieces within a turn.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Hands over whole lines. Resolves when there was room for them. On a stream that failed they
    /// are dropped; [`Writer::failed`] has reported the failure.
    pub(crate) async fn send(&self, stream: Stream, lines: Vec<u8>) {
        tokio::select! {
            biased;
            // An error would mean that the writer has ended, and it outlives every sender.
            _ = self.queue.send((stream, lines)) => {}
            () = self.give_up.wait() => self.blocked.lock().lost = true,
        }
    }

    /// The same, if there is anything to send.
    pub(super) async fn send_some(&self, stream: Stream, lines: Vec<u8>) {
        if !lines.is_empty() {
            self.send(stream, lines).await;
        }
    }
}

impl Sink {
    pub(crate) fn redraw(&self) -> Redraw {
        Redraw(self.queue.downgrade())
    }

    pub(crate) fn ticker(&self) -> Ticker {
        Ticker {
            pending: Arc::clone(&self.pending),
            queue: self.queue.clone(),
        }
    }
}

impl Ticker {
    /// For standard error.
    pub(crate) fn send(&self, line: &[u8]) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.extend_from_slice(line);
        // Only wakes the writer. If the queue is full, the writer is awake, and looks here first.
        let _ = self.queue.try_send((Stream::Err, Vec::new()));
    }
}

impl Writer {
    /// Resolves when writing has failed, and not before. Cancel safe.
    pub(crate) async fn failed(&mut self) -> Arc<io::Error> {
        let failure = match self.failure.wait_for(Option::is_some).await {
            Ok(failure) => failure.clone(),
            // The writer ended without an error.
            Err(_) => None,
        };
        match failure {
            Some(error) => error,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn blocked(&self) -> Blocked {
        self.blocked.clone()
    }

    /// Resolves when everything is written, or nothing waits for the reader any longer, with the
    /// first error, if any. Every [`Sink`] must have been dropped.
    pub(crate) async fn finished(self) -> Option<Arc<io::Error>> {
        let is_finished = tokio::select! {
            biased;
            () = self.finished.wait() => true,
            () = self.give_up.wait() => false,
        };
        let lost = !is_finished || self.blocked.lock().lost;
        let unread = || Arc::new(io::Error::new(io::ErrorKind::TimedOut, "nothing read it"));
        let failure = self.failure.borrow().clone();
        failure.or_else(|| lost.then(unread))
    }
}

fn write_all_pieces(
    mut pieces: mpsc::Receiver<(Stream, Vec<u8>)>,
    pending: &Mutex<Vec<u8>>,
    bar: Option<&ProgressBar>,
    report: &watch::Sender<Option<Arc<io::Error>>>,
    blocked: &Blocked,
) {
    let stdout = io::stdout();
    let stderr = io::stderr();
    let (mut out, mut err) = (Some(stdout.as_fd()), Some(stderr.as_fd()));
    let mut modes = Modes::default();
    let mut write = |stream, lines: &[u8]| {
        // Often nothing has come. Then the bar need not be drawn again.
        if lines.is_empty() {
            return;
        }
        modes.follow(stream, lines);
        let target = match stream {
            Stream::Out => &mut out,
            Stream::Err => &mut err,
        };
        let Some(fd) = *target else { return };
        let written = match bar {
            Some(bar) => bar.suspend(|| write_whole(fd, lines, blocked)),
            None => write_whole(fd, lines, blocked),
        };
        if let Err(error) = written {
            *target = None;
            report.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert_with(|| Arc::new(error.into()));
                is_first
            });
        }
    };
    loop {
        let piece = pieces.blocking_recv();
        let ticked = std::mem::take(&mut *pending.lock().unwrap_or_else(PoisonError::into_inner));
        write(Stream::Err, &ticked);
        match (piece, bar) {
            // Without this call it would be drawn a little later.
            (Some((_, lines)), Some(bar)) if lines.is_empty() => bar.suspend(|| {}),
            (Some((stream, lines)), _) => write(stream, &lines),
            (None, _) => break,
        }
    }
    // Nothing follows that could change them again.
    for (stream, restore) in modes.restore() {
        let fd = match stream {
            Stream::Out => stdout.as_fd(),
            Stream::Err => stderr.as_fd(),
        };
        let _ = write_whole(fd, restore.as_bytes(), blocked);
    }
}

/// Bypasses Rust's own buffers. Waits if another process made the descriptor non-blocking.
fn write_whole(fd: BorrowedFd<'_>, mut bytes: &[u8], blocked: &Blocked) -> Result<(), Errno> {
    while !bytes.is_empty() {
        blocked.lock().since = Some(Instant::now());
        let written = write(fd, bytes);
        blocked.lock().since = None;
        match written {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                blocked.lock().since = Some(Instant::now());
                // Its result does not matter: the write reports the error.
                let _ = poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
