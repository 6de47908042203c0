// A child says whether it failed: it returns `()` or a `Result`.
use taskgroup::{BoxError, TaskGroup};

async fn program() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        group.spawn(async { 42 });
        Ok(())
    })
    .await?;
    Ok(())
}

fn main() {
    drop(program());
}
