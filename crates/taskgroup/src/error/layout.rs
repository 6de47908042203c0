//! Writers for foreign text: names and messages may contain line breaks.

use std::fmt::{self, Write};

/// Joins lines. A line break and the white space after it become one space; a break at the end
/// disappears.
pub(crate) struct OneLine<'w> {
    out: &'w mut dyn Write,
    broken: bool,
}

impl<'w> OneLine<'w> {
    pub(crate) fn new(out: &'w mut dyn Write) -> Self {
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

/// Indents further lines: writes the prefix and the hang after each line break. A break at the end
/// disappears.
///
/// A carriage return counts as a break. On a terminal it would let a message overwrite the prefix.
pub(super) struct Hanging<'w> {
    out: &'w mut dyn Write,
    prefix: &'w str,
    hang: &'w str,
    /// Breaks that are not written yet, because nothing has followed them.
    breaks: usize,
    /// The last break was a carriage return, so a line feed that follows is part of it.
    returned: bool,
}

impl<'w> Hanging<'w> {
    pub(super) fn new(out: &'w mut dyn Write, prefix: &'w str, hang: &'w str) -> Self {
        Self {
            out,
            prefix,
            hang,
            breaks: 0,
            returned: false,
        }
    }
}

impl Write for Hanging<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(['\n', '\r']) {
            let line = piece.trim_end_matches(['\n', '\r']);
            let end = &piece[line.len()..];
            if !line.is_empty() {
                let lead = format!("{}{}", self.prefix, self.hang);
                // An empty line does not end in spaces.
                for left in (0..std::mem::take(&mut self.breaks)).rev() {
                    let lead = if left > 0 { lead.trim_end() } else { &lead };
                    write!(self.out, "\n{lead}")?;
                }
                self.out.write_str(line)?;
                self.returned = false;
            }
            let second_half = end == "\n" && self.returned;
            self.breaks += usize::from(!end.is_empty() && !second_half);
            self.returned = end == "\r";
        }
        Ok(())
    }
}
