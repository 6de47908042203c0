//! Splitting a tree in two.
//!
//! Invariants:
//! 1. The predicate is called once for each leaf, in the order of [`ErrorGroup::leaves`].
//! 2. Each leaf is in exactly one part, below the same groups and in the same order as before.
//! 3. A branch that goes to one part as a whole is shared, not copied.

use super::chain::Chain;
use super::{ErrorGroup, Leaf, Member};
use std::error::Error;

/// The wanted leaves and the others.
pub(super) type Parts = (Option<ErrorGroup>, Option<ErrorGroup>);

impl ErrorGroup {
    /// Splits the group into the errors of type `E` and the others.
    ///
    /// Both parts keep the shape, the names, the locations and the context of the whole. As in
    /// Python, only the error of each leaf is compared, not what caused it. To look deeper, use
    /// [`split_by`](Self::split_by)`(|leaf| leaf.find::<E>().is_some())`.
    ///
    /// ```
    /// # use taskgroup::{ErrorGroup, TaskGroup, until_cancelled};
    /// use std::io;
    /// # async fn save_and_load() -> ErrorGroup {
    /// #     let pair = async |group: TaskGroup| {
    /// #         group.task("save").spawn(async {
    /// #             let _cleaning_up = until_cancelled(std::future::pending::<()>()).await;
    /// #             Err::<(), _>("half of the file is missing")
    /// #         });
    /// #         group.task("load").spawn(async { Err::<(), _>(io::Error::other("connection reset")) });
    /// #         Ok(())
    /// #     };
    /// #     TaskGroup::builder().name("pair").run(pair).await.unwrap_err()
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// // `load` failed with an `io::Error`, and then `save` failed in its cleanup.
    /// let err = save_and_load().await;
    /// let (io_errors, others) = err.split::<io::Error>();
    /// assert_eq!(
    ///     io_errors.unwrap().to_string(),
    ///     "group `pair` failed: task `load` failed: connection reset"
    /// );
    /// assert_eq!(others.unwrap().cause().name(), "save");
    /// # }
    /// ```
    #[must_use = "the parts hold every error of the group"]
    pub fn split<E: Error + 'static>(self) -> (Option<ErrorGroup>, Option<ErrorGroup>) {
        self.split_by(|leaf| leaf.is::<E>())
    }

    /// Splits the group into the leaves for which `wanted` is true and the others.
    ///
    /// `wanted` is called once for each leaf, in the order of [`leaves`](Self::leaves). It gets
    /// leaves only. To select a whole nested group, look at the [`ancestors`](Leaf::ancestors) of
    /// the leaf.
    ///
    /// ```
    /// # use taskgroup::{ErrorGroup, TaskGroup, until_cancelled};
    /// # use std::io;
    /// # async fn save_and_load() -> ErrorGroup {
    /// #     let pair = async |group: TaskGroup| {
    /// #         group.task("save").spawn(async {
    /// #             let _cleaning_up = until_cancelled(std::future::pending::<()>()).await;
    /// #             Err::<(), _>("half of the file is missing")
    /// #         });
    /// #         group.task("load").spawn(async { Err::<(), _>(io::Error::other("connection reset")) });
    /// #         Ok(())
    /// #     };
    /// #     TaskGroup::builder().name("pair").run(pair).await.unwrap_err()
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let err = save_and_load().await;
    /// let (saving, others) = err.split_by(|leaf| leaf.name() == "save");
    /// assert_eq!(saving.unwrap().leaf_count(), 1);
    /// assert_eq!(others.unwrap().cause().name(), "load");
    /// # }
    /// ```
    #[must_use = "the parts hold every error of the group"]
    pub fn split_by(
        self,
        mut wanted: impl FnMut(&Leaf<'_>) -> bool,
    ) -> (Option<ErrorGroup>, Option<ErrorGroup>) {
        partition(&self, &mut wanted)
    }

    /// The part with the errors of type `E`, or `None` if there are none. The type is compared as
    /// in [`split`](Self::split).
    ///
    /// If every leaf matches, this is the same group, not a copy.
    ///
    /// ```
    /// # use taskgroup::{ErrorGroup, TaskGroup, until_cancelled};
    /// # use std::io;
    /// # async fn save_and_load() -> ErrorGroup {
    /// #     let pair = async |group: TaskGroup| {
    /// #         group.task("save").spawn(async {
    /// #             let _cleaning_up = until_cancelled(std::future::pending::<()>()).await;
    /// #             Err::<(), _>("half of the file is missing")
    /// #         });
    /// #         group.task("load").spawn(async { Err::<(), _>(io::Error::other("connection reset")) });
    /// #         Ok(())
    /// #     };
    /// #     TaskGroup::builder().name("pair").run(pair).await.unwrap_err()
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let err = save_and_load().await;
    /// assert_eq!(err.subgroup::<io::Error>().unwrap().leaf_count(), 1);
    /// assert!(err.subgroup::<std::fmt::Error>().is_none());
    /// assert_eq!(err.leaf_count(), 2); // still whole
    /// # }
    /// ```
    pub fn subgroup<E: Error + 'static>(&self) -> Option<ErrorGroup> {
        self.subgroup_by(|leaf| leaf.is::<E>())
    }

    /// The part with the leaves for which `wanted` is true, or `None` if there are none.
    pub fn subgroup_by(&self, mut wanted: impl FnMut(&Leaf<'_>) -> bool) -> Option<ErrorGroup> {
        partition(self, &mut wanted).0
    }
}

