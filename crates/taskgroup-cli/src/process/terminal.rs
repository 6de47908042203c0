//! A pseudo-terminal for one command.
//!
//! The runner keeps one side and gives the other one to the guard. A program may take a terminal as
//! its controlling one only in a session of its own, so the guard starts this program once more,
//! which makes the session and then becomes the command.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::{Arc, OnceLock};

use rustix::fs::{Mode, OFlags};
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{
    LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, Winsize, tcgetattr,
    tcgetwinsize, tcsetattr, tcsetwinsize,
};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::{Receiver, Sender};

/// The first argument of the process that becomes a command with a terminal.
pub(super) const MARK: &str = "--taskgroup-terminal-process";

/// The control character that ends the input of a terminal.
const END: u8 = 4;

/// The runner's side. When it is dropped, the command is hung up.
#[derive(Debug)]
pub(crate) struct Terminal(OwnedFd);

/// Rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    rows: u16,
    columns: u16,
}

impl Size {
    /// The size of the first of the standard streams that is a terminal.
    pub(crate) fn ours() -> Option<Size> {
        let (out, err, input) = (io::stdout(), io::stderr(), io::stdin());
        let streams = [out.as_fd(), err.as_fd(), input.as_fd()];
        let size = streams.iter().find_map(|fd| tcgetwinsize(fd).ok())?;
        let is_set = size.ws_row > 0 && size.ws_col > 0;
        is_set.then_some(Size {
            rows: size.ws_row,
            columns: size.ws_col,
        })
    }

    /// What is left beside a label of this width.
    pub(crate) fn beside(self, label: usize) -> Size {
        let label = u16::try_from(label).unwrap_or(u16::MAX);
        let columns = self.columns.saturating_sub(label).max(self.columns.min(20));
        Size { columns, ..self }
    }

    pub(crate) fn columns(self) -> u16 {
        self.columns
    }

    fn raw(self) -> Winsize {
        Winsize {
            ws_row: self.rows,
            ws_col: self.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        }
    }
}

impl Default for Size {
    fn default() -> Size {
        Size {
            rows: 24,
            columns: 80,
        }
    }
}

impl Terminal {
    /// Both sides, of this size. The other one is for the command.
    pub(super) fn open(size: Size) -> io::Result<(Terminal, OwnedFd)> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(&*name, flags, Mode::empty())?;
        // Lines end as they do in a pipe.
        let mut modes = tcgetattr(&theirs)?;
        modes.output_modes.remove(OutputModes::ONLCR);
        tcsetattr(&theirs, OptionalActions::Now, &modes)?;
        tcsetwinsize(&theirs, size.raw())?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        Ok((Terminal(ours), theirs))
    }

    /// The kernel tells the command.
    pub(crate) fn resize(&self, size: Size) {
        // It fails only when the command has gone.
        let _ = tcsetwinsize(&self.0, size.raw());
    }

    /// Whether the command wants what is typed to be shown.
    pub(crate) fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.0);
        modes.is_ok_and(|modes| modes.local_modes.contains(LocalModes::ECHO))
    }

    /// Reads what the command writes.
    pub(super) fn output(&self) -> io::Result<Receiver> {
        Receiver::from_owned_fd_unchecked(self.0.try_clone()?)
    }

    /// Writes what the command reads.
    pub(super) fn input(self: &Arc<Terminal>) -> io::Result<Feed> {
        let to = Sender::from_owned_fd_unchecked(self.0.try_clone()?)?;
        let terminal = Some(Arc::clone(self));
        Ok(Feed {
            to,
            terminal,
            in_line: false,
        })
    }
}

/// The way to the standard input of a command.
pub(crate) struct Feed {
    pub(super) to: Sender,
    pub(super) terminal: Option<Arc<Terminal>>,
    /// The last byte did not end a line.
    pub(super) in_line: bool,
}

