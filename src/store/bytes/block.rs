//! A block of the journal: many entries under one checksum.

use std::sync::Arc;

use hashbrown::{HashTable, hash_table};
use sled::IVec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::StorageError;
use crate::state::counts::word_hash;
use crate::state::position::Position;
use crate::state::position_set::PositionRange;
use crate::store::bytes::entry::{Entry, MAX_ENTRY_BYTES, WordPlace, word_at};

/// A block with this many bytes or more takes no further entry. To read one entry, sled reads a
/// page of up to 17 blocks: that takes 38 us, and took 66 us with blocks of 6,000 bytes. Appending
/// is as fast with either size.
pub(crate) const FULL_BLOCK_BYTES: usize = 3_000;

/// Maximum size of a block: sled would write a page of over 131,052 bytes, which has up to 17
/// blocks, to a file that is never synced.
const MAX_BLOCK_BYTES: usize = FULL_BLOCK_BYTES + MAX_ENTRY_BYTES;
const _: () = assert!(MAX_BLOCK_BYTES <= 6_000);

/// Maximum number of entries of a block: the shortest has four bytes.
pub(crate) const MAX_BLOCK_ENTRIES: usize = FULL_BLOCK_BYTES / 4;

/// Entries from one mark of a block to the next.
pub(super) const ENTRIES_A_MARK: usize = 8;

const VERSION: u8 = 3;
const CHECKSUM_BYTES: usize = 8;
pub(super) const HEADER_BYTES: usize = CHECKSUM_BYTES + 1 + 2 + 4 * 8;

/// A block that still takes entries.
#[derive(Debug)]
pub(crate) struct OpenBlock {
    first: Position,
    previous_checksum: u64,
    /// The stamp of the last entry.
    stamp: Stamp,
    bytes: Vec<u8>,
    /// The offset in `bytes` of each entry.
    offsets: Vec<u16>,
    /// The offset in `bytes` of each word.
    spelled: Vec<u16>,
    /// The index in `spelled` of each word, by the word's hash.
    words: HashTable<u16>,
}

impl OpenBlock {
    /// Returns an empty block whose first entry will be at `first`. The block before has the
    /// checksum `previous_checksum`.
    pub(crate) fn new(first: Position, previous_checksum: u64) -> Self {
        let mut block = Self {
            first,
            previous_checksum,
            stamp: Stamp::default(),
            bytes: Vec::with_capacity(MAX_BLOCK_BYTES),
            offsets: Vec::new(),
            spelled: Vec::new(),
            words: HashTable::new(),
        };
        block.restart(first, previous_checksum);
        block
    }

    /// Turns this into an empty block at another position.
    pub(crate) fn restart(&mut self, first: Position, previous_checksum: u64) {
        (self.first, self.previous_checksum) = (first, previous_checksum);
        self.bytes.clear();
        self.bytes.resize(HEADER_BYTES, 0);
        self.bytes[CHECKSUM_BYTES] = VERSION;
        self.offsets.clear();
        self.spelled.clear();
        self.words.clear();
    }

    /// Reopens a stored block to extend it.
    ///
    /// # Errors
    ///
    /// [`StorageError::Damaged`] if the block's bytes are not entries.
    pub(crate) fn reopen(block: &Block) -> Result<Self, StorageError> {
        let mut open = Self::new(block.first, block.previous_checksum);
        let mut cursor = block.cursor();
        while let Some((_, entry)) = cursor.next()? {
            open.push(&entry, word_hash(entry.word), block.stamp);
        }
        Ok(open)
    }

