//! Holds: what forbids dropping a future, and who is asked whether it still does (T6, S40).
//!
//! - **T12** A section holds its home at most once by itself (`HOLDING`), and once more while its
//!   own `holds` are not 0 (a guard is alive in it, or in a section further in) and it is not
//!   `PARKED`. All these change, together with the count of the home, under the lock of the
//!   section. So does its home (T10); a count that stays above 0 needs no lock. Locks are taken
//!   outwards only.
//! - **T13** A scope that is told to end and is kept by sections asks them: it wakes them and
//!   whoever polls it. Each poll of a section counts as its answer. One that does not answer within
//!   [`PATIENCE`] further polls of the scope is parked, and holds no longer in either way, until it
//!   is polled within its home again. A guard of the scope's own code is no section, and is not
//!   asked.

use std::sync::{Arc, Weak};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::Instant;

use super::{CANCELLED, Dropping, HOLDING, Inner, Kind, OWN, PARKED, Scope, TOLD, spread, task_of};
use crate::scope::current;
use crate::scope::timer::{self, Alarm};
use crate::sync::{MutexGuard, Ordering};

/// A section is parked after so many polls of the scope around it in which none of those asked has answered. An executor inside one task
/// (`FuturesUnordered`, say) polls something of what was woken in its next poll or the one after, and a section that the code around polls by
/// hand is polled then as well. So a section that is in use is never cut off, and one that is parked delays the end by that many polls.
const PATIENCE: u32 = 64;
/// While it waits it wakes them again, in case one was moved to another executor.
const REMIND: u32 = 16;
/// When it looks again by itself. Rarely: in a deep tree that is cancelled each task is kept by a group for as long as those below end.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(4);
/// What looking costs is counted in sections. A poll of the scope earns so many, up to `MOST`: where thousands of sections are in use, they
/// are not all looked at in each poll.
const EARNED: isize = 8;
const MOST: isize = 64;

/// Those who are to look again whether they may be dropped now.
type Freed<'a> = SmallVec<[&'a Arc<Scope>; 4]>;

impl Scope {
    pub(crate) fn holds(&self) -> u32 {
        // SeqCst: T14: counts after `CANCELLED` was set.
        self.holds.load(Ordering::SeqCst)
    }

    /// Forbids dropping this scope's future and those around it in the same task.
    pub(crate) fn hold(self: &Arc<Self>) {
        hold_from(self, None);
    }

    pub(crate) fn release(self: &Arc<Self>) {
        let mut freed = Freed::new();
        release_from(self, None, &mut freed);
        freed.into_iter().for_each(look_again);
    }

    /// Its section holds its home.
    pub(in super::super) fn hold_home(&self) {
        if self.is_holding() {
            return;
        }
        let own = self.inner.lock();
        let before = self.flags.set(HOLDING);
        if let (0, Some(home)) = (before & HOLDING, self.home()) {
            hold_from(home, Some(own));
        }
    }

    /// And no longer. Whoever finds that it does not any more has nothing to do.
    pub(in super::super) fn release_home(&self) {
        if !self.is_holding() {
            return;
        }
        let mut freed = Freed::new();
        let own = self.inner.lock();
        let before = self.flags.clear(HOLDING);
        if let (HOLDING, Some(home)) = (before & HOLDING, self.home()) {
            release_from(home, Some(own), &mut freed);
        } else {
            drop(own);
        }
        freed.into_iter().for_each(look_again);
    }

    /// It is not polled within its home: nothing that its code forbids keeps that.
    pub(in super::super) fn park(&self) {
        let mut freed = Freed::new();
        let own = self.inner.lock();
        let before = self.flags.set(PARKED);
        self.flags.clear(HOLDING);
        if let Some(home) = self.home() {
            if before & HOLDING != 0 {
                release_from(home, None, &mut freed);
            }
            if before & PARKED == 0 && self.passes_holds_on() {
                release_from(home, None, &mut freed);
            }
        }
        drop(own);
        freed.into_iter().for_each(look_again);
    }

