//! To and from the `CancellationToken` of tokio-util.

use std::panic::Location;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::cancel::{CancelReason, ReasonKind};
use crate::group::TaskGroup;
use crate::scope::current;
use crate::scope::tree::Scope;

/// Why a token cancels a scope.
pub(crate) fn reason(location: &'static Location<'static>) -> CancelReason {
    CancelReason::called_with("its token was cancelled".into(), None, location)
}

/// A token that is cancelled when the current scope is.
///
/// It is for code that takes a [`CancellationToken`]. The scope is the innermost one around the
/// call, as with [`when_cancelled`](crate::when_cancelled). The token is a child token: a
/// cancellation of it reaches neither the scope nor the tokens that other calls returned. When the
/// scope ends without a cancellation, its tokens stay as they are, also if its end cancels
/// background children.
///
/// ```
/// use taskgroup::{TaskGroup, cancellation_token};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     let client = group.spawn(async {
///         let token = cancellation_token();
///         // Code that wants a token.
///         tokio::spawn(async move { token.cancelled().await });
///         std::future::pending::<()>().await;
///     });
///     tokio::task::yield_now().await;
///     client.cancel(); // cancels the token
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
#[must_use]
pub fn cancellation_token() -> CancellationToken {
    token_of(&current::scope())
}

impl TaskGroup {
    /// A token that is cancelled when the group is, by itself or from outside. See
    /// [`cancellation_token`].
    #[must_use]
    pub fn cancellation_token(&self) -> CancellationToken {
        token_of(self.scope())
    }

    /// Cancels the group when `token` is cancelled. A group can have several tokens.
    ///
    /// A background child with the name `token` waits for the token until the group ends.
    ///
    /// ```
    /// use taskgroup::TaskGroup;
    /// use tokio_util::sync::CancellationToken;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let token = CancellationToken::new();
    /// let run = TaskGroup::builder().run_cancellable(async |group| {
    ///     group.cancel_on(&token);
    ///     token.cancel();
    ///     std::future::pending().await
    /// });
    /// assert_eq!(run.await.unwrap(), None::<()>);
    /// # }
    /// ```
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    #[track_caller]
    pub fn cancel_on(&self, token: &CancellationToken) {
        let location = Location::caller();
        let canceller = self.canceller();
        let token = token.clone();
        let watch = self.task("token").background();
        watch.spawn(async move {
            token.cancelled_owned().await;
            canceller.cancel_for(&reason(location));
        });
    }
}

fn token_of(scope: &Arc<Scope>) -> CancellationToken {
    let (token, is_new) = scope.token();
    if is_new {
        ToToken::watch(scope, &token);
    }
    token.child_token()
}

/// Cancels the token of a scope when the scope is cancelled.
struct ToToken {
    scope: Weak<Scope>,
    token: CancellationToken,
}

impl ToToken {
    fn watch(scope: &Arc<Scope>, token: &CancellationToken) {
        let watch = Self {
            scope: Arc::downgrade(scope),
            token: token.clone(),
        };
        Arc::new(watch).look(scope);
    }

    /// Registers first, and then looks (WT1). Other events of the scope wake it as well.
    fn look(self: Arc<Self>, scope: &Arc<Scope>) {
        scope.put_watcher(&mut None, &Waker::from(self.clone()));
        if cancels_tokens(scope) {
            self.token.cancel();
        }
    }
}

/// Whether the scope was cancelled other than by its normal end. With that a group cancels its
/// background children, and a run what was left behind.
fn cancels_tokens(scope: &Scope) -> bool {
    let has_served = || {
        let reason = scope.reason();
        let by_its_end = reason.is_some_and(|reason| reason.kind() == ReasonKind::GroupEnded);
        by_its_end && scope.is_origin()
    };
    scope.is_cancelled() && !has_served()
}

impl Wake for ToToken {
    fn wake(self: Arc<Self>) {
        match self.scope.upgrade() {
            Some(scope) if cancels_tokens(&scope) => self.token.cancel(),
            Some(scope) if !scope.has_ended() => self.look(&scope),
            _ => {}
        }
    }
}

/// Waits for the first of several tokens.
pub(crate) struct AnyOf(FuturesUnordered<WaitForCancellationFutureOwned>);

impl AnyOf {
    pub(crate) fn new(tokens: &[CancellationToken]) -> Self {
        let tokens = tokens.iter().cloned();
        Self(tokens.map(CancellationToken::cancelled_owned).collect())
    }

    /// Whether one of them is cancelled.
    pub(crate) fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> bool {
        matches!(self.0.poll_next_unpin(cx), Poll::Ready(Some(())))
    }
}
