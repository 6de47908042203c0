//! Errors in a file, and where they are.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    title: String,
    span: Range<usize>,
    label: String,
    /// Other places that are related to it.
    context: Vec<(Range<usize>, String)>,
    help: Option<String>,
}

impl Fault {
    pub(super) fn new(
        span: Range<usize>,
        title: impl Into<String>,
        label: impl Into<String>,
    ) -> Fault {
        Fault {
            title: title.into(),
            span,
            label: label.into(),
            context: Vec::new(),
            help: None,
        }
    }

    pub(super) fn and(mut self, span: Range<usize>, label: impl Into<String>) -> Fault {
        self.context.push((span, label.into()));
        self
    }

    pub(super) fn help(mut self, help: Option<String>) -> Fault {
        self.help = help;
        self
    }
}

/// The nearest of the known words, if it is near enough for a slip.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.map(|known| (strsim::damerau_levenshtein(word, known), known));
    let (distance, nearest) = near.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + nearest.chars().count() / 3).then_some(nearest)
}

/// The most errors of a file that are shown. More come from one mistake, or from a generator.
pub(super) const MOST: usize = 100;

pub(super) fn render(path: &str, text: &str, faults: &[Fault], coloured: bool) -> String {
    let renderer = if coloured {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut out = String::new();
    for fault in faults.iter().take(MOST) {
        let marks = std::iter::once(
            AnnotationKind::Primary
                .span(within(text, &fault.span))
                .label(&fault.label),
        );
        let others = fault.context.iter().map(|(span, label)| {
            AnnotationKind::Context
                .span(within(text, span))
                .label(label)
        });
        let snippet = Snippet::source(text)
            .path(path)
            .annotations(marks.chain(others));
        let mut groups = vec![Level::ERROR.primary_title(&fault.title).element(snippet)];
        if let Some(help) = &fault.help {
            groups.push(Group::with_title(Level::HELP.secondary_title(help)));
        }
        out.push_str(&renderer.render(&groups));
        out.push_str("\n\n");
    }
    if let Some(more @ 1..) = faults.len().checked_sub(MOST) {
        out.push_str(&format!("error: {more} more errors in {path}\n"));
    }
    out
}

/// A span that is in the text and does not cut a character.
fn within(text: &str, span: &Range<usize>) -> Range<usize> {
    let floor = |mut index: usize| {
        index = index.min(text.len());
        while !text.is_char_boundary(index) {
            index -= 1;
        }
        index
    };
    let start = floor(span.start);
    start..floor(span.end).max(start)
}
