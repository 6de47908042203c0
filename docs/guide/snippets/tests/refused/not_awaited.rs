#![deny(unused_must_use)]
use taskgroup::TaskGroup;

#[tokio::main]
async fn main() {
TaskGroup::run(async |group| {
    group.spawn(async {});
    Ok(())
});
}
