//! Shows the progress of the run: a changing line on a terminal, a line for each command in a log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Ticker;
use crate::record::{Counts, Entry};
use crate::report::{self, BAD};

use super::terminal::{Terminal, is_unicode};

pub(crate) struct Progress {
    shown: Shown,
    running: AtomicU64,
    failed: AtomicU64,
    total: Option<u64>,
}

enum Shown {
    /// On a terminal, drawn between the lines of the output.
    Bar {
        bar: ProgressBar,
        coloured: bool,
    },
    /// Used if the output itself does not show the progress.
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

    /// Also returns the bar, which the writer of the output needs.
    pub(crate) fn bar(total: Option<u64>, coloured: bool) -> (Progress, ProgressBar) {
        let terminal = Box::new(Terminal::stderr());
        let target = ProgressDrawTarget::term_like_with_hz(terminal, 10);
        let bar = ProgressBar::with_draw_target(total, target).with_style(style(total, false));
        let progress = Progress {
            shown: Shown::Bar {
                bar: bar.clone(),
                coloured,
            },
            total,
            ..Progress::nothing()
        };
        progress.redraw();
        bar.enable_steady_tick(Duration::from_millis(200));
        (progress, bar)
    }

    pub(crate) fn started(&self, attempt: u32) {
        if attempt == 1 {
            self.running.fetch_add(1, Ordering::Relaxed);
            self.redraw();
        }
    }

    fn redraw(&self) {
        if let Shown::Bar { bar, coloured } = &self.shown {
            let running = self.running.load(Ordering::Relaxed);
            let failed = self.failed.load(Ordering::Relaxed);
            bar.set_message(message(running, failed, *coloured));
        }
    }

    pub(crate) fn ended(&self, entry: &Entry, counts: &Counts) {
        if entry.attempts > 0 {
            self.running.fetch_sub(1, Ordering::Relaxed);
        }
        self.failed.store(counts.failed, Ordering::Relaxed);
        match &self.shown {
            Shown::Bar { bar, .. } => {
                if counts.ended() == 1 {
                    bar.set_style(style(self.total, true));
                }
                bar.set_position(counts.ended());
                self.redraw();
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
        if let Shown::Bar { bar, .. } = &self.shown {
            bar.finish_and_clear();
        }
    }
}

/// The remaining time can be estimated once one command has ended.
fn style(total: Option<u64>, one_has_ended: bool) -> ProgressStyle {
    let template = match (total, one_has_ended) {
        (Some(_), true) => "{bar:20} {pos}/{len}, {msg}, eta {eta}",
        (Some(_), false) => "{bar:20} {pos}/{len}, {msg}",
        (None, _) => "{spinner} {pos} done, {msg}",
    };
    let style = ProgressStyle::with_template(template).expect("the template is right");
    if is_unicode() {
        style
    } else {
        style.progress_chars("#>-").tick_chars("|/-\\ ")
    }
}

fn message(running: u64, failed: u64, coloured: bool) -> String {
    match (failed, coloured) {
        (0, _) => format!("{running} running"),
        (_, false) => format!("{running} running, {failed} failed"),
        (_, true) => format!("{running} running, {BAD}{failed} failed{BAD:#}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_shown_once_there_are_some() {
        assert_eq!(message(3, 0, true), "3 running");
        assert_eq!(message(3, 1, false), "3 running, 1 failed");
        assert_eq!(
            message(0, 2, true),
            "0 running, \u{1b}[1m\u{1b}[31m2 failed\u{1b}[0m"
        );
    }
}
