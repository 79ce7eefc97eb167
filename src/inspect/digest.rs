//! The digest of a dump: its last line, by which one that was cut off or changed is known.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// The last line of a dump that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// How many lines are before it.
    pub records: u64,
    /// The XXH3 of their bytes, with their newlines, in hexadecimal.
    pub xxh3: String,
}

/// Works out the digest of a dump, line by line.
#[derive(Default)]
pub(crate) struct DumpDigest {
    records: u64,
    hash: Xxh3,
}

impl DumpDigest {
    /// How many lines there were.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Takes in the next line, given without its newline.
    pub(crate) fn add(&mut self, line: &[u8]) {
        self.records += 1;
        self.hash.update(line);
        self.hash.update(b"\n");
    }

    /// The digest of the lines until now.
    pub(crate) fn line(&self) -> Digest {
        Digest {
            records: self.records,
            xxh3: format!("{:016x}", self.hash.digest()),
        }
    }

    /// Compares the lines with the digest that came with them.
    ///
    /// # Errors
    ///
    /// What it says, and what they have, for people.
    pub(crate) fn check(&self, stored: &Digest) -> Result<(), (String, String)> {
        let found = self.line();
        if found == *stored {
            return Ok(());
        }
        let shown = |digest: &Digest| format!("{} lines of {}", digest.records, digest.xxh3);
        Err((shown(stored), shown(&found)))
    }
}
