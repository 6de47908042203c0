//! The root of a program: a runtime, signals, and no leftovers.

use std::io::Write as _;
use std::panic::Location;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::cancel::{CancelReason, Cancelled, ReasonKind};
use crate::error::{BoxError, ErrorGroup};
use crate::gate;
use crate::scope::section::{Ended, Ends, Section};
use crate::scope::stop::Stop;
use crate::scope::time::alarm::ring_grace;
use crate::scope::tree::{Dropping, Kind, Scope};
use crate::scope::who;
use crate::signals::SignalThread;

/// Runs `main` as the root of the program's scope tree, on a multi-thread runtime. As
/// [`Runner::run`] with its defaults.
///
/// ```no_run
/// let answer = taskgroup::run(async || {
///     // groups, deadlines, …
///     42
/// });
/// assert_eq!(answer.unwrap(), 42);
/// ```
///
/// # Errors
/// [`RunError`], when the run was stopped or left failures behind.
///
/// # Panics
/// When the runtime cannot be built, and inside another runtime. A panic of `main` passes through.
#[track_caller]
#[doc(alias = "asyncio.run")]
pub fn run<T>(main: impl AsyncFnOnce() -> T) -> Result<T, RunError<T>> {
    Runner::new().run(main)
}

/// Builds a Tokio runtime and runs a program on it as the root of the scope tree.
///
/// The first Ctrl-C (or `SIGTERM`) cancels the root and waits for its cleanup. The second one ends
/// the process at once and prints what was alive. With [`graceful`](Self::graceful) the first
/// signal lets `main` finish and is no error. What `main` leaves behind (futures that were dropped
/// half-way) is cancelled and awaited.
///
/// This is a convenience. Except for the signals, everything also works inside a plain
/// `#[tokio::main]`.
///
/// The idea is Python's `asyncio.Runner`.
#[derive(Debug)]
#[must_use = "a runner does nothing until `run`"]
pub struct Runner {
    current_thread: bool,
    workers: Option<usize>,
    #[cfg_attr(not(feature = "testing"), allow(dead_code))]
    paused: bool,
    grace: Option<Duration>,
    graceful: bool,
    signals: bool,
    #[cfg(unix)]
    tree_on: Vec<tokio::signal::unix::SignalKind>,
}

impl Default for Runner {
    fn default() -> Self {
        Self::new()
    }
}

/// The error of a run that was stopped, or that left failures behind.
///
/// ```
/// use taskgroup::{Runner, TaskGroup};
///
/// let run = Runner::new().current_thread().run(async || {
///     // Dropped half-way: the failure of its child is not lost.
///     let group = TaskGroup::run(async |group| {
///         group.spawn(async { Err::<(), _>("broken") });
///         std::future::pending::<Result<(), _>>().await
///     });
///     tokio::select! {
///         biased;
///         _ = group => {}
///         () = tokio::task::yield_now() => {}
///     }
///     "the value of main"
/// });
/// match run {
///     Ok(value) => println!("{value}"),
///     Err(error) => {
///         println!("{error}");
///         assert_eq!(error.into_value(), Some("the value of main"));
///     }
/// }
/// ```
#[derive(Debug)]
pub struct RunError<T> {
    value: Option<T>,
    reason: Option<CancelReason>,
    failures: Option<ErrorGroup>,
}

impl<T> RunError<T> {
    /// The value of `main`, if it has one.
    pub fn into_value(self) -> Option<T> {
        self.value
    }

    /// Why the run was stopped, if it was.
    pub fn reason(&self) -> Option<&CancelReason> {
        self.reason.as_ref()
    }

    /// The failures of what `main` left behind, and of cleanup that took too long.
    pub fn failures(&self) -> Option<&ErrorGroup> {
        self.failures.as_ref()
    }
}

impl<T> std::fmt::Display for RunError<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.reason, &self.failures) {
            (Some(reason), None) => write!(f, "the run was cancelled: {reason}"),
            (Some(reason), Some(failures)) => {
                write!(f, "the run was cancelled: {reason}; and {failures}")
            }
            (None, Some(failures)) => write!(f, "what the run left behind failed: {failures}"),
            (None, None) => write!(f, "the run ended without a value"),
        }
    }
}

impl<T: std::fmt::Debug> std::error::Error for RunError<T> {}

