//! What stands in front of each line.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use anstyle::Style;

/// The parts of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefixed(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// Padded to the widest.
    Name,
    /// The whole argument of `map`, or else the name.
    Argument,
    /// The place in the order, from 1.
    Index,
    /// The time of the day when the line comes out, in UTC.
    Time,
}

/// Words for the usual ones.
const WORDS: [(&str, &str); 4] = [
    ("name", "{name} | "),
    ("argument", "{argument} | "),
    ("time", "{time} {name} | "),
    ("none", ""),
];

const PARTS: [(&str, Part); 4] = [
    ("{name}", Part::Name),
    ("{argument}", Part::Argument),
    ("{index}", Part::Index),
    ("{time}", Part::Time),
];

/// What a line belongs to.
pub(super) struct Of<'a> {
    pub(super) index: usize,
    /// Padded.
    pub(super) name: &'a str,
    pub(super) argument: Option<&'a str>,
}

/// A prefix, ready to be written. Between its texts stands the time.
#[derive(Clone, Debug)]
pub(super) struct Ready(Vec<Vec<u8>>);

/// A text with something in braces that is no part of a prefix.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownPart(String);

impl fmt::Display for UnknownPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = PARTS.map(|(text, _)| text).join(", ");
        match WORDS.iter().any(|(word, _)| self.0 == *word) || self.0.starts_with('{') {
            true => write!(f, "there is no {}; there are {parts}", self.0),
            false => write!(
                f,
                "it is neither {} nor a text with one of {parts}",
                WORDS.map(|(word, _)| word).join(", ")
            ),
        }
    }
}

impl std::error::Error for UnknownPart {}

impl FromStr for Prefixed {
    type Err = UnknownPart;

    fn from_str(text: &str) -> Result<Prefixed, UnknownPart> {
        if let Some((_, template)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Prefixed::from_template(template);
        }
        match text.contains('{') {
            true => Prefixed::from_template(text),
            // A word that is none of the usual ones is a mistake, not a prefix for all.
            false => Err(UnknownPart(text.to_owned())),
        }
    }
}

impl Prefixed {
    pub(crate) fn argument() -> Prefixed {
        Prefixed(vec![Part::Argument, Part::Text(" | ".to_owned())])
    }

    fn from_template(mut text: &str) -> Result<Prefixed, UnknownPart> {
        let mut parts = Vec::new();
        while !text.is_empty() {
            let end = text.find('{').unwrap_or(text.len());
            if end > 0 {
                parts.push(Part::Text(text[..end].to_owned()));
                text = &text[end..];
                continue;
            }
            let known = PARTS.iter().find(|(word, _)| text.starts_with(word));
            let Some((word, part)) = known else {
                let end = text.find('}').map_or(text.len(), |end| end + 1);
                return Err(UnknownPart(text[..end].to_owned()));
            };
            parts.push(part.clone());
            text = &text[word.len()..];
        }
        Ok(Prefixed(parts))
    }

    /// For the lines of one command, in its colour if it has one. A blank at the end has none.
    pub(super) fn ready(&self, of: &Of<'_>, style: Option<Style>) -> Ready {
        let mut texts = vec![String::new()];
        for part in &self.0 {
            let text = texts.last_mut().expect("it is never empty");
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Name => text.push_str(of.name),
                Part::Argument => text.push_str(of.argument.unwrap_or(of.name)),
                Part::Index => text.push_str(&(of.index + 1).to_string()),
                Part::Time => texts.push(String::new()),
            }
        }
        let is_empty = texts.len() == 1 && texts[0].is_empty();
        if let (Some(style), false) = (style, is_empty) {
            texts[0].insert_str(0, &style.render().to_string());
            let last = texts.last_mut().expect("it is never empty");
            let end = last.trim_end_matches(' ').len();
            last.insert_str(end, &style.render_reset().to_string());
        }
        Ready(texts.into_iter().map(String::into_bytes).collect())
    }
}

impl Ready {
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|text| text.len() + 12).sum()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let (first, rest) = self.0.split_first().expect("it is never empty");
        out.extend_from_slice(first);
        if rest.is_empty() {
            return;
        }
        // 2026-01-02T03:04:05.678Z
        let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let now = now.get(11..23).unwrap_or_default();
        for text in rest {
            out.extend_from_slice(now.as_bytes());
            out.extend_from_slice(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use anstyle::AnsiColor;

    use super::*;

    fn written(prefix: &str, style: Option<Style>) -> String {
        let prefix: Prefixed = prefix.parse().unwrap();
        let of = Of {
            index: 4,
            name: "a",
            argument: Some("d/a"),
        };
        let mut out = Vec::new();
        prefix.ready(&of, style).write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn words_and_templates() {
        assert_eq!(written("name", None), "a | ");
        assert_eq!(written("argument", None), "d/a | ");
        assert_eq!(written("none", None), "");
        assert_eq!(written("[{index}/{name}] ", None), "[5/a] ");
        let timed = written("<{time}> ", None);
        assert_eq!((timed.len(), &timed[..1], &timed[13..]), (15, "<", "> "));
        assert_eq!(
            "{name}{pid}".parse::<Prefixed>(),
            Err(UnknownPart("{pid}".into()))
        );
        assert_eq!(
            "{name".parse::<Prefixed>(),
            Err(UnknownPart("{name".into()))
        );
        assert_eq!(
            "title".parse::<Prefixed>(),
            Err(UnknownPart("title".into()))
        );
    }

    #[test]
    fn colour_ends_before_the_last_blank() {
        let green = Some(AnsiColor::Green.on_default());
        assert_eq!(written("name", green), "\u{1b}[32ma |\u{1b}[0m ");
        assert_eq!(written("none", green), "");
    }
}
