//! When one failure cannot be a consequence of another (S43).
//!
//! A failure is a consequence of another one when a task finds what the end of the other task has
//! caused, such as a closed channel or a dropped sender. It finds that in the poll in which it
//! fails. So each failure has an *interval*, from the beginning of the poll that failed to the
//! moment at which that poll had its error. One counter for the whole process gives the order.
//!
//! Invariants:
//!
//! - **OR1** The counter moves only when something fails, and when the code of a blocking closure
//!   is through. A poll reads it once, and one that succeeds never writes to it.
//! - **OR2** A failure that began after another one had ended cannot be its cause. The end is
//!   counted before the future is dropped. So polls that find what the drop has closed begin after
//!   that end, or overlap with it.
//! - **OR3** Some failures are returned later than they happen: a `bracket` releases first, a group
//!   waits for its children. Such a failure [carries](Interval::carry) its interval to the poll
//!   that returns it.
//! - **OR4** Code that fails drops its values before it returns, and what the drop closes may be
//!   found before that end is counted. A blocking closure drops its token before its captures. That
//!   count is when it was [through](Interval::through), and decides between failures that overlap.
//!   It is no proof, since the code may drop its token early. So it excludes nothing.

use super::BoxError;
use crate::gate::Payload;
use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

/// Every poll on every thread reads it, and writes are rare, so it has a cache line of its own.
#[repr(align(128))]
struct Counter(AtomicUsize);

/// How many failures there were.
// `Relaxed` throughout: whatever shows a task that another one has ended also orders their two
// accesses. If nothing does, the intervals overlap. A `usize` of 32 bits may wrap, and then the
// order of two failures is wrong once in four thousand million.
static FAILURES: Counter = Counter(AtomicUsize::new(0));

thread_local! {
    static CARRIED: Cell<Option<Carried>> = const { Cell::new(None) };
    static THROUGH: Cell<Option<Through>> = const { Cell::new(None) };
}

/// The interval of what the current poll is about to fail with.
#[derive(Clone, Copy)]
struct Carried {
    interval: Interval,
    /// A poll that began at this count or later is a later one, and the failure was not passed on.
    until: usize,
}

/// A blocking closure whose token was dropped on this thread.
#[derive(Clone, Copy)]
struct Through {
    closure: usize,
    count: usize,
}

/// The code of a blocking closure is through, and its captures are about to be dropped: OR4. The
/// number is that of no other closure that runs.
pub(crate) fn is_through(closure: usize) {
    let count = next();
    let _ = THROUGH.try_with(|cell| cell.set(Some(Through { closure, count })));
}

/// The count at the beginning of a poll.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Began(usize);

/// The counts at the beginning and at the end of the poll that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    began: usize,
    ended: usize,
    /// OR4. At the end, where nothing earlier is known.
    through: usize,
}

impl Began {
    /// At the beginning of a poll.
    #[inline]
    pub(crate) fn now() -> Self {
        Self(FAILURES.0.load(Ordering::Relaxed))
    }

    /// The interval of a poll that has failed, or the one that was [carried](Interval::carry) into
    /// it.
    #[cold]
    pub(crate) fn failed(self) -> Interval {
        let carried = CARRIED.try_with(Cell::take).ok().flatten();
        match carried {
            Some(carried) if self.0 < carried.until => carried.interval,
            _ => Interval::new(self.0, next()),
        }
    }

    /// As [`returned`](Self::returned), for a poll.
    #[inline]
    pub(crate) fn polled<V>(
        self,
        polled: Result<Poll<Result<V, BoxError>>, Payload>,
    ) -> Poll<Result<V, Failed>> {
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(result)) => Poll::Ready(self.returned(Ok(result))),
            Err(payload) => Poll::Ready(self.returned(Err(payload))),
        }
    }

    /// As [`returned`](Self::returned), for the blocking closure of this number.
    pub(crate) fn returned_by<V>(
        self,
        closure: usize,
        returned: Result<Result<V, BoxError>, Payload>,
    ) -> Result<V, Failed> {
        let through = THROUGH.try_with(Cell::take).ok().flatten();
        let mut returned = self.returned(returned);
        let own = through.filter(|through| through.closure == closure);
        if let (Err(failed), Some(own)) = (&mut returned, own) {
            let interval = &mut failed.interval;
            interval.through = interval.through.min(own.count);
        }
        returned
    }

    /// From the result of a call through the gate: its value, or how and when it failed.
    #[inline]
    pub(crate) fn returned<V>(
        self,
        returned: Result<Result<V, BoxError>, Payload>,
    ) -> Result<V, Failed> {
        match returned {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Failed::new(Fault::Error(error), self)),
            Err(payload) => Err(Failed::new(Fault::Panic(payload), self)),
        }
    }
}

