//! Children that say when they are ready.
//!
//! Until then the child *reports to its starter*: an end that comes too early goes through the channel instead of to the group, and the
//! child then waits to be cancelled by the starter, so that the group sees a cancelled child and nothing else.

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

/// What the starter is told.
enum Word<V> {
    Ready(V),
    /// It went wrong before it was ready.
    Failed(Failed),
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
        let (channel, word) = oneshot::channel();
        let sender = Arc::new(Sender {
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
            word,
            failed: None,
        };
        match until_cancelled(&mut starting.word).await {
            Ok(Ok(Word::Ready(value))) => match starting.handle.take() {
                Some(handle) => Ok((value, handle)),
                None => unreachable!("nobody else takes it"),
            },
            Ok(Ok(Word::Failed(failed))) => {
                starting.failed = Some(failed);
                let _ = starting.end().await;
                match starting.failed.take() {
                    Some(failed) => Err(StartError::Failed(failed.pass_on())),
                    None => unreachable!("nobody else takes it"),
                }
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
                cut_off().await
            }
        }
    }
}

/// The child as long as the starter waits: gone with it. A fault that the starter has not returned by then is the group's (S41).
struct Starting<V, T: 'static> {
    group: TaskGroup,
    /// Where the starter is.
    here: Arc<Scope>,
    handle: Option<TaskHandle<T>>,
    word: oneshot::Receiver<Word<V>>,
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
        self.word.close();
        let failed = self.failed.take().or_else(|| match self.word.try_recv() {
            Ok(Word::Failed(failed)) => Some(failed),
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
        let began = Began::now();
        let poll = || future.as_mut().poll(cx).map(converted);
        began.polled(gate::call_through(poll))
    })
    .await;
    if sender.ready.load(Ordering::SeqCst) || crate::is_cancelled() {
        return ended.map_err(Failed::pass_on);
    }
    let word = match ended {
        Ok(_value) => Word::Ended,
        Err(failed) => Word::Failed(failed),
    };
    match sender.say(word) {
        // The starter has it and cancels this task.
        Ok(()) => std::future::pending().await,
        Err(Some(Word::Failed(failed))) => Err(failed.pass_on()),
        // The starter is gone, and with it whoever wanted to know.
        Err(_) => std::future::pending().await,
    }
}
