//! The input of `map`: lines of standard input, arguments, lines of files.
//!
//! A thread reads a few lines ahead and then waits until they are taken. So an endless input does
//! not fill the memory, and the writer at the other end is slowed down. It is a thread because a
//! read of standard input cannot be cancelled. If the run ends first, the thread is left behind.
//!
//! `template` makes the script from the command that was typed.

mod template;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use memchr::memmem;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use tokio::sync::mpsc;

use self::template::Item;
pub(crate) use self::template::{Columns, Script};
use crate::plan::{TaskSpec, Total, names::Namer};

/// How many lines are read ahead.
const AHEAD: usize = 16;

/// Longer lines cannot be arguments: the kernel accepts none above 128 KiB.
const LONGEST: u64 = 128 << 10;

/// The tasks that were read, in order. Clones are the same input.
#[derive(Clone)]
pub(crate) struct Input(Arc<tokio::sync::Mutex<mpsc::Receiver<TaskSpec>>>);

impl Input {
    /// Cancel safe.
    pub(crate) async fn next(&self) -> Option<TaskSpec> {
        self.0.lock().await.recv().await
    }
}

pub(crate) struct Source {
    /// The task without its argument and name.
    pub(crate) template: TaskSpec,
    pub(crate) script: Script,
    pub(crate) items: Items,
    /// How many tasks there are, once that is known.
    pub(crate) total: Total,
}

/// Where arguments come from, and how they become those of one command.
pub(crate) struct Items {
    /// With several, each argument of one is combined with each of the others. Those that stand
    /// together are linked: they are read side by side.
    pub(crate) sources: Vec<Vec<From>>,
    /// Linked sources that end early begin again. Without this, the shortest one counts.
    pub(crate) repeat: bool,
    /// What ends a line.
    pub(crate) end: u8,
    /// What is between the columns of a line.
    pub(crate) separator: Option<OsString>,
    /// How many rows a command gets. A row is an argument, or the arguments that belong together in
    /// several lists or columns.
    pub(crate) batch: Option<NonZeroUsize>,
    pub(crate) shuffled: bool,
    /// The lines are what commands read, in blocks of about this many bytes.
    pub(crate) pipe: Option<usize>,
}

pub(crate) enum From {
    Arguments(Vec<OsString>),
    /// Opened, because a pipe can be opened only once.
    File(PathBuf, File),
    Stdin,
}

/// Takes the next value. False when no more are wanted.
type Take<'a, T> = &'a mut dyn FnMut(T) -> io::Result<bool>;

/// What is known of the input after the run.
pub(crate) struct Reading {
    failure: Arc<Mutex<Option<io::Error>>>,
    input: Input,
    total: Total,
    sources: Vec<OwnedFd>,
}

impl Reading {
    pub(crate) fn start(source: Source) -> io::Result<(Input, Reading)> {
        let ahead = match source.items.pipe {
            // Each is as large as many lines.
            Some(_) => 1,
            None => AHEAD,
        };
        let (sender, input) = mpsc::channel(ahead);
        let input = Input(Arc::new(tokio::sync::Mutex::new(input)));
        let failure = Arc::new(Mutex::new(None));
        let reading = Reading {
            failure: Arc::clone(&failure),
            input: input.clone(),
            total: Arc::clone(&source.total),
            sources: source.items.descriptors()?,
        };
        thread::Builder::new()
            .name("input".to_owned())
            .spawn(move || {
                let fed = source.each(&mut |task| sender.blocking_send(task).is_ok());
                if let Err(error) = fed {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            })?;
        Ok((input, reading))
    }

    /// What the run has left over, if all of it is there and nothing has to be waited for.
    pub(crate) fn rest(&self) -> Option<Input> {
        let is_there = self.total.get().is_some() || self.sources.iter().all(has_ended);
        is_there.then(|| self.input.clone())
    }

    /// Why the input was not read to its end.
    pub(crate) fn error(&self) -> Option<io::Error> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take()
    }
}

/// Whether no more will be written to what is read. An input that is not written any more can be
/// read to its end without waiting.
fn has_ended(source: &OwnedFd) -> bool {
    if fstat(source).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file()) {
        return true;
    }
    let mut source = [PollFd::new(source, PollFlags::empty())];
    let looked = poll(&mut source, Some(&Timespec::default()));
    looked.is_ok() && source[0].revents().contains(PollFlags::HUP)
}

/// The names of up to this many arguments are chosen together, so that they are as short as can be.
const NAMED_TOGETHER: usize = 100_000;