/// A group whose members are being divided.
struct Open<'a> {
    group: &'a ErrorGroup,
    above: Chain<&'a ErrorGroup>,
    members: std::slice::Iter<'a, Member>,
    wanted: Vec<Member>,
    others: Vec<Member>,
}

impl<'a> Open<'a> {
    fn new(group: &'a ErrorGroup, above: Option<&Chain<&'a ErrorGroup>>) -> Self {
        Self {
            group,
            above: Chain::new(group, above),
            members: group.members().iter(),
            wanted: Vec::new(),
            others: Vec::new(),
        }
    }

    fn close(self) -> Parts {
        let whole = self.group.members();
        let rebuild = |part: Vec<Member>| {
            if part.len() == whole.len()
                && part.iter().zip(whole).all(|(new, old)| unchanged(new, old))
            {
                return Some(self.group.clone());
            }
            ErrorGroup::from_parts(self.group.heading().clone(), part)
        };
        (rebuild(self.wanted), rebuild(self.others))
    }
}

/// Leaves never change. A nested group is unchanged if all of it went to this part.
fn unchanged(new: &Member, old: &Member) -> bool {
    match (new, old) {
        (Member::Group(new), Member::Group(old)) => new.same_node(old),
        _ => true,
    }
}

pub(super) fn partition(root: &ErrorGroup, wanted: &mut dyn FnMut(&Leaf<'_>) -> bool) -> Parts {
    let mut above: Vec<Open<'_>> = Vec::new();
    let mut open = Open::new(root, None);
    loop {
        match open.members.next() {
            Some(member @ Member::Task(task)) => {
                let side = if wanted(&Leaf::new(task, open.above.clone())) {
                    &mut open.wanted
                } else {
                    &mut open.others
                };
                side.push(member.clone());
            }
            Some(Member::Group(group)) => {
                let nested = Open::new(group, Some(&open.above));
                above.push(std::mem::replace(&mut open, nested));
            }
            None => {
                let Some(parent) = above.pop() else {
                    return open.close();
                };
                let (wanted, others) = std::mem::replace(&mut open, parent).close();
                open.wanted.extend(wanted.map(Member::Group));
                open.others.extend(others.map(Member::Group));
            }
        }
    }
}
