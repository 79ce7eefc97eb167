//! What applying a request needs to know of it: worked out ahead, on another thread, as far as it
//! does not depend on the state.

use uuid::Uuid;

use crate::fingerprint::{Fingerprint, Fingerprints};
use crate::request::Request;
use crate::state::counts::{WordNumber, word_hash};
use crate::store::entry::EventId;

/// Prepares requests, on any thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preparer {
    fingerprints: Fingerprints,
}

impl Preparer {
    pub(super) fn new(fingerprints: Fingerprints) -> Self {
        Self { fingerprints }
    }

    /// Works out what applying a request needs.
    pub(crate) fn prepare(&self, request: &Request<'_>) -> Preparation {
        match request {
            Request::Process { event_id, word } => Preparation(Some(PreparedEvent {
                uuid: EventId::uuid_of(event_id),
                fingerprint: self.fingerprints.of(event_id),
                word_hash: word_hash(word),
                likely_number: None,
            })),
            _ => Preparation(None),
        }
    }
}

/// What was worked out of one request: of those that are no events there is nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Preparation(pub(super) Option<PreparedEvent>);

/// What was worked out of an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct PreparedEvent {
    /// The UUID that its id spells, if it does.
    pub(super) uuid: Option<Uuid>,
    pub(super) fingerprint: Fingerprint,
    pub(super) word_hash: u64,
    /// Of its word, as the counts say when it is looked ahead at.
    pub(super) likely_number: Option<WordNumber>,
}
