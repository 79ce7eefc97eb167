//! What a restore would change, in a few words, for the user who has to confirm it.

use std::fmt;

use serde::Deserialize;

use crate::cli::streams::printable::printable;

/// At most this many of the words whose counts change are named.
const NAMED_WORDS: usize = 5;

/// At most this many characters of a word are shown.
const SHOWN_CHARS: usize = 30;

/// What a restore would change.
#[derive(Debug, Default)]
pub(super) struct Change {
    leave: u64,
    come_back: u64,
    stay: u64,
    /// Number of words that will have another count.
    words: usize,
    /// The first of them, with both counts.
    named: Vec<String>,
}

/// A record of the difference between a checkpoint (`first`) and the present state (`second`).
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Difference {
    Events {
        only_in_first: u64,
        only_in_second: u64,
        in_both: u64,
    },
    CountDiffers {
        word: String,
        first: u64,
        second: u64,
    },
}

impl Change {
    /// Adds a record of the difference.
    pub(super) fn add(&mut self, record: &[u8]) -> serde_json::Result<()> {
        match serde_json::from_slice(record)? {
            Difference::Events {
                only_in_first,
                only_in_second,
                in_both,
            } => {
                (self.come_back, self.leave, self.stay) = (only_in_first, only_in_second, in_both);
            }
            Difference::CountDiffers {
                word,
                first,
                second,
            } => {
                self.words += 1;
                if self.words <= NAMED_WORDS {
                    let word: String = word.chars().take(SHOWN_CHARS).collect();
                    let word = printable(&word);
                    self.named.push(format!("{word} from {second} to {first}"));
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            leave,
            come_back,
            stay,
            words,
            named,
        } = self;
        writeln!(
            f,
            "events: {leave} leave the state, {come_back} come back, {stay} stay"
        )?;
        if *words == 0 {
            return write!(f, "words whose counts change: none");
        }
        write!(
            f,
            "words whose counts change: {words} ({}",
            named.join(", ")
        )?;
        match words - named.len() {
            0 => write!(f, ")"),
            _ => write!(f, ", ...; --dry-run shows all)"),
        }
    }
}