impl Interval {
    fn new(began: usize, ended: usize) -> Self {
        Self {
            began,
            ended,
            through: ended,
        }
    }

    /// For a failure of which only the fact is known.
    pub(crate) fn now() -> Self {
        let ended = next();
        Self::new(ended - 1, ended)
    }

    /// Gives this interval to the failure of the current poll (OR3).
    pub(crate) fn carry(self) {
        let carried = Carried {
            interval: self,
            until: next(),
        };
        // If the thread is ending, the failure gets an interval of its own.
        let _ = CARRIED.try_with(|cell| cell.set(Some(carried)));
    }

    pub(super) fn ended(self) -> usize {
        self.ended
    }

    /// When the code that failed was through, as far as that is known.
    pub(super) fn through(self) -> usize {
        self.through
    }

    /// Whether this may be a consequence of a failure that ended at the count `ended`, and cannot
    /// be its cause (OR2).
    pub(super) fn is_after(self, ended: usize) -> bool {
        self.began >= ended
    }
}

fn next() -> usize {
    FAILURES.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
}

/// A panic that was caught.
pub(crate) struct Caught {
    pub(crate) payload: Payload,
    pub(crate) interval: Interval,
}

impl Caught {
    /// Boxed, so that futures that may catch a panic are no larger.
    #[cold]
    pub(crate) fn new(payload: Payload, began: Began) -> Box<Self> {
        Box::new(Self {
            payload,
            interval: began.failed(),
        })
    }

    /// Continues the panic in the caller.
    pub(crate) fn resume(self) -> ! {
        self.interval.carry();
        resume_unwind(self.payload)
    }
}

impl From<Caught> for Failed {
    fn from(Caught { payload, interval }: Caught) -> Self {
        Self {
            fault: Fault::Panic(payload),
            interval,
        }
    }
}

/// How a poll failed.
pub(crate) struct Failed {
    pub(crate) fault: Fault,
    pub(crate) interval: Interval,
}

pub(crate) enum Fault {
    Error(BoxError),
    Panic(Payload),
}

impl Failed {
    #[cold]
    pub(crate) fn new(fault: Fault, began: Began) -> Self {
        Self {
            fault,
            interval: began.failed(),
        }
    }

    /// Returns the error, with which the current poll is to fail. Continues a panic.
    pub(crate) fn pass_on(self) -> BoxError {
        self.interval.carry();
        match self.fault {
            Fault::Error(error) => error,
            Fault::Panic(payload) => resume_unwind(payload),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // S43, OR2
    #[test]
    fn what_began_when_another_had_ended_is_after_it() {
        let (first, beside) = (Began::now(), Began::now());
        let first = first.failed();
        let beside = beside.failed();
        let second = Began::now().failed();
        assert!(second.is_after(first.ended()) && second.is_after(beside.ended()));
        assert!(!beside.is_after(first.ended()) && !first.is_after(second.ended()));
        assert!(Interval::now().is_after(second.ended()));
    }

    // S43, OR4: only the token of the closure itself counts, and only as the place among others.
    #[test]
    fn a_closure_is_through_before_it_ends() {
        let closure = Began::now();
        is_through(1);
        let neighbour = Began::now().failed();
        let failed = |closure: usize, began: Began| {
            let returned = began.returned_by::<()>(closure, Ok(Err("full".into())));
            returned.err().map(|failed| failed.interval)
        };
        let own = failed(1, closure).unwrap();
        assert!(own.through() < neighbour.through() && own.ended() > neighbour.ended());
        assert!(!neighbour.is_after(own.ended()));
        is_through(1);
        let other = failed(2, Began::now()).unwrap();
        assert_eq!(other.through(), other.ended());
    }

    // S43, OR3: an interval is carried to the current poll, and to no later one.
    #[test]
    fn what_is_carried_and_goes_nowhere_is_forgotten() {
        let early = Began::now().failed();
        let poll = Began::now();
        early.carry();
        assert_eq!(poll.failed(), early);
        assert_ne!(poll.failed(), early);
        early.carry();
        assert_ne!(Began::now().failed(), early);
    }
}
