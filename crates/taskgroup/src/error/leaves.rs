//! Walking the leaves of a tree.

use super::chain::Chain;
use super::{ErrorGroup, Member, TaskError};
use std::fmt;
use std::iter::FusedIterator;
use std::ops::Deref;

/// A failed task in a tree: the [`TaskError`] and the groups above it.
///
/// It dereferences to the [`TaskError`], so `leaf.name()` and `leaf.is::<io::Error>()` work
/// directly.
#[derive(Clone)]
pub struct Leaf<'a> {
    task: &'a TaskError,
    above: Chain<&'a ErrorGroup>,
}

impl<'a> Leaf<'a> {
    pub(super) fn new(task: &'a TaskError, above: Chain<&'a ErrorGroup>) -> Self {
        Self { task, above }
    }

    /// The failed task.
    pub fn task(&self) -> &'a TaskError {
        self.task
    }

    /// The groups above it in the tree, the nearest first and the root last.
    pub fn ancestors(&self) -> impl Iterator<Item = &'a ErrorGroup> + '_ {
        self.above.iter().copied()
    }

    /// How many groups are above it; 1 for a direct member.
    pub fn depth(&self) -> usize {
        self.above.length()
    }
}

impl Deref for Leaf<'_> {
    type Target = TaskError;

    fn deref(&self) -> &TaskError {
        self.task
    }
}

impl fmt::Display for Leaf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.task.fmt(f)
    }
}

impl fmt::Debug for Leaf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.task, f)
    }
}

/// The iterator of [`ErrorGroup::leaves`]: depth first, in each group the cause first and the
/// others in order of arrival.
///
/// ```
/// use taskgroup::{Policy, TaskGroup};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let group = TaskGroup::builder().policy(Policy::collect());
/// let run = group.run(async |group| {
///     for name in ["left", "right"] {
///         group
///             .task(name)
///             .spawn(async move { Err::<(), _>(format!("{name} is broken")) });
///     }
///     Ok(())
/// });
/// let error = run.await.unwrap_err();
/// let mut names: Vec<_> =
///     error.leaves().map(|leaf| leaf.name().to_owned()).collect();
/// names.sort();
/// assert_eq!(names, ["left", "right"]);
/// # }
/// ```
#[must_use = "an iterator does nothing until it is used"]
pub struct Leaves<'a> {
    open: Vec<(Chain<&'a ErrorGroup>, std::slice::Iter<'a, Member>)>,
}

impl<'a> Leaves<'a> {
    pub(super) fn new(root: &'a ErrorGroup) -> Self {
        let open = vec![(Chain::new(root, None), root.members().iter())];
        Self { open }
    }
}

impl<'a> Iterator for Leaves<'a> {
    type Item = Leaf<'a>;

    fn next(&mut self) -> Option<Leaf<'a>> {
        while let Some((above, members)) = self.open.last_mut() {
            match members.next() {
                Some(Member::Task(task)) => return Some(Leaf::new(task, above.clone())),
                Some(Member::Group(group)) => {
                    let above = Chain::new(group, Some(above));
                    self.open.push((above, group.members().iter()));
                }
                None => {
                    self.open.pop();
                }
            }
        }
        None
    }
}

impl FusedIterator for Leaves<'_> {}

impl fmt::Debug for Leaves<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaves")
            .field("depth", &self.open.len())
            .finish_non_exhaustive()
    }
}