impl Source {
    /// Reads the input, and hands out each task until that returns false.
    pub(crate) fn each(self, out: &mut dyn FnMut(TaskSpec) -> bool) -> io::Result<()> {
        let Source {
            template,
            script,
            items,
            total,
        } = self;
        let mut number = 0;
        let mut hand_out = |name: String, columns: Vec<OsString>, input: Option<Vec<u8>>| {
            number += 1;
            let mut task = template.clone();
            task.name = name;
            task.work.command = script.command(&Item { columns, number });
            task.work.input = input.map(Into::into);
            out(task)
        };
        let mut wanted = true;
        if let Some(size) = items.pipe {
            let mut blocks: u64 = 0;
            each_block(io::stdin().lock(), &items, size, &mut |block| {
                blocks += 1;
                wanted = hand_out(blocks.to_string(), Vec::new(), Some(block));
                Ok(wanted)
            })?;
        } else if items.total().is_some_and(|total| total <= NAMED_TOGETHER) {
            let mut rows = Vec::new();
            items.each(&mut |columns| {
                rows.push(columns);
                Ok(true)
            })?;
            let joined: Vec<OsString> = rows.iter().map(|row| joined(row)).collect();
            let mut named = Namer::list(&joined).into_iter().zip(rows);
            wanted = named.all(|(name, columns)| hand_out(name, columns, None));
        } else {
            let mut namer = Namer::default();
            items.each(&mut |columns| {
                wanted = hand_out(namer.next(&joined(&columns)), columns, None);
                Ok(wanted)
            })?;
        }
        if wanted {
            let _ = total.set(number);
        }
        Ok(())
    }
}

/// All arguments of a command as one text.
fn joined(columns: &[OsString]) -> OsString {
    columns.join(OsStr::new(" "))
}

impl Items {
    /// How many tasks there will be, if that is known.
    pub(crate) fn total(&self) -> Option<usize> {
        let mut total: usize = 1;
        for linked in &self.sources {
            let lengths = linked.iter().map(|source| match source {
                From::Arguments(arguments) => Some(arguments.len()),
                From::File(..) | From::Stdin => None,
            });
            let lengths: Vec<usize> = lengths.collect::<Option<_>>()?;
            let (shortest, longest) = (lengths.iter().min()?, lengths.iter().max()?);
            let rows = if self.repeat && *shortest > 0 {
                longest
            } else {
                shortest
            };
            total = total.checked_mul(*rows)?;
        }
        let batch = self.batch.map_or(1, NonZeroUsize::get);
        Some(total.div_ceil(batch))
    }

    fn every(&self) -> impl Iterator<Item = &From> {
        self.sources.iter().flatten()
    }

    pub(crate) fn reads_stdin(&self) -> bool {
        self.every().any(|source| matches!(source, From::Stdin))
    }

    /// The files that are read.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.every().filter_map(|source| match source {
            From::File(path, _) => Some(&**path),
            From::Arguments(_) | From::Stdin => None,
        })
    }

    /// What is read.
    fn descriptors(&self) -> io::Result<Vec<OwnedFd>> {
        let descriptor = |source: &From| match source {
            From::Arguments(_) => None,
            From::File(_, file) => Some(file.as_fd().try_clone_to_owned()),
            From::Stdin => Some(io::stdin().as_fd().try_clone_to_owned()),
        };
        let of_blocks = self.pipe.map(|_| &From::Stdin);
        self.every()
            .chain(of_blocks)
            .filter_map(descriptor)
            .collect()
    }

    /// How many arguments a command gets.
    pub(crate) fn columns(&self) -> Columns {
        if self.pipe.is_some() {
            return Columns::None;
        }
        match (&self.separator, self.batch, self.every().count()) {
            (None, None, 1) => Columns::One,
            (None, None, sources) => Columns::Several(Some(sources)),
            (None, Some(batch), sources) => Columns::Several(batch.get().checked_mul(sources)),
            (Some(_), ..) => Columns::Several(None),
        }
    }

    fn each(self, out: Take<'_, Vec<OsString>>) -> io::Result<()> {
        let Items {
            sources,
            repeat,
            end,
            separator,
            batch,
            shuffled,
            pipe: _,
        } = self;
        let batch = batch.map_or(1, NonZeroUsize::get);
        let mut left: Vec<OsString> = Vec::new();
        let mut rows_left = 0;
        let mut wanted = true;
        let mut rows = |row: Vec<OsString>| -> io::Result<bool> {
            let columns = match &separator {
                Some(separator) => row.iter().flat_map(|text| split(text, separator)).collect(),
                None => row,
            };
            left.extend(columns);
            rows_left += 1;
            if rows_left == batch {
                rows_left = 0;
                wanted = out(std::mem::take(&mut left))?;
            }
            Ok(wanted)
        };
        let sources = sources.into_iter();
        let sources = sources.map(|linked| Linked::new(linked, end, repeat));
        if shuffled {
            let mut all = Vec::new();
            combined(sources, &mut |row| {
                all.push(row);
                Ok(true)
            })?;
            fastrand::shuffle(&mut all);
            for row in all {
                if !rows(row)? {
                    break;
                }
            }
        } else {
            combined(sources, &mut rows)?;
        }
        if wanted && rows_left > 0 {
            out(left)?;
        }
        Ok(())
    }
}

