//! The scope tree: who is below whom, who is cancelled, who must not be dropped, who has ended.
//!
//! Invariants (the tests of this room and the schedule models name them):
//!
//! - **T1** `tokens` counts the tokens of a scope: one for its own section while that is polled by somebody, one for each
//!   task spawned into it, one for each scope opened below it. A scope finishes once, after its last foreign token.
//! - **T2** A token is taken before the thing it stands for can run, and given back as that thing's last act, so
//!   the count never reads "quiet" while something below can still run.
//! - **T3** Closing is one compare-and-swap from "only my own token" to `CLOSED`: a spawn either took its token before
//!   (and the scope is not quiet) or sees `CLOSED`. There is no gap between the two.
//! - **T4** `CANCELLED` and `FORCED` are set under the lock of the scope's `inner`, never cleared, and what is linked below
//!   under the same lock either is in the list that the canceller walks or sees the flag when it links.
//! - **T5** No lock of ours is held while a waker is called or a foreign value is polled or dropped. Two `inner` locks are held at once
//!   only to move a section or a hold (`tree/parked`, `tree/holds`), and then that of a scope is taken before that of one further out.
//! - **T6** `holds` is 0 exactly when nothing inside the same task forbids dropping the scope's future: a live
//!   [`Cancelled`](crate::Cancelled), a shield, a section that is winding up. A scope whose count leaves 0 holds its home,
//!   up to the task.
//! - **T7** Walks over the tree use explicit stacks: depth is bounded by memory, not by the thread's stack.
//! - **T8** `runtime` is null, or points to the `own_runtime` of this scope or of one above it. That is set once and never moves, and a
//!   scope keeps all those above it alive.
//! - **T10–T11** Where a scope is at home: see `tree/parked`. **T12–T13** What holds it: see `tree/holds`.
//! - **T14** The Dekker pairs. One thread writes a word and then reads a second one, while another
//!   thread writes the second one and then reads the first one. If both read an old value, neither
//!   would act. Acquire and release allow that. `SeqCst` puts all four accesses into one order, so
//!   at least one of the two sees what the other wrote. The pairs are:
//!   - `DRAINING` in `flags`, and `tokens`. The section sets the bit and then counts the tokens.
//!     Who gives a token back takes it off and then looks for the bit. Otherwise the section would
//!     wait for a wake-up that no thread sends.
//!   - `background` of a group, and `tokens`. A background child is counted, and then the section
//!     counts the tokens. Another child gives its token back and then asks how many background
//!     children there are. The same would be lost.
//!   - `CANCELLED` in `flags`, and `holds`. A canceller sets the bit, and then whoever polls the
//!     task counts the holds. Who takes the last one off then looks for the bit. Otherwise the task
//!     would wait for a drop that nobody makes. (In scopes that are no task's, both happen under
//!     the lock.)
//!
//!   Each write of these four words is `SeqCst`, also where it is in no pair. The schedule checker
//!   lets a `SeqCst` load miss a `SeqCst` write that came after a weaker one. On x86-64 and AArch64
//!   both kinds of write are the same instruction. A read that is in no pair goes through the same
//!   function as one that is.
//! - **T15** Code that is cut off in a scope without holds is dropped when the poll under way
//!   returns. So each cut wakes its waker: the owner of the scope loses nothing by it, and an
//!   executor that blocks inside that poll comes back. After `CUTS` of them in one scope the code
//!   blocks on what was cut off, and the next cut unwinds (G5). In a scope with holds nothing is
//!   woken before the last of them is released, nor before a guard comes to life.

use std::collections::VecDeque;
use std::panic::Location;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use smallvec::SmallVec;

use super::driver::Runtime;
use super::events;
use super::group::{GroupState, Whose};
use super::task::{Header, TaskLink, TaskRef};
use super::timer::SetAlarm;
use super::waiters::{Key, Waiters};
use crate::error::{Interval, Member, NotKept};
use crate::gate::{self, Foreign, StoredWaker};
use crate::reason::CancelReason;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Mutex, Ordering};
use tokio::time::Instant;

mod holds;
mod parked;
mod spread;

pub(super) use holds::look_again;
pub(crate) use parked::outward;
pub(super) use parked::task_cancelled;
pub(crate) use spread::Dropping;
use spread::spread;
pub(super) use spread::{force_and_find, inherit};

/// What a scope is for, with what only that kind needs.
pub(crate) enum Kind {
    /// The process root: adopts what is left by futures outside any scope.
    Root,
    /// One run of a program: `taskgroup::run`.
    #[cfg_attr(not(feature = "runner"), allow(dead_code))]
    Run,
    /// A task group; its section polls the body.
    Group(GroupState),
    /// The inside of a task, made when the task first needs one.
    Task(TaskLink),
    /// A deadline.
    Deadline(Mutex<DeadlineState>),
    /// A shield: outer cancellations stop here.
    Shield,
    /// What `until_cancelled` runs: the one scope that ends early when an *outer* scope is cancelled.
    Section,
    /// The inside of a closure on a thread for blocking work. It can be cancelled, but nobody can drop it.
    Blocking,
    /// The inside of a call to foreign code that is not a poll: a destructor, a conversion, a text
    /// (G4). A call cannot be dropped, so no cancellation from above reaches what it opens.
    Call,
    /// A value that what is below sees, under its key.
    Local(usize, Foreign<Box<dyn std::any::Any + Send + Sync>>),
}

