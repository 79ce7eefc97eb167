//! What came back: how many replies, and how many of new and of repeated events.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, ensure};
use memchr::memmem;

const CHUNK_BYTES: usize = 1 << 20;

/// Replies, counted by what they say of their event. Anything else, such as an error, counts only
/// as a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// All lines.
    pub lines: u64,
    /// Those that say `"was_duplicate": false`.
    pub new: u64,
    /// Those that say `"was_duplicate": true`.
    pub duplicates: u64,
}

impl Tally {
    /// Counts the replies in a file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn of_file(path: &Path) -> anyhow::Result<Self> {
        let mut tally = Self::default();
        let file = File::open(path);
        file.and_then(|file| tally.add_all(file))
            .with_context(|| format!("reading the replies in {}", path.display()))?;
        Ok(tally)
    }

    fn add_all(&mut self, mut input: impl Read) -> std::io::Result<()> {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut kept = 0;
        loop {
            let read = input.read(&mut buffer[kept..])?;
            let filled = kept + read;
            let whole = match memchr::memrchr(b'\n', &buffer[..filled]) {
                Some(end) if read > 0 => end + 1,
                _ => filled,
            };
            self.add(&buffer[..whole]);
            if read == 0 {
                return Ok(());
            }
            buffer.copy_within(whole..filled, 0);
            kept = filled - whole;
        }
    }

    /// Counts some whole lines.
    pub fn add(&mut self, lines: &[u8]) {
        self.lines += memchr::memchr_iter(b'\n', lines).count() as u64;
        self.new += memmem::find_iter(lines, b"\"was_duplicate\": false").count() as u64;
        self.duplicates += memmem::find_iter(lines, b"\"was_duplicate\": true").count() as u64;
    }

    /// Holds the replies against what they must be.
    ///
    /// # Errors
    ///
    /// If there are more or fewer lines, or others, than `new` and `duplicates` events give.
    pub fn expect(&self, new: u64, duplicates: u64, what: &str) -> anyhow::Result<()> {
        let expected = Self {
            lines: new + duplicates,
            new,
            duplicates,
        };
        ensure!(
            *self == expected,
            "{what}: expected {expected:?}, found {self:?}; a figure of wrong replies is worth \
             nothing, so look for an error reply (a full disk?) or a defect of the binary"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "{\"type\": \"processed\", \"was_duplicate\": false}\n";
    const DUPLICATE: &str = "{\"type\": \"processed\", \"was_duplicate\": true}\n";

    #[test]
    fn replies_across_chunks_count_once() -> anyhow::Result<()> {
        let text = format!("{NEW}{DUPLICATE}{DUPLICATE}").repeat(20_000);
        assert!(text.len() > 2 * CHUNK_BYTES);
        let mut tally = Tally::default();
        tally.add_all(text.as_bytes())?;
        tally.expect(20_000, 40_000, "the replies")?;
        Ok(())
    }

    #[test]
    fn an_error_reply_is_noticed() {
        let mut tally = Tally::default();
        tally.add(NEW.as_bytes());
        tally.add(b"{\"type\": \"error\"}\n");
        assert!(tally.expect(2, 0, "two").is_err());
        assert!(tally.expect(1, 0, "one").is_err());
    }
}
