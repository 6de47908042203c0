//! Ten tasks, one of which fails, in the style of a group: the failure cancels the others and is
//! returned as the group's error.
//!
//! This takes no code. When `run` returns, no task of the group is left, and `live_tasks()` says
//! so. It counts the tasks of groups. `main` is none, but `asyncio.all_tasks()` counts it, so it is
//! added here.

use std::time::Duration;

use taskgroup::observe::live_tasks;
use taskgroup::{BoxError, TaskGroup};
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

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let outcome = TaskGroup::run(async |group| {
        for number in 0..10 {
            group.spawn(task(number));
        }
        Ok(())
    })
    .await;
    if outcome.is_err() {
        println!("At least one task failed, rest were cancelled");
        let running = live_tasks() + 1; // and `main`
        println!("There are only {running} task(s) currently running");
    }
}