#[derive(Debug, Default)]
pub(crate) struct DeadlineState {
    pub(crate) at: Option<Instant>,
    /// So long after the scope was opened; then it is in `at`.
    pub(crate) after: Option<Duration>,
    pub(crate) timer: Option<SetAlarm>,
    /// The runtime whose clock it rang by last.
    pub(crate) clock: Weak<Runtime>,
    /// The work has moved it in the poll that goes on.
    pub(crate) moved_inside: bool,
    pub(crate) expired: bool,
}

impl Kind {
    /// Whether a cancellation from above stops here, unless it is forced.
    pub(crate) fn keeps_cancel_out(&self) -> bool {
        matches!(self, Self::Shield | Self::Run | Self::Call)
    }

    pub(crate) fn deadline(at: Option<Instant>, after: Option<Duration>) -> Self {
        Self::Deadline(Mutex::new(DeadlineState {
            at,
            after,
            ..DeadlineState::default()
        }))
    }
}

/// Cancelled, by itself or from above.
pub(crate) const CANCELLED: u32 = 1;
/// The cancellation was asked of this very scope.
pub(crate) const OWN: u32 = 1 << 1;
/// The grace is over: holds no longer count.
pub(crate) const FORCED: u32 = 1 << 2;
/// The section waits for what is below: whoever gives the last token back wakes it.
const DRAINING: u32 = 1 << 3;
/// The section was dropped half-way; the parent waits instead of it.
const ORPHAN: u32 = 1 << 4;
/// A grace may end here or further up: children are linked before their first poll, so that one that blocks in it can be named.
pub(crate) const NAMED: u32 = 1 << 5;
/// There may be something in `rare`. Set under the lock.
const RARE: u32 = 1 << 6;
/// A child was cut off by a cancellation from outside, or with its runtime: the group must not take it for success (S40, S46).
const CUT: u32 = 1 << 11;
/// A [`Cancelled`](crate::Cancelled) of this cancellation was given here: there is none but the first.
pub(crate) const TOLD: u32 = 1 << 8;

/// The section holds its home (T12).
const HOLDING: u32 = 1 << 9;
/// The section is parked: what its code forbids it does not forbid its home (T12).
const PARKED: u32 = 1 << 10;
/// The code of the scope has ended (T11).
const OVER: u32 = 1 << 12;

/// So often a scope cuts an await off before it takes the code for blocked (T15). An executor
/// inside the task (`FuturesUnordered`, say) comes back a few times in one poll. Wide code that is
/// unwound instead of dropped loses nothing: it is dropped either way.
const CUTS: u32 = 1_000;

/// In `tokens`: one token. There are fewer than 2^31 of them.
const TOKEN: u64 = 1;
/// In `tokens`: nothing may be added any more.
const CLOSED: u64 = 1 << 31;
/// In `tokens`: one step of the number of the next child, which wraps.
const NUMBER: u64 = 1 << 32;

/// The number of tokens in `tokens`.
fn count(tokens: u64) -> usize {
    (tokens & (CLOSED - 1)) as usize
}

/// The place of what is not linked.
pub(super) const NO_SLOT: u32 = u32::MAX;

/// So many failures of orphans are kept until somebody asks for them.
const MOST_FAILURES: usize = 1_000;

/// A future that was deferred to the end of a scope.
pub(crate) type Deferred =
    std::pin::Pin<Box<dyn Future<Output = Result<(), crate::error::BoxError>> + Send>>;

pub(crate) struct Scope {
    /// The tokens, whether the scope is closed, and the number of the next child (T1, T3). In one word, so that a spawn takes its number
    /// and its token in one step.
    tokens: AtomicU64,
    inner: Mutex<Inner>,
    slot: AtomicU32,
    holds: AtomicU32,
    /// How often the section was polled within its home (T13).
    polls: AtomicU32,
    pub(crate) location: &'static Location<'static>,
    parent: Option<Arc<Scope>>,
    /// T10
    home: AtomicPtr<Arc<Scope>>,
    own_runtime: OnceLock<Arc<Runtime>>,
    pub(crate) kind: Kind,
    /// T8. Scopes are opened and closed on all threads at once: none counts a reference that a scope above it has.
    runtime: AtomicPtr<Arc<Runtime>>,
    flags: Flags,
}

/// The bits of a scope, from `CANCELLED` to `OVER`.
struct Flags(AtomicU32);

impl Flags {
    fn new(bits: u32) -> Self {
        Self(AtomicU32::new(bits))
    }

