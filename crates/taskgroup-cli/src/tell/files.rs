//! The files that a run writes: all are opened before anything is started, or the run is refused.
//!
//! A file may be a pipe whose reader comes late, is slow or never comes. Opening waits in a thread
//! of its own, and so does writing, so that neither keeps signals out.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use super::past::Past;
use crate::flag::Flag;
use crate::plan::FileSpec;
use crate::reason::reason;

/// A file that is open for writing.
pub(crate) struct Target {
    path: PathBuf,
    to: To,
    /// After a failed write nothing more is written, because half a line must stay the last one.
    failure: Option<io::Error>,
}

enum To {
    /// Written at once, so everything recorded before a SIGKILL is in the file.
    File(File),
    /// For anything that a write could wait for.
    Thread(Sender<Vec<u8>>, Behind),
}

/// A thread that writes.
#[derive(Clone)]
struct Behind {
    failure: Arc<Mutex<Option<io::Error>>>,
    finished: Flag,
}

/// Everything that is to be written has been handed over.
pub(crate) struct Finishing {
    path: PathBuf,
    failure: Option<io::Error>,
    behind: Option<Behind>,
}

/// The files of a run, by flag, and what an earlier run did.
#[derive(Default)]
pub(crate) struct Files {
    targets: HashMap<&'static str, Target>,
    pub(crate) past: Past,
}

/// Why nothing was started.
#[derive(Debug)]
pub(crate) enum Refused {
    CannotWrite {
        flag: &'static str,
        path: PathBuf,
        error: io::Error,
    },
    /// What an earlier run did is not known.
    CannotResume { path: PathBuf, error: io::Error },
    SameFile {
        first: &'static str,
        second: &'static str,
    },
    /// The file would be overwritten before it is read.
    IsRead { flag: &'static str, read: String },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::CannotWrite { flag, path, error } => {
                let shown = path.display();
                write!(
                    f,
                    "{flag} {shown} cannot be written: {}",
                    reason(path, error)
                )
            }
            Refused::CannotResume { path, error } => {
                let why = reason(path, error);
                write!(f, "--resume {} cannot be read: {why}", path.display())
            }
            Refused::SameFile { first, second } => {
                write!(f, "{first} and {second} would write the same file")
            }
            Refused::IsRead { flag, read } => {
                write!(f, "{flag} would overwrite {read}")
            }
        }
    }
}

impl Files {
    /// Opens the files in a thread. Resolves when all are open. If it is dropped before that, the
    /// thread is left behind.
    pub(crate) async fn open(specs: Vec<FileSpec>, reads: Vec<PathBuf>) -> Result<Files, Refused> {
        if specs.is_empty() {
            return Ok(Files::default());
        }
        let (done, opened) = oneshot::channel();
        let open = move || {
            // The receiver may have lost its patience.
            let _ = done.send(open_all(&specs, &reads));
        };
        let cannot = |error| Refused::CannotWrite {
            flag: "files",
            path: PathBuf::new(),
            error,
        };
        thread::Builder::new()
            .name("open".to_owned())
            .spawn(open)
            .map_err(cannot)?;
        let gone = |_| Err(cannot(io::ErrorKind::Other.into()));
        opened.await.unwrap_or_else(gone)
    }

    pub(crate) fn take(&mut self, flag: &'static str) -> Option<Target> {
        self.targets.remove(flag)
    }
}

struct Opened {
    flag: &'static str,
    path: PathBuf,
    file: File,
    resumed: bool,
    /// For a regular file: what it is, whatever its name.
    identity: Option<(u64, u64)>,
    created: bool,
}

fn open_all(specs: &[FileSpec], reads: &[PathBuf]) -> Result<Files, Refused> {
    let mut files = Files::default();
    let mut opened: Vec<Opened> = Vec::new();
    let result = specs.iter().try_for_each(|spec| {
        if spec.resumed {
            let unread = |error| Refused::CannotResume {
                path: spec.path.clone(),
                error,
            };
            files.past = Past::read(&spec.path).map_err(unread)?;
        }
        let cannot = |error| cannot(spec, error);
        if spec.path.as_os_str() == "-" && !spec.resumed {
            let out = io::stdout().as_fd().try_clone_to_owned();
            let out = File::from(out.map_err(cannot)?);
            let is_regular = identity(&out).map_err(cannot)?.is_some();
            let target = Target::new(spec.path.clone(), out, is_regular).map_err(cannot)?;
            files.targets.insert(spec.flag, target);
            return Ok(());
        }
        let (file, created) = open(&spec.path, spec.resumed).map_err(cannot)?;
        let identity = identity(&file).map_err(cannot)?;
        if let Some(file) = identity.and_then(shared_with_output) {
            // Each writes behind what the other has written, instead of over it.
            let target = Target::new(spec.path.clone(), file, true).map_err(cannot)?;
            files.targets.insert(spec.flag, target);
            return Ok(());
        }
        let (flag, path) = (spec.flag, spec.path.clone());
        let same = |other: &&Opened| identity.is_some() && other.identity == identity;
        let first = opened.iter().find(same).map(|other| other.flag);
        opened.push(Opened {
            flag,
            path,
            file,
            resumed: spec.resumed,
            identity,
            created,
        });
        match first {
            Some(first) => Err(Refused::SameFile {
                first,
                second: flag,
            }),
            None => Ok(()),
        }
    });
    let checked = result.and_then(|()| not_among(&opened, reads));
    if let Err(refused) = checked {
        // As if nothing had happened.
        for file in opened.iter().filter(|file| file.created) {
            let _ = fs::remove_file(&file.path);
        }
        return Err(refused);
    }
    for mut opened in opened {
        let prepared = match (opened.resumed, opened.identity) {
            (true, _) => end_the_line(&mut opened.file),
            (false, Some(_)) => opened.file.set_len(0),
            (false, None) => Ok(()),
        };
        let target = prepared.and_then(|()| {
            let is_regular = opened.identity.is_some();
            Target::new(opened.path.clone(), opened.file, is_regular)
        });
        let target = target.map_err(|error| Refused::CannotWrite {
            flag: opened.flag,
            path: opened.path,
            error,
        })?;
        files.targets.insert(opened.flag, target);
    }
    Ok(files)
}

