//! The digest of a dump: its last line, which shows whether the dump was cut off or changed.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// The last line of a whole dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Number of lines before it.
    pub records: u64,
    /// The 64-bit XXH3 of these lines, with their newlines, as 16 hexadecimal digits.
    pub xxh3: String,
}

/// Computes the digest of a dump, line by line.
#[derive(Default)]
pub(crate) struct DumpDigest {
    records: u64,
    hash: Xxh3,
}

impl DumpDigest {
    /// Returns the number of lines that were added.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Adds the next line, given without its newline.
    pub(crate) fn add(&mut self, line: &[u8]) {
        self.records += 1;
        self.hash.update(line);
        self.hash.update(b"\n");
    }

    /// Returns the digest of the lines that were added.
    pub(crate) fn line(&self) -> Digest {
        Digest {
            records: self.records,
            xxh3: format!("{:016x}", self.hash.digest()),
        }
    }

    /// Compares the lines that were added with the digest that came with them.
    ///
    /// # Errors
    ///
    /// The expected digest and the one found, in words, if they differ.
    pub(crate) fn check(&self, stored: &Digest) -> Result<(), (String, String)> {
        let found = self.line();
        if found == *stored {
            return Ok(());
        }
        let shown = |digest: &Digest| format!("{} lines with XXH3 {}", digest.records, digest.xxh3);
        Err((shown(stored), shown(&found)))
    }
}
