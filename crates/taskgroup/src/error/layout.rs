//! Writers that keep foreign text in its place: names and messages may hold line breaks.

use std::fmt::{self, Write};

/// Joins lines: a line break and the white space after it become one space; a break at the end disappears.
pub(super) struct OneLine<'w> {
    out: &'w mut dyn Write,
    broken: bool,
}

impl<'w> OneLine<'w> {
    pub(super) fn new(out: &'w mut dyn Write) -> Self {
        Self { out, broken: false }
    }
}

impl Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(['\n', '\r']) {
            let line = piece.trim_end_matches(['\n', '\r']);
            let shown = if self.broken { line.trim_start() } else { line };
            if !shown.is_empty() {
                if self.broken {
                    self.out.write_char(' ')?;
                }
                self.broken = false;
                self.out.write_str(shown)?;
            }
            self.broken |= line.len() < piece.len();
        }
        Ok(())
    }
}

/// Continues lines at an indent: after each line break come the prefix and the hang. A break at the end disappears.
pub(super) struct Hanging<'w> {
    out: &'w mut dyn Write,
    prefix: &'w str,
    hang: &'w str,
    breaks: usize,
}

impl<'w> Hanging<'w> {
    pub(super) fn new(out: &'w mut dyn Write, prefix: &'w str, hang: &'w str) -> Self {
        Self {
            out,
            prefix,
            hang,
            breaks: 0,
        }
    }
}

impl Write for Hanging<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive('\n') {
            let line = piece.trim_end_matches(['\n', '\r']);
            if !line.is_empty() {
                for _ in 0..std::mem::take(&mut self.breaks) {
                    write!(self.out, "\n{}{}", self.prefix, self.hang)?;
                }
                self.out.write_str(line)?;
            }
            self.breaks += usize::from(piece.ends_with('\n'));
        }
        Ok(())
    }
}
