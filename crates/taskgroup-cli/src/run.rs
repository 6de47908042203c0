//! The run: every command a child of one task group.

use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, OnceLock};

use tokio::runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::flag::Flag;
use crate::job::{Job, Surroundings};
use crate::output::{self, Label, Sink, Stream, Writer};
use crate::plan::{OnFailure, Plan, TaskSpec};
use crate::record::{Cause, Ending, Record, Summary};
use crate::report;
use crate::signals::{Stop, StopSignals};

/// Runs the plan to its end, whatever the end is, and reports. Fails only when nothing could be
/// started at all.
pub(crate) fn run(plan: Plan) -> io::Result<Summary> {
    // One thread is enough: the commands work, we wait.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run_and_report(Arc::new(plan)))
}

async fn run_and_report(plan: Arc<Plan>) -> io::Result<Summary> {
    let mut signals = StopSignals::catch()?;
    let summary = run_plan(&plan, &mut signals).await?;
    let coloured = output::is_coloured(plan.colour, Stream::Err);
    let mut text = report::render(&plan, &summary, coloured);
    if !text.is_empty() {
        let by_key = matches!(summary.signal, Some(Stop::Interrupt | Stop::Quit));
        if by_key && io::stderr().is_terminal() {
            // The terminal has echoed `^C` at the start of the line.
            text.insert(0, '\n');
        }
        deliver(text.into_bytes(), &mut signals).await?;
    }
    Ok(summary)
}

async fn run_plan(plan: &Arc<Plan>, signals: &mut StopSignals) -> io::Result<Summary> {
    let begin = Instant::now();
    let hurry = Flag::new();
    let (sink, mut writer) = Sink::start(&hurry)?;
    let run = Arc::new(Run::new(Arc::clone(plan), sink, hurry.clone()));

    let mut signal = None;
    {
        let group = run_group(Arc::clone(&run));
        tokio::pin!(group);
        let mut output_failed = false;
        loop {
            tokio::select! {
                biased;
                () = &mut group => break,
                stop = signals.next() => match signal {
                    None => {
                        signal = Some(stop);
                        run.cancel(Cause::Signal(stop));
                    }
                    Some(_) => hurry.set(),
                },
                error = writer.failed(), if !output_failed => {
                    output_failed = true;
                    run.cancel(Cause::Output(error));
                }
            }
        }
    }
    let run = Arc::into_inner(run).expect("every child of the group has ended");
    drop(run.around);
    let output_error = flush(writer, signals, &hurry, &mut signal).await;
    let records = run
        .records
        .into_inner()
        .expect("nothing panics while it records");
    Ok(Summary {
        records: records
            .into_iter()
            .map(|record| record.expect("each task leaves one"))
            .collect(),
        cause: run.cause.into_inner(),
        signal,
        output_error,
        elapsed: begin.elapsed(),
    })
}

/// Waits until everything is written. Nothing is left to be stopped by now, so a signal ends the
/// waiting at once.
async fn flush(
    writer: Writer,
    signals: &mut StopSignals,
    hurry: &Flag,
    signal: &mut Option<Stop>,
) -> Option<Arc<io::Error>> {
    let finished = writer.finished();
    tokio::pin!(finished);
    loop {
        tokio::select! {
            biased;
            error = &mut finished => return error,
            stop = signals.next() => {
                signal.get_or_insert(stop);
                hurry.set();
            }
        }
    }
}

/// Writes the report, after everything else. What cannot be written has nowhere else to go.
async fn deliver(report: Vec<u8>, signals: &mut StopSignals) -> io::Result<()> {
    let hurry = Flag::new();
    let (sink, writer) = Sink::start(&hurry)?;
    sink.send(Stream::Err, report).await;
    drop(sink);
    flush(writer, signals, &hurry, &mut None).await;
    Ok(())
}

async fn run_group(run: Arc<Run>) {
    let mut children = JoinSet::new();
    for index in 0..run.plan.tasks.len() {
        children.spawn(Arc::clone(&run).supervise(index));
    }
    children.join_all().await;
}

/// What the children share.
struct Run {
    plan: Arc<Plan>,
    stdout: Vec<Label>,
    stderr: Vec<Label>,
    around: Surroundings,
    slots: Semaphore,
    cancelled: Flag,
    /// The first reason to cancel; the later ones change nothing.
    cause: OnceLock<Cause>,
    records: Mutex<Vec<Option<Record>>>,
}

impl Run {
    fn new(plan: Arc<Plan>, sink: Sink, hurry: Flag) -> Run {
        let names = || plan.tasks.iter().map(|task| task.name.as_str());
        let labels = |stream| output::labels(names(), output::is_coloured(plan.colour, stream));
        let slots = plan.jobs.map_or(Semaphore::MAX_PERMITS, |jobs| {
            jobs.get().min(Semaphore::MAX_PERMITS)
        });
        Run {
            stdout: labels(Stream::Out),
            stderr: labels(Stream::Err),
            around: Surroundings {
                sink,
                timeout: plan.timeout,
                grace: plan.grace,
                hurry,
            },
            slots: Semaphore::new(slots),
            cancelled: Flag::new(),
            cause: OnceLock::new(),
            records: Mutex::new(plan.tasks.iter().map(|_| None).collect()),
            plan,
        }
    }

    async fn supervise(self: Arc<Self>, index: usize) {
        let record = self.bracketed(index).await;
        self.records
            .lock()
            .expect("nothing panics while it records")[index] = Some(record);
    }

    async fn bracketed(&self, index: usize) -> Record {
        let _slot = tokio::select! {
            biased;
            () = self.cancelled.wait() => return Record::without_process(Ending::NotStarted),
            slot = self.slots.acquire() => slot,
        };
        let spec: &TaskSpec = &self.plan.tasks[index];
        let (stdout, stderr) = (self.stdout[index].clone(), self.stderr[index].clone());
        let mut job = match Job::start(spec, stdout, stderr, self.around.clone()) {
            Ok(job) => job,
            Err(error) => {
                self.failed(index);
                return Record::without_process(Ending::CouldNotStart(error));
            }
        };
        tokio::select! {
            failed = job.watch() => if failed { self.failed(index) },
            () = self.cancelled.wait() => {}
        }
        job.finish().await
    }

    /// Called as soon as a command has failed, before its group is empty: the others shall not run
    /// on while it is cleaned up.
    fn failed(&self, index: usize) {
        if self.plan.on_failure == OnFailure::Cancel {
            self.cancel(Cause::Task(index));
        }
    }

    fn cancel(&self, cause: Cause) {
        // Refused when there is a cause already.
        let _ = self.cause.set(cause);
        self.cancelled.set();
    }
}
