//! One entry of the journal, as it is stored in a block.

use uuid::Uuid;

use crate::error::StorageError;
use crate::state::counts::Counts;
use crate::state::limits::{MAX_EVENT_ID_BYTES, MAX_WORD_BYTES};
use crate::state::position::Position;
use crate::store::bytes::varint;

/// Maximum size of an entry: its id, its word and four varints.
pub(crate) const MAX_ENTRY_BYTES: usize =
    MAX_EVENT_ID_BYTES + MAX_WORD_BYTES + 4 * varint::MAX_VARINT_BYTES;

const IS_UUID: u64 = 1;
/// Length of a UUID in hyphenated text.
pub(crate) const UUID_BYTES: usize = 36;

/// An accepted event in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) event_id: EventId<'a>,
    pub(crate) word: &'a str,
    /// The count of the word in the reply to the event.
    pub(crate) count: u64,
}

/// Where the word of an entry is spelled in its block.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WordPlace {
    /// In this entry.
    Here,
    /// In an earlier entry, as the spelled word with this index, from 0.
    Earlier(u16),
}

/// An entry that was found in a block.
pub(crate) struct Found<'a> {
    pub(crate) entry: Entry<'a>,
    /// The offset of the word, if this entry spells it.
    pub(crate) spelled_at: Option<u16>,
    /// The offset after the entry.
    pub(crate) end: usize,
}

impl<'a> Entry<'a> {
    /// Appends the bytes of the entry. Returns the offset of its word, if it is spelled there.
    pub(crate) fn put(&self, place: WordPlace, bytes: &mut Vec<u8>) -> Option<u16> {
        let number = match place {
            WordPlace::Here => 0,
            WordPlace::Earlier(index) => u64::from(index) + 1,
        };
        match &self.event_id {
            EventId::Text(text) => {
                varint::put(bytes, 2 * number);
                varint::put_bytes(bytes, text.as_bytes());
            }
            EventId::Uuid(uuid) => {
                varint::put(bytes, 2 * number + IS_UUID);
                bytes.extend_from_slice(uuid.as_bytes());
            }
        }
        let spelled_at = (number == 0).then_some(bytes.len() as u16);
        if spelled_at.is_some() {
            varint::put_bytes(bytes, self.word.as_bytes());
        }
        varint::put(bytes, self.count);
        spelled_at
    }

    /// Reads the entry at the offset `at` of a block; `spelled` has the offsets of the words before
    /// it. Returns `None` if there is no entry.
    pub(crate) fn find(block: &'a [u8], at: usize, spelled: &[u16]) -> Option<Found<'a>> {
        let mut rest = block.get(at..)?;
        let head = varint::take(&mut rest)?;
        let event_id = if head & IS_UUID == 0 {
            EventId::Text(varint::take_str(&mut rest)?)
        } else {
            let (bytes, after) = rest.split_first_chunk::<16>()?;
            rest = after;
            EventId::Uuid(Uuid::from_bytes(*bytes))
        };
        let mut spelled_at = None;
        let word = match (head / 2).checked_sub(1) {
            None => {
                spelled_at = Some((block.len() - rest.len()) as u16);
                varint::take_str(&mut rest)?
            }
            Some(index) => word_at(block, *spelled.get(usize::try_from(index).ok()?)?)?,
        };
        let count = varint::take(&mut rest)?;
        let entry = Entry {
            event_id,
            word,
            count,
        };
        Some(Found {
            entry,
            spelled_at,
            end: block.len() - rest.len(),
        })
    }

    /// True if the word of the entry at `at` is spelled in an earlier entry.
    pub(crate) fn has_earlier_word(block: &[u8], at: usize) -> bool {
        let mut rest = block.get(at..).unwrap_or_default();
        varint::take(&mut rest).is_some_and(|head| head / 2 > 0)
    }

    /// Returns the offset after the entry at `at`, and that of its word if it is spelled there;
    /// `None` if there is no entry.
    #[inline]
    pub(crate) fn skip(block: &[u8], at: usize) -> Option<(usize, Option<u16>)> {
        let mut rest = block.get(at..)?;
        let head = varint::take(&mut rest)?;
        if head & IS_UUID == 0 {
            varint::take_bytes(&mut rest)?;
        } else {
            rest = rest.get(16..)?;
        }
        let mut spelled_at = None;
        if head / 2 == 0 {
            spelled_at = Some((block.len() - rest.len()) as u16);
            varint::take_bytes(&mut rest)?;
        }
        varint::take(&mut rest)?;
        Some((block.len() - rest.len(), spelled_at))
    }

    /// Subtracts this entry, which is at `position`, from counts that include it.
    ///
    /// # Errors
    ///
    /// [`StorageError::Damaged`] if they do not include it, and so do not fit the journal.
    pub(crate) fn take_back(
        &self,
        position: Position,
        counts: &mut Counts,
    ) -> Result<(), StorageError> {
        if counts.remove(self.word) {
            return Ok(());
        }
        let what = format!("the count of the event at position {position}");
        Err(StorageError::damaged(what, "at least 1", "0"))
    }
}

/// Reads the word at an offset of a block.
pub(crate) fn word_at(block: &[u8], place: u16) -> Option<&str> {
    varint::take_str(&mut block.get(place.into()..)?)
}

/// An event id in its stored form. Each text has only one form, so equal forms are equal ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventId<'a> {
    Text(&'a str),
    Uuid(Uuid),
}

impl<'a> EventId<'a> {
    /// Returns the stored form of an id.
    pub(crate) fn new(text: &'a str) -> Self {
        Self::of(text, Self::uuid_of(text))
    }

    /// Returns the stored form of an id, given the UUID that it spells, if any.
    pub(crate) fn of(text: &'a str, uuid: Option<Uuid>) -> Self {
        uuid.map_or(Self::Text(text), Self::Uuid)
    }

    /// Returns the UUID that an id spells in lower-case hyphenated text, if any.
    pub(crate) fn uuid_of(text: &str) -> Option<Uuid> {
        // Of all characters of a UUID, only upper-case letters lack this bit.
        let is_lower_case = || text.bytes().fold(0x20, |bit, byte| bit & byte) != 0;
        let is_hyphenated = text.len() == UUID_BYTES;
        (is_hyphenated && is_lower_case()).then(|| Uuid::try_parse(text).ok())?
    }

    /// Calls `f` with the id as it was received.
    pub(crate) fn with_text<R>(&self, f: impl FnOnce(&str) -> R) -> R {
        match self {
            Self::Text(text) => f(text),
            Self::Uuid(uuid) => f(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer())),
        }
    }
}
