//! All outputs, whatever they are.

use super::as_completed::Indexed;
use super::gather::{Each, Tuple, sealed::Sealed};
use super::several::Several;
use crate::cancel::cancel_point;

/// Runs several futures side by side in the caller's task and gives their outputs in argument
/// order.
///
/// It takes what [`gather`](crate::gather) takes, but it does not look into the outputs: an `Err`
/// is an output like any other and stops nothing. It resolves when all futures have. Handles may be
/// passed by reference, one of them even twice.
///
/// ```
/// use taskgroup::join;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let names = vec!["Ada", "Grace"];
/// let (length, joined) =
///     join((async { names.len() }, async { names.join(" & ") })).await;
/// assert_eq!((length, joined.as_str()), (2, "Ada & Grace"));
///
/// assert_eq!(
///     join(names.iter().map(|name| async move { name.len() })).await,
///     [3, 5]
/// );
/// # }
/// ```
///
/// # Panics
/// When a future panics. The others are dropped.
///
/// # Cancel safety
/// As the futures. In a scope that is already cancelled it suspends and polls none of them.
///
/// # Drop
/// Drops the futures.
///
/// It unites `tokio::join!` and `futures::future::join_all` under one name.
#[doc(alias = "join_all")]
#[doc(alias = "zip")]
pub fn join<M, S, J>(futures: J) -> impl Future<Output = S::Outputs>
where
    S: SideBySide,
    J: Join<M, Futures = S>,
{
    futures.futures().join()
}

/// What [`join`] takes: tuples of futures, and anything that iterates over futures.
///
/// `M` tells the two apart and is always inferred. No other type can implement this trait.
///
/// ```
/// use taskgroup::join;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// // A tuple of futures of different types, and a list of futures of one type.
/// assert_eq!(join((async { 1 }, async { "one" })).await, (1, "one"));
/// assert_eq!(join([1, 2].map(|n| async move { n * n })).await, [1, 4]);
/// # }
/// ```
pub trait Join<M>: Sealed<M> {
    /// The futures: a tuple or a `Vec`.
    #[doc(hidden)]
    type Futures: SideBySide;
    #[doc(hidden)]
    fn futures(self) -> Self::Futures;
}

/// Futures that [`join`] runs: a tuple or a `Vec`.
///
/// What they were made from does not appear in it, as with [`Plan`](super::Plan).
///
/// ```
/// use taskgroup::join;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let pair: (u8, String) = join((async { 1 }, async { String::new() })).await;
/// let list: Vec<u8> = join([pair.0, 2].map(|n| async move { n })).await;
/// assert_eq!(list, [1, 2]);
/// # }
/// ```
pub trait SideBySide {
    /// The outputs in argument order: a tuple or a `Vec`.
    type Outputs;
    #[doc(hidden)]
    fn join(self) -> impl Future<Output = Self::Outputs>;
}

impl<I> Join<Each> for I
where
    I: IntoIterator<Item: IntoFuture>,
{
    type Futures = Vec<<I::Item as IntoFuture>::IntoFuture>;

    fn futures(self) -> Self::Futures {
        self.into_iter().map(IntoFuture::into_future).collect()
    }
}

impl<F: Future> SideBySide for Vec<F> {
    type Outputs = Vec<F::Output>;

    async fn join(self) -> Self::Outputs {
        cancel_point().await;
        let mut outputs: Vec<Option<F::Output>> = Vec::new();
        outputs.resize_with(self.len(), || None);
        let mut running: Several<_> = Indexed::each(self).collect();
        while let Some((index, output)) = running.next().await {
            outputs[index] = Some(output);
        }
        outputs.into_iter().flatten().collect()
    }
}

macro_rules! tuples {
    ($(($($future:ident),+))+) => {$(
        impl<$($future: IntoFuture),+> Join<Tuple> for ($($future,)+) {
            type Futures = ($($future::IntoFuture,)+);

            #[allow(non_snake_case, reason = "the types name the futures")]
            fn futures(self) -> Self::Futures {
                let ($($future,)+) = self;
                ($($future.into_future(),)+)
            }
        }

        impl<$($future: Future),+> SideBySide for ($($future,)+) {
            type Outputs = ($($future::Output,)+);

            #[allow(non_snake_case, reason = "the types name the futures")]
            async fn join(self) -> Self::Outputs {
                cancel_point().await;
                let ($($future,)+) = self;
                tokio::join!($($future),+)
            }
        }
    )+};
}

tuples! { (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) (A, B, C, D, E, F, G) (A, B, C, D, E, F, G, H) }