    /// True if the block takes no further entry.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= FULL_BLOCK_BYTES
    }

    /// The position of the next entry.
    pub(crate) fn next_position(&self) -> Position {
        Position(self.first.0 + self.offsets.len() as u64)
    }

    /// The entry at a position, which must be in the block.
    pub(crate) fn entry(&self, position: Position) -> Entry<'_> {
        let offset = self.offsets[(position.0 - self.first.0) as usize];
        let found = Entry::find(&self.bytes, offset.into(), &self.spelled);
        found.expect("an open block holds what was pushed").entry
    }

    /// Adds an entry; `hash` is the [`word_hash`] of its word. The block must not be full.
    pub(crate) fn push(&mut self, entry: &Entry<'_>, hash: u64, stamp: Stamp) {
        assert!(!self.is_full(), "a full block takes no event");
        self.stamp = stamp;
        self.offsets.push(self.bytes.len() as u16);
        let (bytes, spelled) = (&self.bytes, &self.spelled);
        let word = |index: u16| word_at(bytes, spelled[usize::from(index)]);
        let found = self.words.entry(
            hash,
            |&index| word(index) == Some(entry.word),
            |&index| word_hash(word(index).unwrap_or_default()),
        );
        let place = match found {
            hash_table::Entry::Occupied(found) => WordPlace::Earlier(*found.get()),
            hash_table::Entry::Vacant(none) => {
                none.insert(spelled.len() as u16);
                WordPlace::Here
            }
        };
        if let Some(place) = entry.put(place, &mut self.bytes) {
            self.spelled.push(place);
        }
    }

    /// Returns the present block in its stored form, with the group of its last entry. It is the
    /// same each time until another entry is added.
    pub(crate) fn seal(&mut self) -> Block {
        let entries = self.offsets.len() as u16;
        let Stamp {
            groups,
            counts_digest,
        } = self.stamp;
        let header = &mut self.bytes[CHECKSUM_BYTES + 1..HEADER_BYTES];
        header[..2].copy_from_slice(&entries.to_le_bytes());
        let numbers = [
            groups.group,
            groups.base,
            self.previous_checksum,
            counts_digest,
        ];
        for (place, number) in header[2..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let checksum = checksum(self.first, &self.bytes);
        self.bytes[..CHECKSUM_BYTES].copy_from_slice(&checksum.to_le_bytes());
        let marks = self.offsets.iter().step_by(ENTRIES_A_MARK).copied();
        Block {
            first: self.first,
            entries,
            marks: Some(marks.collect()),
            is_excerpt: false,
            previous_checksum: self.previous_checksum,
            stamp: self.stamp,
            bytes: self.bytes.as_slice().into(),
        }
    }

    pub(crate) fn first(&self) -> Position {
        self.first
    }
}

/// The groups that a block refers to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    /// The group that the block was last written with.
    pub(crate) group: u64,
    /// The last group before that one that was a transaction, and so wrote the record `head`.
    pub(crate) base: u64,
}

/// What a block stores about the state after its last entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) groups: Groups,
    /// The digest of the state's counts.
    pub(crate) counts_digest: u64,
}

/// A block in its stored form, with a correct checksum.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) first: Position,
    pub(crate) entries: u16,
    /// The offset of every [`ENTRIES_A_MARK`]th entry, from which those after it are found without
    /// reading all before it. Blocks that [`Block::open`] read have none until [`Block::marked`].
    pub(super) marks: Option<Arc<[u16]>>,
    /// True for what [`Block::excerpt`] returns.
    pub(crate) is_excerpt: bool,
    /// The checksum of the block before; 0 if there is none.
    pub(crate) previous_checksum: u64,
    pub(crate) stamp: Stamp,
    pub(crate) bytes: IVec,
}

impl Block {
    /// Reads a stored block.
    ///
    /// # Errors
    ///
    /// [`StorageError::Damaged`] if the checksum, the version or the number of entries is wrong.
    pub(crate) fn open(first: Position, bytes: &IVec) -> Result<Self, StorageError> {
        let damaged = |expected: &str, found: String| {
            StorageError::damaged(
                format!("the journal block at position {first}"),
                expected,
                found,
            )
        };
        let Some((stored, rest)) = bytes.split_first_chunk::<CHECKSUM_BYTES>() else {
            return Err(damaged("a checksum", format!("{} bytes", bytes.len())));
        };
        let (stored, computed) = (u64::from_le_bytes(*stored), checksum(first, bytes));
        if stored != computed {
            return Err(damaged(
                &format!("checksum {stored:016x}"),
                format!("{computed:016x}"),
            ));
        }
        let number = |index: usize| {
            let bytes = bytes[CHECKSUM_BYTES + 3 + 8 * index..].first_chunk::<8>();
            u64::from_le_bytes(*bytes.expect("a header has four numbers at its end"))
        };
        match rest.first_chunk::<{ HEADER_BYTES - CHECKSUM_BYTES }>() {
            Some(&[VERSION, low, high, ..]) if (low, high) != (0, 0) => Ok(Self {
                first,
                entries: u16::from_le_bytes([low, high]),
                marks: None,
                is_excerpt: false,
                stamp: Stamp {
                    groups: Groups {
                        group: number(0),
                        base: number(1),
                    },
                    counts_digest: number(3),
                },
                previous_checksum: number(2),
                bytes: bytes.clone(),
            }),
            header => {
                let expected = format!("version {VERSION} and an entry");
                Err(damaged(&expected, format!("{header:02x?}")))
            }
        }
    }

    /// The checksum that the block begins with.
    pub(crate) fn checksum(&self) -> u64 {
        let bytes = self.bytes.first_chunk::<CHECKSUM_BYTES>();
        u64::from_le_bytes(*bytes.expect("every block begins with its checksum"))
    }

    /// The position of the last entry.
    pub(crate) fn last(&self) -> Position {
        Position(self.first.0 + u64::from(self.entries) - 1)
    }