/// The arguments of one source, as they are read.
type Values = Box<dyn Iterator<Item = io::Result<OsString>>>;

impl From {
    fn values(self, end: u8) -> Values {
        match self {
            From::Arguments(arguments) => Box::new(arguments.into_iter().map(Ok)),
            From::File(path, file) => {
                Box::new(Lines::new(BufReader::new(file), end).map(move |line| {
                    line.map_err(|error| {
                        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
                    })
                }))
            }
            From::Stdin => Box::new(Lines::new(io::stdin().lock(), end)),
        }
    }
}

/// Sources side by side: the first argument of each, then the second one of each, and so on.
struct Linked {
    sources: Vec<Values>,
    /// For each source, whether it has ended.
    ended: Vec<bool>,
    /// For each source, what it begins again with when it has ended. Empty if none does.
    kept: Vec<Vec<OsString>>,
    repeat: bool,
    /// How many rows there were.
    rows: usize,
}

impl Linked {
    fn new(sources: Vec<From>, end: u8, repeat: bool) -> Linked {
        Linked {
            ended: vec![false; sources.len()],
            kept: vec![Vec::new(); sources.len()],
            sources: sources
                .into_iter()
                .map(|source| source.values(end))
                .collect(),
            repeat,
            rows: 0,
        }
    }

    fn row(&mut self) -> io::Result<Option<Vec<OsString>>> {
        // The last one that goes on never begins again.
        let keep = self.repeat && self.ended.iter().filter(|&&ended| !ended).count() > 1;
        let mut row = Vec::new();
        for (place, source) in self.sources.iter_mut().enumerate() {
            let kept = &mut self.kept[place];
            if !self.ended[place] {
                if let Some(value) = source.next().transpose()? {
                    if keep {
                        kept.push(value.clone());
                    }
                    row.push(value);
                    continue;
                }
                self.ended[place] = true;
            }
            if !self.repeat || kept.is_empty() {
                return Ok(None);
            }
            row.push(kept[self.rows % kept.len()].clone());
        }
        self.rows += 1;
        Ok(self.ended.contains(&false).then_some(row))
    }
}

impl Iterator for Linked {
    type Item = io::Result<Vec<OsString>>;

    fn next(&mut self) -> Option<io::Result<Vec<OsString>>> {
        self.row().transpose()
    }
}

/// Each combination, the last source first, as nested loops would go through them. Only the first
/// source is read piece by piece.
fn combined(
    mut sources: impl Iterator<Item = Linked>,
    out: Take<'_, Vec<OsString>>,
) -> io::Result<()> {
    let Some(first) = sources.next() else {
        return Ok(());
    };
    let others = sources.map(Iterator::collect);
    let others: Vec<Vec<Vec<OsString>>> = others.collect::<io::Result<_>>()?;
    if others.iter().any(Vec::is_empty) {
        return Ok(());
    }
    for row in first {
        let mut row = row?;
        let own = row.len();
        let mut at = vec![0; others.len()];
        loop {
            row.truncate(own);
            for (rows, at) in others.iter().zip(&at) {
                row.extend_from_slice(&rows[*at]);
            }
            if !out(row.clone())? {
                return Ok(());
            }
            // The last one that has more goes on, and those after it begin again.
            let goes_on = |&place: &usize| at[place] + 1 < others[place].len();
            let Some(place) = (0..others.len()).rev().find(goes_on) else {
                break;
            };
            at[place] += 1;
            at[place + 1..].fill(0);
        }
    }
    Ok(())
}