impl Runner {
    /// A multi-thread runtime with one worker per core, with signals handled and without a grace.
    pub fn new() -> Self {
        Self {
            current_thread: false,
            workers: None,
            paused: false,
            grace: None,
            graceful: false,
            signals: true,
            #[cfg(unix)]
            tree_on: Vec::new(),
        }
    }

    /// Runs everything on the calling thread.
    pub fn current_thread(mut self) -> Self {
        self.current_thread = true;
        self
    }

    /// Sets the number of worker threads.
    pub fn worker_threads(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Bounds cleanup: guards and shields no longer apply once `grace` has passed since the run was
    /// cancelled. The errors name what is cut off then, `main` included.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Makes a stop by signal a success once everything is cleaned up: the first Ctrl-C or
    /// `SIGTERM` does not cancel `main`. It asks the program to stop.
    ///
    /// [`until_stopped`](crate::until_stopped) is the section that such a stop cancels, and
    /// [`when_stopped`](crate::when_stopped) is a future of it. `main` goes on after them, closes
    /// what it has opened, and its value decides: for `Ok` the exit code is 0 and nothing is
    /// printed. A failure during the stop is an error, as always.
    ///
    /// ```
    /// use std::time::Duration;
    /// use taskgroup::{Runner, TaskGroup, until_cancelled, until_stopped};
    /// # async fn accept() {}
    /// # async fn answer(_: ()) {}
    ///
    /// let runner = Runner::new().graceful().grace(Duration::from_secs(10));
    /// runner.run_main(async || {
    ///     until_stopped(TaskGroup::run(async |requests| {
    ///         while let Ok(request) = until_cancelled(accept()).await {
    ///             requests.spawn(taskgroup::shield(answer(request)));
    /// #           break;
    ///         }
    ///         Ok(())
    ///     }))
    ///     .await
    ///     .transpose()?;
    ///     println!("all requests are answered"); // the exit code is 0
    ///     Ok::<_, taskgroup::ErrorGroup>(())
    /// });
    /// ```
    ///
    /// Three things are no success, and end the run as without this option, with 128 and the number
    /// of the signal as the exit code:
    ///
    /// - Once the [`grace`](Self::grace) has passed since the signal, all that is left is dropped,
    ///   `main` as well. Standard error names what was cut off. Without a grace the run waits
    ///   without a limit.
    /// - A second signal ends the process at once, even if every thread is blocked. Standard error
    ///   shows what was alive.
    /// - A signal that comes before `main` has first waited for a stop cancels `main`. It may still
    ///   be starting, or it may never wait for one.
    #[doc(alias = "graceful_shutdown")]
    #[doc(alias = "with_graceful_shutdown")]
    pub fn graceful(mut self) -> Self {
        self.graceful = true;
        self
    }

    /// Prints the live [`tree`](crate::observe::tree()) of the process to standard error whenever
    /// `signal` arrives. This shows why a program does not end.
    ///
    /// `SIGQUIT` (Ctrl-\ on a terminal) and `SIGUSR1` are usual. A thread of its own prints, so it
    /// works even when every worker is blocked.
    ///
    /// ```
    /// use taskgroup::Runner;
    /// use tokio::signal::unix::SignalKind;
    ///
    /// let runner = Runner::new().tree_on_signal(SignalKind::user_defined1());
    /// runner.run(async || println!("kill -USR1 {}", std::process::id())).unwrap();
    /// ```
    ///
    /// # Panics
    /// [`run`](Self::run) panics when the signal cannot be handled: `SIGKILL`, for one.
    #[cfg(unix)]
    #[doc(alias = "faulthandler")]
    pub fn tree_on_signal(mut self, signal: tokio::signal::unix::SignalKind) -> Self {
        self.tree_on.push(signal);
        self
    }

    /// Sets whether Ctrl-C and `SIGTERM` cancel the run. By default they do.
    pub fn signals(mut self, handle: bool) -> Self {
        self.signals = handle;
        self
    }

    /// Starts with the clock paused: time passes only when nothing else can happen.
    #[cfg(feature = "testing")]
    pub fn start_paused(mut self, paused: bool) -> Self {
        self.paused = paused;
        self
    }

    fn build(&self) -> tokio::runtime::Runtime {
        let mut builder = if self.current_thread {
            tokio::runtime::Builder::new_current_thread()
        } else {
            tokio::runtime::Builder::new_multi_thread()
        };
        if let (Some(workers), false) = (self.workers, self.current_thread) {
            builder.worker_threads(workers);
        }
        #[cfg(feature = "testing")]
        builder.start_paused(self.paused);
        match builder.enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("cannot build a Tokio runtime: {error}"),
        }
    }

