//! The small records: a version, a checksum, then the fields as bincode writes them.
//!
//! No other file uses bincode.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::error::StorageError;
use crate::state::position::Position;
use crate::store::bytes::fingerprint::Fingerprints;
use crate::store::bytes::tree_name::TreeName;

const VERSION: u8 = 5;
const CHECKSUM_BYTES: usize = 8;

/// What is fixed when a database is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FormatRecord {
    /// The format of everything in the database.
    pub(crate) format: u32,
    /// The seed of the event ids' fingerprints.
    pub(crate) seed: u64,
    /// Number of bits of a fingerprint that are in use: all, except in tests of collisions.
    pub(crate) fingerprint_bits: u32,
}

impl FormatRecord {
    pub(crate) fn fingerprints(&self) -> Fingerprints {
        Fingerprints::new(self.seed, self.fingerprint_bits)
    }
}

/// The parts of the state that are single values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scalars {
    /// The journal's last position.
    pub(crate) position: Position,
    /// The first position of the timeline's open end.
    pub(crate) open_from: Position,
    /// The number of the last commit; 0 if there is none.
    pub(crate) last_commit: u64,
    /// The time of that commit, in milliseconds since 1970; 0 if there is none.
    pub(crate) last_committed_at_ms: u64,
    /// Number of released outputs.
    pub(crate) outputs: u64,
    /// True if outputs are released as their events are accepted.
    pub(crate) autocommit: bool,
    /// The first position of the open end of the released positions, if they have one.
    pub(crate) released_from: Option<Position>,
    /// The source position of the state.
    pub(crate) source: Option<Vec<u8>>,
    /// The source position at the last commit of this timeline.
    pub(crate) committed_source: Option<Vec<u8>>,
    /// The digest of the state's counts.
    pub(crate) counts_digest: u64,
    /// Number of restores and rollbacks so far.
    pub(crate) switches: u64,
}

/// The record `head` of the tree `meta`: the state's scalars and the store's own values, as of the
/// last group that was a transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeadRecord {
    /// Number of groups persisted so far.
    pub(crate) group: u64,
    /// The number that the next stored set gets.
    pub(crate) next_set: u64,
    pub(crate) scalars: Scalars,
    pub(crate) digests: Digests,
    pub(crate) journal: JournalSize,
}

/// The size of the journal. Its last block is counted apart, as only that one is ever replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JournalSize {
    /// Number of blocks before the last one.
    pub(crate) blocks: u64,
    /// Bytes of these blocks and their keys.
    pub(crate) bytes: u64,
    /// The first position of the last block.
    pub(crate) last: Position,
    /// Bytes of the last block and its key; 0 if there is none.
    pub(crate) last_bytes: u64,
}

impl JournalSize {
    /// Adds a block that is new or replaces the last one.
    pub(crate) fn add(&mut self, first: Position, bytes: u64) {
        if self.last_bytes > 0 && self.last != first {
            self.blocks += 1;
            self.bytes += self.last_bytes;
        }
        self.last = first;
        self.last_bytes = bytes;
    }

    /// Number of blocks.
    pub(crate) fn entries(&self) -> u64 {
        self.blocks + u64::from(self.last_bytes > 0)
    }

    /// Bytes of all blocks and their keys.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.bytes + self.last_bytes
    }
}

/// Digests of the trees. The output log has none of its own: it follows from `releases`, `sets` and
/// the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Digests {
    /// The checksum of the journal's last block; 0 if there is none.
    pub(crate) journal: u64,
    pub(crate) sets: TreeDigest,
    pub(crate) counts: TreeDigest,
    pub(crate) checkpoints: TreeDigest,
    pub(crate) releases: TreeDigest,
    pub(crate) index: TreeDigest,
    pub(crate) switches: TreeDigest,
}

impl Digests {
    /// Returns the digest of a tree; `None` for `meta`, which holds the digests, and for the
    /// journal, whose blocks have checksums of their own.
    pub(crate) fn of_mut(&mut self, tree: TreeName) -> Option<&mut TreeDigest> {
        match tree {
            TreeName::Meta | TreeName::Journal => None,
            TreeName::Sets => Some(&mut self.sets),
            TreeName::Counts => Some(&mut self.counts),
            TreeName::Checkpoints => Some(&mut self.checkpoints),
            TreeName::Releases => Some(&mut self.releases),
            TreeName::Index => Some(&mut self.index),
            TreeName::Switches => Some(&mut self.switches),
        }
    }

    /// The digests of the trees that have one.
    pub(crate) fn by_tree(&self) -> Vec<(TreeName, TreeDigest)> {
        let mut digests = self.clone();
        let digest = |name| digests.of_mut(name).map(|digest| (name, *digest));
        TreeName::ALL.into_iter().filter_map(digest).collect()
    }
}

/// Number of entries of a tree, and the sum of their hashes modulo 2^64. The hash of an entry is
/// the XXH3 of its value, seeded with the XXH3 of its key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TreeDigest {
    pub(crate) entries: u64,
    pub(crate) sum: u64,
    /// Bytes of all keys and values.
    pub(crate) bytes: u64,
}

