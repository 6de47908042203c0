//! Children that say when they are ready.
//!
//! Until then the child *reports to its starter*: an end that comes too early goes through the channel instead of to the group, and the
//! child then waits to be cancelled by the starter, so that the group sees a cancelled child and nothing else.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use tokio::sync::oneshot;

use crate::cancel::{Cancelled, cancel_point, until_cancelled};
use crate::error::BoxError;
use crate::group::{Options, TaskGroup};
use crate::handle::{JoinError, TaskHandle};
use crate::scope::task::TaskOutput;
use crate::sync::Mutex;

/// The word that a child owes to its starter; given by [`TaskGroup::start`].
///
/// # Drop
/// Dropped without a word, the child can no longer become ready; its starter learns of it when the child ends.
#[must_use = "the starter waits for `ready`"]
#[doc(alias = "task_status")]
pub struct Started<V> {
    sender: Arc<Sender<V>>,
}

/// Who speaks first, the child's `ready` or its end, takes the channel.
struct Sender<V> {
    channel: Mutex<Option<oneshot::Sender<Word<V>>>>,
    ready: AtomicBool,
}

/// What the starter hears.
enum Word<V> {
    Ready(V),
    Failed(BoxError),
    Panicked(Box<dyn Any + Send>),
    Ended,
}

impl<V> Sender<V> {
    fn say(&self, word: Word<V>) -> Result<(), Option<Word<V>>> {
        // The lock is given back before the starter is woken.
        let channel = self.channel.lock().take();
        match channel {
            Some(channel) => channel.send(word).map_err(Some),
            None => Err(None),
        }
    }
}

impl<V> Started<V> {
    /// Says that the child is ready, and gives `value` to the starter. From now on the child is one like any other.
    ///
    /// It can be said once: `self` is gone. Without effect when the starter waits no longer; the child is being cancelled then.
    #[doc(alias = "started")]
    pub fn ready(self, value: V) {
        // Before the starter hears it: an end right after this is the group's business.
        self.sender.ready.store(true, Ordering::SeqCst);
        let _ = self.sender.say(Word::Ready(value));
    }
}

impl<V> fmt::Debug for Started<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").finish_non_exhaustive()
    }
}

/// Why a child did not become ready.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// It failed before it was ready. This failure is the starter's: the group does not have it.
    Failed(BoxError),
    /// It ended without a word.
    NeverReady,
    /// It was cancelled, or the group took no more children.
    Cancelled(Cancelled),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "the task failed before it was ready: {error}"),
            Self::NeverReady => f.write_str("the task ended without saying that it was ready"),
            Self::Cancelled(cancelled) => write!(f, "the task was {cancelled}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => error.source(),
            Self::NeverReady | Self::Cancelled(_) => None,
        }
    }
}

pub(crate) fn start<V, T, S, F>(
    group: &TaskGroup,
    options: Options,
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
        let (channel, word) = oneshot::channel();
        let sender = Arc::new(Sender {
            channel: Mutex::new(Some(channel)),
            ready: AtomicBool::new(false),
        });
        let future = child(Started {
            sender: sender.clone(),
        });
        let handle = group.spawn_with(reporting(sender, future), options, location);
        let mut starting = Starting(Some(handle));
        match until_cancelled(word).await {
            Ok(Ok(Word::Ready(value))) => match starting.0.take() {
                Some(handle) => Ok((value, handle)),
                None => unreachable!("nobody else takes it"),
            },
            Ok(Ok(Word::Failed(error))) => {
                let _ = starting.end().await;
                Err(StartError::Failed(error))
            }
            Ok(Ok(Word::Panicked(payload))) => {
                let _ = starting.end().await;
                std::panic::resume_unwind(payload)
            }
            Ok(Ok(Word::Ended)) => {
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
                // The guard rule drops us here.
                std::future::pending().await
            }
        }
    }
}

/// The child as long as the starter waits: gone with it.
struct Starting<T: 'static>(Option<TaskHandle<T>>);

impl<T: 'static> Starting<T> {
    async fn end(&mut self) -> Result<T, JoinError> {
        match &mut self.0 {
            Some(handle) => {
                handle.cancel();
                handle.await
            }
            None => unreachable!("the starter waits still"),
        }
    }
}

impl<T: 'static> Drop for Starting<T> {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.cancel();
        }
    }
}

/// When the child is gone nobody will say anything, wherever its [`Started`] is.
struct Silence<V>(Arc<Sender<V>>);

impl<V> Drop for Silence<V> {
    fn drop(&mut self) {
        let channel = self.0.channel.lock().take();
        drop(channel);
    }
}

/// The child: what comes too early goes to the starter.
async fn reporting<V, F>(
    sender: Arc<Sender<V>>,
    future: F,
) -> Result<<F::Output as TaskOutput>::Value, BoxError>
where
    F: Future<Output: TaskOutput>,
{
    let silence = Silence(sender);
    let sender = &silence.0;
    let mut future = std::pin::pin!(future);
    let ended = std::future::poll_fn(|cx| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output.into_result())),
            Err(payload) => Poll::Ready(Err(payload)),
        }
    })
    .await;
    if sender.ready.load(Ordering::SeqCst) || crate::is_cancelled() {
        return ended.unwrap_or_else(|payload| std::panic::resume_unwind(payload));
    }
    let word = match ended {
        Ok(Ok(_value)) => Word::Ended,
        Ok(Err(error)) => Word::Failed(error),
        Err(payload) => Word::Panicked(payload),
    };
    match sender.say(word) {
        // The starter has it and cancels this task.
        Ok(()) => std::future::pending().await,
        Err(Some(Word::Failed(error))) => Err(error),
        Err(Some(Word::Panicked(payload))) => std::panic::resume_unwind(payload),
        // The starter is gone, and with it whoever wanted to know.
        Err(_) => std::future::pending().await,
    }
}
