//! The last lines of a stream, kept for the report.

use std::collections::VecDeque;

/// How many lines are kept.
const LINES: usize = 10;
/// How many bytes are kept of each line.
const BYTES: usize = 1000;

#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    kept: VecDeque<Vec<u8>>,
    /// Lines that were dropped to make room.
    dropped: u64,
}

impl Tail {
    pub(crate) fn push(&mut self, line: &[u8]) {
        if self.kept.len() == LINES {
            self.kept.pop_front();
            self.dropped += 1;
        }
        self.kept.push_back(line[..line.len().min(BYTES)].to_vec());
        // One byte more than is shown marks a line that was cut.
        if line.len() > BYTES {
            self.kept.back_mut().expect("just pushed").push(line[BYTES]);
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The kept lines as safe text: no escape sequences, no control characters, no broken UTF-8.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.kept.iter().map(|line| {
            let cut = line.len() > BYTES;
            let mut text = printable(&line[..line.len().min(BYTES)]);
            if cut {
                text.push_str(" [...]");
            }
            text
        })
    }
}

fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = anstream::adapter::strip_str(&text).to_string();
    // A progress bar overwrites itself: its last state is what a terminal would show.
    let text = text.trim_end_matches('\r');
    let text = text.rsplit('\r').next().unwrap_or(text);
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_stay() {
        let mut tail = Tail::default();
        for n in 0..LINES + 3 {
            tail.push(n.to_string().as_bytes());
        }
        assert_eq!(tail.dropped(), 3);
        assert_eq!(tail.lines().next().as_deref(), Some("3"));
        assert_eq!(tail.lines().last().as_deref(), Some("12"));
    }

    #[test]
    fn lines_are_cut_and_made_printable() {
        let mut tail = Tail::default();
        tail.push(&vec![b'x'; BYTES]);
        tail.push(&vec![b'x'; 2 * BYTES]);
        tail.push(b"\x1b[31mred\x1b[0m \xff\x07\tok");
        tail.push(b"10%\r50%\r100%\r");
        let lines: Vec<String> = tail.lines().collect();
        assert_eq!(lines[0].len(), BYTES);
        assert_eq!(lines[1].len(), BYTES + " [...]".len());
        assert!(
            lines[2].starts_with("red ") && lines[2].ends_with("\tok"),
            "{:?}",
            lines[2]
        );
        assert!(!lines[2].contains('\x07'));
        assert_eq!(lines[3], "100%");
    }
}
