//! Failures that were handed on and are not kept.

use super::leaf::Identity;
use super::tree::NodeIdentity;
use super::{ErrorGroup, Member, TaskError};

/// Remembers failures without keeping them, to recognise one that comes again. It only grows with
/// the failures that other code still keeps.
#[derive(Default)]
pub(crate) struct Seen {
    known: Vec<Known>,
    /// When so many are known, those that nothing keeps any more are removed.
    prune_at: usize,
}

enum Known {
    Task(Identity),
    Group(NodeIdentity),
}

impl Seen {
    pub(crate) fn add(&mut self, member: &Member) {
        if self.known.len() >= self.prune_at {
            self.known.retain(Known::is_kept);
            self.prune_at = (2 * self.known.len()).max(16);
        }
        self.known.push(match member {
            Member::Task(task) => Known::Task(task.identity()),
            Member::Group(group) => Known::Group(group.identity()),
        });
    }

    /// As [`Member::is_same`] with each of those that were added.
    pub(crate) fn contains(&self, failure: &TaskError) -> bool {
        if self.known.is_empty() {
            return false;
        }
        let (task, group) = (failure.identity(), failure.downcast_ref::<ErrorGroup>());
        self.known.iter().any(|known| match known {
            Known::Task(known) => known.key() == task.key(),
            Known::Group(known) => group.is_some_and(|group| known.is(group)),
        })
    }
}

impl Known {
    fn is_kept(&self) -> bool {
        match self {
            Self::Task(task) => task.is_kept(),
            Self::Group(group) => group.is_kept(),
        }
    }
}
