// By reference it gives `&T` as often as one likes.
use taskgroup::{BoxError, TaskGroup};

async fn program() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        let handle = group.spawn(async { Ok::<_, BoxError>(String::new()) });
        let same = (&handle).await.ok() == (&handle).await.ok();
        let value = handle.await?;
        Ok(same && value.is_empty())
    })
    .await?;
    Ok(())
}

fn main() {
    drop(program());
}
