//! Checks the whole content of a directory that no process has open, without changing it.
//!
//! An open checks what it reads. This check reads everything, and computes again what is stored:
//! the counts from the events, the released outputs from the commits, the digests. Damage becomes a
//! [`Finding`], and the check continues with what can still be read.

mod checkpoints;
mod counts;
mod findings;
mod journal;
mod parts;

use std::path::Path;

use serde::Serialize;

use crate::error::{OpenError, StorageError};
use crate::state::position_set::PositionSet;
use crate::state::settled::Released;
use crate::state::timeline::Timeline;
use crate::store::StorageTimeout;
use crate::store::{
    BuildSite, HeadRecord, LiveSets, Reader, RestingCopy, SnapshotHeader, check_present_format,
};
pub use findings::{Class, Finding};
use findings::{Findings, with_sources};
use parts::Parts;

/// Size of sled's cache for the copy. It is larger than for a view, because ids are compared with
/// blocks in any order.
const CACHE_BYTES: u64 = 64 << 20;

/// What to do about a damaged page, which depends on the other findings.
const PAGES_CURE: &str = "if only pages are damaged, no request needs them: write a sound \
                          directory with compact or backup";

/// Figures of a directory, and what is wrong with it. A figure that cannot be read is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "verified")]
#[non_exhaustive]
pub struct Report {
    /// True if there are no findings.
    pub clean: bool,
    /// The head of the journal: the number of events that were ever accepted.
    pub positions: u64,
    /// Number of events of the present state.
    pub events: u64,
    /// Number of different words of these events.
    pub words: u64,
    /// Number of pending outputs.
    pub pending: u64,
    /// Number of released outputs.
    pub outputs: u64,
    /// Number of commits.
    pub commits: u64,
    /// Number of checkpoints.
    pub checkpoints: u64,
    /// Number of finished counts snapshots.
    pub snapshots: u64,
    /// Number of stored runs of the index of event ids.
    pub runs: u64,
    /// The findings, the gravest first, at most ten of each class.
    pub findings: Vec<Finding>,
    /// Number of findings that are not listed.
    pub more_findings: u64,
}

impl Report {
    /// Makes the report of a directory of which nothing can be read because of this error.
    #[must_use]
    pub fn of_unreadable(error: &StorageError) -> Self {
        let mut findings = Findings::default();
        findings.add(Class::Unreadable, with_sources(error));
        Self::default().with(findings)
    }

    fn with(self, findings: Findings) -> Self {
        let (findings, more_findings) = findings.finish();
        Self {
            clean: findings.is_empty(),
            findings,
            more_findings,
            ..self
        }
    }
}

/// The progress of a check. An event counts as often as it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Number of events that have been read.
    pub done: u64,
    /// Number of events to read in all.
    pub total: u64,
}

/// Checks a directory that no process has open, and calls `on_progress` as events are read. It
/// reads a copy, which is made beside the directory or in the system's temporary directory.
/// `timeout` limits each call of the storage.
///
/// # Errors
///
/// [`OpenError`] if it is no state directory of the present format, if another process has it open,
/// or if it cannot be copied. A database that is damaged or missing is a finding, not an error.
pub fn verify(
    path: impl AsRef<Path>,
    timeout: &StorageTimeout,
    on_progress: impl FnMut(Progress),
) -> Result<Report, OpenError> {
    check_present_format(path.as_ref())?;
    let copy = RestingCopy::open(path.as_ref(), CACHE_BYTES, timeout);
    verify_copy(copy, on_progress)
}

/// Does the same as [`verify`] for a database that was built and is not in use yet.
pub(crate) fn verify_site(
    site: &BuildSite,
    timeout: &StorageTimeout,
    on_progress: impl FnMut(Progress),
) -> Result<Report, OpenError> {
    verify_copy(site.copy(CACHE_BYTES, timeout), on_progress)
}

fn verify_copy(
    copy: Result<RestingCopy, OpenError>,
    mut on_progress: impl FnMut(Progress),
) -> Result<Report, OpenError> {
    let mut findings = Findings::default();
    let copy = match copy {
        Ok(copy) => Some(copy),
        Err(OpenError::Storage(error)) if !error.is_of_system() => {
            findings.take(Class::Unreadable, Err(error))
        }
        Err(error @ OpenError::DatabaseGone { .. }) => {
            findings.add(Class::Lost, error.to_string());
            None
        }
        Err(error) => return Err(error),
    };
    let Some(copy) = copy else {
        return Ok(Report::default().with(findings));
    };
    if copy.has_damaged_slot() {
        findings.add(Class::Files, "one slot of the watermark is damaged");
    }
    for name in copy.blobs() {
        findings.add(Class::Files, format!("there is a file {name:?} in blobs"));
    }
    for damaged in findings
        .take(Class::Pages, copy.damaged_pages())
        .unwrap_or_default()
    {
        findings.add(Class::Pages, format!("{damaged}; {PAGES_CURE}"));
    }
    let Some(record) = findings.take(Class::Journal, copy.head()) else {
        return Ok(Report::default().with(findings));
    };
    let verification = Verification {
        copy: &copy,
        reader: copy.reader(),
        record,
        findings,
        report: Report::default(),
        progress: Progress { done: 0, total: 0 },
        on_progress: &mut on_progress,
    };
    verification.run()
}

/// A check in progress.
struct Verification<'a> {
    copy: &'a RestingCopy,
    reader: &'a Reader,
    record: HeadRecord,
    findings: Findings,
    report: Report,
    progress: Progress,
    on_progress: &'a mut dyn FnMut(Progress),
}

