//! The clients of the control socket that are served at a time.
//!
//! A client keeps its place as long as it likes, idle or not. When all places are taken, one client
//! that has taken none of its replies for a while is dropped. If there is none, an extra place
//! serves a client that sends only queries, once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::node::outbox::Backlog;

/// A client that has taken none of its replies for this long may be dropped for another one.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often new clients look whether a client has left the extra place. Most queries are answered,
/// and their clients gone, within a few looks. This counts looks and no time, as a machine that
/// pauses the client's threads pauses the looks too.
const EXTRA_PLACE_LOOKS: u32 = 1000;

/// The kind of place that a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlaceKind {
    /// A place for requests and queries.
    Normal,
    /// The extra place, for queries that are sent at once.
    Extra,
    /// No place: the client is this process itself.
    Own,
}

/// A place, taken until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    kind: PlaceKind,
    /// How often new clients have looked whether it is free again.
    looks: AtomicU32,
    backlog: Arc<Backlog>,
    /// Counts the client, unless it is this process itself.
    _counted: Option<Arc<()>>,
}

/// The places of all clients.
#[derive(Debug)]
pub(super) struct Places<'a> {
    max_clients: usize,
    taken: Vec<Weak<Place>>,
    clients: &'a Arc<()>,
}

impl<'a> Places<'a> {
    /// Makes `max_clients` places and the extra one. `clients` counts the clients.
    pub(super) fn new(max_clients: usize, clients: &'a Arc<()>) -> Self {
        let taken = Vec::new();
        Self {
            max_clients,
            taken,
            clients,
        }
    }

    /// Finds a place for a new client. May drop a client that takes no replies.
    pub(super) fn find(&mut self) -> Option<PlaceKind> {
        self.taken.retain(|place| place.strong_count() > 0);
        let has_free = self.of(PlaceKind::Normal).count() < self.max_clients;
        if has_free || self.drop_one(PlaceKind::Normal) {
            return Some(PlaceKind::Normal);
        }
        let is_kept = self.of(PlaceKind::Extra).next().is_none();
        (is_kept || self.drop_one(PlaceKind::Extra)).then_some(PlaceKind::Extra)
    }

    /// True if the extra place may be free in a moment, as its client may already have its replies.
    /// Counts a look.
    pub(super) fn is_one_free_soon(&self) -> bool {
        let mut kept = self.of(PlaceKind::Extra);
        kept.any(|place| place.looks.fetch_add(1, Ordering::Relaxed) < EXTRA_PLACE_LOOKS)
    }

    /// The taken places of a kind, except those whose clients are being dropped.
    fn of(&self, kind: PlaceKind) -> impl Iterator<Item = Arc<Place>> {
        let taken = self.taken.iter().filter_map(Weak::upgrade);
        taken.filter(move |place| place.kind == kind && !place.backlog.is_dropped())
    }

    fn drop_one(&self, kind: PlaceKind) -> bool {
        let slowest = self
            .of(kind)
            .max_by_key(|place| place.backlog.blocked_for());
        let slowest = slowest.filter(|place| place.backlog.blocked_for() > PATIENCE);
        slowest
            .inspect(|place| place.backlog.drop_reader())
            .is_some()
    }

    /// Gives a client a place.
    pub(super) fn take(&mut self, kind: PlaceKind, backlog: &Arc<Backlog>) -> Arc<Place> {
        let counted = (kind != PlaceKind::Own).then(|| Arc::clone(self.clients));
        let place = Arc::new(Place {
            kind,
            looks: AtomicU32::new(0),
            backlog: Arc::clone(backlog),
            _counted: counted,
        });
        self.taken.push(Arc::downgrade(&place));
        place
    }

    /// Number of clients that are served, not counting the extra place.
    pub(super) fn max_clients(&self) -> usize {
        self.max_clients
    }
}
