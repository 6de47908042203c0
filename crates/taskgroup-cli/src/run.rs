//! The frame of a run: runtime, signals, output, files, and the report at the end.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::time::sleep;

use crate::clock::{Clock, Stopwatch};
use crate::engine::{Closed, Engine, Ledger, Memory, Records};
use crate::exit::Exit;
use crate::flag::Flag;
use crate::input::{Input, Reading, Source};
use crate::job::Surroundings;
use crate::output::{
    self, Blocked, Ci, Labels, Order, Partials, Redraw, Show, Sink, Stream, Writer,
};
use crate::plan::{FileSpec, Plan, ROOT, RunOptions, Total};
use crate::process::{Guards, Level, Settings, Used, is_under_job_control, restore_keyboard};
use crate::reason::reason;
use crate::record::{Cause, JobUsed, Summary};
use crate::report;
use crate::results::Results;
use crate::signals::{Asked, Signals, Stop};
use crate::tell::{self, Files, Finishing, JobLog, Journal, Past, Progress, Refused, ci};
use crate::typed::Typed;

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
        let mut signals = Signals::catch(restore_keyboard)?;
        let mut stops = Stops::new(&mut signals);
        let options = self.options.clone();
        let mut files = match self.open_files(&mut stops).await {
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
        let executed = self.execute_plan(&mut stops, past, records).await?;
        let Some((mut summary, records)) = executed else {
            return Ok(Exit::Output);
        };
        let written = write_reports(&summary, &mut files).into_iter();
        let written = written.chain(records.joblog.end());
        finish_all(written.collect(), &mut summary, &mut stops).await;
        let exit = |summary: &Summary| match options.count_failures {
            true => Exit::of(summary).counted(summary),
            false => Exit::of(summary),
        };
        let code = exit(&summary).code();
        let journal = records.journal;
        let journal = journal.end(code, &summary);
        finish_all(journal.into_iter().collect(), &mut summary, &mut stops).await;
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
            deliver(text.into_bytes(), &mut stops).await?;
        }
        Ok(exit(&summary))
    }

    /// Opens the files that the run writes. If that is not possible, nothing is started.
    async fn open_files(&self, stops: &mut Stops<'_>) -> Result<Files, Exit> {
        let options = &self.options;
        let opening = Files::open(options.files.clone(), options.reads.clone());
        let refused = tokio::select! {
            biased;
            opened = opening => match opened {
                Ok(files) => return Ok(files),
                Err(refused) => refused,
            },
            // A pipe may never have a reader.
            stop = stops.next() => {
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
        stops: &mut Stops<'_>,
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
                let why = reason(&folder, &error);
                let folder = folder.display();
                report::refused(&format!("--results {folder} cannot be written: {why}"));
                return Ok(None);
            }
        };
        let settings = Settings {
            job: options.job.clone(),
            items_per_step: options.items_per_step,
            // The commands of an input are not in the plan.
            grace: plan.longest_grace().max(options.grace),
            hurry: stops.hurry.clone(),
        };
        let guards = Guards::new(options.contain, settings)?;
        if options.contain != Level::default() {
            guards.probe().await?;
        }
        let total = match &source {
            Some(source) => Arc::clone(&source.total),
            None => Arc::new(OnceLock::from(plan.tasks.len() as u64)),
        };
        let known = source.is_none().then_some(plan.tasks.len());
        records.journal.begin(options.contain, known);
        let Started {
            sink,
            mut writer,
            progress,
            partials,
            redraw,
        } = start_output(&options, total, &stops.give_up)?;
        let ledger = Ledger::new(memory, options.slowest, past, records, progress);
        let ledger = Arc::new(ledger);
        let told = Arc::downgrade(&ledger);
        guards.on_wait(move |what| {
            if let Some(ledger) = told.upgrade() {
                ledger.progress().waits_for(what);
            }
        });
        let (order, conveyor) = Order::new(options.keep_order);
        let names = plan.tasks.iter().map(|task| task.name.clone()).collect();
        let typed = Typed::new(
            options.tty,
            options.reader,
            names,
            partials.clone().zip(redraw),
        );
        let passed_on = tokio::spawn(typed.clone().pass_on());
        let begin = stops.clock.start();
        let around = Surroundings {
            guards: guards.clone(),
            typed: typed.clone(),
            told: output::variables(options.colour),
            sink,
            show: options.show,
            order,
            hide: Arc::new(options.hide.iter().cloned().collect()),
            partials,
            hurry: stops.hurry.clone(),
            clock: stops.clock.clone(),
            begin: begin.clone(),
        };
        let deadline = plan.groups[ROOT].deadline;
        let labels = Labels::fitting(plan.labels(), options.colour, options.prefix);
        let engine = Engine::new(
            plan,
            labels,
            around,
            results,
            stops.begun.clone(),
            options.room,
            Arc::clone(&ledger),
        );
        let (input, reading) = source.map(Reading::start).transpose()?.unzip();

        let conveyor = conveyor.run();
        tokio::pin!(conveyor);
        let mut carried = None;
        {
            let driven = drive(&engine, input, &mut writer, stops, &guards, &typed, &ledger);
            tokio::pin!(driven);
            loop {
                tokio::select! {
                    biased;
                    () = &mut driven => break,
                    lost = &mut conveyor, if carried.is_none() => carried = Some(lost),
                }
            }
        }

        let open_end = match &reading {
            Some(reading) => take_the_rest(reading, &engine, stops).await.is_none(),
            None => false,
        };
        passed_on.abort();
        typed.leave_keyboard();
        let elapsed = engine.elapsed();
        let (cause, internal) = (engine.cause(), engine.take_internal());
        let failed = engine.has_failed();
        let Closed {
            mut entries,
            mut counts,
            slowest,
            files,
        } = ledger.close();
        for entry in &mut entries {
            entry.outrun = engine.outrun(entry);
        }
        let date = ledger.date();
        let input_error = reading.and_then(|reading| reading.error());
        let open_end = open_end && input_error.is_none();
        if open_end {
            // Which ones there are depends on how far the input was read.
            entries.retain(|entry| !entry.is_not_started());
            counts.not_started = 0;
        }
        // This drops the last way to the writer, which ends when it has written everything.
        drop((engine, ledger));
        let job = close(&guards, stops).await;
        let job = job.map(|used| job_used(used, &begin));
        let rest = deadline.map(|deadline| deadline.saturating_sub(elapsed));
        let carried = async {
            match carried {
                Some(lost) => lost,
                None => conveyor.await,
            }
        };
        let (output_error, lost) = tokio::join!(flush(writer, stops, rest), carried);
        let summary = Summary {
            failed: failed || input_error.is_some(),
            entries,
            counts,
            cause,
            signal: stops.first,
            output_error: output_error.or(lost.map(Arc::new)),
            report_errors: Vec::new(),
            input_error,
            open_end,
            internal,
            elapsed,
            date,
            slowest,
            job,
        };
        Ok(Some((summary, files)))
    }

    /// The files that are written at the end need every entry. So does the table for GitHub, which
    /// lists successes as well, but not for an input, which may go on without end. Without them,
    /// only the report needs entries, and a plain success is no more than a number there.
    fn memory(&self) -> Memory {
        let has_table = self.options.ci == Ci::Github && self.source.is_none();
        if has_table || self.options.reports_all() {
            Memory::Everything
        } else {
            Memory::Notable
        }
    }
}