impl Verification<'_> {
    fn run(mut self) -> Result<Report, OpenError> {
        self.check_watermark()?;
        self.check_digests();
        self.check_references();
        let parts = self.parts();
        let head = self.record.scalars.position;
        let folded = parts.as_ref().map_or(0, Parts::events_to_fold);
        self.progress.total = 2 * head.0 + folded;
        if let Some(index) = self.check_journal()
            && let Some(parts) = parts
        {
            self.check_runs(&index);
            self.check_ids(&index, &parts);
            self.check_counts(&parts);
        }
        Ok(self.report.with(self.findings))
    }

    fn check_watermark(&mut self) -> Result<(), OpenError> {
        match self.copy.loss(&self.record) {
            Ok(None) => {}
            Ok(Some(loss)) => {
                let text = format!("{loss}; restore the directory from a copy");
                self.findings.add(Class::Lost, text);
            }
            Err(error @ OpenError::WatermarkUnusable { .. }) => {
                self.findings.add(Class::Lost, error.to_string());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn check_digests(&mut self) {
        for checked in self.reader.check_digests(&self.record.digests) {
            self.findings.take(Class::Digests, checked);
        }
    }

    /// Checks that every stored set belongs to a record, and that every set of a record is stored.
    fn check_references(&mut self) {
        let stored = self.reader.stored_sets();
        let Some(stored) = self.findings.take(Class::Sets, stored) else {
            return;
        };
        // Records that cannot be read become findings where they are checked themselves.
        let Ok(referenced) = self.reader.referenced_sets() else {
            return;
        };
        for set in stored.symmetric_difference(&referenced) {
            let text = match stored.contains(set) {
                true => format!("set {set} belongs to no record"),
                false => format!("set {set} is missing"),
            };
            self.findings.add(Class::Sets, text);
        }
    }

    /// Reads the trees other than the journal. Returns `None` if the sets of the state cannot be
    /// read, or go beyond the journal's end.
    fn parts(&mut self) -> Option<Parts> {
        let checkpoints = self.checkpoints();
        let snapshots = self.snapshots();
        let sets = self
            .findings
            .take(Class::Sets, self.reader.live_sets(&self.record.scalars));
        let LiveSets { closed, settled } = sets?;
        let logged = self.releases(&settled.released);
        let scalars = &self.record.scalars;
        let head = scalars.position;
        for (name, set) in [
            ("the positions of the timeline", &closed),
            ("the released positions", settled.released.closed()),
            ("the absorbed positions", &settled.absorbed),
        ] {
            if set.last() > Some(head) {
                let text = format!("{name} go beyond the journal's end, {head}");
                self.findings.add(Class::Sets, text);
                return None;
            }
        }
        let released = settled.released.up_to(head);
        let both = released.intersection(&settled.absorbed).len();
        let what = "positions that are both released and absorbed";
        self.findings.compare(Class::Sets, what, 0, both);
        if let Some(logged) = &logged {
            let differing = logged.difference(&released).len() + released.difference(logged).len();
            let what = "positions that are released only in the output log or only in the state";
            self.findings.compare(Class::Outputs, what, 0, differing);
        }
        let timeline = Timeline::new(closed, scalars.open_from).up_to(head);
        self.report.positions = head.0;
        self.report.events = timeline.len();
        self.report.pending = settled.missing_of(&timeline).len();
        self.report.outputs = scalars.outputs;
        Some(Parts {
            timeline,
            settled,
            checkpoints,
            snapshots,
        })
    }

    /// Returns the positions in the output log, and checks that none is missing and none is there
    /// twice. Returns `None` if the log cannot be read.
    fn releases(&mut self, state: &Released) -> Option<PositionSet> {
        let mut released = PositionSet::default();
        let mut logged = 0;
        let outputs = self.record.scalars.outputs;
        let releases = self.reader.releases(0, state, outputs);
        for release in self.findings.take(Class::Outputs, releases)? {
            let release = self.findings.take(Class::Outputs, release)?;
            logged += release.released.len();
            for range in release.released.ranges() {
                released.insert_range(range);
            }
            self.report.commits += u64::from(release.commit.is_some());
        }
        let scalars = &self.record.scalars;
        for (what, expected, found) in [
            (
                "commits in the output log",
                scalars.last_commit,
                self.report.commits,
            ),
            ("outputs in the output log", scalars.outputs, logged),
            ("different positions among these", logged, released.len()),
        ] {
            self.findings.compare(Class::Outputs, what, expected, found);
        }
        Some(released)
    }

    /// Returns the finished snapshots. An unfinished one, which a crash leaves, is no damage.
    fn snapshots(&mut self) -> Vec<SnapshotHeader> {
        let stored = self.reader.snapshots();
        let stored = self.findings.take(Class::Snapshots, stored);
        let finished = stored
            .into_iter()
            .flatten()
            .filter_map(|(_, header)| header);
        let finished: Vec<_> = finished.collect();
        self.report.snapshots = finished.len() as u64;
        finished
    }

    /// Reports that more events have been read.
    fn progress(&mut self, events: u64) {
        self.progress.done += events;
        (self.on_progress)(self.progress);
    }
}

/// Persists a group that no processor would make, and returns the findings.
#[cfg(test)]
fn found_after(
    mut store: crate::store::Store,
    group: crate::store::Group,
    path: &Path,
) -> Vec<Finding> {
    let mut unpersisted = crate::store::Unpersisted::new(group, ());
    store.persist(&mut unpersisted).expect("the storage works");
    store.close().expect("the storage works");
    let report = verify(path, &StorageTimeout::default(), |_| ());
    report.expect("it can be read").findings
}
