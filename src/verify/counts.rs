//! The counts: that each snapshot, and the state, has what its events add up to.

use crate::error::StorageError;
use crate::journal::fold::{Events, OnEvent, fold};
use crate::state::counts::Counts;
use crate::state::position_set::PositionSet;
use crate::store::SnapshotHeader;
use crate::verify::Verification;
use crate::verify::findings::Class;
use crate::verify::parts::Parts;

impl Verification<'_> {
    /// Adds up the events of each snapshot and of the state, and compares.
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
                "the state's counts have digest {stored:016x}, its events add up to {found:016x}"
            );
            self.findings.add(Class::Counts, text);
        }
    }

    /// Folds from one timeline to another, and notes which events have been read.
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
        let loaded = self.reader.load_snapshot(header, |word, count| {
            stored.add(word, count);
        });
        if self.findings.take(Class::Snapshots, loaded).is_none() {
            return;
        }
        if stored.digest() != folded.digest() {
            let text = format!(
                "counts snapshot {} is not what its {} events add up to",
                header.snapshot,
                header.timeline.len()
            );
            self.findings.add(Class::Snapshots, text);
        }
    }
}

/// The stored events; each range of them is noted once it has been read.
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
