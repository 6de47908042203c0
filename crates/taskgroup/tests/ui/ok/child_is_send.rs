// `Arc` may go to another thread, and the body may use an `Rc`.
use std::rc::Rc;
use std::sync::Arc;
use taskgroup::{BoxError, TaskGroup};

async fn program() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        let (here, shared) = (Rc::new(1), Arc::new(2));
        group.spawn(async move { println!("{shared}") });
        println!("{here}");
        Ok(())
    })
    .await?;
    Ok(())
}

fn main() {
    drop(program());
}
