//! Children that borrow from their caller, or are not `Send`.
//!
//! The children of a `LocalGroup` are polled in the task that runs it: concurrently, never in
//! parallel. They share a `RefCell` without a lock. Limits, policies, deadlines and cleanup are
//! those of any group.

use std::cell::RefCell;
use std::rc::Rc;

use taskgroup::{BoxError, LocalGroup, checkpoint};

async fn count(text: &str, total: &RefCell<usize>) -> Result<usize, BoxError> {
    checkpoint().await;
    *total.borrow_mut() += text.len();
    Ok(text.len())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let lines = ["one".to_owned(), "three".to_owned(), "eleven".to_owned()];
    let total = RefCell::new(0);
    let lengths = LocalGroup::run(async |group| {
        let counts: Vec<_> = lines
            .iter()
            .map(|line| group.task(line.clone()).spawn(count(line, &total)))
            .collect();
        let mut lengths = Vec::new();
        for count in counts {
            lengths.push(count.await?);
        }
        Ok(lengths)
    });
    println!("{:?}, {} in all", lengths.await?, total.borrow());

    // An `Rc` in a child, and a failure that comes out as from any group.
    let shared = Rc::new(());
    let failed = LocalGroup::run(async |group| {
        let own = shared.clone();
        group.task("counts itself").spawn(async move {
            checkpoint().await;
            Err::<(), _>(format!("{} owners", Rc::strong_count(&own)))
        });
        Ok(())
    });
    println!("{}", failed.await.unwrap_err());
    println!("{} owner is left", Rc::strong_count(&shared));
    Ok(())
}
