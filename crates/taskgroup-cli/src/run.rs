//! The frame of a run: runtime, signals, output, files, and the report at the end.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;

use tokio::runtime;

use crate::engine::{Engine, Ledger, Memory};
use crate::exit::Exit;
use crate::flag::Flag;
use crate::input::{Input, Reading, Source};
use crate::job::Surroundings;
use crate::output::{self, Labels, Show, Sink, Stream, Writer};
use crate::plan::{Plan, ReportFiles, RunOptions};
use crate::process::{Guards, Level};
use crate::record::{Cause, Summary};
use crate::report;
use crate::signals::{Stop, StopSignals};
use crate::tell::{self, Journal, Past, Progress};

/// What to run, and how: the command line and the file of tasks, validated.
pub(crate) struct Run {
    pub(crate) plan: Plan,
    /// Gives the run more tasks than the plan has.
    pub(crate) source: Option<Source>,
    pub(crate) options: RunOptions,
}

impl Run {
    /// Runs the plan to its end, in whatever way it ends, and reports. Fails only if nothing could
    /// be started at all.
    pub(crate) fn execute(self) -> io::Result<Exit> {
        // One thread is enough: the commands work, and the runner waits.
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.execute_and_report())
    }

    async fn execute_and_report(self) -> io::Result<Exit> {
        let mut signals = StopSignals::catch()?;
        let options = self.options.clone();
        let (mut summary, journal) = self.execute_plan(&mut signals).await?;
        write_files(&mut summary, &options.reports);
        let code = Exit::of(&summary).code();
        summary
            .report_errors
            .extend(journal.end(summary.elapsed, code, summary.counts));
        let coloured = output::is_coloured(options.colour, Stream::Err);
        let mut text = report::render(&summary, options.contain, coloured);
        if !text.is_empty() {
            let by_key = matches!(summary.signal, Some(Stop::Interrupt | Stop::Quit));
            let has_bar = options.show != Show::Quiet;
            if by_key && !has_bar && io::stderr().is_terminal() {
                // The terminal has echoed `^C` at the start of the line, and the progress line has
                // erased it.
                text.insert(0, '\n');
            }
            deliver(text.into_bytes(), &mut signals).await?;
        }
        Ok(Exit::of(&summary))
    }

    /// Runs everything. At the end no process is left, and the output has been written.
    async fn execute_plan(self, signals: &mut StopSignals) -> io::Result<(Summary, Journal)> {
        let memory = self.memory();
        let Run {
            plan,
            source,
            options,
        } = self;
        let (past, mut journal) = match &options.journal {
            Some(file) => tell::open(file)?,
            None => (Past::default(), Journal::default()),
        };
        let guards = Guards::new(options.contain)?;
        if options.contain != Level::default() {
            guards.probe().await?;
        }
        let total = source.is_none().then_some(plan.tasks.len());
        journal.begin(options.contain, total);
        let mut stops = Stops::new(signals);
        let (sink, mut writer, progress) = start_output(&options, total, &stops.hurry)?;
        let ledger = Arc::new(Ledger::new(memory, past, journal, progress));
        let around = Surroundings {
            guards: guards.clone(),
            sink,
            show: options.show,
            hurry: stops.hurry.clone(),
        };
        let labels = Labels::fitting(plan.labels(), options.colour);
        let engine = Engine::new(plan, labels, around, Arc::clone(&ledger));
        let (input, reading) = source.map(Reading::start).transpose()?.unzip();

        drive(&engine, input, &mut writer, &mut stops).await;

        let elapsed = engine.elapsed();
        let (cause, internal) = (engine.cause(), engine.take_internal());
        let failed = engine.has_failed();
        let (entries, counts, journal) = ledger.close();
        let input_error = reading.and_then(|reading| reading.error());
        // This drops the last way to the writer, which ends when it has written everything.
        drop((engine, ledger));
        guards.close().await;
        let output_error = flush(writer, &mut stops).await;
        let summary = Summary {
            failed: failed || input_error.is_some(),
            entries,
            counts,
            cause,
            signal: stops.first,
            output_error,
            report_errors: Vec::new(),
            input_error,
            internal,
            elapsed,
        };
        Ok((summary, journal))
    }

    /// The files that are written at the end need every entry. Without them, only the report needs
    /// entries, and an input may go on without end.
    fn memory(&self) -> Memory {
        if self.source.is_none() || !self.options.reports.is_empty() {
            Memory::Everything
        } else {
            Memory::Notable
        }
    }
}

