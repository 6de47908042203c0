//! Measures `taskgroup` side by side with its peers: all programs in one process, in turn, several
//! times.
//!
//! `cargo run --release -p taskgroup-bench -- --help` lists the options.

mod allocator;
mod bare;
mod fairness;
mod foreign;
mod fresh;
mod guide;
mod instructions;
mod machine;
mod measure;
mod peers;
mod plot;
mod report;
mod row;
mod size;
mod stats;
mod table;
mod targets;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use machine::{Machine, load, workspace};
use measure::{Bench, Flavour, Plan};
use report::Report;
use row::Row;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Measure all contenders, print a table, write a report
    Compare,
    /// Measure what the targets need; succeeds only if all targets are met
    Targets,
    /// Write the figures of a report into the guide's page on speed, and draw its plots
    Guide,
    /// Count the instructions of the hot paths with valgrind, and compare them with the kept counts
    Instructions,
    /// Measure how long tasks wait for their turn; succeeds only if no wait is too long
    Fairness,
    /// Build small programs, and print what the library adds to them; succeeds only within limits
    Size,
}

/// Measure taskgroup side by side with its peers
#[derive(Parser)]
struct Arguments {
    /// What to do; without it, the comparison
    #[arg(value_enum, default_value_t = What::Compare)]
    what: What,
    /// Only these kinds of work
    #[arg(long, value_delimiter = ',')]
    only: Vec<Row>,
    /// Only these sizes (a depth for nested)
    #[arg(long, value_delimiter = ',')]
    n: Vec<usize>,
    /// Only these contenders
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Only these runtimes
    #[arg(long, value_delimiter = ',')]
    flavour: Vec<Flavour>,
    /// How many times each program is measured
    #[arg(long, value_name = "COUNT")]
    reps: Option<usize>,
    /// The number of workers of the multi-thread runtime
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Use small sizes and few repetitions, to see in less than a minute that everything works
    #[arg(long)]
    quick: bool,
    /// Where to write the report [default: bench/results for a whole run, otherwise target/bench]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Build and run with mimalloc instead of the system's allocator
    #[arg(long)]
    mimalloc: bool,
    /// Read this report instead of measuring (targets, guide)
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Keep the new counts (instructions)
    #[arg(long)]
    write: bool,
    /// One step in this process: step:n
    #[arg(long, hide = true)]
    step: Option<String>,
    /// One program in this process: row:peer:n
    #[arg(long, hide = true)]
    fresh: Option<String>,
}

impl Arguments {
    fn plan(&self) -> Plan {
        let repetitions = self.reps.unwrap_or(if self.quick { 1 } else { 7 });
        Plan {
            rows: or_all(&self.only),
            flavours: or_all(&self.flavour),
            sizes: self.n.clone(),
            peers: self.peers.clone(),
            repetitions: repetitions.max(1),
            workers: self.workers.max(1),
            quick: self.quick,
        }
    }

    /// Whether this is the whole comparison.
    fn is_whole(&self) -> bool {
        !self.quick
            && self.only.is_empty()
            && self.n.is_empty()
            && self.peers.is_empty()
            && self.flavour.is_empty()
    }

    fn report_path(&self) -> PathBuf {
        let name = format!("{}.json", machine::ALLOCATOR);
        match &self.json {
            Some(path) => path.clone(),
            None if self.is_whole() => workspace().join("bench/results").join(name),
            None => workspace().join("target/bench").join(name),
        }
    }
}

fn or_all<T: ValueEnum>(given: &[T]) -> Vec<T> {
    if given.is_empty() {
        T::value_variants()
    } else {
        given
    }
    .to_vec()
}

fn main() -> ExitCode {
    if let Some(code) = size::as_wrapper() {
        return code;
    }
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the result is as it should be.
fn run(arguments: &Arguments) -> Result<bool, String> {
    if let Some(order) = &arguments.fresh {
        return fresh::run(order, arguments.workers).map(|()| true);
    }
    if let Some(order) = &arguments.step {
        return instructions::step(order).map(|()| true);
    }
    if arguments.mimalloc && !cfg!(feature = "mimalloc") {
        let others = std::env::args().skip(1);
        let others = others.filter(|argument| argument != allocator::FLAG);
        return allocator::run_with_mimalloc(others).map(|()| true);
    }
    match arguments.what {
        What::Compare => compare(arguments).map(|()| true),
        What::Targets => targets(arguments),
        What::Guide => {
            let whole = workspace().join("bench/results/system.json");
            let path = arguments.from.as_ref().unwrap_or(&whole);
            guide::write(&Report::read(path)?).map(|()| true)
        }
        What::Instructions => instructions::run(arguments.write).map(|()| true),
        What::Size => size::run(arguments.quick),
        What::Fairness => {
            let repetitions = if arguments.quick { 1 } else { 3 };
            Ok(fairness::run_all(arguments.reps.unwrap_or(repetitions)))
        }
    }
}

fn targets(arguments: &Arguments) -> Result<bool, String> {
    let folder = workspace().join("target/bench");
    let other = folder.join("targets-mimalloc.json");
    if let Some(path) = &arguments.from {
        let report = Report::read(path)?;
        // Both must be of the same revision: a ratio between two versions of the library is true of
        // neither.
        let same = |other: &Report| other.machine.revision == report.machine.revision;
        let other = Report::read(&other).ok().filter(same);
        return Ok(targets::judge(&report, other.as_ref()));
    }
    let report = measured(&targets::plan(&arguments.plan()));
    table::print_left_out(&report.left_out);
    report.write(&folder.join("targets.json"))?;
    println!("\nthe same with mimalloc:");
    let path = other.display().to_string();
    let order = targets::MIMALLOC.iter().copied();
    allocator::run_with_mimalloc(order.chain(["--json", &path]))?;
    Ok(targets::judge(&report, Some(&Report::read(&other)?)))
}

/// Measures, prints, and writes the report.
fn compare(arguments: &Arguments) -> Result<(), String> {
    let report = measured(&arguments.plan());
    table::print_left_out(&report.left_out);
    let path = arguments.report_path();
    report.write(&path)?;
    println!("\nwritten to {}", path.display());
    if arguments.is_whole() && arguments.json.is_none() && machine::ALLOCATOR == "system" {
        if report.machine.counts() {
            guide::write(&report)?;
        } else {
            println!("the guide stays as it is: its figures are from an idle machine, seven times");
        }
    }
    Ok(())
}

fn measured(plan: &Plan) -> Report {
    let mut machine = Machine::read(plan.workers, plan.repetitions, plan.quick);
    if machine.was_loaded() {
        eprintln!("This machine is busy with other programs: the figures are only an example.");
    }
    let mut bench = Bench::new(plan);
    machine.versions.extend(bench.versions());
    bench.run(table::print);
    machine.load_after = load();
    Report {
        machine,
        series: bench.series,
        left_out: bench.left_out,
    }
}
