//! A section of code that can be cancelled by hand.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::cancel::CancelReason;
use crate::canceller::{Canceller, Entry};
use crate::deadline::Limited;
use crate::scope::current;
use crate::scope::section::{Ends, Section};
use crate::scope::tree::{Kind, Scope};

/// A section of code that can be cancelled on its own, by hand.
///
/// You make it first and [`run`](Self::run) its work later. Before that, you can give its
/// [`canceller`](Self::canceller) to any code. A cancellation works like a deadline: the work is
/// dropped at its next suspension point, or cleans up first if it holds a guard or a shield. The
/// task around it goes on. The result of `run` says whether this scope cut the work off, and
/// [`has_cut_off`](Self::has_cut_off) says it afterwards.
///
/// ```
/// use taskgroup::CancelScope;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let (pressed, mut button) = tokio::sync::mpsc::channel::<()>(1);
/// let mut search = CancelScope::new();
/// let stop = search.canceller();
/// tokio::spawn(async move {
///     button.recv().await;
///     stop.cancel_with("the user pressed stop");
/// });
/// # drop(pressed);
///
/// let found = search.run(std::future::pending::<u32>()).await;
/// assert_eq!(found, None); // cut off
/// assert!(search.has_cut_off());
/// # }
/// ```
///
/// A cancellation lasts: work that the scope runs later is cut off at its first suspension point.
/// For a group use [`TaskGroup::canceller`](crate::TaskGroup::canceller), for a task
/// [`TaskHandle::canceller`](crate::TaskHandle::canceller), and for a time limit
/// [`timeout`](crate::timeout).
///
/// The idea is Trio's `CancelScope`.
#[derive(Default)]
#[doc(alias = "CancellationToken")]
pub struct CancelScope {
    entry: Arc<Entry>,
    has_cut_off: bool,
    #[cfg(feature = "tokio-util")]
    tokens: Vec<tokio_util::sync::CancellationToken>,
}

/// Takes the section out of the entry when the work has ended or is dropped.
struct Leave<'a>(&'a Entry);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl CancelScope {
    /// Makes a scope that is not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `work` until it is done or this scope is cancelled. `None` when this scope cut it off.
    ///
    /// It resolves once everything that the work had started has ended. A value that the work still
    /// produced is returned, unless it carries the [`Cancelled`](crate::Cancelled) of this scope.
    /// When a scope further out is cancelled too, this one reports nothing, and the outer one
    /// decides.
    ///
    /// # Panics
    /// A panic of `work` passes through.
    ///
    /// # Cancel safety
    /// As `work`. In a cancelled scope it resolves as soon as `work` does.
    ///
    /// # Drop
    /// Drops `work`. What it had started is cancelled, and the enclosing scope adopts it.
    #[track_caller]
    pub fn run<F: Future>(
        &mut self,
        work: F,
    ) -> impl Future<Output = Option<F::Output>> + use<'_, F> {
        let location = Location::caller();
        async move {
            self.has_cut_off = false;
            let scope = Scope::open(Kind::cancel_scope(), current::scope(), location);
            self.entry.enter(&scope);
            let left = Leave(&self.entry);
            let section = Section::new(scope, Ends::Own, work);
            let mut limited = std::pin::pin!(Limited::new(section, None, location));
            #[cfg(feature = "tokio-util")]
            let mut tokens = crate::token::AnyOf::new(&self.tokens);
            let ended = std::future::poll_fn(|cx| {
                #[cfg(feature = "tokio-util")]
                if tokens.poll_cancelled(cx) {
                    self.entry.cancel(&crate::token::reason(location));
                }
                limited.as_mut().poll(cx)
            });
            let ended = ended.await;
            drop(left);
            self.has_cut_off = ended.is_err();
            ended.ok()
        }
    }

    /// Cancels the work, or the work to come. A second call has no effect.
    #[track_caller]
    pub fn cancel(&self) {
        self.canceller().cancel();
    }

    /// As [`cancel`](Self::cancel), and `why` is part of the [reason](CancelReason::message).
    #[track_caller]
    pub fn cancel_with(&self, why: impl Into<Cow<'static, str>>) {
        self.canceller().cancel_with(why);
    }

    /// Cancels the work when `token` is cancelled. A scope can have several tokens.
    ///
    /// ```
    /// use taskgroup::CancelScope;
    /// use tokio_util::sync::CancellationToken;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let token = CancellationToken::new();
    /// let mut section = CancelScope::new();
    /// section.cancel_on(&token);
    /// token.cancel();
    /// assert_eq!(section.run(std::future::pending::<()>()).await, None);
    /// # }
    /// ```
    #[cfg(feature = "tokio-util")]
    pub fn cancel_on(&mut self, token: &tokio_util::sync::CancellationToken) {
        self.tokens.push(token.clone());
    }

    /// A value that cancels this scope and can do nothing else.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller::of_section(&self.entry)
    }

    /// Whether this scope itself was cancelled, by [`cancel`](Self::cancel), a canceller or a
    /// token. A cancellation of a scope further out does not count.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.reason().is_some()
    }

    /// Why this scope was cancelled, if it was.
    #[must_use]
    pub fn reason(&self) -> Option<CancelReason> {
        self.entry.reason()
    }

    /// Whether this scope cut off the work that it ran last. False if the work ended first, or if a
    /// scope further out cut it off.
    #[must_use]
    #[doc(alias = "cancelled_caught")]
    pub fn has_cut_off(&self) -> bool {
        self.has_cut_off
    }
}

impl fmt::Debug for CancelScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelScope")
            .field("cancelled", &self.is_cancelled())
            .field("has_cut_off", &self.has_cut_off)
            .finish()
    }
}
