//! Children that report when they are ready.
//!
//! Until then the child *reports to its starter*: an end that comes too early goes through the
//! channel and not to the group. The child then waits until the starter cancels it, so that the
//! group sees a cancelled child and nothing else.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use crate::cancel::{cancel_point, cut_off, until_cancelled};
use crate::error::{Began, BoxError, Failed};
use crate::gate;
use crate::group::{ChildOptions, TaskGroup};
use crate::handle::{JoinError, TaskHandle};
pub use crate::scope::task::outcome::StartError;
use crate::scope::task::{TaskOutput, converted};
use crate::scope::tree::Scope;
use crate::scope::{current, group};
use crate::shield::shield;
use crate::sync::Mutex;

/// What a child calls when it is ready; given by [`TaskGroup::start`].
///
/// ```
/// use taskgroup::TaskGroup;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     let port = group.start(async |started| {
///         let port = 8080; // bound here
///         started.ready(port);
///         Ok::<(), std::io::Error>(()) // serves here
///     });
///     let (port, server) = port.await?;
///     assert_eq!(port, 8080);
///     server.await?;
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
///
/// # Drop
/// Without a call of [`ready`](Self::ready) the child can no longer become ready. The starter gets
/// [`StartError::NeverReady`] when the child ends.
#[must_use = "the starter waits for `ready`"]
#[doc(alias = "task_status")]
pub struct Started<V> {
    sender: Arc<Reporter<V>>,
}

/// The first report, `ready` or an early end, takes the channel.
struct Reporter<V> {
    channel: Mutex<Option<oneshot::Sender<Report<V>>>>,
    ready: AtomicBool,
}

/// What the starter gets.
enum Report<V> {
    Ready(V),
    /// It failed before it was ready.
    Failed(Failed),
    Ended,
}

impl<V> Reporter<V> {
    fn send(&self, report: Report<V>) -> Result<(), Option<Report<V>>> {
        // The lock is released before the starter is woken.
        let channel = self.channel.lock().take();
        match channel {
            Some(channel) => channel.send(report).map_err(Some),
            None => Err(None),
        }
    }
}

impl<V> Started<V> {
    /// Reports that the child is ready and gives `value` to the starter. From now on it is a child
    /// like any other.
    ///
    /// If the starter no longer waits, this has no effect: the child is already cancelled then.
    #[doc(alias = "started")]
    pub fn ready(self, value: V) {
        // Stored before the report is sent: an end right after it goes to the group.
        self.sender.ready.store(true, Ordering::SeqCst);
        let _ = self.sender.send(Report::Ready(value));
    }
}

impl<V> fmt::Debug for Started<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").finish_non_exhaustive()
    }
}

pub(crate) fn start<V, T, S, F>(
    group: &TaskGroup,
    options: ChildOptions,
    location: &'static Location<'static>,
    child: S,
) -> impl Future<Output = Result<(V, TaskHandle<T>), StartError>> + use<V, T, S, F>
where
    S: FnOnce(Started<V>) -> F,
    F: Future<Output: TaskOutput<Value = T>> + Send + 'static,
    V: Send + 'static,
    T: Send + 'static,
{
    let group = group.clone();
    async move {
        cancel_point().await;
        let (channel, report) = oneshot::channel();
        let sender = Arc::new(Reporter {
            channel: Mutex::new(Some(channel)),
            ready: AtomicBool::new(false),
        });
        let future = child(Started {
            sender: sender.clone(),
        });
        let handle = group.spawn_with(reporting(sender, future), options, location);
        let mut starting = Starting {
            group,
            here: current::scope(),
            handle: Some(handle),
            report,
            failed: None,
        };
        match until_cancelled(&mut starting.report).await {
            Ok(Ok(Report::Ready(value))) => match starting.handle.take() {
                Some(handle) => Ok((value, handle)),
                None => unreachable!("it is taken only here"),
            },
            Ok(Ok(Report::Failed(failed))) => {
                starting.failed = Some(failed);
                let _ = starting.end().await;
                match starting.failed.take() {
                    Some(failed) => Err(StartError::Failed(failed.pass_on())),
                    None => unreachable!("it is taken only here"),
                }
            }
            Ok(Ok(Report::Ended)) => {
                let _ = starting.end().await;
                Err(StartError::NeverReady)
            }
            // The channel went with the child.
            Ok(Err(_)) => match starting.end().await {
                Err(JoinError::Cancelled(cancelled)) => Err(StartError::Cancelled(cancelled)),
                Err(JoinError::Failed(failure)) => Err(StartError::Failed(failure.into())),
                Ok(_) => Err(StartError::NeverReady),
            },
            Err(cancelled) => {
                let _ = starting.end().await;
                drop(cancelled);
                cut_off().await
            }
        }
    }
}

