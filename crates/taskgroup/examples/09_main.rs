//! `asyncio.run(main())`: the attribute `#[taskgroup::main]`.
//!
//! It starts a runtime with a thread for each core and makes `main` the root of the tree. What is
//! still there when `main` returns is cancelled and awaited. Ctrl-C and `SIGTERM` cancel `main`, so
//! its cleanup runs, here within two seconds. An error is printed as a tree, and the exit code is
//! 1.

use taskgroup::{ErrorGroup, TaskGroup};

async fn square(number: u64) -> u64 {
    number * number
}

#[taskgroup::main(grace = "2s")]
async fn main() -> Result<(), ErrorGroup> {
    let sum = TaskGroup::run(async |group| {
        let squares: Vec<_> = (1..=10)
            .map(|number| group.spawn_value(square(number)))
            .collect();
        let mut sum = 0;
        for square in squares {
            sum += square.await?;
        }
        Ok(sum)
    })
    .await?;
    println!("the squares up to ten add up to {sum}");
    Ok(())
}
