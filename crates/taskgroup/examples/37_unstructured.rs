//! Unstructured and structured: an operation fails between the start of two tasks and the wait for
//! them.
//!
//! With `tokio::spawn` the two tasks are orphans from then on: no code waits for them or gets their
//! errors, and they use what the caller believes to be its own again. In a group the same `?` ends
//! them first.

use std::time::Duration;

use taskgroup::{BoxError, TaskGroup};
use tokio::time::{Instant, sleep};

async fn fetch_data(number: u32) -> Result<u32, BoxError> {
    sleep(Duration::from_secs(2)).await;
    println!("  task {number} wrote its data");
    Ok(number)
}

async fn some_operation() -> Result<(), BoxError> {
    sleep(Duration::from_secs(1)).await;
    Err("some operation failed".into())
}

async fn unstructured() -> Result<(u32, u32), BoxError> {
    let first = tokio::spawn(fetch_data(1));
    let second = tokio::spawn(fetch_data(2));
    some_operation().await?; // returns here, and the two tasks stay
    Ok((first.await??, second.await??))
}

async fn structured() -> Result<(u32, u32), BoxError> {
    let run = TaskGroup::run(async |group| {
        let first = group.spawn(fetch_data(1));
        let second = group.spawn(fetch_data(2));
        some_operation().await?; // returns here, and no task stays
        Ok((first.await?, second.await?))
    });
    Ok(run.await?)
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let start = Instant::now();
    println!("unstructured: {:?}", unstructured().await.is_err());
    println!("  it returned after {:?}", start.elapsed());
    sleep(Duration::from_secs(5)).await;

    let start = Instant::now();
    println!("structured: {:?}", structured().await.is_err());
    println!("  it returned after {:?}", start.elapsed());
    sleep(Duration::from_secs(5)).await;
}
