//! Ten tasks, one of which fails, in the style of `asyncio.wait(FIRST_EXCEPTION)`: which tasks are
//! done and which are pending.
//!
//! Under the policy `collect` a failure cancels no other task, so the body decides. It waits for
//! the first failure, and then cancels the pending tasks. No second loop awaits them: the group
//! ends when they have ended.
//!
//! Programs for `asyncio.wait` often call the first set "failed", although it may contain successes
//! too, and take an empty second set for a success, although the last task to end may be the one
//! that failed. This one counts the failures.

use std::time::Duration;

use taskgroup::combine::Until;
use taskgroup::{BoxError, Policy, TaskGroup, TaskHandle, wait};
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

fn has_failed(task: &TaskHandle<()>) -> bool {
    matches!(task.outcome(), Some(Err(error)) if !error.is_cancelled())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let group = TaskGroup::builder().policy(Policy::collect());
    let run = group.run_to_end(async |group| {
        let tasks: Vec<_> = (0..10).map(|number| group.spawn(task(number))).collect();
        let waited = wait(&tasks, Until::FirstFailure).await;
        let failed = waited.done.iter().filter(|task| has_failed(task)).count();
        if failed == 0 {
            println!("No tasks failed");
            return Ok(());
        }
        println!("{failed} task(s) failed, cancelling the rest");
        for task in waited.pending {
            task.cancel();
        }
        Ok(())
    });
    let (_, errors) = run.await;
    assert_eq!(errors.map(|errors| errors.leaf_count()), Some(1));
}
