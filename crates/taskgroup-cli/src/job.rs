//! One command, from its start to its record.
//!
//! A [`Job`] is the resource of a `bracket`: [`Job::start`] acquires it, [`Job::watch`] may be
//! cancelled at any time, and [`Job::finish`] runs on every exit and leaves no process of the
//! command.

use std::collections::HashSet;
use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::clock::{Clock, Stopwatch};
use crate::flag::Flag;
pub(crate) use crate::output::Sought;
use crate::output::{
    Heading, Label, Order, Outlet, Partials, Pump, Pumped, Show, Sink, Stream, Trouble, pump,
};
use crate::plan::Work;
use crate::process::{Contained, Guards, Leader, Lease, Pipes, Process, Size, Stdio, Stopped};
use crate::record::{Ending, Record};
use crate::typed::{Place, Typed};
use crate::verdict::Verdict;

/// The rest of a command may end by itself within this time after its leader. A filter that the
/// leader did not wait for (`command > >(tee log)`) writes its last line, then ends. This time is
/// part of the grace.
const LINGER: Duration = Duration::from_millis(500);

/// State that all jobs of a run share.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) guards: Guards,
    pub(crate) sink: Sink,
    pub(crate) show: Show,
    pub(crate) order: Order,
    /// The names of those whose output is not shown.
    pub(crate) hide: Arc<HashSet<String>>,
    /// Shows lines that have no end yet.
    pub(crate) partials: Option<Partials>,
    /// Skip the grace.
    pub(crate) hurry: Flag,
    pub(crate) clock: Clock,
    /// How long the run has taken.
    pub(crate) begin: Stopwatch,
    pub(crate) typed: Typed,
    /// Variables for all commands.
    pub(crate) told: Vec<(&'static str, String)>,
}

/// What a job gets besides its work.
pub(crate) struct With {
    /// The name of a task, which may have a terminal or get our input. Cleanup has neither.
    pub(crate) name: Option<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) label: Label,
    /// Variables that tell the command who it is. The work may change them.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// Get a copy of its standard output and of its standard error.
    pub(crate) copies: [Option<File>; 2],
    /// Its output is not shown.
    pub(crate) hidden: bool,
    /// What its output is searched for.
    pub(crate) sought: Option<Sought>,
    /// Its place in the order of the output, if it has one.
    pub(crate) place: Option<usize>,
    /// It does not end by itself.
    pub(crate) lasts: bool,
    /// Where it runs, if that is not this machine.
    pub(crate) lease: Option<Lease>,
}

impl With {
    /// This label, and nothing else.
    pub(crate) fn label(label: Label) -> With {
        With {
            name: None,
            timeout: None,
            label,
            variables: Vec::new(),
            copies: Default::default(),
            hidden: false,
            sought: None,
            place: None,
            lasts: false,
            lease: None,
        }
    }
}

pub(crate) struct Job {
    process: Contained,
    output: Output,
    /// From the start of the run until this process learned that it had begun.
    started: Duration,
    /// From the start of the run until it began.
    began: Duration,
    timeout: Option<Duration>,
    grace: Duration,
    ending: Option<(Ending, Duration)>,
    lease: Option<Lease>,
    around: Surroundings,
}

/// Never resolves.
type Feeder = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Both pumps as one future. The job polls it wherever it waits, so the pumps need no separate
/// task.
struct Output {
    pumps: Pin<Box<dyn Future<Output = (Pumped, Pumped)> + Send>>,
    done: Option<(Pumped, Pumped)>,
    /// Writes what the command gets as its input.
    feeder: Option<Feeder>,
    all_gone: Flag,
    outlet: Outlet,
}

