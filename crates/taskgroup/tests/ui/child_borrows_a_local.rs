// A child may live as long as its group, so it cannot borrow what is the caller's.
use taskgroup::{BoxError, TaskGroup};

async fn program() -> Result<(), BoxError> {
    let text = String::from("local");
    TaskGroup::run(async |group| {
        group.spawn(async { println!("{}", text.len()) });
        Ok(())
    })
    .await?;
    Ok(())
}

fn main() {
    drop(program());
}
