//! Ends the process if nothing happens any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::tally::{TALLY, of};
use crate::oracle::Error;

static PAUSED: AtomicBool = AtomicBool::new(false);

/// Watches the count of operations. Each round adds to it, so a standstill is a hang.
pub(crate) fn start(patience: Duration) -> Result<(), Error> {
    let begin = Instant::now();
    let watch = move || {
        let (mut seen, mut since) = (0, begin);
        loop {
            std::thread::sleep(Duration::from_millis(200));
            let now = of(&TALLY.operations);
            if now != seen || PAUSED.load(Ordering::Relaxed) {
                (seen, since) = (now, Instant::now());
            } else if since.elapsed() >= patience {
                report(patience, since - begin);
                std::process::exit(2);
            }
        }
    };
    std::thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(watch)?;
    Ok(())
}

/// Called when the run has ended and only the printing remains.
pub(crate) fn pause() {
    PAUSED.store(true, Ordering::Relaxed);
}

fn report(patience: Duration, since: Duration) {
    println!(
        "HANG ({}): no operation for {patience:?}, since {:.1} s after the start",
        TALLY.place(),
        since.as_secs_f64()
    );
    // The tree cannot be printed if the library stands still with a lock held.
    let printing = std::thread::spawn(|| println!("{}", taskgroup::observe::tree()));
    let begin = Instant::now();
    while !printing.is_finished() && begin.elapsed() < Duration::from_secs(3) {
        std::thread::sleep(Duration::from_millis(50));
    }
    if !printing.is_finished() {
        println!("the tree cannot be printed: a lock is held");
    }
}
