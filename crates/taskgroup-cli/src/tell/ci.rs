//! What the systems that run a build understand: groups that can be folded, errors with a name, and
//! tests. Each is a line in the log.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::duration::Human;
use crate::output::{Ci, Heading};
use crate::record::{Ending, Entry, Summary};
use crate::report;

/// The most rows of a table. A page of GitHub has room for about a megabyte.
const ROWS: usize = 500;

/// What folds the output of a command, under this title.
pub(crate) fn fold(ci: Ci, id: usize, title: &str, failed: bool, ran: Duration) -> Heading {
    let (before, after) = match ci {
        Ci::Github => (format!("::group::{title}\n"), "::endgroup::\n".to_owned()),
        Ci::Gitlab => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.unwrap_or_default();
            let began = now.saturating_sub(ran).as_secs();
            let now = now.as_secs();
            let section = format!("taskgroup_{}_{id}", std::process::id());
            let options = format!("[collapsed={}]", !failed);
            (
                format!("\x1b[0Ksection_start:{began}:{section}{options}\r\x1b[0K{title}\n"),
                format!("\x1b[0Ksection_end:{now}:{section}\r\x1b[0K\n"),
            )
        }
        Ci::Teamcity => {
            let name = teamcity(title);
            (
                format!("##teamcity[blockOpened name='{name}']\n"),
                format!("##teamcity[blockClosed name='{name}']\n"),
            )
        }
        Ci::Auto | Ci::None => (format!("{title}\n"), String::new()),
    };
    Heading {
        before: before.into_bytes(),
        after: after.into_bytes(),
    }
}

/// The task as a test, for TeamCity. A failure may be `forgiven`, at least for now: the race goes
/// on. If it is lost, the exit code says so.
pub(crate) fn test(entry: &Entry, forgiven: bool) -> String {
    let name = teamcity(&report::named(entry));
    let flow = format!("flowId='taskgroup-{}'", entry.id);
    let mut text = format!("##teamcity[testStarted name='{name}' {flow}]\n");
    let what = teamcity(&report::what(entry));
    match &entry.record.ending {
        // A failed test fails the build.
        _ if entry.ignored || forgiven => {
            let why = if entry.ignored {
                "ignored"
            } else {
                "in a race"
            };
            let _ = writeln!(
                text,
                "##teamcity[testIgnored name='{name}' message='{what} ({why})' {flow}]"
            );
        }
        ending if ending.is_failure() => {
            let details = teamcity(&report::ends(&entry.record));
            let _ = writeln!(
                text,
                "##teamcity[testFailed name='{name}' message='{what}' details='{details}' {flow}]"
            );
        }
        Ending::NotStarted | Ending::DoneBefore | Ending::Cancelled(_) => {
            let _ = writeln!(
                text,
                "##teamcity[testIgnored name='{name}' message='{what}' {flow}]"
            );
        }
        _ => {}
    }
    let millis = entry.took().as_millis();
    let _ = writeln!(
        text,
        "##teamcity[testFinished name='{name}' duration='{millis}' {flow}]"
    );
    text
}

/// The failures as annotations, for GitHub.
pub(crate) fn annotations(summary: &Summary) -> String {
    let mut text = String::new();
    for entry in &summary.entries {
        let level = match entry.record.is_failure() {
            true if entry.forgiven().is_some() => "warning",
            true => "error",
            false if entry.is_flaky() => "warning",
            false => continue,
        };
        let title = github(&report::named(entry)).replace(':', "%3A");
        let title = title.replace(',', "%2C");
        let mut message = report::what(entry);
        let said = report::ends(&entry.record);
        if !said.is_empty() {
            message = format!("{message}\n{said}");
        }
        let _ = writeln!(text, "::{level} title={title}::{}", github(&message));
    }
    text
}