    /// It is polled within its home again.
    pub(in super::super) fn unpark(&self) {
        if !self.is_parked() {
            return;
        }
        let own = self.inner.lock();
        let before = self.flags.clear(PARKED);
        if let (true, Some(home)) = (before & PARKED != 0, self.home()) {
            if self.passes_holds_on() {
                hold_from(home, Some(own));
            }
        }
    }

    /// Whether something holds it that holds its home as well, unless it is parked.
    fn passes_holds_on(&self) -> bool {
        !self.is_task_root() && self.holds() > 0
    }

    /// Whether its home is kept by it, in either way (T12).
    fn keeps_home(&self) -> bool {
        self.is_holding() || (!self.is_parked() && self.passes_holds_on())
    }

    /// Its home has changed just now, under `own`, its lock. What its code forbids (a guard in there) it forbids there.
    pub(super) fn move_holds(
        &self,
        own: MutexGuard<'_, Inner>,
        from: &Arc<Scope>,
        home: &Arc<Scope>,
    ) {
        let mut freed = Freed::new();
        if !self.is_parked() && self.passes_holds_on() {
            hold_from(home, None);
            release_from(from, None, &mut freed);
        }
        if self.flags.clear(HOLDING) & HOLDING != 0 {
            release_from(from, None, &mut freed);
        }
        drop(own);
        freed.into_iter().for_each(look_again);
    }

    /// Whether the cancellation was asked of this very scope.
    pub(crate) fn is_origin(&self) -> bool {
        self.flags() & OWN != 0
    }

    /// Whether there was a [`Cancelled`](crate::Cancelled) of this scope.
    pub(crate) fn was_told(&self) -> bool {
        self.flags() & TOLD != 0
    }

    /// Whether a [`Cancelled`](crate::Cancelled) of this scope lives.
    pub(crate) fn is_masked(&self) -> bool {
        self.masks() > 0
    }

    /// How many of them there are.
    pub(crate) fn masks(&self) -> u32 {
        self.inner.lock().masks
    }

    /// A [`Cancelled`](crate::Cancelled) of this scope came to life. What it forbids is another
    /// matter, see [`hold`](Scope::hold).
    pub(crate) fn mask(self: &Arc<Self>) {
        self.flags.set(TOLD);
        self.inner.lock().masks += 1;
        self.wake_stopped();
    }

    /// A [`Cancelled`](crate::Cancelled) of this scope is gone: the last one re-arms the cancellation, also for what was opened
    /// below meanwhile.
    pub(crate) fn unmask(self: &Arc<Self>) {
        let again = {
            let mut inner = self.inner.lock();
            inner.masks -= 1;
            (inner.masks == 0 && self.is_cancelled()).then(|| {
                let below = inner.scopes.to_vec();
                (below, inner.reason.clone())
            })
        };
        if let Some((below, Some(reason))) = again {
            for scope in below {
                if !scope.kind.keeps_cancel_out() {
                    spread(&scope, CANCELLED, &reason, Dropping::Scheduled);
                }
            }
        }
    }

    // ---- asking (T13) ----

    /// Its section is being polled. It only holds where that keeps something: within its home.
    pub(in super::super) fn answer(&self) {
        if self.home().is_none_or(current::is_within) {
            // Nobody else writes it: a section has one poller at a time.
            let polls = self.polls.load(Ordering::Relaxed);
            self.polls.store(polls.wrapping_add(1), Ordering::Relaxed);
            self.unpark();
        } else if self.keeps_home() {
            self.park();
        }
    }

    /// Whether its section, if it is polled right now, keeps its home by that.
    pub(in super::super) fn is_polled_at_home(&self) -> bool {
        self.home().is_none_or(current::is_within)
    }

    /// The scope is to end, has just been polled and is kept by holds. Returns whether it is to be polled again at once.
    pub(in super::super) fn ask(self: &Arc<Self>) -> bool {
        if self.inner.lock().scopes.is_empty() || self.leaves_asking_to_outer() {
            // A guard of its own keeps it, or nothing any more.
            return false;
        }
        let mut asking = self.rare(|rare| std::mem::take(&mut rare.asking));
        let again = asking.look(self);
        self.rare(|rare| rare.asking = asking);
        again
    }

