//! When does a group give up? The same five tasks under each policy.
//!
//! Tasks 2 and 4 fail, each task after as many seconds as its number says. `run_to_end` returns
//! what the body has got, and every failure that the policy did not expect.

use std::time::Duration;

use taskgroup::{BoxError, Policy, TaskGroup};
use tokio::time::{Instant, sleep};

async fn work(number: u64) -> Result<u64, BoxError> {
    sleep(Duration::from_secs(number)).await;
    match number {
        2 | 4 => Err(format!("task {number} failed").into()),
        _ => Ok(number),
    }
}

async fn under(name: &str, policy: Policy) {
    let start = Instant::now();
    let group = TaskGroup::builder().policy(policy);
    let outcome = group.run(async |group| {
        for number in 1..=5 {
            group.spawn(work(number));
        }
        Ok(())
    });
    let failures = match outcome.await {
        Ok(()) => "no error".to_owned(),
        Err(errors) => {
            let failures: Vec<_> = errors.leaves().map(|leaf| leaf.to_string()).collect();
            failures.join("; ")
        }
    };
    println!("{name}: {} s, {failures}", start.elapsed().as_secs());
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    under("fail_fast", Policy::fail_fast()).await;
    under("collect", Policy::collect()).await;
    under("stop_after(2)", Policy::stop_after(2)).await;
    under("first_success", Policy::first_success()).await;
    under("quorum(2)", Policy::quorum(2)).await;
    let hook = |failure: &taskgroup::TaskError| println!("  reported: {failure}");
    under("report", Policy::report(hook)).await;
    let fourth = |failure: &taskgroup::TaskError| failure.to_string().contains('4');
    under("stop_if", Policy::stop_if(fourth)).await;
}
