// Children run in parallel on any worker, so they have to be `Send`.
use std::rc::Rc;
use taskgroup::{BoxError, TaskGroup};

async fn program() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        let shared = Rc::new(1);
        group.spawn(async move { println!("{shared}") });
        Ok(())
    })
    .await?;
    Ok(())
}

fn main() {
    drop(program());
}
