//! All values in argument order, or every failure.

use std::panic::Location;

use super::inline::{Converting, Inline, Source};
use super::settle::ValueOf;
use crate::error::ErrorGroup;
use crate::group::{GroupBuilder, TaskGroup};
use crate::scope::task::TaskOutput;

/// Runs several futures side by side and gives their values in argument order.
///
/// Pass a tuple of up to eight futures of different types, or anything that iterates over futures
/// of one type. The first failure cancels the others. `gather` waits for their cleanup, and then
/// every failure comes out. Without futures it resolves at once.
///
/// The futures run inside the caller's task and may borrow from it. To use all cores,
/// [`spawn`](TaskGroup::spawn) the work and gather the handles.
///
/// ```
/// use taskgroup::{BoxError, gather};
/// # async fn user(name: &str) -> Result<String, BoxError> { Ok(name.to_owned()) }
/// # async fn orders(_: &str) -> Result<Vec<u32>, std::io::Error> { Ok(vec![1, 2]) }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
/// let name = String::from("Ada");
/// let (user, orders) = gather((user(&name), orders(&name))).await?;
/// assert_eq!((user.as_str(), orders.len()), ("Ada", 2));
///
/// let squares =
///     gather((1..=3).map(|n| async move { Ok::<_, BoxError>(n * n) })).await?;
/// assert_eq!(squares, [1, 4, 9]);
/// # Ok(()) }
/// ```
///
/// [`GroupBuilder::gather`] takes settings: a name, a limit, a grace, a policy.
/// [`join`](crate::join) takes outputs that are not `Result`s. [`settle`](crate::settle) gives all
/// outcomes, good and bad.
///
/// # Errors
/// All failures: the cause first, the others in order of arrival. A panic is a failure too.
///
/// # Cancel safety
/// When the scope around the call is cancelled, the futures are cancelled, and the call never
/// returns unless one of them failed.
///
/// # Drop
/// Dropping the future drops `futures`. What they had started is cancelled, and the enclosing scope
/// adopts it.
///
/// The idea is asyncio's `gather`, which lets the others run on after an error and loses their
/// errors.
#[track_caller]
#[doc(alias = "try_join")]
#[doc(alias = "try_join_all")]
#[doc(alias = "Promise.all")]
pub fn gather<M, P, G>(futures: G) -> impl Future<Output = Result<P::Values, ErrorGroup>>
where
    P: Plan,
    G: Gather<M, Plan = P>,
{
    futures.plan().run(TaskGroup::builder(), Location::caller())
}

impl GroupBuilder {
    /// As [`gather`], with these settings.
    ///
    /// With a [policy](Self::policy) that does not cancel siblings, the failures of all futures
    /// come out. A [limit](Self::limit) holds for iterators; the futures of a tuple all run at
    /// once.
    ///
    /// # Errors
    /// As [`gather`].
    #[track_caller]
    pub fn gather<M, P, G>(self, futures: G) -> impl Future<Output = Result<P::Values, ErrorGroup>>
    where
        P: Plan,
        G: Gather<M, Plan = P>,
    {
        futures.plan().run(self, Location::caller())
    }
}

/// What [`gather`] takes: tuples of futures, and anything that iterates over futures.
///
/// `M` tells the two apart and is always inferred. No other type can implement this trait.
///
/// ```
/// use taskgroup::combine::Gather;
/// use taskgroup::gather;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// // A function that takes what `gather` takes.
/// async fn both<M, G: Gather<M>>(futures: G) {
///     # drop(futures);
/// }
/// both((async { Ok::<_, &str>(1) }, async {})).await;
/// both(vec![std::future::ready(Ok::<_, &str>(1))]).await;
///
/// let one = async { Ok::<_, &str>("one") };
/// let ((), word) = gather((async {}, one)).await.unwrap();
/// assert_eq!(word, "one");
/// # }
/// ```
pub trait Gather<M>: sealed::Sealed<M> {
    /// The futures with their outputs as results.
    #[doc(hidden)]
    type Plan: Plan;
    #[doc(hidden)]
    fn plan(self) -> Self::Plan;
}

