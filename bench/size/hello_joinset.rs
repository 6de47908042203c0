//! The same three children in a `JoinSet`.

use std::time::Duration;

use tokio::task::JoinSet;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut set = JoinSet::new();
    set.spawn(hello("one"));
    set.spawn(async { hello("two").await });
    set.spawn(async {
        tokio::time::sleep(Duration::from_millis(2)).await;
        println!("three");
        Ok::<(), BoxError>(())
    });
    while let Some(ended) = set.join_next().await {
        ended??;
    }
    Ok(())
}

async fn hello(name: &'static str) -> Result<(), BoxError> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    println!("{name}");
    Ok(())
}
