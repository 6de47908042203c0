//! The command `taskgroup-proof`.

use std::process::ExitCode;

use taskgroup_proof::campaign::{Campaign, Subject};
use taskgroup_proof::oracle::{Error, Interpreter, Oracle, Process, version};
use taskgroup_proof::ours::{Library, Planted};
use taskgroup_proof::print;
use taskgroup_proof::program::{Block, is_valid};

const USAGE: &str = "\
taskgroup-proof differential --against trio|asyncio|both [--programs N] [--seed S] [--jobs J]
                             [--driver tokio|light | --subject trio|asyncio]

Runs N random structured programs (default 2000), of the seeds S, S + 1, …, on the library and on the oracle,
under virtual time, and compares what was observed. Without --seed the programs are fresh ones.
--driver says whether each task is a Tokio task (the default) or a light one.
--subject puts another oracle in the library's place, which tests the neutral form itself.

taskgroup-proof planted --against trio|asyncio|both [--programs N] [--seed S]

Puts one bug after the other between the programs and the library, and prints how many programs it takes to find it.

taskgroup-proof rules --against trio|asyncio|both [--programs N] [--seed S]

Prints, for every named difference that is met, a small program that shows it.

taskgroup-proof soak [--minutes M] [--seed S]

Spawns, fails, cancels and times out at random on two workers for M minutes (default 10), and prints what was done and the memory.

taskgroup-proof stress [--seconds S] [--seed N] [--only MODE] ...

Everything at random from several threads and runtimes, with code that misbehaves; `stress --help` prints the options.

taskgroup-proof prepare

Installs what the oracles need: Trio, into a virtual environment below target/. The others do that on first use; tests do not.

taskgroup-proof show JSON

Runs one program, in the form that a difference is printed in, on the library and both oracles, and prints the traces.

Exit codes: 0 no unexplained difference (planted: every bug found; soak: nothing left, memory flat), 1 otherwise, 2 it could not be run.";

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    if let Some(("stress", options)) = args.split_first().map(|(command, rest)| (&**command, rest))
    {
        return stress(options);
    }
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("taskgroup-proof: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &[String]) -> Result<bool, Error> {
    match args {
        [command, options @ ..] if command == "differential" => {
            differential(&Options::parse(options)?)
        }
        [command, options @ ..] if command == "planted" => planted(&Options::parse(options)?),
        [command, options @ ..] if command == "rules" => {
            rules(&Options::parse(options)?).map(|()| true)
        }
        [command, options @ ..] if command == "soak" => soak(options),
        [command] if command == "prepare" => {
            for oracle in [Oracle::Trio, Oracle::Asyncio] {
                println!("{oracle}: {}", version(oracle)?);
            }
            Ok(true)
        }
        [command, json] if command == "show" => show(json).map(|()| true),
        [flag] if flag == "--help" || flag == "-h" => {
            println!("{USAGE}");
            Ok(true)
        }
        _ => Err(USAGE.into()),
    }
}

struct Options {
    against: Vec<Oracle>,
    subject: Subject,
    programs: u64,
    seed: u64,
    jobs: u64,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, Error> {
        let mut options = Self {
            against: Vec::new(),
            subject: Subject::Library(Library::default()),
            programs: 2000,
            seed: fresh_seed()?,
            jobs: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
        };
        let mut args = args.iter().map(String::as_str);
        while let Some(flag) = args.next() {
            let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
            match flag {
                "--against" if value == "both" => {
                    options.against = vec![Oracle::Trio, Oracle::Asyncio];
                }
                "--against" => options.against = vec![oracle(value)?],
                "--subject" => options.subject = Subject::Oracle(oracle(value)?),
                "--driver" => {
                    options.subject = Subject::Library(Library {
                        light_tasks: match value {
                            "tokio" => false,
                            "light" => true,
                            _ => {
                                return Err(
                                    format!("no driver is called {value}: tokio or light").into()
                                );
                            }
                        },
                        ..Library::default()
                    });
                }
                "--programs" => options.programs = number(flag, value)?,
                "--seed" => options.seed = number(flag, value)?,
                "--jobs" => options.jobs = number(flag, value)?.max(1),
                _ => return Err(format!("unknown option {flag}\n\n{USAGE}").into()),
            }
        }
        if options.against.is_empty() {
            return Err(format!("--against is missing\n\n{USAGE}").into());
        }
        Ok(options)
    }

