//! Three children in a group.

use std::time::Duration;

use taskgroup::{BoxError, TaskGroup};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        group.spawn(hello("one"));
        group.spawn(async { hello("two").await });
        group.spawn(async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            println!("three");
            Ok::<(), BoxError>(())
        });
        Ok(())
    })
    .await?;
    Ok(())
}

async fn hello(name: &'static str) -> Result<(), BoxError> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    println!("{name}");
    Ok(())
}
