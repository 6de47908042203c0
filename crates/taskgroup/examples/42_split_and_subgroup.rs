//! `split` and `subgroup`: parts of an error that keep the shape of the whole, with the rest raised
//! again.

use std::fmt;
use std::io;
use std::time::Duration;

use taskgroup::{BoxError, ErrorGroup, TaskGroup};
use tokio::time::sleep;

async fn fail(error: impl Into<BoxError>) -> Result<(), BoxError> {
    sleep(Duration::from_millis(10)).await;
    Err(error.into())
}

async fn two_levels() -> Result<(), ErrorGroup> {
    let outer = TaskGroup::builder().name("outer");
    let run = outer.run(async |group| {
        group
            .task("first")
            .spawn(fail(io::Error::other("disk full")));
        group.task("second").spawn(async {
            let inner = TaskGroup::builder().name("inner");
            let run = inner.run(async |group| {
                group
                    .task("third")
                    .spawn(fail(io::Error::other("no route")));
                group.task("fourth").spawn(fail(fmt::Error));
                Ok(())
            });
            run.await
        });
        Ok(())
    });
    run.await
}

/// The part with the I/O errors is handled, the rest is raised.
async fn handled() -> Result<(), ErrorGroup> {
    let Err(errors) = two_levels().await else {
        return Ok(());
    };
    let (io_errors, rest) = errors.split::<io::Error>();
    if let Some(io_errors) = io_errors {
        println!("I/O errors:");
        print_paths(&io_errors);
    }
    rest.map_or(Ok(()), Err)
}

fn print_paths(part: &ErrorGroup) {
    for leaf in part.leaves() {
        println!("  {}: {}", leaf.path(), leaf.task());
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let rest = handled().await.unwrap_err();
    println!("raised again:");
    print_paths(&rest);

    let errors = two_levels().await.unwrap_err();
    let deep = errors.subgroup_by(|leaf| leaf.depth() == 2).unwrap();
    println!(
        "a subgroup has {} of {}:",
        deep.leaf_count(),
        errors.leaf_count()
    );
    print_paths(&deep);
    println!(
        "none of them is a ParseIntError: {}",
        errors.subgroup::<std::num::ParseIntError>().is_none()
    );
}
