// The body says whether it failed: it ends with `Ok(…)`.
use taskgroup::{BoxError, TaskGroup};

async fn program() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        group.spawn(async {});
    })
    .await?;
    Ok(())
}

fn main() {
    drop(program());
}
