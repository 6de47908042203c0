//! A deadline around a group: two tasks would take ten seconds, but only five are allowed.
//!
//! At the deadline the whole group is cancelled. `timeout` returns when all of it has ended.

use std::time::Duration;

use taskgroup::{BoxError, TaskGroup, timeout};
use tokio::time::sleep;

async fn slow_task() -> Result<(), BoxError> {
    sleep(Duration::from_secs(10)).await;
    println!("never printed");
    Ok(())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let group = TaskGroup::run(async |group| {
        group.spawn(slow_task());
        group.spawn(slow_task());
        Ok(())
    });
    match timeout(Duration::from_secs(5), group).await {
        Ok(outcome) => outcome?,
        Err(_) => println!("TaskGroup timed out - all tasks cancelled"),
    }
    Ok(())
}