    /// Runs `main` and everything that it leaves behind to their end.
    ///
    /// # Errors
    /// [`RunError`], when a signal cancelled the run before `main` had a value, when a grace cut it
    /// off, and when something failed that belongs to no group.
    ///
    /// # Panics
    /// When the runtime cannot be built, and inside another runtime. A panic of `main` passes
    /// through.
    #[track_caller]
    pub fn run<T>(self, main: impl AsyncFnOnce() -> T) -> Result<T, RunError<T>> {
        let location = Location::caller();
        let runtime = self.build();
        #[cfg(unix)]
        let _printer = crate::observe::tree_on_signal(&self.tree_on);
        let stop = Arc::new(Stop::new());
        let ended = runtime.block_on(self.root(main, &stop, location));
        // Everything in the tree has ended. What the program gave to Tokio directly gets a moment
        // more; a blocking read of a terminal may never end.
        runtime.shutdown_timeout(Duration::from_secs(1));
        let (ended, scope) = ended;
        let failures = ErrorGroup::new(who::info(&scope), scope.take_adopted());
        if let (Ended::Panicked(_), Some(failures)) = (&ended, &failures) {
            eprintln!("{failures:#}");
        }
        match (ended.value(), failures) {
            (Some(value), None) => Ok(value),
            (value, failures) => Err(RunError {
                // If the grace cut off a graceful stop, the signal is the reason.
                reason: stop
                    .reason()
                    .or_else(|| scope.reason())
                    .filter(|_| value.is_none()),
                value,
                failures,
            }),
        }
    }

    async fn root<T>(
        &self,
        main: impl AsyncFnOnce() -> T,
        stop: &Arc<Stop>,
        location: &'static Location<'static>,
    ) -> (Ended<T>, Arc<Scope>) {
        let scope = Scope::open(Kind::Run, Scope::root().clone(), location);
        scope.set_stop(stop.clone());
        if self.grace.is_some() {
            scope.name_all_below();
        }
        let watch = self.signals.then(|| {
            let stopped = Stopped {
                scope: scope.clone(),
                stop: stop.clone(),
                grace: self.grace,
                graceful: self.graceful,
                location,
            };
            let program = Handle::current();
            SignalThread::start(|| Ok(watch_signals(Signals::new()?, program, stopped)))
        });
        let below = scope.clone();
        let grace = self.grace;
        let body = async move {
            let value = main().await;
            // What is below now was left behind by futures that were dropped half-way.
            let reason = CancelReason::of(ReasonKind::GroupEnded, below.location, None);
            cancel_run(&below, &reason, grace);
            value
        };
        let mut section = std::pin::pin!(Section::new(scope.clone(), Ends::Any, body));
        let ended = section.as_mut().ended().await;
        drop(watch);
        (ended, scope)
    }

    /// As [`run`](Self::run), with everything that failed printed to standard error.
    /// `#[taskgroup::main]` calls it.
    ///
    /// The exit code is the one that `main` returned, or 1 for an error. A run that a signal
    /// stopped exits with 128 plus the number of the signal, also when `main` cleaned up and
    /// returned its [`Cancelled`]. In a [graceful](Self::graceful) run the exit code says whether
    /// the stop succeeded.
    #[track_caller]
    pub fn run_main<T: MainOutput>(self, main: impl AsyncFnOnce() -> T) -> ExitCode {
        match self.run(main) {
            Ok(value) => value.report(),
            Err(error) => {
                if let Some(failures) = &error.failures {
                    eprintln!("Error: {failures:#}");
                }
                if let Some(reason) = &error.reason {
                    eprintln!("Error: cancelled: {reason}");
                }
                let stopped = error.reason.as_ref().map(exit_code);
                let value = error.value.map(MainOutput::report);
                stopped
                    .or(value.filter(|code| *code != ExitCode::SUCCESS))
                    .unwrap_or(ExitCode::FAILURE)
            }
        }
    }

