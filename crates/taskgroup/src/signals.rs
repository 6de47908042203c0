//! A thread that waits for signals.
//!
//! It does not run on the program's runtime. A signal is sent because the program does not end, and
//! then the reason may be that nothing is polled there any more.

use std::io;
use std::thread::JoinHandle;

use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// The thread, until this is dropped.
#[derive(Debug)]
pub(crate) struct SignalThread(Option<(oneshot::Sender<()>, JoinHandle<()>)>);

impl SignalThread {
    /// Runs the future that `handle` makes. This thread calls `handle`, inside the runtime of the
    /// new one, so a signal that it registers counts from now on.
    pub(crate) fn start<F>(handle: impl FnOnce() -> io::Result<F>) -> io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handled = {
            let _inside = runtime.enter();
            handle()?
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let work = async move {
            tokio::select! {
                biased;
                _ = stopped => {}
                () = handled => {}
            }
        };
        let thread = std::thread::Builder::new().name("taskgroup-signal".into());
        let thread = thread.spawn(move || runtime.block_on(work))?;
        Ok(Self(Some((stop, thread))))
    }
}

impl Drop for SignalThread {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}
