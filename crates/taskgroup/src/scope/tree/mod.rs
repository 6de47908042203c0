//! The scope tree: what is below what, what is cancelled, what must not be dropped, what has ended.
//!
//! | file | what it answers |
//! |---|---|
//! | `open` | how a scope is opened, linked and found |
//! | `tokens` | what is below a scope and has not ended |
//! | `flags` | the bits of a scope |
//! | `links` | the lists of what is linked below |
//! | `runtime` | which runtime drives what is spawned |
//! | `spread` | a cancellation on its way down |
//! | `holds` | what forbids dropping a future |
//! | `asking` | how sections are asked whether they still hold |
//! | `dropping` | which scope is about to drop what it runs |
//! | `blocked` | awaits that are cut off, and code that blocks on one |
//! | `wakers` | what a scope wakes |
//! | `watch` | waiting for a turn in the life of a scope |
//! | `parked` | where a scope is at home |
//! | `ending` | the end of a scope, by its section or as an orphan |
//! | `deferred` | work for the end of a scope, and cleanups that were left to it |
//! | `failures` | failures that were left behind |
//! | `root` | the process root |
//! | `walk` | walks over the tree |
//!
//! Invariants (the tests of this room and the schedule models name them):
//!
//! - **T1** `tokens` counts the tokens of a scope: one for its own section while that is polled,
//!   one for each task spawned into it, one for each scope opened below it. A scope finishes once,
//!   after its last foreign token.
//! - **T2** A token is taken before the thing it stands for can run, and given back as that thing's
//!   last act, so the count never reads "quiet" while something below can still run.
//! - **T3** Closing is one compare-and-swap from "only my own token" to `CLOSED`: a spawn either
//!   took its token before (and the scope is not quiet) or sees `CLOSED`. There is no gap between
//!   the two.
//! - **T4** `CANCELLED` and `FORCED` are set under the lock of the scope's `inner`, never cleared,
//!   and what is linked below under the same lock either is in the list that the canceller walks or
//!   sees the flag when it links.
//! - **T5** No lock of the engine is held while a waker is called or a foreign value is polled or
//!   dropped. Two `inner` locks are held at once only to move a section or a hold (`tree/parked`,
//!   `tree/holds`), and then the inner scope's lock is taken before the outer one's.
//! - **T6** `holds` counts what forbids dropping the scope's future: each live
//!   [`Cancelled`](crate::Cancelled), shield and section that winds up inside the same task. A
//!   scope whose count leaves 0 holds its home, up to the task.
//! - **T7** Walks over the tree use explicit stacks: depth is bounded by memory, not by the
//!   thread's stack.
//! - **T8** `runtime` is null, or points to the `own_runtime` of this scope or of one above it.
//!   That is set once and never moves, and a scope keeps all those above it alive.
//! - **T10–T11** Where a scope is at home: see `tree/parked`. **T12** What holds it: see
//!   `tree/holds`. **T13** How it is asked: see `tree/asking`. **T15** Awaits
//!   that are cut off: see `tree/blocked`.
//! - **T14** The Dekker pairs. One thread writes a word and then reads a second one, while another
//!   thread writes the second one and then reads the first one. If both read an old value, neither
//!   would act. Acquire and release allow that. `SeqCst` puts all four accesses into one order, so
//!   at least one of the two sees what the other wrote. The pairs are:
//!   - `DRAINING` in `flags`, and `tokens`. The section sets the bit and then counts the tokens. A
//!     thread that gives a token back takes it off and then looks for the bit. Otherwise the
//!     section would wait for a wake-up that no thread sends.
//!   - `background` of a group, and `tokens`. A background child is counted, and then the section
//!     counts the tokens. Another child gives its token back and then asks how many background
//!     children there are. The same would be lost.
//!   - `RARE` in `flags`, and `tokens`. A watch of the end sets the bit and then looks whether the
//!     scope is closed. A thread that closes the scope then looks for the bit. Otherwise the watch
//!     would wait for a wake-up that no thread sends.
//!   - `CANCELLED` in `flags`, and `holds`. A canceller sets the bit, and then the thread that
//!     polls the task counts the holds. A thread that takes the last hold off then looks for the
//!     bit. Otherwise the task would wait for a drop that no thread makes. (In scopes that are no
//!     task's, both happen under the lock.)
//!
//!   Each write of these four words is `SeqCst`, also where it is in no pair. In the model checker
//!   a `SeqCst` load may miss a `SeqCst` write of a word that weaker writes share. On x86-64 and
//!   AArch64 both kinds of write are the same instruction, so this costs nothing. A read that is in
//!   no pair goes through the same function as one that is.