    /// SeqCst: T14: looks for `DRAINING` after a token was given back, and for `CANCELLED` after
    /// the last hold was taken off.
    #[inline]
    fn now(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    /// Returns what was set before.
    ///
    /// SeqCst: T14: `DRAINING` before the tokens are counted, `CANCELLED` before the holds are.
    #[inline]
    fn set(&self, bits: u32) -> u32 {
        self.0.fetch_or(bits, Ordering::SeqCst)
    }

    /// Returns what was set before.
    ///
    /// SeqCst: T14, as each write.
    #[inline]
    fn clear(&self, bits: u32) -> u32 {
        self.0.fetch_and(!bits, Ordering::SeqCst)
    }
}

/// The few that most scopes have below them take no memory of their own.
type Links<T> = SmallVec<[T; 2]>;

struct Inner {
    /// What is linked below; each knows its place here, which changes when another one leaves.
    tasks: Links<TaskRef>,
    scopes: Links<Arc<Scope>>,
    reason: Option<CancelReason>,
    /// The section's.
    waker: Option<StoredWaker>,
    /// Live [`Cancelled`](crate::Cancelled) values of this scope: while there are any, scopes opened below are born uncancelled.
    masks: u32,
    rare: Option<Box<Rare>>,
}

/// What few scopes ever have.
#[derive(Default)]
struct Rare {
    deferred: Vec<Deferred>,
    /// Cleanups that were left here by futures dropped half-way, in the order of the drops: inside out.
    adopted: VecDeque<Deferred>,
    /// A task works through `adopted`.
    adopting: bool,
    /// Failures of orphans that this task, run or root has adopted.
    errors: Vec<Member>,
    /// How many more there were than are kept.
    not_kept: usize,
    /// At the process root: sections that were dropped half-way and have not ended, and who waits for them.
    orphans: usize,
    drains: Waiters,
    /// Awaits that this cancelled scope has cut off, to be polled again when a
    /// [`Cancelled`](crate::Cancelled) lets them go on or nothing holds the scope any more.
    stopped: Vec<StoredWaker>,
    /// How often it has cut off an await with nothing to hold its code (T15).
    cuts: u32,
    asking: holds::Asking,
}

/// Why a scope takes no new child.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    Cancelled(CancelReason),
    Closed,
}

/// What giving a token back left to do.
enum Left {
    /// Nothing: others are there, or the section sees to it.
    Others,
    /// The scope is closed and to be finished.
    Nobody,
    /// Nobody is left, but deferred work is.
    Deferred,
}

impl Scope {
    fn bare(kind: Kind, parent: Option<Arc<Scope>>, location: &'static Location<'static>) -> Self {
        let named = match (&kind, &parent) {
            (Kind::Group(group), _) if group.has_grace() => NAMED,
            (_, Some(parent)) => parent.flags() & NAMED,
            _ => 0,
        };
        let runtime = match &parent {
            // Acquire: T8, as in `runtime_if_set`: for all who get to see this scope.
            Some(parent) => parent.runtime.load(Ordering::Acquire),
            None => std::ptr::null_mut(),
        };
        Self {
            kind,
            parent,
            location,
            flags: Flags::new(named),
            holds: AtomicU32::new(0),
            tokens: AtomicU64::new(NUMBER | TOKEN),
            polls: AtomicU32::new(0),
            home: AtomicPtr::new(std::ptr::null_mut()),
            slot: AtomicU32::new(NO_SLOT),
            runtime: AtomicPtr::new(runtime),
            own_runtime: OnceLock::new(),
            inner: Mutex::new(Inner {
                tasks: Links::new(),
                scopes: Links::new(),
                reason: None,
                waker: None,
                masks: 0,
                rare: None,
            }),
        }
    }