/// The child while the starter waits. Dropped, it cancels the child and leaves a failure that the
/// starter has not returned to the group (S41).
struct Starting<V, T: 'static> {
    group: TaskGroup,
    /// Where the starter is.
    here: Arc<Scope>,
    handle: Option<TaskHandle<T>>,
    report: oneshot::Receiver<Report<V>>,
    failed: Option<Failed>,
}

impl<V, T: 'static> Starting<V, T> {
    /// Cancels the child and waits for its end, with its cleanup, also where the child and the
    /// starter are cancelled at once and the child's silence is what the starter learns first.
    async fn end(&mut self) -> Result<T, JoinError> {
        let Some(handle) = &mut self.handle else {
            unreachable!("the starter waits still")
        };
        handle.cancel();
        let ended = shield(handle).await;
        // In a cancelled scope the guard rule drops us here, with the fault that the group gets
        // then.
        cancel_point().await;
        ended
    }
}

impl<V, T: 'static> Drop for Starting<V, T> {
    fn drop(&mut self) {
        let Some(handle) = &self.handle else { return };
        // First: what is sent after that goes back to the child.
        self.report.close();
        let failed = self.failed.take().or_else(|| match self.report.try_recv() {
            Ok(Report::Failed(failed)) => Some(failed),
            _ => None,
        });
        if let Some(failed) = failed {
            // Made in the child. A guard of that scope, its own starter's say, has nothing to do
            // with it.
            let adopt =
                |scope: &Arc<Scope>| group::adopt_failed(scope, handle.info(), failed, None);
            // The group may have ended together with the child. With a token it does not.
            let group = self.group.scope();
            if group.enter_child().is_ok() {
                adopt(group);
                group.leave();
            } else {
                adopt(&self.here);
            }
        }
        handle.cancel();
    }
}

/// Closes the channel when the child is gone, wherever its [`Started`] is.
struct CloseAtEnd<V>(Arc<Reporter<V>>);

impl<V> Drop for CloseAtEnd<V> {
    fn drop(&mut self) {
        let channel = self.0.channel.lock().take();
        drop(channel);
    }
}

/// The child. An end that comes too early goes to the starter.
async fn reporting<V, F>(
    sender: Arc<Reporter<V>>,
    future: F,
) -> Result<<F::Output as TaskOutput>::Value, BoxError>
where
    F: Future<Output: TaskOutput>,
{
    let close = CloseAtEnd(sender);
    let sender = &close.0;
    let mut future = std::pin::pin!(future);
    let ended = std::future::poll_fn(|cx| {
        let began = Began::now();
        let poll = || future.as_mut().poll(cx).map(converted);
        began.polled(gate::call_through(poll))
    })
    .await;
    if sender.ready.load(Ordering::SeqCst) || crate::is_cancelled() {
        return ended.map_err(Failed::pass_on);
    }
    let report = match ended {
        Ok(_value) => Report::Ended,
        Err(failed) => Report::Failed(failed),
    };
    match sender.send(report) {
        // The starter has it and cancels this task.
        Ok(()) => std::future::pending().await,
        Err(Some(Report::Failed(failed))) => Err(failed.pass_on()),
        // The starter is gone, and nothing waits for the report.
        Err(_) => std::future::pending().await,
    }
}
