//! Shows the progress of the run: a changing line on a terminal, a line for each command in a log.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use console::{measure_text_width, truncate_str};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};

use super::ci;
use super::terminal::{Terminal, is_unicode};
use crate::output::{Ci, Heading, Partials, Ticker, and_more};
use crate::plan::Total;
use crate::record::{Counts, Entry, Record};
use crate::report::{self, BAD};

/// How many commands have to end before the remaining time is worth a guess.
const SAMPLES: u32 = 3;
/// How many commands are named while they are being stopped.
const NAMED: usize = 3;
/// The least time between two lines about what the run waits for.
const PAUSE: Duration = Duration::from_secs(10);

pub(crate) struct Progress {
    shown: Shown,
    ci: Ci,
    state: Arc<Mutex<State>>,
    /// How many commands have a heading or a line.
    told: AtomicU64,
}

enum Shown {
    /// On a terminal, drawn between the lines of the output.
    Bar(ProgressBar),
    /// Used if the output itself does not show the progress.
    Lines(Ticker),
    /// Only what the run waits for: the output itself shows the rest.
    Waits(Ticker),
    Nothing,
}

/// What the line is made of whenever it is drawn.
struct State {
    /// By id: the name, and since when.
    running: BTreeMap<usize, (String, Instant)>,
    ended: u64,
    failed: u64,
    /// Of commands that ended by themselves: how many, and how long they took together.
    samples: (u32, Duration),
    total: Total,
    stopping: bool,
    /// What the whole run waits for.
    waits_for: Option<String>,
    /// The last line about that, and when it was written.
    told_wait: Option<(String, Instant)>,
    coloured: bool,
    partials: Partials,
}

impl Progress {
    fn new(shown: Shown, ci: Ci, total: Total) -> Progress {
        Progress {
            shown,
            ci,
            state: Arc::new(Mutex::new(State {
                running: BTreeMap::new(),
                ended: 0,
                failed: 0,
                samples: (0, Duration::ZERO),
                total,
                stopping: false,
                waits_for: None,
                told_wait: None,
                coloured: false,
                partials: Partials::default(),
            })),
            told: AtomicU64::new(0),
        }
    }

    pub(crate) fn nothing(ci: Ci, total: Total) -> Progress {
        Progress::new(Shown::Nothing, ci, total)
    }

    pub(crate) fn waits(ticker: Ticker, ci: Ci, total: Total) -> Progress {
        Progress::new(Shown::Waits(ticker), ci, total)
    }

    pub(crate) fn lines(ticker: Ticker, ci: Ci, total: Total) -> Progress {
        Progress::new(Shown::Lines(ticker), ci, total)
    }

    /// Also returns the bar, which the writer of the output needs.
    pub(crate) fn bar(
        ci: Ci,
        total: Total,
        coloured: bool,
        partials: Partials,
    ) -> (Progress, ProgressBar) {
        let terminal = Box::new(Terminal::stderr());
        let target = ProgressDrawTarget::term_like_with_hz(terminal, 10);
        let bar = ProgressBar::with_draw_target(None, target);
        let mut progress = Progress::new(Shown::Nothing, ci, total);
        {
            let mut state = progress.lock();
            state.coloured = coloured;
            state.partials = partials;
        }
        let state = Arc::clone(&progress.state);
        let width = || usize::from(Terminal::stderr().width()).saturating_sub(1);
        let draw = move |_: &ProgressState, text: &mut dyn Write| {
            let state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let lines = state.lines(now, is_unicode());
            // A line that wraps would not be erased as a whole.
            let lines = lines.iter().map(|line| truncate_str(line, width(), "…"));
            let mut lines: Vec<_> = lines.collect();
            // The cursor stands behind the last line.
            let prompt = state.partials.prompt(now);
            lines.extend(prompt.map(|prompt| end_of(&prompt, width()).into()));
            let _ = text.write_str(&lines.join("\n"));
        };
        let style = ProgressStyle::with_template("{state}").expect("the template is right");
        bar.set_style(style.with_key("state", draw));
        progress.shown = Shown::Bar(bar.clone());
        bar.tick();
        bar.enable_steady_tick(Duration::from_millis(200));
        (progress, bar)
    }

