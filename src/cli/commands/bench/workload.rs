//! The requests of a bench, the same each time.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Builder;

use super::{BenchArgs, Ids};

const SEED: u64 = 1;

/// Whoever follows the outputs has something to follow.
const EVENTS_A_COMMIT: u64 = 100_000;

/// A commit that needs no answer.
const COMMIT: &str = r#"{"src":"client","dest":"processor","body":{"type":"commit"}}"#;

/// Writes all requests to a file.
pub(super) fn write(args: &BenchArgs, path: &Path) -> anyhow::Result<()> {
    let writing = || format!("writing the requests to {}", path.display());
    let file = File::create(path).with_context(writing)?;
    let mut output = BufWriter::with_capacity(1 << 20, file);
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut distinct = 0;
    for msg_id in 0..args.events {
        let is_duplicate = distinct > 0 && random.random_bool(args.duplicates);
        let event = if is_duplicate {
            random.random_range(0..distinct)
        } else {
            distinct += 1;
            distinct - 1
        };
        let id = id(args.ids, event);
        let line = process(msg_id, &id, word(event, args.words));
        writeln!(output, "{line}").with_context(writing)?;
        if args.watched && (msg_id + 1).is_multiple_of(EVENTS_A_COMMIT) {
            writeln!(output, "{COMMIT}").with_context(writing)?;
        }
    }
    output.flush().with_context(writing)
}

/// A `process` request.
pub(super) fn process(msg_id: u64, id: &str, word: u64) -> String {
    format!(
        r#"{{"src":"stream","dest":"processor","body":{{"type":"process","msg_id":{msg_id},"event_id":"{id}","word":"word{word}"}}}}"#
    )
}

/// The id of an event, made of its number, so that none need be remembered.
fn id(ids: Ids, event: u64) -> String {
    match ids {
        Ids::Sequential => format!("event-{event}"),
        Ids::Uuid | Ids::Replayed => {
            let mut bytes = [0; 16];
            ChaCha8Rng::seed_from_u64(event).fill_bytes(&mut bytes);
            Builder::from_random_bytes(bytes).into_uuid().to_string()
        }
    }
}

fn word(event: u64, words: u64) -> u64 {
    ChaCha8Rng::seed_from_u64(!event).random_range(0..words)
}
