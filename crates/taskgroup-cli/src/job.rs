//! One command, from its start to its record.
//!
//! A [`Job`] is the resource of a `bracket`: [`Job::start`] acquires it, [`Job::watch`] may be
//! cancelled at any time, and [`Job::finish`] runs on every exit and leaves no process of the
//! command.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::flag::Flag;
use crate::output::{Label, Outlet, Pump, Pumped, Show, Sink, Stream, pump};
use crate::plan::Work;
use crate::process::{Contained, Guards, Pipes, Process, Stopped};
use crate::record::{Ending, Record};
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
    /// Skip the grace.
    pub(crate) hurry: Flag,
}

pub(crate) struct Job {
    process: Contained,
    output: Output,
    started: Instant,
    timeout: Option<Duration>,
    grace: Duration,
    ending: Option<(Ending, Duration)>,
    around: Surroundings,
}

/// Both pumps as one future. The job polls it wherever it waits, so the pumps need no separate
/// task.
struct Output {
    pumps: Pin<Box<dyn Future<Output = (Pumped, Pumped)> + Send>>,
    done: Option<(Pumped, Pumped)>,
    all_gone: Flag,
    outlet: Outlet,
}

impl Job {
    pub(crate) async fn start(
        work: &Work,
        timeout: Option<Duration>,
        label: Label,
        around: Surroundings,
    ) -> io::Result<Job> {
        let (process, pipes) = Contained::start(&around.guards, work.start())
            .await
            .map_err(|error| with_command(&error, work))?;
        let outlet = Outlet::new(around.show, around.sink.clone());
        Ok(Job {
            process,
            output: Output::new(pipes, &label, outlet),
            started: Instant::now(),
            timeout,
            grace: work.grace,
            ending: None,
            around,
        })
    }

    pub(crate) fn timed_out(&self) -> bool {
        matches!(self.ending, Some((Ending::TimedOut, _)))
    }

    /// Resolves when the command's leader has exited or its timeout has expired. Cancel safe:
    /// [`Job::finish`] continues what was dropped here.
    pub(crate) async fn watch(&mut self) -> Verdict {
        let limit = self.timeout;
        let ended = async {
            match limit {
                Some(limit) => taskgroup::timeout(limit, self.process.leader_ended())
                    .await
                    .ok(),
                None => Some(self.process.leader_ended().await),
            }
        };
        let ending = match self.output.meanwhile(ended).await {
            Some(status) => natural(status),
            None => Ending::TimedOut,
        };
        let verdict = Verdict::of_success(ending.is_success());
        self.ending = Some((ending, self.started.elapsed()));
        verdict
    }

    /// Stops what is left of the command, moves the rest of its output, and returns what happened.
    pub(crate) async fn finish(mut self) -> Record {
        // The command may have ended by itself at the moment of the cancellation. Then that end
        // counts.
        if self.ending.is_none() {
            if let Some(status) = self.process.ended_by_itself() {
                self.ending = Some((Ending::Exited(status), self.started.elapsed()));
            }
        }
        let Job {
            mut process,
            mut output,
            started,
            grace,
            ending,
            around,
            ..
        } = self;
        let asked = started.elapsed();
        let (left_in_background, stopped) = output
            .meanwhile(async {
                let ended_by_itself =
                    matches!(ending, Some((Ending::Exited(_) | Ending::Lost(_), _)));
                clear(&mut process, ended_by_itself, grace, &around.hurry).await
            })
            .await;
        let (ending, ran) = ending.unwrap_or_else(|| {
            let ending = match process.ended_by_itself() {
                Some(status) => Ending::Exited(status),
                None => Ending::Cancelled(process.leader_status()),
            };
            (ending, asked)
        });
        let gone = started.elapsed();
        let outlet = output.outlet.clone();
        let (out, err) = output.rest().await;
        if ending.is_failure() || around.show != Show::Failures {
            outlet.release().await;
        }
        Record {
            ending,
            began: None,
            ran,
            gone,
            stopped,
            left_in_background,
            output_held: out.held_open || err.held_open,
            stderr: err.tail,
        }
    }
}

/// The system's error says what is missing, but not for which command.
fn with_command(error: &io::Error, work: &Work) -> io::Error {
    let place = match &work.cwd {
        Some(cwd) => format!(" in {}", cwd.display()),
        None => String::new(),
    };
    let text = format!("`{}`{place}: {error}", work.command.program());
    io::Error::new(error.kind(), text)
}

fn natural(status: io::Result<ExitStatus>) -> Ending {
    match status {
        Ok(status) => Ending::Exited(status),
        Err(error) => Ending::Lost(error),
    }
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
    fn new(pipes: Pipes, label: &Label, outlet: Outlet) -> Output {
        let all_gone = Flag::new();
        let to = |stream| Pump {
            stream,
            label: label.clone(),
            outlet: outlet.clone(),
            all_gone: all_gone.clone(),
        };
        let out = pump(pipes.stdout, to(Stream::Out));
        let err = pump(pipes.stderr, to(Stream::Err));
        let pumps = Box::pin(async { tokio::join!(out, err) });
        Output {
            pumps,
            done: None,
            all_gone,
            outlet,
        }
    }

    /// Runs `work` while the output flows.
    async fn meanwhile<F: Future>(&mut self, work: F) -> F::Output {
        tokio::pin!(work);
        if self.done.is_none() {
            tokio::select! {
                done = &mut self.pumps => self.done = Some(done),
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