    /// Whether a scope close around it, in the same task, asks already. (In a deep tree not each level should look at all those below.)
    fn leaves_asking_to_outer(&self) -> bool {
        const CLOSE: usize = 8;
        let mut scope = self;
        for _ in 0..CLOSE {
            let Some(home) = scope.home().filter(|_| !scope.is_task_root()) else {
                return false;
            };
            let told = match &home.kind {
                Kind::Group(_) | Kind::Section | Kind::Run | Kind::Task(_) => CANCELLED,
                Kind::Deadline(_) => OWN,
                Kind::Shield | Kind::Root | Kind::Local(..) | Kind::Blocking | Kind::Call => 0,
            };
            if home.flags() & told != 0 {
                return current::is_within(home);
            }
            scope = home;
        }
        false
    }

    /// The live sections below, in the same task, that hold; and how many scopes were looked at.
    fn holding_below(&self) -> (Vec<Arc<Scope>>, usize) {
        let mut stack = self.inner.lock().scopes.to_vec();
        let mut holding = Vec::new();
        let mut seen = 0;
        while let Some(scope) = stack.pop() {
            seen += 1;
            if !scope.is_live_section() {
                continue;
            }
            stack.extend(scope.inner.lock().scopes.iter().cloned());
            if scope.keeps_home() {
                holding.push(scope);
            }
        }
        (holding, seen)
    }
}

/// What a scope that was told to end knows of the sections that keep it. Only its poller looks at it.
#[derive(Default)]
pub(super) struct Asking {
    credit: isize,
    /// How often the scope was polled since one of them answered, while it waits for answers.
    waits: Option<u32>,
    /// Those that it waits for.
    asked: Vec<Seen>,
    /// Those that it saw last.
    known: Vec<Seen>,
    /// When it looks again by itself, and how long it has waited for that.
    next: Option<Instant>,
    pause: Duration,
}

/// A section, with its count of polls when it was seen. A weak reference keeps its address from becoming that of another one.
struct Seen(Weak<Scope>, u32);

impl Seen {
    fn new(section: &Arc<Scope>) -> Self {
        let polls = section.polls.load(Ordering::Relaxed);
        Self(Arc::downgrade(section), polls)
    }

    /// Whether it has not been polled since. One that went to another home has let go.
    fn is_silent(&self) -> bool {
        let silent = |section: Arc<Scope>| {
            section.keeps_home() && section.polls.load(Ordering::Relaxed) == self.1
        };
        self.0.upgrade().is_some_and(silent)
    }
}

/// Their addresses.
fn sorted<'a>(seen: impl Iterator<Item = &'a Seen>) -> Vec<*const Scope> {
    let mut addresses: Vec<_> = seen.map(|seen| seen.0.as_ptr()).collect();
    addresses.sort_unstable();
    addresses
}

impl Asking {
    fn look(&mut self, scope: &Arc<Scope>) -> bool {
        self.credit = self.credit.saturating_add(EARNED).min(MOST);
        let mut silent = Vec::new();
        if let Some(waits) = &mut self.waits {
            let before = self.asked.len();
            self.asked.retain(Seen::is_silent);
            if !self.asked.is_empty() {
                let answered = self.asked.len() < before;
                *waits = if answered { 0 } else { *waits + 1 };
                match *waits {
                    PATIENCE => self.give_up(),
                    waits if waits % REMIND == REMIND - 1 => self.wake(),
                    _ => {}
                }
                return true;
            }
            self.waits = None;
        } else if self.credit < 0 {
            self.rest(scope);
            return false;
        } else {
            silent = sorted(self.known.iter().filter(|seen| seen.is_silent()));
        }
        // What is new is asked, and from time to time what has not been polled since the last look. Not each time: an executor that wakes
        // itself after it was woken would go on for ever.
        let (holding, seen) = scope.holding_below();
        self.credit -= isize::try_from(seen).unwrap_or(isize::MAX);
        let due = self.is_due();
        let known = sorted(self.known.iter());
        let to_ask = holding.iter().filter(|section| {
            let section = Arc::as_ptr(section);
            let is_in = |list: &[*const Scope]| list.binary_search(&section).is_ok();
            !is_in(&known) || (due && is_in(&silent))
        });
        self.asked = to_ask.map(Seen::new).collect();
        self.known = holding.iter().map(Seen::new).collect();
        if self.asked.is_empty() {
            if !holding.is_empty() {
                self.rest(scope);
            }
            return false;
        }
        self.waits = Some(0);
        self.wake();
        true
    }

