//! The signals that end the run.
//!
//! They are caught before the first command starts, so a signal never ends the runner and leaves
//! its commands behind. SIGINT, SIGTERM and SIGQUIT are caught even if they were ignored at the
//! start (a script's `&` ignores SIGINT), because the sender wants the run to stop. An ignored
//! SIGHUP stays ignored, because that is what `nohup` means.

use std::fmt;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that asks the run to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Hangup,
    Interrupt,
    Quit,
    Terminate,
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

pub(crate) struct StopSignals {
    hangup: Option<Signal>,
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Starts to catch the signals. Needs a Tokio runtime.
    pub(crate) fn catch() -> io::Result<StopSignals> {
        Ok(StopSignals {
            hangup: if hangup_is_ignored() {
                None
            } else {
                Some(signal(SignalKind::hangup())?)
            },
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next signal. Cancel safe: a signal that was not returned stays pending.
    pub(crate) async fn next(&mut self) -> Stop {
        let hangup = async {
            match &mut self.hangup {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Stop::Interrupt,
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.quit.recv() => Stop::Quit,
            _ = hangup => Stop::Hangup,
        }
    }
}

/// Reads `/proc`, because any other way to get a signal's disposition needs unsafe code. Without
/// `/proc`, SIGHUP counts as not ignored.
fn hangup_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| ignores(&status, nix::libc::SIGHUP))
}

fn ignores(status: &str, signal: i32) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_counts_from_one() {
        assert!(ignores("Name:\tsh\nSigIgn:\t0000000000000001\n", 1));
        assert!(!ignores("Name:\tsh\nSigIgn:\t0000000000000002\n", 1));
        assert!(ignores("SigIgn:\t0000000000000003\n", 2));
        assert!(!ignores("", 1));
    }
}
