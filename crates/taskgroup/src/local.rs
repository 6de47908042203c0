//! Values that follow the scope tree.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::atomic::AtomicU8;

use crate::cancel::cut_off;
use crate::gate::Foreign;
use crate::scope::current;
use crate::scope::section::{Ends, Section};
use crate::scope::tree::{self, Kind, Scope};

/// A value that everything below a scope sees: a request id, a user, a configuration.
///
/// A `Local` is a `static` without a value of its own. [`scope`](Self::scope) gives it one for a
/// future *and for everything started below it*: groups, their children, their children's children,
/// cleanup. A spawn does not copy the value; a task finds it by looking up the tree. Outside the
/// `scope` there is no value.
///
/// ```
/// use taskgroup::{Local, TaskGroup};
///
/// static USER: Local<String> = Local::new();
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let greeting = USER.scope("Ada".to_owned(), async {
///     TaskGroup::run(async |group| {
///         let child = group.spawn(async {
///             Ok::<_, std::io::Error>(format!("hello {}", USER.get().unwrap()))
///         });
///         Ok(child.await?)
///     })
///     .await
/// });
/// assert_eq!(greeting.await.unwrap(), "hello Ada");
/// assert_eq!(USER.get(), None);
/// # }
/// ```
///
/// What a task sees depends on the group that owns it, not on the code that spawned it: a child
/// spawned into a group outside the `scope` does not see the value. asyncio and Trio differ here: a
/// child gets a copy of its spawner's context. For a value of one task alone use
/// [`tokio::task_local!`].
///
/// The idea is Java's scoped values, which follow its structured task scopes.
#[doc(alias = "ContextVar")]
#[doc(alias = "contextvars")]
#[doc(alias = "task_local")]
#[doc(alias = "ScopedValue")]
pub struct Local<T: 'static> {
    /// Gives each `Local` an address of its own, which is its key. An atomic is never merged with
    /// another.
    place: AtomicU8,
    value: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

impl<T> Default for Local<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Local<T> {
    /// Makes one without a value, for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            place: AtomicU8::new(0),
            value: PhantomData,
        }
    }

    fn key(&'static self) -> usize {
        std::ptr::from_ref(&self.place).addr()
    }
}

impl<T: Send + Sync> Local<T> {
    /// Runs `future` with `value` as the value of this `Local`, for `future` and for everything
    /// below it. An inner `scope` hides an outer one.
    ///
    /// It resolves when `future` and everything started below it have ended, as every scope does.
    ///
    /// ```
    /// # use taskgroup::Local;
    /// static DEPTH: Local<u32> = Local::new();
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// DEPTH.scope(1, async {
    ///     DEPTH.scope(2, async { assert_eq!(DEPTH.get(), Some(2)) }).await;
    ///     assert_eq!(DEPTH.get(), Some(1));
    /// })
    /// .await;
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// As `future`. In a cancelled scope it is as ready as `future` is.
    #[track_caller]
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> impl Future<Output = F::Output> {
        let location = Location::caller();
        async move {
            let kind = Kind::Local(
                self.key(),
                Foreign::new("the value of a `Local`", Box::new(value)),
            );
            let scope = Scope::open(kind, current::scope(), location);
            let mut section = std::pin::pin!(Section::new(scope, Ends::Own, future));
            match section.as_mut().ended().await.value() {
                Some(value) => value,
                // Only the end of a grace leads here.
                None => cut_off().await,
            }
        }
    }

    /// Calls `look` with the value, or with `None` where there is none.
    ///
    /// It takes time linear in the number of scopes up to the `scope` that gave the value.
    pub fn with<R>(&'static self, look: impl FnOnce(Option<&T>) -> R) -> R {
        let here = current::nearest();
        let value = tree::ancestors(&here).find_map(|scope| match &scope.kind {
            Kind::Local(key, value) if *key == self.key() => {
                let value: &(dyn Any + Send + Sync) = &***value;
                value.downcast_ref::<T>()
            }
            _ => None,
        });
        look(value)
    }

    /// A clone of the value, or `None` where there is none.
    #[must_use]
    pub fn get(&'static self) -> Option<T>
    where
        T: Clone,
    {
        // A closure, because the method by its name would have a fixed lifetime.
        #[allow(clippy::redundant_closure_for_method_calls)]
        self.with(|value| value.cloned())
    }
}
