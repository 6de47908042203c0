//! The run around the group: runtime, signals, output, and the report at the end.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use tokio::runtime;
use tokio::time::Instant;

use crate::flag::Flag;
use crate::group::Commands;
use crate::output::{self, Sink, Stream, Writer};
use crate::plan::Plan;
use crate::process::{Guards, Level};
use crate::record::{Cause, Summary};
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
    let guards = Guards::new(plan.contain)?;
    if plan.contain != Level::default() {
        guards.probe().await?;
    }
    let hurry = Flag::new();
    let (sink, mut writer) = Sink::start(&hurry)?;
    let commands = Arc::new(Commands::new(
        Arc::clone(plan),
        guards.clone(),
        sink,
        hurry.clone(),
    ));

    let mut signal = None;
    let internal = {
        let group = Arc::clone(&commands).run();
        tokio::pin!(group);
        let mut output_failed = false;
        loop {
            tokio::select! {
                // The group first: after its first poll there is something to cancel.
                biased;
                internal = &mut group => break internal,
                stop = signals.next() => match signal {
                    None => {
                        signal = Some(stop);
                        commands.cancel(Cause::Signal(stop));
                    }
                    Some(_) => hurry.set(),
                },
                error = writer.failed(), if !output_failed => {
                    output_failed = true;
                    commands.cancel(Cause::Output(error));
                }
            }
        }
    };
    let commands = Arc::into_inner(commands).expect("every child of the group has ended");
    // With it goes the last way to the writer, which ends when it has written everything.
    let (records, cause) = commands.into_records();
    guards.close().await;
    let output_error = flush(writer, signals, &hurry, &mut signal).await;
    let elapsed = begin.elapsed();
    Ok(Summary {
        records,
        cause,
        signal,
        output_error,
        internal,
        elapsed,
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