impl Job {
    /// If it is `given_up` while a limit of the machine keeps the command from starting, the error
    /// is of the kind `Interrupted`.
    pub(crate) async fn start(
        work: &Work,
        with: With,
        around: Surroundings,
        given_up: impl Fn() -> bool,
    ) -> io::Result<Job> {
        let mut start = work.start();
        let name = with.name.as_deref();
        start.stdio = match (&work.input, name) {
            (Some(_), _) => Stdio::InputAndOutput,
            (None, Some(name)) => around.typed.stdio(name),
            (None, None) => Stdio::Output,
        };
        let (ours, label) = (Size::ours(), with.label.columns());
        let size = ours.unwrap_or_default().beside(label);
        let mut told = with.variables;
        if !matches!(start.stdio, Stdio::Terminal { .. }) {
            let width = ours.map(|_| ("COLUMNS", size.columns().to_string()));
            let width = width.filter(|(name, _)| !around.told.is_empty() && is_unset(name));
            told.splice(0..0, around.told.iter().cloned().chain(width));
        }
        told.extend(with.lease.iter().flat_map(Lease::variables));
        let told = told
            .into_iter()
            .map(|(name, value)| (name.into(), Some(value.into_bytes())));
        start.env.splice(0..0, told);
        let stdio = start.stdio;
        // They belong to the try that starts the command. Earlier tries may fail.
        let (mut terminal, mut feed) = (None, None);
        let mut typed: Option<Place> = None;
        // What is typed from now on reaches the command, even before it runs.
        let mut opened = |pipes: &mut Pipes| {
            (terminal, feed) = (pipes.terminal.take(), pipes.stdin.take());
            let has_input = stdio == Stdio::InputAndOutput || feed.is_some();
            if work.input.is_some() || (terminal.is_none() && !has_input) {
                return;
            }
            let name = name.unwrap_or_default();
            let begin = || around.typed.begin(name, label, has_input);
            typed.get_or_insert_with(begin).opened(terminal.as_ref());
        };
        let input = match (start.stdio, &work.input, name) {
            (Stdio::InputAndOutput, None, Some(name)) => Some(around.typed.input(name)?),
            _ => None,
        };
        let streams = (size, input.as_deref());
        let mut lease = with.lease;
        let (process, pipes) = loop {
            let places = (&around.guards, lease.as_ref());
            let start = start.clone();
            let started =
                Contained::start(places, start, streams, with.lasts, &given_up, &mut opened).await;
            match (started, &lease) {
                (Ok(started), _) => break started,
                // The node is lost. Nothing of the command has run.
                (Err(error), Some(lost)) if error.kind() == io::ErrorKind::HostUnreachable => {
                    lease = Some(lost.elsewhere(&given_up).await?);
                }
                (Err(error), _) => return Err(with_command(&error, work)),
            }
        };
        let feeder = match (work.input.clone(), feed, typed) {
            (Some(input), Some(mut feed), _) => Some(Box::pin(async move {
                // A command need not read all of it.
                let _ = feed.write(&input).await;
                drop(feed);
                std::future::pending::<()>().await;
            }) as Feeder),
            (_, feed, Some(mut typed)) => Some(Box::pin(async move {
                // The last one that holds the terminal hangs it up.
                let _held = terminal;
                typed.feed(feed).await;
            }) as Feeder),
            (_, _, None) => None,
        };
        let place = with.place.filter(|_| around.order.is_kept());
        let show = match with.hidden {
            true => Show::Quiet,
            false => around.show,
        };
        let outlet = Outlet::new(show, place.is_some(), around.sink.clone());
        if let (Show::Stream, Some(place)) = (show, place) {
            let heading = Heading::default();
            around.order.show(place, outlet.clone(), heading).await;
        }
        let partials = around.partials.as_ref().filter(|_| !with.hidden);
        let started = around.begin.elapsed();
        Ok(Job {
            process,
            output: Output::new(
                pipes,
                feeder,
                &with.label,
                outlet,
                partials,
                with.copies,
                with.sought.as_ref(),
            ),
            started,
            began: started,
            timeout: with.timeout,
            grace: work.grace,
            ending: None,
            lease,
            around,
        })
    }

