//! A group without a body: its owner closes it by hand (S47).
//!
//! `hand` says who has the token of the section.

use std::sync::{Arc, Weak};
use std::task::{Poll, Wake, Waker};

use super::GroupState;
use super::hand::Hand;
use super::view::Group;
use crate::error::{ErrorGroup, Member, TaskError};
use crate::reason::CancelReason;
use crate::scope::cancelled::Cancelled;
use crate::scope::tree::{Dropping, Scope, Watch};
use crate::scope::who::{body_info, info};
use crate::sync::Mutex;

impl GroupState {
    fn hand(&self) -> Option<&Mutex<Hand>> {
        let asked = self.asked.as_deref()?;
        asked.settings.by_hand.then_some(&asked.hand)
    }
}

impl Group<'_> {
    /// Closes the group once nothing is left in it. Any number of callers may wait for that, and
    /// each gets the outcome.
    pub(crate) fn poll_closed(
        self,
        watch: &mut Watch,
        waker: &Waker,
    ) -> Poll<Result<(), ErrorGroup>> {
        watch.poll(waker, |_| {
            self.close_if_quiet();
            self.closed_with()
        })
    }

    fn close_if_quiet(self) {
        let Some(hand) = self.state.hand() else {
            return;
        };
        loop {
            if self.scope.below() > 0 {
                self.scope.hand_on();
                let waker = Waker::from(Arc::new(ToWatchers(Arc::downgrade(self.scope))));
                // As in a section that winds up: the thread that gives the last token back looks
                // for the waker and for the mark of draining.
                self.scope.set_waker(&waker);
                self.scope.start_draining();
                if self.scope.only_background() {
                    self.scope.end_background();
                }
                if self.scope.below() > 0 {
                    return;
                }
            }
            // OG1
            let closes = {
                let mut hand = hand.lock();
                if !matches!(*hand, Hand::Open) {
                    return;
                }
                let closes = self.scope.try_close();
                if closes {
                    *hand = Hand::Closing;
                }
                closes
            };
            if closes {
                let first = self.first_failure();
                let outcome = self.outcome();
                *hand.lock() = Hand::Closed { outcome, first };
                // No code runs in the scope of the group, so nothing is deferred to its end.
                drop(self.scope.stop_waiting());
                return self.scope.finish_section();
            }
        }
    }

    /// The group has ended.
    fn outcome(self) -> Result<(), ErrorGroup> {
        match self.take_failure() {
            Some(failure) => Err(failure),
            None => self.not_cut(),
        }
    }

    /// S40: a group that was cut off never reports that all went well.
    fn not_cut(self) -> Result<(), ErrorGroup> {
        if !self.scope.is_cut() {
            return Ok(());
        }
        let reason = self.scope.reason();
        let reason = reason.unwrap_or_else(|| CancelReason::dropped(self.scope.location));
        let error = Box::new(Cancelled::plain(reason));
        let member = Member::from_cancelled(body_info(self.scope), error);
        ErrorGroup::new(info(self.scope), vec![member]).map_or(Ok(()), Err)
    }

    fn closed_with(self) -> Option<Result<(), ErrorGroup>> {
        let hand = self.state.hand()?.lock();
        match &*hand {
            Hand::Open | Hand::Closing => None,
            Hand::Closed { outcome, .. } => Some(outcome.clone()),
            Hand::LetGo => {
                drop(hand);
                self.scope.has_ended().then(|| self.not_cut())
            }
        }
    }

    /// The first failure that the group keeps. Ready with `None` when the group has ended without
    /// one.
    pub(crate) fn poll_failed(self, watch: &mut Watch, waker: &Waker) -> Poll<Option<TaskError>> {
        watch.poll(waker, |_| {
            if let Some(failed) = self.first_failure() {
                return Some(Some(failed));
            }
            match &*self.state.hand()?.lock() {
                Hand::Closing => None,
                Hand::Closed { first, .. } => Some(first.clone()),
                Hand::Open | Hand::LetGo => self.scope.has_ended().then_some(None),
            }
        })
    }

    /// The owner is gone, or the run in which the group was opened ends: the group is cancelled,
    /// and the scope around waits for it. A group that was closed forgets its outcome.
    pub(crate) fn let_go(self) {
        let Some(hand) = self.state.hand() else {
            return;
        };
        // OG1
        let before = {
            let mut hand = hand.lock();
            match &*hand {
                Hand::Open | Hand::Closed { .. } => std::mem::replace(&mut *hand, Hand::LetGo),
                Hand::Closing | Hand::LetGo => return,
            }
        };
        let was_open = matches!(before, Hand::Open);
        // No code asks for the outcome any more. Callers that got it have clones of their own.
        drop(before);
        if was_open {
            self.scope.hand_on();
            let reason = CancelReason::let_go(self.scope.location);
            self.scope.cancel(&reason, Dropping::Scheduled);
            self.scope.orphan();
        }
    }
}

impl Scope {
    /// If this is a group that its owner closes by hand, lets it go and returns true.
    pub(in crate::scope) fn let_go_if_by_hand(self: &Arc<Self>) -> bool {
        match self.as_group().filter(|group| group.state.hand().is_some()) {
            Some(group) => {
                group.let_go();
                true
            }
            None => false,
        }
    }
}

/// Wakes all that wait for the end of a group: each of them may be the one that closes it.
struct ToWatchers(Weak<Scope>);

impl Wake for ToWatchers {
    fn wake(self: Arc<Self>) {
        if let Some(scope) = self.0.upgrade() {
            scope.wake_watchers();
        }
    }
}
