//! Ten tasks, one of which fails: three more ways to notice it.
//!
//! In order of completion, by asking the handles from time to time, and by a policy that counts.
//! Each ends with the same error, and none leaves a task behind.

use std::time::Duration;

use taskgroup::combine::Until;
use taskgroup::observe::live_tasks;
use taskgroup::{BoxError, ErrorGroup, Policy, TaskGroup, TaskHandle, as_completed, wait_timeout};
use tokio::time::sleep;

async fn task(number: u64) -> Result<u64, BoxError> {
    sleep(Duration::from_secs(number)).await;
    match number {
        5 => Err("Something bad happened".into()),
        _ => Ok(number),
    }
}

/// Takes outcomes as they come, and stops at the first failure.
async fn in_order_of_completion() -> Result<(), ErrorGroup> {
    TaskGroup::run(async |group| {
        let tasks = (0..10).rev().map(|number| group.spawn(task(number)));
        let mut outcomes = as_completed(tasks);
        while let Some((_index, outcome)) = outcomes.next().await {
            println!("  task {} is done", outcome?);
        }
        Ok(())
    })
    .await
}

/// Waits for two seconds at a time, and looks at the handles. The policy lets the body decide.
async fn by_asking() -> Result<(), ErrorGroup> {
    let group = TaskGroup::builder().policy(Policy::collect());
    group
        .run(async |group| {
            let tasks: Vec<_> = (0..10).map(|number| group.spawn(task(number))).collect();
            loop {
                wait_timeout(Duration::from_secs(2), &tasks, Until::All).await;
                let outcomes: Vec<_> = tasks.iter().filter_map(TaskHandle::outcome).collect();
                println!("  {} have ended", outcomes.len());
                if outcomes.iter().any(Result::is_err) {
                    group.cancel();
                    return Ok(());
                }
            }
        })
        .await
}

/// Lets the group count: the first failure ends it, as it does by default.
async fn by_policy() -> Result<(), ErrorGroup> {
    let group = TaskGroup::builder().policy(Policy::stop_after(1));
    group
        .run(async |group| {
            for number in 0..10 {
                group.spawn(task(number));
            }
            Ok(())
        })
        .await
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    println!("in order of completion:");
    let error = in_order_of_completion().await.unwrap_err();
    println!("  {}, {} left", error.cause(), live_tasks());

    println!("by asking:");
    let error = by_asking().await.unwrap_err();
    println!("  {}, {} left", error.cause(), live_tasks());

    println!("by policy:");
    let error = by_policy().await.unwrap_err();
    println!("  {}, {} left", error.cause(), live_tasks());
}
