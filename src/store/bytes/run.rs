//! One block of a run: a part of the stored index of event ids.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::error::StorageError;
use crate::state::position::Position;
use crate::store::bytes::fingerprint::Fingerprint;
use crate::store::bytes::varint;

/// Maximum size of a block. A lookup reads a leaf of sled, which holds up to 17 blocks: that takes
/// 66 us with blocks of 6,000 bytes, 38 us with 3,000, and 28 us with 1,400. Smaller blocks also
/// save memory: sled keeps about ten thousand leaves, whatever its cache size.
const MAX_BYTES: usize = 1_400;
const CHECKSUM_BYTES: usize = 8;
/// Two varints, of at most 38 and 32 bits.
const MAX_ENTRY_BYTES: usize = 6 + 5;

/// The number of a run of the stored index, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RunNumber(pub(crate) u32);

/// The header of a stored run of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunHeader {
    pub(crate) run: RunNumber,
    /// The first of its positions, which are consecutive.
    pub(crate) first: Position,
    pub(crate) last: Position,
    /// The first fingerprint of its first block.
    pub(crate) first_fingerprint: Fingerprint,
    pub(crate) blocks: u32,
    /// XXH3 over the blocks' checksums.
    pub(crate) digest: u64,
}

impl RunHeader {
    /// Returns the first position after these runs, which are in order from the first run on.
    pub(crate) fn next_position(runs: &[Self]) -> Position {
        runs.last().map_or(Position::FIRST, |run| run.last.next())
    }
}

/// The key of a block of a run: the run, and the first entry of the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunKey {
    pub(crate) run: RunNumber,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) position: Position,
}

impl RunKey {
    /// The key in the tree `seen`.
    pub(crate) fn bytes(self) -> [u8; 20] {
        let mut key = [0; 20];
        key[..4].copy_from_slice(&self.run.0.to_be_bytes());
        key[4..12].copy_from_slice(&self.fingerprint.0.to_be_bytes());
        key[12..].copy_from_slice(&self.position.0.to_be_bytes());
        key
    }

    /// Reads a key of a block.
    pub(crate) fn parse(key: &[u8]) -> Option<Self> {
        let (run, rest) = key.split_first_chunk::<4>()?;
        let (fingerprint, position) = rest.split_first_chunk::<8>()?;
        let position = u64::from_be_bytes(position.try_into().ok()?);
        Some(Self {
            run: RunNumber(u32::from_be_bytes(*run)),
            fingerprint: Fingerprint(u64::from_be_bytes(*fingerprint)),
            position: Position(position),
        })
    }
}

/// One stored block of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunBlock {
    pub(crate) key: RunKey,
    pub(crate) bytes: Vec<u8>,
}

impl RunBlock {
    /// The checksum that the block begins with.
    pub(crate) fn checksum(&self) -> u64 {
        let bytes = self.bytes.first_chunk::<CHECKSUM_BYTES>();
        u64::from_le_bytes(*bytes.expect("every block begins with its checksum"))
    }
}

/// Packs the sorted entries of a run that begins at the position `first` into blocks.
pub(crate) fn encode_run(
    run: RunNumber,
    first: Position,
    entries: impl IntoIterator<Item = (Fingerprint, Position)>,
) -> Vec<RunBlock> {
    let mut blocks = Vec::new();
    let mut rest = entries.into_iter().peekable();
    while let Some(&(fingerprint, position)) = rest.peek() {
        let key = RunKey {
            run,
            fingerprint,
            position,
        };
        let mut packed = Vec::with_capacity(MAX_BYTES);
        let mut before = fingerprint;
        // The checksum and `until`, of at most 6 bytes, are still to be added.
        while packed.len() + MAX_ENTRY_BYTES <= MAX_BYTES - CHECKSUM_BYTES - 6
            && let Some((fingerprint, position)) = rest.next()
        {
            varint::put(&mut packed, fingerprint.0 - before.0);
            varint::put(&mut packed, position.0 - first.0);
            before = fingerprint;
        }
        let until = rest
            .peek()
            .map_or(0, |(next, _)| next.0 - key.fingerprint.0 + 1);
        let mut bytes = vec![0; CHECKSUM_BYTES];
        varint::put(&mut bytes, until);
        bytes.extend_from_slice(&packed);
        let checksum = checksum(key, &bytes);
        bytes[..CHECKSUM_BYTES].copy_from_slice(&checksum.to_le_bytes());
        blocks.push(RunBlock { key, bytes });
    }
    blocks
}

/// What a block holds besides its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunBlockHeader {
    pub(crate) checksum: u64,
    /// The first fingerprint of the next block; `None` in the last one.
    pub(crate) until: Option<Fingerprint>,
}

/// Calls `f` with each entry of a block of a run that begins at the position `first`.
///
/// # Errors
///
/// [`StorageError::Damaged`] if the bytes are not that block.
pub(crate) fn decode_run_block(
    key: RunKey,
    first: Position,
    bytes: &[u8],
    mut f: impl FnMut(Fingerprint, Position),
) -> Result<RunBlockHeader, StorageError> {
    let damaged = || {
        let RunKey {
            run, fingerprint, ..
        } = key;
        let what = format!(
            "the block from {:x} on of run {} of the index",
            fingerprint.0, run.0
        );
        StorageError::damaged(what, "a block with its checksum", "other bytes")
    };
    let (stored, mut rest) = bytes
        .split_first_chunk::<CHECKSUM_BYTES>()
        .ok_or_else(damaged)?;
    let checksum = checksum(key, bytes);
    if u64::from_le_bytes(*stored) != checksum {
        return Err(damaged());
    }
    let until = varint::take(&mut rest).ok_or_else(damaged)?;
    let until = until
        .checked_sub(1)
        .map(|more| Fingerprint(key.fingerprint.0 + more));
    let mut fingerprint = key.fingerprint;
    while !rest.is_empty() {
        let more = varint::take(&mut rest).ok_or_else(damaged)?;
        let offset = varint::take(&mut rest).ok_or_else(damaged)?;
        fingerprint = Fingerprint(fingerprint.0 + more);
        f(fingerprint, Position(first.0 + offset));
    }
    Ok(RunBlockHeader { checksum, until })
}

fn checksum(key: RunKey, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(&bytes[CHECKSUM_BYTES..], xxh3_64(&key.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_from_blocks_that_know_the_next_one() {
        let entries: Vec<_> = (0..4_000_u64)
            .map(|n| {
                (
                    Fingerprint(n / 3 * 0x7ff_ffff),
                    Position(100 + n * 31 % 4_000),
                )
            })
            .collect();
        let blocks = encode_run(RunNumber(7), Position(100), entries.iter().copied());
        assert!(blocks.len() > 3);
        let mut back = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            assert!(block.bytes.len() <= MAX_BYTES);
            assert_eq!(RunKey::parse(&block.key.bytes()), Some(block.key));
            let header = decode_run_block(block.key, Position(100), &block.bytes, |f, p| {
                back.push((f, p));
            });
            let header = header.expect("it was just encoded");
            assert_eq!(header.checksum, block.checksum());
            let next = blocks.get(index + 1).map(|next| next.key.fingerprint);
            assert_eq!(header.until, next);
            let elsewhere = RunKey {
                run: RunNumber(8),
                ..block.key
            };
            assert!(decode_run_block(elsewhere, Position(100), &block.bytes, |_, _| ()).is_err());
        }
        assert_eq!(back, entries);
    }
}
