//! A task outside the group, started and forgotten.
//!
//! With Tokio's own `spawn` that is possible, and the first half shows the result: the group has
//! ended and the task has not. For "start it and do not wait for it here", use a task of a group
//! that is further out. The function gets that group and returns at once, and the owner of the
//! group waits.

use std::time::Duration;

use taskgroup::{ErrorGroup, TaskGroup};
use tokio::time::sleep;

async fn background_work(whose: &str) {
    sleep(Duration::from_secs(5)).await;
    println!("  {whose} background work is done");
}

async fn main_work() {
    sleep(Duration::from_secs(1)).await;
}

async fn bad_example() -> Result<(), ErrorGroup> {
    tokio::spawn(background_work("the orphan's"));
    TaskGroup::run(async |group| {
        group.spawn(main_work());
        Ok(())
    })
    .await
}

/// Starts work that outlives the call, but not the group.
async fn good_example(longer: &TaskGroup) -> Result<(), ErrorGroup> {
    longer.spawn(background_work("the child's"));
    TaskGroup::run(async |group| {
        group.spawn(main_work());
        Ok(())
    })
    .await
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ErrorGroup> {
    bad_example().await?;
    println!("the bad example has returned, and no group has its task");
    sleep(Duration::from_secs(10)).await;

    TaskGroup::run(async |group| {
        good_example(&group).await?;
        println!(
            "the good example has returned, {} task is left",
            group.live()
        );
        Ok(())
    })
    .await?;
    println!("its group has ended, and everything in it");
    Ok(())
}