    fn is_due(&self) -> bool {
        self.next.is_none_or(|next| next <= Instant::now())
    }

    /// Looks again after a pause, whether the scope is polled or not: what is in use now may be parked in the last poll that there is. Each
    /// pause is twice as long as the one before, up to the longest.
    fn rest(&mut self, scope: &Arc<Scope>) {
        if !self.is_due() {
            return;
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LAST_PAUSE);
        let next = Instant::now() + self.pause;
        self.next = Some(next);
        // In a model time stands still, and without a clock it looks again when it is polled.
        if !cfg!(loom) {
            timer::ring(scope, self.pause, Alarm::Ask(Arc::downgrade(scope)));
        }
    }

    fn wake(&self) {
        for section in self.asked.iter().filter_map(|seen| seen.0.upgrade()) {
            section.wake();
        }
    }

    /// Those that have not answered are parked.
    fn give_up(&mut self) {
        self.waits = None;
        for seen in std::mem::take(&mut self.asked) {
            if let Some(section) = seen.0.upgrade() {
                section.park();
            }
        }
    }
}

/// Counts a hold of `scope` and, where its count leaves 0 and it is not parked, of its home, and so
/// on. `below` is the lock of what holds it, if it is a scope.
///
/// SeqCst: T14, as each write of `holds`.
fn hold_from<'a>(mut scope: &'a Arc<Scope>, mut below: Option<MutexGuard<'a, Inner>>) {
    loop {
        if scope.is_task_root() {
            scope.holds.fetch_add(1, Ordering::SeqCst);
            return;
        }
        let held = |holds| (holds > 0).then_some(holds + 1);
        let counted = scope
            .holds
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, held);
        if counted.is_ok() {
            return;
        }
        let own = scope.inner.lock();
        let crossed = scope.holds.fetch_add(1, Ordering::SeqCst) == 0;
        drop(below.replace(own));
        match scope.home() {
            Some(home) if crossed && !scope.is_parked() => scope = home,
            _ => return,
        }
    }
}

/// The other way round. A scope whose count comes to 0 is among the `freed`, if it is cancelled.
///
/// SeqCst: T14: the last hold of a task is taken off before `is_cancelled` looks for `CANCELLED`.
/// The others are as each write of `holds`.
fn release_from<'a>(
    mut scope: &'a Arc<Scope>,
    mut below: Option<MutexGuard<'a, Inner>>,
    freed: &mut Freed<'a>,
) {
    loop {
        if scope.is_task_root() {
            let last = scope.holds.fetch_sub(1, Ordering::SeqCst) == 1;
            freed.extend((last && scope.is_cancelled()).then_some(scope));
            return;
        }
        let kept = |holds| (holds > 1).then(|| holds - 1);
        let counted = scope
            .holds
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, kept);
        if counted.is_ok() {
            return;
        }
        let own = scope.inner.lock();
        let crossed = scope.holds.fetch_sub(1, Ordering::SeqCst) == 1;
        drop(below.replace(own));
        freed.extend((crossed && scope.is_cancelled()).then_some(scope));
        match scope.home() {
            Some(home) if crossed && !scope.is_parked() => scope = home,
            _ => return,
        }
    }
}

/// The drop rule may apply now: has whoever polls `scope` look again. Code that blocks on an await
/// in there is looked at by nothing else (T15).
pub(in super::super) fn look_again(scope: &Arc<Scope>) {
    scope.wake_stopped();
    match &scope.kind {
        Kind::Task(_) => {
            if let Some(task) = task_of(scope) {
                task.wake();
            }
        }
        _ => scope.wake(),
    }
}