    pub(crate) fn started(&self, id: usize, name: &str, attempt: u32) {
        if attempt == 1 {
            let since = Instant::now();
            self.lock().running.insert(id, (name.to_owned(), since));
            self.redraw();
        }
    }

    /// What the whole run waits for, for example `job 65: Priority, 3rd in line`, or nothing any
    /// longer. It may be called as often as the state is looked at: a line is written only if the
    /// text has changed, and not sooner than ten seconds after the last one.
    pub(crate) fn waits_for(&self, text: Option<String>) {
        let line = {
            let mut state = self.lock();
            state.waits_for = text;
            state.line_of_wait(Instant::now())
        };
        match &self.shown {
            Shown::Bar(bar) => bar.tick(),
            Shown::Lines(ticker) | Shown::Waits(ticker) => {
                if let Some(line) = line {
                    ticker.send(format!("taskgroup: {line}\n").as_bytes());
                }
            }
            Shown::Nothing => {}
        }
    }

    /// The run is to stop.
    pub(crate) fn stopping(&self) {
        self.lock().stopping = true;
        self.redraw();
    }

    fn redraw(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.tick();
        }
    }

    /// What stands above the output of a command that comes out as a whole, and below it. `ends`
    /// says that no other attempt follows, `is_shown` that there are lines to fold.
    pub(crate) fn heading(
        &self,
        (id, name): (usize, &str),
        record: &Record,
        what: &str,
        (ends, is_shown): (bool, bool),
    ) -> Heading {
        let ci = if is_shown { self.ci } else { Ci::None };
        if matches!(self.ci, Ci::None | Ci::Auto) && !matches!(self.shown, Shown::Lines(_)) {
            return Heading::default();
        }
        let count = match ends {
            true => format!("{} ", self.count()),
            false => String::new(),
        };
        let title = format!("{count}{name}: {what}");
        ci::fold(ci, id, &title, record.is_failure(), record.ran)
    }

    /// `[3/8]`: which of how many.
    fn count(&self) -> String {
        let told = self.told.fetch_add(1, Ordering::Relaxed) + 1;
        match self.lock().total.get() {
            Some(total) => format!("[{told}/{total}]"),
            None => format!("[{told}]"),
        }
    }

    /// `headed` says that the command has had its heading, `forgiven` that a failure of it does not
    /// count for now.
    pub(crate) fn ended(&self, entry: &Entry, counts: &Counts, (headed, forgiven): (bool, bool)) {
        {
            let mut state = self.lock();
            state.running.remove(&entry.id);
            state.ended = counts.ended();
            state.failed = counts.failed;
            if entry.began.is_some() && entry.because.is_none() {
                state.samples.0 += 1;
                state.samples.1 += entry.took();
            }
        }
        self.redraw();
        let Shown::Lines(ticker) = &self.shown else {
            return;
        };
        if !headed {
            let line = format!("{} {}: {}\n", self.count(), entry.name, report::what(entry));
            ticker.send(line.as_bytes());
        }
        if self.ci == Ci::Teamcity {
            ticker.send(ci::test(entry, forgiven).as_bytes());
        }
    }

    pub(crate) fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A line about what the run waits for, if it is time for one.
    fn line_of_wait(&mut self, now: Instant) -> Option<String> {
        let text = self.waits_for.as_ref()?;
        let is_due = match &self.told_wait {
            Some((told, at)) => told != text && now.duration_since(*at) >= PAUSE,
            None => true,
        };
        if !is_due || self.stopping {
            return None;
        }
        self.told_wait = Some((text.clone(), now));
        Some(format!("waiting for {text}"))
    }

    /// The line of the progress, and the lines that have no end yet.
    fn lines(&self, now: Instant, unicode: bool) -> Vec<String> {
        let running = self.running.len();
        let now_it = match &self.waits_for {
            // Commands on this machine need no nodes, and may run.
            Some(text) if running > 0 => format!("{running} running, waiting for {text}"),
            Some(text) => format!("waiting for {text}"),
            None => format!("{running} running"),
        };
        let mut line = match self.total.get() {
            Some(&total) => {
                let bar = bar(self.ended, total, unicode);
                format!("{bar} {}/{total}, {now_it}", self.ended)
            }
            None => format!("{} done, {now_it}", self.ended),
        };
        match (self.failed, self.coloured) {
            (0, _) => {}
            (failed, false) => line.push_str(&format!(", {failed} failed")),
            (failed, true) => line.push_str(&format!(", {BAD}{failed} failed{BAD:#}")),
        }
        if self.stopping {
            let names: Vec<&str> = self.running.values().map(|(name, _)| &**name).collect();
            let more = and_more(names.len(), NAMED);
            let names = names[..names.len().min(NAMED)].join(", ");
            line = match running {
                0 => "stopping".to_owned(),
                _ => format!("stopping, waiting for {names}{more}; Ctrl-C again kills"),
            };
        } else if let (Some(rest), None) = (self.rest(now), &self.waits_for) {
            line.push_str(&format!(", about {} left", short(rest)));
        }
        let mut lines = vec![line];
        lines.extend(self.partials.lines(now));
        lines
    }

    /// A guess: as if the others took as long as those that have ended, and as many ran at a time
    /// as run now.
    fn rest(&self, now: Instant) -> Option<Duration> {
        let (samples, took) = self.samples;
        let total = *self.total.get()?;
        if samples < SAMPLES || self.running.is_empty() {
            return None;
        }
        let mean = took / samples;
        let running = self.running.values();
        let left = running.map(|(_, since)| mean.saturating_sub(now.duration_since(*since)));
        let longest = left.clone().max().unwrap_or_default();
        let known = self.ended + self.running.len() as u64;
        let waiting = u32::try_from(total.saturating_sub(known)).ok()?;
        let work = left.sum::<Duration>() + mean.checked_mul(waiting)?;
        let width = u32::try_from(self.running.len()).ok()?;
        let rest = (work / width).max(longest);
        // The last ones take longer than the others did: nothing is known of them.
        (rest > Duration::ZERO).then_some(rest)
    }
}

