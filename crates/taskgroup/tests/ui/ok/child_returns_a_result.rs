// A value that cannot fail is in an `Ok`.
use std::convert::Infallible;
use taskgroup::{BoxError, TaskGroup};

async fn program() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        group.spawn(async { Ok::<_, Infallible>(42) });
        Ok(())
    })
    .await?;
    Ok(())
}

fn main() {
    drop(program());
}