/// Whole lines, about this many bytes or exactly this many lines at a time.
fn each_block(
    mut input: impl BufRead,
    items: &Items,
    size: usize,
    each: Take<'_, Vec<u8>>,
) -> io::Result<()> {
    loop {
        let mut block = Vec::new();
        match items.batch {
            Some(lines) => {
                for _ in 0..lines.get() {
                    if input.read_until(items.end, &mut block)? == 0 {
                        break;
                    }
                }
            }
            None => {
                Read::take(&mut input, size as u64).read_to_end(&mut block)?;
                if !block.is_empty() && block.last() != Some(&items.end) {
                    input.read_until(items.end, &mut block)?;
                }
            }
        }
        if block.is_empty() || !each(block)? {
            return Ok(());
        }
    }
}

fn split(text: &OsStr, separator: &OsStr) -> Vec<OsString> {
    let (text, separator) = (text.as_bytes(), separator.as_bytes());
    let mut parts = Vec::new();
    let mut begin = 0;
    for at in memmem::find_iter(text, separator) {
        parts.push(&text[begin..at]);
        begin = at + separator.len();
    }
    parts.push(&text[begin..]);
    parts
        .into_iter()
        .map(|part| OsString::from_vec(part.to_vec()))
        .collect()
}

/// The lines that are not empty, each one argument.
struct Lines<R> {
    input: R,
    /// What ends a line.
    end: u8,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(input: R, end: u8) -> Lines<R> {
        Lines {
            input,
            end,
            number: 0,
        }
    }

