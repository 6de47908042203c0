//! The state word of a task: which thread has it, which cancellations have reached it, how many
//! references there are.
//!
//! The low bits are flags, the rest counts references. Every change is one read-modify-write by a
//! named transition below, so each transition sees what all earlier ones did. Nothing foreign runs
//! inside a transition.
//!
//! | bit | meaning | set by | cleared by |
//! |---|---|---|---|
//! | `SCHEDULED` | the task waits for a poll | a waker, `unclaim` | `begin`, `begin_scheduled`, `turn`, `lose_driver` |
//! | `RUNNING` | one thread has the stage (K1); set from birth | `begin…`, `claim…`, `lose_driver` | `to_idle`, `unclaim`, `end` |
//! | `DONE` | the outcome is in the stage, or was dropped | `end`, once | never |
//! | `DETACHED` | the joiner is gone | `detach`, once | never |
//! | `AWAITED` | a waiter may be registered | `await_end` | never |
//! | `OPENED` | there is a scope inside, which refers to the task | `open` | never |
//! | `DRIVERLESS` | its Tokio task is gone with its runtime | `lose_driver`, once | never |
//! | `CANCELLED`, `FORCED` | as in the tree | `mark`, `claim_linked`, `lose_driver` | never |
//!
//! The bits from `SHIELDED` to `LIMITED` are settings: they are there from birth and never change.
//!
//! # Orders
//!
//! - **Z1** Each transition is a read-modify-write that acquires and releases, so the transitions
//!   form one chain. What a thread did before a transition is visible to each thread after a later
//!   one, and to each thread that reads its result.
//! - **Z2** Each handshake goes through this word alone. One side does something elsewhere and then
//!   makes a transition. The other side makes a transition and then looks for what was done
//!   elsewhere. Whichever transition is the second one in the chain sees the first one, so one of
//!   the two sides acts. These are: the scope inside is there, `open`, against `mark` or `end`; a
//!   waiter is registered, `await_end`, against `end`; the waker of the driver is set, `to_idle`,
//!   against `schedule`.
//!
//! So nothing here is `SeqCst`, which is for pairs of words (T14). A new reference needs no order,
//! because it is made by a thread that has one.

use crate::sync::{AtomicUsize, Ordering};

// CANCELLED and FORCED are bits 0 and 2, as in the flags of a scope.
const CANCELLED: usize = crate::scope::tree::CANCELLED as usize;
const FORCED: usize = crate::scope::tree::FORCED as usize;
const TO_END: usize = CANCELLED | FORCED;
const SCHEDULED: usize = 1 << 3;
const RUNNING: usize = 1 << 4;
const DONE: usize = 1 << 5;
const DETACHED: usize = 1 << 6;
const AWAITED: usize = 1 << 7;
const OPENED: usize = 1 << 8;
const DRIVERLESS: usize = 1 << 9;
/// The task ends by force only: it is an adopted cleanup.
pub(crate) const SHIELDED: usize = 1 << 10;
/// The task does not keep its group open.
pub(crate) const BACKGROUND: usize = 1 << 11;
/// A Tokio task of its own drives the task.
pub(crate) const TOKIO: usize = 1 << 12;
/// The group counts the task against its limit.
pub(crate) const LIMITED: usize = 1 << 13;
/// One reference.
const REF: usize = 1 << 14;
/// More references than this are a leak in a loop. Beyond it the count would overflow, so the
/// process ends, as with `Arc`.
const MANY: usize = usize::MAX / 2;

/// Which bits say where a task stands between its driver and a canceller.
const STANDING: usize = SCHEDULED | RUNNING | DONE;

/// The state word.
pub(super) struct StateWord {
    word: AtomicUsize,
    /// The schedule checker would try each old value of the word for bits that never change.
    #[cfg(loom)]
    settings: usize,
}

/// What the word was at one moment.
#[derive(Clone, Copy)]
pub(super) struct Snapshot(usize);

/// What a waker has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::scope) enum Woken {
    /// Nothing: the task is scheduled already, is being polled and will be polled again, or has
    /// ended.
    Noticed,
    /// Hand the task to its driver.
    Submit,
    /// The driver is gone, so the task has to be dropped.
    Driverless,
}

/// What became of a task that was given up after a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum GivenUp {
    /// It is idle until it is woken.
    Idle,
    /// It was woken meanwhile, so it has to be polled again.
    Again,
}