    /// The process root, which never ends.
    pub(crate) fn root() -> &'static Arc<Scope> {
        #[cfg(loom)]
        {
            loom::lazy_static! {
                static ref ROOT: Arc<Scope> = Arc::new(Scope::bare(Kind::Root, None, Location::caller()));
            }
            &ROOT
        }
        #[cfg(not(loom))]
        {
            static ROOT: OnceLock<Arc<Scope>> = OnceLock::new();
            ROOT.get_or_init(|| Arc::new(Self::bare(Kind::Root, None, Location::caller())))
        }
    }

    /// Opens a scope below `parent`. It inherits a cancellation of its parent unless it is a shield or a live
    /// [`Cancelled`](crate::Cancelled) masks it.
    pub(crate) fn open(
        kind: Kind,
        parent: Arc<Scope>,
        location: &'static Location<'static>,
    ) -> Arc<Self> {
        if let Kind::Deadline(state) = &kind {
            state.lock().start();
        }
        let scope = Arc::new(Self::bare(kind, Some(parent), location));
        let Some(parent) = &scope.parent else {
            unreachable!("it was given one")
        };
        // An open scope below keeps the parent's section from closing; the section is what opened it, so it is not closed yet.
        parent.add(TOKEN);
        let inherited = {
            let mut inner = parent.inner.lock();
            scope.slot.store(place(&inner.scopes), Ordering::Relaxed);
            inner.scopes.push(scope.clone());
            let flags = parent.flags();
            let barrier = scope.kind.keeps_cancel_out();
            let mut inherited = flags & FORCED;
            if flags & CANCELLED != 0 && inner.masks == 0 && !barrier {
                inherited |= CANCELLED | flags & TOLD;
            }
            (inherited != 0).then(|| (inherited | CANCELLED, inner.reason.clone()))
        };
        events::opened(&scope);
        if let Some((bits, reason)) = inherited {
            scope.mark(bits, reason.as_ref());
            if let Some(reason) = &reason {
                events::scope_cancelled(&scope, reason);
            }
        }
        scope
    }

    /// The scope inside a task. It is not linked below the group's scope: the task is.
    pub(super) fn for_task(
        task: &TaskRef,
        owner: Arc<Scope>,
        location: &'static Location<'static>,
    ) -> Arc<Self> {
        Arc::new(Self::bare(
            Kind::Task(TaskLink::new(task)),
            Some(owner),
            location,
        ))
    }

    /// The task that this is the inside of has ended (K5).
    pub(super) fn forget_task(&self) {
        self.forget_stopped();
        if let Kind::Task(task) = &self.kind {
            task.forget();
        }
    }

    pub(crate) fn parent(&self) -> Option<&Arc<Scope>> {
        self.parent.as_ref()
    }

    /// For a run with a grace; groups know by themselves.
    #[cfg(feature = "runner")]
    pub(crate) fn name_all_below(&self) {
        self.flags.set(NAMED);
    }

    pub(crate) fn flags(&self) -> u32 {
        self.flags.now()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.flags() & CANCELLED != 0
    }

    /// Whether a cancel is on its way here: [`spread`] marks from the top down, so between the first mark and the last one only those
    /// above know.
    pub(crate) fn is_reached_by_cancel(self: &Arc<Self>) -> bool {
        for scope in outward(self) {
            if scope.is_cancelled() {
                return true;
            }
            if scope.kind.keeps_cancel_out() {
                return false;
            }
        }
        false
    }

    pub(crate) fn reason(&self) -> Option<CancelReason> {
        self.inner.lock().reason.clone()
    }

    pub(crate) fn group(&self) -> Option<&GroupState> {
        match &self.kind {
            Kind::Group(group) => Some(group),
            _ => None,
        }
    }

    /// The runtime that drives what is spawned here: that of the scopes around it, or the one that the first ask came from.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[inline]
    pub(crate) fn runtime(self: &Arc<Self>) -> &Arc<Runtime> {
        self.runtime_if_set()
            .unwrap_or_else(|| self.runtime_around_or_here())
    }

    #[cold]
    fn runtime_around_or_here(self: &Arc<Self>) -> &Arc<Runtime> {
        self.runtime_around()
            .unwrap_or_else(|| self.keep_runtime(Runtime::current()))
    }

    #[cfg(loom)]
    pub(super) fn set_runtime(&self, runtime: &Arc<Runtime>) {
        self.keep_runtime(runtime.clone());
    }

    #[inline]
    pub(super) fn runtime_if_set(&self) -> Option<&Arc<Runtime>> {
        // Acquire: T8, with the stores in `runtime_around` and `keep_runtime`.
        let known = self.runtime.load(Ordering::Acquire);
        // SAFETY: T8: it is null, or points to what is set once in a scope that outlives this one.
        #[allow(unsafe_code)]
        unsafe {
            known.as_ref()
        }
    }

    pub(crate) fn runtime_if_any(self: &Arc<Self>) -> Option<&Arc<Runtime>> {
        if let Some(runtime) = self.runtime_around() {
            return Some(runtime);
        }
        Some(self.keep_runtime(Runtime::try_current()?))
    }

    /// What the nearest scope around that knows its runtime has found.
    fn runtime_around(self: &Arc<Self>) -> Option<&Arc<Runtime>> {
        if let Some(runtime) = self.runtime_if_set() {
            return Some(runtime);
        }
        let runtime = ancestors(self).find_map(|above| above.runtime_if_set())?;
        let known = std::ptr::from_ref(runtime).cast_mut();
        // Release: T8, with `runtime_if_set`. Who has found it here need not have seen it set
        // above.
        self.runtime.store(known, Ordering::Release);
        Some(runtime)
    }

    /// No scope above knows its runtime; this one does from now on.
    fn keep_runtime(&self, runtime: Arc<Runtime>) -> &Arc<Runtime> {
        let runtime = self.own_runtime.get_or_init(|| runtime);
        let known = std::ptr::from_ref(runtime).cast_mut();
        // Release: T8, with `runtime_if_set`: what it points to was written before.
        self.runtime.store(known, Ordering::Release);
        runtime
    }

    /// Whether holds stop here: the future that a hold protects is the task's (or the run's) own, or there is none.
    pub(crate) fn is_task_root(&self) -> bool {
        matches!(
            self.kind,
            Kind::Task(_) | Kind::Run | Kind::Root | Kind::Blocking | Kind::Call
        )
    }

    // ---- tokens (T1–T3) ----

    /// Adds tokens or numbers. Returns the word as it was.
    ///
    /// SeqCst: T14, as each write of `tokens`.
    #[inline]
    fn add(&self, what: u64) -> u64 {
        self.tokens.fetch_add(what, Ordering::SeqCst)
    }

    /// Takes a token for something new below. `Err` when the scope is closed.
    pub(crate) fn enter_child(self: &Arc<Self>) -> Result<(), Refusal> {
        self.enter(TOKEN).map(drop).map_err(|_| Refusal::Closed)
    }

    /// Takes a token and a number for a child.
    #[inline]
    pub(super) fn enter_numbered(self: &Arc<Self>) -> (u32, Result<(), Refusal>) {
        match self.enter(NUMBER + TOKEN) {
            Ok(before) => (number(before), Ok(())),
            Err(before) => (number(before), Err(Refusal::Closed)),
        }
    }

    /// The next number, for a child that has its token otherwise.
    pub(super) fn next_number(&self) -> u32 {
        number(self.add(NUMBER))
    }

    #[inline]
    fn enter(self: &Arc<Self>, what: u64) -> Result<u64, u64> {
        let before = self.add(what);
        if before & CLOSED != 0 {
            self.leave();
            return Err(before);
        }
        Ok(before)
    }

    /// Gives a token back; ends this scope, and then its parents, where nobody else will (orphans).
    pub(crate) fn leave(self: &Arc<Self>) {
        if !self.give_back_and_defer() {
            return;
        }
        let mut scope = self.clone();
        while let Some(parent) = scope.finish().cloned() {
            if !parent.give_back_and_defer() {
                return;
            }
            scope = parent;
        }
    }

    /// As [`give_back`](Self::give_back), but an orphan that is quiet first has its deferred work done. Returns whether the caller has to
    /// finish the scope.
    fn give_back_and_defer(self: &Arc<Self>) -> bool {
        loop {
            match self.give_back() {
                Left::Others => return false,
                Left::Nobody => return true,
                Left::Deferred => {
                    // The token comes first: nobody finds the scope quiet and the work gone before
                    // it is handed over. Who has closed it meanwhile takes the work along
                    // (`finish`).
                    if self.add(TOKEN) & CLOSED == 0 {
                        super::section::adopt(self, self.take_deferred());
                    }
                }
            }
        }
    }

    fn give_back(&self) -> Left {
        // SeqCst: T14: before it looks for `DRAINING` and for background children.
        let before = self.tokens.fetch_sub(TOKEN, Ordering::SeqCst);
        let left = count(before) - 1;
        if left == 0 {
            // It is an orphan: no other scope gives the token of its section back.
            if self.has_deferred() && !self.is_closed() {
                return Left::Deferred;
            }
            return if self.close_at(0) {
                Left::Nobody
            } else {
                Left::Others
            };
        }
        if self.flags() & DRAINING != 0 && left <= self.quiet() {
            self.wake();
        }
        Left::Others
    }

    /// T3: closes the scope if there are just so many tokens and it is open.
    fn close_at(&self, left: usize) -> bool {
        let close = |tokens| {
            let is_open = tokens & CLOSED == 0;
            (is_open && count(tokens) == left).then_some(tokens | CLOSED)
        };
        // SeqCst: T14, as each write of `tokens`.
        let closed = self
            .tokens
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, close);
        closed.is_ok()
    }

    /// The number of tokens at which nothing ordinary is left: the section's own and the background children's.
    fn quiet(&self) -> usize {
        1 + self.group().map_or(0, GroupState::background)
    }

    /// Tokens of others: tasks and scopes below that have not ended.
    pub(crate) fn below(&self) -> usize {
        // SeqCst: T14: counts after `DRAINING` was set.
        count(self.tokens.load(Ordering::SeqCst)).saturating_sub(1)
    }

    /// Only background children are left.
    pub(crate) fn only_background(&self) -> bool {
        let group = self.group().map_or(0, GroupState::background);
        group > 0 && self.below() <= group
    }

    /// From here on, the thread that makes the scope quiet wakes its section.
    pub(crate) fn start_draining(&self) {
        // T14: before the section counts the tokens.
        self.flags.set(DRAINING);
    }

    /// Its own code has ended, and it waits for what is below.
    pub(crate) fn is_draining(&self) -> bool {
        self.flags() & DRAINING != 0
    }

    /// Closes a scope whose section never had to wait, if nothing was deferred and nothing is left below (T3).
    #[inline]
    pub(super) fn try_close_at_once(&self) -> bool {
        self.flags() & (DRAINING | RARE) == 0 && self.below() == 0 && self.try_close()
    }

    /// Closes a scope below which nothing is left (T3).
    pub(crate) fn try_close(&self) -> bool {
        self.close_at(1)
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: T3, with the close: what was done below before that is visible.
        self.tokens.load(Ordering::Acquire) & CLOSED != 0
    }

    /// The section has ended and everything below too: out of the tree.
    pub(crate) fn finish_section(self: &Arc<Self>) {
        debug_assert!(
            self.is_closed(),
            "T3: a section ends only after it has closed"
        );
        if let Some(parent) = self.finish() {
            parent.leave();
        }
    }

    /// Unlinks the scope and hands what nobody has collected to its home, which gets its token back by the caller.
    fn finish(self: &Arc<Self>) -> Option<&Arc<Scope>> {
        let orphan = self.flags() & ORPHAN != 0;
        if orphan {
            if self.has_deferred() {
                // It came between the last look and the close. The home still waits for this
                // scope, so the work goes there.
                super::section::adopt(self, self.take_deferred());
            }
            let left = self.take_orphan_failure();
            if let (Some(member), Some(home)) = (left, self.home()) {
                home.adopt_failure(member);
            }
        }
        self.forget_stopped();
        events::closed(self);
        if let Some(group) = self.group() {
            group.closed();
        }
        let home = self.unlink()?;
        if orphan && matches!(home.kind, Kind::Root) {
            home.root_orphan_ended();
        }
        Some(home)
    }

    /// The section was dropped before its end: cancels what is below; its home waits for it from now on (S15). What lives on elsewhere
    /// is not below any more (S40).
    pub(crate) fn abandon(self: &Arc<Self>) {
        self.hand_on();
        self.cancel(&CancelReason::dropped(self.location), Dropping::Scheduled);
        self.orphan();
    }

    /// From now on nobody polls this scope: it ends by itself after what is below and what was deferred, and its home waits for
    /// that. Gives the section's token back.
    pub(crate) fn orphan(self: &Arc<Self>) {
        self.set_orphan();
        self.hand_on();
        self.leave();
    }

    // ---- errors that nobody polls for any more ----

    fn take_orphan_failure(self: &Arc<Self>) -> Option<Member> {
        // Only groups and runs have any, and a run that is cut short, an exploration, has told of its fault.
        self.group()?.take_failure(self).map(Member::Group)
    }

    /// Takes in the failure of a child or an orphan below: the nearest group, task, run or root further out that has not ended answers for it.
    pub(crate) fn adopt_failure(self: &Arc<Self>, member: Member) {
        self.adopt(member, Whose::Child);
    }

    /// As [`adopt_failure`](Self::adopt_failure), for a failure that was in the hand of code that is dropped (S41). Other code of users may be
    /// below on the stack.
    pub(crate) fn adopt_from_hand(self: &Arc<Self>, member: Member) {
        self.adopt(member, Whose::Hand);
    }

    /// As [`adopt_failure`](Self::adopt_failure), for a failure of cleanup, which no policy counts (S42).
    pub(crate) fn adopt_cleanup_failure(self: &Arc<Self>, member: Member) {
        self.adopt(member, Whose::Cleanup);
    }

    fn adopt(self: &Arc<Self>, member: Member, whose: Whose) {
        let mut scope = self;
        loop {
            let home = scope.home();
            match (&scope.kind, home) {
                (_, Some(home)) if scope.is_closed() => scope = home,
                (Kind::Group(group), _) => return group.failed(scope, member, whose),
                (Kind::Task(_) | Kind::Run | Kind::Root, _) | (_, None) => {
                    return scope.keep_failure(member);
                }
                (_, Some(home)) => scope = home,
            }
        }
    }

    /// A process, a run or a task may live long and leave failures behind all the while: what is kept of them is bounded.
    fn keep_failure(self: &Arc<Self>, member: Member) {
        let mut member = Some(member);
        let not_kept = self.rare(|rare| {
            if rare.errors.len() < MOST_FAILURES {
                rare.errors.extend(member.take());
            } else {
                rare.not_kept += 1;
            }
            rare.not_kept
        });
        if member.is_some() && not_kept == 1 {
            let is_root = matches!(self.kind, Kind::Root);
            crate::warning::failures_not_kept(super::group::info(self), is_root, MOST_FAILURES);
        }
        drop(member);
    }

    /// The failures of orphans that this task, run or root has adopted, and a word of those that were not kept.
    pub(crate) fn take_adopted(self: &Arc<Self>) -> Vec<Member> {
        if !self.has_rare() {
            return Vec::new();
        }
        let (mut errors, not_kept) = match &mut self.inner.lock().rare {
            Some(rare) => (
                std::mem::take(&mut rare.errors),
                std::mem::take(&mut rare.not_kept),
            ),
            None => return Vec::new(),
        };
        if not_kept > 0 {
            let rest = Box::new(NotKept::new(not_kept));
            let who = super::group::info(self);
            errors.push(Member::from_failure(who, rest, Interval::now()));
        }
        errors
    }

    /// Whether there may be adopted failures or deferred work. Who has left some has done so before it gave its token back.
    pub(super) fn has_rare(&self) -> bool {
        self.flags() & RARE != 0
    }

    fn rare<R>(&self, change: impl FnOnce(&mut Rare) -> R) -> R {
        change(self.inner.lock().rare(&self.flags))
    }

    // ---- deferred work ----

    pub(crate) fn defer(&self, future: Deferred) {
        self.rare(|rare| rare.deferred.push(future));
    }

    /// Defers `future` to the end of an orphan. Gives it back when that has ended.
    pub(crate) fn defer_to_orphan(self: &Arc<Self>, future: Deferred) -> Result<(), Deferred> {
        if self.enter_child().is_err() {
            return Err(future);
        }
        self.defer(future);
        self.leave();
        Ok(())
    }

    pub(super) fn has_deferred(&self) -> bool {
        if !self.has_rare() {
            return false;
        }
        let inner = self.inner.lock();
        inner
            .rare
            .as_ref()
            .is_some_and(|rare| !rare.deferred.is_empty())
    }

    pub(crate) fn take_deferred(&self) -> Vec<Deferred> {
        self.inner.lock().take_deferred()
    }

    /// The same for the section, which waits for nothing below at the moment. The waker goes: that of a task holds the task, and the task
    /// this scope.
    pub(super) fn stop_waiting(&self) -> Vec<Deferred> {
        let (deferred, waker) = {
            let mut inner = self.inner.lock();
            (inner.take_deferred(), inner.waker.take())
        };
        drop(waker);
        deferred
    }

    /// Whether something around this scope, in the same task, is about to drop it by the guard rule: then it has nothing to say
    /// and waits for that. Nested scopes that end together are so told apart: the outermost one speaks (S21).
    pub(crate) fn yields_to_outer(&self) -> bool {
        match self.home() {
            // Polled by somebody else than whoever opened it: nobody out there would drop it.
            Some(home) => super::current::is(home) && home.is_about_to_drop(),
            None => false,
        }
    }

    /// Whether this scope, or one around it in the same task, is about to drop what it runs.
    pub(crate) fn is_about_to_drop(self: &Arc<Self>) -> bool {
        for scope in self.in_the_same_task() {
            let acts = scope.drops_what_it_runs();
            if scope.flags() & FORCED != 0 || (acts && scope.holds() == 0) {
                return true;
            }
            if matches!(scope.kind, Kind::Shield) {
                return false;
            }
        }
        false
    }

    /// This scope and those around it whose code is that of the same task, from the inside out. It
    /// ends at a blocking closure and at a foreign call, because neither can be dropped.
    fn in_the_same_task(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        let around = std::iter::successors(Some(self), |scope| match scope.home() {
            Some(home) if !scope.is_task_root() => Some(home),
            _ => None,
        });
        around.take_while(|scope| !matches!(scope.kind, Kind::Blocking | Kind::Call))
    }

    /// Whether the guard rule makes this very scope drop its future, as soon as nothing holds it. A
    /// deadline that is due fires here, in case its alarm is still to ring.
    fn drops_what_it_runs(self: &Arc<Self>) -> bool {
        self.expire_if_due();
        self.is_to_drop_what_it_runs()
    }

    /// The same by what is known already.
    fn is_to_drop_what_it_runs(&self) -> bool {
        match &self.kind {
            Kind::Root | Kind::Shield | Kind::Local(..) | Kind::Blocking | Kind::Call => false,
            // A handle's cancel marks the scope inside first and the task right after, so either of them is the word.
            Kind::Task(task) => {
                let marked = |task: TaskRef| task.header().is_cancelled();
                self.is_cancelled() || task.upgrade().is_some_and(marked)
            }
            Kind::Deadline(_) => self.is_origin(),
            Kind::Group(_) | Kind::Section | Kind::Run => self.is_cancelled(),
        }
    }

    /// Pending in a cancelled scope where no guard lets the code go on (S37). The section or task
    /// of that scope drops the code after its poll has returned, or as soon as nothing holds the
    /// scope.
    ///
    /// # Panics
    /// With a `CutOff`, where that poll does not return because the code blocks on this await.
    #[cold]
    pub(crate) fn poll_may_go_on(self: &Arc<Self>, waker: &Waker) -> Poll<()> {
        for scope in self.in_the_same_task() {
            // A deadline that is due fires where the code is suspended, which is not here yet
            // (S21).
            if scope.flags() & FORCED != 0 || scope.is_to_drop_what_it_runs() {
                return scope.poll_cut_off(waker);
            }
            if matches!(scope.kind, Kind::Shield) {
                break;
            }
        }
        // No scope around this one would drop it.
        Poll::Ready(())
    }

    /// Ready while a [`Cancelled`](crate::Cancelled) of this scope lives, unless the grace is up.
    /// See T15.
    fn poll_cut_off(self: &Arc<Self>, waker: &Waker) -> Poll<()> {
        let stored = gate::clone_waker(waker);
        let is_forced = self.flags() & FORCED != 0;
        let mut inner = self.inner.lock();
        if inner.masks > 0 && !is_forced {
            drop(inner);
            return Poll::Ready(());
        }
        let rare = inner.rare(&self.flags);
        // A waker that comes again and again is mostly the last one.
        let known = rare
            .stopped
            .last()
            .is_some_and(|last| last.is_same(&stored));
        let spare = if known {
            Some(stored)
        } else {
            rare.stopped.push(stored);
            None
        };
        let drops = is_forced || self.holds() == 0;
        if drops {
            rare.cuts = rare.cuts.saturating_add(1);
        }
        let blocks = rare.cuts > CUTS;
        drop(inner);
        drop(spare);
        if drops {
            if blocks {
                gate::cut_off();
            }
            gate::wake_by_ref(waker);
        }
        Poll::Pending
    }

    /// Has the awaits polled again that this scope has cut off, if any.
    fn wake_stopped(&self) {
        if self.has_rare() {
            self.take_stopped().into_iter().for_each(StoredWaker::wake);
        }
    }

    /// The scope has ended. What it stopped is gone, and a waker may keep what keeps the scope.
    fn forget_stopped(&self) {
        if self.has_rare() {
            drop(self.take_stopped());
        }
    }

    fn take_stopped(&self) -> Vec<StoredWaker> {
        match &mut self.inner.lock().rare {
            Some(rare) => std::mem::take(&mut rare.stopped),
            None => Vec::new(),
        }
    }

    /// Tasks directly below that have not ended.
    pub(crate) fn live_tasks(&self) -> usize {
        let scopes = self.inner.lock().scopes.len();
        self.below().saturating_sub(scopes)
    }

    /// Queues cleanups. Returns whether a task has to be started that works through the queue.
    pub(super) fn push_adopted(&self, cleanups: impl Iterator<Item = Deferred>) -> bool {
        self.rare(|rare| {
            rare.adopted.extend(cleanups);
            !std::mem::replace(&mut rare.adopting, true)
        })
    }

    /// The next cleanup. With the last one the work on the queue is over.
    pub(super) fn pop_adopted(&self) -> Option<Deferred> {
        self.rare(|rare| {
            let next = rare.adopted.pop_front();
            rare.adopting = next.is_some();
            next
        })
    }

    // ---- wakers ----

    /// Remembers who polls the section. Store first, then read the flags: a canceller does it the other way round.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let is_known = |inner: &Inner| {
            let known = inner.waker.as_ref();
            known.is_some_and(|known| known.will_wake(waker))
        };
        if !is_known(&self.inner.lock()) {
            let waker = gate::clone_waker(waker);
            let old = self.inner.lock().waker.replace(waker);
            drop(old);
        }
    }

    pub(crate) fn wake(&self) {
        // Whoever polls again stores a waker again, so this one can be used up.
        let waker = self.inner.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    // ---- links ----

    /// Links a task so that a canceller and the tree find it. Returns the flags that it has to take over (T4).
    pub(super) fn link_task(&self, task: TaskRef) -> u32 {
        let mut inner = self.inner.lock();
        task.header().set_slot(place(&inner.tasks));
        inner.tasks.push(task);
        self.flags()
    }

    pub(super) fn unlink_task(&self, header: &Header) -> Option<TaskRef> {
        let mut inner = self.inner.lock();
        let slot = header.slot();
        take_at(&mut inner.tasks, slot, |task| task.header().slot_cell())
    }

    /// Snapshot of what is linked directly below: tasks in spawn order, then scopes.
    pub(crate) fn children(&self) -> (Vec<TaskRef>, Vec<Arc<Scope>>) {
        let (mut tasks, scopes) = {
            let inner = self.inner.lock();
            (inner.tasks.to_vec(), inner.scopes.to_vec())
        };
        tasks.sort_by_key(|task| task.header().index);
        (tasks, scopes)
    }

    // ---- the process root ----

    pub(crate) fn root_orphan_ended(&self) {
        let drains = self.rare(|rare| {
            rare.orphans -= 1;
            if rare.orphans == 0 {
                rare.drains.take_all()
            } else {
                Vec::new()
            }
        });
        drains.into_iter().for_each(StoredWaker::wake);
    }

    /// Whether no orphan is left at the process root; otherwise the waker is remembered, until [`stop_draining`](Self::stop_draining).
    pub(crate) fn poll_drained(&self, key: &mut Option<Key>, waker: &Waker) -> bool {
        let waker = gate::clone_waker(waker);
        let (drained, old) = self.rare(|rare| {
            if rare.orphans == 0 {
                (true, Some(waker))
            } else {
                (false, rare.drains.put(key, waker))
            }
        });
        drop(old);
        drained
    }

    pub(crate) fn stop_draining(&self, key: Key) {
        let gone = self.rare(|rare| rare.drains.remove(key));
        drop(gone);
    }
}

