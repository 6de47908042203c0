//! Handling the error of a group: there is one type for it, and every way to handle an error in
//! Rust accepts it.
//!
//! A plain `match` catches it, `?` passes it on like any error, and handling by type looks into the
//! tree. An error that no clause takes is not lost: `rest` returns it, and the compiler warns if it
//! is not used.

use std::io;

use taskgroup::{BoxError, ErrorGroup, TaskGroup};

async fn risky_task() -> Result<(), io::Error> {
    Err(io::Error::new(io::ErrorKind::NotFound, "no such file"))
}

async fn group() -> Result<(), ErrorGroup> {
    let group = TaskGroup::builder().name("files");
    group
        .run(async |group| {
            group.task("risky").spawn(risky_task());
            Ok(())
        })
        .await
}

/// Like any error, in code that is not aware of groups.
async fn passed_on() -> Result<(), BoxError> {
    group().await?;
    Ok(())
}

#[tokio::main]
async fn main() {
    if let Err(error) = group().await {
        println!("match: {error}");
    }

    let error = passed_on().await.unwrap_err();
    println!("`?`: {error}");
    println!("a group in a box: {}", error.is::<ErrorGroup>());
    let mut source = error.source();
    while let Some(cause) = source {
        println!("  caused by: {cause}");
        source = cause.source();
    }

    let error = group().await.unwrap_err();
    let kind = error.find::<io::Error>().map(io::Error::kind);
    println!("find: {kind:?}");

    let rest = error
        .on::<std::fmt::Error>(|_| println!("never printed"))
        .rest();
    println!("no clause took it: {}", rest.unwrap_err());
}
