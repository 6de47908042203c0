//! What the commands have switched on at the terminal and not off again: one that was stopped may
//! leave the cursor hidden.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use memchr::memmem;

use super::Stream;

/// Begins the sequences that set (`h`) and reset (`l`) a mode.
const BEGIN: &[u8] = b"\x1b[?";

/// The cursor is shown. The only one of these modes that is set by default.
const CURSOR: u16 = 25;

/// The modes that would be in the way afterwards: the cursor, the mouse, the other screen, marks
/// around what is pasted.
const FOLLOWED: [u16; 10] = [CURSOR, 47, 1000, 1002, 1003, 1004, 1006, 1047, 1049, 2004];

#[derive(Default)]
pub(super) struct Modes {
    /// Those that differ from their default, and on which stream they were changed.
    changed: BTreeMap<u16, Stream>,
    terminals: OnceCell<(bool, bool)>,
}

impl Modes {
    pub(super) fn follow(&mut self, stream: Stream, lines: &[u8]) {
        let terminals = || (io::stdout().is_terminal(), io::stderr().is_terminal());
        let (out, err) = *self.terminals.get_or_init(terminals);
        let is_terminal = match stream {
            Stream::Out => out,
            Stream::Err => err,
        };
        if is_terminal {
            self.read(stream, lines);
        }
    }

    fn read(&mut self, stream: Stream, mut lines: &[u8]) {
        while let Some(begin) = memmem::find(lines, BEGIN) {
            lines = &lines[begin + BEGIN.len()..];
            let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b';';
            let length = lines.iter().take_while(|byte| is_number(byte)).count();
            let set = match lines.get(length) {
                Some(b'h') => true,
                Some(b'l') => false,
                _ => continue,
            };
            let numbers = std::str::from_utf8(&lines[..length]).unwrap_or_default();
            for mode in numbers.split(';').filter_map(|mode| mode.parse().ok()) {
                if !FOLLOWED.contains(&mode) {
                    continue;
                }
                match set == (mode == CURSOR) {
                    true => self.changed.remove(&mode),
                    false => self.changed.insert(mode, stream),
                };
            }
        }
    }

    /// What brings each of them back.
    pub(super) fn restore(self) -> impl Iterator<Item = (Stream, String)> {
        self.changed.into_iter().map(|(mode, stream)| {
            let end = if mode == CURSOR { 'h' } else { 'l' };
            (stream, format!("\x1b[?{mode}{end}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restored(lines: &[u8]) -> String {
        let mut modes = Modes::default();
        modes.read(Stream::Out, lines);
        modes.restore().map(|(_, text)| text).collect()
    }

    #[test]
    fn what_was_changed_last_counts() {
        assert_eq!(restored(b"\x1b[?25lx"), "\x1b[?25h");
        assert_eq!(restored(b"\x1b[?25lx\x1b[?25h"), "");
        assert_eq!(
            restored(b"\x1b[?1049;1006h\x1b[?25l"),
            "\x1b[?25h\x1b[?1006l\x1b[?1049l"
        );
        assert_eq!(restored(b"\x1b[?1049h\x1b[?1049l"), "");
        // Others are a matter of taste, or no mode at all.
        assert_eq!(restored(b"\x1b[?7l\x1b[?\x1b[?99999999h\x1b[?25"), "");
    }
}
