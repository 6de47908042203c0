//! The one gate through which the engine calls foreign code.
//!
//! Foreign code is everything that this crate did not write: the poll of a future; the drop of a
//! future, an output, a capture, an error, a panic's payload or the value of a
//! [`Local`](crate::Local); `Display`, `Debug` and `source` of an error; the clone, wake and drop
//! of a waker; hooks, predicates and conversions. It may panic, block, or call back into this crate
//! at any point (S39).
//!
//! - **G1** No lock of the engine is held while foreign code runs. Debug builds assert it at each
//!   call. Code that has a lock takes foreign values out, releases the lock, and only then lets
//!   them go.
//! - **G2** Nothing unwinds through the engine. A panic comes back to the caller as a payload, and
//!   the caller assigns it to the task whose code it was. A panic that belongs to no task goes to
//!   the warning hook ([`report`]).
//! - **G3** A payload is foreign as well. It is either kept in a failure or let go through
//!   [`discard`].
//! - **G4** Only a poll, made by [`call`], runs as the code of the ambient scope. The guard rule
//!   drops a future after its poll has returned. Other foreign code returns only when it has done
//!   its work, and that work may be to block on a runtime of its own. An await of this crate that
//!   suspended there, because the scope around it is cancelled, would never go on. So such code is
//!   kept apart:
//!   - a destructor, a conversion, a text or a source, which the engine runs for an owner, gets a
//!     scope of its own below the ambient one ([`call_apart`]). No cancellation reaches that scope,
//!     and the ambient scope waits for what it leaves behind;
//!   - a waker, a hook or a subscriber belongs to no task, so it is called with no ambient scope at
//!     all ([`call_aside`]). The scope that happens to be ambient has nothing to do with it (S45).
//! - **G5** A [`CutOff`] is the one payload that is no panic of foreign code. It unwinds from an
//!   await that was cut off (S37) out of code that blocks its thread on that await. The section or
//!   task that drops the code takes it for the drop. Each poll in between hands it on
//!   ([`call_through`]), as if the future there were dropped.
//!
//! A test reads the sources and finds calls that do not go through here: `tests/gate.rs`.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use crate::ambient;

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Polls foreign code. A panic comes back as its payload (G2).
#[inline]
pub(crate) fn call<R>(poll: impl FnOnce() -> R) -> Result<R, Payload> {
    assert_open();
    catch_unwind(AssertUnwindSafe(poll))
}

/// What unwinds from an await that was cut off while the code around it blocks (G5).
struct CutOff;

/// Unwinds out of the code that blocks on an await which was cut off (G5). Returns where that would
/// end the process: the thread unwinds already, or the program does not unwind.
#[cold]
pub(crate) fn cut_off() {
    if cfg!(panic = "unwind") && !std::thread::panicking() {
        std::panic::resume_unwind(Box::new(CutOff));
    }
}

/// Whether foreign code was unwound by [`cut_off`].
pub(crate) fn is_cut_off(payload: &Payload) -> bool {
    payload.is::<CutOff>()
}

/// As [`call`], for a poll that drops nothing: what [`cut_off`] unwinds goes on outwards (G5).
#[inline]
pub(crate) fn call_through<R>(poll: impl FnOnce() -> R) -> Result<R, Payload> {
    call(poll).map_err(hand_on)
}

/// Goes on with what [`cut_off`] unwinds (G5). Any other payload comes back.
#[cold]
pub(crate) fn hand_on(payload: Payload) -> Payload {
    if is_cut_off(&payload) {
        std::panic::resume_unwind(payload);
    }
    payload
}

/// Calls foreign code that is not a poll, for the ambient scope (G4). A panic comes back as its
/// payload.
#[inline]
pub(crate) fn call_apart<R>(foreign: impl FnOnce() -> R) -> Result<R, Payload> {
    ambient::apart(|| call(foreign))
}

/// Calls foreign code that has nothing to do with the ambient scope (G4). A panic comes back as its
/// payload.
pub(crate) fn call_aside<R>(foreign: impl FnOnce() -> R) -> Result<R, Payload> {
    let _aside = ambient::aside();
    call(foreign)
}

/// As [`call_aside`]: a panic is reported as one of `what`.
pub(crate) fn call_or_report<R>(what: &str, foreign: impl FnOnce() -> R) -> Option<R> {
    call_aside(foreign)
        .map_err(|payload| report(what, payload))
        .ok()
}

/// Drops a foreign value. A panic comes back as its payload.
#[inline]
pub(crate) fn drop_value<T>(value: T) -> Result<(), Payload> {
    if !std::mem::needs_drop::<T>() {
        return Ok(());
    }
    call_apart(|| drop(value))
}

/// As [`drop_value`], where no task is there to fail.
#[inline]
pub(crate) fn drop_or_report<T>(what: &str, value: T) {
    if let Err(payload) = drop_value(value) {
        report(what, payload);
    }
}

/// Lets a payload go. The payload of a panic in its destructor is leaked: to drop it could panic
/// again, without end.
pub(crate) fn discard(payload: Payload) {
    if let Err(second) = drop_value(payload) {
        std::mem::forget(second);
    }
}

/// Goes on with a panic in the foreign code that called us: it is the panic of a destructor that
/// the caller runs. Where the caller unwinds already, a second panic would end the process; it is
/// reported.
pub(crate) fn resume(payload: Payload) {
    if std::thread::panicking() {
        report("a destructor", payload);
    } else {
        std::panic::resume_unwind(payload);
    }
}

