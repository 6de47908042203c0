//! Lines that are held back: in memory first, then in an unnamed file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Stream;

/// Lines are held in memory up to this size.
const IN_MEMORY: usize = 1 << 20;
/// Pieces of one stream are joined up to this size.
const JOINED: usize = 64 << 10;
/// A piece in the file has its stream and its length in front.
const HEADER: usize = 1 + size_of::<u64>();

/// Pieces of whole lines, in the order in which they came.
#[derive(Default)]
pub(super) struct Held {
    memory: Vec<(Stream, Vec<u8>)>,
    size: usize,
    spill: Option<Spill>,
}

/// What memory has no room for.
struct Spill {
    file: File,
    /// The length of the whole pieces. Anything behind it is half of one that did not fit.
    length: u64,
}

impl Held {
    /// Takes the lines, or leaves everything as it was.
    pub(super) fn push(&mut self, stream: Stream, lines: &[u8]) -> io::Result<()> {
        if self.spill.is_none() && self.size + lines.len() <= IN_MEMORY {
            self.size += lines.len();
            match self.memory.last_mut() {
                Some((last, joined)) if *last == stream && joined.len() < JOINED => {
                    joined.extend_from_slice(lines);
                }
                _ => self.memory.push((stream, lines.to_vec())),
            }
            return Ok(());
        }
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill {
                file: tempfile::tempfile()?,
                length: 0,
            }),
        };
        spill.push(stream, lines)
    }

    /// Removes the first piece. After an error there are no more.
    pub(super) fn pop(&mut self, position: &mut Position) -> io::Result<Option<(Stream, Vec<u8>)>> {
        if let Some((stream, lines)) = self.memory.get_mut(position.pieces) {
            position.pieces += 1;
            return Ok(Some((*stream, std::mem::take(lines))));
        }
        match &self.spill {
            Some(spill) if position.offset < spill.length => {
                let piece = spill.read(position);
                piece
                    .inspect_err(|_| position.offset = spill.length)
                    .map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// How far the pieces have been taken out.
#[derive(Default)]
pub(super) struct Position {
    pieces: usize,
    offset: u64,
}

impl Spill {
    fn push(&mut self, stream: Stream, lines: &[u8]) -> io::Result<()> {
        let mut header = [u8::from(stream == Stream::Err); HEADER];
        header[1..].copy_from_slice(&(lines.len() as u64).to_le_bytes());
        let lines_at = self.length + HEADER as u64;
        let written = self
            .file
            .write_all_at(&header, self.length)
            .and_then(|()| self.file.write_all_at(lines, lines_at));
        match written {
            Ok(()) => self.length = lines_at + lines.len() as u64,
            // Only frees the room. What is behind the length is not read.
            Err(_) => drop(self.file.set_len(self.length)),
        }
        written
    }

    fn read(&self, position: &mut Position) -> io::Result<(Stream, Vec<u8>)> {
        let mut header = [0; HEADER];
        self.file.read_exact_at(&mut header, position.offset)?;
        let length = u64::from_le_bytes(header[1..].try_into().expect("eight bytes"));
        let lines_at = position.offset + HEADER as u64;
        let size = usize::try_from(length).map_err(io::Error::other)?;
        let mut lines = vec![0; size];
        self.file.read_exact_at(&mut lines, lines_at)?;
        position.offset = lines_at + length;
        let stream = match header[0] {
            0 => Stream::Out,
            _ => Stream::Err,
        };
        Ok((stream, lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(mut held: Held) -> Vec<(Stream, Vec<u8>)> {
        let mut position = Position::default();
        std::iter::from_fn(|| held.pop(&mut position).unwrap()).collect()
    }

    #[test]
    fn pieces_come_out_as_they_went_in() {
        let mut held = Held::default();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        for n in 0..300_u32 {
            let stream = if n % 7 == 0 { Stream::Err } else { Stream::Out };
            let lines = format!("{n} {}\n", "x".repeat(9000)).into_bytes();
            held.push(stream, &lines).unwrap();
            match stream {
                Stream::Out => out.extend(lines),
                Stream::Err => err.extend(lines),
            }
        }
        assert!(held.spill.is_some());
        let pieces = taken(held);
        let joined = |stream| {
            let of = pieces.iter().filter(|(of, _)| *of == stream);
            of.flat_map(|(_, lines)| lines.clone()).collect::<Vec<u8>>()
        };
        assert_eq!((joined(Stream::Out), joined(Stream::Err)), (out, err));
    }

    /// A device that takes the header and not the lines is a disk that gets full in between.
    #[test]
    fn a_piece_that_does_not_fit_leaves_nothing_behind() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("spill");
        std::fs::write(&path, "").unwrap();
        let mut spill = Spill {
            // Cannot be written to.
            file: File::open(&path).unwrap(),
            length: 0,
        };
        spill.push(Stream::Out, b"lost\n").unwrap_err();
        assert_eq!(spill.length, 0);
        let mut held = Held {
            memory: vec![(Stream::Out, b"kept\n".to_vec())],
            size: IN_MEMORY,
            spill: Some(spill),
        };
        held.push(Stream::Out, b"lost\n").unwrap_err();
        assert_eq!(taken(held), [(Stream::Out, b"kept\n".to_vec())]);
    }

    #[test]
    fn what_cannot_be_read_again_is_an_error_and_the_end() {
        let mut held = Held {
            memory: Vec::new(),
            size: 0,
            spill: Some(Spill {
                file: tempfile::tempfile().unwrap(),
                length: 100,
            }),
        };
        let mut position = Position::default();
        held.pop(&mut position).unwrap_err();
        assert_eq!(held.pop(&mut position).unwrap(), None);
    }
}