impl Feed {
    /// Fails when the command does not read any more.
    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.write_some(bytes).await?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Writes some of it, and returns how many bytes. Cancel safe: otherwise nothing is written.
    pub(crate) async fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes).await?;
        if let Some(last) = bytes[..count].last() {
            self.in_line = *last != b'\n';
        }
        Ok(count)
    }

    /// The end of the input. A terminal may get more after it.
    pub(crate) async fn end(mut self) -> Option<Feed> {
        self.terminal.as_ref()?;
        // Within a line, the first one only passes on what there is of it.
        let ends = if self.in_line { 2 } else { 1 };
        self.to.write_all(&[END; 2][..ends]).await.ok()?;
        self.in_line = false;
        Some(self)
    }
}

/// If this process was started to become a command with a terminal, becomes it.
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != MARK {
        return None;
    }
    let program = args.next()?;
    let error = become_command(&program, args);
    eprintln!("taskgroup: {}: {error}", program.to_string_lossy());
    // As a shell reports it.
    let code = match error.kind() {
        io::ErrorKind::NotFound => 127,
        _ => 126,
    };
    Some(ExitCode::from(code))
}

fn become_command(program: &OsString, arguments: impl Iterator<Item = OsString>) -> io::Error {
    // Standard output is the terminal.
    let taken = setsid().and_then(|_| ioctl_tiocsctty(io::stdout()));
    match taken {
        Ok(()) => Command::new(program).args(arguments).exec(),
        Err(error) => error.into(),
    }
}

/// Our own terminal, if standard input is one. What is typed there goes to the commands.
pub(crate) struct Keyboard {
    typing: Typing,
}

/// What happens to a line while it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Typing {
    /// The terminal edits it and shows it, as at the beginning.
    Shown,
    /// The terminal edits it and does not show it.
    Hidden,
    /// Each key arrives at once, and the terminal shows nothing.
    Keys,
}

/// The keys by which a line is edited, as the terminal has them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    pub(crate) erase: u8,
    pub(crate) erase_word: u8,
    pub(crate) erase_all: u8,
    pub(crate) end: u8,
}

/// The settings of our terminal from the beginning.
static ORIGINAL: OnceLock<Termios> = OnceLock::new();

/// Brings the settings of our terminal back, if they were changed. For an end without destructors.
pub(crate) fn restore_keyboard() {
    if let (Some(modes), true) = (ORIGINAL.get(), Keyboard::is_in_front()) {
        // There is no other way to bring them back.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
    }
}

impl Keyboard {
    pub(crate) fn ours() -> Option<Keyboard> {
        let input = io::stdin();
        let modes = input.is_terminal().then(|| tcgetattr(&input).ok())??;
        ORIGINAL.get_or_init(|| modes);
        Some(Keyboard {
            typing: Typing::Shown,
        })
    }

    pub(crate) fn keys() -> Option<Keys> {
        let codes = &ORIGINAL.get()?.special_codes;
        Some(Keys {
            erase: codes[SpecialCodeIndex::VERASE],
            erase_word: codes[SpecialCodeIndex::VWERASE],
            erase_all: codes[SpecialCodeIndex::VKILL],
            end: codes[SpecialCodeIndex::VEOF],
        })
    }

    /// Whether this process may read it now. A process in the background would be stopped for it.
    pub(crate) fn is_in_front() -> bool {
        super::is_in_front(io::stdin()).unwrap_or(false)
    }

    pub(crate) fn set(&mut self, typing: Typing) {
        let Some(original) = ORIGINAL.get() else {
            return;
        };
        if typing == self.typing || !Keyboard::is_in_front() {
            return;
        }
        let mut modes = original.clone();
        match typing {
            Typing::Shown => {}
            Typing::Hidden => modes.local_modes.remove(LocalModes::ECHO),
            Typing::Keys => {
                let edits = LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN;
                modes.local_modes.remove(edits);
                modes.special_codes[SpecialCodeIndex::VMIN] = 1;
                modes.special_codes[SpecialCodeIndex::VTIME] = 0;
            }
        }
        if tcsetattr(io::stdin(), OptionalActions::Now, &modes).is_ok() {
            self.typing = typing;
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.set(Typing::Shown);
    }
}
