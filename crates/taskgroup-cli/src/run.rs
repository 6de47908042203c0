//! The frame of a run: runtime, signals, output, files, and the report at the end.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;

use tokio::runtime;

use crate::args::{Common, Show};
use crate::engine::{Engine, Ledger, Memory};
use crate::exit::Exit;
use crate::flag::Flag;
use crate::input::{Reading, Source};
use crate::job::Surroundings;
use crate::output::{self, Labels, Sink, Stream, Writer};
use crate::plan::{Plan, ROOT};
use crate::process::{Guards, Level};
use crate::record::{Cause, Summary};
use crate::report;
use crate::signals::{Stop, StopSignals};
use crate::tell::{self, Journal, Past, Progress};

/// Runs the plan to its end, in whatever way it ends, and reports. Fails only if nothing could be
/// started at all.
pub(crate) fn run(plan: Plan, source: Option<Source>, common: &Common) -> io::Result<Exit> {
    // One thread is enough: the commands work, and the runner waits.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run_and_report(plan, source, common))
}

async fn run_and_report(plan: Plan, source: Option<Source>, common: &Common) -> io::Result<Exit> {
    let mut signals = StopSignals::catch()?;
    let (summary, journal) = run_plan(plan, source, common, &mut signals).await?;
    let mut summary = summary;
    write_files(&mut summary, common);
    let code = Exit::of(&summary).code();
    summary
        .report_errors
        .extend(journal.end(summary.elapsed, code, summary.counts));
    let coloured = output::is_coloured(common.color, Stream::Err);
    let mut text = report::render(&summary, common.contain, coloured);
    if !text.is_empty() {
        let by_key = matches!(summary.signal, Some(Stop::Interrupt | Stop::Quit));
        let has_bar = common.output != Show::Quiet;
        if by_key && !has_bar && io::stderr().is_terminal() {
            // The terminal has echoed `^C` at the start of the line, and the progress line has
            // erased it.
            text.insert(0, '\n');
        }
        deliver(text.into_bytes(), &mut signals).await?;
    }
    Ok(Exit::of(&summary))
}

async fn run_plan(
    mut plan: Plan,
    source: Option<Source>,
    common: &Common,
    signals: &mut StopSignals,
) -> io::Result<(Summary, Journal)> {
    let root = &mut plan.groups[ROOT];
    root.deadline = root.deadline.into_iter().chain(common.deadline).min();
    let named = |path: &Path, error: io::Error| {
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    };
    let (past, mut journal) = match (&common.resume, &common.json) {
        (Some(path), _) => (
            Past::read(path).map_err(|error| named(path, error))?,
            Journal::open(path, true).map_err(|error| named(path, error))?,
        ),
        (None, Some(path)) => (
            Past::default(),
            Journal::open(path, false).map_err(|error| named(path, error))?,
        ),
        (None, None) => (Past::default(), Journal::default()),
    };
    let guards = Guards::new(common.contain)?;
    if common.contain != Level::default() {
        guards.probe().await?;
    }
    let total = source.is_none().then_some(plan.tasks.len());
    journal.begin(common.contain, total);
    let hurry = Flag::new();
    let on_terminal = common.output != Show::Quiet && io::stderr().is_terminal();
    let total = total.map(|total| total as u64);
    let (progress, bar) = if on_terminal {
        let coloured = output::is_coloured(common.color, Stream::Err);
        let (progress, bar) = Progress::bar(total, coloured);
        (Some(progress), Some(bar))
    } else {
        (None, None)
    };
    let (sink, mut writer) = Sink::start(&hurry, bar)?;
    let progress = progress.unwrap_or_else(|| match common.output {
        Show::Stream | Show::Quiet => Progress::nothing(),
        Show::Group | Show::Failures => Progress::lines(sink.ticker(), total),
    });
    let for_files = common.junit.is_some() || common.trace.is_some() || common.report.is_some();
    let memory = if source.is_none() || for_files {
        Memory::Everything
    } else {
        Memory::Notable
    };
    let ledger = Arc::new(Ledger::new(memory, past, journal, progress));
    let around = Surroundings {
        guards: guards.clone(),
        sink,
        show: common.output,
        hurry: hurry.clone(),
    };
    let labels = Labels::fitting(plan.labels(), common.color);
    let engine = Engine::new(plan, labels, around, Arc::clone(&ledger));
    let reading = source.map(Reading::start).transpose()?;
    let (input, reading) = reading.map_or((None, None), |(input, reading)| {
        (Some(input), Some(reading))
    });

    let mut signal = None;
    {
        let work = Arc::clone(&engine).run(input);
        tokio::pin!(work);
        let mut output_failed = false;
        loop {
            tokio::select! {
                // The work first: after its first poll there is something to cancel.
                biased;
                () = &mut work => break,
                stop = signals.next() => match signal {
                    None => {
                        signal = Some(stop);
                        engine.cancel(Cause::Signal(stop));
                    }
                    Some(_) => hurry.set(),
                },
                error = writer.failed(), if !output_failed => {
                    output_failed = true;
                    engine.cancel(Cause::Output(error));
                }
            }
        }
    }
    let elapsed = engine.elapsed();
    let (cause, internal) = (engine.cause(), engine.take_internal());
    let failed = engine.has_failed();
    let (entries, counts, journal) = ledger.close();
    let input_error = reading.and_then(|reading| reading.error());
    // This drops the last way to the writer, which ends when it has written everything.
    drop((engine, ledger));
    guards.close().await;
    let output_error = flush(writer, signals, &hurry, &mut signal).await;
    let summary = Summary {
        failed: failed || input_error.is_some(),
        entries,
        counts,
        cause,
        signal,
        output_error,
        report_errors: Vec::new(),
        input_error,
        internal,
        elapsed,
    };
    Ok((summary, journal))
}

/// The files that are written at the end.
fn write_files(summary: &mut Summary, common: &Common) {
    type Write = fn(&Path, &Summary) -> io::Result<()>;
    let files: [(_, Write); 3] = [
        (&common.junit, tell::write_junit),
        (&common.trace, tell::write_trace),
        (&common.report, tell::write_page),
    ];
    for (path, write) in files {
        let Some(path) = path else { continue };
        if let Err(error) = write(path, summary) {
            let error = format!("{}: {error}", path.display());
            summary.report_errors.push(error);
        }
    }
}

/// Waits until everything is written. Nothing is left to stop by now, so a signal ends the wait at
/// once.
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

/// Writes the report, after everything else. If that fails, there is no other place to report to.
async fn deliver(report: Vec<u8>, signals: &mut StopSignals) -> io::Result<()> {
    let hurry = Flag::new();
    let (sink, writer) = Sink::start(&hurry, None)?;
    sink.send(Stream::Err, report).await;
    drop(sink);
    flush(writer, signals, &hurry, &mut None).await;
    Ok(())
}
