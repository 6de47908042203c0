use taskgroup::{BoxError, TaskGroup};

#[tokio::main]
async fn main() {
TaskGroup::run(async |group| {
    let name = group.spawn(async { Ok::<_, BoxError>(String::from("Ada")) });
    Ok((name.await?, name.await?))
})
.await
.unwrap();
}