    fn campaign(&self, against: Oracle, subject: Subject) -> Campaign {
        Campaign {
            against,
            subject,
            programs: self.programs,
            seed: self.seed,
            jobs: self.jobs,
            shrink: true,
        }
    }
}

fn differential(options: &Options) -> Result<bool, Error> {
    let mut explained = true;
    for &against in &options.against {
        println!("against {}, seeds from {}", version(against)?, options.seed);
        let report = options.campaign(against, options.subject).run()?;
        print!("{report}");
        explained &= report.difference.is_none();
    }
    Ok(explained)
}

fn planted(options: &Options) -> Result<bool, Error> {
    let mut all_found = true;
    for &against in &options.against {
        println!("against {}, seeds from {}", version(against)?, options.seed);
        for bug in Planted::ALL {
            // One job, so that the programs run in order and the count is exact.
            let campaign = options.campaign(
                against,
                Subject::Library(Library {
                    planted: Some(bug),
                    ..Library::default()
                }),
            );
            let report = Campaign {
                jobs: 1,
                shrink: false,
                ..campaign
            }
            .run()?;
            match report.difference {
                Some(_) => println!("{bug:?}: found by program {}", report.programs + 1),
                None => println!("{bug:?}: not found by {} programs", report.programs),
            }
            all_found &= report.difference.is_some();
        }
    }
    Ok(all_found)
}

fn rules(options: &Options) -> Result<(), Error> {
    for &against in &options.against {
        for (rule, program) in options.campaign(against, options.subject).examples()? {
            println!("{rule} {against} {}", serde_json::to_string(&program)?);
        }
    }
    Ok(())
}

fn soak(args: &[String]) -> Result<bool, Error> {
    let (mut minutes, mut seed) = (10, fresh_seed()?);
    for pair in args.chunks(2) {
        match pair {
            [flag, value] if flag == "--minutes" => minutes = number(flag, value)?,
            [flag, value] if flag == "--seed" => seed = number(flag, value)?,
            _ => return Err(format!("unknown option {}\n\n{USAGE}", pair[0]).into()),
        }
    }
    taskgroup_proof::soak::run(std::time::Duration::from_secs(minutes * 60), seed)
}

/// A hang has its own exit code.
fn stress(args: &[String]) -> ExitCode {
    if args.iter().any(|arg| arg == "--help") {
        println!("{}", taskgroup_proof::stress::USAGE);
        return ExitCode::SUCCESS;
    }
    match fresh_seed().and_then(|seed| taskgroup_proof::stress::run(args, seed)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("taskgroup-proof: {error}");
            ExitCode::from(2)
        }
    }
}

fn show(json: &str) -> Result<(), Error> {
    let program: Block = serde_json::from_str(json)?;
    if !is_valid(&program) {
        return Err("the program breaks an invariant of the neutral form".into());
    }
    println!("{}", print::program(&program));
    let (mut trio, mut asyncio) = (
        Process::start(Oracle::Trio)?,
        Process::start(Oracle::Asyncio)?,
    );
    let library = |light_tasks| Library {
        planted: None,
        light_tasks,
        verbose: true,
    };
    let all: [(&str, &mut dyn Interpreter); 4] = [
        ("taskgroup", &mut library(false)),
        ("taskgroup with light tasks", &mut library(true)),
        ("Trio", &mut trio),
        ("asyncio", &mut asyncio),
    ];
    for (name, interpreter) in all {
        let answer = interpreter.run(&program, 0)?;
        println!("{name}");
        for line in answer.trace.lines() {
            println!("{line}");
        }
        for (rule, times) in &answer.rules {
            println!("{times:>8} × {rule}");
        }
    }
    Ok(())
}

fn oracle(name: &str) -> Result<Oracle, Error> {
    match name {
        "trio" => Ok(Oracle::Trio),
        "asyncio" => Ok(Oracle::Asyncio),
        _ => Err(format!("no oracle is called {name}: trio, asyncio or both").into()),
    }
}

fn number(flag: &str, value: &str) -> Result<u64, Error> {
    value
        .parse()
        .map_err(|_| format!("{flag} needs a number, not {value}").into())
}

fn fresh_seed() -> Result<u64, Error> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    // Far enough apart that two runs hardly ever share a program.
    Ok(now.as_secs() * 1_000_000)
}
