//! Where the lines of one command go: out at once, out together, or nowhere.

use std::io::{self, Read, Seek, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::{SpooledTempFile, spooled_tempfile};

use super::{Show, Sink, Stream};

/// Lines are held in memory up to this size, then in an unnamed file.
const IN_MEMORY: usize = 1 << 20;

/// Clones are the same outlet.
#[derive(Clone)]
pub(crate) struct Outlet {
    sink: Sink,
    show: Show,
    held: Arc<Mutex<Option<SpooledTempFile>>>,
}

impl Outlet {
    pub(crate) fn new(show: Show, sink: Sink) -> Outlet {
        Outlet {
            sink,
            show,
            held: Arc::default(),
        }
    }

    /// Takes whole lines. Resolves when there is room for more.
    pub(crate) async fn send(&self, stream: Stream, lines: Vec<u8>) {
        match self.show {
            Show::Stream => self.sink.send(stream, lines).await,
            Show::Quiet => {}
            Show::Group | Show::Failures => {
                // If nothing more can be held back, lines come out mixed, but are not lost.
                if self.hold(stream, &lines).is_err() {
                    self.sink.send(stream, lines).await;
                }
            }
        }
    }

    /// Shows the lines that were held back. Without this call they are dropped with the outlet.
    pub(crate) async fn release(&self) {
        let held = self
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut held) = held else { return };
        if held.rewind().is_err() {
            return;
        }
        // There are several pieces, and another command may end at the same time.
        let _turn = self.sink.turn().await;
        while let Ok(Some((stream, lines))) = read_piece(&mut held) {
            self.sink.send(stream, lines).await;
        }
    }

    fn hold(&self, stream: Stream, lines: &[u8]) -> io::Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.get_or_insert_with(|| spooled_tempfile(IN_MEMORY));
        held.write_all(&[u8::from(stream == Stream::Err)])?;
        held.write_all(&(lines.len() as u64).to_le_bytes())?;
        held.write_all(lines)
    }
}

/// None at the end.
fn read_piece(held: &mut impl Read) -> io::Result<Option<(Stream, Vec<u8>)>> {
    let mut stream = [0];
    if held.read(&mut stream)? == 0 {
        return Ok(None);
    }
    let mut length = [0; size_of::<u64>()];
    held.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut lines = Vec::new();
    held.take(length).read_to_end(&mut lines)?;
    let stream = if stream == [1] {
        Stream::Err
    } else {
        Stream::Out
    };
    Ok(Some((stream, lines)))
}
