//! The signals that end or suspend the run.
//!
//! They are caught before the first command starts, so a signal never ends the runner and leaves
//! its commands behind. Until then nothing has to be stopped, and they act as in any program.
//!
//! SIGHUP, SIGINT and SIGQUIT stay ignored if they were ignored at the start, as in a shell: that
//! is what `nohup` and the `&` of a script mean. SIGTERM is caught in any case, because it is how
//! others ask the run to stop.
//!
//! A second thread ends the runner if the first one does not act on a signal, because a write to a
//! file blocks, for example to a FIFO that is not read. The guards then stop the commands, as when
//! the runner is killed.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::SigSet;
use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGXFSZ,
};
use signal_hook::low_level::pipe;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::suspension::Suspension;

/// How often the runner shows that it acts on signals, once one has come.
const BEAT: Duration = Duration::from_millis(50);

/// A runner that does not act on a signal for this many looks is ended.
const LOOKS: u32 = 30;
const LOOK: Duration = Duration::from_millis(100);

/// A signal that asks the run to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Hangup,
    Interrupt,
    Quit,
    Terminate,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Stop(Stop),
    /// Ctrl-Z.
    Suspend,
    /// The terminal has another size.
    Resize,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stop::Hangup => "SIGHUP",
            Stop::Interrupt => "SIGINT",
            Stop::Quit => "SIGQUIT",
            Stop::Terminate => "SIGTERM",
        })
    }
}

pub(crate) struct Signals {
    hangup: Option<Signal>,
    interrupt: Option<Signal>,
    quit: Option<Signal>,
    terminate: Signal,
    suspension: Option<Suspension>,
    resize: Signal,
    beats: Arc<AtomicUsize>,
    beating: bool,
}

impl Signals {
    /// Starts to catch the signals. Needs a Tokio runtime. `at_exit` is called if this process has
    /// to end without its destructors.
    pub(crate) fn catch(at_exit: fn()) -> io::Result<Signals> {
        let ignored = Ignored::now();
        let unless_ignored = |number| {
            (!ignored.contains(number))
                .then(|| signal(SignalKind::from_raw(number)))
                .transpose()
        };
        // Before there is a second thread.
        let suspension = (!ignored.contains(SIGTSTP)).then(Suspension::catch);
        let suspension = suspension.transpose()?;
        let beats = Arc::new(AtomicUsize::new(0));
        let signals = Signals {
            hangup: unless_ignored(SIGHUP)?,
            interrupt: unless_ignored(SIGINT)?,
            quit: unless_ignored(SIGQUIT)?,
            terminate: signal(SignalKind::terminate())?,
            suspension,
            resize: signal(SignalKind::window_change())?,
            beats: Arc::clone(&beats),
            beating: false,
        };
        watch(ignored.stops_left(), beats, at_exit)?;
        if !ignored.contains(SIGXFSZ) {
            // A write that would make a file too large fails then, and does not end this process.
            signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        }
        Ok(signals)
    }

    /// What the next signal asks for. Cancel safe: a signal that was not returned stays pending.
    pub(crate) async fn next(&mut self) -> Asked {
        let asked = tokio::select! {
            () = arrival(&mut self.interrupt) => Asked::Stop(Stop::Interrupt),
            _ = self.terminate.recv() => Asked::Stop(Stop::Terminate),
            () = arrival(&mut self.quit) => Asked::Stop(Stop::Quit),
            () = arrival(&mut self.hangup) => Asked::Stop(Stop::Hangup),
            () = asked_to_suspend(&mut self.suspension) => Asked::Suspend,
            _ = self.resize.recv() => Asked::Resize,
        };
        if let (Asked::Stop(_), false) = (asked, self.beating) {
            self.beating = true;
            let beats = Arc::clone(&self.beats);
            tokio::spawn(async move {
                loop {
                    // Relaxed: the count is all there is.
                    beats.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(BEAT).await;
                }
            });
        }
        asked
    }

