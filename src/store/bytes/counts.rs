//! One block of a counts snapshot.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::StorageError;
use crate::state::counts::WordCount;
use crate::state::limits::MAX_WORD_BYTES;
use crate::store::bytes::varint;

/// Maximum size of a block, for the same reason as that of a journal block.
const MAX_BYTES: usize = 6_000;
const CHECKSUM_BYTES: usize = 8;
const MAX_ENTRY_BYTES: usize = MAX_WORD_BYTES + 2 * varint::MAX_VARINT_BYTES;

/// One stored block: its number, from 1, and its bytes.
#[derive(Debug, Clone)]
pub(crate) struct CountsBlock {
    pub(crate) number: u32,
    pub(crate) bytes: Vec<u8>,
}

impl CountsBlock {
    /// The checksum that the block begins with.
    pub(crate) fn checksum(&self) -> u64 {
        let bytes = self.bytes.first_chunk::<CHECKSUM_BYTES>();
        u64::from_le_bytes(*bytes.expect("every block begins with its checksum"))
    }
}

/// Packs sorted counts into blocks.
pub(crate) fn encode_counts(snapshot: u64, counts: &[WordCount]) -> Vec<CountsBlock> {
    let mut blocks = Vec::new();
    let mut bytes = vec![0; CHECKSUM_BYTES];
    for (index, WordCount { word, count }) in counts.iter().enumerate() {
        varint::put_bytes(&mut bytes, word.as_bytes());
        varint::put(&mut bytes, *count);
        if bytes.len() + MAX_ENTRY_BYTES > MAX_BYTES || index + 1 == counts.len() {
            let number = u32::try_from(blocks.len() + 1).expect("words are numbered with 32 bits");
            let checksum = checksum(snapshot, number, &bytes);
            bytes[..CHECKSUM_BYTES].copy_from_slice(&checksum.to_le_bytes());
            let full = std::mem::replace(&mut bytes, vec![0; CHECKSUM_BYTES]);
            blocks.push(CountsBlock {
                number,
                bytes: full,
            });
        }
    }
    blocks
}

/// Calls `f` with each word and count of a block, and returns the block's checksum.
///
/// # Errors
///
/// [`StorageError::Damaged`] if the bytes are not that block.
pub(crate) fn decode_counts(
    snapshot: u64,
    number: u32,
    bytes: &[u8],
    mut f: impl FnMut(&str, u64),
) -> Result<u64, StorageError> {
    let damaged = || {
        let what = format!("block {number} of counts snapshot {snapshot}");
        StorageError::damaged(what, "a block with its checksum", "other bytes")
    };
    let (stored, mut rest) = bytes
        .split_first_chunk::<CHECKSUM_BYTES>()
        .ok_or_else(damaged)?;
    let stored = u64::from_le_bytes(*stored);
    if stored != checksum(snapshot, number, bytes) {
        return Err(damaged());
    }
    while !rest.is_empty() {
        let word = varint::take_str(&mut rest).ok_or_else(damaged)?;
        f(word, varint::take(&mut rest).ok_or_else(damaged)?);
    }
    Ok(stored)
}

fn checksum(snapshot: u64, number: u32, bytes: &[u8]) -> u64 {
    let seed = snapshot.rotate_left(32) ^ u64::from(number);
    xxh3_64_with_seed(&bytes[CHECKSUM_BYTES..], seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back_in_order_from_blocks_within_the_limit() {
        let counts: Vec<WordCount> = (0..500_u64)
            .map(|n| WordCount {
                word: format!("{n:0>width$}", width = 1 + n as usize * 2).into(),
                count: n << (n % 50),
            })
            .collect();
        let blocks = encode_counts(7, &counts);
        assert!(blocks.len() > 1);
        let mut back = Vec::new();
        for block in &blocks {
            assert!(block.bytes.len() <= MAX_BYTES);
            let checksum = decode_counts(7, block.number, &block.bytes, |word, count| {
                back.push(WordCount {
                    word: word.into(),
                    count,
                });
            });
            assert_eq!(checksum.expect("it was just encoded"), block.checksum());
            assert!(decode_counts(8, block.number, &block.bytes, |_, _| ()).is_err());
        }
        assert_eq!(back, counts);
    }
}
