//! `except*`: handling the errors of a group by clauses.
//!
//! Invariants:
//! 1. Each leaf is given to at most one handler. The next clause sees what no handler has taken.
//! 2. A leaf that a handler returns is put back where it was, so the result has the shape of the
//!    original.
//! 3. Nothing keeps the original tree while a handler runs, so a handler that cannot fail owns what
//!    it is given.

use super::leaf::{Identity, LeafKey};
use super::origin::group_in;
use super::tree::Heading;
use super::{BoxError, ErrorGroup, Interval, Leaf, Member, TaskError, TaskInfo, select};
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fmt;
use std::panic::Location;

/// What the handler of a clause may return: nothing, or a `Result<(), E>` whose error is raised.
///
/// It is implemented only for these two and for `!`, the type of a handler that panics or exits.
///
/// ```
/// use std::io;
/// use std::num::ParseIntError;
/// use taskgroup::{BoxError, ErrorGroup};
///
/// fn handle(error: ErrorGroup) -> Result<(), ErrorGroup> {
///     error
///         .on::<io::Error>(|_| ()) // handled
///         // Raised again.
///         .on::<std::fmt::Error>(|errors| Err::<(), ErrorGroup>(errors))
///         // Replaced by another error.
///         .on::<ParseIntError>(|_| Err::<(), BoxError>("bad input".into()))
///         .rest()
/// }
/// # let _ = handle;
/// ```
pub trait HandlerOutput: sealed::Sealed {
    #[doc(hidden)]
    const FALLIBLE: bool;
    #[doc(hidden)]
    fn raised(self) -> Option<BoxError>;
}

impl HandlerOutput for () {
    const FALLIBLE: bool = false;

    fn raised(self) -> Option<BoxError> {
        None
    }
}

impl<E: Into<BoxError>> HandlerOutput for Result<(), E> {
    const FALLIBLE: bool = true;

    fn raised(self) -> Option<BoxError> {
        self.err().map(Into::into)
    }
}

/// The type `!`, which a handler returns that only panics or exits. Stable Rust has the type but no
/// name for it.
type Never = <fn() -> ! as sealed::Returns>::Value;

impl HandlerOutput for Never {
    const FALLIBLE: bool = false;

    fn raised(self) -> Option<BoxError> {
        self
    }
}

mod sealed {
    pub trait Returns {
        type Value;
    }
    impl<T> Returns for fn() -> T {
        type Value = T;
    }

    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for super::Never {}
    impl<E> Sealed for Result<(), E> {}
}

/// The handler of a clause: a closure that takes the matched part and returns a [`HandlerOutput`].
///
/// It is implemented for all such closures.
///
/// ```
/// use std::io;
/// use taskgroup::ErrorGroup;
/// use taskgroup::error::Handler;
///
/// // A function that adds a clause to others.
/// fn without_disk(
///     error: ErrorGroup,
///     handler: impl Handler,
/// ) -> Result<(), ErrorGroup> {
///     error.on::<io::Error>(handler).rest()
/// }
/// # let _ = |error| without_disk(error, |_| ());
/// ```
pub trait Handler: FnOnce(ErrorGroup) -> <Self as Handler>::Output {
    /// `()` or a `Result<(), E>`.
    type Output: HandlerOutput;
}

impl<F, O> Handler for F
where
    F: FnOnce(ErrorGroup) -> O,
    O: HandlerOutput,
{
    type Output = O;
}

