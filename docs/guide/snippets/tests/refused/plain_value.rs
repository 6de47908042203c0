use taskgroup::TaskGroup;

#[tokio::main]
async fn main() {
TaskGroup::run(async |group| {
    let answer = group.spawn(async { 42 });
    Ok(answer.await?)
})
.await
.unwrap();
}
