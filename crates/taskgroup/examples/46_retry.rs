//! Three tries of five seconds each, with delays of one and two seconds between them, on a timeout
//! or a connection error.
//!
//! There is no delay after the last try. A timeout raised inside the work itself is an error of the
//! work, not a try that ran out of time. An error that is not worth another try ends the run at
//! once.

use std::io;
use std::time::Duration;

use backon::ExponentialBuilder;
use taskgroup::combine::RetryError;
use taskgroup::{BoxError, Retry, timeout};
use tokio::time::{Instant, sleep};

/// Simulates a request. Its script says what happens at each try.
async fn fetch(script: &[&str], attempt: u32) -> Result<&'static str, BoxError> {
    match script[attempt as usize - 1] {
        "slow" => sleep(Duration::from_secs(3600)).await,
        "refused" => return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
        "own timeout" => {
            timeout(Duration::from_secs(1), std::future::pending::<()>()).await?;
        }
        "bad request" => return Err("bad request".into()),
        _ => sleep(Duration::from_millis(100)).await,
    }
    Ok("a page")
}

async fn fetch_with_retry(script: &[&str]) -> Result<&'static str, RetryError> {
    let waits = ExponentialBuilder::new()
        .with_min_delay(Duration::from_secs(1))
        .with_factor(2.0)
        .with_max_times(2);
    Retry::new(waits)
        .try_timeout(Duration::from_secs(5))
        .on(|error: &BoxError| error.is::<io::Error>())
        .run(async |attempt| fetch(script, attempt).await)
        .await
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    for script in [
        &["fine"][..],
        &["refused", "slow", "fine"],
        &["refused", "refused", "refused"],
        &["slow", "slow", "slow"],
        &["refused", "own timeout"],
        &["bad request"],
    ] {
        let start = Instant::now();
        let outcome = fetch_with_retry(script).await;
        let elapsed = start.elapsed();
        match outcome {
            Ok(page) => println!("{script:?}: {page} in {elapsed:?}"),
            Err(error) => println!("{script:?}: {error} in {elapsed:?}"),
        }
    }
}