/// Where the outcome of a task is when the task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutcomeIs {
    InStage,
    /// The joiner was gone by then.
    Dropped,
}

/// What the end of a task has to do.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(super) struct AtEnd {
    pub(super) wake_waiters: bool,
    pub(super) forget_inside: bool,
    /// The joiner left after the outcome was put into the stage.
    pub(super) drop_outcome: bool,
}

impl Snapshot {
    pub(super) fn has(self, bits: usize) -> bool {
        self.0 & bits != 0
    }

    pub(super) fn is_done(self) -> bool {
        self.has(DONE)
    }

    /// Which cancellations the task is marked with, as flags of a scope.
    pub(super) fn cancel_bits(self) -> u32 {
        (self.0 & TO_END) as u32
    }
}

impl StateWord {
    /// A new task: it is `RUNNING`, and its driver, its joiner and the tree each have a reference.
    pub(super) fn spawned(settings: usize) -> Self {
        Self::new(RUNNING + 3 * REF, settings)
    }

    /// A task that was refused: it has ended, and its joiner has the only reference.
    pub(super) fn refused(settings: usize) -> Self {
        Self::new(DONE + REF, settings)
    }

    fn new(state: usize, settings: usize) -> Self {
        Self {
            word: AtomicUsize::new(state | settings),
            #[cfg(loom)]
            settings,
        }
    }

    /// Whether one of these settings was made. Each value of the word has them, so no order is
    /// needed.
    #[inline]
    pub(super) fn is_set(&self, settings: usize) -> bool {
        #[cfg(loom)]
        let made = self.settings;
        #[cfg(not(loom))]
        let made = self.word.load(Ordering::Relaxed);
        made & settings != 0
    }

    #[inline]
    pub(super) fn now(&self) -> Snapshot {
        // Acquire: Z1, with the transition whose result it reads.
        Snapshot(self.word.load(Ordering::Acquire))
    }

    fn set(&self, bits: usize) -> Snapshot {
        // AcqRel: Z1.
        Snapshot(self.word.fetch_or(bits, Ordering::AcqRel))
    }

    /// Replaces the word by what `change` makes of it, or leaves it if that is nothing. Returns
    /// whether it was replaced.
    #[inline]
    fn update(&self, change: impl FnMut(usize) -> Option<usize>) -> Result<Snapshot, Snapshot> {
        // AcqRel, Acquire: Z1. What is left as it is was read all the same.
        let changed = self
            .word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        changed.map(Snapshot).map_err(Snapshot)
    }

    // ---- the driver ----

    pub(super) fn is_scheduled(&self) -> bool {
        self.now().has(SCHEDULED)
    }

    /// Whether the task is being polled, or waits for a poll.
    pub(super) fn is_active(&self) -> bool {
        self.now().has(SCHEDULED | RUNNING)
    }

    /// Takes `RUNNING`, for the thread that has taken the task from its queue. A new task has it
    /// from birth.
    #[inline]
    pub(super) fn begin(&self) {
        if !self.now().has(RUNNING) {
            let taken = self.begin_scheduled();
            debug_assert!(taken, "K1: only a scheduled task is taken from a queue");
        }
    }

    /// Takes `RUNNING` of a scheduled task. For a driver that is no queue: its task may not be
    /// scheduled, or a canceller may have it, which wakes the driver when it gives the task up.
    #[must_use]
    pub(super) fn begin_scheduled(&self) -> bool {
        self.claim_from(SCHEDULED)
    }

    /// A driver that has kept `RUNNING` between two polls begins the next one.
    pub(super) fn turn(&self) {
        if self.is_scheduled() {
            // AcqRel: Z1, with the `schedule` that the coming poll is to answer.
            self.word.fetch_and(!SCHEDULED, Ordering::AcqRel);
        }
    }

    /// Gives up `RUNNING` after a poll that was pending, unless the task was woken meanwhile: then
    /// its driver keeps it.
    pub(super) fn to_idle(&self) -> GivenUp {
        let idle = self.update(|state| (state & SCHEDULED == 0).then_some(state - RUNNING));
        idle.map_or(GivenUp::Again, |_| GivenUp::Idle)
    }

