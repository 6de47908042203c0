//! Two tasks of which one fails.
use std::time::Duration;
use taskgroup::TaskGroup;
use tokio::time::sleep;

#[tokio::main]
async fn main() {
    let outcome = TaskGroup::run(async |group| {
        let failing = async { Err::<(), _>("the disk is full") };
        group.task("quick").spawn(failing);
        group.task("slow").spawn(sleep(Duration::from_secs(100)));
        Ok(())
    })
    .await; // at once: "slow" was cancelled, and has ended
    println!("{:#}", outcome.unwrap_err());
}
