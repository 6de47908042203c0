//! Writes figures into the guide's page on speed.
//!
//! The page has comments of the form `<!-- figures: ORDER -->`. The text between such a comment and
//! the next `<!-- end -->` is replaced. An order that the report cannot fill is an error, so the
//! page never has a gap or an old figure.
//!
//! Orders: `machine`; `left out`; `sizes ROW FLAVOUR`; `row ROW FLAVOUR N`; `languages`; `plot ROW`
//! and what the plot shows, in words.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::machine::workspace;
use crate::measure::Flavour;
use crate::plot::{self, grouped};
use crate::report::{Report, Series};
use crate::row::Row;

const OPEN: &str = "<!-- figures: ";
const END: &str = "<!-- end -->";

/// Writes the figures of a report into the page, and draws its plots.
pub(crate) fn write(report: &Report) -> Result<(), String> {
    let source = workspace().join("docs/guide/src");
    let page = source.join("speed.md");
    let say = |error: std::io::Error| format!("{}: {error}", page.display());
    let text = fs::read_to_string(&page).map_err(say)?;
    let filled = fill(&text, report)?;
    let plots = source.join("speed");
    fs::create_dir_all(&plots).map_err(say)?;
    draw(report, &plots).map_err(|error| error.to_string())?;
    fs::write(&page, filled).map_err(say)?;
    println!("written to {} and {}", page.display(), plots.display());
    Ok(())
}

fn draw(report: &Report, folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let lines = [
        (Row::SpawnJoin, "Children that end at once, two workers"),
        (Row::YieldsOnce, "Children that yield once, two workers"),
        (
            Row::FailFast,
            "From the failure until all have ended, two workers",
        ),
    ];
    for (row, title) in lines {
        plot::growth(report, row, title, &folder.join(format!("{row}.svg")))?;
    }
    let bars = [
        (Row::Memory, "Memory of a parked child, a million of them"),
        (Row::Nested, "A tree of groups, depth 14"),
    ];
    for (row, title) in bars {
        let n = row.sizes(false)[0];
        plot::bars(report, row, n, title, &folder.join(format!("{row}.svg")))?;
    }
    Ok(())
}

