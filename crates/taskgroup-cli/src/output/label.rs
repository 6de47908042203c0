//! The name in front of a line.

use anstyle::{AnsiColor, Reset, Style};
use memchr::memchr;

/// Names are padded to the widest, up to here.
const WIDEST: usize = 24;

/// Told apart on light and dark grounds alike; red is left to failures.
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

/// `name | `, ready to be written.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    text: Vec<u8>,
    coloured: bool,
}

/// One label for each name, padded to the same width.
pub(crate) fn labels<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
    coloured: bool,
) -> Vec<Label> {
    let width = names
        .clone()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .min(WIDEST);
    names
        .enumerate()
        .map(|(index, name)| {
            let text = if coloured {
                let style = task_style(index);
                format!("{style}{name:<width$} |{style:#} ")
            } else {
                format!("{name:<width$} | ")
            };
            Label {
                text: text.into_bytes(),
                coloured,
            }
        })
        .collect()
}

/// The colour of the task at `index`, in labels and in the report.
pub(crate) fn task_style(index: usize) -> Style {
    PALETTE[index % PALETTE.len()].on_default()
}

impl Label {
    /// Appends the line, named, to `out`.
    pub(crate) fn write(&self, line: &[u8], out: &mut Vec<u8>) {
        out.reserve(self.text.len() + line.len() + 8);
        out.extend_from_slice(&self.text);
        out.extend_from_slice(line);
        // A command that leaves its colour on must not colour the others.
        if self.coloured && memchr(0x1b, line).is_some() {
            out.extend_from_slice(Reset.render().to_string().as_bytes());
        }
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(label: &Label, line: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        label.write(line, &mut out);
        out
    }

    #[test]
    fn labels_are_padded_and_bytes_are_left_alone() {
        let labels = labels(["a", "build"].into_iter(), false);
        assert_eq!(
            written(&labels[0], b"\xff\x1b[31m\r"),
            b"a     | \xff\x1b[31m\r\n"
        );
        assert_eq!(written(&labels[1], b""), b"build | \n");
    }

    #[test]
    fn a_colour_left_on_ends_with_its_line() {
        let labels = labels(["a"].into_iter(), true);
        assert!(written(&labels[0], b"\x1b[31mred").ends_with(b"red\x1b[0m\n"));
        assert!(written(&labels[0], b"plain").ends_with(b"plain\n"));
    }
}
