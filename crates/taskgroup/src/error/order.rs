//! Which of two failures cannot be a consequence of the other (S43).
//!
//! A failure is a consequence of another one when a task finds what the end of the other task has
//! done: a closed channel, a dropped sender. It finds that in the poll in which it fails. So each
//! failure has an *interval*: from the beginning of the poll that failed to the moment in which
//! that poll had its error. One counter for the whole process says what comes first.
//!
//! Invariants:
//!
//! - **OR1** The counter moves when something fails, and at no other time. A poll reads it once,
//!   and what succeeds never writes to it.
//! - **OR2** Of two failures the second cannot have made the first one happen if it began when the
//!   first one had ended. Its end is counted before the future is dropped, so what the drop closes
//!   is found by polls that begin after that end, or overlap.
//! - **OR3** What fails later than it went wrong (a `bracket` releases first, a group waits for its
//!   children) [carries](Interval::carry) its interval to the poll that it comes out of.

use super::BoxError;
use crate::gate::Payload;
use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

/// All threads read it at each poll, and it is rarely written: nothing else shares its cache line.
#[repr(align(128))]
struct Counter(AtomicUsize);

/// How many failures there were.
// `Relaxed` throughout: what lets a task find that another one has ended orders their two accesses
// as well, and where nothing does the intervals overlap. Where a `usize` has 32 bits it may wrap,
// and then the order of two failures is wrong once in four thousand million.
static FAILURES: Counter = Counter(AtomicUsize::new(0));

thread_local! {
    static CARRIED: Cell<Option<Carried>> = const { Cell::new(None) };
}

/// The interval of what the current poll is about to fail with.
#[derive(Clone, Copy)]
struct Carried {
    interval: Interval,
    /// A poll that began at this count or later is another one: the failure went nowhere.
    until: usize,
}

/// The count at the beginning of a poll.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Began(usize);

/// From the beginning of the poll that failed to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    began: usize,
    ended: usize,
}

impl Began {
    /// At the beginning of a poll.
    #[inline]
    pub(crate) fn now() -> Self {
        Self(FAILURES.0.load(Ordering::Relaxed))
    }

    /// The poll has failed: its interval, or the one that was [carried](Interval::carry) out of it.
    #[cold]
    pub(crate) fn failed(self) -> Interval {
        let carried = CARRIED.try_with(Cell::take).ok().flatten();
        match carried {
            Some(carried) if self.0 < carried.until => carried.interval,
            _ => Interval {
                began: self.0,
                ended: next(),
            },
        }
    }

    /// What the gate gave for a poll: as [`returned`](Self::returned), when it is ready.
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

    /// What the gate gave for a call: its value, or how it failed and when.
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
    /// Of a failure of which no more is known than that it is there.
    pub(crate) fn now() -> Self {
        let ended = next();
        Self {
            began: ended - 1,
            ended,
        }
    }

    /// The current poll fails with what has failed in this interval: OR3.
    pub(crate) fn carry(self) {
        let carried = Carried {
            interval: self,
            until: next(),
        };
        // Without it the failure counts from now on, as any other.
        let _ = CARRIED.try_with(|cell| cell.set(Some(carried)));
    }

    pub(super) fn ended(self) -> usize {
        self.ended
    }

    /// Whether it may be a consequence of a failure that ended at the count of `ended`, and not the
    /// other way round: OR2.
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
    /// Boxed: futures that may catch a panic are no larger for it.
    #[cold]
    pub(crate) fn new(payload: Payload, began: Began) -> Box<Self> {
        Box::new(Self {
            payload,
            interval: began.failed(),
        })
    }

    /// Goes on with it in the caller.
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

    /// The error, for the current poll to fail with; a panic goes on.
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

    // S43, OR3: what is carried is for the poll that it is carried out of, and for no later one.
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
