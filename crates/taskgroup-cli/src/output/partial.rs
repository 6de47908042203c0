//! Lines that have no end yet, for the terminal: a prompt, a progress bar that overwrites itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use memchr::memrchr;

use super::tail::printable;

/// A line that ends sooner is not shown before its end.
const PATIENCE: Duration = Duration::from_millis(150);
/// How many lines without an end are shown at a time.
const SHOWN: usize = 4;
/// How many bytes of a line are looked at.
const LONGEST: usize = 400;

/// Clones share one state.
#[derive(Clone, Default)]
pub(crate) struct Partials(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    next: u64,
    lines: BTreeMap<u64, Partial>,
    typed: Typed,
}

/// The line that is being typed, where the terminal does not show it itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Typed {
    /// The name of the command that will get it, unless it names another one.
    pub(crate) to: Option<String>,
    pub(crate) text: String,
}

struct Partial {
    label: String,
    text: String,
    since: Instant,
}

/// One pipe's line.
pub(crate) struct Place {
    partials: Partials,
    id: u64,
    label: String,
    frame: Frame,
}

/// Where the last state of a line is that overwrites itself. A line may be long and come in many
/// pieces, so each byte is looked at once.
#[derive(Default)]
struct Frame {
    begin: usize,
    /// What follows up to the end of the line is `\r`.
    end: usize,
}

impl Frame {
    /// Follows the line, of which at most `new` bytes are new.
    fn of<'a>(&mut self, line: &'a [u8], new: usize) -> &'a [u8] {
        if line.len() <= new {
            *self = Frame::default();
        }
        let looked_at = self.end;
        let rest = &line[looked_at..];
        if let Some(last) = rest.iter().rposition(|byte| *byte != b'\r') {
            self.end = looked_at + last + 1;
            if let Some(before) = memrchr(b'\r', &line[looked_at..self.end]) {
                self.begin = looked_at + before + 1;
            }
        }
        &line[self.begin..self.end]
    }
}

impl Partials {
    pub(super) fn place(&self, label: String) -> Place {
        let mut state = self.lock();
        state.next += 1;
        Place {
            partials: self.clone(),
            id: state.next,
            label,
            frame: Frame::default(),
        }
    }

    /// The lines that have waited long enough, each with its label, oldest command first, apart
    /// from the one behind which something is typed.
    pub(crate) fn lines(&self, now: Instant) -> Vec<String> {
        let state = self.lock();
        let prompt = state.prompt(now).map(|(id, _)| id);
        let lines = state
            .lines
            .iter()
            .filter(|(id, line)| line.has_waited(now) && prompt != Some(**id));
        lines
            .take(SHOWN)
            .map(|(_, line)| format!("{} | {}", line.label, line.text))
            .collect()
    }

    /// The line behind which something is typed, with what was typed so far. It has to be drawn
    /// last, so that the cursor stands at its end.
    pub(crate) fn prompt(&self, now: Instant) -> Option<String> {
        let state = self.lock();
        let (label, line) = match (state.prompt(now), &state.typed.to) {
            (Some((_, line)), _) => (&line.label, &*line.text),
            (None, _) if state.typed.text.is_empty() => return None,
            (None, Some(name)) => (name, ""),
            (None, None) => return Some(state.typed.text.clone()),
        };
        Some(format!("{label} | {line}{}", state.typed.text))
    }

    /// Returns whether anything has changed.
    pub(crate) fn set_typed(&self, typed: Typed) -> bool {
        let mut state = self.lock();
        let changes = state.typed != typed;
        state.typed = typed;
        changes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The latest line of the command that gets what is typed.
    fn prompt(&self, now: Instant) -> Option<(u64, &Partial)> {
        let to = self.typed.to.as_ref()?;
        let is_typed = !self.typed.text.is_empty();
        let mut lines = self.lines.iter().rev();
        let found = lines.find(|(_, line)| line.label == *to && (is_typed || line.has_waited(now)));
        found.map(|(id, line)| (*id, line))
    }
}

impl Partial {
    fn has_waited(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= PATIENCE
    }
}

impl Place {
    /// What has come of a line up to now; empty at its end. `new` is how many bytes came since the
    /// last call, of this line and of lines before it.
    pub(super) fn set(&mut self, line: &[u8], new: usize) {
        let frame = self.frame.of(line, new);
        let mut state = self.partials.lock();
        if frame.is_empty() {
            state.lines.remove(&self.id);
            return;
        }
        let text = &frame[..frame.len().min(LONGEST)];
        let text = printable(&String::from_utf8_lossy(text));
        let partial = state.lines.entry(self.id).or_insert_with(|| Partial {
            label: self.label.clone(),
            text: String::new(),
            since: Instant::now(),
        });
        partial.text = text;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.partials.lock().lines.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tail::last_frame;
    use super::*;

    #[test]
    fn a_line_without_an_end_is_shown_after_a_while() {
        let partials = Partials::default();
        let (mut one, mut two) = (partials.place("one".into()), partials.place("two".into()));
        two.set(b"Password: ", 10);
        one.set(b"\r 1%\r\x1b[2K 50%\r", 14);
        let later = Instant::now() + PATIENCE;
        assert_eq!(partials.lines(later), ["one |  50%", "two | Password: "]);
        assert!(partials.lines(later - 2 * PATIENCE).is_empty());
        one.set(b"", 1);
        drop(two);
        assert!(partials.lines(later).is_empty());
    }

    #[test]
    fn what_is_typed_stands_behind_the_prompt_and_below_all_else() {
        let partials = Partials::default();
        let (mut one, mut two) = (partials.place("one".into()), partials.place("two".into()));
        let now = Instant::now();
        let types = |to: Option<&str>, text: &str| {
            partials.set_typed(Typed {
                to: to.map(str::to_owned),
                text: text.to_owned(),
            })
        };
        assert_eq!(partials.prompt(now), None);
        assert!(types(None, "a"));
        assert_eq!(partials.prompt(now).unwrap(), "a");
        assert!(types(Some("one"), "a"));
        assert_eq!(partials.prompt(now).unwrap(), "one | a");
        one.set(b"name? ", 6);
        two.set(b" 1%", 3);
        let later = Instant::now() + PATIENCE;
        assert_eq!(partials.lines(later), ["two |  1%"]);
        assert_eq!(partials.prompt(later).unwrap(), "one | name? a");
        assert!(types(Some("one"), "") && !types(Some("one"), ""));
        assert_eq!(partials.prompt(later).unwrap(), "one | name? ");
        assert_eq!(partials.prompt(later - 2 * PATIENCE), None);
    }

    #[test]
    fn the_last_frame_does_not_depend_on_how_the_bytes_arrive() {
        let text = b"\r\r10%\r50%\r\r100%\r\r";
        for size in 1..=text.len() {
            let (mut frame, mut came) = (Frame::default(), 0);
            for chunk in text.chunks(size) {
                came += chunk.len();
                let line = &text[..came];
                assert_eq!(frame.of(line, chunk.len()), last_frame(line), "{size}");
            }
            // The same line goes on after another one has ended.
            assert_eq!(frame.of(b"a\rb", 9), b"b");
        }
    }
}
