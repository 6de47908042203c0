//! As many tasks as there are items, with results in the order of the items, in whatever order the
//! tasks end.

use std::time::Duration;

use taskgroup::{BoxError, ErrorGroup, TaskGroup};
use tokio::time::sleep;

async fn process_item(item: &'static str) -> Result<String, BoxError> {
    // The longer the word, the later it is done.
    sleep(Duration::from_millis(10 * item.len() as u64)).await;
    println!("done: {item}");
    Ok(item.to_uppercase())
}

async fn process_items(items: &[&'static str]) -> Result<Vec<String>, ErrorGroup> {
    TaskGroup::run(async |group| {
        let tasks: Vec<_> = items
            .iter()
            .map(|item| group.spawn(process_item(item)))
            .collect();
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await?);
        }
        Ok(results)
    })
    .await
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ErrorGroup> {
    println!("{:?}", process_items(&["cherry", "fig", "apple"]).await?);
    println!("{:?}", process_items(&[]).await?);
    Ok(())
}
