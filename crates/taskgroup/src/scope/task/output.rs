//! What a child may return.

use crate::error::BoxError;
use crate::gate;

/// What a child may return: `()`, a `Result` whose error converts into [`BoxError`], or nothing
/// ever (`!`, the type of a loop without an end).
///
/// This trait is what lets [`spawn`](crate::TaskGroup::spawn) take these kinds; it is implemented
/// for nothing else.
///
/// ```
/// use taskgroup::{TaskGroup, TaskOutput};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// // A function that spawns whatever a group takes.
/// fn spawn_twice<O>(group: &TaskGroup, work: impl Fn() -> O)
/// where
///     O: Future<Output: TaskOutput<Value: Send> + Send> + Send + 'static,
/// {
///     group.spawn(work());
///     group.spawn(work());
/// }
/// TaskGroup::run(async |group| {
///     spawn_twice(&group, || async { Ok::<_, std::io::Error>(1) });
///     spawn_twice(&group, || async {});
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "a child returns `()` or a `Result`, and this future returns `{Self}`",
    label = "`{Self}` is neither `()` nor a `Result`",
    note = "a child without an error returns `Ok::<_, BoxError>(value)`, or is spawned with `spawn_value`"
)]
pub trait TaskOutput: sealed::Sealed {
    /// What the task's handle gives.
    type Value;
    #[doc(hidden)]
    type Error: Into<BoxError>;
    /// Runs no code of the output.
    #[doc(hidden)]
    fn into_result(self) -> Result<Self::Value, Self::Error>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl<T, E> Sealed for Result<T, E> {}
    impl Sealed for super::Never {}

    pub trait ReturnType {
        type Output;
    }
    impl<T> ReturnType for fn() -> T {
        type Output = T;
    }
}

/// `!` by a name that stable Rust has for it.
type Never = <fn() -> ! as sealed::ReturnType>::Output;

impl TaskOutput for Never {
    type Value = Self;
    type Error = std::convert::Infallible;
    fn into_result(self) -> Result<Self::Value, Self::Error> {
        self
    }
}

impl TaskOutput for () {
    type Value = ();
    type Error = std::convert::Infallible;
    fn into_result(self) -> Result<(), Self::Error> {
        Ok(())
    }
}

impl<T, E: Into<BoxError>> TaskOutput for Result<T, E> {
    type Value = T;
    type Error = E;
    fn into_result(self) -> Self {
        self
    }
}

/// What `output` is as a result. A panic of the conversion unwinds into the poll that is under way.
pub(crate) fn converted<O: TaskOutput>(output: O) -> Result<O::Value, BoxError> {
    let convert = |error: O::Error| gate::call_apart(|| error.into());
    let resume = |payload| std::panic::resume_unwind(payload);
    output
        .into_result()
        .map_err(|error| convert(error).unwrap_or_else(resume))
}
