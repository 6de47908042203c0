//! A scope that is polled inline by its task: the body of a group, the inside of a deadline, a
//! shield, an `until_cancelled`.
//!
//! | file | what it answers |
//! |---|---|
//! | `winding` | what a scope does after its code has ended |
//! | `cleanup` | cleanups that were left to a scope |
//! | `ended` | how the code of a section ended |
//!
//! Invariants:
//!
//! - **N1** The guard rule: after a poll that returned pending, a section whose scope is to end
//!   here and has no holds drops its future on the spot. Its [`Ends`] says which cancellations end
//!   it here. The others belong to a scope further out, which drops this section together with
//!   everything around it.
//! - **N2** After its future has ended, a section winds up: deferred work last in first out, then
//!   everything below. Meanwhile it holds its parent, so that it can still report what it has to
//!   report.
//! - **N3** A section that is dropped before it has closed abandons its scope to its home.
//! - **N4** Each poll of a section answers the [question](Scope::ask) whether it is parked, and
//!   renews the hold that it is entitled to. Once its future has ended, the section hands on what
//!   is parked below it before it waits for anything (S40).

use std::future::poll_fn;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::current::{self, Lazy, Unopened};
#[cfg(feature = "tracing")]
use super::spans::Span;
use super::tree::{CANCELLED, Kind, OWN, Scope};
use crate::error::{Began, Caught};
use crate::gate;

mod cleanup;
mod ended;
mod winding;

use ended::adopt_panic;

pub(crate) use ended::Ended;
pub(super) use winding::poll_winding;

/// Which cancellations of its scope make a section drop its future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Those asked of this very scope.
    Own,
    /// Those from above as well.
    Any,
}

pin_project! {
    /// Polls `future` as the code of a scope; ready once everything below has ended.
    pub(crate) struct Section<F: Future> {
        state: SectionState,
        ends: Ends,
        #[pin]
        future: Option<F>,
        ended: Option<Ended<F::Output>>,
    }

    impl<F: Future> PinnedDrop for Section<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let SectionState::Open(open) = this.state {
                // This happens even if a destructor in there panics.
                let abandoned = Abandoned(open);
                let mut dropped = Ok(());
                if this.future.as_mut().as_pin_mut().is_some() {
                    let _ambient = current::enter_scope(&abandoned.0.scope);
                    dropped = gate::call_apart(|| this.future.set(None));
                }
                if let Some(Ended::Panicked(caught)) = this.ended.take() {
                    adopt_panic(&abandoned.0.scope, *caught);
                }
                drop(abandoned);
                if let Err(payload) = dropped {
                    // A panic of what the caller drops goes to the caller.
                    gate::resume(payload);
                }
            }
        }
    }
}

enum SectionState {
    /// The scope is made when code inside asks for it. For all but deadlines it is also made when
    /// the first poll is pending.
    Unopened(Lazy, &'static Location<'static>),
    Open(Open),
}

/// The section's side of an open scope.
struct Open {
    scope: Arc<Scope>,
    closed: bool,
    /// The scope was given a waker.
    waited: bool,
}

impl Open {
    fn new(scope: Arc<Scope>) -> Self {
        if holds_by_kind(&scope) {
            scope.hold_home();
        }
        Self {
            scope,
            closed: false,
            waited: false,
        }
    }

    /// Holds the home, unless the section is polled elsewhere. There it keeps nothing.
    fn hold(&self) {
        if self.scope.is_polled_at_home() {
            self.scope.hold_home();
        }
    }

    fn close(&mut self) {
        self.closed = true;
        self.scope.finish_section();
        self.scope.release_home();
    }
}

/// These report what happens inside, so nothing around them may be dropped before they have done
/// so.
fn holds_by_kind(scope: &Scope) -> bool {
    matches!(scope.kind, Kind::Shield | Kind::Section | Kind::Inline(_))
}

/// A section that is being dropped. In the end its scope is abandoned, unless it was closed (N3).
struct Abandoned<'a>(&'a mut Open);

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if !self.0.closed {
            self.0.scope.abandon();
            self.0.scope.release_home();
        }
    }
}

