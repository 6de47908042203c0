//! The end of a stream, kept for the reports.

use std::borrow::Cow;

use memchr::{memchr_iter, memrchr};

/// How many bytes of a stream are kept.
const KEPT: usize = 16 << 10;
/// How many bytes are kept of a command that succeeded: a run may have many of these.
const KEPT_OF_SUCCESS: usize = 2 << 10;
/// How many bytes are shown of each line.
const SHOWN: usize = 1000;

/// Takes whole chunks and cuts them into lines only when it is asked, because most streams end
/// without a question.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    /// The last bytes, at least [`KEPT`] of them if there were that many.
    bytes: Vec<u8>,
    /// All bytes that there were.
    total: u64,
    newlines: u64,
}

impl Tail {
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.total += chunk.len() as u64;
        self.newlines += memchr_iter(b'\n', chunk).count() as u64;
        self.bytes
            .extend_from_slice(&chunk[chunk.len().saturating_sub(KEPT)..]);
        if self.bytes.len() >= 2 * KEPT {
            self.keep(KEPT);
        }
    }

    /// Frees what no report needs. Nothing more may be pushed.
    pub(crate) fn settle(&mut self, succeeded: bool) {
        self.keep(if succeeded { KEPT_OF_SUCCESS } else { KEPT });
        self.bytes.shrink_to_fit();
    }

    fn keep(&mut self, count: usize) {
        let before = self.bytes.len().saturating_sub(count);
        self.bytes.drain(..before);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// How many bytes there were.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The lines that were kept, as safe text: no escape sequences, no control characters, no
    /// broken UTF-8. Also the number of the lines before them.
    pub(crate) fn lines(&self) -> (u64, Vec<String>) {
        self.last(usize::MAX)
    }

    /// The same, but at most this many lines.
    pub(crate) fn last(&self, count: usize) -> (u64, Vec<String>) {
        let whole = self.bytes.len() as u64 == self.total;
        let text = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        if self.is_empty() {
            return (0, Vec::new());
        }
        let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        // The first line has lost its beginning, unless it is the only one.
        let cut = !whole && lines.len() == 1;
        if !whole && !cut {
            lines.remove(0);
        }
        let lines = &lines[lines.len().saturating_sub(count)..];
        let unended = u64::from(self.bytes.last() != Some(&b'\n'));
        let before = (self.newlines + unended).saturating_sub(lines.len() as u64);
        (before, lines.iter().map(|line| shown(line, cut)).collect())
    }
}

/// What a terminal shows of a line that overwrites itself, such as a progress bar: its last state.
pub(super) fn last_frame(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| *byte != b'\r');
    let line = &line[..end.map_or(0, |end| end + 1)];
    memrchr(b'\r', line).map_or(line, |before| &line[before + 1..])
}

fn shown(line: &[u8], cut: bool) -> String {
    let frame = last_frame(line);
    // The beginning of a frame is there even if that of its line is not.
    let cut = cut && frame.len() == line.len();
    let text = printable(&String::from_utf8_lossy(frame));
    if text.len() <= SHOWN {
        return if cut { format!("[...] {text}") } else { text };
    }
    // The reason may be at either end.
    let half = SHOWN / 2;
    let mut end = text.len() - half;
    while !text.is_char_boundary(end) {
        end += 1;
    }
    if cut {
        return format!("[...] {}", &text[end..]);
    }
    let mut start = half;
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    format!("{} [...] {}", &text[..start], &text[end..])
}

/// Text for one line of a report: without escape sequences, and with U+FFFD for control characters
/// and for what is no character at all.
pub(crate) fn printable(text: &str) -> String {
    let text: Cow<'_, str> = match text.contains('\u{1b}') {
        true => anstream::adapter::strip_str(text).to_string().into(),
        false => text.into(),
    };
    let is_shown = |c: char| (!c.is_control() || c == '\t') && !is_noncharacter(c);
    text.chars()
        .map(|c| if is_shown(c) { c } else { '\u{fffd}' })
        .collect()
}

/// The text in one line, with the usual escapes for what would not stay in it.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => line.extend(c.escape_default()),
            c if is_noncharacter(c) => line.push('\u{fffd}'),
            c => line.push(c),
        }
    }
    line
}