/// The page with the figures of this report.
fn fill(page: &str, report: &Report) -> Result<String, String> {
    let mut filled = String::with_capacity(page.len());
    let mut rest = page;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let (order, after) = after.split_once(" -->").ok_or("a comment has no end")?;
        let (_, after) = after
            .split_once(END)
            .ok_or_else(|| format!("after '{order}' there is no {END}"))?;
        let figures = figures(order, report)?;
        let _ = write!(
            filled,
            "{before}{OPEN}{order} -->\n\n{}\n\n{END}",
            figures.trim()
        );
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn figures(order: &str, report: &Report) -> Result<String, String> {
    let words: Vec<&str> = order.split(' ').collect();
    let text = match words[..] {
        ["machine"] => machine(report),
        ["left", "out"] => left_out(report),
        ["languages"] => languages(report),
        ["plot", row, ref shows @ ..] => of(report, row, Flavour::Multi.name())
            .first()
            .map(|_| format!("![{}](speed/{row}.svg)", shows.join(" "))),
        ["sizes", row, flavour] => sizes(report, row, flavour),
        ["row", row, flavour, n] => {
            let n: usize = n.parse().map_err(|_| format!("'{n}' is not a size"))?;
            one_row(report, row, flavour, n)
        }
        _ => {
            return Err(format!(
                "the page orders '{order}', which is not a known order"
            ));
        }
    };
    let Some(text) = text else {
        return Err(format!("the report has no figures for '{order}'"));
    };
    // A reader of a single table sees which engine it is about.
    if !text.starts_with('|') {
        return Ok(text);
    }
    let machine = &report.machine;
    let date = machine.date.get(..10).unwrap_or_default();
    Ok(format!(
        "{}\n\nRevision `{}`, {date}.",
        text.trim(),
        machine.revision
    ))
}

fn machine(report: &Report) -> Option<String> {
    let machine = &report.machine;
    let mut text = format!(
        "Measured on {} at revision `{}`: {}, {} cores, {} GiB, {}; {}; allocator: {}; \
         {} workers; medians of {} repetitions.",
        machine.date.get(..10)?,
        machine.revision,
        machine.processor,
        machine.cores,
        machine.memory_gib?,
        machine.system,
        machine.compiler,
        machine.allocator,
        machine.workers,
        machine.repetitions,
    );
    let versions = machine.versions.iter();
    let versions: Vec<_> = versions
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let _ = write!(text, "\n\nVersions: {}.", versions.join(", "));
    if machine.was_loaded() {
        let load = machine.load_before?;
        let _ = write!(
            text,
            "\n\n**An example only.** Other programs kept this machine busy (load {load:.1} on {} \
             cores when the run began), so these times are too long and even the ratios are rough.",
            machine.cores
        );
    }
    Some(wrapped(&text))
}

fn left_out(report: &Report) -> Option<String> {
    let mut text = String::new();
    for one in &report.left_out {
        let place = match (&one.row, &one.flavour, one.n) {
            (Some(row), Some(flavour), Some(n)) => {
                format!(", {row}, {flavour}, from {}", grouped(n as f64))
            }
            _ => String::new(),
        };
        let _ = writeln!(text, "- {}{place}: {}", one.peer, one.why);
    }
    Some(if text.is_empty() {
        "No contender was left out.".into()
    } else {
        wrapped(&text)
    })
}

/// The lines of `text`, broken at 100 columns. Further lines of a list item are indented.
fn wrapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let indent = if line.starts_with("- ") { "  " } else { "" };
        let mut width = 0;
        for word in line.split_whitespace() {
            let length = word.chars().count();
            if width > 0 && width + 1 + length > 100 {
                out.push('\n');
                out.push_str(indent);
                width = indent.len();
            } else if width > 0 {
                out.push(' ');
                width += 1;
            }
            out.push_str(word);
            width += length;
        }
        out.push('\n');
    }
    out
}

fn of<'a>(report: &'a Report, row: &str, flavour: &str) -> Vec<&'a Series> {
    let series = report.series.iter();
    series
        .filter(|one| one.row == row && one.flavour == flavour)
        .collect()
}

/// Contenders down, sizes across.
fn sizes(report: &Report, row: &str, flavour: &str) -> Option<String> {
    let series = of(report, row, flavour);
    let unit = &series.first()?.unit;
    let (mut columns, mut peers) = (Vec::new(), Vec::new());
    for one in &series {
        if !columns.contains(&one.n) {
            columns.push(one.n);
        }
        if !peers.contains(&&one.peer) {
            peers.push(&one.peer);
        }
    }
    let heads: Vec<_> = columns.iter().map(|n| grouped(*n as f64)).collect();
    let mut text = format!(
        "| {unit} | {} |\n|---|{}\n",
        heads.join(" | "),
        "--:|".repeat(columns.len())
    );
    for peer in peers {
        let _ = write!(text, "| {peer} |");
        for n in &columns {
            let found = series.iter().find(|one| one.peer == *peer && one.n == *n);
            let value = found.map_or_else(|| "–".into(), |one| grouped(one.median));
            let _ = write!(text, " {value} |");
        }
        text.push('\n');
    }
    Some(text)
}

/// Contenders down; median, ends and ratio across.
fn one_row(report: &Report, row: &str, flavour: &str, n: usize) -> Option<String> {
    let mut series = of(report, row, flavour);
    series.retain(|one| one.n == n);
    let first = series.first()?;
    let yardstick = first.yardstick()?;
    let waits = first.p99.is_some();
    let mut text = format!("| {} | median | min | max | ÷ {yardstick} |", first.unit);
    let mut line = String::from("|---|--:|--:|--:|--:|");
    if waits {
        text.push_str(" p99 | its ratio |");
        line.push_str("--:|--:|");
    }
    let _ = writeln!(text, "\n{line}");
    let ratio =
        |ratio: Option<f64>| ratio.map_or_else(|| "–".into(), |ratio| format!("{ratio:.2}"));
    for one in series {
        let _ = write!(
            text,
            "| {} | {} | {} | {} | {} |",
            one.peer,
            grouped(one.median),
            grouped(one.min),
            grouped(one.max),
            ratio(one.ratio)
        );
        if let Some(p99) = one.p99 {
            let _ = write!(text, " {} | {} |", grouped(p99), ratio(one.ratio_p99));
        }
        text.push('\n');
    }
    Some(text)
}

