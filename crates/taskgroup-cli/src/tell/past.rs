//! Reads from its journal what an earlier run did.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

/// The number of successes that may be skipped, by key and name. The same line twice in the input
/// of `map` is two tasks.
#[derive(Debug, Default)]
pub(crate) struct Past(HashMap<String, HashMap<String, u64>>);

#[derive(Deserialize)]
struct Line {
    event: String,
    task: Option<String>,
    key: Option<String>,
    result: Option<String>,
}

impl Past {
    /// Reads a journal. A last line that was cut off by the end of its run does not count. A
    /// missing file counts as empty.
    pub(crate) fn read(path: &Path) -> io::Result<Past> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Past::default()),
            Err(error) => return Err(error),
        };
        let mut past = Past::default();
        let mut recognised = false;
        let mut number = 0;
        let mut reader = BufReader::new(file);
        let mut text = Vec::new();
        while reader.read_until(b'\n', &mut text)? > 0 {
            number += 1;
            match serde_json::from_slice::<Line>(&text) {
                Ok(line) => {
                    recognised |= line.event == "start";
                    past.add(line);
                }
                // Cut off by a SIGKILL. A resumed run continues below it.
                Err(_) if recognised || (number == 1 && is_cut_off(text.trim_ascii_start())) => {
                    recognised = true;
                }
                Err(error) => {
                    let text = format!("line {number} is not from a --json file: {error}");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
            text.clear();
        }
        Ok(past)
    }

    fn add(&mut self, line: Line) {
        let done = matches!(line.result.as_deref(), Some("succeeded"));
        if let ("ended", true, Some(task), Some(key)) = (&*line.event, done, line.task, line.key) {
            *self.0.entry(key).or_default().entry(task).or_default() += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes one success, if there is one. Without a name, that of any task with this key: a name
    /// of `map` depends on its other arguments.
    pub(crate) fn take(&mut self, name: Option<&str>, key: &str) -> bool {
        let Some(tasks) = self.0.get_mut(key) else {
            return false;
        };
        let count = match name {
            Some(name) => tasks.get_mut(name),
            None => tasks.values_mut().find(|count| **count > 0),
        };
        match count {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }
}

/// Whether this may be the first line of a journal, cut off by the end of its run. A run that was
/// resumed has ended it.
fn is_cut_off(text: &[u8]) -> bool {
    let begins = br#"{"event":"start""#;
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    !text.is_empty() && (text.starts_with(begins) || begins.starts_with(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> io::Result<Past> {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("journal");
        std::fs::write(&path, text).unwrap();
        Past::read(&path)
    }

    #[test]
    fn successes_are_counted_and_cut_lines_are_not() {
        let text = r#"{"event":"start","version":1}
{"event":"ended","task":"a","key":"1","result":"succeeded"}
{"event":"ended","task":"a","key":"1","result":"succeeded"}
{"event":"ended","task":"b","key":"2","result":"failed"}
{"event":"ended","task":"c","key":"3","result":"suc"#;
        let mut past = read(text).unwrap();
        let mut take = |name, key| past.take(Some(name), key);
        assert!(take("a", "1") && take("a", "1") && !take("a", "1"));
        assert!(!take("a", "2") && !take("b", "2") && !take("c", "3"));
        let mut past = read(text).unwrap();
        assert!(past.take(None, "1") && past.take(Some("a"), "1") && !past.take(None, "1"));
    }

    /// What was done counts wherever it was done.
    #[test]
    fn a_journal_with_nodes_and_one_without_are_the_same() {
        let text = r#"{"event":"start","version":1}
{"event":"ended","task":"a","key":"1","result":"succeeded"}
{"event":"ended","task":"b","key":"2","result":"succeeded","node":"n1","attempts":2,
"earlier":[{"attempt":1,"result":"lost","node":"n2"}]}
{"event":"ended","task":"c","key":"3","result":"lost","node":"n2"}
{"event":"end","job":{"id":"65","nodes":["n1","n2"],"own":true,"waited":1.5}}
"#;
        let mut past = read(&text.replace(",\n", ",")).unwrap();
        let mut take = |name, key| past.take(Some(name), key);
        assert!(take("a", "1") && take("b", "2") && !take("c", "3"));
    }

    #[test]
    fn a_first_line_that_was_cut_off_is_no_record() {
        for text in ["{\"ev", r#"{"event":"start","version":1,"ti"#] {
            assert!(read(text).unwrap().is_empty(), "{text}");
        }
        read("{\"name\": 1\n").unwrap_err();
    }

    /// The run was killed before it had written its first line, then resumed.
    #[test]
    fn a_journal_of_half_a_line_is_empty() {
        for cut in [
            "{",
            "{\"event\":\"st",
            "{\"event\":\"start\",\"version\":1,\"ti",
        ] {
            assert!(read(cut).unwrap().is_empty(), "{cut}");
            let resumed = format!(
                "{cut}\n{}\n{}\n",
                r#"{"event":"start","version":1}"#,
                r#"{"event":"ended","task":"a","key":"1","result":"succeeded"}"#
            );
            assert!(read(&resumed).unwrap().take(Some("a"), "1"), "{cut}");
        }
        assert!(read("{\"event\":\"stop\",").is_err());
        assert!(read("{}\n").is_err());
        assert!(read("\n").is_err());
    }

    #[test]
    fn other_files_are_refused() {
        let error = read("#!/bin/sh\n").unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
        assert!(read("").unwrap().is_empty());
        assert!(Past::read(Path::new("/nowhere/at/all")).unwrap().is_empty());
        assert!(Past::read(Path::new("/")).is_err());
    }
}