    /// The node on which it runs, if that is not this machine.
    pub(crate) fn node(&self) -> Option<String> {
        let lease = self.lease.as_ref();
        lease.map(|lease| lease.node().to_owned())
    }

    pub(crate) fn timed_out(&self) -> bool {
        self.ending
            .as_ref()
            .is_some_and(|(ending, _)| ending.is_timeout())
    }

    /// The command began before this process learned of it, and not later than its end allows. So
    /// what it causes by its end is never shown before that end.
    fn end(&mut self, ending: Ending, ran: Duration) {
        let latest = self.around.begin.elapsed().checked_sub(ran);
        self.began = self.started.min(latest.unwrap_or(self.started));
        self.ending = Some((ending, ran));
    }

    /// How long it ran, or has run so far.
    fn ran(&self) -> Duration {
        self.process.ran().unwrap_or_else(|| self.since_start())
    }

    fn since_start(&self) -> Duration {
        self.around.begin.elapsed().saturating_sub(self.started)
    }

    /// Nothing more is waited for: [`Job::finish`] stops what is left.
    pub(crate) fn end_with(&mut self, ending: Ending) {
        self.end(ending, self.since_start());
    }

    /// The success of a command that was not to end.
    pub(crate) fn ended_early(&mut self) {
        if let Some((ending, _)) = &mut self.ending {
            if let Ending::Exited(status) = *ending {
                *ending = Ending::EndedEarly(status);
            }
        }
    }

    /// Resolves when the command's leader has exited or its timeout has expired. Cancel safe:
    /// [`Job::finish`] continues what was dropped here.
    pub(crate) async fn watch(&mut self) -> Verdict {
        let expires = self.around.clock.after_any(self.timeout);
        let ended = async {
            tokio::select! {
                biased;
                ended = self.process.leader_ended() => Some(ended),
                () = expires => None,
            }
        };
        let ending = match self.output.meanwhile(ended).await {
            Some(Ok(Leader::Ended(status))) => Ending::Exited(status),
            Some(Ok(Leader::WantsTerminal(name))) => Ending::WantsTerminal(name),
            Some(Err(error)) => Ending::Lost(error),
            None => Ending::TimedOut,
        };
        let verdict = Verdict::of_success(ending.is_success());
        self.end(ending, self.ran());
        verdict
    }

    /// Stops what is left of the command, moves the rest of its output, and returns what happened.
    /// Lines that were held back are still in the outlet.
    pub(crate) async fn finish(mut self) -> (Record, Outlet) {
        // The command may have ended by itself at the moment of the cancellation. Then that end
        // counts.
        if self.ending.is_none() {
            if let Some(status) = self.process.ended_by_itself() {
                self.end(Ending::Exited(status), self.ran());
            }
        }
        let asked = self.since_start();
        let Job {
            mut process,
            mut output,
            began,
            grace,
            ending,
            lease,
            around,
            ..
        } = self;
        let (left_in_background, stopped) = output
            .meanwhile(async {
                let ended_by_itself = matches!(
                    ending,
                    Some((
                        Ending::Exited(_) | Ending::EndedEarly(_) | Ending::Lost(_),
                        _
                    ))
                );
                clear(&mut process, ended_by_itself, grace, &around.hurry).await
            })
            .await;
        let (ending, ran) = ending.unwrap_or_else(|| match process.ended_by_itself() {
            Some(status) => (Ending::Exited(status), process.ran().unwrap_or(asked)),
            None => (Ending::Cancelled(process.leader_status()), asked),
        });
        let ending = match (process.why(), ending) {
            (Some(why), Ending::Exited(_) | Ending::EndedEarly(_) | Ending::Cancelled(None)) => {
                Ending::Lost(why)
            }
            (_, ending) => ending,
        };
        if let (Ending::Lost(error), Some(lease)) = (&ending, &lease) {
            if error.kind() == io::ErrorKind::HostUnreachable {
                lease.lose();
            }
        }
        let gone = around.begin.elapsed().saturating_sub(began);
        let outlet = output.outlet.clone();
        let (mut out, mut err) = output.rest().await;
        let succeeded = ending.is_success();
        out.tail.settle(succeeded);
        err.tail.settle(succeeded);
        let copy_error = out.copy_error.or(err.copy_error);
        let record = Record {
            ending,
            began: Some(began),
            ran,
            gone,
            stopped,
            left_in_background,
            output_held: out.held_open || err.held_open,
            node: lease.map(|lease| lease.node().to_owned()),
            trouble: copy_error.map(Trouble::Lost).or(outlet.take_trouble()),
            stdout: out.tail,
            stderr: err.tail,
        };
        (record, outlet)
    }
}

