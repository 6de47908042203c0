//! Reads from its journal what an earlier run did.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

/// The number of successes that may be skipped, by name and key. The same line twice in the input
/// of `map` is two tasks.
#[derive(Debug, Default)]
pub(crate) struct Past(HashMap<(String, String), u64>);

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
                Err(_) if recognised => {}
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
            *self.0.entry((task, key)).or_default() += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes one success, if there is one.
    pub(crate) fn take(&mut self, name: &str, key: &str) -> bool {
        match self.0.get_mut(&(name.to_owned(), key.to_owned())) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }
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
        assert!(past.take("a", "1") && past.take("a", "1") && !past.take("a", "1"));
        assert!(!past.take("a", "2") && !past.take("b", "2") && !past.take("c", "3"));
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
