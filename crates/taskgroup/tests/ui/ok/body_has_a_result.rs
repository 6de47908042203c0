use taskgroup::{BoxError, TaskGroup};

async fn program() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        group.spawn(async {});
        Ok(())
    })
    .await?;
    // A plain closure is a body, too.
    TaskGroup::run(|group| async move {
        group.spawn(async {}).await?;
        Ok(())
    })
    .await?;
    Ok(())
}

fn main() {
    drop(program());
}