    /// Stops this process, as Ctrl-Z stops one that does not catch it. Returns when it is
    /// continued, or at once if it was continued since it was asked to stop.
    pub(crate) fn stop_here(&self) {
        if let Some(suspension) = &self.suspension {
            suspension.stop_here();
        }
    }

    /// Does not stop this process, although it was asked to.
    pub(crate) fn go_on(&self) {
        if let Some(suspension) = &self.suspension {
            suspension.go_on();
        }
    }
}

async fn asked_to_suspend(suspension: &mut Option<Suspension>) {
    match suspension {
        Some(suspension) => suspension.asked().await,
        None => std::future::pending().await,
    }
}

async fn arrival(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Here SIGTSTP is blocked, so it stays pending until this process acts on it. If SIGCONT comes
/// first, the kernel discards it. A handler would make the process stop itself after that, and
/// nothing would continue it again.
#[cfg(target_os = "linux")]
mod suspension {
    use std::io;

    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use nix::sys::signal::{SigSet, Signal};
    use nix::sys::signalfd::{SfdFlags, SignalFd};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use tokio::io::Interest;

    /// A descriptor that is readable while SIGTSTP is pending. It is no socket, but as one it can
    /// be registered with Tokio without unsafe code. Tokio reads nothing from it.
    pub(super) struct Suspension(tokio::net::UnixStream);

    impl Suspension {
        /// The threads that are started later block the signal as this one does.
        pub(super) fn catch() -> io::Result<Suspension> {
            the_signal().thread_block()?;
            let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
            let fd = SignalFd::with_flags(&the_signal(), flags)?;
            let fd = UnixStream::from(OwnedFd::from(fd));
            tokio::net::UnixStream::from_std(fd).map(Suspension)
        }

        pub(super) async fn asked(&mut self) {
            let fd = &self.0;
            let is_pending = || {
                let mut fds = [PollFd::new(fd, PollFlags::IN)];
                match poll(&mut fds, Some(&Timespec::default()))? {
                    0 => Err(io::ErrorKind::WouldBlock.into()),
                    _ => Ok(()),
                }
            };
            // It fails only when the runtime ends.
            if fd.async_io(Interest::READABLE, is_pending).await.is_err() {
                std::future::pending::<()>().await;
            }
        }

        pub(super) fn stop_here(&self) {
            // The signal acts now, before the first call returns, unless SIGCONT has come.
            let _ = the_signal().thread_unblock();
            let _ = the_signal().thread_block();
        }

        pub(super) fn go_on(&self) {
            // It takes the signal. If SIGCONT has done so, there is nothing to read.
            let _ = rustix::io::read(&self.0, &mut [0; 128]);
        }
    }

    fn the_signal() -> SigSet {
        SigSet::from(Signal::SIGTSTP)
    }
}

/// Without a way to wait for a signal that stays pending. A SIGCONT that follows at once may be
/// lost.
#[cfg(not(target_os = "linux"))]
mod suspension {
    use std::io;

    use signal_hook::consts::SIGTSTP;
    use signal_hook::low_level::emulate_default_handler;
    use tokio::signal::unix::{Signal, SignalKind, signal};

    pub(super) struct Suspension(Signal);

    impl Suspension {
        pub(super) fn catch() -> io::Result<Suspension> {
            signal(SignalKind::from_raw(SIGTSTP)).map(Suspension)
        }

        pub(super) async fn asked(&mut self) {
            drop(self.0.recv().await);
        }

        #[expect(clippy::unused_self, reason = "elsewhere it has a use")]
        pub(super) fn stop_here(&self) {
            // It cannot fail: the signal exists, and it is sent to this process.
            let _ = emulate_default_handler(SIGTSTP);
        }

        #[expect(clippy::unused_self, reason = "elsewhere it has a use")]
        pub(super) fn go_on(&self) {}
    }
}

/// Starts the thread that ends a runner which does not act on the first of these signals.
fn watch(
    signals: impl Iterator<Item = i32>,
    beats: Arc<AtomicUsize>,
    at_exit: fn(),
) -> io::Result<()> {
    let latest = Arc::new(AtomicUsize::new(0));
    let (mut wakes, by_handler) = UnixStream::pair()?;
    for number in signals {
        let value = usize::try_from(number).unwrap_or_default();
        signal_hook::flag::register_usize(number, Arc::clone(&latest), value)?;
        pipe::register(number, by_handler.try_clone()?)?;
    }
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            // The handlers keep the other end open for ever.
            if !matches!(wakes.read(&mut [0]), Ok(1)) {
                return;
            }
            let (mut last, mut silent) = (beats.load(Ordering::Relaxed), 0);
            while silent < LOOKS {
                thread::sleep(LOOK);
                let now = beats.load(Ordering::Relaxed);
                silent = if now == last { silent + 1 } else { 0 };
                last = now;
            }
            // Standard error may be what blocks.
            thread::spawn(|| {
                let text = "taskgroup: a write blocks, so nothing is left to do but to end; \
                            the guards stop the commands\n";
                let _ = io::stderr().write_all(text.as_bytes());
            });
            thread::sleep(LOOK);
            at_exit();
            let number = i32::try_from(latest.load(Ordering::Relaxed)).unwrap_or_default();
            std::process::exit(128 + number);
        })?;
    Ok(())
}

