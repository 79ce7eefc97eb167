//! One piece of a position set, in its smallest form.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::StorageError;
use crate::state::position_set::{PIECE_POSITIONS, PIECE_WORDS, Piece, PositionSet};
use crate::store::bytes::varint;

const FULL: u8 = 1;
const RANGES: u8 = 2;
const BITMAP: u8 = 3;
const BITMAP_BYTES: usize = PIECE_WORDS * 8;

/// The key of a stored piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PieceKey {
    pub(crate) set: u64,
    pub(crate) piece: u64,
}

impl PieceKey {
    /// The key in the tree `sets`.
    pub(crate) fn bytes(self) -> [u8; 16] {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.set.to_be_bytes());
        key[8..].copy_from_slice(&self.piece.to_be_bytes());
        key
    }

    /// Reads a key of the tree `sets`.
    pub(crate) fn parse(key: &[u8]) -> Option<Self> {
        let (set, piece) = key.split_first_chunk::<8>()?;
        let piece = u64::from_be_bytes(piece.try_into().ok()?);
        Some(Self {
            set: u64::from_be_bytes(*set),
            piece,
        })
    }

    fn checksum(self, bytes: &[u8]) -> u64 {
        xxh3_64_with_seed(bytes, self.set.rotate_left(32) ^ self.piece)
    }
}

/// Returns the bytes of a piece; `None` if it is empty, as such a piece is not stored.
pub(crate) fn encode(key: PieceKey, piece: &Piece) -> Option<Vec<u8>> {
    let mut bytes = match piece {
        Piece::Empty => return None,
        Piece::Full => vec![FULL],
        Piece::Mixed(bits) => encode_ranges(piece).unwrap_or_else(|| {
            let words = bits.iter().flat_map(|word| word.to_le_bytes());
            std::iter::once(BITMAP).chain(words).collect()
        }),
    };
    bytes.extend_from_slice(&key.checksum(&bytes).to_le_bytes());
    Some(bytes)
}

/// Encodes a piece as ranges; `None` if a bitmap is smaller.
fn encode_ranges(piece: &Piece) -> Option<Vec<u8>> {
    let set = PositionSet::from_pieces([(0, piece.clone())]);
    let mut bytes = vec![RANGES];
    let mut next = 0;
    for range in set.ranges() {
        varint::put(&mut bytes, range.first.0 - next);
        varint::put(&mut bytes, range.last.0 - range.first.0);
        next = range.last.0 + 1;
        if bytes.len() > BITMAP_BYTES {
            return None;
        }
    }
    Some(bytes)
}

/// Reads a piece.
///
/// # Errors
///
/// [`StorageError::Damaged`] if the bytes are not a piece stored under this key.
pub(crate) fn decode(key: PieceKey, bytes: &[u8]) -> Result<Piece, StorageError> {
    let what = || format!("piece {} of position set {}", key.piece, key.set);
    let Some((rest, stored)) = bytes.split_last_chunk::<8>() else {
        return Err(StorageError::damaged(
            what(),
            "a checksum",
            format!("{} bytes", bytes.len()),
        ));
    };
    let (stored, computed) = (u64::from_le_bytes(*stored), key.checksum(rest));
    if stored != computed {
        let expected = format!("checksum {stored:016x}");
        return Err(StorageError::damaged(
            what(),
            expected,
            format!("{computed:016x}"),
        ));
    }
    decode_form(rest).ok_or_else(|| StorageError::damaged(what(), "a piece", "other bytes"))
}

fn decode_form(bytes: &[u8]) -> Option<Piece> {
    let (&form, mut rest) = bytes.split_first()?;
    match form {
        FULL => Some(Piece::Full),
        RANGES => {
            let mut piece = Piece::Empty;
            let mut next = 0_u64;
            while !rest.is_empty() {
                let first = next.checked_add(varint::take(&mut rest)?)?;
                let last = first.checked_add(varint::take(&mut rest)?)?;
                if last >= PIECE_POSITIONS {
                    return None;
                }
                piece.fill(first, last);
                next = last + 1;
            }
            (!matches!(piece, Piece::Empty)).then_some(piece)
        }
        BITMAP if rest.len() == BITMAP_BYTES => {
            let mut words = rest.chunks_exact(8);
            Some(Piece::from_bits(std::array::from_fn(|_| {
                let word = words.next().expect("the length was checked");
                u64::from_le_bytes(word.try_into().expect("a chunk has eight bytes"))
            })))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::position::Position;
    use crate::state::position_set::PositionRange;

    proptest! {
        #[test]
        fn a_piece_comes_back_and_is_never_larger_than_a_bitmap(
            starts in prop::collection::vec((0..PIECE_POSITIONS, 0..50_u64), 1..4000),
        ) {
            let set = PositionSet::from_ranges(starts.into_iter().map(|(first, length)| {
                let last = (first + length).min(PIECE_POSITIONS - 1);
                PositionRange { first: Position(first), last: Position(last) }
            }));
            let (_, piece) = set.pieces().next().expect("it is not empty");
            let key = PieceKey { set: 3, piece: 9 };
            let bytes = encode(key, piece).expect("it is not empty");
            prop_assert!(bytes.len() <= 1 + BITMAP_BYTES + 8);
            let back = PositionSet::from_pieces([(0, decode(key, &bytes)?)]);
            prop_assert_eq!(back.ranges().collect::<Vec<_>>(), set.ranges().collect::<Vec<_>>());
            let elsewhere = PieceKey { set: 4, piece: 9 };
            prop_assert!(decode(elsewhere, &bytes).is_err());
        }
    }
}
