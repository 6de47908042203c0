//! Children that are polled inside the task of their group: who they are, and what they are in the
//! tree.

use std::borrow::Cow;

use crate::clock::{self, Stamp};

/// An inline child: its number in the group, and its name if it has one.
#[derive(Clone)]
pub(crate) struct Entrant {
    index: u32,
    name: Option<Cow<'static, str>>,
}

impl Entrant {
    pub(crate) fn new(index: u32, name: Option<Cow<'static, str>>) -> Self {
        Self { index, name }
    }

    /// Its number in the group.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn display_name(&self) -> Cow<'static, str> {
        let number = || Cow::Owned(format!("#{}", self.index));
        self.name.clone().unwrap_or_else(number)
    }
}

/// What an inline child adds to its scope.
pub(crate) struct Inline {
    who: Entrant,
    /// When it was opened.
    pub(crate) since: Stamp,
}

impl Inline {
    pub(crate) fn new(who: Entrant) -> Self {
        Self {
            who,
            since: clock::stamp(),
        }
    }

    pub(crate) fn who(&self) -> &Entrant {
        &self.who
    }
}