/// What follows the first names of a list, if there are more.
pub(crate) fn and_more(all: usize, named: usize) -> String {
    match all.saturating_sub(named) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

/// Code points that Unicode will never give to a character. XML does not even allow U+FFFE and
/// U+FFFF.
fn is_noncharacter(c: char) -> bool {
    let point = u32::from(c);
    (0xfdd0..=0xfdef).contains(&point) || point & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(chunks: &[&[u8]]) -> Tail {
        let mut tail = Tail::default();
        chunks.iter().for_each(|chunk| tail.push(chunk));
        tail
    }

    #[test]
    fn the_last_lines_stay() {
        let text: String = (1..=13).map(|n| format!("{n}\n")).collect();
        for size in [1, 2, 3, 100] {
            let tail = tail(&text.as_bytes().chunks(size).collect::<Vec<_>>());
            let (before, lines) = tail.last(10);
            assert_eq!((before, lines.len()), (3, 10));
            assert_eq!((&*lines[0], &*lines[9]), ("4", "13"));
        }
        assert_eq!(
            tail(&[b"a\n\nb"]).lines(),
            (0, vec!["a".into(), "".into(), "b".into()])
        );
        assert_eq!(tail(&[]).lines(), (0, vec![]));
        assert_eq!(tail(&[b"\n"]).lines(), (0, vec![String::new()]));
    }

    #[test]
    fn a_long_stream_keeps_whole_lines() {
        let text: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
        let mut tail = tail(&text.as_bytes().chunks(1000).collect::<Vec<_>>());
        for succeeded in [false, true] {
            tail.settle(succeeded);
            let (before, lines) = tail.lines();
            assert_eq!(before + lines.len() as u64, 100_000);
            assert_eq!(lines[0], (before + 1).to_string());
            assert_eq!(lines.last().unwrap(), "100000");
        }
    }

    #[test]
    fn lines_are_cut_and_made_printable() {
        let long = vec![b'x'; 2 * SHOWN];
        let text = [
            &long[..SHOWN],
            b"\n",
            &long,
            b"\n\x1b[31mred\x1b[0m \xff\x07\tok\n",
        ]
        .concat();
        let (_, lines) = tail(&[&text]).lines();
        assert_eq!(lines[0].len(), SHOWN);
        assert_eq!(lines[1].len(), SHOWN + " [...] ".len());
        assert!(
            lines[2].starts_with("red ") && lines[2].ends_with("\tok"),
            "{:?}",
            lines[2]
        );
        assert!(!lines[2].contains('\x07'));
    }

    #[test]
    fn the_last_frame_is_shown_however_long_the_line_is() {
        let mut line: Vec<u8> = (0..5000)
            .flat_map(|n| format!("\r{n:3}%").into_bytes())
            .collect();
        line.extend_from_slice(b"\rERROR: no space\r\n");
        let tail = tail(&line.chunks(777).collect::<Vec<_>>());
        assert_eq!(tail.lines(), (0, vec!["ERROR: no space".to_owned()]));
        assert_eq!(last_frame(b"10%\r50%\r100%\r\r"), b"100%");
        assert_eq!(last_frame(b"\r\r"), b"");
        // A reason at the end of a line without frames.
        let line = [&vec![b'x'; 100_000][..], b" the reason"].concat();
        let mut tail = Tail::default();
        tail.push(&line);
        let (before, lines) = tail.lines();
        assert_eq!((before, lines.len()), (0, 1));
        assert!(lines[0].starts_with("[...] x") && lines[0].ends_with(" the reason"));
    }

    #[test]
    fn what_is_no_character_is_replaced() {
        assert_eq!(
            printable("a\u{fffe}b\u{ffff}c\u{1ffff}d\u{fdd0}"),
            "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}"
        );
        assert_eq!(printable("é日😀\t"), "é日😀\t");
        assert_eq!(
            one_line("a\tb\nc\u{1b}é\u{fffe}"),
            "a\\tb\\nc\\u{1b}é\u{fffd}"
        );
    }
}
