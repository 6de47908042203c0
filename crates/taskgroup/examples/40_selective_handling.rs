//! Errors of three types, a clause for each: `except*` in Rust.
//!
//! Clauses run in order. Each gets the part of the tree with its type, and what none of them takes
//! is still an error.

use std::fmt;
use std::time::Duration;

use taskgroup::{ErrorGroup, TaskGroup};
use tokio::time::sleep;

macro_rules! errors {
    ($($name:ident)+) => {$(
        #[derive(Debug)]
        struct $name(&'static str);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }

        impl std::error::Error for $name {}
    )+};
}

errors! { ValueError TypeError RuntimeError }

/// All three fail in the same instant.
async fn failing<E>(error: E) -> Result<(), E> {
    sleep(Duration::from_millis(10)).await;
    Err(error)
}

async fn mixed_failures() -> Result<(), ErrorGroup> {
    TaskGroup::run(async |group| {
        group.spawn(failing(ValueError("not a number")));
        group.spawn(failing(TypeError("not a list")));
        group.spawn(failing(RuntimeError("not today")));
        group.spawn(failing(ValueError("not a date")));
        Ok(())
    })
    .await
}

/// The messages of the errors in this part.
fn messages(part: &ErrorGroup) -> Vec<String> {
    let errors = part.leaves().filter_map(|leaf| leaf.task().error());
    errors.map(ToString::to_string).collect()
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ErrorGroup> {
    let errors = mixed_failures().await.unwrap_err();
    errors
        .on::<ValueError>(|eg| println!("ValueError(s): {:?}", messages(&eg)))
        .on::<TypeError>(|eg| println!("TypeError(s): {:?}", messages(&eg)))
        .on::<RuntimeError>(|eg| println!("RuntimeError(s): {:?}", messages(&eg)))
        .rest()
}