/// Unblocks all signals. The program that started this process may have blocked some, and `exec`
/// passes that on. Call it before there is a second thread.
pub(crate) fn unblock_all() {
    // It cannot fail with these arguments.
    let _ = SigSet::empty().thread_set_mask();
}

/// The name of the signal with this number, if it has one that is usual.
pub(crate) fn name(number: i32) -> Option<&'static str> {
    signal_hook::low_level::signal_name(number)
}

/// The signals that this process ignores.
pub(crate) struct Ignored(u64);

impl Ignored {
    /// Reads `/proc`, because any other way to get a signal's disposition needs unsafe code.
    /// Without `/proc` none counts as ignored.
    pub(crate) fn now() -> Ignored {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Ignored(mask(&status))
    }

    /// The signals that end a run and are to be received. SIGTERM always is.
    pub(crate) fn stops_left(&self) -> impl Iterator<Item = i32> + use<'_> {
        let inherited = [SIGHUP, SIGINT, SIGQUIT].into_iter();
        let received = inherited.filter(|&signal| !self.contains(signal));
        received.chain([SIGTERM])
    }

    /// The signals that a process which watches over a command outlives: those that end a run, and
    /// those that are for the command. Slurm sends them to all processes of a step.
    pub(crate) fn outlived(&self) -> impl Iterator<Item = i32> + use<'_> {
        let for_commands = [SIGUSR1, SIGUSR2, SIGALRM].into_iter();
        self.stops_left()
            .chain(for_commands.filter(|&signal| !self.contains(signal)))
    }

    pub(crate) fn contains(&self, signal: i32) -> bool {
        self.0 & (1 << (signal - 1)) != 0
    }
}

fn mask(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_watches_over_a_command_outlives_the_signals_that_are_for_the_command() {
        let outlived = |status: &str| Ignored(mask(status)).outlived().collect::<Vec<_>>();
        let all = outlived("");
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM] {
            assert!(all.contains(&signal), "{signal} of {all:?}");
        }
        // Ignored signals stay so, for the commands.
        let ignored = outlived(&format!("SigIgn:\t{:x}\n", 1 << (SIGUSR1 - 1)));
        assert!(!ignored.contains(&SIGUSR1), "{ignored:?}");
    }

    #[test]
    fn the_mask_counts_from_one() {
        let ignores = |status: &str, signal| Ignored(mask(status)).contains(signal);
        assert!(ignores("Name:\tsh\nSigIgn:\t0000000000000001\n", 1));
        assert!(!ignores("Name:\tsh\nSigIgn:\t0000000000000002\n", 1));
        assert!(ignores("SigIgn:\t0000000000000003\n", 2));
        assert!(!ignores("", 1));
    }
}
