//! Checking the whole of a resting directory, without changing a byte of it.
//!
//! An open checks what it reads. This reads everything, and works out again what is stored: the
//! counts from the events, the released outputs from the commits, every digest from what it is of.
//! What is damaged becomes a [`Finding`], and the check goes on with what can still be read.

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

const CACHE_BYTES: u64 = 64 << 20;

/// What to do about a damaged page: it depends on what else is found.
const PAGES_CURE: &str = "if nothing but pages is damaged, no answer needs them: write a sound \
                          directory with compact or backup";

/// What a directory holds and what is wrong with it. Figures of what cannot be read are 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "verified")]
#[non_exhaustive]
pub struct Report {
    /// Whether nothing is wrong.
    pub clean: bool,
    /// The journal's last position: how many events were ever accepted.
    pub positions: u64,
    /// How many of them the present state has.
    pub events: u64,
    /// How many different words these have.
    pub words: u64,
    /// How many of them have an output that is pending.
    pub pending: u64,
    /// How many outputs have been released.
    pub outputs: u64,
    /// How many commits there are.
    pub commits: u64,
    /// How many checkpoints there are.
    pub checkpoints: u64,
    /// How many finished counts snapshots there are.
    pub snapshots: u64,
    /// How many runs of the index of event ids are stored.
    pub runs: u64,
    /// What is wrong, the gravest first; at most ten of each class.
    pub findings: Vec<Finding>,
    /// How many findings there are beyond these.
    pub more_findings: u64,
}

impl Report {
    /// The report of a directory in which one thing is wrong that leaves nothing to be read.
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

/// How far a check has come, in events to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// How many have been read.
    pub done: u64,
    /// How many there are to read.
    pub total: u64,
}

/// Checks a copy of a directory that no process writes to, made beside it or in the system's
/// temporary directory.
///
/// # Errors
///
/// [`OpenError`] if it is no directory of this program, or held by another process. A database
/// that is damaged or gone is a finding.
pub fn verify(
    path: impl AsRef<Path>,
    timeout: &StorageTimeout,
    on_progress: impl FnMut(Progress),
) -> Result<Report, OpenError> {
    check_present_format(path.as_ref())?;
    let copy = RestingCopy::open(path.as_ref(), CACHE_BYTES, timeout);
    verify_copy(copy, on_progress)
}

/// As [`verify`], of a database that has been built and is not named yet.
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

    /// Every stored set belongs to a record, and every set of a record is stored.
    fn check_references(&mut self) {
        let stored = self.reader.stored_sets();
        let Some(stored) = self.findings.take(Class::Sets, stored) else {
            return;
        };
        // Records that cannot be read are found where they are looked at for their own sake.
        let Ok(referenced) = self.reader.referenced_sets() else {
            return;
        };
        for set in stored.symmetric_difference(&referenced) {
            let text = match stored.contains(set) {
                true => format!("set {set} belongs to nothing"),
                false => format!("set {set} is missing"),
            };
            self.findings.add(Class::Sets, text);
        }
    }

    /// Reads what the trees beside the journal hold; `None` if the state itself is among what
    /// cannot be read.
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
            ("the timeline", &closed),
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
            let what = "positions that only the output log or only the state calls released";
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

    /// The positions in the output log: in order, without a gap, and none of them twice.
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
                "commits that are there",
                scalars.last_commit,
                self.report.commits,
            ),
            ("outputs in the log", scalars.outputs, logged),
            ("different ones among these", logged, released.len()),
        ] {
            self.findings.compare(Class::Outputs, what, expected, found);
        }
        Some(released)
    }

    /// The finished snapshots; what a crash left of others is no damage.
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

    /// Notes that more events have been read.
    fn progress(&mut self, events: u64) {
        self.progress.done += events;
        (self.on_progress)(self.progress);
    }
}

/// What is found in a directory once a group is in it that no processor would make.
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