/// Which file it is, whatever its name; none if it is no regular file.
fn identity(file: &File) -> io::Result<Option<(u64, u64)>> {
    let metadata = file.metadata()?;
    let is_regular = metadata.is_file();
    Ok(is_regular.then(|| (metadata.dev(), metadata.ino())))
}

/// The standard output or error if it is this file, as in `--json /dev/stdout > file`.
fn shared_with_output(wanted: (u64, u64)) -> Option<File> {
    let (out, err) = (io::stdout(), io::stderr());
    [out.as_fd(), err.as_fd()].into_iter().find_map(|fd| {
        let file = File::from(fd.try_clone_to_owned().ok()?);
        let is_same = identity(&file).ok()? == Some(wanted);
        is_same.then_some(file)
    })
}

/// Also whether the file was not there before. Waits for the reader of a pipe.
fn open(path: &Path, resumed: bool) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.write(true).read(resumed).append(resumed);
    match options.clone().create_new(true).open(path) {
        Ok(file) => Ok((file, true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Created, too: it may be a link to a file that is not there.
            Ok((options.create(true).open(path)?, false))
        }
        Err(error) => Err(error),
    }
}

fn cannot(spec: &FileSpec, error: io::Error) -> Refused {
    Refused::CannotWrite {
        flag: spec.flag,
        path: spec.path.clone(),
        error,
    }
}

/// The files that the run reads, the standard input among them, must not be emptied.
fn not_among(opened: &[Opened], reads: &[PathBuf]) -> Result<(), Refused> {
    let named = reads.iter().filter_map(|path| {
        let metadata = fs::metadata(path).ok()?;
        Some((format!("{}, which the run reads", path.display()), metadata))
    });
    let stdin = io::stdin().as_fd().try_clone_to_owned().ok();
    let stdin = stdin.and_then(|stdin| File::from(stdin).metadata().ok());
    let stdin = stdin.map(|metadata| ("the standard input".to_owned(), metadata));
    for (read, metadata) in named.chain(stdin) {
        let identity = Some((metadata.dev(), metadata.ino()));
        if let Some(file) = opened.iter().find(|file| file.identity == identity) {
            let flag = file.flag;
            return Err(Refused::IsRead { flag, read });
        }
    }
    Ok(())
}

/// The last line may have been cut off by a SIGKILL. A resumed run continues below it, and in the
/// place of one that was the only one.
fn end_the_line(file: &mut File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if metadata.len() == 0 || !metadata.is_file() {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(());
    }
    let mut first = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    BufReader::new(&mut *file).read_until(b'\n', &mut first)?;
    match first.len() as u64 == metadata.len() {
        true => file.set_len(0),
        false => file.write_all(b"\n"),
    }
}

impl Target {
    fn new(path: PathBuf, file: File, is_regular: bool) -> io::Result<Target> {
        let to = match is_regular {
            true => To::File(file),
            false => write_behind(file)?,
        };
        Ok(Target {
            path,
            to,
            failure: None,
        })
    }

    pub(crate) fn write(&mut self, bytes: Vec<u8>) {
        if self.failure.is_some() {
            return;
        }
        match &mut self.to {
            To::File(file) => self.failure = file.write_all(&bytes).err(),
            // The thread ends only with a failure, which `finish` finds.
            To::Thread(sender, _) => drop(sender.send(bytes)),
        }
    }

    /// There is nothing to write, and this is why.
    pub(crate) fn fail(&mut self, error: io::Error) {
        self.failure.get_or_insert(error);
    }

    pub(crate) fn finish(self) -> Finishing {
        Finishing {
            path: self.path,
            failure: self.failure,
            // This drops the sender, which ends the thread.
            behind: match self.to {
                To::File(_) => None,
                To::Thread(_, behind) => Some(behind),
            },
        }
    }
}

fn write_behind(mut file: File) -> io::Result<To> {
    let (sender, pieces) = channel::<Vec<u8>>();
    let behind = Behind {
        failure: Arc::default(),
        finished: Flag::new(),
    };
    let of_thread = behind.clone();
    thread::Builder::new()
        .name("file".to_owned())
        .spawn(move || {
            let written = pieces.iter().try_for_each(|piece| file.write_all(&piece));
            *of_thread.lock() = written.err();
            of_thread.finished.set();
        })?;
    Ok(To::Thread(sender, behind))
}

impl Behind {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<io::Error>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Finishing {
    /// Resolves when everything is written. Cancel safe.
    pub(crate) async fn finished(&self) {
        if let Some(behind) = &self.behind {
            behind.finished.wait().await;
        }
    }

    /// What could not be written, and why.
    pub(crate) fn error(self) -> Option<String> {
        let behind = self
            .behind
            .and_then(|behind| match behind.finished.is_set() {
                true => behind.lock().take(),
                false => Some(io::Error::new(io::ErrorKind::TimedOut, "nothing read it")),
            });
        let error = self.failure.or(behind)?;
        Some(format!("{}: {error}", self.path.display()))
    }
}
