//! Prints the tree when a signal asks for it.

use std::thread::JoinHandle;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// A thread that prints the tree at each of its signals, until this is dropped.
#[derive(Debug)]
pub(crate) struct TreeOnSignal(Option<(oneshot::Sender<()>, JoinHandle<()>)>);

impl TreeOnSignal {
    /// # Panics
    /// When one of the signals cannot be handled, or when the thread cannot be started.
    pub(crate) fn start(kinds: &[SignalKind]) -> Self {
        if kinds.is_empty() {
            return Self(None);
        }
        // It does not run on the program's runtime: the user may ask for the tree because nothing
        // is polled there any more.
        let runtime = Builder::new_current_thread().enable_io().build();
        let runtime = runtime.unwrap_or_else(|error| {
            panic!("`tree_on_signal`: no runtime for its signals: {error}")
        });
        let signals: Vec<_> = {
            let _inside = runtime.enter();
            let handle = |&kind| match signal(kind) {
                Ok(signal) => signal,
                Err(error) => panic!(
                    "`tree_on_signal`: signal {} cannot be handled: {error}",
                    kind.as_raw_value()
                ),
            };
            kinds.iter().map(handle).collect()
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let print = async move {
            let printers = signals.into_iter().map(|mut signal| {
                tokio::spawn(async move {
                    while signal.recv().await.is_some() {
                        eprintln!("{}", crate::observe::tree());
                    }
                })
            });
            let printers: Vec<_> = printers.collect();
            let _ = stopped.await;
            printers.iter().for_each(tokio::task::JoinHandle::abort);
        };
        let thread = std::thread::Builder::new().name("taskgroup-signal".into());
        match thread.spawn(move || runtime.block_on(print)) {
            Ok(thread) => Self(Some((stop, thread))),
            Err(error) => panic!("`tree_on_signal`: its thread cannot be started: {error}"),
        }
    }
}

impl Drop for TreeOnSignal {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}
