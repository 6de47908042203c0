//! Runs the models of the engine and prints a table of them.
//!
//!     cargo run --release --manifest-path proof/loom/Cargo.toml              all of them
//!     cargo run --release --manifest-path proof/loom/Cargo.toml -- wake      those whose names contain a word
//!
//! Ends with 1 when a model fails. `LOOM_MAX_PREEMPTIONS` overrides the bounds; `LOOM_LOG=trace`
//! and `LOOM_LOCATION=1` tell more of a failure.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use taskgroup::models::{self, Model};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let chosen: Vec<&'static Model> = models::all()
        .filter(|model| words.is_empty() || words.iter().any(|word| model.name.contains(word)))
        .collect();
    if chosen.is_empty() {
        eprintln!("no model has such a name");
        return ExitCode::FAILURE;
    }
    println!("| model | preemptions | interleavings | outcomes | time |");
    println!("|---|---:|---:|---|---:|");
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    let interleavings = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads.min(chosen.len()) {
            scope.spawn(|| {
                while let Some(model) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match print(model) {
                        Some(count) => interleavings.fetch_add(count, Ordering::Relaxed),
                        None => failed.fetch_add(1, Ordering::Relaxed),
                    };
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!();
    println!(
        "{} models hold, {failed} fail, {} interleavings",
        chosen.len() - failed,
        interleavings.into_inner()
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Checks a model on a thread of its own, whose panic is the failure, and prints its line.
fn print(model: &'static Model) -> Option<usize> {
    let checked = thread::Builder::new()
        .name(model.name.to_owned())
        .spawn(|| model.check())
        .expect("a thread for a model")
        .join();
    let bound = model
        .preemptions
        .map_or("any".to_owned(), |bound| bound.to_string());
    let Ok(figures) = checked else {
        println!("| {} | {bound} | | **FAILED** | |", model.name);
        return None;
    };
    let outcomes: Vec<String> = figures
        .outcomes
        .iter()
        .map(|(outcome, count)| format!("{outcome}: {count}"))
        .collect();
    println!(
        "| {} | {bound} | {} | {} | {:.1} s |",
        model.name,
        figures.interleavings,
        outcomes.join(", "),
        figures.took.as_secs_f64()
    );
    usize::try_from(figures.interleavings).ok()
}
