//! Cuts a stream of bytes into lines.

use memchr::memchr;

/// Longer lines are cut here, so a command that never ends its line cannot use all memory. Nothing
/// is lost: the rest follows as another line.
pub(crate) const LONGEST: usize = 64 << 20;

#[derive(Default)]
pub(crate) struct Lines {
    /// The bytes after the last newline.
    partial: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes. Calls `each` with every line that they complete, without its newline.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) {
        while let Some(end) = memchr(b'\n', bytes) {
            if self.partial.is_empty() {
                each(&bytes[..end]);
            } else {
                self.partial.extend_from_slice(&bytes[..end]);
                each(&self.partial);
                // The memory of a long line is freed.
                self.partial = Vec::new();
            }
            bytes = &bytes[end + 1..];
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() >= LONGEST {
            self.finish(each);
        }
    }

    /// The bytes of a line that has no end yet.
    pub(crate) fn partial(&self) -> &[u8] {
        &self.partial
    }

    /// Ends the stream. Calls `each` with the rest that had no newline, if any.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            each(&self.partial);
            self.partial = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |line| seen.push(line.to_vec()));
        }
        lines.finish(|line| seen.push(line.to_vec()));
        seen
    }

    #[test]
    fn lines_do_not_depend_on_how_the_bytes_arrive() {
        let text = b"one\n\ntwo\r\nth\xffree\0\nno newline";
        let expected: Vec<Vec<u8>> = [&b"one"[..], b"", b"two\r", b"th\xffree\0", b"no newline"]
            .map(<[u8]>::to_vec)
            .into();
        for size in 1..=text.len() {
            assert_eq!(
                cut(&text.chunks(size).collect::<Vec<_>>()),
                expected,
                "chunks of {size}"
            );
        }
    }

    #[test]
    fn a_final_newline_makes_no_empty_line() {
        assert_eq!(cut(&[b"a\n"]), [b"a"]);
        assert!(cut(&[b""]).is_empty());
    }

    #[test]
    fn an_endless_line_is_cut_and_not_lost() {
        let chunk = vec![b'x'; LONGEST / 2 + 1];
        let pieces = cut(&[&chunk, &chunk, b"tail"]);
        assert_eq!(
            pieces.iter().map(Vec::len).collect::<Vec<_>>(),
            [LONGEST + 2, 4]
        );
    }
}
