//! What the attributes do when they are used correctly.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use taskgroup::{BoxError, Cancelled, TaskGroup, until_cancelled};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::{Instant, sleep};

#[taskgroup::testing::test]
async fn a_test_has_one_thread_and_a_clock_that_jumps() {
    assert_eq!(
        Handle::current().runtime_flavor(),
        RuntimeFlavor::CurrentThread
    );
    let start = Instant::now();
    // With a running clock this test would hang for a day.
    sleep(Duration::from_secs(86_400)).await;
    assert_eq!(start.elapsed(), Duration::from_secs(86_400));
}

#[taskgroup::testing::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_test_on_several_threads() {
    assert_eq!(
        Handle::current().runtime_flavor(),
        RuntimeFlavor::MultiThread
    );
    assert_eq!(Handle::current().metrics().num_workers(), 3);
}

#[taskgroup::testing::test(start_paused = false)]
#[should_panic(expected = "the clock runs")]
async fn a_test_with_a_running_clock() {
    // `pause` panics if the clock is paused already, with a different message.
    tokio::time::pause();
    panic!("the clock runs");
}

#[taskgroup::testing::test]
async fn a_test_may_return_a_result() -> Result<(), BoxError> {
    let answer = TaskGroup::run(async |group| {
        let answer = group.spawn(async { Ok::<_, BoxError>(42) });
        Ok(answer.await?)
    })
    .await?;
    assert_eq!(answer, 42);
    Ok(())
}

#[taskgroup::testing::test]
#[should_panic(expected = "on purpose")]
async fn a_panic_fails_the_test() {
    panic!("on purpose");
}

static CLEANED_UP: AtomicBool = AtomicBool::new(false);

mod leaving {
    use super::*;

    #[taskgroup::main(flavor = "current_thread", start_paused = true)]
    pub(super) async fn main() {
        let group = TaskGroup::run(async |group| {
            group.spawn(slow_to_leave());
            std::future::pending::<Result<(), BoxError>>().await
        });
        // Drops the group half-way, with its task in it.
        assert!(
            tokio::time::timeout(Duration::from_secs(1), group)
                .await
                .is_err()
        );
        assert!(!CLEANED_UP.load(Ordering::SeqCst));
    }

    async fn slow_to_leave() -> Result<(), Cancelled> {
        if let Err(cancelled) = until_cancelled(std::future::pending::<()>()).await {
            sleep(Duration::from_secs(60)).await;
            CLEANED_UP.store(true, Ordering::SeqCst);
            return Err(cancelled);
        }
        Ok(())
    }
}

#[test]
// S15
fn main_waits_for_what_it_left_behind() {
    assert_eq!(code(leaving::main()), code(ExitCode::SUCCESS));
    assert!(CLEANED_UP.load(Ordering::SeqCst));
}

mod failing {
    #[taskgroup::main(worker_threads = 1, grace = "5s")]
    pub(super) async fn main() -> Result<(), &'static str> {
        Err("the disk is full")
    }
}

mod with_a_code {
    use super::ExitCode;

    #[taskgroup::main(flavor = "current_thread")]
    pub(super) async fn main() -> ExitCode {
        ExitCode::from(7)
    }
}

#[test]
fn main_ends_with_the_code_that_fits_its_output() {
    assert_eq!(code(failing::main()), code(ExitCode::FAILURE));
    assert_eq!(code(with_a_code::main()), code(ExitCode::from(7)));
}

/// Exit codes compare by what they print: they have no equality of their own.
fn code(code: ExitCode) -> String {
    format!("{code:?}")
}
