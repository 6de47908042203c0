//! The named differences: where semantics differ by design, what exactly is different and what the
//! comparison does.
//!
//! A rule is never a skip. Either an oracle *bridges* the difference at the place where it arises,
//! in its own terms, and counts it (its name then comes with the trace), or the comparison
//! *tolerates* exactly the described divergence.

use std::collections::BTreeMap;
use std::fmt;

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $rule:ident = $name:literal,)+) => {
        /// A difference that is meant, see the module's documentation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule {
            $($(#[doc = $doc])+ $rule,)+
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$rule),+];

            /// The name in oracles and in print.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$rule => $name,)+
                }
            }
        }
    };
}

rules! {
    /// Timers due at the same instant, and the steps of unrelated tasks at one instant, have no
    /// promised order. The oracle runs the program again with ties broken in other ways, each
    /// within less than a unit of time; ours must be equal to one of them.
    SameInstantOrder = "same-instant-order",
    /// TR7, TR18: Trio runs a task that was spawned into a cancelled nursery, or cancelled before
    /// its first step, up to its first checkpoint; ours never polls it (S9, S16). The oracle ends
    /// such a task at its first step.
    TrioFirstCheckpoint = "trio-runs-cancelled-task-to-first-checkpoint",
    /// TR18: a Trio nursery whose children all end with a value does not tell its parent, who waits
    /// at its end, about an outer cancellation that came meanwhile, until the parent's next
    /// checkpoint. Ours is dropped where it waits (S11). The oracle adds a checkpoint after such a
    /// wait.
    TrioGroupExit = "trio-group-exit-is-no-cancel-point",
    /// TR18: leaving a nursery that has nothing to wait for is a schedule point in Trio: other
    /// tasks run first. Ours goes straight on. The oracle leaves the schedule point out.
    TrioSchedulePoint = "trio-group-exit-is-a-schedule-point",
    /// If a wait ends at the very instant of a cancellation, Trio interrupts it (a sleep is a
    /// cancel scope there, and the outer one wins, TR10). The library polls a task before it drops
    /// it (S11), so the task takes what is ready and is cancelled at the next wait. The oracle ends
    /// the wait with what is ready; it also tries the interruption.
    TrioReady = "trio-cancel-beats-what-is-ready",
    /// In Trio a cancelled child's `Cancelled` comes out of its nursery and ends the parent, too,
    /// even when the nursery itself was cancelled before, the parent's body is through, in a
    /// shielded section say, and no child is left to wait for. Ours ends the parent there only if
    /// something further out cut the child off (S40); otherwise at its next suspension point (S11),
    /// of which there is none. The oracle goes on to the parent's next statement.
    TrioCancelledChild = "trio-cancelled-child-ends-its-parent",
    /// Opening a nursery, and looking at a task that has ended, are no checkpoints in Trio: in a
    /// cancelled scope both continue. There every await of the library suspends, and is dropped
    /// (S37). The oracle adds a checkpoint in front of the two.
    TrioGoesOn = "trio-goes-on-in-a-cancelled-scope",
    /// TR17: in Trio a task that is started belongs to where its starter is until it is ready: a
    /// starter that is shielded from the group shields the task, too. Ours is a task of the group
    /// from the beginning (S29). The oracle spawns it there, and waits for its word.
    TrioStartShielded = "trio-start-runs-under-its-starter",
    /// A task that is not ready and fails because it is cancelled fails its starter in Trio, who is
    /// cancelled as well. Ours is a failure of the group, whose task it is (S41). The oracle hands
    /// it to the nursery.
    TrioStartFails = "trio-start-fails-its-cancelled-starter",
    /// A cancellation that comes while the loser of a race still cleans up takes the race with it
    /// in Trio. Ours has its value by then, returns it, and is cancelled at the next wait (S11).
    /// The oracle goes on to the parent's next statement.
    TrioWonRace = "trio-cancel-beats-a-race-that-is-won",
    /// asyncio is edge-triggered: a cancellation is delivered once, later waits in the cancelled
    /// scope go on (CA4), and one that meets an error in a task group is lost (TG37, CPython 3.11).
    /// Ours and Trio are level-triggered (S11, S19). The oracle delivers again at the next wait.
    AsyncioOnce = "asyncio-cancel-is-delivered-once",
    /// The same in asyncio, where a cancellation takes the place of a result that the task has yet
    /// to see. Bridged likewise.
    AsyncioReady = "asyncio-cancel-beats-what-is-ready",
    /// asyncio cancels the children of an inner group only when the cancellation, as an exception,
    /// has travelled through the body of that group and all its cleanup; ours and Trio reach every
    /// descendant at once (TR9, S16). The oracle aborts the inner groups as soon as the task learns
    /// of the cancellation.
    AsyncioTravels = "asyncio-cancel-travels-through-the-body",
    /// A group that is aborting already keeps a cancellation of the task that waits at its end: the
    /// groups around it, within the scope that was cancelled, learn of it only when the inner
    /// group has ended, so a task of theirs lives on while the inner group cleans up. In ours and
    /// Trio each descendant of a cancelled scope is cancelled at once (TR9, S16). The oracle aborts
    /// the groups between when the cancellation reaches the task.
    AsyncioKeeps = "asyncio-aborting-group-keeps-the-cancel",
    /// asyncio has no shielded section: `asyncio.shield` leaves its work running in the background
    /// (SH2). Ours and Trio stay until it is done (S13). The oracle runs the section in a task and
    /// stays, and the cancellation comes at the next wait.
    AsyncioShield = "asyncio-shield-defers-the-cancel",
    /// TG40 fails in CPython 3.11: a group that cancelled its own parent, who had no wait left,
    /// leaves that cancel pending for the parent's next wait. Ours does not leak out of the group.
    /// The oracle takes it away.
    AsyncioLeaves = "asyncio-group-leaves-its-cancel-pending",
    /// TG35, TG36 fail in CPython 3.11: a group that cancels its parent while the parent waits at
    /// the group's end never takes that back from the parent's cancel count, so that an outer group
    /// later takes its own cancel for a foreign one. The oracle takes it back.
    AsyncioCounted = "asyncio-group-leaves-its-cancel-counted",
    /// TG42: an outer cancel that arrives while a group is being cancelled anyway is forgotten by
    /// CPython 3.11; ours is never lost (S8). The oracle raises it at the end of the group.
    AsyncioForgets = "asyncio-group-forgets-the-outer-cancel",
    /// A child that an outer cancellation cuts off does not notify its group in asyncio. If the
    /// body has ended and no child is left to wait for, the group succeeds. In Trio that child's
    /// `Cancelled` comes out of the nursery, and in the library a group that was cut off never
    /// returns `Ok` (S40). The oracle raises the cancellation at the end of the group.
    AsyncioCutOff = "asyncio-group-forgets-a-child-that-was-cut-off",
    /// An asyncio timeout that is entered while a cancellation of its task is pending counts that
    /// one as old and, when it expires at the same wait, reports the time instead of the
    /// cancellation. In Trio (TR10) and ours (S21) the outer one wins. The oracle hands on the
    /// cancellation.
    AsyncioTimeout = "asyncio-timeout-takes-the-outer-cancel",
    /// A deadline that was moved to the past has fired for Trio and ours (TR14, S21); in asyncio it
    /// can be moved once more before the next wait. The oracle leaves it where it was.
    AsyncioPast = "asyncio-past-deadline-can-be-moved",
    /// An asyncio group forgets a task one pass of the loop after its end, so leaving it right
    /// after that is a wait, at which a cancellation is delivered; ours has nothing to wait for.
    /// The oracle goes on to the parent's next statement.
    AsyncioDoneTask = "asyncio-waits-for-a-task-that-is-done",
    /// TG28: spawning into a cancelled group is an error in asyncio; ours gives a handle that ends
    /// cancelled (S9). The oracle ends the handle cancelled.
    AsyncioSpawn = "asyncio-spawn-into-a-cancelled-group-raises",
    /// Entering a task group, and awaiting a task that is done, are no waits in asyncio: in a
    /// cancelled scope both continue. There every await of the library suspends, and is dropped
    /// (S37). The oracle waits in front of the two.
    AsyncioGoesOn = "asyncio-goes-on-in-a-cancelled-scope",
    /// The same in asyncio as in Trio: a cancellation that comes while the loser of a race still
    /// cleans up takes the race with it.
    AsyncioWonRace = "asyncio-cancel-beats-a-race-that-is-won",
    /// asyncio sees a failure one pass of its loop later, and a timeout or outer cancel reaches
    /// children through their parent, so a new child may start in between; ours never polls it
    /// (S16). The oracle ends such a task at its first step.
    AsyncioStarts = "asyncio-starts-a-task-before-the-cancel-arrives",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often each rule was met.
pub type Counts = BTreeMap<Rule, u64>;

/// The rule of a name.
pub fn by_name(name: &str) -> Option<Rule> {
    Rule::ALL.iter().copied().find(|rule| rule.name() == name)
}