impl ErrorGroup {
    /// Handles the errors of type `E`, like `except* E` in Python. More clauses may follow, and
    /// [`rest`](Clauses::rest) ends the chain.
    ///
    /// The handler is called once with the part of the tree that contains those errors, or not at
    /// all if there are none. Each clause sees what the clauses before it have left, so the first
    /// clause that matches an error handles it. Several clauses may run for one group.
    /// [`rest`](Clauses::rest) gives what is left in its original shape.
    ///
    /// As in Python, only the error of each leaf is compared with `E`. For errors below a context
    /// or inside other errors there is [`on_caused_by`](Self::on_caused_by). An `E` of
    /// `ErrorGroup` never matches, because nested groups are branches, not leaves.
    ///
    /// # What a handler returns
    ///
    /// - Nothing, or `Ok(())`: the part is handled.
    /// - `Err(part)`, where `part` is the group that it was given, a part of that group, or one of
    ///   its leaves: the part is *re-raised*. `rest` gives it back at its place in the original
    ///   tree, together with what no clause took. To give back the *whole* group, including what
    ///   other clauses took, clone it before the first clause.
    /// - Any other `Err(error)`: a *new* error. `rest` adds it to the group as its last member,
    ///   with the part that was being handled as [`TaskError::handling`].
    ///
    /// A handler that returns nothing owns the part: [`into_leaves`](Self::into_leaves) and
    /// [`TaskError::into_error`] take the errors out by value. A handler that may fail shares the
    /// part with the error that it may raise.
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
    /// let err = save_and_load().await;
    /// let rest = err
    ///     .on::<io::Error>(|matched| {
    ///         for leaf in matched.leaves() {
    ///             eprintln!("will be tried again: {leaf}");
    ///         }
    ///     })
    ///     .rest();
    /// // What no clause took is still an error, below its group.
    /// assert_eq!(
    ///     rest.unwrap_err().to_string(),
    ///     "group `pair` failed: task `save` failed: half of the file is missing",
    /// );
    /// # }
    /// ```
    ///
    /// Re-raising what is critical:
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
    /// let critical =
    ///     |part: &ErrorGroup| part.leaves().any(|leaf| leaf.name() == "load");
    /// let rest = save_and_load()
    ///     .await
    ///     .on::<io::Error>(
    ///         |matched| if critical(&matched) { Err(matched) } else { Ok(()) },
    ///     )
    ///     .rest()
    ///     .unwrap_err();
    /// assert_eq!(rest.leaf_count(), 2); // both, in the original order
    /// # let names: Vec<_> = rest.leaves().map(|leaf| leaf.name().to_owned()).collect();
    /// # assert_eq!(names, ["load", "save"]);
    /// # }
    /// ```
    ///
    /// A handler is not async. To await something, use [`split`](Self::split) and handle the parts.
    ///
    /// # Panics
    ///
    /// If the handler panics. The errors that are not handled yet are lost then.
    #[doc(alias = "except*")]
    #[doc(alias = "catch")]
    #[track_caller]
    pub fn on<E: Error + 'static>(self, handler: impl Handler) -> Clauses {
        Clauses::new(self).on::<E>(handler)
    }

    /// Handles the errors that are an `E` or were caused by one, as [`TaskError::find`] finds it.
    /// Otherwise like [`on`](Self::on).
    ///
    /// ```
    /// # use anyhow::Context as _;
    /// # use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let err = TaskGroup::run(async |group| {
    ///     group.spawn(async {
    ///         std::fs::read("no/such/file").map(drop).context("reading the list")
    ///     });
    ///     Ok(())
    /// })
    /// .await
    /// .unwrap_err();
    ///
    /// let err = err
    ///     .on::<std::io::Error>(|_| unreachable!("the error itself is the context"))
    ///     .rest()
    ///     .unwrap_err();
    /// assert!(err.on_caused_by::<std::io::Error>(|_| ()).rest().is_ok());
    /// # }
    /// ```
    #[track_caller]
    pub fn on_caused_by<E: Error + 'static>(self, handler: impl Handler) -> Clauses {
        Clauses::new(self).on_caused_by::<E>(handler)
    }

    /// Handles the tasks that panicked. Otherwise like [`on`](Self::on).
    ///
    /// ```
    /// # use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let err = TaskGroup::run(async |group| {
    ///     group.spawn(async { assert_eq!(1, 1 + 1, "a bug") });
    ///     Ok(())
    /// })
    /// .await
    /// .unwrap_err();
    ///
    /// let rest = err
    ///     .on_panic(|bugs| {
    ///         assert!(bugs.cause().panic_message().unwrap().contains("a bug"))
    ///     })
    ///     .rest();
    /// assert!(rest.is_ok());
    /// # }
    /// ```
    #[track_caller]
    pub fn on_panic(self, handler: impl Handler) -> Clauses {
        Clauses::new(self).on_panic(handler)
    }

    /// Handles the leaves for which `wanted` is true. Otherwise like [`on`](Self::on).
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
    /// let rest =
    ///     save_and_load().await.on_match(|leaf| leaf.name() == "save", |_| ()).rest();
    /// assert_eq!(rest.unwrap_err().cause().name(), "load");
    /// # }
    /// ```
    #[track_caller]
    pub fn on_match(self, wanted: impl FnMut(&Leaf<'_>) -> bool, handler: impl Handler) -> Clauses {
        Clauses::new(self).on_match(wanted, handler)
    }
}

