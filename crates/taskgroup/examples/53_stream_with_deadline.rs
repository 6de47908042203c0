//! Yielding inside a timeout: in Python the deadline of a generator may hit the consumer of its
//! items. Here that cannot be written.
//!
//! A deadline encloses a future, and a future ends before its scope does, so no scope is left open
//! at a `yield`. A source of items is a task and a channel. Each side has its own deadlines: the
//! source may take a second for each item, the consumer takes as long as it likes, and neither is
//! hit by the other's deadline.

use std::convert::Infallible;
use std::time::Duration;

use taskgroup::{ErrorGroup, TaskGroup, TimedOut, timeout};
use tokio::sync::mpsc;
use tokio::time::sleep;

async fn next_item(number: u64) -> u64 {
    sleep(Duration::from_millis(400 * number)).await;
    number
}

/// Sends items until one takes more than a second.
async fn produce(items: mpsc::Sender<u64>) -> TimedOut {
    let mut number = 0;
    loop {
        number += 1;
        match timeout(Duration::from_secs(1), next_item(number)).await {
            // The deadline does not include the wait for a slow consumer.
            Ok(item) => items.send(item).await.expect("the consumer waits"),
            Err(timed_out) => return timed_out,
        }
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ErrorGroup> {
    TaskGroup::run(async |group| {
        let (items, mut received) = mpsc::channel(1);
        let source = group.task("source");
        let source = source.spawn(async { Ok::<_, Infallible>(produce(items).await) });
        while let Some(item) = received.recv().await {
            sleep(Duration::from_secs(5)).await;
            println!("item {item}");
        }
        println!("the source: {}", source.await?);
        Ok(())
    })
    .await
}
