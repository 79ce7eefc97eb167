//! What a check can find, and how much of it is told.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::error::StorageError;

/// This many findings of a class are shown; the others are only counted.
const MAX_SHOWN_OF_A_CLASS: u64 = 10;

/// What is wrong, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Class {
    /// Answered requests are lost, or it is unknown whether any are.
    Lost,
    /// The database cannot be opened or read.
    Unreadable,
    /// A block of the journal is missing or damaged, or an id is twice in the state.
    Journal,
    /// A position set is damaged, or belongs to nothing.
    Sets,
    /// The counts are not what the events of the state add up to.
    Counts,
    /// The released outputs are not those of the commits, or one would be released twice.
    Outputs,
    /// A checkpoint is damaged or does not fit the journal.
    Checkpoints,
    /// A counts snapshot is damaged or not what its events add up to.
    Snapshots,
    /// A tree holds something else than its digest says.
    Digests,
    /// A stored run of the index is damaged, or has not what the journal has.
    Index,
    /// A slot of the watermark is damaged, or there are files in `blobs`, sled's folder for what is
    /// too large for its log, where none of ours is.
    Files,
    /// A page of the database file is damaged. If no finding is of another class, no answer needs
    /// the page, and a compaction or a backup writes a sound directory; a run may refuse to start,
    /// or stop when sled moves the page.
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

    /// Its name, as reports have it.
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
    /// Of which kind it is.
    pub class: Class,
    /// What was expected and what was found.
    pub text: String,
}

/// Everything that is wrong, so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    told: Vec<Finding>,
    of_class: BTreeMap<Class, u64>,
}

impl Findings {
    /// Notes something that is wrong.
    pub(super) fn add(&mut self, class: Class, text: impl Into<String>) {
        let number = self.of_class.entry(class).or_default();
        *number += 1;
        if *number <= MAX_SHOWN_OF_A_CLASS {
            let text = text.into();
            self.told.push(Finding { class, text });
        }
    }

    /// Notes what could not be read; `class` is what it is part of.
    pub(super) fn add_error(&mut self, class: Class, error: &StorageError) {
        let class = match error {
            StorageError::Damaged { .. } => class,
            _ => Class::Unreadable,
        };
        self.add(class, with_sources(error));
    }

    /// The value of something that was read, or a note of why there is none.
    pub(super) fn take<T>(&mut self, class: Class, read: Result<T, StorageError>) -> Option<T> {
        read.map_err(|error| self.add_error(class, &error)).ok()
    }

    /// Notes two numbers that should be equal and are not.
    pub(super) fn compare(&mut self, class: Class, what: &str, expected: u64, found: u64) {
        if expected != found {
            self.add(class, format!("{what}: expected {expected}, found {found}"));
        }
    }

    /// The findings that are told, and how many are not.
    pub(super) fn finish(mut self) -> (Vec<Finding>, u64) {
        self.told.sort_by_key(|finding| finding.class);
        let all: u64 = self.of_class.values().sum();
        let more_findings = all - self.told.len() as u64;
        (self.told, more_findings)
    }
}

/// An error with its causes.
pub(super) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