impl<F: Future> Section<F> {
    /// A section of an open scope.
    pub(crate) fn new(scope: Arc<Scope>, ends: Ends, future: F) -> Self {
        Self {
            state: SectionState::Open(Open::new(scope)),
            ends,
            future: Some(future),
            ended: None,
        }
    }

    /// A section whose scope is opened below the current one when it is needed: not at all when
    /// `future` is ready at once, or when it is a deadline and nothing inside asks.
    pub(crate) fn unopened(
        kind: Lazy,
        location: &'static Location<'static>,
        ends: Ends,
        future: F,
    ) -> Self {
        Self {
            state: SectionState::Unopened(kind, location),
            ends,
            future: Some(future),
            ended: None,
        }
    }

    /// Polls it to its end, as [`poll_ended`](Self::poll_ended) does.
    pub(crate) fn ended(mut self: Pin<&mut Self>) -> impl Future<Output = Ended<F::Output>> {
        poll_fn(move |cx| self.as_mut().poll_ended(cx))
    }

    /// As [`Future::poll`], with the way the future ended. A panic is caught and handed over after
    /// everything below has ended.
    pub(crate) fn poll_ended(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended<F::Output>> {
        let mut this = self.project();
        if let SectionState::Open(open) = this.state {
            open.scope.answer();
        }
        if let Some(future) = this.future.as_mut().as_pin_mut() {
            let began = Began::now();
            let poll = || gate::call(|| future.poll(cx));
            let polled = match this.state {
                SectionState::Open(open) => {
                    let _ambient = current::enter_scope(&open.scope);
                    #[cfg(feature = "tracing")]
                    let _span = open.scope.span().map(Span::enter);
                    poll()
                }
                SectionState::Unopened(kind, location) => {
                    let unopened = Unopened::new(*kind, location);
                    let polled = {
                        let _ambient = current::enter_unopened(&unopened);
                        poll()
                    };
                    if matches!(polled, Ok(Poll::Pending)) && !matches!(kind, Lazy::Deadline(..)) {
                        unopened.open();
                    }
                    if let Some(scope) = unopened.into_scope() {
                        *this.state = SectionState::Open(Open::new(scope));
                    }
                    polled
                }
            };
            let ended = match polled {
                Ok(Poll::Ready(value)) => Ended::Value(value),
                Err(payload) if gate::is_cut_off(&payload) => {
                    let drops_here = match this.state {
                        SectionState::Open(open) => to_drop(&open.scope, *this.ends),
                        SectionState::Unopened(..) => false,
                    };
                    if !drops_here {
                        gate::hand_on(payload);
                    }
                    Ended::Dropped
                }
                Err(payload) => Ended::Panicked(Caught::new(payload, began)),
                Ok(Poll::Pending) => {
                    let SectionState::Open(open) = this.state else {
                        // A deadline whose scope no code has asked for. Its caller sets the alarm.
                        return Poll::Pending;
                    };
                    open.scope.set_waker(cx.waker());
                    open.waited = true;
                    if !to_drop(&open.scope, *this.ends) {
                        let will_wind = || {
                            let scope = &open.scope;
                            matches!(scope.kind, Kind::Group(_))
                                && (scope.below() > 0 || scope.has_deferred())
                        };
                        if holds_by_kind(&open.scope) || will_wind() {
                            // N2, from the start: a group with children or deferred work reports
                            // the failures of their cleanup before what is around it is dropped.
                            open.hold();
                        }
                        if is_to_end(&open.scope, *this.ends) && open.scope.ask() {
                            gate::wake_by_ref(cx.waker());
                        }
                        return Poll::Pending;
                    }
                    Ended::Dropped
                }
            };
            let ended = drop_future(this.state, this.future.as_mut(), ended);
            let SectionState::Open(open) = this.state else {
                // No code has asked for the scope, so there is nothing below and nothing to report.
                return Poll::Ready(ended);
            };
            if let Some(group) = open.scope.as_group() {
                group.body_ended(matches!(ended, Ended::Value(_)));
            }
            *this.ended = Some(ended);
        }
        let SectionState::Open(open) = this.state else {
            unreachable!("a section that was not opened is not polled again after it was ready")
        };
        if poll_winding_held(open, cx).is_pending() {
            return Poll::Pending;
        }
        open.close();
        let ended = this.ended.take();
        Poll::Ready(ended.expect("a section is not polled again after it was ready"))
    }

    /// The drop rule alone: as [`poll_ended`](Self::poll_ended) when the future has just been
    /// polled and is pending.
    pub(crate) fn poll_dropped(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Ended<F::Output>> {
        let mut this = self.as_mut().project();
        if this.future.as_mut().as_pin_mut().is_some() {
            match this.state {
                SectionState::Unopened(..) => {
                    return Poll::Ready(drop_future(this.state, this.future, Ended::Dropped));
                }
                SectionState::Open(open) if !to_drop(&open.scope, *this.ends) => {
                    return Poll::Pending;
                }
                SectionState::Open(_) => {
                    *this.ended = Some(drop_future(this.state, this.future, Ended::Dropped));
                }
            }
        }
        self.poll_ended(cx)
    }

    /// The instant of a deadline whose scope no code has asked for, and the time now. A duration
    /// counts from the first call.
    pub(crate) fn unopened_deadline(self: Pin<&mut Self>) -> Option<(Instant, Instant)> {
        match self.project().state {
            SectionState::Unopened(Lazy::Deadline(at, after), _) => {
                let now = Instant::now();
                if let Some(after) = after.take() {
                    *at = now.checked_add(after);
                }
                at.map(|at| (at, now))
            }
            _ => None,
        }
    }

    /// The scope of a section that was ready, which is not polled again.
    pub(crate) fn into_scope(self: Pin<&mut Self>) -> Option<Arc<Scope>> {
        let gone = SectionState::Unopened(Lazy::Section, Location::caller());
        match std::mem::replace(self.project().state, gone) {
            SectionState::Open(open) => {
                debug_assert!(open.closed, "N3");
                Some(open.scope)
            }
            SectionState::Unopened(..) => None,
        }
    }

    /// Whether the future has ended and the section waits for what is below.
    pub(crate) fn is_winding(self: Pin<&mut Self>) -> bool {
        // No `&self` while there is a future: it may have references into itself, which that would
        // invalidate.
        self.project().future.as_pin_mut().is_none()
    }

    /// The scope, if it was ever needed.
    pub(crate) fn scope(self: Pin<&mut Self>) -> Option<&Arc<Scope>> {
        match self.project().state {
            SectionState::Open(open) => Some(&open.scope),
            SectionState::Unopened(..) => None,
        }
    }
}

/// Drops the future as the code of its scope. If that panics, the section ended by this panic,
/// unless an earlier panic ended it.
fn drop_future<F: Future>(
    state: &SectionState,
    mut future: Pin<&mut Option<F>>,
    ended: Ended<F::Output>,
) -> Ended<F::Output> {
    let _ambient = match state {
        SectionState::Open(open) => Some(current::enter_scope(&open.scope)),
        SectionState::Unopened(..) => None,
    };
    let began = Began::now();
    match (ended, gate::call_apart(|| future.set(None))) {
        (Ended::Dropped | Ended::Value(_), Err(payload)) => {
            Ended::Panicked(Caught::new(payload, began))
        }
        (ended, Err(second)) => {
            gate::discard(second);
            ended
        }
        (ended, Ok(())) => ended,
    }
}

/// N1. Reads the flags after the waker was stored: a canceller sets them before it looks for the
/// waker.
fn to_drop(scope: &Scope, ends: Ends) -> bool {
    scope.is_forced() || (is_to_end(scope, ends) && scope.holds() == 0)
}

/// Whether the scope is to end here, once nothing holds it.
fn is_to_end(scope: &Scope, ends: Ends) -> bool {
    let ending = match ends {
        Ends::Own => OWN,
        Ends::Any => CANCELLED,
    };
    scope.flags() & ending != 0
}

fn poll_winding_held(open: &mut Open, cx: &mut Context<'_>) -> Poll<()> {
    if !open.waited && open.scope.try_close_at_once() {
        return Poll::Ready(());
    }
    open.waited = true;
    let polled = poll_winding(&open.scope, cx);
    if polled.is_pending() {
        open.hold();
    }
    polled
}