/// Futures with their outputs converted into results.
///
/// The original outputs do not appear in it. So the compiler need not know them where it checks
/// whether the future of [`gather`] is `Send`.
///
/// ```
/// use taskgroup::gather;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let (one, two) = (async { Ok::<_, &str>(1) }, async { Ok::<_, &str>("two") });
/// let pair: (u8, &str) = gather((one, two)).await.unwrap();
/// let list: Vec<u8> =
///     gather([pair.0, 2].map(|n| async move { Ok::<_, &str>(n) })).await.unwrap();
/// assert_eq!(list, [1, 2]);
/// # }
/// ```
pub trait Plan {
    /// The values in argument order: a tuple or a `Vec`.
    type Values;
    #[doc(hidden)]
    fn run(
        self,
        settings: GroupBuilder,
        location: &'static Location<'static>,
    ) -> impl Future<Output = Result<Self::Values, ErrorGroup>>;
}

/// Marks arguments that iterate over futures. The compiler infers it.
#[doc(hidden)]
#[derive(Debug)]
pub struct Each;

/// Marks arguments that are tuples of futures. The compiler infers it.
#[doc(hidden)]
#[derive(Debug)]
pub struct Tuple;

pub(super) mod sealed {
    pub trait Sealed<M> {}
    impl<I: IntoIterator> Sealed<super::Each> for I {}
}

impl<I> Gather<Each> for I
where
    I: IntoIterator<Item: Future<Output: TaskOutput>>,
{
    type Plan = Source<I::IntoIter, Converting<I::Item, ValueOf<I::Item>>>;

    fn plan(self) -> Self::Plan {
        Source::new(self)
    }
}

impl<S, F: Future, V> Plan for Source<S, Converting<F, V>> {
    type Values = Vec<V>;

    async fn run(
        self,
        settings: GroupBuilder,
        location: &'static Location<'static>,
    ) -> Result<Self::Values, ErrorGroup> {
        let limit = settings.limited_to();
        let body = async |group: TaskGroup| {
            let children = Inline {
                group: &group,
                limit,
                location,
                names: &[],
            };
            let mut values = Vec::new();
            let all = children
                .run(self, |index, result| {
                    put(&mut values, index, result.ok());
                })
                .await;
            match values.into_iter().collect() {
                Some(values) if all => Ok(values),
                _ => cut_short(&group).await,
            }
        };
        settings.run_at(location, body).await
    }
}

/// Stores an outcome, which comes in order of completion, in argument order.
pub(super) fn put<T>(values: &mut Vec<Option<T>>, index: usize, value: Option<T>) {
    if values.len() <= index {
        values.resize_with(index + 1, || None);
    }
    values[index] = value;
}

/// Ends a body that has no value because of its children. The group ends with their failures, or
/// was cancelled. This cancels it where its policy did not.
pub(super) async fn cut_short<T>(group: &TaskGroup) -> Result<T, crate::BoxError> {
    group.cancel();
    std::future::pending().await
}

/// A tuple of futures.
#[derive(Debug)]
pub struct TuplePlan<T>(T);

macro_rules! tuples {
    ($(($($future:ident $value:ident $output:ident),+))+) => {$(
        impl<$($future),+> sealed::Sealed<Tuple> for ($($future,)+) {}

        impl<$($future),+> Gather<Tuple> for ($($future,)+)
        where
            $($future: Future<Output: TaskOutput>),+
        {
            type Plan = TuplePlan<($(Converting<$future, ValueOf<$future>>,)+)>;

            #[allow(non_snake_case, reason = "the types name the futures")]
            fn plan(self) -> Self::Plan {
                let ($($future,)+) = self;
                TuplePlan(($(Converting::new($future),)+))
            }
        }

        impl<$($future: Future, $output),+> Plan for TuplePlan<($(Converting<$future, $output>,)+)> {
            type Values = ($($output,)+);

            #[allow(non_snake_case, reason = "the types name the futures")]
            async fn run(
                self,
                settings: GroupBuilder,
                location: &'static Location<'static>,
            ) -> Result<Self::Values, ErrorGroup> {
                let Self(($($future,)+)) = self;
                let body = async |group: TaskGroup| {
                    let children = Inline { group: &group, limit: None, location, names: &[] };
                    let results = tokio::join!($(children.child(None, $future)),+);
                    match results {
                        ($(Ok($value),)+) => Ok(($($value,)+)),
                        _ => cut_short(&group).await,
                    }
                };
                settings.run_at(location, body).await
            }
        }
    )+};
}

tuples! {
    (A a U)
    (A a U, B b V)
    (A a U, B b V, C c W)
    (A a U, B b V, C c W, D d X)
    (A a U, B b V, C c W, D d X, E e Y)
    (A a U, B b V, C c W, D d X, E e Y, F f Z)
    (A a U, B b V, C c W, D d X, E e Y, F f Z, G g S)
    (A a U, B b V, C c W, D d X, E e Y, F f Z, G g S, H h T)
}
