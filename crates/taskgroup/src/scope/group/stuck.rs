//! A group with a limit that waits for itself (S53): each of its places is held by a child that
//! waits for a place, or for a child in the queue.
//!
//! An await of this crate that suspends notes what its child waits for, and the next poll of the
//! child first takes the note back. So the notes of a group say what its children waited for when
//! they were polled last. They do not say two things:
//!
//! - whether the wait still lasts. In the poll that made the note another branch of a `select!` may
//!   have been ready, and the child has gone on. So notes that have stood for [`PATIENCE`] are
//!   checked: the children are woken, and a wait that lasts makes its note again. The warning needs
//!   [`CONFIRMED`] such checks, with no other poll between. A wait inside an executor of the
//!   child's own (`FuturesUnordered`, say) is not polled then, so it is not seen.
//! - what *else* the child waits for, a message or a timer beside the place. The warning says what
//!   the children wait for, not that nothing can happen.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::GroupState;
use super::limit::Limited;
use super::places::WaitsFor;
use super::view::Group;
use crate::scope::current;
use crate::scope::task::{Header, LIMITED, TaskRef};
use crate::scope::time::{alarm, timer::Alarm};
use crate::scope::tree::Scope;
use crate::scope::who::info;
use crate::warning::{Warning, WarningKind, warn};

/// How long the notes have to stand before they are checked.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the children have to make them again. It is no round number, so that no timer of the
/// program is likely to end a wait in the very poll that confirms it.
const ANSWER: Duration = Duration::from_millis(137);
/// How often they have to make them again before there is a warning.
const CONFIRMED: u32 = 2;
/// The most children that the warning names.
const MOST_NAMES: usize = 20;

impl Group<'_> {
    /// The code that is polled has suspended, in a wait for `what` of this group. Returns the
    /// number of the child that made a note of it.
    #[cold]
    pub(super) fn waits_inside(self, what: WaitsFor) -> Option<u32> {
        self.limiter()?.waits_inside(self.scope, what)
    }
}

impl Limited {
    /// [`Group::waits_inside`]
    pub(super) fn note_wait(&self, scope: &Arc<Scope>, what: WaitsFor) -> Option<u32> {
        if !self.places.lock().is_to_come(what) {
            return None;
        }
        let task = current::task()?;
        let header = task.header();
        if !header.has(LIMITED) || !Arc::ptr_eq(&header.owner, scope) {
            return None;
        }
        let to_watch = {
            let mut places = self.places.lock();
            // Relaxed: a thread that polls a child has seen what its earlier polls did.
            self.has_notes.store(true, Ordering::Relaxed);
            places.note(header.index, what)
        };
        if let Some(changes) = to_watch {
            watch(scope, PATIENCE, changes, 0);
        }
        Some(header.index)
    }

    /// [`GroupState::stirs`]
    pub(super) fn forget_note(&self, index: u32) {
        if self.has_notes.load(Ordering::Relaxed) {
            let mut places = self.places.lock();
            let are_left = places.forget_note(index);
            self.has_notes.store(are_left, Ordering::Relaxed);
        }
    }
}

impl GroupState {
    /// The child with this number is polled again, or has ended.
    #[inline]
    pub(super) fn stirs(&self, index: u32) {
        if let Some(limiter) = self.limiter() {
            limiter.stirs(index);
        }
    }
}

impl Header {
    /// This child is about to be polled, and holds a place.
    #[inline]
    pub(in crate::scope) fn stirs(&self) {
        if let Some(group) = self.owner.group() {
            group.stirs(self.index);
        }
    }

    /// Other code awaits this child and has suspended. The child was never polled.
    #[cold]
    pub(in crate::scope) fn awaited_before_its_start(&self) {
        if let Some(group) = self.owner.as_group() {
            group.waits_inside(WaitsFor::Child(self.index));
        }
    }
}

/// Looks again after `pause` at notes that have changed `changes` times by now. The children have
/// confirmed them `confirmed` times.
fn watch(scope: &Arc<Scope>, pause: Duration, changes: u64, confirmed: u32) {
    // In a model time stands still.
    if !cfg!(loom) {
        let noted = (changes, confirmed);
        let alarm = Alarm::Stuck(Arc::downgrade(scope), noted, Scope::look_if_stuck);
        alarm::ring(scope, pause, alarm);
    }
}

impl Scope {
    /// Looks whether the group still waits for itself, as it did when its notes had changed
    /// `changes` times. The children have been asked `confirmed` times.
    pub(in crate::scope) fn look_if_stuck(self: &Arc<Self>, changes: u64, confirmed: u32) {
        let Some(limiter) = self.group().and_then(GroupState::limiter) else {
            return;
        };
        let places = limiter.places();
        let (now, holders, stands) = {
            let mut places = places.lock();
            if self.is_cancelled() || !places.is_stuck() {
                places.is_watched = false;
                return;
            }
            let holders = places.notes.clone();
            // A child that was woken takes its note back and makes it again.
            let made_again = if confirmed == 0 {
                0
            } else {
                2 * holders.len() as u64
            };
            let stands = places.changes == changes + made_again;
            (places.changes, holders, stands)
        };
        if !stands {
            return watch(self, PATIENCE, now, 0);
        }
        if confirmed == CONFIRMED {
            // `is_watched` stays: the group is named once.
            return warn(&self.waits_for_itself());
        }
        watch(self, ANSWER, now, confirmed + 1);
        let (tasks, _) = self.children();
        let asked = tasks.into_iter();
        asked
            .filter(|task| holders.contains_key(&task.header().index))
            .for_each(TaskRef::wake);
    }

    #[cold]
    fn waits_for_itself(self: &Arc<Self>) -> Warning {
        let limiter = self.group().and_then(GroupState::limiter);
        let notes = limiter.map_or_else(Vec::new, |limiter| limiter.places().lock().notes());
        let (tasks, _) = self.children();
        let name = |header: &Header| {
            let info = header.info();
            format!("`{}` ({})", info.path(), info.location())
        };
        let places = notes.len();
        let mut lines = Vec::new();
        for (index, awaited) in notes.into_iter().take(MOST_NAMES) {
            let holder = tasks.iter().find(|task| task.header().index == index);
            let holder = holder.map_or_else(|| format!("`#{index}`"), |task| name(task.header()));
            let awaited = awaited.map(|task| name(task.header()));
            let awaited = awaited.unwrap_or_else(|| "a place".to_owned());
            lines.push(format!("{holder} waits for {awaited}"));
        }
        if places > lines.len() {
            lines.push(format!("and {} more", places - lines.len()));
        }
        let group = info(self);
        let held = match places {
            1 => "its only place has".to_owned(),
            _ => format!("each of its {places} places has"),
        };
        let message = format!(
            "group `{}` ({}): it waits for itself. For {PATIENCE:?} {held} been held by a child \
             that waits for a place, or for a queued child, of the same group: {}. Let the body \
             spawn, give the child a group of its own, or raise the limit",
            group.path(),
            group.location(),
            lines.join("; "),
        );
        Warning::new(WarningKind::WaitsForItself, group, message)
    }
}
