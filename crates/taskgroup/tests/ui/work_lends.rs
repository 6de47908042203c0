// An `async move` closure owns what it uses and would lend that to each of its futures.
use taskgroup::{BoxError, map};

async fn program() -> Result<(), BoxError> {
    let prefix = String::from("page ");
    map(5, 1..=9, async move |n: u32| Ok::<_, BoxError>(format!("{prefix}{n}"))).await?;
    Ok(())
}

fn main() {
    drop(program());
}
