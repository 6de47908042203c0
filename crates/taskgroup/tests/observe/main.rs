//! Seeing what runs: the live tree, the reports of what blocks, the recorder, the spans. (S33, S34,
//! S36)
//!
//! Much of this is about the whole process, so these tests are a binary of their own and run one at
//! a time.

#[cfg(feature = "recorder")]
mod browser;
#[cfg(feature = "recorder")]
mod chrome_trace;
mod local;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "recorder")]
mod recorder;
#[cfg(all(unix, feature = "runner"))]
mod signal;
#[cfg(feature = "tracing")]
mod spans;
mod stall;
mod tree;

use std::sync::{Mutex, MutexGuard};

/// The process for this test alone.
fn alone() -> MutexGuard<'static, ()> {
    static PROCESS: Mutex<()> = Mutex::new(());
    PROCESS
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Runs `test` on one thread in virtual time, with the process for itself.
fn paused<F: Future>(test: F) -> F::Output {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(test)
}

async fn forever() {
    std::future::pending::<()>().await;
}

/// Lets all others run until nothing more happens: virtual time jumps only then.
async fn settled() {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
}
