//! Counts lines while a parser reads.

use std::io::{self, BufRead, Read};

/// Longest tag or text between two marks: 16 MiB. A parser holds it in memory.
const TOKEN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A reader that knows the line it is at and refuses tokens without end.
#[derive(Debug)]
pub(super) struct Lines<R> {
    inner: R,
    line: u64,
    token_bytes: usize,
}

impl<R> Lines<R> {
    pub(super) const fn new(inner: R) -> Self {
        Self { inner, line: 1, token_bytes: 0 }
    }

    /// The line of the next byte.
    pub(super) const fn line(&self) -> u64 {
        self.line
    }

    /// A new token begins.
    pub(super) const fn mark(&mut self) {
        self.token_bytes = 0;
    }
}

impl<R: BufRead> Read for Lines<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let count = available.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Lines<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.token_bytes > TOKEN_BYTES_MAX {
            return Err(io::Error::other(format!("one tag or text has more than {TOKEN_BYTES_MAX} bytes")));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        // What was shown by `fill_buf` and not consumed yet is still there and costs no reading.
        if let Ok(shown) = self.inner.fill_buf() {
            let lines = shown.iter().take(count).filter(|byte| **byte == b'\n').count();
            self.line += u64::try_from(lines).unwrap_or(0);
        }
        self.token_bytes += count;
        self.inner.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use super::{Lines, TOKEN_BYTES_MAX};

    #[test]
    fn lines_are_counted_across_buffers() {
        let mut lines = Lines::new(BufReader::with_capacity(3, &b"a\nbc\n\nd"[..]));
        let mut text = String::new();
        lines.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), lines.line()), ("a\nbc\n\nd", 4));
    }

    #[test]
    fn a_token_without_end_is_refused() {
        let mut lines = Lines::new(BufReader::new(std::io::repeat(b'x')));
        let read = std::io::copy(&mut (&mut lines).take(64 * 1024 * 1024), &mut std::io::sink());
        assert!(read.unwrap_err().to_string().contains(&TOKEN_BYTES_MAX.to_string()));
    }
}
