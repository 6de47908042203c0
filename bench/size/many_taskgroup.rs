//! A hundred kinds of children in a group.

use std::time::Duration;

use taskgroup::{BoxError, TaskGroup};

include!("children.rs");

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        spawn_a_hundred!(group);
        Ok(())
    })
    .await?;
    Ok(())
}