/// Tells the warning hook of a panic that belongs to no task, and lets its payload go.
#[cold]
#[inline(never)]
pub(crate) fn report(what: &str, payload: Payload) {
    let message = into_text(payload);
    crate::warning::foreign_panicked(what, message.as_deref());
}

/// The message of a panic whose payload is let go.
pub(crate) fn into_text(payload: Payload) -> Option<String> {
    let text = panic_text(&*payload).map(str::to_owned);
    discard(payload);
    text
}

/// The message of a panic, if its payload is a string.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// Clones the waker of the poll that is under way. A panic unwinds into that poll: the waker is
/// that of its caller.
#[inline]
pub(crate) fn clone_waker(waker: &Waker) -> StoredWaker {
    assert_open();
    let _aside = ambient::aside();
    StoredWaker(Some(waker.clone()))
}

/// Wakes by a waker that is borrowed from the poll under way. A panic unwinds into that poll, as
/// with [`clone_waker`].
#[inline]
pub(crate) fn wake_by_ref(waker: &Waker) {
    assert_open();
    let _aside = ambient::aside();
    waker.wake_by_ref();
}

/// The text of a foreign value. Where its `Display` panics or returns an error, the text says so
/// instead.
pub(crate) fn text(value: &dyn fmt::Display) -> String {
    use fmt::Write as _;
    let mut text = String::new();
    match call_apart(|| write!(text, "{value}")) {
        Ok(Ok(())) => text,
        Ok(Err(fmt::Error)) => "(its `Display` returned an error)".to_owned(),
        Err(payload) => {
            let message = panic_text(&*payload).unwrap_or("no message");
            let text = format!("(its `Display` panicked: {message})");
            discard(payload);
            text
        }
    }
}

/// The source of a foreign error; none where `source` panics.
pub(crate) fn source<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    call_apart(|| error.source()).unwrap_or_else(|payload| {
        report("the `source` of an error", payload);
        None
    })
}

/// A foreign value whose drop goes through the gate, wherever it happens.
pub(crate) struct Foreign<T> {
    /// There until it is taken out. For a box that takes no more room.
    value: Option<T>,
    what: &'static str,
}

const THERE: &str = "it is taken out at its end only";

impl<T> Foreign<T> {
    /// `what` is the subject of the report, should the drop panic.
    #[inline]
    pub(crate) fn new(what: &'static str, value: T) -> Self {
        Self {
            value: Some(value),
            what,
        }
    }

    #[inline]
    pub(crate) fn into_inner(mut self) -> T {
        self.value.take().expect(THERE)
    }
}

impl<T> Deref for Foreign<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value.as_ref().expect(THERE)
    }
}

impl<T> Drop for Foreign<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            drop_or_report(self.what, value);
        }
    }
}

/// A waker that is kept for later. It is there until it is used up or dropped.
pub(crate) struct StoredWaker(Option<Waker>);

impl StoredWaker {
    /// Compares two addresses; runs no foreign code.
    #[inline]
    pub(crate) fn will_wake(&self, waker: &Waker) -> bool {
        self.0.as_ref().is_some_and(|own| own.will_wake(waker))
    }

    /// As [`will_wake`](Self::will_wake).
    #[inline]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        other.0.as_ref().is_some_and(|waker| self.will_wake(waker))
    }

    /// A panic of the waker is no reason to leave work of the engine half done. It is reported, and
    /// the caller goes on.
    pub(crate) fn wake(mut self) {
        if let Some(waker) = self.0.take() {
            call_or_report("a waker", || waker.wake());
        }
    }
}

impl Drop for StoredWaker {
    fn drop(&mut self) {
        if let Some(waker) = self.0.take() {
            call_or_report("a waker", || drop(waker));
        }
    }
}

/// G1
#[inline]
fn assert_open() {
    #[cfg(all(debug_assertions, not(loom)))]
    assert!(
        crate::sync::held() == 0 || std::thread::panicking(),
        "G1: a lock of the engine is held while foreign code is called"
    );
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::panic_any(Bomb);
        }
    }

    struct Unprintable(bool);
    impl fmt::Display for Unprintable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            assert!(!self.0, "no text");
            Err(fmt::Error)
        }
    }

    // S39, G3: a payload whose destructor panics ends with its first panic.
    #[test]
    fn a_payload_that_panics_when_it_is_dropped_is_let_go() {
        let payload = call(|| std::panic::panic_any(Bomb)).unwrap_err();
        discard(payload);
        drop(Foreign::new("a bomb", Bomb));
    }

    // S39
    #[test]
    fn a_text_says_what_became_of_it() {
        assert_eq!(text(&"fine"), "fine");
        assert_eq!(
            text(&Unprintable(false)),
            "(its `Display` returned an error)"
        );
        assert_eq!(
            text(&Unprintable(true)),
            "(its `Display` panicked: no text)"
        );
    }

    // G1
    #[test]
    #[cfg(debug_assertions)]
    fn a_lock_that_is_held_is_noticed() {
        let lock = crate::sync::Mutex::new(());
        let held = lock.lock();
        let noticed = catch_unwind(|| text(&"fine"));
        drop(held);
        assert!(noticed.is_err());
        assert_eq!(text(&"fine"), "fine");
    }
}
