//! Prints the tree when a signal asks for it.

use tokio::signal::unix::{SignalKind, signal};

use crate::signals::SignalThread;

/// A thread that prints the tree at each of these signals, until it is dropped.
///
/// # Panics
/// When one of the signals cannot be handled, or when the thread cannot be started.
pub(crate) fn tree_on_signal(kinds: &[SignalKind]) -> Option<SignalThread> {
    if kinds.is_empty() {
        return None;
    }
    let print = || {
        for &kind in kinds {
            let mut signal = signal(kind).unwrap_or_else(|error| {
                let number = kind.as_raw_value();
                panic!("`tree_on_signal`: signal {number} cannot be handled: {error}")
            });
            tokio::spawn(async move {
                while signal.recv().await.is_some() {
                    eprintln!("{}", crate::observe::tree());
                }
            });
        }
        Ok(std::future::pending())
    };
    match SignalThread::start(print) {
        Ok(thread) => Some(thread),
        Err(error) => panic!("`tree_on_signal`: its thread cannot be started: {error}"),
    }
}