/// A chain of clauses that handle the errors of a group; see [`ErrorGroup::on`].
///
/// ```
/// use std::io;
/// use taskgroup::TaskGroup;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let run = TaskGroup::run(async |group| {
///     group.spawn(async { Err::<(), _>(io::Error::other("disk full")) });
///     Ok(())
/// });
/// let handled = run.await.unwrap_err()
///     .on::<std::num::ParseIntError>(|numbers| println!("not numbers: {numbers}"))
///     .on::<io::Error>(|disk| println!("skipped: {disk}"))
///     .rest();
/// assert!(handled.is_ok());
/// # }
/// ```
///
/// # Drop
///
/// Drops the errors that no clause took. End the chain with [`rest`](Self::rest) to keep them.
#[must_use = "errors that no clause took are lost: end the chain with `.rest()`"]
pub struct Clauses {
    shape: Vec<Slot>,
    pending: Option<ErrorGroup>,
    reraised: Vec<TaskError>,
    raised: Vec<Member>,
}

/// The original tree in the order of a walk, without its leaves.
enum Slot {
    Enter(Heading),
    Leaf(Identity),
    Exit,
}

impl Clauses {
    fn new(group: ErrorGroup) -> Self {
        Self {
            shape: shape_of(&group),
            pending: Some(group),
            reraised: Vec::new(),
            raised: Vec::new(),
        }
    }

    /// A clause for the errors of type `E`; see [`ErrorGroup::on`].
    #[track_caller]
    pub fn on<E: Error + 'static>(self, handler: impl Handler) -> Self {
        self.on_match(|leaf| leaf.is::<E>(), handler)
    }

    /// A clause for the errors that are an `E` or were caused by one; see
    /// [`ErrorGroup::on_caused_by`].
    #[track_caller]
    pub fn on_caused_by<E: Error + 'static>(self, handler: impl Handler) -> Self {
        self.on_match(|leaf| leaf.find::<E>().is_some(), handler)
    }

    /// A clause for the tasks that panicked; see [`ErrorGroup::on_panic`].
    #[track_caller]
    pub fn on_panic(self, handler: impl Handler) -> Self {
        self.on_match(|leaf| leaf.is_panic(), handler)
    }

    /// A clause for the leaves for which `wanted` is true; see [`ErrorGroup::on_match`].
    #[track_caller]
    pub fn on_match(
        mut self,
        mut wanted: impl FnMut(&Leaf<'_>) -> bool,
        handler: impl Handler,
    ) -> Self {
        let location = Location::caller();
        let Some(pending) = self.pending.take() else {
            return self;
        };
        let (matched, rest) = select::partition(&pending, &mut wanted);
        drop(pending);
        self.pending = rest;
        if let Some(matched) = matched {
            self.handle(matched, handler, location);
        }
        self
    }

    fn handle<H: Handler>(
        &mut self,
        matched: ErrorGroup,
        handler: H,
        location: &'static Location<'static>,
    ) {
        let given: Vec<Identity> = matched.leaves().map(|leaf| leaf.identity()).collect();
        let handled = <H as Handler>::Output::FALLIBLE.then(|| matched.clone());
        let Some(error) = handler(matched).raised() else {
            return;
        };
        let error = match leaves_among(&given, error) {
            Ok(again) => {
                self.reraised.extend(again);
                return;
            }
            Err(error) => error,
        };
        let root = self.root();
        let info = TaskInfo::new("handler", root.id(), Some(root), location);
        let member = match (Member::from_failure(info, error, Interval::now()), handled) {
            (Member::Task(task), Some(handled)) => Member::Task(task.with_handling(handled)),
            (Member::Group(group), Some(handled)) => Member::Group(group.with_handling(handled)),
            (member, None) => member,
        };
        self.raised.push(member);
    }

    fn root(&self) -> &TaskInfo {
        match &self.shape[0] {
            Slot::Enter(heading) => &heading.info,
            Slot::Leaf(_) | Slot::Exit => unreachable!("a shape starts with the root group"),
        }
    }

    /// Ends the chain.
    ///
    /// # Errors
    ///
    /// What no clause took and what handlers re-raised, in the original shape, followed by the new
    /// errors that handlers raised.
    pub fn rest(self) -> Result<(), ErrorGroup> {
        if self.reraised.is_empty() && self.raised.is_empty() {
            return self.pending.map_or(Ok(()), Err);
        }
        let mut left: HashMap<LeafKey, Vec<TaskError>> = HashMap::new();
        let pending: Vec<TaskError> = self
            .pending
            .map(ErrorGroup::into_leaves)
            .unwrap_or_default();
        for task in pending.into_iter().chain(self.reraised) {
            left.entry(task.key()).or_default().push(task);
        }
        fill(self.shape, &mut left, self.raised).map_or(Ok(()), Err)
    }
}

