//! How the code of a section ended, and what becomes of a panic.

use std::sync::Arc;

use crate::error::{Caught, Member};
use crate::scope::tree::Scope;
use crate::scope::who;

/// How the future of a section ended.
pub(crate) enum Ended<T> {
    Value(T),
    /// Dropped by the guard rule.
    Dropped,
    /// It panicked while it was polled or dropped.
    Panicked(Box<Caught>),
}

impl<T> Ended<T> {
    /// The value, or `None` for a future that the guard rule has dropped. A panic goes on in the
    /// caller.
    pub(crate) fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Dropped => None,
            Self::Panicked(caught) => caught.resume(),
        }
    }
}

/// The code of `scope` had panicked, and the code that was to unwind with that is gone (S41). The
/// parent gets a failure instead.
pub(super) fn adopt_panic(scope: &Arc<Scope>, caught: Caught) {
    if let Some(parent) = scope.parent() {
        let who = match scope.group() {
            Some(_) => who::body_info(scope),
            None => who::info(scope),
        };
        parent.adopt_from_hand(Member::failed(who, caught.into()));
    }
}
