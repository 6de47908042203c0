use std::rc::Rc;
use taskgroup::TaskGroup;

#[tokio::main]
async fn main() {
TaskGroup::run(async |group| {
    group.spawn(async {
        let shared = Rc::new(1);
        tokio::task::yield_now().await;
        println!("{shared}");
    });
    Ok(())
})
.await
.unwrap();
}
