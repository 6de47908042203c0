//! One task fails, and the two others learn that they are cancelled.
//!
//! A task that only has destructors to run needs no code for that. A task that wants to act on its
//! cancellation asks with `until_cancelled`. The `Cancelled` that it gets delays the cancellation
//! while the task cleans up. Returning it ends the task as cancelled.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use taskgroup::{Cancelled, ErrorGroup, TaskGroup, until_cancelled};
use tokio::time::sleep;

#[derive(Debug)]
struct ValueError(&'static str);

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for ValueError {}

async fn long_running_task(id: u32) -> Result<String, Cancelled> {
    println!("Task {id}: Starting...");
    if let Err(cancelled) = until_cancelled(sleep(Duration::from_secs(10))).await {
        println!("Task {id}: Cancelled!");
        return Err(cancelled);
    }
    println!("Task {id}: Completed!");
    Ok(format!("Result {id}"))
}

async fn failing_task() -> Result<(), ValueError> {
    sleep(Duration::from_millis(500)).await;
    Err(ValueError("I failed!"))
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ErrorGroup> {
    let outcome = TaskGroup::run(async |group| {
        group.spawn(long_running_task(1));
        group.spawn(long_running_task(2));
        group.spawn(failing_task());
        Ok(())
    })
    .await;
    match outcome {
        Ok(()) => Ok(()),
        // Anything but a `ValueError` is returned unchanged.
        Err(errors) => errors
            .on::<ValueError>(|_| println!("Caught ValueError"))
            .rest(),
    }
}