impl TreeDigest {
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.entries = self.entries.wrapping_add(1);
        self.sum = self.sum.wrapping_add(Self::hash(key, value));
        self.bytes = self.bytes.wrapping_add((key.len() + value.len()) as u64);
    }

    /// Removes an entry that was added before.
    pub(crate) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.entries = self.entries.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(Self::hash(key, value));
        self.bytes = self.bytes.wrapping_sub((key.len() + value.len()) as u64);
    }

    fn hash(key: &[u8], value: &[u8]) -> u64 {
        xxh3_64_with_seed(value, xxh3_64(key))
    }
}

impl fmt::Display for TreeDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries of digest {:016x}", self.entries, self.sum)
    }
}

/// A stored position set that never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SetRecord {
    /// A few ranges, each as (first, last).
    Ranges(Vec<(Position, Position)>),
    /// The number of a set whose pieces are in the tree `sets`.
    Pieces(u64),
}

/// A checkpoint as it is stored under its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CheckpointRecord {
    pub(crate) timeline: SetRecord,
    /// Number of events of the timeline.
    pub(crate) events: u64,
    /// The journal's last position when the checkpoint was saved.
    pub(crate) position: Position,
    /// Number of outputs, from offset 0 on, whose ids are settled in the timeline.
    pub(crate) outputs: u64,
    pub(crate) source: Option<Vec<u8>>,
    pub(crate) committed_source: Option<Vec<u8>>,
    /// The time of saving, in milliseconds since 1970, as the caller gave it.
    pub(crate) created_at_ms: u64,
}

/// A restore or a rollback as it is stored under its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SwitchRecord {
    /// The checkpoint that was restored; `None` for a rollback.
    pub(crate) checkpoint_id: Option<String>,
    /// The journal's last position at the switch.
    pub(crate) position: Position,
    /// The last position of the new timeline; 0 if it had no events.
    pub(crate) reached: Position,
    /// Number of events that left the state.
    pub(crate) events_left: u64,
    /// Number of events that came back into the state.
    pub(crate) events_back: u64,
    /// The number of the last commit before the switch.
    pub(crate) last_commit: u64,
    /// The time of the switch, in milliseconds since 1970, as the caller gave it.
    pub(crate) made_at_ms: u64,
}

/// The header of a counts snapshot. It is written last: without it, the snapshot does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotRecord {
    pub(crate) timeline: SetRecord,
    /// The journal's last position when the snapshot was taken.
    pub(crate) position: Position,
    /// Number of its blocks, which are numbered from 1.
    pub(crate) blocks: u32,
    /// Number of its words.
    pub(crate) words: u64,
    /// XXH3 over the blocks' checksums.
    pub(crate) digest: u64,
}

/// The header of a run of the index. It is written last: without it, the run does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    /// The first of its positions, which are consecutive.
    pub(crate) first: Position,
    pub(crate) last: Position,
    /// The first fingerprint of its first block.
    pub(crate) first_fingerprint: u64,
    /// Number of its blocks.
    pub(crate) blocks: u32,
    /// XXH3 over the blocks' checksums.
    pub(crate) digest: u64,
}

pub(crate) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION; 1 + CHECKSUM_BYTES];
    bincode::serialize_into(&mut bytes, record).expect(
        "records hold only numbers and byte strings, and a vector takes any number of bytes",
    );
    let (header, rest) = bytes.split_at_mut(1 + CHECKSUM_BYTES);
    header[1..].copy_from_slice(&xxh3_64(rest).to_le_bytes());
    bytes
}

/// Reads a record; `what` names it in an error.
///
/// # Errors
///
/// [`StorageError::Damaged`] if the bytes are not such a record.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, StorageError> {
    decode_of(VERSION, bytes, what)
}

/// Like [`decode`], for a record of the version `expected`.
pub(crate) fn decode_of<T: DeserializeOwned>(
    expected: u8,
    bytes: &[u8],
    what: &str,
) -> Result<T, StorageError> {
    let version = bytes.first();
    if version != Some(&expected) {
        let (expected, found) = (format!("version {expected}"), format!("{version:?}"));
        return Err(StorageError::damaged(what, expected, found));
    }
    let Some((checksum, rest)) = bytes[1..].split_first_chunk::<CHECKSUM_BYTES>() else {
        let found = format!("{} bytes", bytes.len());
        return Err(StorageError::damaged(what, "a checksum", found));
    };
    let (stored, found) = (u64::from_le_bytes(*checksum), xxh3_64(rest));
    if stored != found {
        let (stored, found) = (format!("checksum {stored:016x}"), format!("{found:016x}"));
        return Err(StorageError::damaged(what, stored, found));
    }
    bincode::deserialize(rest)
        .map_err(|error| StorageError::damaged(what, "a record", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_a_damaged_one_does_not() {
        let record = RunRecord {
            first: Position(1),
            last: Position(3),
            first_fingerprint: 7,
            blocks: 1,
            digest: 9,
        };
        let mut bytes = encode(&record);
        assert_eq!(
            decode::<RunRecord>(&bytes, "a run").expect("it is one"),
            record
        );
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<RunRecord>(&bytes, "a run").is_err());
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for cut in 0..bytes.len() {
            assert!(decode::<RunRecord>(&bytes[..cut], "a run").is_err());
        }
    }
}
