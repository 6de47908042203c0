//! Ten tasks, one of which fails, in the style of `asyncio.gather`: the first failure is returned
//! at once, and the body acts on it.
//!
//! Under the policy `collect` a failure cancels no other task, so the body decides. `gather` waits
//! for all tasks and ends with the first failure. Then the body cancels the tasks one by one. No
//! second loop awaits them: the group ends when they have ended, and it keeps the errors that
//! `asyncio.gather` would have dropped.

use std::time::Duration;

use taskgroup::{BoxError, Policy, TaskGroup, gather};
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
    let group = TaskGroup::builder().policy(Policy::collect());
    let run = group.run_to_end(async |group| {
        let mut tasks: Vec<_> = (0..10).map(|number| group.spawn(task(number))).collect();
        if let Err(errors) = gather(&mut tasks).await {
            if let Some(error) = errors.cause().error() {
                println!("A task failed with: {error}, canceling all tasks");
            }
            for task in &tasks {
                task.cancel();
            }
        }
        Ok(())
    });
    let (_, errors) = run.await;
    assert_eq!(errors.map(|errors| errors.leaf_count()), Some(1));
}
