//! The terminal as the progress line sees it.

use std::env;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use console::Term;
use indicatif::TermLike;

use crate::process::is_in_front;

/// A terminal that leaves the cursor directly after the text. By default the line would be filled
/// with blanks. Then the `^C` that the terminal echoes has no room, wraps, and leaves the line
/// behind.
///
/// Lines that are drawn below each other are separated by a newline, for the same reason.
///
/// Nothing is drawn while this process is in the background of its terminal: the line there belongs
/// to the shell.
#[derive(Debug)]
pub(super) struct Terminal {
    term: Term,
    /// The line that was written would be filled now. If another one follows, it begins a new line.
    filled: AtomicBool,
}

impl Terminal {
    pub(super) fn stderr() -> Terminal {
        // Buffered, so that a line is drawn in one write.
        Terminal {
            term: Term::buffered_stderr(),
            filled: AtomicBool::new(false),
        }
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        self.term.size().1
    }

    fn height(&self) -> u16 {
        self.term.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.draw(|term| term.move_cursor_up(n))
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.draw(|term| term.move_cursor_down(n))
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.draw(|term| term.move_cursor_right(n))
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.draw(|term| term.move_cursor_left(n))
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.draw(|term| term.write_line(text))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        if text.trim_end_matches(' ').is_empty() {
            self.filled.store(true, Ordering::Relaxed);
            return Ok(());
        }
        let begins = self.filled.swap(false, Ordering::Relaxed);
        let newline = if begins { "\r\n" } else { "" };
        self.draw(|term| term.write_str(&format!("{newline}{text}")))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.draw(Term::clear_line)
    }

    fn flush(&self) -> io::Result<()> {
        self.filled.store(false, Ordering::Relaxed);
        self.term.flush()
    }
}

impl Terminal {
    fn draw(&self, draw: impl FnOnce(&Term) -> io::Result<()>) -> io::Result<()> {
        // If standard error is not the terminal that controls this process, no group has it.
        match is_in_front(io::stderr()).unwrap_or(true) {
            true => draw(&self.term),
            false => Ok(()),
        }
    }
}

/// Whether the terminal can erase a line.
pub(crate) fn can_redraw() -> bool {
    let term = env::var_os("TERM").unwrap_or_default();
    !term.is_empty() && term != "dumb"
}

/// Whether the locale can show block characters.
pub(super) fn is_unicode() -> bool {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
