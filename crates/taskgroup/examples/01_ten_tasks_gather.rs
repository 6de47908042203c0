//! Ten tasks of which one fails, the way of `asyncio.gather`: the first failure is an answer that the body acts on.
//!
//! A task that fails cancels its group. Here that decision is the body's, so a task does not fail: it answers with a
//! `Result` as its value. The body waits for all answers at once, and the first `Err` ends the wait. Then it cancels the
//! tasks one by one. There is no second loop that awaits them: the group is over when they are.
//!
//! The clock is paused, so the sleeps are exact and take no time; without `start_paused` the program lasts a second.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::future::try_join_all;
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
        let mut tasks: Vec<_> = (0..10).map(|number| group.spawn(answer(number))).collect();
        let all = try_join_all(tasks.iter_mut().map(|task| async move { task.await? }));
        if let Err(error) = all.await {
            println!("A task failed with: {error}, canceling all tasks");
            for task in &tasks {
                task.cancel();
            }
        }
        Ok(())
    })
    .await
}
