use taskgroup::TaskGroup;

#[tokio::main]
async fn main() {
let numbers = vec![1, 2, 3];
TaskGroup::run(async |group| {
    group.spawn(async { println!("{}", numbers.len()) });
    Ok(())
})
.await
.unwrap();
}