use std::collections::VecDeque;
use std::panic::Location;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::driver::Runtime;
use super::entrant::Inline;
use super::group::GroupState;
use super::rarely::{Rarely, rare};
#[cfg(feature = "tracing")]
use super::spans::Span;
#[cfg(feature = "runner")]
use super::stop::Stop;
use super::task::{TaskLink, TaskRef};
use super::timer::SetAlarm;
use super::waiters::Waiters;
use crate::error::{BoxError, Member};
use crate::gate::{Foreign, StoredWaker};
use crate::reason::CancelReason;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Mutex};

mod asking;
mod blocked;
mod deferred;
mod dropping;
mod ending;
mod failures;
mod flags;
mod holds;
mod links;
mod open;
mod parked;
mod root;
mod runtime;
mod spread;
mod tokens;
mod wakers;
mod walk;
mod watch;

use flags::Flags;
pub(crate) use flags::{CANCELLED, FORCED, NAMED, OWN};
use links::Links;
pub(super) use links::NO_SLOT;
pub(crate) use spread::Dropping;
#[cfg(feature = "tracing")]
pub(super) use walk::spans_below;
pub(crate) use walk::{ancestors, inline_around, outward, task_around, task_of};
pub(crate) use watch::Watch;

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
    /// A deadline. A cancel scope is one that never comes, and is cancelled by hand.
    Deadline(Mutex<DeadlineState>),
    /// A shield: outer cancellations stop here.
    Shield,
    /// What `until_cancelled` runs: the one scope that ends early when an *outer* scope is
    /// cancelled.
    Section,
    /// A child that is polled inside the task of its group: a section that ends with any
    /// cancellation.
    Inline(Inline),
    /// The inside of a closure on a thread for blocking work. It can be cancelled, but it cannot be
    /// dropped.
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
    /// How long after the opening of the scope. Once that is known as an instant, it is in `at`.
    pub(crate) after: Option<Duration>,
    pub(crate) timer: Option<SetAlarm>,
    /// The runtime whose clock it rang by last.
    pub(crate) clock: Weak<Runtime>,
    /// The work has moved it in the poll that goes on.
    pub(crate) moved_inside: bool,
    pub(crate) expired: bool,
    /// It is a cancel scope.
    pub(crate) by_hand: bool,
}

impl Kind {
    /// Whether a cancellation from above stops here. The end of a grace does not, but at a call:
    /// see [`Scope::keeps_force_out`].
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

    pub(crate) fn cancel_scope() -> Self {
        Self::Deadline(Mutex::new(DeadlineState {
            by_hand: true,
            ..DeadlineState::default()
        }))
    }
}

/// A future that was deferred to the end of a scope.
pub(crate) struct Deferred {
    pub(crate) future: std::pin::Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>,
    /// Has a scope run such futures. It comes along with what is deferred, so that a program that
    /// defers nothing does not contain that code.
    pub(in crate::scope) adopt: fn(&Arc<Scope>, Vec<Deferred>),
}

// In this order: what each child changes (the count of the `Arc`, then the tokens) is in another
// cache line than what each child reads (all below `inner`).
#[repr(C)]
pub(crate) struct Scope {
    /// The tokens, whether the scope is closed, and the number of the next child (T1, T3). In one
    /// word, so that a spawn takes its number and its token in one step.
    tokens: AtomicU64,
    inner: Mutex<ScopeData>,
    slot: AtomicU32,
    holds: AtomicU32,
    /// How often the section was polled within its home (T13).
    polls: AtomicU32,
    flags: Flags,
    pub(crate) location: &'static Location<'static>,
    parent: Option<Arc<Scope>>,
    /// T10
    home: AtomicPtr<Arc<Scope>>,
    own_runtime: OnceLock<Arc<Runtime>>,
    /// T8. Scopes are opened and closed on all threads at once: none counts a reference that a
    /// scope above it has.
    runtime: AtomicPtr<Arc<Runtime>>,
    pub(crate) kind: Kind,
}