/// The run as a table, in Markdown.
pub(crate) fn table(summary: &Summary, headline: &str) -> String {
    let mut text = format!("### {}\n\n", markdown(headline));
    let rank = |entry: &&Entry| match &entry.record.ending {
        ending if ending.is_failure() => 0,
        Ending::Cancelled(_) => 1,
        _ if entry.is_notable() => 2,
        Ending::NotStarted => 3,
        _ => 4,
    };
    let mut entries: Vec<&Entry> = summary.entries.iter().collect();
    entries.sort_by_key(rank);
    let has_nodes = summary.job.is_some();
    if !entries.is_empty() {
        text.push_str(match has_nodes {
            true => "| | task | node | took | |\n|---|---|---|---:|---|\n",
            false => "| | task | took | |\n|---|---|---:|---|\n",
        });
    }
    for entry in entries.iter().take(ROWS) {
        let mark = match &entry.record.ending {
            ending if ending.is_failure() => "❌",
            ending if ending.is_success() && entry.is_flaky() => "⚠️",
            ending if ending.is_success() => "✅",
            Ending::NotStarted => "⏭️",
            _ => "⏹️",
        };
        let node = entry.record.node.as_deref().unwrap_or_default();
        let node = match has_nodes {
            true => format!(" {} |", markdown(node)),
            false => String::new(),
        };
        let _ = writeln!(
            text,
            "| {mark} | {} |{node} {} | {} |",
            markdown(&report::named(entry)),
            Human(entry.took()),
            markdown(&report::what(entry)),
        );
    }
    let kept = entries.len() as u64;
    let left = (summary.counts.ended().max(kept)).saturating_sub(kept.min(ROWS as u64));
    if left > 0 {
        let _ = writeln!(text, "\nand {left} more");
    }
    text.push('\n');
    text
}

fn github(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn teamcity(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '\'' | '|' | '[' | ']' => escaped.extend(['|', c]),
            '\n' => escaped.push_str("|n"),
            '\r' => escaped.push_str("|r"),
            c if c.is_ascii() => escaped.push(c),
            c => {
                // Its messages have UTF-16 units.
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(escaped, "|0x{unit:04x}");
                }
            }
        }
    }
    escaped
}

fn markdown(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '~' | '#' | '@' => escaped.extend(['\\', c]),
            '\n' | '\r' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tell::sample;

    #[test]
    fn the_table_has_a_column_of_nodes_if_there_is_a_job() {
        let mut summary = sample::on_two_nodes();
        let table = |summary: &Summary| table(summary, &report::in_short(summary));
        let text = table(&summary);
        for line in [
            "### 1 failed, 3 cancelled, 9 not started, 17 succeeded (1 not at the first attempt) \
             in 7.60s, in job 65 on 2 nodes, waited 5.00s for it",
            "| | task | node | took | |",
            "|---|---|---|---:|---|",
            "| ❌ | item-20 | n2 | 0.30s | exit code 3, after 0.30s on n2 |",
            "| ✅ | prepare |  | 0.90s | after 0.90s |",
        ] {
            assert!(
                text.lines().any(|other| other == line),
                "no {line} in {text}"
            );
        }
        summary.job = None;
        let text = table(&summary);
        assert!(
            text.contains("\n| ✅ | prepare | 0.90s | after 0.90s |\n"),
            "{text}"
        );
    }

    #[test]
    fn foreign_text_ends_no_line_and_is_no_markup() {
        assert_eq!(github("50%\r\n::error::"), "50%25%0D%0A::error::");
        assert_eq!(teamcity("it's [a|b]\né"), "it|'s |[a||b|]|n|0x00e9");
        assert_eq!(markdown("a|b <i>\n`c`"), "a\\|b &lt;i&gt; \\`c\\`");
    }

    #[test]
    fn a_fold_opens_and_closes() {
        let text = |ci| {
            let heading = fold(ci, 3, "[1/2] a: after 0.10s", true, Duration::ZERO);
            let text = [heading.before, heading.after].concat();
            String::from_utf8(text).unwrap()
        };
        assert_eq!(
            text(Ci::Github),
            "::group::[1/2] a: after 0.10s\n::endgroup::\n"
        );
        assert!(text(Ci::Gitlab).contains("_3[collapsed=false]\r\x1b[0K[1/2] a: after 0.10s\n"));
        assert!(text(Ci::Teamcity).starts_with("##teamcity[blockOpened name='|[1/2|] a: "));
        assert_eq!(text(Ci::None), "[1/2] a: after 0.10s\n");
    }
}
