//! Ten tasks of which one fails, the way of `asyncio.wait(FIRST_EXCEPTION)`: what is done and what still runs.
//!
//! As in the program before, a task answers with a `Result` instead of failing. The answers are taken in the order in
//! which they come, until one is an `Err`; the handles that are left belong to the tasks that still run.
//! `asyncio.wait` calls the first set "failed" though it may hold successes, too: here the failures are counted.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use taskgroup::{BoxError, ErrorGroup, TaskGroup};
use tokio::time::sleep;

async fn task(number: u32) -> Result<(), BoxError> {
    println!(">task {number} executing");
    sleep(Duration::from_secs(1)).await;
    if number == 5 {
        println!(">task {number} failing");
        return Err("Something bad happened".into());
    }
    sleep(Duration::from_secs(1)).await;
    println!(">task {number} done");
    Ok(())
}

/// The task never fails, whatever it answers.
async fn answer(number: u32) -> Result<Result<(), BoxError>, Infallible> {
    Ok(task(number).await)
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ErrorGroup> {
    TaskGroup::run(async |group| {
        let mut running: FuturesUnordered<_> =
            (0..10).map(|number| group.spawn(answer(number))).collect();
        let mut failed = 0;
        while let Some(answer) = running.next().await {
            if answer?.is_err() {
                failed += 1;
                break;
            }
        }
        if failed == 0 {
            println!("No tasks failed");
        } else {
            println!("{failed} task(s) failed, cancelling the rest");
            for task in &running {
                task.cancel();
            }
        }
        Ok(())
    })
    .await
}