struct ScopeData {
    /// What is linked below; each knows its place here, which changes when another one leaves.
    tasks: Links<TaskRef>,
    scopes: Links<Arc<Scope>>,
    reason: Option<CancelReason>,
    /// The section's.
    waker: Option<StoredWaker>,
    /// Live [`Cancelled`](crate::Cancelled) values of this scope: while there are any, scopes
    /// opened below are born uncancelled.
    masks: u32,
    rare: Option<Rarely<Rare>>,
}

/// What few scopes ever have.
#[derive(Default)]
struct Rare {
    deferred: Vec<Deferred>,
    /// Cleanups that were left here by futures dropped half-way, in the order of the drops: inside
    /// out.
    adopted: VecDeque<Deferred>,
    /// A task works through `adopted`.
    adopting: bool,
    /// Failures of orphans that this task, run or root has adopted.
    errors: Vec<Member>,
    /// How many more there were than are kept.
    not_kept: usize,
    /// At the process root: sections that were dropped half-way and have not ended, and what waits
    /// for them.
    orphans: usize,
    drains: Waiters,
    /// At the process root, while something is left that `drain` takes: ends the task that watches
    /// over it.
    left: Option<tokio::sync::oneshot::Sender<()>>,
    /// Awaits that this cancelled scope has cut off, to be polled again when a
    /// [`Cancelled`](crate::Cancelled) lets them go on or nothing holds the scope any more.
    stopped: Vec<StoredWaker>,
    /// What waits for a turn in the life of this scope (WT1).
    watchers: Waiters,
    /// Cancelled with this scope.
    #[cfg(feature = "tokio-util")]
    token: Option<tokio_util::sync::CancellationToken>,
    /// At a run: whether its program is asked to stop.
    #[cfg(feature = "runner")]
    stop: Option<Arc<Stop>>,
    /// How often it has cut off an await with nothing to hold its code (T15).
    cuts: u32,
    asking: Asking,
}

rare!(Rare);

/// What a scope that was told to end has found out about the sections that keep it. Only the code
/// that polls the scope uses it.
#[derive(Default)]
struct Asking {
    credit: isize,
    /// How often the scope was polled since one of them answered, while it waits for answers.
    waits: Option<u32>,
    /// Those that it waits for.
    asked: Vec<SeenSection>,
    /// Those that it saw last.
    known: Vec<SeenSection>,
    /// When it looks again by itself, and how long it has waited for that.
    next: Option<Instant>,
    pause: Duration,
}

/// A section, with its count of polls when it was seen. The weak reference keeps its address from
/// being used for another one.
struct SeenSection(Weak<Scope>, u32);

/// Why a scope takes no new child.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    Cancelled(CancelReason),
    Closed,
}

impl Scope {
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

    /// Whether the grace of something around it has ended.
    pub(crate) fn is_forced(&self) -> bool {
        self.flags() & FORCED != 0
    }

    pub(crate) fn reason(&self) -> Option<CancelReason> {
        self.inner.lock().reason.clone()
    }

    /// Why code here has no value. Without a cancellation that is because it was dropped.
    pub(crate) fn reason_or_dropped(&self) -> CancelReason {
        self.reason()
            .unwrap_or_else(|| CancelReason::dropped(self.location))
    }

    pub(crate) fn group(&self) -> Option<&GroupState> {
        match &self.kind {
            Kind::Group(group) => Some(group),
            _ => None,
        }
    }

    /// What this scope is as an inline child, if it is one.
    pub(crate) fn inline(&self) -> Option<&Inline> {
        match &self.kind {
            Kind::Inline(inline) => Some(inline),
            _ => None,
        }
    }

    /// The span that is current while the code of this scope is polled, beside that of its task.
    #[cfg(feature = "tracing")]
    pub(super) fn span(&self) -> Option<&Span> {
        match &self.kind {
            Kind::Group(group) => Some(&group.span),
            Kind::Inline(inline) => Some(&inline.span),
            _ => None,
        }
    }

    /// Whether holds stop here: the future that a hold protects is the task's (or the run's) own,
    /// or there is none.
    pub(crate) fn is_task_root(&self) -> bool {
        matches!(
            self.kind,
            Kind::Task(_) | Kind::Run | Kind::Root | Kind::Blocking | Kind::Call
        )
    }
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
