//! The frame of a run: runtime, signals, output, files, and the report at the end.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime;
use tokio::time::sleep;

use crate::engine::{Closed, Engine, Ledger, Memory, Records};
use crate::exit::Exit;
use crate::flag::Flag;
use crate::input::{Input, Reading, Source};
use crate::job::Surroundings;
use crate::output::{self, Ci, Labels, Order, Partials, Show, Sink, Stream, Writer};
use crate::plan::{FileSpec, Plan, RunOptions, Total};
use crate::process::{Guards, Level};
use crate::record::{Cause, Summary};
use crate::report;
use crate::results::Results;
use crate::signals::{Stop, StopSignals};
use crate::tell::{self, Files, Finishing, JobLog, Journal, Past, Progress, Refused, ci};

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
        let mut files = match self.open_files(&mut signals).await {
            Ok(files) => files,
            Err(exit) => return Ok(exit),
        };
        let records = Records {
            journal: Journal::new(
                files
                    .take(FileSpec::JSON)
                    .or_else(|| files.take(FileSpec::RESUME)),
            ),
            joblog: JobLog::begin(files.take(FileSpec::JOBLOG)),
        };
        let past = std::mem::take(&mut files.past);
        let executed = self.execute_plan(&mut signals, past, records).await?;
        let Some((mut summary, records)) = executed else {
            return Ok(Exit::Output);
        };
        let written = write_reports(&summary, &mut files).into_iter();
        let written = written.chain(records.joblog.end());
        finish_all(written.collect(), &mut summary, &mut signals).await;
        let code = Exit::of(&summary).code();
        let journal = records.journal;
        let journal = journal.end(summary.elapsed, code, summary.counts);
        finish_all(journal.into_iter().collect(), &mut summary, &mut signals).await;
        if options.ci == Ci::Github {
            write_step_summary(&summary);
        }
        let coloured = output::is_coloured(options.colour, Stream::Err);
        let mut text = report::render(&summary, options.contain, coloured);
        if options.ci == Ci::Github {
            text.push_str(&ci::annotations(&summary));
        }
        let is_plain = summary.counts.flaky == 0 && options.slowest == 0;
        if options.show == Show::Quiet && is_plain && report::is_success(&summary) {
            text.clear();
        }
        if !text.is_empty() {
            let by_key = matches!(summary.signal, Some(Stop::Interrupt | Stop::Quit));
            if by_key && !has_bar(&options) && io::stderr().is_terminal() {
                // The terminal has echoed `^C` at the start of the line, and the progress line has
                // erased it.
                text.insert(0, '\n');
            }
            deliver(text.into_bytes(), &mut signals).await?;
        }
        Ok(Exit::of(&summary))
    }

    /// Opens the files that the run writes. If that is not possible, nothing is started.
    async fn open_files(&self, signals: &mut StopSignals) -> Result<Files, Exit> {
        let options = &self.options;
        let opening = Files::open(options.files.clone(), options.reads.clone());
        let refused = tokio::select! {
            biased;
            opened = opening => match opened {
                Ok(files) => return Ok(files),
                Err(refused) => refused,
            },
            // A pipe may never have a reader.
            stop = signals.next() => {
                report::refused(&format!("stopped by {stop} while a file was being opened"));
                return Err(stop.into());
            }
        };
        report::refused(&refused);
        Err(match refused {
            Refused::CannotWrite { .. } => Exit::Output,
            Refused::CannotResume { .. } | Refused::SameFile { .. } | Refused::IsRead { .. } => {
                Exit::Usage
            }
        })
    }

    /// Runs everything. At the end no process is left, and the output has been written. None if
    /// nothing was started, because there was no place for its results.
    async fn execute_plan(
        self,
        signals: &mut StopSignals,
        past: Past,
        mut records: Records,
    ) -> io::Result<Option<(Summary, Records)>> {
        let memory = self.memory();
        let Run {
            plan,
            source,
            options,
        } = self;
        let results = match options.results.clone().map(Results::create).transpose() {
            Ok(results) => results,
            Err(error) => {
                let folder = options.results.unwrap_or_default();
                let folder = folder.display();
                report::refused(&format!("--results {folder} cannot be written: {error}"));
                return Ok(None);
            }
        };
        let guards = Guards::new(options.contain)?;
        if options.contain != Level::default() {
            guards.probe().await?;
        }
        let total = match &source {
            Some(source) => Arc::clone(&source.total),
            None => Arc::new(OnceLock::from(plan.tasks.len() as u64)),
        };
        let known = source.is_none().then_some(plan.tasks.len());
        records.journal.begin(options.contain, known);
        let mut stops = Stops::new(signals);
        let Started {
            sink,
            mut writer,
            progress,
            partials,
        } = start_output(&options, total, &stops.hurry)?;
        let ledger = Ledger::new(memory, options.slowest, past, records, progress);
        let ledger = Arc::new(ledger);
        let (order, conveyor) = Order::new(options.keep_order);
        let around = Surroundings {
            guards: guards.clone(),
            sink,
            show: options.show,
            order,
            partials,
            hurry: stops.hurry.clone(),
        };
        let labels = Labels::fitting(plan.labels(), options.colour, options.prefix);
        let engine = Engine::new(plan, labels, around, results, Arc::clone(&ledger));
        let (input, reading) = source.map(Reading::start).transpose()?.unzip();

        let conveyor = conveyor.run();
        tokio::pin!(conveyor);
        let mut carried = None;
        {
            let driven = drive(&engine, input, &mut writer, &mut stops, &ledger);
            tokio::pin!(driven);
            loop {
                tokio::select! {
                    biased;
                    () = &mut driven => break,
                    lost = &mut conveyor, if carried.is_none() => carried = Some(lost),
                }
            }
        }

        let elapsed = engine.elapsed();
        let (cause, internal) = (engine.cause(), engine.take_internal());
        let failed = engine.has_failed();
        let Closed {
            entries,
            counts,
            slowest,
            files,
        } = ledger.close();
        let date = ledger.date();
        let input_error = reading.and_then(|reading| reading.error());
        // This drops the last way to the writer, which ends when it has written everything.
        drop((engine, ledger));
        guards.close().await;
        let carried = async {
            match carried {
                Some(lost) => lost,
                None => conveyor.await,
            }
        };
        let (output_error, lost) = tokio::join!(flush(writer, &mut stops), carried);
        let summary = Summary {
            failed: failed || input_error.is_some(),
            entries,
            counts,
            cause,
            signal: stops.first,
            output_error: output_error.or(lost.map(Arc::new)),
            report_errors: Vec::new(),
            input_error,
            internal,
            elapsed,
            date,
            slowest,
        };
        Ok(Some((summary, files)))
    }

    /// The files that are written at the end need every entry. Without them, only the report needs
    /// entries, and an input may go on without end.
    fn memory(&self) -> Memory {
        if self.source.is_none() || self.options.reports_all() {
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

/// The writer, and what shows the progress next to the output.
struct Started {
    sink: Sink,
    writer: Writer,
    progress: Progress,
    partials: Option<Partials>,
}

/// Whether the progress is drawn on a terminal.
fn has_bar(options: &RunOptions) -> bool {
    options.bar && options.show != Show::Quiet && io::stderr().is_terminal() && tell::can_redraw()
}

fn start_output(options: &RunOptions, total: Total, hurry: &Flag) -> io::Result<Started> {
    if has_bar(options) {
        let coloured = output::is_coloured(options.colour, Stream::Err);
        let partials = Partials::default();
        let (progress, bar) = Progress::bar(options.ci, total, coloured, partials.clone());
        let (sink, writer) = Sink::start(hurry, Some(bar))?;
        return Ok(Started {
            sink,
            writer,
            progress,
            partials: Some(partials),
        });
    }
    let (sink, writer) = Sink::start(hurry, None)?;
    let progress = match options.show {
        Show::Stream | Show::Quiet if options.ci != Ci::Teamcity => {
            Progress::nothing(options.ci, total)
        }
        _ => Progress::lines(sink.ticker(), options.ci, total),
    };
    Ok(Started {
        sink,
        writer,
        progress,
        partials: None,
    })
}

/// Runs the engine to its end. The first signal and a failure of the output cancel the run; a
/// second signal skips the grace.
async fn drive(
    engine: &Arc<Engine>,
    input: Option<Input>,
    writer: &mut Writer,
    stops: &mut Stops<'_>,
    ledger: &Ledger,
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
                    ledger.progress().stopping();
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
fn write_reports(summary: &Summary, files: &mut Files) -> Vec<Finishing> {
    type Render = fn(&Summary) -> io::Result<Vec<u8>>;
    let reports: [(_, Render); 3] = [
        (FileSpec::JUNIT, tell::junit),
        (FileSpec::TRACE, tell::trace),
        (FileSpec::REPORT, tell::page),
    ];
    let mut finishing = Vec::new();
    for (flag, render) in reports {
        let Some(mut target) = files.take(flag) else {
            continue;
        };
        match render(summary) {
            Ok(text) => target.write(text),
            Err(error) => target.fail(error),
        }
        finishing.push(target.finish());
    }
    finishing
}

/// After a signal, a reader of a file has this long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Waits until the files are written. A signal ends the wait: a reader may never read.
async fn finish_all(files: Vec<Finishing>, summary: &mut Summary, signals: &mut StopSignals) {
    for file in &files {
        tokio::select! {
            biased;
            () = file.finished() => {}
            () = sleep(PATIENCE), if summary.signal.is_some() => {}
            stop = signals.next() => {
                summary.signal.get_or_insert(stop);
            }
        }
    }
    let errors = files.into_iter().filter_map(Finishing::error);
    summary.report_errors.extend(errors);
}

/// The table for the page of the job on GitHub. The run does not fail without it.
fn write_step_summary(summary: &Summary) {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else {
        return;
    };
    let text = ci::table(
        summary,
        &format!("taskgroup: {}", report::in_short(summary)),
    );
    let mut options = OpenOptions::new();
    let opened = options.append(true).create(true).open(&path);
    if let Err(error) = opened.and_then(|mut file| file.write_all(text.as_bytes())) {
        report::remark(&format!("GITHUB_STEP_SUMMARY was not written: {error}"));
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
