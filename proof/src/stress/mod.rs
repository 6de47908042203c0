//! Random operations from several threads and runtimes, with the whole API of the library and with
//! code that misbehaves.
//!
//! ```text
//! rounds ─► threads ─► groups ─► children ─► steps ─┐
//!              └───────◄─ bag of groups and handles ◄┘
//! ```
//!
//! The program keeps its own records (`record`) and compares them with what the library reports. A
//! difference is a *violation*. `watchdog` finds a standstill, `supervise` a crash.

mod bag;
mod child;
mod combine;
mod foreign;
mod group;
mod held;
mod local;
mod mode;
mod record;
mod round;
mod steps;
mod supervise;
mod tally;
mod watchdog;
mod world;

use std::time::{Duration, Instant};

use self::mode::{Mode, Without};
use self::tally::{TALLY, of, resident};
use crate::oracle::Error;
use crate::random::Random;

/// The command line of `stress`.
pub const USAGE: &str = "\
taskgroup-proof stress [--seconds S] [--seed N] [--only MODE] [--round K] [--operations N]
                       [--patience S] [--without NAME,NAME] [--panics quiet|loud]
                       [--keep-going] [--direct]

Random operations from several threads and runtimes for S seconds (default 600), in rounds of
N operations (default 400), with code that misbehaves.

--only        everything (the default), tame, exchange, tokio, light; or one kind of fault:
              a1, a2, b1, b7
--round       runs only this round of the seed, again and again
--patience    how many seconds nothing may happen before it is a hang (default 30)
--without     leaves out steps (park, halfrun, …: the variants of `Step`), shutdowns, errors that
              misbehave (errors), or a check (progress, cutoff), to look past a known fault
--keep-going  goes on after a round with violations
--direct      runs without the process around, so that a debugger sees a crash

Exit codes: 0 nothing found, 1 a violation or a crash, 2 a hang.";

struct Options {
    length: Duration,
    seed: u64,
    mode: Mode,
    without: Without,
    round: Option<u64>,
    operations: i64,
    patience: Duration,
    quiet: bool,
    keep_going: bool,
    direct: bool,
}

impl Options {
    fn parse(args: &[String], seed: u64) -> Result<Self, Error> {
        let mut options = Self {
            length: Duration::from_secs(600),
            seed,
            mode: Mode::Everything,
            without: Without::default(),
            round: None,
            operations: 400,
            patience: Duration::from_secs(30),
            quiet: true,
            keep_going: false,
            direct: false,
        };
        let mut args = args.iter().map(String::as_str);
        while let Some(flag) = args.next() {
            match flag {
                "--direct" => options.direct = true,
                "--keep-going" => options.keep_going = true,
                _ => {
                    let value = args
                        .next()
                        .ok_or_else(|| format!("{flag} needs a value\n\n{USAGE}"))?;
                    options.set(flag, value)?;
                }
            }
        }
        Ok(options)
    }

    fn set(&mut self, flag: &str, value: &str) -> Result<(), Error> {
        match flag {
            "--seconds" => self.length = Duration::from_secs(value.parse()?),
            "--seed" => self.seed = value.parse()?,
            "--only" => {
                self.mode = Mode::named(value)
                    .ok_or_else(|| format!("no mode is called {value}\n\n{USAGE}"))?;
            }
            "--without" => {
                for name in value.split(',') {
                    self.without
                        .add(name)
                        .ok_or_else(|| format!("no step or check is called {name}"))?;
                }
            }
            "--round" => self.round = Some(value.parse()?),
            "--operations" => self.operations = value.parse()?,
            "--patience" => self.patience = Duration::from_secs(value.parse()?),
            "--panics" => self.quiet = value != "loud",
            _ => return Err(format!("unknown option {flag}\n\n{USAGE}").into()),
        }
        Ok(())
    }
}

/// Runs the command. Returns its exit code.
///
/// # Errors
/// If the options are wrong, or no thread, runtime or process can be started.
pub fn run(args: &[String], fresh_seed: u64) -> Result<u8, Error> {
    let options = Options::parse(args, fresh_seed)?;
    if options.direct {
        rounds(&options)
    } else {
        let mut args = args.to_vec();
        args.extend(["--seed".to_owned(), options.seed.to_string()]);
        supervise::run(&args)
    }
}

fn rounds(options: &Options) -> Result<u8, Error> {
    tally::watch_panics(options.quiet);
    watchdog::start(options.patience)?;
    println!("mode {}, seed {}", options.mode.name(), options.seed);
    let start = Instant::now();
    let (mut number, mut early, mut next) = (options.round.unwrap_or(0), None, Duration::ZERO);
    let mut rounds = 0_u64;
    while start.elapsed() < options.length {
        TALLY.begin(options.seed, number);
        let seed = Random::new(options.seed.wrapping_add(number << 20)).draw();
        round::run(options, seed)?;
        rounds += 1;
        if options.round.is_none() {
            number += 1;
        }
        // The memory is steady after a minute, or after a tenth of a short run.
        if early.is_none() && start.elapsed() >= (options.length / 10).min(Duration::from_secs(60))
        {
            early = Some(resident());
        }
        if start.elapsed() >= next {
            println!("{}", line(start.elapsed(), rounds));
            next += Duration::from_secs(20);
        }
        if of(&TALLY.violations) > 0 && !options.keep_going {
            break;
        }
    }
    watchdog::pause();
    close(start.elapsed(), rounds, early)
}

/// The closing lines.
fn close(elapsed: Duration, rounds: u64, early: Option<u64>) -> Result<u8, Error> {
    let end = resident();
    let early = early.unwrap_or(end);
    // The amount that the allocator keeps for short-lived threads varies.
    if end > early + early / 2 + 64 * 1024 {
        TALLY.violation("the memory has grown");
    }
    println!("{}", line(elapsed, rounds));
    println!("memory {early} KiB early, {end} KiB at the end");
    let violations = of(&TALLY.violations);
    println!("violations: {violations}");
    Ok(u8::from(violations > 0))
}

fn line(elapsed: Duration, rounds: u64) -> String {
    format!(
        "{:>6.1} s  {rounds} rounds, {} operations, {} groups, {} children: {} failed, {} cancelled, \
         {} panics, {} runtimes shut down; {} KiB",
        elapsed.as_secs_f64(),
        of(&TALLY.operations),
        of(&TALLY.groups),
        of(&TALLY.children),
        of(&TALLY.failed),
        of(&TALLY.cancelled),
        of(&TALLY.panics),
        of(&TALLY.runtimes_down),
        resident(),
    )
}