    /// Marks a task as woken.
    pub(super) fn schedule(&self) -> Woken {
        let before = self.set(SCHEDULED);
        if before.has(STANDING) {
            Woken::Noticed
        } else if before.has(DRIVERLESS) {
            Woken::Driverless
        } else {
            Woken::Submit
        }
    }

    /// The Tokio task is dropped with its runtime: from here on the task ends by force, and the
    /// thread that gives it up drops it. Takes `RUNNING` of an idle or scheduled task, and returns
    /// whether it did.
    #[must_use]
    pub(super) fn lose_driver(&self) -> bool {
        let changed = self.update(|state| {
            let forced = state | DRIVERLESS | TO_END;
            let free = state & (RUNNING | DONE) == 0;
            Some(if free {
                forced & !SCHEDULED | RUNNING
            } else {
                forced
            })
        });
        let (Ok(before) | Err(before)) = changed;
        !before.has(RUNNING | DONE)
    }

    // ---- cancellers ----

    /// Takes over `CANCELLED` and `FORCED`. Returns whether that is news to the task.
    pub(super) fn mark(&self, bits: u32) -> bool {
        let bits = bits as usize & TO_END;
        let noticed = if self.is_set(SHIELDED) && bits & FORCED == 0 {
            0
        } else {
            bits
        };
        noticed != 0 && self.set(noticed).0 & noticed != noticed
    }

    /// Ends by force whatever holds the task: its runtime is gone.
    pub(super) fn force(&self) {
        self.set(TO_END);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.now().has(TO_END)
    }

    pub(super) fn is_forced(&self) -> bool {
        self.now().has(FORCED)
    }

    /// Takes `RUNNING` of an idle task.
    #[must_use]
    pub(super) fn claim(&self) -> bool {
        self.claim_from(0)
    }

    fn claim_from(&self, standing: usize) -> bool {
        let claimed = self
            .update(|state| (state & STANDING == standing).then_some(state ^ standing ^ RUNNING));
        claimed.is_ok()
    }

    /// Takes `RUNNING` of an idle task that stands in its owner's list, marks it, and counts a
    /// reference for the caller.
    #[must_use]
    pub(super) fn claim_linked(&self, bits: u32) -> bool {
        let claimed = self.update(|state| {
            let free = state & (STANDING | SHIELDED) == 0;
            free.then_some((state | RUNNING | bits as usize & TO_END) + REF)
        });
        claimed.is_ok()
    }

    /// A canceller gives a claimed task back: it has to be polled.
    pub(super) fn unclaim(&self) -> Woken {
        let changed = self.update(|state| Some(state & !RUNNING | SCHEDULED));
        let (Ok(before) | Err(before)) = changed;
        if before.has(DRIVERLESS) {
            Woken::Driverless
        } else {
            Woken::Submit
        }
    }

    // ---- the scope inside ----

    /// There is a scope inside. The caller has made it before this (Z2).
    pub(super) fn open(&self) -> Snapshot {
        self.set(OPENED)
    }

    // ---- the joiner and other waiters ----

    pub(super) fn is_done(&self) -> bool {
        self.now().is_done()
    }

    pub(super) fn is_detached(&self) -> bool {
        self.now().has(DETACHED)
    }

    /// A waiter is registered. Returns whether the task has ended, so that nothing will wake the
    /// waiter.
    #[must_use]
    pub(super) fn await_end(&self) -> bool {
        self.set(AWAITED).is_done()
    }

    /// Whether a waiter may be registered with a task that has not ended. Only a hint: the waiter
    /// itself orders nothing by it.
    pub(super) fn is_awaited(&self) -> bool {
        self.word.load(Ordering::Relaxed) & (AWAITED | DONE) == AWAITED
    }

    /// The joiner goes and gives its reference back, if the task has not ended. Otherwise nothing
    /// changes: the outcome and the reference are still the joiner's.
    #[must_use]
    pub(super) fn detach(&self) -> bool {
        // The tree's reference is there until DONE, so this one is not the last.
        let gone = self.update(|state| (state & DONE == 0).then_some((state | DETACHED) - REF));
        gone.is_ok()
    }

    /// The task has ended. Gives the tree's reference back. The caller's one remains, so it is not
    /// the last.
    pub(super) fn end(&self, outcome: OutcomeIs) -> AtEnd {
        let changed = self.update(|state| Some(state - RUNNING + DONE - REF));
        let (Ok(before) | Err(before)) = changed;
        AtEnd {
            wake_waiters: before.has(AWAITED),
            forget_inside: before.has(OPENED),
            drop_outcome: before.has(DETACHED) && outcome == OutcomeIs::InStage,
        }
    }

