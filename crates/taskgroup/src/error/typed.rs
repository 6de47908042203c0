//! From the tree to the one error in it.

use super::{ErrorGroup, Member, TaskError};
use std::error::Error;

impl ErrorGroup {
    /// Gives the error itself, if one task failed and its error is an `E`.
    ///
    /// It is for a library with an error type of its own. One variant of that type keeps all other
    /// groups, and `?` does the rest:
    ///
    /// ```
    /// use std::fmt;
    /// use taskgroup::{ErrorGroup, TaskGroup};
    ///
    /// #[derive(Debug)]
    /// enum StoreError {
    ///     NotFound(u32),
    ///     /// Several errors, a panic, or an error of another type.
    ///     Tasks(ErrorGroup),
    /// }
    ///
    /// impl From<ErrorGroup> for StoreError {
    ///     fn from(errors: ErrorGroup) -> Self {
    ///         errors.downcast().unwrap_or_else(StoreError::Tasks)
    ///     }
    /// }
    ///
    /// async fn load(id: u32) -> Result<String, StoreError> {
    ///     if id == 0 {
    ///         Err(StoreError::NotFound(id))
    ///     } else {
    ///         Ok(format!("item {id}"))
    ///     }
    /// }
    ///
    /// async fn load_both(
    ///     one: u32,
    ///     other: u32,
    /// ) -> Result<(String, String), StoreError> {
    ///     let both = TaskGroup::run(async |group| {
    ///         let (one, other) = (group.spawn(load(one)), group.spawn(load(other)));
    ///         Ok((one.await?, other.await?))
    ///     });
    ///     Ok(both.await?)
    /// }
    /// # impl fmt::Display for StoreError {
    /// #     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{self:?}") }
    /// # }
    /// # impl std::error::Error for StoreError {}
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// assert!(matches!(load_both(1, 0).await, Err(StoreError::NotFound(0))));
    /// assert!(load_both(1, 2).await.is_ok());
    /// # }
    /// ```
    ///
    /// This does not look at what caused the error. [`find`](Self::find) does, and [`on`](Self::on)
    /// handles several errors by their types.
    ///
    /// # Errors
    /// Gives the whole group back when more than one task failed, when the failure is a panic or an
    /// error of another type, and when another value shares it: a clone of the group, or the handle
    /// of the task, if that is still alive. An [`OpenGroup`](crate::OpenGroup) shares its outcome
    /// until it is dropped.
    pub fn downcast<E: Error + 'static>(self) -> Result<E, Self> {
        if !self.is_sole::<E>() {
            return Err(self);
        }
        let error = self.into_sole().into_error().ok();
        match error.and_then(|error| error.downcast().ok()) {
            Some(error) => Ok(*error),
            None => unreachable!("nothing else owns the failure, and its type was looked at"),
        }
    }

    /// Whether there is one leaf, with an `E` and nothing beside it, and nothing else owns the leaf
    /// or the groups above it.
    fn is_sole<E: Error + 'static>(&self) -> bool {
        let mut group = self;
        loop {
            if group.leaf_count() != 1 || group.handling().is_some() || !group.is_owned() {
                return false;
            }
            match group.first() {
                Member::Group(below) => group = below,
                Member::Task(task) => {
                    return task.is::<E>() && task.handling().is_none() && task.is_owned();
                }
            }
        }
    }

    /// The leaf of a group that has only one.
    fn into_sole(self) -> TaskError {
        let mut group = self;
        loop {
            match group.into_members().pop() {
                Some(Member::Group(below)) => group = below,
                Some(Member::Task(task)) => return task,
                None => unreachable!("a group has a member"),
            }
        }
    }
}
