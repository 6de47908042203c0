//! The named differences: where the semantics differ by design, what exactly differs, and how the
//! comparison treats it.
//!
//! A rule never skips a program. Either an oracle *bridges* the difference where it arises, counts
//! it, and sends its name with the trace, or the comparison *tolerates* exactly the described
//! difference.

use std::collections::BTreeMap;
use std::fmt;

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $rule:ident = $name:literal,)+) => {
        /// An intended difference; see the module's documentation.
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
    /// Timers that are due at the same instant, and the steps of unrelated tasks at one instant,
    /// have no promised order. The oracle runs the program again with ties broken in other ways,
    /// each within less than a unit of time. The library's trace must equal one of these.
    SameInstantOrder = "same-instant-order",
    /// TR7, TR18: Trio runs a task that was spawned into a cancelled nursery, or cancelled before
    /// its first step, up to its first checkpoint. The library never polls it (S9, S16). The oracle
    /// ends such a task at its first step.
    TrioFirstCheckpoint = "trio-runs-cancelled-task-to-first-checkpoint",
    /// TR18: a parent waits at the end of a Trio nursery, an outer cancellation arrives, and all
    /// children end with a value. Then the parent learns of the cancellation only at its next
    /// checkpoint. The library drops it where it waits (S11). The oracle adds a checkpoint after
    /// such a wait.
    TrioGroupExit = "trio-group-exit-is-no-cancel-point",
    /// TR18: in Trio, leaving a nursery is a schedule point, even if there is nothing to wait for,
    /// so other tasks run first. In the library the task continues at once. The oracle leaves the
    /// schedule point out.
    TrioSchedulePoint = "trio-group-exit-is-a-schedule-point",
    /// If a wait ends at the very instant of a cancellation, Trio interrupts it (a sleep is a
    /// cancel scope there, and the outer one wins, TR10). The library polls a task before it drops
    /// it (S11), so the task takes what is ready and is cancelled at the next wait. The oracle ends
    /// the wait with what is ready; it also tries the interruption.
    TrioReady = "trio-cancel-beats-what-is-ready",
    /// In Trio a cancelled child's `Cancelled` leaves its nursery and ends the parent, too. This
    /// happens even if the nursery itself was cancelled before, the body is finished (in a shielded
    /// section, for example), and no child is left to wait for. In the library the parent ends
    /// there only if a scope further out cut the child off (S40), and otherwise at its next
    /// suspension point (S11), of which there is none. The oracle continues with the parent's next
    /// statement.
    TrioCancelledChild = "trio-cancelled-child-ends-its-parent",
    /// Opening a nursery, and looking at a task that has ended, are no checkpoints in Trio: in a
    /// cancelled scope both continue. There every await of the library suspends, and is dropped
    /// (S37). The oracle adds a checkpoint in front of the two.
    TrioGoesOn = "trio-goes-on-in-a-cancelled-scope",
    /// TR17: in Trio a task that is started belongs to its starter's scope until it is ready, so a
    /// starter that is shielded from the group shields the task, too. In the library it is a task
    /// of the group from the beginning (S29). The oracle spawns it there, and waits until it is
    /// ready.
    TrioStartShielded = "trio-start-runs-under-its-starter",
    /// A task is cancelled before it is ready, and fails in its cleanup. In Trio its starter, which
    /// is cancelled as well, gets the failure. In the library the group gets it, because the task
    /// belongs to the group (S41). The oracle passes it to the nursery.
    TrioStartFails = "trio-start-fails-its-cancelled-starter",
    /// In Trio, a cancellation that arrives while the loser of a race cleans up also cancels the
    /// race. In the library the race has its value by then and returns it, and the task is
    /// cancelled at the next wait (S11). The oracle continues with the parent's next statement.
    TrioWonRace = "trio-cancel-beats-a-race-that-is-won",
    /// asyncio is edge-triggered: a cancellation is delivered once, and later waits in the
    /// cancelled scope continue (CA4). A cancellation that meets an error in a task group is lost
    /// (TG37, CPython 3.11). The library and Trio are level-triggered (S11, S19). The oracle
    /// delivers it again at the next wait.
    AsyncioOnce = "asyncio-cancel-is-delivered-once",
    /// The same in asyncio, where a cancellation replaces a result that the task has not seen yet.
    /// The oracle bridges it in the same way.
    AsyncioReady = "asyncio-cancel-beats-what-is-ready",
    /// asyncio cancels the children of an inner group only when the exception has passed through
    /// the body of that group and all its cleanup. The library and Trio reach every descendant at
    /// once (TR9, S16). The oracle aborts the inner groups as soon as the cancellation reaches the
    /// task.
    AsyncioTravels = "asyncio-cancel-travels-through-the-body",
    /// A group that is already aborting keeps a cancellation of the task that waits at its end. So
    /// the groups around it, within the cancelled scope, abort only after the inner group has
    /// ended, and their tasks continue while the inner group cleans up. In the library and Trio
    /// each descendant of a cancelled scope is cancelled at once (TR9, S16). The oracle aborts the
    /// groups in between when the cancellation reaches the task.
    AsyncioKeeps = "asyncio-aborting-group-keeps-the-cancel",
    /// asyncio has no shielded section: `asyncio.shield` leaves its work running in the background
    /// (SH2). In the library and Trio the task waits until the section is finished (S13). The
    /// oracle runs the section in a task and waits for it, and cancels at the next wait.
    AsyncioShield = "asyncio-shield-defers-the-cancel",
    /// TG40 fails in CPython 3.11: a group cancelled its own parent, which had no wait left. That
    /// cancellation stays pending for the parent's next wait. In the library it does not leave the
    /// group. The oracle removes it.
    AsyncioLeaves = "asyncio-group-leaves-its-cancel-pending",
    /// TG35, TG36 fail in CPython 3.11: a group cancels its parent while the parent waits at the
    /// group's end, and never subtracts that from the parent's cancel count. So an outer group
    /// later takes its own cancellation for a foreign one. The oracle subtracts it.
    AsyncioCounted = "asyncio-group-leaves-its-cancel-counted",
    /// TG42: CPython 3.11 forgets an outer cancellation that arrives while a group is already being
    /// cancelled. The library never loses it (S8). The oracle raises it at the end of the group.
    AsyncioForgets = "asyncio-group-forgets-the-outer-cancel",
    /// A child that an outer cancellation cuts off does not notify its group in asyncio. If the
    /// body has ended and no child is left to wait for, the group succeeds. In Trio that child's
    /// `Cancelled` comes out of the nursery, and in the library a group that was cut off never
    /// returns `Ok` (S40). The oracle raises the cancellation at the end of the group.
    AsyncioCutOff = "asyncio-group-forgets-a-child-that-was-cut-off",
    /// An asyncio timeout that is entered while a cancellation of its task is pending ignores that
    /// cancellation. If it expires at the same wait, it reports a timeout instead. In Trio (TR10)
    /// and the library (S21) the outer cancellation wins. The oracle passes the cancellation on.
    AsyncioTimeout = "asyncio-timeout-takes-the-outer-cancel",
    /// A deadline that was moved to the past has fired in Trio and the library (TR14, S21). In
    /// asyncio it can be moved once more before the next wait. The oracle leaves it where it was.
    AsyncioPast = "asyncio-past-deadline-can-be-moved",
    /// An asyncio group forgets a task one pass of the loop after its end. So leaving the group
    /// right after the end is a wait, at which a cancellation is delivered. The library has nothing
    /// to wait for. The oracle continues with the parent's next statement.
    AsyncioDoneTask = "asyncio-waits-for-a-task-that-is-done",
    /// TG28: spawning into a cancelled group is an error in asyncio. The library returns a handle
    /// that ends cancelled (S9), and so does the oracle.
    AsyncioSpawn = "asyncio-spawn-into-a-cancelled-group-raises",
    /// Entering a task group, and awaiting a task that is done, are no waits in asyncio: in a
    /// cancelled scope both continue. There every await of the library suspends, and is dropped
    /// (S37). The oracle waits in front of the two.
    AsyncioGoesOn = "asyncio-goes-on-in-a-cancelled-scope",
    /// In asyncio as in Trio, a cancellation that arrives while the loser of a race cleans up also
    /// cancels the race.
    AsyncioWonRace = "asyncio-cancel-beats-a-race-that-is-won",
    /// asyncio sees a failure one pass of its loop later, and a timeout or an outer cancellation
    /// reaches children through their parent. So a new child may start in between. The library
    /// never polls it (S16). The oracle ends such a task at its first step.
    AsyncioStarts = "asyncio-starts-a-task-before-the-cancel-arrives",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often each rule applied.
pub type Counts = BTreeMap<Rule, u64>;

/// The rule with this name.
pub fn by_name(name: &str) -> Option<Rule> {
    Rule::ALL.iter().copied().find(|rule| rule.name() == name)
}
