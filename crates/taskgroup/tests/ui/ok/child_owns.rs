// The child owns a clone; the body, which runs inline, borrows.
use taskgroup::{BoxError, TaskGroup};

async fn program() -> Result<(), BoxError> {
    let text = String::from("local");
    TaskGroup::run(async |group| {
        let owned = text.clone();
        group.spawn(async move { println!("{}", owned.len()) });
        println!("{}", text.len());
        Ok(())
    })
    .await?;
    Ok(())
}

fn main() {
    drop(program());
}