impl fmt::Debug for Clauses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clauses")
            .field("pending", &self.pending)
            .field("reraised", &self.reraised)
            .field("raised", &self.raised)
            .finish_non_exhaustive()
    }
}

fn shape_of(root: &ErrorGroup) -> Vec<Slot> {
    let mut shape = vec![Slot::Enter(root.heading().clone())];
    let mut open = vec![root.members().iter()];
    while let Some(members) = open.last_mut() {
        match members.next() {
            Some(Member::Task(task)) => shape.push(Slot::Leaf(task.identity())),
            Some(Member::Group(group)) => {
                shape.push(Slot::Enter(group.heading().clone()));
                open.push(group.members().iter());
            }
            None => {
                shape.push(Slot::Exit);
                open.pop();
            }
        }
    }
    shape
}

/// The leaves in `error`, if it contains only leaves that were given to the handler.
fn leaves_among(given: &[Identity], error: BoxError) -> Result<Vec<TaskError>, BoxError> {
    let keys: HashSet<LeafKey> = given.iter().map(Identity::key).collect();
    let known = |task: &TaskError| keys.contains(&task.key());
    let error = match group_in(error) {
        Ok(group) if group.leaves().all(|leaf| known(&leaf)) => return Ok(group.into_leaves()),
        Ok(group) => return Err(Box::new(group)),
        Err(error) => error,
    };
    match TaskError::passed_on_by(&*error) {
        Some(task) if known(&task) => Ok(vec![task]),
        _ => Err(error),
    }
}

/// Builds the tree of `shape` from the leaves in `left`, with `raised` at the end of the root.
fn fill(
    shape: Vec<Slot>,
    left: &mut HashMap<LeafKey, Vec<TaskError>>,
    raised: Vec<Member>,
) -> Option<ErrorGroup> {
    let mut open: Vec<(Heading, Vec<Member>)> = Vec::new();
    let mut raised = Some(raised);
    for slot in shape {
        match slot {
            Slot::Enter(heading) => open.push((heading, Vec::new())),
            Slot::Leaf(identity) => {
                let task = left.get_mut(&identity.key()).and_then(Vec::pop);
                if let Some((_, members)) = open.last_mut() {
                    members.extend(task.map(Member::Task));
                }
            }
            Slot::Exit => {
                let (heading, mut members) = open.pop()?;
                let Some((_, parent)) = open.last_mut() else {
                    members.extend(raised.take().unwrap_or_default());
                    return ErrorGroup::from_parts(heading, members);
                };
                parent.extend(ErrorGroup::from_parts(heading, members).map(Member::Group));
            }
        }
    }
    None
}
