//! One self-contained page with the timeline.
//!
//! The page is a file beside this one with places for the title and one for the data. What is drawn
//! where is decided here; the script on the page only scales, scrolls and answers.

use std::io::{self, Write};

use serde::Serialize;

use super::model::Recording;

const PAGE: &str = include_str!("timeline.html");
const TITLE: &str = "{{title}}";
const DATA: &str = "{{data}}";

/// What the page is given.
#[derive(Serialize)]
struct Page<'a> {
    title: &'a str,
    duration: u64,
    omitted: u64,
    rows: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    depth: usize,
    kind: &'a str,
    name: &'a str,
    id: &'a str,
    at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<&'a str>,
    spawned: u64,
    end: u64,
    /// From where to where in which phase.
    phases: Vec<(&'static str, u64, u64)>,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// The row of who caused its cancellation.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<usize>,
    /// Others were cancelled because of it.
    cause: bool,
    /// When its grace was over; that phase may be empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    killed: Option<u64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    details: &'a [(String, String)],
}

impl Recording {
    /// Writes one self-contained HTML page: a timeline with the tasks as bars below what they are
    /// part of.
    ///
    /// The colours tell queued, running, cancelling, cleanup and killed apart; who caused a
    /// cancellation is marked. If there are [places](super::TaskRecord::place), a button groups the
    /// bars by them instead. The page needs nothing from the network, follows the reader's light
    /// or dark preference, and works with the keyboard.
    ///
    /// ```
    /// use taskgroup::observe::recorder::Recording;
    ///
    /// let mut page = Vec::new();
    /// Recording::default().titled("nothing yet").write_html(&mut page)?;
    /// assert!(page.starts_with(b"<!doctype html>"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_html(&self, out: impl Write) -> io::Result<()> {
        let mut out = io::BufWriter::new(out);
        let title = if self.title.is_empty() {
            "Timeline"
        } else {
            &self.title
        };
        let (mut page, tail) = cut(PAGE, DATA);
        while let Some((before, after)) = page.split_once(TITLE) {
            out.write_all(before.as_bytes())?;
            out.write_all(escape(title).as_bytes())?;
            page = after;
        }
        out.write_all(page.as_bytes())?;
        let data = serde_json::to_string(&self.page(title))?;
        // In a script nothing but a `<` could end it.
        out.write_all(data.replace('<', "\\u003c").as_bytes())?;
        out.write_all(tail.as_bytes())?;
        out.flush()
    }

    fn page<'a>(&'a self, title: &'a str) -> Page<'a> {
        let order = self.rows();
        let mut row_of = vec![0; self.tasks.len()];
        for (row, &(index, _)) in order.iter().enumerate() {
            row_of[index] = row;
        }
        let causes = self.causes();
        let mut duration = self.duration_ns;
        let rows = order
            .iter()
            .map(|&(index, depth)| {
                let task = &self.tasks[index];
                let end = task
                    .ended_ns
                    .unwrap_or(self.duration_ns)
                    .max(task.spawned_ns);
                duration = duration.max(end);
                Row {
                    depth,
                    kind: &task.kind,
                    name: &task.name,
                    id: &task.id,
                    at: &task.location,
                    place: task.place.as_deref(),
                    spawned: task.spawned_ns,
                    end,
                    phases: task
                        .phases(self.duration_ns)
                        .into_iter()
                        .map(|(phase, from, to)| (phase.as_str(), from, to))
                        .collect(),
                    outcome: task.outcome.map_or("unfinished", super::Outcome::as_str),
                    error: task.error.as_deref(),
                    reason: task.reason.as_deref(),
                    by: task.caused_by.and_then(|by| row_of.get(by).copied()),
                    cause: causes[index],
                    killed: task
                        .killed_ns
                        .map(|killed| killed.min(end))
                        .or_else(|| (task.outcome == Some(super::Outcome::Killed)).then_some(end)),
                    details: &task.details,
                }
            })
            .collect();
        Page {
            title,
            duration,
            omitted: self.omitted,
            rows,
        }
    }
}

fn cut<'a>(text: &'a str, at: &str) -> (&'a str, &'a str) {
    match text.split_once(at) {
        Some(halves) => halves,
        None => unreachable!("the page has a place for {at}"),
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}