fn is_unset(name: &str) -> bool {
    std::env::var_os(name).is_none()
}

/// The system's error says what is missing, but not for which command.
fn with_command(error: &io::Error, work: &Work) -> io::Error {
    // The folder of the file is there: the file was read.
    let place = match work.cwd.as_ref().and(work.folder()) {
        Some(cwd) => format!(" in {}", cwd.display()),
        None => String::new(),
    };
    let text = format!("`{}`{place}: {error}", work.program());
    io::Error::new(error.kind(), text)
}

/// Ends all processes of the command. Returns which processes remained after the leader, and what
/// it took to end them.
async fn clear(
    process: &mut Contained,
    leader_gone: bool,
    mut grace: Duration,
    hurry: &Flag,
) -> (Vec<Process>, Option<Stopped>) {
    let mut left_in_background = Vec::new();
    if leader_gone {
        let linger = LINGER.min(grace);
        let emptied = tokio::select! {
            biased;
            emptied = timeout(linger, process.emptied()) => emptied.is_ok(),
            () = hurry.wait() => false,
        };
        if emptied {
            return (left_in_background, None);
        }
        left_in_background = process.living().await;
        grace -= linger;
    }
    let stopped = process.stop(grace, hurry).await;
    (left_in_background, Some(stopped))
}

impl Output {
    fn new(
        pipes: Pipes,
        feeder: Option<Feeder>,
        label: &Label,
        outlet: Outlet,
        partials: Option<&Partials>,
        copies: [Option<File>; 2],
        sought: Option<&Sought>,
    ) -> Output {
        let all_gone = Flag::new();
        let to = |stream, copy| Pump {
            stream,
            label: label.clone(),
            outlet: outlet.clone(),
            partials: partials.cloned(),
            copy,
            sought: sought.cloned(),
            all_gone: all_gone.clone(),
        };
        let [of_out, of_err] = copies;
        let out = pump(pipes.stdout, to(Stream::Out, of_out));
        let to_err = to(Stream::Err, of_err);
        let err = async move {
            match pipes.stderr {
                Some(stderr) => pump(stderr, to_err).await,
                None => Pumped::default(),
            }
        };
        let pumps = Box::pin(async { tokio::join!(out, err) });
        Output {
            pumps,
            done: None,
            feeder,
            all_gone,
            outlet,
        }
    }

    /// Runs `work` while the output flows, and the input.
    async fn meanwhile<F: Future>(&mut self, work: F) -> F::Output {
        let Output {
            pumps,
            done,
            feeder,
            ..
        } = self;
        let work = async {
            match feeder {
                None => work.await,
                Some(feeder) => tokio::select! {
                    result = work => result,
                    () = feeder => unreachable!("it never resolves"),
                },
            }
        };
        tokio::pin!(work);
        if done.is_none() {
            tokio::select! {
                both = pumps => *done = Some(both),
                result = &mut work => return result,
            }
        }
        work.await
    }

    /// Moves the rest of the output, now that no process of the command is left.
    async fn rest(self) -> (Pumped, Pumped) {
        self.all_gone.set();
        match self.done {
            Some(done) => done,
            None => self.pumps.await,
        }
    }
}
