//! A line that is being typed, where this process edits it and shows it.
//!
//! The terminal can do both, but it shows the line below the output, where the progress is drawn
//! again and again. Only what this process knows of can be drawn with it.

use crate::process::Keys;

/// Many keyboards send one for the other.
const BACKSPACES: [u8; 2] = [0x08, 0x7f];

pub(super) struct Line {
    keys: Keys,
    bytes: Vec<u8>,
}

impl Line {
    pub(super) fn new(keys: Keys) -> Line {
        Line {
            keys,
            bytes: Vec::new(),
        }
    }

    /// Takes a key. Returns what is complete: a line, or what there is of it when the key for the
    /// end was hit. Without a byte it is the end of the input.
    pub(super) fn push(&mut self, key: u8) -> Option<Vec<u8>> {
        match key {
            b'\n' => self.bytes.push(key),
            // A terminal that has no such key has a zero there.
            key if key != 0 && key == self.keys.end => {}
            key => {
                self.edit(key);
                return None;
            }
        }
        Some(std::mem::take(&mut self.bytes))
    }

    fn edit(&mut self, key: u8) {
        let is = |code: u8| code != 0 && key == code;
        if is(self.keys.erase) || BACKSPACES.contains(&key) {
            self.erase();
        } else if is(self.keys.erase_word) {
            self.erase_while(|byte| byte == b' ');
            self.erase_while(|byte| byte != b' ');
        } else if is(self.keys.erase_all) {
            self.bytes.clear();
        } else {
            self.bytes.push(key);
        }
    }

    /// Erases a character, which may have several bytes.
    fn erase(&mut self) {
        self.erase_while(|byte| byte & 0xc0 == 0x80);
        self.bytes.pop();
    }

    fn erase_while(&mut self, is_erased: impl Fn(u8) -> bool) {
        let rest = self.bytes.iter().rposition(|&byte| !is_erased(byte));
        self.bytes.truncate(rest.map_or(0, |last| last + 1));
    }

    /// As a terminal shows it: a control character as the key that makes it.
    pub(super) fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let mut shown = String::with_capacity(text.len());
        for c in text.chars() {
            match u8::try_from(c) {
                Ok(byte) if byte.is_ascii_control() => {
                    shown.extend(['^', char::from(byte ^ 0x40)]);
                }
                _ if c.is_control() => shown.push(char::REPLACEMENT_CHARACTER),
                _ => shown.push(c),
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys = Keys {
        erase: 0x7f,
        erase_word: 0x17,
        erase_all: 0x15,
        end: 4,
    };

    /// What is complete, and what is shown of the rest.
    fn typed(text: &[u8]) -> (Vec<Vec<u8>>, String) {
        let mut line = Line::new(KEYS);
        let complete = text.iter().filter_map(|&key| line.push(key)).collect();
        (complete, line.shown())
    }

    #[test]
    fn a_line_is_edited_by_the_usual_keys() {
        for (text, shown) in [
            (&b"name"[..], "name"),
            (b"na\x7fme", "nme"),
            (b"na\x08", "n"),
            ("aé\u{7f}".as_bytes(), "a"),
            (b"\x7f\x7fa", "a"),
            (b"one two  \x17", "one "),
            (b"one\x17", ""),
            (b"one two\x15x", "x"),
            (b"\x1b[A", "^[[A"),
            (b"\0", "^@"),
        ] {
            assert_eq!(typed(text), (Vec::new(), shown.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn a_line_is_complete_with_its_end_or_with_that_of_the_input() {
        let complete = |text: &[u8]| typed(text).0;
        assert_eq!(complete(b"a\nb\nc"), [b"a\n", b"b\n"]);
        assert_eq!(complete(b"ab\x04"), [b"ab"]);
        assert_eq!(complete(b"a\n\x04"), [&b"a\n"[..], b""]);
    }
}