/// As much of the end of the line as fits.
fn end_of(line: &str, width: usize) -> String {
    if measure_text_width(line) <= width {
        return line.to_owned();
    }
    // From the end: a line that is pasted may be very long, and it is drawn often.
    let (mut start, mut used) = (line.len(), 0);
    for (at, c) in line.char_indices().rev() {
        used += measure_text_width(c.encode_utf8(&mut [0; 4]));
        if used >= width {
            break;
        }
        start = at;
    }
    format!("…{}", &line[start..])
}

fn bar(ended: u64, total: u64, unicode: bool) -> String {
    const WIDTH: usize = 20;
    let (full, empty) = match unicode {
        true => ("█", "░"),
        false => ("#", "-"),
    };
    let share = u128::from(ended.min(total)) * WIDTH as u128 / u128::from(total.max(1));
    let done = usize::try_from(share).unwrap_or(WIDTH);
    full.repeat(done) + &empty.repeat(WIDTH - done)
}

/// One unit is enough for a guess.
fn short(rest: Duration) -> String {
    match rest.as_secs() + 1 {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds.div_ceil(60)),
        seconds => format!("{}h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(total: Option<u64>) -> State {
        let progress = Progress::nothing(Ci::None, Total::default());
        if let Some(total) = total {
            progress.lock().total.set(total).unwrap();
        }
        Arc::into_inner(progress.state)
            .unwrap()
            .into_inner()
            .unwrap()
    }

    fn line(state: &State, now: Instant) -> String {
        state.lines(now, false).remove(0)
    }

    #[test]
    fn failures_are_shown_once_there_are_some() {
        let now = Instant::now();
        let mut state = state(Some(4));
        assert_eq!(line(&state, now), "-------------------- 0/4, 0 running");
        (state.ended, state.failed) = (2, 1);
        assert_eq!(
            line(&state, now),
            "##########---------- 2/4, 0 running, 1 failed"
        );
        state.coloured = true;
        assert!(line(&state, now).ends_with("\u{1b}[1m\u{1b}[31m1 failed\u{1b}[0m"));
    }

    #[test]
    fn the_rest_is_guessed_from_those_that_ended() {
        let now = Instant::now();
        let mut state = state(Some(8));
        state.running.insert(1, ("a".into(), now));
        state.running.insert(2, ("b".into(), now));
        (state.ended, state.samples) = (1, (1, Duration::from_secs(5)));
        assert_eq!(state.rest(now), None, "one is too few");
        (state.ended, state.samples) = (4, (4, Duration::from_secs(40)));
        // Two that run and two that wait, 10 s each, two at a time.
        assert_eq!(state.rest(now), Some(Duration::from_secs(20)));
        assert!(line(&state, now).ends_with(", about 21s left"));
        let later = now + Duration::from_secs(8);
        assert_eq!(state.rest(later), Some(Duration::from_secs(12)));
        state.ended = 6;
        assert_eq!(state.rest(later), Some(Duration::from_secs(2)));
        assert_eq!(state.rest(now + Duration::from_secs(60)), None);
    }

    #[test]
    fn what_the_run_waits_for_takes_the_place_of_what_runs() {
        let now = Instant::now();
        let mut state = state(Some(4));
        state.waits_for = Some("job 65: Priority, 3rd in line".into());
        assert_eq!(
            line(&state, now),
            "-------------------- 0/4, waiting for job 65: Priority, 3rd in line"
        );
        state.running.insert(1, ("here".into(), now));
        (state.ended, state.samples) = (3, (3, Duration::from_secs(30)));
        assert_eq!(
            line(&state, now),
            "###############----- 3/4, 1 running, waiting for job 65: Priority, 3rd in line"
        );
        state.waits_for = None;
        assert_eq!(
            line(&state, now),
            "###############----- 3/4, 1 running, about 11s left"
        );
    }

    #[test]
    fn a_wait_has_a_line_if_it_changes_and_not_too_often() {
        let start = Instant::now();
        let mut state = state(Some(4));
        let mut at = |seconds, text: Option<&str>| {
            state.waits_for = text.map(str::to_owned);
            state.line_of_wait(start + Duration::from_secs(seconds))
        };
        let line = |text: &str| Some(format!("waiting for {text}"));
        assert_eq!(at(0, Some("job 65")), line("job 65"));
        assert_eq!(at(9, Some("job 65: Priority")), None, "too soon");
        assert_eq!(at(10, Some("job 65: Priority")), line("job 65: Priority"));
        assert_eq!(at(100, Some("job 65: Priority")), None, "the same");
        assert_eq!(at(101, None), None);
        assert_eq!(at(102, Some("job 66")), line("job 66"));
        state.stopping = true;
        state.waits_for = Some("job 67".into());
        assert_eq!(state.line_of_wait(start + Duration::from_secs(200)), None);
    }

    #[test]
    fn the_end_of_a_long_line_is_shown() {
        assert_eq!(end_of("name? Alice", 11), "name? Alice");
        assert_eq!(end_of("name? Alice", 6), "…Alice");
        assert_eq!(end_of("名前", 3), "…前");
        assert_eq!(end_of("名前", 1), "…");
    }

    #[test]
    fn a_very_long_line_is_cut_at_once() {
        let line = format!("{}end", "x".repeat(1 << 20));
        assert_eq!(end_of(&line, 4), "…end");
    }

    #[test]
    fn what_is_being_stopped_is_named() {
        let now = Instant::now();
        let mut state = state(None);
        for (id, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
            state.running.insert(id, (name.into(), now));
        }
        state.stopping = true;
        assert_eq!(
            line(&state, now),
            "stopping, waiting for a, b, c and 1 more; Ctrl-C again kills"
        );
        state.running.clear();
        assert_eq!(line(&state, now), "stopping");
    }
}