    // ---- references ----

    /// One more. The caller has one, so nothing has to be ordered with this.
    pub(super) fn add_reference(&self) {
        if self.word.fetch_add(REF, Ordering::Relaxed) > MANY {
            std::process::abort();
        }
    }

    /// Gives a reference back. Returns whether it was the last one: then all that others did with
    /// theirs happened before.
    #[must_use]
    pub(super) fn drop_reference(&self) -> bool {
        // Acquire, AcqRel: Z1, K4. All that others did with theirs is visible to the last one. That
        // has nothing to race with, because only a reference makes another one.
        self.word.load(Ordering::Acquire) / REF == 1
            || self.word.fetch_sub(REF, Ordering::AcqRel) / REF == 1
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn references(&self) -> usize {
        self.now().0 / REF
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    // K1: a wake during a poll keeps the task with its driver, one after it hands it over.
    #[test]
    fn a_wake_is_noticed_once() {
        let state = StateWord::spawned(0);
        assert_eq!(state.schedule(), Woken::Noticed);
        assert_eq!(state.to_idle(), GivenUp::Again);
        state.turn();
        assert_eq!(state.to_idle(), GivenUp::Idle);
        assert_eq!(state.schedule(), Woken::Submit);
        assert_eq!(state.schedule(), Woken::Noticed);
        assert!(!state.claim());
        state.begin();
        assert!(!state.begin_scheduled());
    }

    // K1, S16: only an idle task is claimed, and a canceller that gives it back has it polled.
    #[test]
    fn an_idle_task_is_claimed_once() {
        let state = StateWord::spawned(0);
        assert!(!state.claim());
        assert_eq!(state.to_idle(), GivenUp::Idle);
        assert!(state.claim_linked(crate::scope::tree::CANCELLED));
        assert!(state.is_cancelled() && !state.is_forced());
        assert_eq!(state.references(), 4);
        assert!(!state.claim());
        assert_eq!(state.schedule(), Woken::Noticed);
        assert_eq!(state.unclaim(), Woken::Submit);
        assert!(state.begin_scheduled());
    }

    // DR3: a task without a driver is dropped by the thread that has it, or by the one that wakes
    // it.
    #[test]
    fn a_lost_driver_is_noticed() {
        let idle = StateWord::spawned(0);
        assert_eq!(idle.to_idle(), GivenUp::Idle);
        assert!(idle.lose_driver());
        assert!(idle.is_forced());
        assert_eq!(idle.to_idle(), GivenUp::Idle, "it winds up");
        assert_eq!(idle.schedule(), Woken::Driverless);
        let claimed = StateWord::spawned(0);
        assert_eq!(claimed.to_idle(), GivenUp::Idle);
        assert!(claimed.claim());
        assert!(!claimed.lose_driver());
        assert_eq!(claimed.unclaim(), Woken::Driverless);
        let own = StateWord::spawned(0);
        assert!(!own.lose_driver(), "its driver has it");
    }

    // S14: an adopted cleanup ends by force only.
    #[test]
    fn a_shielded_task_is_only_forced() {
        let state = StateWord::spawned(SHIELDED);
        assert!(!state.mark(crate::scope::tree::CANCELLED));
        assert!(!state.is_cancelled());
        assert!(state.mark(crate::scope::tree::CANCELLED | crate::scope::tree::FORCED));
        assert!(!state.mark(crate::scope::tree::FORCED));
        assert_eq!(state.to_idle(), GivenUp::Idle);
        assert!(!state.claim_linked(crate::scope::tree::FORCED));
    }

    // K3, K4
    #[test]
    fn the_second_of_end_and_detach_has_the_outcome() {
        let first = StateWord::spawned(0);
        assert!(first.detach());
        assert!(first.end(OutcomeIs::InStage).drop_outcome);
        let second = StateWord::spawned(0);
        assert!(!second.end(OutcomeIs::InStage).drop_outcome);
        assert!(!second.detach());
        assert_eq!(second.references(), 2);
        assert!(!second.drop_reference());
        assert!(second.drop_reference());
    }
}
