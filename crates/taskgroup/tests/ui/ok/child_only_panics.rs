use taskgroup::{BoxError, TaskGroup};

async fn program() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        // The block has the type `!`, and so has the value of the child.
        group.spawn(async { panic!("not written yet") }).await?;
        Ok(())
    })
    .await?;
    Ok(())
}

fn main() {
    drop(program());
}
