//! The driver that is no Tokio task per child: a few Tokio tasks per runtime that poll children.
//!
//! - **D4** `PUMP` is null, or points to the turn of the innermost pump that is being polled on this thread: it is set by an
//!   [`OnPump`] that borrows the turn for the length of a poll and resets it when it is dropped, also when the poll unwinds.
//! - **D5** Tokens of ended children wait in the turn only while children of the same group run (the group is not quiet then anyway).

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::Runtime;
use super::rings::Rings;
use crate::observe::clock::{self, Stamp};
use crate::scope::bell;
use crate::scope::gate;
use crate::scope::owner::Settling;
use crate::scope::tree::Scope;
#[cfg(loom)]
use crate::sync::CellKey as _;
use crate::sync::{Ordering, thread_local};

thread_local! {
    /// The pump that this thread polls right now (D4).
    static PUMP: Cell<*const Turn> = const { Cell::new(std::ptr::null()) };
}

/// How many children a pump polls before other Tokio tasks get their turn.
const QUOTA: usize = 16;
/// Every so many turns a pump goes behind the runtime's timers and I/O too.
const YIELD: u32 = 4;

/// One pump: a Tokio task that polls children.
pub(super) struct Pumping {
    turn: Turn,
    number: usize,
    turns: u32,
    /// The time, taken now and then; 0 after a sleep.
    stamp: Stamp,
    /// It has said that it sleeps.
    idle: bool,
}

impl Pumping {
    pub(super) fn new(runtime: Arc<Runtime>, number: usize) -> Self {
        let turn = Turn {
            runtime,
            group: Cell::new(None),
            of: Cell::new(0),
            ended: Cell::new(0),
        };
        Self {
            turn,
            number,
            turns: 0,
            stamp: 0,
            idle: false,
        }
    }
}

/// What a pump keeps while it is polled.
pub(super) struct Turn {
    pub(super) runtime: Arc<Runtime>,
    /// Children of this group have ended in this turn, so many; their tokens go back together.
    group: Cell<Option<Arc<Scope>>>,
    /// The address of the same group, or 0.
    of: Cell<usize>,
    ended: Cell<usize>,
}

impl Turn {
    /// Shows the turn that this thread is in.
    #[inline]
    #[allow(unsafe_code)]
    pub(super) fn with<R>(look: impl FnOnce(Option<&Turn>) -> R) -> R {
        let turn = PUMP.try_with(Cell::get).unwrap_or(std::ptr::null());
        // SAFETY: D4: a turn that PUMP points to is borrowed further up this thread's stack.
        look(unsafe { turn.as_ref() })
    }

    /// Gives back the tokens of ended children. Before anything of another group runs: whatever that takes, this group must
    /// not wait for it.
    fn settle(&self) {
        self.of.set(0);
        if let Some(group) = self.group.take() {
            group.leave_many(self.ended.take());
        }
    }

    fn settle_others(&self, owner: &Arc<Scope>) {
        if self.of.get() != Arc::as_ptr(owner) as usize {
            self.settle();
        }
    }

    /// A child of `group` is about to end.
    #[inline]
    fn expect_ended(&self, group: &Arc<Scope>) {
        if self.of.get() != Arc::as_ptr(group) as usize {
            self.turn_to(group);
        }
    }

    #[cold]
    fn turn_to(&self, group: &Arc<Scope>) {
        self.settle();
        self.of.set(Arc::as_ptr(group) as usize);
        self.group.set(Some(group.clone()));
    }

    fn count_ended(&self) {
        self.ended.set(self.ended.get() + 1);
    }
}

/// A child of `group` has ended. Its token may go back a little later, together with those of its siblings.
pub(in crate::scope) fn child_ended(group: &Arc<Scope>) {
    if expect_ended(group) {
        count_ended();
    } else {
        group.leave();
    }
}

