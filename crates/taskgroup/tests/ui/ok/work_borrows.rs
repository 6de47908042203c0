use taskgroup::{BoxError, map};

async fn program() -> Result<(), BoxError> {
    let prefix = String::from("page ");
    map(5, 1..=9, async |n: u32| Ok::<_, BoxError>(format!("{prefix}{n}"))).await?;
    Ok(())
}

fn main() {
    drop(program());
}
