//! Memory: each contender in a fresh process of this program, so that none inherits what another one left in the allocator.

use std::process::Command;

use crate::measure::runtimes;
use crate::peers::PEERS;
use crate::row::Row;

/// The flag that starts such a process: `--fresh <row>:<peer>:<n>`.
pub(crate) const FLAG: &str = "--fresh";

/// Bytes per part, measured in a new process.
pub(crate) fn measure(row: Row, peer: &str, n: usize, workers: usize) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .arg(FLAG)
        .arg(format!("{row}:{peer}:{n}"))
        .arg("--workers")
        .arg(workers.to_string())
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let bytes: f64 = text.trim().parse().map_err(|_| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!(
            "the process for {row} ended with {}: {}",
            output.status,
            errors.trim()
        )
    })?;
    Ok(bytes / row.parts(n) as f64)
}

/// What such a process does: runs one program and prints by how many bytes the process grew.
pub(crate) fn run(order: &str, workers: usize) -> Result<(), String> {
    let wrong = || format!("not of the form row:peer:n: '{order}'");
    let mut words = order.splitn(3, ':');
    let (row, peer, n) = (words.next(), words.next(), words.next());
    let row = row.and_then(|row| clap::ValueEnum::from_str(row, false).ok());
    let row: Row = row.ok_or_else(wrong)?;
    let n: usize = n.and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
    let mut peers = PEERS.iter().filter(|known| Some(known.name) == peer);
    let program = peers.find_map(|peer| peer.program(row)).ok_or_else(wrong)?;
    let (multi, _) = runtimes(workers);
    let measured = multi.block_on(multi.spawn(program(n)));
    let measured = measured.map_err(|error| error.to_string())?;
    let bytes = measured
        .bytes
        .ok_or("resident memory is known on Linux only")?;
    println!("{bytes}");
    Ok(())
}