impl Inner {
    /// `flags` are those of the same scope.
    fn rare(&mut self, flags: &Flags) -> &mut Rare {
        self.rare.get_or_insert_with(|| {
            flags.set(RARE);
            Box::default()
        })
    }

    fn take_deferred(&mut self) -> Vec<Deferred> {
        match &mut self.rare {
            Some(rare) => std::mem::take(&mut rare.deferred),
            None => Vec::new(),
        }
    }
}

/// The number of a child, by the word from which it was taken.
fn number(before: u64) -> u32 {
    (before >> 32) as u32
}

/// The place that the next one in `list` will have.
fn place<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).expect("fewer than 2^32 live children")
}

/// Takes the one at `slot` out; the last one moves there and learns of it. Gives the memory of a wide moment back, so that a
/// group that lives long stays at the size of what lives in it.
fn take_at<T>(list: &mut Links<T>, slot: u32, slot_of: impl Fn(&T) -> &AtomicU32) -> Option<T> {
    if slot == NO_SLOT {
        return None;
    }
    let taken = list.swap_remove(slot as usize);
    if let Some(moved) = list.get(slot as usize) {
        slot_of(moved).store(slot, Ordering::Relaxed);
    }
    if list.capacity() > 64 && list.len() < list.capacity() / 4 {
        list.shrink_to_fit();
    }
    Some(taken)
}

/// A chain of parents is taken apart in a loop: a deep tree must not be dropped by recursion (T7).
impl Drop for Scope {
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(parent) = next {
            match Arc::into_inner(parent) {
                Some(mut scope) => next = scope.parent.take(),
                None => break,
            }
        }
    }
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope")
            .field("flags", &self.flags())
            .field("holds", &self.holds())
            .field("below", &self.below())
            .finish_non_exhaustive()
    }
}

/// The task whose inside `scope` is, if it is that of a task.
pub(crate) fn task_of(scope: &Scope) -> Option<TaskRef> {
    match &scope.kind {
        Kind::Task(task) => task.upgrade(),
        _ => None,
    }
}

/// The task whose code opened `scope`, if a task of ours did.
pub(crate) fn task_around(scope: &Arc<Scope>) -> Option<TaskRef> {
    outward(scope)
        .take_while(|scope| !matches!(scope.kind, Kind::Run | Kind::Root))
        .find_map(|scope| task_of(scope))
}

/// Walks from `scope` to the root, from parent to parent.
pub(crate) fn ancestors(scope: &Arc<Scope>) -> impl Iterator<Item = &Arc<Scope>> {
    std::iter::successors(Some(scope), |scope| scope.parent())
}
