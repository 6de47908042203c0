//! The name in front of a line.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use anstyle::{AnsiColor, Reset, Style};
use console::measure_text_width;
use memchr::memchr;

use super::prefix::{Of, Ready};
use super::{Colour, Prefixed, Stream, is_coloured};

/// Names are padded to the widest, up to here.
const WIDEST: usize = 24;

/// Distinct on light and dark backgrounds alike. Red is reserved for failures.
const PALETTE: [AnsiColor; 10] = [
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Yellow,
    AnsiColor::BrightCyan,
    AnsiColor::BrightGreen,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightBlue,
    AnsiColor::BrightYellow,
];

/// `name | ` for each of the runner's streams. One of them may be coloured and the other not.
#[derive(Clone, Debug)]
pub(crate) struct Label(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    out: Prefix,
    err: Prefix,
}

/// `name | `, ready to be written.
#[derive(Clone, Debug)]
pub(crate) struct Prefix {
    text: Ready,
    coloured: bool,
    /// A terminal goes back to the start of its line at a `\r`, and so over the name.
    is_terminal: bool,
}

/// Creates labels of the same width.
pub(crate) struct Labels {
    width: usize,
    /// Whether standard output is coloured, and whether it is a terminal.
    out: (bool, bool),
    err: (bool, bool),
    prefixed: Prefixed,
}

impl Labels {
    /// As wide as the widest of `names`.
    pub(crate) fn fitting(
        names: impl Iterator<Item = impl AsRef<str>>,
        colour: Colour,
        prefixed: Prefixed,
    ) -> Labels {
        let width = names.map(|name| measure_text_width(name.as_ref())).max();
        let width = width.unwrap_or(0);
        Labels {
            width: width.min(WIDEST),
            out: (is_coloured(colour, Stream::Out), io::stdout().is_terminal()),
            err: (is_coloured(colour, Stream::Err), io::stderr().is_terminal()),
            prefixed,
        }
    }

    /// The label of a task, or of a step of cleanup. `map` has an argument for each.
    pub(crate) fn of_task(&self, index: usize, name: &str, argument: Option<&str>) -> Label {
        // In columns: a character may take two, or none.
        let width = self.width.saturating_sub(measure_text_width(name));
        let of = Of {
            index,
            name: &format!("{name}{:width$}", ""),
            argument,
        };
        let prefix = |(coloured, is_terminal): (bool, bool)| Prefix {
            text: self
                .prefixed
                .ready(&of, coloured.then(|| task_style(index))),
            coloured,
            is_terminal,
        };
        Label(Arc::new(Inner {
            name: name.to_owned(),
            out: prefix(self.out),
            err: prefix(self.err),
        }))
    }
}

impl Label {
    pub(crate) fn on(&self, stream: Stream) -> &Prefix {
        match stream {
            Stream::Out => &self.0.out,
            Stream::Err => &self.0.err,
        }
    }

    /// How wide what precedes a line on standard output is.
    pub(crate) fn columns(&self) -> usize {
        let mut prefix = Vec::new();
        self.0.out.text.write(&mut prefix);
        measure_text_width(&String::from_utf8_lossy(&prefix))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }
}

/// The colour of the task at `index`, in labels and in the report.
pub(crate) fn task_style(index: usize) -> Style {
    PALETTE[index % PALETTE.len()].on_default()
}

impl Prefix {
    /// Appends the line, named, to `out`.
    pub(crate) fn write(&self, line: &[u8], out: &mut Vec<u8>) {
        out.reserve(self.text.len() + line.len() + 8);
        self.text.write(out);
        if self.is_terminal {
            self.write_frames(line, out);
        } else {
            out.extend_from_slice(line);
        }
        // A command that leaves a colour switched on must not colour the others.
        if self.coloured && memchr(0x1b, line).is_some() {
            out.extend_from_slice(Reset.render().to_string().as_bytes());
        }
        out.push(b'\n');
    }

    /// With the name before each state of a line that overwrites itself.
    fn write_frames(&self, mut line: &[u8], out: &mut Vec<u8>) {
        while let Some(end) = memchr(b'\r', line) {
            out.extend_from_slice(&line[..=end]);
            line = &line[end + 1..];
            if !line.is_empty() && line[0] != b'\r' {
                self.text.write(out);
            }
        }
        out.extend_from_slice(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(colour: Colour, names: &[&str], line: &[u8]) -> Vec<u8> {
        let labels = Labels::fitting(names.iter().copied(), colour, "name".parse().unwrap());
        let mut out = Vec::new();
        labels
            .of_task(0, names[0], None)
            .on(Stream::Out)
            .write(line, &mut out);
        out
    }

    #[test]
    fn labels_are_padded_and_bytes_are_left_alone() {
        assert_eq!(
            written(Colour::Never, &["a", "build"], b"\xff\x1b[31m\r"),
            b"a     | \xff\x1b[31m\r\n"
        );
        assert_eq!(written(Colour::Never, &["build", "a"], b""), b"build | \n");
    }

    #[test]
    fn labels_are_padded_by_columns() {
        let names = ["日本語", "b", "e\u{301}"];
        assert_eq!(
            written(Colour::Never, &names, b""),
            "日本語 | \n".as_bytes()
        );
        let names = ["b", "日本語"];
        assert_eq!(written(Colour::Never, &names, b""), b"b      | \n");
        let names = ["e\u{301}", "ab"];
        assert_eq!(
            written(Colour::Never, &names, b""),
            "e\u{301}  | \n".as_bytes()
        );
    }

    #[test]
    fn on_a_terminal_each_state_of_a_line_has_the_name() {
        let label = Labels {
            width: 0,
            out: (false, true),
            err: (false, false),
            prefixed: "name".parse().unwrap(),
        };
        let label = label.of_task(0, "a", None);
        let prefix = label.on(Stream::Out);
        let written = |line: &[u8]| {
            let mut out = Vec::new();
            prefix.write(line, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(b"1%\r2%\r\r3%"), "a | 1%\ra | 2%\r\ra | 3%\n");
        assert_eq!(written(b"dos\r"), "a | dos\r\n");
    }

    #[test]
    fn a_colour_left_on_ends_with_its_line() {
        let written = |line: &[u8]| written(Colour::Always, &["a"], line);
        assert!(written(b"\x1b[31mred").ends_with(b"red\x1b[0m\n"));
        assert!(written(b"plain").ends_with(b"plain\n"));
    }
}