    fn line(&mut self) -> io::Result<Option<OsString>> {
        let invalid = |text| Err(io::Error::new(io::ErrorKind::InvalidData, text));
        loop {
            let mut line = Vec::new();
            let mut limited = Read::take(&mut self.input, LONGEST);
            if limited.read_until(self.end, &mut line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            let number = self.number;
            if line.len() as u64 == LONGEST && line.last() != Some(&self.end) {
                return invalid(format!(
                    "line {number} is longer than {LONGEST} bytes, the limit for an argument"
                ));
            }
            if line.last() == Some(&self.end) {
                line.pop();
            }
            if line.contains(&0) {
                return invalid(format!(
                    "line {number} contains a NUL byte, which no argument can contain"
                ));
            }
            if !line.is_empty() {
                return Ok(Some(OsString::from_vec(line)));
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<OsString>;

    fn next(&mut self) -> Option<io::Result<OsString>> {
        self.line().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_the_separator_and_empty_ones_are_none() {
        let lines = |text: &[u8], end| {
            let lines = Lines::new(text, end).map(|line| line.map(OsString::into_vec));
            lines.collect::<io::Result<Vec<_>>>()
        };
        assert_eq!(
            lines(b"a\n\nb \xff\nc", b'\n').unwrap(),
            [&b"a"[..], b"b \xff", b"c"]
        );
        assert_eq!(lines(b"a\nb\0c", 0).unwrap(), [&b"a\nb"[..], b"c"]);
        for (text, part) in [
            (&b"a\n\nb\0\n"[..], "line 3 contains a NUL byte"),
            (
                &[&b"a\n"[..], &[b'x'; 200_000]].concat(),
                "line 2 is longer",
            ),
        ] {
            let error = lines(text, b'\n').unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    fn rows(items: Items) -> Vec<String> {
        let mut rows = Vec::new();
        let read = items.each(&mut |row| {
            rows.push(row.join(OsStr::new("|")).into_string().unwrap());
            Ok(true)
        });
        read.unwrap();
        rows
    }

    fn items(sources: &[&[&str]]) -> Items {
        let words = |words: &&[&str]| From::Arguments(words.iter().map(OsString::from).collect());
        Items {
            sources: sources.iter().map(|source| vec![words(source)]).collect(),
            repeat: false,
            end: b'\n',
            separator: None,
            batch: None,
            shuffled: false,
            pipe: None,
        }
    }

    #[test]
    fn blocks_are_whole_lines() {
        let blocks = |text: &[u8], size, batch| {
            let mut blocks = Vec::new();
            let items = Items {
                batch: NonZeroUsize::new(batch),
                ..items(&[])
            };
            let read = each_block(text, &items, size, &mut |block| {
                blocks.push(String::from_utf8(block).unwrap());
                Ok(true)
            });
            read.unwrap();
            blocks
        };
        let text = b"a\nbb\n\nccc";
        assert_eq!(blocks(text, 1, 0), ["a\n", "bb\n", "\n", "ccc"]);
        assert_eq!(blocks(text, 3, 0), ["a\nbb\n", "\nccc"]);
        assert_eq!(blocks(text, 5, 0), ["a\nbb\n", "\nccc"]);
        assert_eq!(blocks(text, 999, 0), ["a\nbb\n\nccc"]);
        assert_eq!(blocks(text, 1, 3), ["a\nbb\n\n", "ccc"]);
        assert_eq!(blocks(b"", 1, 0), [""; 0]);
    }

    #[test]
    fn sources_are_combined_the_last_one_first() {
        let all = items(&[&["a", "b"], &["1", "2"], &["x"]]);
        assert_eq!(all.columns(), Columns::Several(Some(3)));
        assert_eq!(rows(all), ["a|1|x", "a|2|x", "b|1|x", "b|2|x"]);
        assert!(rows(items(&[&["a"], &[]])).is_empty());
    }

    /// All in one, with how many there are.
    fn linked(sources: &[&[&str]], repeat: bool) -> (Option<usize>, Vec<String>) {
        let all = items(sources);
        let all = Items {
            sources: vec![all.sources.into_iter().flatten().collect()],
            repeat,
            ..all
        };
        assert_eq!(all.columns(), Columns::Several(Some(sources.len())));
        (all.total(), rows(all))
    }

    #[test]
    fn linked_sources_are_read_side_by_side() {
        let sources: [&[&str]; 3] = [&["a", "b", "c"], &["1", "2"], &["x"]];
        let (total, rows_of) = linked(&sources, false);
        assert_eq!((total, &*rows_of.join(" ")), (Some(1), "a|1|x"));
        let (total, rows_of) = linked(&sources, true);
        assert_eq!((total, &*rows_of.join(" ")), (Some(3), "a|1|x b|2|x c|1|x"));
        for repeat in [false, true] {
            assert_eq!(linked(&[&["a"], &[]], repeat), (Some(0), vec![]));
            assert_eq!(linked(&[&[], &["a"]], repeat), (Some(0), vec![]));
        }
        // Among others that are combined.
        let mut all = items(&[&["X", "Y"], &["a", "b", "c"], &["1", "2"]]);
        let last = all.sources.pop().unwrap();
        all.sources[1].extend(last);
        assert_eq!(all.total(), Some(4));
        assert_eq!(rows(all), ["X|a|1", "X|b|2", "Y|a|1", "Y|b|2"]);
    }

    /// The end of an endless source is never looked for.
    #[test]
    fn what_is_read_of_linked_sources_is_what_is_used() {
        let endless = || -> Values { Box::new(std::iter::repeat_with(|| Ok("x".into()))) };
        let few = || From::Arguments(vec!["1".into(), "2".into()]).values(b'\n');
        let nothing = || From::Arguments(Vec::new());
        let linked = |sources, repeat| Linked {
            sources,
            repeat,
            ..Linked::new(vec![nothing(), nothing()], b'\n', repeat)
        };
        assert_eq!(linked(vec![endless(), few()], false).count(), 2);
        assert_eq!(linked(vec![few(), endless()], false).count(), 2);
        let mut repeated = linked(vec![endless(), few()], true);
        assert_eq!(repeated.by_ref().take(1000).count(), 1000);
        assert!(
            repeated.kept[0].len() < 5,
            "it remembers what it does not need"
        );
    }

    #[test]
    fn lines_are_split_and_put_together() {
        let split = Items {
            separator: Some(", ".into()),
            ..items(&[&["a, b", "c", ", "]])
        };
        assert_eq!(rows(split), ["a|b", "c", "|"]);
        let batches = |batch| Items {
            batch: NonZeroUsize::new(batch),
            ..items(&[&["1", "2", "3", "4", "5"]])
        };
        assert_eq!(rows(batches(2)), ["1|2", "3|4", "5"]);
        assert_eq!(rows(batches(9)), ["1|2|3|4|5"]);
        // Rows stay whole.
        let all = || Items {
            batch: NonZeroUsize::new(2),
            ..items(&[&["a", "b", "c"], &["1"]])
        };
        assert_eq!(all().columns(), Columns::Several(Some(4)));
        assert_eq!(all().total(), Some(2));
        assert_eq!(rows(all()), ["a|1|b|1", "c|1"]);
        let split = || Items {
            separator: Some(",".into()),
            batch: NonZeroUsize::new(2),
            ..items(&[&["a,b", "c", "d,e,f"]])
        };
        assert_eq!(split().total(), Some(2));
        assert_eq!(rows(split()), ["a|b|c", "d|e|f"]);
        let mut shuffled = rows(Items {
            shuffled: true,
            ..batches(1)
        });
        shuffled.sort();
        assert_eq!(shuffled, ["1", "2", "3", "4", "5"]);
    }
}
