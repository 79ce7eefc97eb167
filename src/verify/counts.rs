//! Checks that each counts snapshot, and the state, has the counts of its events.

use crate::error::StorageError;
use crate::journal::fold::{Events, OnEvent, fold};
use crate::state::counts::Counts;
use crate::state::position_set::PositionSet;
use crate::store::SnapshotHeader;
use crate::verify::Verification;
use crate::verify::findings::Class;
use crate::verify::parts::Parts;

impl Verification<'_> {
    /// Folds the events of each snapshot and of the state, and compares the counts.
    pub(super) fn check_counts(&mut self, parts: &Parts) {
        let mut counts = Counts::default();
        let mut from = PositionSet::default();
        for header in &parts.snapshots {
            let moved = self.fold(&mut counts, &from, &header.timeline);
            if self.findings.take(Class::Journal, moved).is_none() {
                return;
            }
            from = header.timeline.clone();
            self.compare_snapshot(header, &counts);
        }
        let moved = self.fold(&mut counts, &from, &parts.timeline);
        if self.findings.take(Class::Journal, moved).is_none() {
            return;
        }
        self.report.words = counts.present().len() as u64;
        let (stored, found) = (self.record.scalars.counts_digest, counts.digest());
        if stored != found {
            let text = format!(
                "the counts of the state have digest {stored:016x}, but its events {found:016x}"
            );
            self.findings.add(Class::Counts, text);
        }
    }

    /// Folds from one timeline to another, and reports the progress.
    fn fold(
        &mut self,
        counts: &mut Counts,
        from: &PositionSet,
        to: &PositionSet,
    ) -> Result<(), StorageError> {
        fold(Noted(self), counts, from, to)
    }

    fn compare_snapshot(&mut self, header: &SnapshotHeader, folded: &Counts) {
        let mut stored = Counts::default();
        let loaded = self.reader.read_snapshot(header, |word, count| {
            stored.add(word, count);
        });
        if self.findings.take(Class::Snapshots, loaded).is_none() {
            return;
        }
        if stored.digest() != folded.digest() {
            let text = format!(
                "counts snapshot {} does not have the counts of its {} events",
                header.snapshot,
                header.timeline.len()
            );
            self.findings.add(Class::Snapshots, text);
        }
    }
}

/// The stored events. Reading them reports the progress after each range.
struct Noted<'v, 'a>(&'v mut Verification<'a>);

impl Events for Noted<'_, '_> {
    fn walk(&mut self, positions: &PositionSet, f: OnEvent<'_>) -> Result<(), StorageError> {
        for range in positions.ranges() {
            self.0.reader.walk([range], &mut *f)?;
            self.0.progress(range.len());
        }
        Ok(())
    }
}
