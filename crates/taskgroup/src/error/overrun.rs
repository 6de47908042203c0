//! The error of a task whose cleanup took longer than its group allows.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Cleanup still ran when the grace of its group had passed, and was dropped then.
///
/// It is the error of a leaf in an [`ErrorGroup`](crate::ErrorGroup). The leaf says which task it
/// was.
///
/// ```
/// use std::time::Duration;
/// use taskgroup::error::Overrun;
/// use taskgroup::{TaskGroup, shield};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let group = TaskGroup::builder().grace(Duration::from_secs(2));
/// let run = group.run(async |group| {
///     group.spawn(shield(std::future::pending::<()>()));
///     tokio::task::yield_now().await;
///     group.cancel();
///     Ok(())
/// });
/// let error = run.await.unwrap_err();
/// assert_eq!(error.find::<Overrun>().unwrap().grace(), Duration::from_secs(2));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun {
    grace: Duration,
}

impl Overrun {
    pub(crate) fn new(grace: Duration) -> Self {
        Self { grace }
    }

    /// The time that the group allowed for cleanup.
    pub fn grace(&self) -> Duration {
        self.grace
    }
}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cleanup exceeded the grace of {:?} and was dropped",
            self.grace
        )
    }
}

impl Error for Overrun {}
