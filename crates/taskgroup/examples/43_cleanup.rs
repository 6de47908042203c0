//! A task that holds a resource is cancelled because its sibling fails, and releases the resource
//! first.
//!
//! `bracket` releases the resource in whatever way the task ends. Here the task is cancelled first.
//! Then it fails by itself, where a cleanup "on cancel" would release nothing. The other ways are
//! in `52_acquire_process_release`.

use std::time::Duration;

use taskgroup::{BoxError, TaskGroup, bracket};
use tokio::time::sleep;

struct Resource;

async fn acquire_resource() -> Result<Resource, BoxError> {
    Ok(Resource)
}

async fn release_resource(_: Resource) {
    sleep(Duration::from_millis(10)).await; // a release may await
    println!("Resource released");
}

async fn task_with_cleanup(rounds: Option<u32>) -> Result<(), BoxError> {
    bracket(
        acquire_resource(),
        async |_resource: &mut Resource| {
            let mut round = 0;
            while rounds != Some(round) {
                sleep(Duration::from_secs(1)).await;
                round += 1;
            }
            Err("the resource broke".into())
        },
        release_resource,
    )
    .await
}

async fn task_that_fails() -> Result<(), BoxError> {
    sleep(Duration::from_millis(2500)).await;
    Err("the sibling failed".into())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let run = TaskGroup::run(async |group| {
        group.spawn(task_with_cleanup(None));
        group.spawn(task_that_fails());
        Ok(())
    });
    println!("{}", run.await.unwrap_err());

    let run = TaskGroup::run(async |group| {
        group.spawn(task_with_cleanup(Some(2)));
        Ok(())
    });
    println!("{}", run.await.unwrap_err());
}