    /// As [`run`](Self::run), without signals, and with a panic where `run` returns an error.
    /// `#[taskgroup::testing::test]` calls it.
    ///
    /// # Panics
    /// When something that the test left behind failed. A panic of the test passes through.
    #[track_caller]
    pub fn run_test<T>(self, test: impl AsyncFnOnce() -> T) -> T {
        match self.signals(false).run(test) {
            Ok(value) => value,
            Err(error) => panic!("{error}"),
        }
    }
}

fn cancel_run(scope: &Arc<Scope>, reason: &CancelReason, grace: Option<Duration>) {
    scope.cancel(reason, Dropping::Scheduled);
    if let Some(grace) = grace {
        ring_grace(scope, grace);
    }
}

fn exit_code(reason: &CancelReason) -> ExitCode {
    ExitCode::from(128 + reason.signal())
}

/// What the `main` of a program may return: `()`, an [`ExitCode`], or a `Result` of one of them.
///
/// ```
/// use std::process::ExitCode;
/// use taskgroup::{BoxError, Runner};
///
/// fn main() -> ExitCode {
///     // A failure is printed, and the exit code is 1.
///     Runner::new().run_main(async || {
///         let port: u16 = "80".parse()?;
///         println!("port {port}");
///         Ok::<(), BoxError>(())
///     })
/// }
/// ```
pub trait MainOutput: sealed::Sealed {
    #[doc(hidden)]
    fn report(self) -> ExitCode;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for std::process::ExitCode {}
    impl<T, E> Sealed for Result<T, E> {}
}

impl MainOutput for () {
    fn report(self) -> ExitCode {
        ExitCode::SUCCESS
    }
}

impl MainOutput for ExitCode {
    fn report(self) -> ExitCode {
        self
    }
}

impl<T: MainOutput, E: Into<BoxError>> MainOutput for Result<T, E> {
    fn report(self) -> ExitCode {
        match self.map_err(Into::into) {
            Ok(value) => value.report(),
            Err(error) => {
                let stopped = error.downcast_ref::<Cancelled>().map(Cancelled::reason);
                match error.downcast_ref::<ErrorGroup>() {
                    Some(group) => eprintln!("Error: {group:#}"),
                    None => {
                        eprintln!("Error: {}", gate::text(&error));
                        let mut source = gate::source(&*error);
                        while let Some(cause) = source {
                            eprintln!("  caused by: {}", gate::text(&cause));
                            source = gate::source(cause);
                        }
                    }
                }
                match stopped {
                    Some(reason) if reason.kind() == ReasonKind::Shutdown => exit_code(reason),
                    _ => ExitCode::FAILURE,
                }
            }
        }
    }
}

/// What the first signal stops.
struct Stopped {
    scope: Arc<Scope>,
    stop: Arc<Stop>,
    grace: Option<Duration>,
    graceful: bool,
    location: &'static Location<'static>,
}

impl Stopped {
    fn by(&self, name: &str, number: u8) {
        let reason = CancelReason::shutdown(name, number, self.location);
        if !self.graceful || !self.stop.was_awaited() {
            // Before the request: code that waits for the stop is cancelled and does not go on.
            cancel_run(&self.scope, &reason, self.grace);
        } else if let Some(grace) = self.grace {
            ring_grace(&self.scope, grace);
        }
        self.stop.ask(&reason);
    }
}

/// The first signal stops the run, the second ends the process, also when all threads of the
/// program are blocked.
async fn watch_signals(mut signals: Signals, program: Handle, stopped: Stopped) {
    let (name, number) = signals.next().await;
    // In the runtime of the program, because its clock rings for a grace. A worker may be blocked,
    // and a clock that is paused does not jump while a blocking thread works.
    program.spawn_blocking(move || stopped.by(name, number));
    let (name, number) = signals.next().await;
    let tree = crate::observe::tree();
    // The process has to end, even if standard error is closed.
    let _ = writeln!(
        std::io::stderr(),
        "Error: a second signal, {name}, cut this off:\n{tree}"
    );
    std::process::exit(128 + i32::from(number));
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> (&'static str, u8) {
        tokio::select! {
            _ = self.interrupt.recv() => ("Ctrl-C", 2),
            _ = self.terminate.recv() => ("SIGTERM", 15),
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> (&'static str, u8) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        ("Ctrl-C", 2)
    }
}
