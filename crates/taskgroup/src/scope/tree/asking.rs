//! Asking what keeps a scope that is to end: sections in use answer, the others are parked (S40).
//!
//! - **T13** A scope that is told to end and is kept by sections asks them: it wakes them and the
//!   task that polls it. Each poll of a section counts as its answer. A section that does not
//!   answer within [`PATIENCE`] further polls of the scope is parked. It holds no longer, in either
//!   way, until it is polled within its home again. A guard of the scope's own code is no section
//!   and is not asked. A section whose waker another thread has taken and not yet called cannot
//!   answer, and is not silent.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::flags::{AWAY, CALLERS, CANCELLED, OWN};
use super::{Asking, Kind, Scope, SeenSection};
use crate::scope::current;
use crate::scope::time::{alarm, timer::Alarm};
use crate::sync::Ordering;

/// The number of polls of the scope after which a section is parked, if none of the sections that
/// were asked has answered. An executor inside one task (`FuturesUnordered`, say) polls some of
/// what was woken in its next poll or the one after. A section that the code around it polls by
/// hand is polled then as well. So a section in use is never cut off, and a parked one delays the
/// end by this many polls.
const PATIENCE: u32 = 64;
/// After this many polls without an answer, the sections are woken again, in case one was moved to
/// another executor.
const REMIND: u32 = 16;
/// When it looks again by itself. That is rare, because in a deep tree that is cancelled each task
/// is kept by a group until the tasks below have ended.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(4);
/// What looking costs is counted in sections. A poll of the scope earns `EARNED`, up to `MOST`. So
/// if thousands of sections are in use, not all of them are looked at in each poll.
const EARNED: isize = 8;
const MOST: isize = 64;

impl Scope {
    /// Its section is being polled. It only holds if it is polled within its home, where that keeps
    /// something.
    pub(in crate::scope) fn answer(&self) {
        if self.home().is_none_or(current::is_within) {
            // Only this thread writes it: a section has one poller at a time.
            let polls = self.polls.load(Ordering::Relaxed);
            self.polls.store(polls.wrapping_add(1), Ordering::Relaxed);
            self.unpark();
            if self.flags() & AWAY != 0 {
                self.flags.clear(AWAY);
            }
        } else {
            self.flags.set(AWAY);
            if self.keeps_home() {
                self.park();
            }
        }
    }

    /// Whether its section, if it is polled right now, keeps its home by that.
    pub(in crate::scope) fn is_polled_at_home(&self) -> bool {
        self.home().is_none_or(current::is_within)
    }

    /// The scope is to end, has just been polled and is kept by holds. Returns whether it is to be
    /// polled again at once.
    pub(in crate::scope) fn ask(self: &Arc<Self>) -> bool {
        if self.inner.lock().scopes.is_empty() || self.leaves_asking_to_outer() {
            // A guard of its own keeps it, or nothing keeps it any more.
            return false;
        }
        let mut asking = self.rare(|rare| std::mem::take(&mut rare.asking));
        let again = asking.look(self);
        self.rare(|rare| rare.asking = asking);
        again
    }

    /// Whether a scope close around it, in the same task, asks already. (In a deep tree not each
    /// level should look at all those below.)
    fn leaves_asking_to_outer(&self) -> bool {
        const CLOSE: usize = 8;
        let mut scope = self;
        for _ in 0..CLOSE {
            let Some(home) = scope.home().filter(|_| !scope.is_task_root()) else {
                return false;
            };
            let ending = match &home.kind {
                Kind::Group(_) | Kind::Section | Kind::Inline(_) | Kind::Run | Kind::Task(_) => {
                    CANCELLED
                }
                Kind::Deadline(_) => OWN,
                Kind::Shield | Kind::Root | Kind::Local(..) | Kind::Blocking | Kind::Call => 0,
            };
            if home.flags() & ending != 0 {
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

impl SeenSection {
    fn new(section: &Arc<Scope>) -> Self {
        let polls = section.polls.load(Ordering::Relaxed);
        Self(Arc::downgrade(section), polls)
    }

    /// Whether it has not been polled since. One that went to another home has let go.
    fn is_silent(&self) -> bool {
        let silent = |section: Arc<Scope>| {
            section.flags() & CALLERS == 0
                && section.keeps_home()
                && section.polls.load(Ordering::Relaxed) == self.1
        };
        self.0.upgrade().is_some_and(silent)
    }
}

/// Their addresses, as numbers of the type that other lists are sorted by.
fn sorted<'a>(seen: impl Iterator<Item = &'a SeenSection>) -> Vec<u64> {
    let mut addresses: Vec<_> = seen.map(|seen| seen.0.as_ptr().addr() as u64).collect();
    addresses.sort_unstable();
    addresses
}

impl Asking {
    fn look(&mut self, scope: &Arc<Scope>) -> bool {
        self.credit = self.credit.saturating_add(EARNED).min(MOST);
        let mut silent = Vec::new();
        if let Some(waits) = &mut self.waits {
            let before = self.asked.len();
            self.asked.retain(SeenSection::is_silent);
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
        // New sections are asked, and from time to time those that have not been polled since the
        // last look. They are not asked each time, because an executor that wakes itself after it
        // was woken would go on for ever.
        let (holding, seen) = scope.holding_below();
        self.credit -= isize::try_from(seen).unwrap_or(isize::MAX);
        let due = self.is_due();
        let known = sorted(self.known.iter());
        let to_ask = holding.iter().filter(|section| {
            let section = Arc::as_ptr(section).addr() as u64;
            let is_in = |list: &[u64]| list.binary_search(&section).is_ok();
            !is_in(&known) || (due && is_in(&silent))
        });
        self.asked = to_ask.map(SeenSection::new).collect();
        self.known = holding.iter().map(SeenSection::new).collect();
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

    /// Looks again after a pause, whether the scope is polled or not, because what is in use now
    /// may be put aside in the last poll that there is. Each pause is twice as long as the one
    /// before, up to the longest.
    fn rest(&mut self, scope: &Arc<Scope>) {
        if !self.is_due() {
            return;
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LAST_PAUSE);
        let next = Instant::now() + self.pause;
        self.next = Some(next);
        // In a model time stands still.
        if !cfg!(loom) {
            let alarm = Alarm::Ask(Arc::downgrade(scope), Scope::look_again);
            alarm::ring(scope, self.pause, alarm);
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