    /// Returns the block with marks.
    ///
    /// # Errors
    ///
    /// [`StorageError::Damaged`] if the block's bytes are not entries.
    pub(crate) fn marked(mut self) -> Result<Self, StorageError> {
        let mut marks = Vec::with_capacity(usize::from(self.entries) / ENTRIES_A_MARK + 1);
        let mut offset = HEADER_BYTES;
        for index in 0..self.entries {
            if usize::from(index).is_multiple_of(ENTRIES_A_MARK) {
                marks.push(offset as u16);
            }
            let skipped = Entry::skip(&self.bytes, offset);
            let at = Position(self.first.0 + u64::from(index));
            (offset, _) = skipped.ok_or_else(|| no_entry(at))?;
        }
        self.marks = Some(marks.into());
        Ok(self)
    }

    /// Returns the last mark up to a position.
    pub(crate) fn mark_near(&self, position: Position) -> Option<&u16> {
        let index = position.0.checked_sub(self.first.0)?;
        self.marks.as_ref()?.get(index as usize / ENTRIES_A_MARK)
    }

    /// The bytes of memory that the block and its marks take.
    pub(crate) fn memory_bytes(&self) -> usize {
        let marks = self.marks.as_ref().map_or(0, |marks| size_of_val(&**marks));
        self.bytes.len() + marks
    }
}

pub(super) fn no_entry(position: Position) -> StorageError {
    let what = format!("the journal at position {position}");
    StorageError::damaged(what, "an entry", "none")
}

/// Calls `f` with each entry of a block whose position is in a range, in order.
pub(crate) fn walk_block<E: From<StorageError>>(
    block: &Block,
    range: PositionRange,
    f: &mut impl FnMut(Position, Entry<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut cursor = block.cursor();
    while let Some((position, entry)) = cursor.next()? {
        if position > range.last {
            break;
        }
        if position >= range.first {
            f(position, entry)?;
        }
    }
    Ok(())
}

fn checksum(first: Position, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(&bytes[CHECKSUM_BYTES..], first.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::state::limits::{MAX_EVENT_ID_BYTES, MAX_WORD_BYTES};
    use crate::store::bytes::entry::EventId;

    const STAMP: Stamp = Stamp {
        groups: Groups { group: 5, base: 4 },
        counts_digest: 9,
    };

    fn event_id() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<u128>().prop_map(|n| Uuid::from_u128(n).to_string()),
            any::<u128>().prop_map(|n| Uuid::from_u128(n).to_string().to_uppercase()),
            any::<u128>().prop_map(|n| Uuid::from_u128(n).simple().to_string()),
            "[a-f0-9-]{36}",
            "\\PC{1,40}",
        ]
    }

    proptest! {
        #[test]
        fn a_block_gives_back_the_bytes_that_came_in(
            events in prop::collection::vec((event_id(), "\\PC{1,9}|[ab]", any::<u64>()), 1..40),
            first in 1..u64::MAX / 2,
        ) {
            let first = Position(first);
            let mut open = OpenBlock::new(first, 6);
            for (id, word, count) in &events {
                let entry = Entry { event_id: EventId::new(id), word, count: *count };
                open.push(&entry, word_hash(word), STAMP);
            }
            let sealed = open.seal();
            let opened = Block::open(first, &sealed.bytes)?;
            prop_assert_eq!((opened.previous_checksum, opened.stamp), (6, STAMP));
            let mut cursor = opened.cursor();
            for (index, (id, word, count)) in events.iter().enumerate() {
                let (position, entry) = cursor.next()?.expect("as many entries as were pushed");
                prop_assert_eq!(position.0, first.0 + index as u64);
                entry.event_id.with_text(|text| assert_eq!(text, id));
                prop_assert_eq!((entry.word, entry.count), (&**word, *count));
            }
            prop_assert!(cursor.next()?.is_none());
        }
    }

    #[test]
    fn a_flipped_bit_or_another_key_is_found() {
        let mut open = OpenBlock::new(Position(7), 6);
        let entry = Entry {
            event_id: EventId::new("e1"),
            word: "hello",
            count: 1,
        };
        open.push(&entry, word_hash(entry.word), STAMP);
        let bytes = open.seal().bytes;
        assert!(Block::open(Position(7), &bytes).is_ok());
        assert!(Block::open(Position(8), &bytes).is_err());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let opened = Block::open(Position(7), &flipped.into());
            assert!(opened.is_err(), "bit {bit}");
        }
    }

    #[test]
    fn the_longest_events_fit_until_the_block_says_it_is_full() {
        let (id, word) = ("i".repeat(MAX_EVENT_ID_BYTES), "w".repeat(MAX_WORD_BYTES));
        let entry = Entry {
            event_id: EventId::new(&id),
            word: &word,
            count: u64::MAX,
        };
        let mut open = OpenBlock::new(Position::FIRST, 0);
        while !open.is_full() {
            open.push(&entry, word_hash(entry.word), STAMP);
        }
        assert!(open.seal().bytes.len() <= MAX_BLOCK_BYTES);
        // The word is spelled once, and the id with each event.
        assert_eq!(open.next_position(), Position(5));
    }
}
