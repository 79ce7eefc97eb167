//! Which clients of the control socket are served at a time.
//!
//! A client keeps its place, idle or not, for as long as it likes. Only when all places are taken
//! is one dropped, and only one that has taken none of its replies for a while. If there is none,
//! one place more is kept for a client that only looks, for the length of one answer.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::node::outbox::Backlog;

/// A client that has taken none of its replies for this long may be dropped for another one.
const PATIENCE: Duration = Duration::from_secs(30);

/// A single answer mostly takes less than this, with the end of its client.
const ONE_ANSWER: Duration = Duration::from_secs(2);

/// What a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlaceKind {
    /// A place to ask and request what it wants.
    Normal,
    /// The place that is kept for one answer.
    ForOneAnswer,
    /// None of the places: it is this process itself.
    Own,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    kind: PlaceKind,
    taken_at: Instant,
    backlog: Arc<Backlog>,
    /// Counts the client; one that is this process itself is not counted.
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
    /// This many places and the one that is kept, with what counts the clients.
    pub(super) fn new(max_clients: usize, clients: &'a Arc<()>) -> Self {
        let taken = Vec::new();
        Self {
            max_clients,
            taken,
            clients,
        }
    }

    /// The place that another client gets, if one is free. A client that takes no replies may be
    /// dropped for it.
    pub(super) fn find(&mut self) -> Option<PlaceKind> {
        self.taken.retain(|place| place.strong_count() > 0);
        let has_free = self.of(PlaceKind::Normal).count() < self.max_clients;
        if has_free || self.drop_one(PlaceKind::Normal) {
            return Some(PlaceKind::Normal);
        }
        let is_kept = self.of(PlaceKind::ForOneAnswer).next().is_none();
        (is_kept || self.drop_one(PlaceKind::ForOneAnswer)).then_some(PlaceKind::ForOneAnswer)
    }

    /// Whether the place that is kept was taken so lately that it is worth a wait: its client may
    /// have its answer already, and just be ending.
    pub(super) fn is_one_free_soon(&self) -> bool {
        let mut kept = self.of(PlaceKind::ForOneAnswer);
        kept.any(|place| place.taken_at.elapsed() < ONE_ANSWER)
    }

    /// Places of a kind that are taken, but for those whose clients are being dropped.
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

    /// Has a client take a place.
    pub(super) fn take(&mut self, kind: PlaceKind, backlog: &Arc<Backlog>) -> Arc<Place> {
        let counted = (kind != PlaceKind::Own).then(|| Arc::clone(self.clients));
        let place = Arc::new(Place {
            kind,
            taken_at: Instant::now(),
            backlog: Arc::clone(backlog),
            _counted: counted,
        });
        self.taken.push(Arc::downgrade(&place));
        place
    }

    /// Number of clients that are served, without the place that is kept.
    pub(super) fn max_clients(&self) -> usize {
        self.max_clients
    }
}
