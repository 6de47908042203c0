// A handle gives its value once.
use taskgroup::{BoxError, TaskGroup};

async fn program() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        let handle = group.spawn(async { Ok::<_, BoxError>(String::new()) });
        let first = handle.await?;
        let second = handle.await?;
        Ok(first == second)
    })
    .await?;
    Ok(())
}

fn main() {
    drop(program());
}