/// The signals that arrive in a run, and what they have led to.
struct Stops<'a> {
    signals: &'a mut StopSignals,
    first: Option<Stop>,
    /// Nothing waits any longer: neither for a command's grace nor for a reader of the output.
    hurry: Flag,
}

impl<'a> Stops<'a> {
    fn new(signals: &'a mut StopSignals) -> Stops<'a> {
        Stops {
            signals,
            first: None,
            hurry: Flag::new(),
        }
    }
}

/// Starts the writer, and what shows the progress next to the output.
fn start_output(
    options: &RunOptions,
    total: Option<usize>,
    hurry: &Flag,
) -> io::Result<(Sink, Writer, Progress)> {
    let total = total.map(|total| total as u64);
    if options.show != Show::Quiet && io::stderr().is_terminal() {
        let coloured = output::is_coloured(options.colour, Stream::Err);
        let (progress, bar) = Progress::bar(total, coloured);
        let (sink, writer) = Sink::start(hurry, Some(bar))?;
        return Ok((sink, writer, progress));
    }
    let (sink, writer) = Sink::start(hurry, None)?;
    let progress = match options.show {
        Show::Stream | Show::Quiet => Progress::nothing(),
        Show::Group | Show::Failures => Progress::lines(sink.ticker(), total),
    };
    Ok((sink, writer, progress))
}

/// Runs the engine to its end. The first signal and a failure of the output cancel the run; a
/// second signal skips the grace.
async fn drive(
    engine: &Arc<Engine>,
    input: Option<Input>,
    writer: &mut Writer,
    stops: &mut Stops<'_>,
) {
    let work = Arc::clone(engine).run(input);
    tokio::pin!(work);
    let mut output_failed = false;
    loop {
        tokio::select! {
            // The work first: after its first poll there is something to cancel.
            biased;
            () = &mut work => return,
            stop = stops.signals.next() => match stops.first {
                None => {
                    stops.first = Some(stop);
                    engine.cancel(Cause::Signal(stop));
                }
                Some(_) => stops.hurry.set(),
            },
            error = writer.failed(), if !output_failed => {
                output_failed = true;
                engine.cancel(Cause::Output(error));
            }
        }
    }
}

/// Writes the files that show the whole run.
fn write_files(summary: &mut Summary, reports: &ReportFiles) {
    type Write = fn(&Path, &Summary) -> io::Result<()>;
    let files: [(_, Write); 3] = [
        (&reports.junit, tell::write_junit),
        (&reports.trace, tell::write_trace),
        (&reports.page, tell::write_page),
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
async fn flush(writer: Writer, stops: &mut Stops<'_>) -> Option<Arc<io::Error>> {
    let finished = writer.finished();
    tokio::pin!(finished);
    loop {
        tokio::select! {
            biased;
            error = &mut finished => return error,
            stop = stops.signals.next() => {
                stops.first.get_or_insert(stop);
                stops.hurry.set();
            }
        }
    }
}

/// Writes the report, after everything else. If that fails, there is no other place to report to.
async fn deliver(report: Vec<u8>, signals: &mut StopSignals) -> io::Result<()> {
    let mut stops = Stops::new(signals);
    let (sink, writer) = Sink::start(&stops.hurry, None)?;
    sink.send(Stream::Err, report).await;
    drop(sink);
    flush(writer, &mut stops).await;
    Ok(())
}
