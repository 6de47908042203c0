//! Broken and proper handling of a cancellation. The broken one breaks nothing here.
//!
//! The broken task learns that it is cancelled, discards that and continues. Discarding it only
//! gives up the right to clean up: at its next await the task is dropped. The deadline around the
//! other half is not disabled either.

use std::time::Duration;

use taskgroup::{Cancelled, ErrorGroup, TaskGroup, timeout, until_cancelled};
use tokio::time::{Instant, sleep};

async fn long_running_operation() {
    sleep(Duration::from_secs(3600)).await;
}

async fn cleanup() {
    sleep(Duration::from_millis(500)).await;
    println!("proper: cleaned up");
}

async fn broken_task() {
    loop {
        match until_cancelled(long_running_operation()).await {
            Ok(()) => println!("broken: done"),
            Err(_swallowed) => println!("broken: what cancellation?"),
        }
        long_running_operation().await; // it never gets past this point
        println!("broken: never printed");
    }
}

async fn proper_task() -> Result<(), Cancelled> {
    if let Err(cancelled) = until_cancelled(long_running_operation()).await {
        cleanup().await;
        return Err(cancelled);
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ErrorGroup> {
    let start = Instant::now();
    TaskGroup::run(async |group| {
        let broken = group.spawn(broken_task());
        let proper = group.spawn(proper_task());
        sleep(Duration::from_secs(1)).await;
        broken.cancel();
        proper.cancel();
        println!("broken is cancelled: {}", broken.await.is_err());
        println!("proper is cancelled: {}", proper.await.is_err());
        Ok(())
    })
    .await?;
    println!("the group ended after {:?}", start.elapsed());

    let start = Instant::now();
    let outcome = timeout(Duration::from_secs(1), broken_task()).await;
    println!("{} ({:?})", outcome.unwrap_err(), start.elapsed());
    Ok(())
}