/// The signals that arrive in a run, and what they have led to.
struct Stops<'a> {
    signals: &'a mut Signals,
    first: Option<Stop>,
    /// No command gets the rest of its grace.
    hurry: Flag,
    /// The whole run is being stopped, by a signal or its deadline.
    begun: Flag,
    /// Nothing waits for the reader of the output any longer.
    give_up: Flag,
    clock: Clock,
}

impl<'a> Stops<'a> {
    fn new(signals: &'a mut Signals) -> Stops<'a> {
        Stops {
            signals,
            first: None,
            hurry: Flag::new(),
            begun: Flag::new(),
            give_up: Flag::new(),
            clock: Clock::default(),
        }
    }

    /// The next signal that asks the run to stop, when no command runs. Cancel safe.
    async fn next(&mut self) -> Stop {
        loop {
            match self.signals.next().await {
                Asked::Stop(stop) => return stop,
                Asked::Suspend => self.suspend(|| {}, || {}),
                Asked::Resize => {}
            }
        }
    }

    /// Resolves when the run is being stopped and the reader of the output has taken nothing for
    /// too long. Cancel safe.
    async fn loses_patience(begun: Flag, blocked: Blocked) {
        begun.wait().await;
        blocked.too_long().await;
    }

    fn skip_everything(&self) {
        self.hurry.set();
        self.give_up.set();
    }

    /// Suspends the run, this process last. Returns when it was continued.
    fn suspend(&self, commands: impl FnOnce(), continue_commands: impl FnOnce()) {
        if !is_under_job_control() {
            return self.signals.go_on();
        }
        let begin = Instant::now();
        commands();
        self.signals.stop_here();
        self.clock.stood_still(begin.elapsed());
        continue_commands();
    }
}

/// The writer, and what shows the progress next to the output.
struct Started {
    sink: Sink,
    writer: Writer,
    progress: Progress,
    partials: Option<Partials>,
    /// Draws the progress.
    redraw: Option<Redraw>,
}

/// Whether the progress is drawn on a terminal.
fn has_bar(options: &RunOptions) -> bool {
    options.bar && io::stderr().is_terminal() && tell::can_redraw()
}

fn start_output(options: &RunOptions, total: Total, give_up: &Flag) -> io::Result<Started> {
    if has_bar(options) {
        let coloured = output::is_coloured(options.colour, Stream::Err);
        let partials = Partials::default();
        let (progress, bar) = Progress::bar(options.ci, total, coloured, partials.clone());
        let (sink, writer) = Sink::start(give_up, Some(bar))?;
        return Ok(Started {
            redraw: Some(sink.redraw()),
            sink,
            writer,
            progress,
            partials: Some(partials),
        });
    }
    let (sink, writer) = Sink::start(give_up, None)?;
    let progress = match options.show {
        Show::Quiet if options.ci != Ci::Teamcity => Progress::nothing(options.ci, total),
        Show::Stream if options.ci != Ci::Teamcity => {
            Progress::waits(sink.ticker(), options.ci, total)
        }
        _ => Progress::lines(sink.ticker(), options.ci, total),
    };
    Ok(Started {
        sink,
        writer,
        progress,
        partials: None,
        redraw: None,
    })
}

/// Runs the engine to its end. The first signal and a failure of the output cancel the run; a
/// second signal skips the grace. Ctrl-Z suspends the commands and then the run.
async fn drive(
    engine: &Arc<Engine>,
    input: Option<Input>,
    writer: &mut Writer,
    stops: &mut Stops<'_>,
    guards: &Guards,
    typed: &Typed,
    ledger: &Ledger,
) {
    let work = Arc::clone(engine).run(input);
    tokio::pin!(work);
    let blocked = writer.blocked();
    let mut output_failed = false;
    loop {
        let loses_patience = Stops::loses_patience(stops.begun.clone(), blocked.clone());
        tokio::select! {
            // The work first: after its first poll there is something to cancel.
            biased;
            () = &mut work => return,
            asked = stops.signals.next() => match (asked, stops.first) {
                (Asked::Stop(stop), None) => {
                    stops.first = Some(stop);
                    engine.cancel(Cause::Signal(stop));
                    ledger.progress().stopping();
                }
                (Asked::Stop(_), Some(_)) => stops.skip_everything(),
                (Asked::Suspend, _) => {
                    let suspend = || {
                        guards.suspend();
                        typed.leave_keyboard();
                    };
                    stops.suspend(suspend, || guards.resume());
                }
                (Asked::Resize, _) => typed.resize(),
            },
            error = writer.failed(), if !output_failed => {
                output_failed = true;
                engine.cancel(Cause::Output(error));
            }
            () = loses_patience, if !stops.give_up.is_set() => stops.give_up.set(),
        }
    }
}

/// Ends the guards, and gives the job back if there was one. A signal cuts short the wait for
/// Slurm.
async fn close(guards: &Guards, stops: &mut Stops<'_>) -> Option<Used> {
    let closed = guards.close();
    tokio::pin!(closed);
    loop {
        tokio::select! {
            biased;
            used = &mut closed => return used,
            stop = stops.next() => {
                stops.first.get_or_insert(stop);
                stops.skip_everything();
            }
        }
    }
}

fn job_used(used: Used, begin: &Stopwatch) -> JobUsed {
    JobUsed {
        asked: begin.elapsed().saturating_sub(used.asked.elapsed()),
        id: used.id,
        nodes: used.nodes,
        own: used.own,
        waited: used.waited,
        trouble: used.trouble,
    }
}

/// Notes what the run has left over of its input. None if more may come, or if there is no time to
/// read it.
async fn take_the_rest(
    reading: &Reading,
    engine: &Arc<Engine>,
    stops: &mut Stops<'_>,
) -> Option<()> {
    let rest = reading.rest()?;
    let is_stopped = stops.begun.is_set() || stops.first.is_some();
    let patience = sleep(if is_stopped { PATIENCE } else { COUNTING });
    tokio::pin!(patience);
    loop {
        tokio::select! {
            spec = rest.next() => match spec {
                Some(spec) => engine.was_left_over(spec),
                None => return Some(()),
            },
            stop = stops.next() => {
                stops.first.get_or_insert(stop);
                return None;
            }
            () = &mut patience => return None,
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

/// After a signal, the reader of a file has this long, and so has the rest of the input.
const PATIENCE: Duration = Duration::from_secs(1);

/// Otherwise the rest of the input has this long. Combined lists may have more rows than can ever
/// be counted.
const COUNTING: Duration = Duration::from_secs(3);

/// Waits until the files are written. A signal ends the wait: a reader may never read.
async fn finish_all(files: Vec<Finishing>, summary: &mut Summary, stops: &mut Stops<'_>) {
    for file in &files {
        tokio::select! {
            biased;
            () = file.finished() => {}
            () = sleep(PATIENCE), if summary.signal.is_some() => {}
            stop = stops.next() => {
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
/// once. A deadline that comes now ends it as well, if the reader takes nothing.
async fn flush(
    writer: Writer,
    stops: &mut Stops<'_>,
    deadline: Option<Duration>,
) -> Option<Arc<io::Error>> {
    let blocked = writer.blocked();
    let finished = writer.finished();
    let clock = stops.clock.clone();
    let expires = clock.after_any(deadline);
    tokio::pin!(finished, expires);
    loop {
        let loses_patience = Stops::loses_patience(stops.begun.clone(), blocked.clone());
        tokio::select! {
            biased;
            error = &mut finished => return error,
            stop = stops.next() => {
                stops.first.get_or_insert(stop);
                stops.begun.set();
                stops.skip_everything();
            }
            () = &mut expires, if !stops.begun.is_set() => stops.begun.set(),
            () = loses_patience => stops.give_up.set(),
        }
    }
}

/// Writes the report, after everything else. If that fails, there is no other place to report to.
async fn deliver(report: Vec<u8>, stops: &mut Stops<'_>) -> io::Result<()> {
    // It may have another reader than the output.
    stops.give_up = Flag::new();
    let (sink, writer) = Sink::start(&stops.give_up, None)?;
    sink.send(Stream::Err, report).await;
    drop(sink);
    flush(writer, stops, None).await;
    Ok(())
}
