//! The name in front of a line.

use std::sync::Arc;

use anstyle::{AnsiColor, Reset, Style};
use memchr::memchr;

use super::{Colour, Stream, is_coloured};

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
pub(crate) struct Label(Arc<(Prefix, Prefix)>);

/// `name | `, ready to be written.
#[derive(Clone, Debug)]
pub(crate) struct Prefix {
    text: Vec<u8>,
    coloured: bool,
}

/// Creates labels of the same width.
pub(crate) struct Labels {
    width: usize,
    out_coloured: bool,
    err_coloured: bool,
}

impl Labels {
    /// As wide as the widest of `names`.
    pub(crate) fn fitting(names: impl Iterator<Item = impl AsRef<str>>, colour: Colour) -> Labels {
        let width = names.map(|name| name.as_ref().chars().count()).max();
        let width = width.unwrap_or(0);
        Labels {
            width: width.min(WIDEST),
            out_coloured: is_coloured(colour, Stream::Out),
            err_coloured: is_coloured(colour, Stream::Err),
        }
    }

    pub(crate) fn of(&self, index: usize, name: &str) -> Label {
        let width = self.width;
        let prefix = |coloured| Prefix {
            text: if coloured {
                let style = task_style(index);
                format!("{style}{name:<width$} |{style:#} ").into_bytes()
            } else {
                format!("{name:<width$} | ").into_bytes()
            },
            coloured,
        };
        Label(Arc::new((
            prefix(self.out_coloured),
            prefix(self.err_coloured),
        )))
    }
}

impl Label {
    pub(crate) fn on(&self, stream: Stream) -> &Prefix {
        match stream {
            Stream::Out => &self.0.0,
            Stream::Err => &self.0.1,
        }
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
        out.extend_from_slice(&self.text);
        out.extend_from_slice(line);
        // A command that leaves a colour switched on must not colour the others.
        if self.coloured && memchr(0x1b, line).is_some() {
            out.extend_from_slice(Reset.render().to_string().as_bytes());
        }
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(colour: Colour, names: &[&str], line: &[u8]) -> Vec<u8> {
        let labels = Labels::fitting(names.iter().copied(), colour);
        let mut out = Vec::new();
        labels.of(0, names[0]).on(Stream::Out).write(line, &mut out);
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
    fn a_colour_left_on_ends_with_its_line() {
        let written = |line: &[u8]| written(Colour::Always, &["a"], line);
        assert!(written(b"\x1b[31mred").ends_with(b"red\x1b[0m\n"));
        assert!(written(b"plain").ends_with(b"plain\n"));
    }
}
