//! The findings of a check, and how many of them a report lists.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::error::StorageError;

/// The most findings of a class that a report lists. The others are only counted, because one cause
/// can make thousands.
const MAX_SHOWN_OF_A_CLASS: u64 = 10;

/// The class of a finding, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Class {
    /// Answered requests are lost, or it is unknown whether any are.
    Lost,
    /// The database cannot be opened or read.
    Unreadable,
    /// A block of the journal is missing or damaged, or an id is twice in the state.
    Journal,
    /// A position set is damaged or missing, or belongs to no record.
    Sets,
    /// The counts are not those of the events of the state.
    Counts,
    /// The released outputs are not those of the commits, or an id would be released twice.
    Outputs,
    /// A checkpoint is damaged or does not fit the journal.
    Checkpoints,
    /// A counts snapshot is damaged, or does not have the counts of its events.
    Snapshots,
    /// The content of a tree does not have the stored digest.
    Digests,
    /// A stored run of the index is damaged, or does not fit the journal.
    Index,
    /// A slot of the watermark is damaged, or there are files in `blobs`, where sled puts values
    /// that are too large for its log. This program never writes such values.
    Files,
    /// A page of the database file is damaged. If there is no finding of another class, no request
    /// needs the page, and a compaction or a backup writes a sound directory. A run may refuse to
    /// start, or stop when sled moves the page.
    Pages,
}

impl Class {
    /// Every class, the gravest first.
    pub const ALL: [Self; 12] = [
        Self::Lost,
        Self::Unreadable,
        Self::Journal,
        Self::Sets,
        Self::Counts,
        Self::Outputs,
        Self::Checkpoints,
        Self::Snapshots,
        Self::Digests,
        Self::Index,
        Self::Files,
        Self::Pages,
    ];

    /// Returns its name, as in a report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Unreadable => "unreadable",
            Self::Journal => "journal",
            Self::Sets => "sets",
            Self::Counts => "counts",
            Self::Outputs => "outputs",
            Self::Checkpoints => "checkpoints",
            Self::Snapshots => "snapshots",
            Self::Digests => "digests",
            Self::Index => "index",
            Self::Files => "files",
            Self::Pages => "pages",
        }
    }
}

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Its class.
    pub class: Class,
    /// What was expected and what was found.
    pub text: String,
}

/// The findings so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    told: Vec<Finding>,
    of_class: BTreeMap<Class, u64>,
}

impl Findings {
    /// Adds a finding.
    pub(super) fn add(&mut self, class: Class, text: impl Into<String>) {
        let number = self.of_class.entry(class).or_default();
        *number += 1;
        if *number <= MAX_SHOWN_OF_A_CLASS {
            let text = text.into();
            self.told.push(Finding { class, text });
        }
    }

    /// Adds an error as a finding: damage in `class`, anything else as unreadable.
    pub(super) fn add_error(&mut self, class: Class, error: &StorageError) {
        let class = match error {
            StorageError::Damaged { .. } => class,
            _ => Class::Unreadable,
        };
        self.add(class, with_sources(error));
    }

    /// Returns a value that was read, or adds the error of reading it as a finding.
    pub(super) fn take<T>(&mut self, class: Class, read: Result<T, StorageError>) -> Option<T> {
        read.map_err(|error| self.add_error(class, &error)).ok()
    }

    /// Adds a finding if two numbers differ.
    pub(super) fn compare(&mut self, class: Class, what: &str, expected: u64, found: u64) {
        if expected != found {
            self.add(class, format!("{what}: expected {expected}, found {found}"));
        }
    }

    /// Returns the findings to list, the gravest first, and the number of the others.
    pub(super) fn finish(mut self) -> (Vec<Finding>, u64) {
        self.told.sort_by_key(|finding| finding.class);
        let all: u64 = self.of_class.values().sum();
        let more_findings = all - self.told.len() as u64;
        (self.told, more_findings)
    }
}

/// Returns the text of an error with its causes.
pub(super) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
