//! A task is cancelled, and saves its data first.
//!
//! Its work may be interrupted, but its save may not: `shield` keeps cancellations out until the
//! save has finished. Unlike `asyncio.shield` it leaves no work running in the background: the task
//! stays until the save is done, and the group waits for the task.

use std::time::Duration;

use taskgroup::{Cancelled, ErrorGroup, TaskGroup, shield, until_cancelled};
use tokio::time::sleep;

async fn critical_save(data: &str) {
    sleep(Duration::from_secs(1)).await;
    println!("Saved: {data}");
}

async fn task_with_critical_section() -> Result<(), Cancelled> {
    let work = sleep(Duration::from_secs(5));
    if let Err(cancelled) = until_cancelled(work).await {
        shield(critical_save("important_data")).await;
        return Err(cancelled);
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ErrorGroup> {
    TaskGroup::run(async |group| {
        let task = group.spawn(task_with_critical_section());
        sleep(Duration::from_millis(500)).await;
        task.cancel();
        if task.await.is_err_and(|error| error.is_cancelled()) {
            println!("Task was cancelled, but data was saved!");
        }
        Ok(())
    })
    .await
}
