//! One event as a block of the journal has it.
//!
//! ```text
//! entry = form   u8: 0 the id is text, 1 the id is a UUID in lower-case hyphenated text
//!         id     form 0: varint length and UTF-8; form 1: the 16 bytes it spells
//!         word   varint length and UTF-8
//!         count  varint: the count of the word that the event's reply gave
//! ```

use uuid::Uuid;

use crate::error::StorageError;
use crate::limits::{MAX_EVENT_ID_BYTES, MAX_WORD_BYTES};
use crate::state::counts::Counts;
use crate::state::position::Position;
use crate::store::varint;

/// The most bytes of an entry.
pub(super) const MAX_ENTRY_BYTES: usize =
    1 + MAX_EVENT_ID_BYTES + MAX_WORD_BYTES + 3 * varint::MAX_VARINT_BYTES;

const FORM_TEXT: u8 = 0;
const FORM_UUID: u8 = 1;

/// One event as the journal has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) event_id: EventId<'a>,
    pub(crate) word: &'a str,
    /// The count of the word that the event's reply gave.
    pub(crate) count: u64,
}

impl<'a> Entry<'a> {
    /// Appends the bytes of the entry.
    pub(super) fn put(&self, bytes: &mut Vec<u8>) {
        match &self.event_id {
            EventId::Text(text) => {
                bytes.push(FORM_TEXT);
                varint::put_bytes(bytes, text.as_bytes());
            }
            EventId::Uuid(uuid) => {
                bytes.push(FORM_UUID);
                bytes.extend_from_slice(uuid.as_bytes());
            }
        }
        varint::put_bytes(bytes, self.word.as_bytes());
        varint::put(bytes, self.count);
    }

    /// Takes an entry from the front of the input; `None` if there is none.
    pub(super) fn take(input: &mut &'a [u8]) -> Option<Self> {
        let (&form, rest) = input.split_first()?;
        *input = rest;
        let event_id = match form {
            FORM_TEXT => EventId::Text(varint::take_str(input)?),
            FORM_UUID => {
                let (bytes, rest) = input.split_first_chunk::<16>()?;
                *input = rest;
                EventId::Uuid(Uuid::from_bytes(*bytes))
            }
            _ => return None,
        };
        let word = varint::take_str(input)?;
        let count = varint::take(input)?;
        Some(Entry {
            event_id,
            word,
            count,
        })
    }

    /// Takes the event at a position back from counts that have it.
    ///
    /// # Errors
    ///
    /// [`StorageError::Damaged`] if they do not: they were read from something that does not fit
    /// the journal.
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

/// An event id in its stored form. Each text has only one form, so equal forms are equal ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventId<'a> {
    Text(&'a str),
    Uuid(Uuid),
}

impl<'a> EventId<'a> {
    /// The stored form of an id.
    pub(crate) fn new(text: &'a str) -> Self {
        let is_canonical = text.len() == 36 && !text.bytes().any(|b| b.is_ascii_uppercase());
        match is_canonical.then(|| Uuid::try_parse(text)) {
            Some(Ok(uuid)) => Self::Uuid(uuid),
            _ => Self::Text(text),
        }
    }

    /// Calls `f` with the id as it came in.
    pub(crate) fn with_text<R>(&self, f: impl FnOnce(&str) -> R) -> R {
        match self {
            Self::Text(text) => f(text),
            Self::Uuid(uuid) => f(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer())),
        }
    }
}
