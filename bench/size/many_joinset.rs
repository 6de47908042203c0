//! A hundred kinds of children in a `JoinSet`.

use std::time::Duration;

use tokio::task::JoinSet;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

include!("children.rs");

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut set = JoinSet::new();
    spawn_a_hundred!(set);
    while let Some(ended) = set.join_next().await {
        ended??;
    }
    Ok(())
}
