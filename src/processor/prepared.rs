//! Facts about a request that are worked out before it is applied: on any thread, unless they
//! depend on the state.

use arrayvec::ArrayString;
use uuid::Uuid;

use crate::request::Request;
use crate::state::counts::{WordNumber, word_hash};
use crate::state::limits::{MAX_EVENT_ID_BYTES, MAX_WORD_BYTES};
use crate::store::bytes::entry::{EventId, UUID_BYTES};
use crate::store::bytes::fingerprint::{Fingerprint, Fingerprints};

/// The longest word that a preparation holds, in bytes.
const SHORT_WORD_BYTES: usize = 16;
const _: () = assert!(SHORT_WORD_BYTES <= MAX_WORD_BYTES && UUID_BYTES <= MAX_EVENT_ID_BYTES);

/// Prepares requests, on any thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preparer {
    fingerprints: Fingerprints,
}

impl Preparer {
    pub(super) fn new(fingerprints: Fingerprints) -> Self {
        Self { fingerprints }
    }

    /// Works out what can be known of a request without the state.
    pub(crate) fn prepare(&self, request: &Request<'_>) -> Preparation {
        match request {
            Request::Process { event_id, word } => Preparation(Some(PreparedEvent {
                uuid: EventId::uuid_of(event_id),
                short_word: ArrayString::from(word).unwrap_or_default(),
                fingerprint: self.fingerprints.of(event_id),
                word_hash: word_hash(word),
                likely_number: None,
            })),
            _ => Preparation(None),
        }
    }
}

/// What was worked out for one request; empty if the request is not an event.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Preparation(Option<PreparedEvent>);

/// At most one line of the CPU's cache, which must be fetched from the CPU that wrote it.
const _: () = assert!(size_of::<Preparation>() <= 64);

#[derive(Debug, Clone, Copy)]
struct PreparedEvent {
    /// The UUID that its id spells, if it spells one.
    uuid: Option<Uuid>,
    /// Its word; empty if the word is longer.
    short_word: ArrayString<SHORT_WORD_BYTES>,
    fingerprint: Fingerprint,
    word_hash: u64,
    likely_number: Option<WordNumber>,
}

/// An event as it is applied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event<'a> {
    pub(super) id: EventId<'a>,
    pub(super) word: &'a str,
    pub(super) fingerprint: Fingerprint,
    pub(super) word_hash: u64,
    /// Number of its word in `Counts`, as found by `look_ahead`.
    pub(super) likely_number: Option<WordNumber>,
}

impl Preparation {
    /// If this is of an event, notes the number that its word probably has; `find` gets the word's
    /// hash.
    pub(super) fn set_likely_number(&mut self, find: impl FnOnce(u64) -> Option<WordNumber>) {
        if let Some(event) = &mut self.0 {
            event.likely_number = find(event.word_hash);
        }
    }

    /// The number that [`Preparation::set_likely_number`] found.
    pub(super) fn likely_number(&self) -> Option<WordNumber> {
        self.0.as_ref()?.likely_number
    }

    /// The fingerprint of the id, if this is of an event.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        self.0.as_ref().map(|event| event.fingerprint)
    }

    /// The event, if its id is a UUID and its word is short. The lengths are then allowed, and the
    /// request itself is not needed.
    pub(super) fn decoded_event(&self) -> Option<Event<'_>> {
        let event = self.0.as_ref()?;
        let uuid = event.uuid?;
        let word = event.short_word.as_str();
        (!word.is_empty()).then(|| event.with(EventId::Uuid(uuid), word))
    }

    /// The event that this was prepared for.
    pub(super) fn event<'a>(&self, event_id: &'a str, word: &'a str) -> Event<'a> {
        let event = self.0.as_ref();
        let event = event.expect("what was prepared is an event");
        event.with(EventId::of(event_id, event.uuid), word)
    }
}

impl PreparedEvent {
    fn with<'a>(&self, id: EventId<'a>, word: &'a str) -> Event<'a> {
        Event {
            id,
            word,
            fingerprint: self.fingerprint,
            word_hash: self.word_hash,
            likely_number: self.likely_number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_whole_if_its_id_is_a_uuid_and_its_word_is_short() {
        const UUID: &str = "7d61c5d5-d929-4a70-b70d-9a32f0b2f839";
        let preparer = Preparer::new(Fingerprints::new(1, 38));
        for (event_id, word, is_whole) in [
            (UUID, "w", true),
            (UUID, "sixteen bytes...", true),
            (UUID, "äöü äöü, öäü", false),
            (UUID, "seventeen bytes..", false),
            (UUID, "", false),
            ("7D61C5D5-D929-4A70-B70D-9A32F0B2F839", "w", false),
            ("e1", "w", false),
            ("", "w", false),
        ] {
            let preparation = preparer.prepare(&Request::Process { event_id, word });
            let event = preparation.event(event_id, word);
            assert_eq!((event.id, event.word), (EventId::new(event_id), word));
            let whole = preparation
                .decoded_event()
                .map(|whole| (whole.id, whole.word));
            assert_eq!(whole, is_whole.then_some((event.id, word)), "{word:?}");
        }
        let other = preparer.prepare(&Request::Commit);
        assert!(other.decoded_event().is_none());
    }
}
