//! Measures in fresh processes, so that no contender inherits the allocator's state from another
//! one: the rows of memory, and the [`bare`] program next to this one.

use std::path::Path;
use std::process::Command;

use crate::bare;
use crate::measure::{again, runtimes};
use crate::peers::PEERS;
use crate::row::{Kind, Row};
use crate::stats::Summary;

/// The flag that starts such a process: `--fresh <row>:<peer>:<n>`.
pub(crate) const FLAG: &str = "--fresh";

/// How often such a process measures. The median counts.
const READINGS: usize = 9;

/// The bytes or nanoseconds of one part, measured in a new process of this program or another one.
pub(crate) fn measure(
    program: Option<&Path>,
    row: Row,
    peer: &str,
    n: usize,
    workers: usize,
) -> Result<f64, String> {
    let program = match program {
        Some(program) => program.to_owned(),
        None => std::env::current_exe().map_err(|error| error.to_string())?,
    };
    let output = Command::new(program)
        .arg(FLAG)
        .arg(format!("{row}:{peer}:{n}"))
        .arg("--workers")
        .arg(workers.to_string())
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let all: f64 = text.trim().parse().map_err(|_| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!(
            "the process for {row} ended with {}: {}",
            output.status,
            errors.trim()
        )
    })?;
    Ok(all / row.parts(n) as f64)
}

/// Runs such a process: prints by how many bytes one program makes it grow, or how many nanoseconds
/// the program takes.
pub(crate) fn run(order: &str, workers: usize) -> Result<(), String> {
    let wrong = || format!("not of the form row:peer:n: '{order}'");
    let mut words = order.splitn(3, ':');
    let (row, peer, n) = (words.next(), words.next(), words.next());
    let row = row.and_then(|row| clap::ValueEnum::from_str(row, false).ok());
    let row: Row = row.ok_or_else(wrong)?;
    let n: usize = n.and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
    let mut peers = PEERS.iter().filter(|known| Some(known.name) == peer);
    let program = peers.find_map(|peer| peer.program(row)).ok_or_else(wrong)?;
    if bare::IS_BARE != (peer == Some(bare::NAME)) {
        return Err("this program was not built for that contender".into());
    }
    let (multi, _) = runtimes(workers);
    let times = row.times(n);
    let once = || {
        let measured = multi.block_on(multi.spawn(again(program, n, times)));
        measured.map_err(|error| error.to_string())
    };
    if row.kind() == Kind::Memory {
        let (_, measured) = once()?;
        let bytes = measured.bytes;
        println!("{}", bytes.ok_or("resident memory is only known on Linux")?);
        return Ok(());
    }
    // The first run warms caches and the allocator.
    once()?;
    let mut spent = Vec::with_capacity(READINGS);
    for _ in 0..READINGS {
        spent.push(once()?.0.as_nanos() as f64 / times as f64);
    }
    println!(
        "{}",
        Summary::of(&spent).map_or(0.0, |summary| summary.median)
    );
    Ok(())
}
