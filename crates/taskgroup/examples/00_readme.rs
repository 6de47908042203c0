//! Two tasks, one of which fails.
use std::time::Duration;
use taskgroup::TaskGroup;
use tokio::time::sleep;

#[tokio::main]
async fn main() {
    let outcome = TaskGroup::run(async |group| {
        group.task("log").spawn(async { Err::<(), _>("disk full") });
        group.task("slow").spawn(sleep(Duration::from_secs(100)));
        Ok(())
    });
    println!("{:#}", outcome.await.unwrap_err()); // at once: "slow" was cancelled, and has ended
}
