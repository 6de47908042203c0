//! The attribute macros of the `taskgroup` crate: [`macro@main`] and [`macro@test`].
//!
//! Use them through `taskgroup`, which re-exports both. Invariants:
//!
//! 1. An attribute only chooses settings. It expands to one call into `taskgroup::Runner`, which a
//!    program can also write by hand. Nothing is reachable through an attribute alone.
//! 2. The body of the function is passed on token by token and never parsed here. So the compiler
//!    reports an error in it at the right place, and an editor can complete code in a half-written
//!    body.
//! 3. Misuse is reported at the wrong token, all of it at once, and is the only error: no complaint
//!    about a missing `main` follows.

mod expand;
mod function;
mod guide;
mod nearest;
mod options;

use expand::Attribute;

/// Runs an `async fn main` as the root of the program's scope tree.
///
/// The function becomes an ordinary `fn main` that builds a `taskgroup::Runner` with the given
/// settings and passes it the body. When the body has ended, tasks that still run are cancelled and
/// awaited. The process ends when everything below the root has ended. The first Ctrl-C or
/// `SIGTERM` cancels the root and waits for its cleanup. The second one ends the process at once.
///
/// The body may return `()`, an `ExitCode`, or a `Result` whose error converts into a boxed error.
/// An `Err` is printed to stderr as a whole tree, and the exit code is 1.
///
/// | option | value | default |
/// |---|---|---|
/// | `flavor` | `"multi_thread"` or `"current_thread"` | `"multi_thread"` |
/// | `worker_threads` | an integer from 1, with `"multi_thread"` only | one per core |
/// | `start_paused` | `true` or `false`; `true` needs `"current_thread"` and the feature `testing` | `false` |
/// | `grace` | how long cleanup may take: `"250ms"`, `"5s"`, `"1m"`, `"1h"` | no limit |
/// | `graceful` | no value, or `true` or `false`: a stop by signal lets `main` finish and is a success, see `Runner::graceful` | `false` |
///
/// ```
/// use std::time::Duration;
/// use taskgroup::{ErrorGroup, TaskGroup};
///
/// #[taskgroup::main(flavor = "current_thread", grace = "5s")]
/// async fn main() -> Result<(), ErrorGroup> {
///     TaskGroup::run(async |group| {
///         group.spawn(tokio::time::sleep(Duration::from_millis(1)));
///         Ok(())
///     })
///     .await
/// }
/// ```
///
/// A program that already has a runtime does not need the attribute: every type of the crate works
/// there, too.
#[doc(alias = "asyncio.run")]
#[proc_macro_attribute]
pub fn main(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand::expand(Attribute::Main, args.into(), item.into()).into()
}

/// Runs an `async fn` as a test, on virtual time. Needs the feature `testing` of `taskgroup`.
///
/// The test gets its own scope tree on a current-thread runtime with a paused clock. A sleep of an
/// hour takes no time, and the order of events does not depend on the machine. The test fails if
/// its body panics or returns an error, or if something that it left behind fails.
///
/// | option | value | default |
/// |---|---|---|
/// | `flavor` | `"current_thread"` or `"multi_thread"` | `"current_thread"` |
/// | `worker_threads` | an integer from 1, with `"multi_thread"` only | one per core |
/// | `start_paused` | `true` or `false` | `true`, and `false` with `"multi_thread"`, where time cannot be paused |
/// | `grace` | how long cleanup may take: `"250ms"`, `"5s"`, `"1m"`, `"1h"` | no limit |
///
/// ```
/// use std::time::Duration;
/// use tokio::time::{Instant, sleep};
///
/// #[taskgroup::testing::test]
/// async fn an_hour_passes_at_once() {
///     let start = Instant::now();
///     sleep(Duration::from_secs(3600)).await;
///     assert_eq!(start.elapsed(), Duration::from_secs(3600));
/// }
/// # // A doctest only compiles the function above; tests/run.rs runs it.
/// # fn main() {}
/// ```
///
/// `#[should_panic]`, `#[ignore]` and other attributes go below it, as they do below `#[test]`.
#[doc(alias = "pytest.mark.asyncio")]
#[proc_macro_attribute]
pub fn test(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand::expand(Attribute::Test, args.into(), item.into()).into()
}

/// The chapters of the guide as modules. For the documentation of `taskgroup` alone.
#[doc(hidden)]
#[proc_macro]
pub fn guide(names: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let modules = guide::expand(names.into());
    modules
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
