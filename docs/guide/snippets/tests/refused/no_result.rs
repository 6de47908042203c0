use taskgroup::TaskGroup;

#[tokio::main]
async fn main() {
TaskGroup::run(async |group| {
    group.spawn(async { println!("working") });
})
.await
.unwrap();
}