/// A child of `group` is about to end on this thread; once it has, [`count_ended`] is to be called before anything else. `false` when no pump is polled
/// here.
#[inline]
pub(in crate::scope) fn expect_ended(group: &Arc<Scope>) -> bool {
    Turn::with(|turn| {
        if let Some(turn) = turn {
            turn.expect_ended(group);
        }
        turn.is_some()
    })
}

/// The one that was expected has ended.
#[inline]
pub(in crate::scope) fn count_ended() {
    Turn::with(|turn| turn.into_iter().for_each(Turn::count_ended));
}

/// Makes a turn known to this thread until it is dropped (D4).
struct OnPump<'a> {
    turn: &'a Turn,
    before: *const Turn,
    /// Goes last.
    _settling: Settling,
}

impl<'a> OnPump<'a> {
    fn enter(turn: &'a Turn, stamp: Stamp) -> Self {
        clock::set_turn(stamp);
        Self {
            turn,
            before: PUMP.replace(turn),
            _settling: Settling::begin(),
        }
    }
}

impl Drop for OnPump<'_> {
    fn drop(&mut self) {
        self.turn.settle();
        bell::end_turn();
        PUMP.set(self.before);
        clock::set_turn(0);
    }
}

impl Future for Pumping {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let pump = self.get_mut();
        let (turn, runtime) = (&pump.turn, &pump.turn.runtime);
        pump.turns = pump.turns.wrapping_add(1);
        if pump.stamp == 0 || pump.turns % YIELD == 0 {
            pump.stamp = clock::take();
        }
        let on_pump = OnPump::enter(turn, pump.stamp);
        if std::mem::take(&mut pump.idle) {
            runtime.not_idle(pump.number);
        }
        let rings = runtime.here().or_else(|| runtime.sit(true));
        let mut look_at_common = pump.turns % YIELD == 0;
        for _ in 0..QUOTA {
            let task = loop {
                if let Some(task) = runtime.next(rings, look_at_common) {
                    break task;
                }
                turn.settle();
                rings.into_iter().for_each(Rings::shrink);
                if runtime.go_idle(pump.number, cx.waker()) {
                    pump.stamp = 0;
                    pump.idle = true;
                    return Poll::Pending;
                }
            };
            look_at_common = false;
            turn.settle_others(&task.header().owner);
            task.run();
            if !tokio::task::coop::has_budget_remaining() {
                break;
            }
        }
        drop(on_pump);
        if pump.turns % YIELD == 0 {
            // To the very back: timers and I/O are looked at before this pump runs again.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
        } else {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Pumping {
    /// A pump never ends by itself: the runtime goes down.
    fn drop(&mut self) {
        self.turn.runtime.shut_down();
    }
}

impl Runtime {
    #[inline]
    pub(super) fn wake_if_idle(&self) {
        if self.idle.load(Ordering::Relaxed) > 0 {
            self.wake_one();
        }
    }

    pub(super) fn wake_one(&self) {
        let Some((_, waker)) = self.sleeping.lock().pop() else {
            return;
        };
        self.idle.fetch_sub(1, Ordering::SeqCst);
        gate::call_or_report("a waker", || waker.wake());
    }

    /// D2: `false` when there is something to do after all.
    pub(super) fn go_idle(&self, number: usize, waker: &Waker) -> bool {
        {
            let mut sleeping = self.sleeping.lock();
            match sleeping.iter_mut().find(|(other, _)| *other == number) {
                Some((_, known)) => known.clone_from(waker),
                None => {
                    sleeping.push((number, waker.clone()));
                    self.idle.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        if !self.has_work() {
            return true;
        }
        self.not_idle(number);
        false
    }

    pub(super) fn not_idle(&self, number: usize) {
        // It is never less than there are in the list, and who was in there has counted itself.
        if self.idle.load(Ordering::Relaxed) == 0 {
            return;
        }
        let waker = {
            let mut sleeping = self.sleeping.lock();
            let at = sleeping.iter().position(|(other, _)| *other == number);
            at.map(|at| sleeping.swap_remove(at))
        };
        if waker.is_some() {
            self.idle.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