/// The library next to the other languages, for all work that these can do.
fn languages(report: &Report) -> Option<String> {
    let mut peers = vec!["taskgroup"];
    peers.extend(crate::foreign::NAMES);
    let mut text = format!(
        "| ns each | n | {} |\n|---|--:|{}\n",
        peers.join(" | "),
        "--:|".repeat(peers.len())
    );
    let mut lines = 0;
    for own in of(report, "nested", "multi")
        .into_iter()
        .chain(
            [
                "spawn_join",
                "yields_once",
                "fail_fast",
                "timeout_ready",
                "timeout_woken",
            ]
            .iter()
            .flat_map(|row| of(report, row, "multi")),
        )
        .filter(|one| one.peer == "taskgroup")
    {
        let beside = |peer: &str| {
            let mut series = report.series.iter();
            series.find(|one| {
                one.peer == peer
                    && one.row == own.row
                    && one.flavour == own.flavour
                    && one.n == own.n
            })
        };
        if !crate::foreign::NAMES
            .iter()
            .any(|name| beside(name).is_some())
        {
            continue;
        }
        lines += 1;
        let _ = write!(text, "| {} | {} |", own.row, grouped(own.n as f64));
        for peer in &peers {
            let value = beside(peer).map_or_else(|| "–".into(), |one| grouped(one.median));
            let _ = write!(text, " {value} |");
        }
        text.push('\n');
    }
    (lines > 0).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Flavour;

    fn report() -> Report {
        let mut series: Vec<Series> = [("taskgroup", 50.0), ("joinset", 500.0)]
            .iter()
            .filter_map(|(peer, value)| {
                Series::new(Row::SpawnJoin, Flavour::Multi, 10, peer, &[*value])
            })
            .collect();
        Series::compare(&mut series);
        Report {
            machine: crate::machine::Machine::read(2, 1, false),
            series,
            left_out: Vec::new(),
        }
    }

    #[test]
    fn old_figures_are_replaced_and_the_text_around_them_stays() {
        let page = "before\n<!-- figures: row spawn_join multi 10 -->\nold\n<!-- end -->\nafter";
        let filled = fill(page, &report()).unwrap();
        assert!(filled.starts_with("before\n") && filled.ends_with("\nafter"));
        assert!(!filled.contains("old"));
        assert!(
            filled.contains("| taskgroup | 50 | 50 | 50 | 0.10 |"),
            "{filled}"
        );
        assert_eq!(fill(&filled, &report()).unwrap(), filled);
    }

    #[test]
    fn what_was_not_measured_is_an_error_and_no_gap() {
        let page = "<!-- figures: row spawn_join multi 11 --><!-- end -->";
        let error = fill(page, &report()).unwrap_err();
        assert_eq!(
            error,
            "the report has no figures for 'row spawn_join multi 11'"
        );
    }

    #[test]
    fn a_plot_is_a_picture_of_what_was_measured() {
        let page = "<!-- figures: plot spawn_join Time per child --><!-- end -->";
        let filled = fill(page, &report()).unwrap();
        assert!(
            filled.contains("\n![Time per child](speed/spawn_join.svg)\n"),
            "{filled}"
        );
        let page = "<!-- figures: plot nested Time per group --><!-- end -->";
        assert!(fill(page, &report()).is_err());
    }

    #[test]
    fn an_order_that_never_ends_is_an_error() {
        let error = fill("<!-- figures: machine -->", &report()).unwrap_err();
        assert_eq!(error, "after 'machine' there is no <!-- end -->");
    }
}
