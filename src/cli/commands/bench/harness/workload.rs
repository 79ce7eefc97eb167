//! Events that are the same in every run, and their requests.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Builder;

const SEED: u64 = 1;

/// An event of a workload.
#[derive(Debug)]
pub struct Event {
    /// Its unique id.
    pub id: String,
    /// The word that is counted.
    pub word: String,
}

impl Event {
    /// The event of a number, with a random UUID and one of this many words. Both are computed from
    /// the number, so that no event has to be stored.
    pub fn new(number: u64, words: u64) -> Self {
        let mut bytes = [0; 16];
        ChaCha8Rng::seed_from_u64(number).fill_bytes(&mut bytes);
        let word = ChaCha8Rng::seed_from_u64(!number).random_range(0..words);
        Self {
            id: Builder::from_random_bytes(bytes).into_uuid().to_string(),
            word: format!("word{word}"),
        }
    }

    /// The line of its `process` request, with the newline.
    pub fn request(&self, msg_id: u64) -> String {
        let Self { id, word } = self;
        format!(
            "{{\"src\":\"stream\",\"dest\":\"processor\",\"body\":{{\"type\":\"process\",\
             \"msg_id\":{msg_id},\"event_id\":\"{id}\",\"word\":\"{word}\"}}}}\n"
        )
    }
}

/// An endless sequence of event numbers. This share of them repeats an earlier one, chosen evenly
/// from all before it.
pub fn numbers(duplicates: f64) -> impl Iterator<Item = u64> {
    numbers_with_recent(duplicates, u64::MAX)
}

/// The same, but a duplicate repeats one of the last `recent` new events, chosen evenly from them.
/// `recent` must be at least 1.
pub fn numbers_with_recent(duplicates: f64, recent: u64) -> impl Iterator<Item = u64> {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut distinct: u64 = 0;
    std::iter::repeat_with(move || {
        if distinct > 0 && random.random_bool(duplicates) {
            return random.random_range(distinct.saturating_sub(recent)..distinct);
        }
        distinct += 1;
        distinct - 1
    })
}

/// Writes lines to a file, and waits until they are on the disk.
pub fn write(path: &Path, lines: impl Iterator<Item = String>) -> io::Result<()> {
    let mut output = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for line in lines {
        output.write_all(line.as_bytes())?;
    }
    output.into_inner()?.sync_all()
}
