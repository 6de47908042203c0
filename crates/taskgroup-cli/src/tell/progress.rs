//! How far the run is: a line that changes on a terminal, a line for each command in a log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Ticker;
use crate::record::{Counts, Entry};
use crate::report;

pub(crate) struct Progress {
    shown: Shown,
    running: AtomicU64,
    failed: AtomicU64,
    total: Option<u64>,
}

enum Shown {
    /// On a terminal; drawn between the lines of the output.
    Bar(ProgressBar),
    /// Where the output itself does not show what goes on.
    Lines(Ticker),
    Nothing,
}

impl Progress {
    pub(crate) fn nothing() -> Progress {
        Progress {
            shown: Shown::Nothing,
            running: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            total: None,
        }
    }

    pub(crate) fn lines(ticker: Ticker, total: Option<u64>) -> Progress {
        Progress {
            shown: Shown::Lines(ticker),
            total,
            ..Progress::nothing()
        }
    }

    /// With the bar that the writer of the output has to know.
    pub(crate) fn bar(total: Option<u64>) -> (Progress, ProgressBar) {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
        let template = match total {
            Some(_) => "{bar:20} {pos}/{len} {msg} eta {eta}",
            None => "{spinner} {pos} {msg}",
        };
        let style = ProgressStyle::with_template(template).expect("the template is right");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        let progress = Progress {
            shown: Shown::Bar(bar.clone()),
            total,
            ..Progress::nothing()
        };
        (progress, bar)
    }

    pub(crate) fn started(&self, attempt: u32) {
        if attempt == 1 {
            self.running.fetch_add(1, Ordering::Relaxed);
            self.say();
        }
    }

    fn say(&self) {
        if let Shown::Bar(bar) = &self.shown {
            let running = self.running.load(Ordering::Relaxed);
            let failed = self.failed.load(Ordering::Relaxed);
            bar.set_message(format!("{running} running, {failed} failed"));
        }
    }

    pub(crate) fn ended(&self, entry: &Entry, counts: &Counts) {
        if entry.attempts > 0 {
            self.running.fetch_sub(1, Ordering::Relaxed);
        }
        self.failed.store(counts.failed, Ordering::Relaxed);
        match &self.shown {
            Shown::Bar(bar) => {
                bar.set_position(counts.ended());
                self.say();
            }
            Shown::Lines(ticker) => {
                let ended = counts.ended();
                let of = self
                    .total
                    .map_or(String::new(), |total| format!("/{total}"));
                let line = format!("[{ended}{of}] {}: {}\n", entry.name, report::what(entry));
                ticker.send(line.as_bytes());
            }
            Shown::Nothing => {}
        }
    }

    pub(crate) fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}
