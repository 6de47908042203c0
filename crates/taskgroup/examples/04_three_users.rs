//! Three tasks and their results: spawn, await, assemble.
//!
//! The three requests run at the same time. If one failed, the other two would be cancelled and
//! `run` would return its error.

use std::time::Duration;

use taskgroup::{BoxError, ErrorGroup, TaskGroup};
use tokio::time::sleep;

#[derive(Debug)]
#[expect(dead_code, reason = "read by `Debug` only")]
struct User {
    id: u32,
    name: String,
}

/// Simulates a request that takes a tenth of a second.
async fn fetch_user(id: u32) -> Result<User, BoxError> {
    sleep(Duration::from_millis(100)).await;
    let name = format!("User {id}");
    Ok(User { id, name })
}

#[tokio::main]
async fn main() -> Result<(), ErrorGroup> {
    let users = TaskGroup::run(async |group| {
        let first = group.spawn(fetch_user(1));
        let second = group.spawn(fetch_user(2));
        let third = group.spawn(fetch_user(3));
        Ok([first.await?, second.await?, third.await?])
    })
    .await?;
    for user in users {
        println!("{user:?}");
    }
    Ok(())
}
