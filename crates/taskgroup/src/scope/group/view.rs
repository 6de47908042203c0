//! A group in its tree: its scope, and what the scope has beside that.

use std::ops::Deref;
use std::sync::Arc;

use super::GroupState;
use crate::scope::tree::Scope;

/// A scope that is a group, with its state. What needs both is a method of this.
#[derive(Clone, Copy)]
pub(crate) struct Group<'a> {
    pub(super) scope: &'a Arc<Scope>,
    pub(super) state: &'a GroupState,
}

impl<'a> Group<'a> {
    /// `state` is the state of `scope`.
    #[inline]
    pub(crate) fn new(scope: &'a Arc<Scope>, state: &'a GroupState) -> Self {
        Self { scope, state }
    }
}

impl Deref for Group<'_> {
    type Target = GroupState;
    #[inline]
    fn deref(&self) -> &GroupState {
        self.state
    }
}

impl Scope {
    /// This scope as a group, if it is one.
    #[inline]
    pub(crate) fn as_group(self: &Arc<Self>) -> Option<Group<'_>> {
        self.group().map(|state| Group::new(self, state))
    }
}
