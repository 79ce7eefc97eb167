//! Measures the memory of a process with many engines, which share a memory budget.
//!
//!     cargo run --release --example many_engines [DIRECTORY [ENGINES [IDS [MEGABYTES]]]]
//!
//! Every engine takes IDS new events. Then all are opened again, and in turn take old duplicates,
//! drawn from all their ids. Prints a JSON line: the budget, what the formula in the documentation
//! adds to it, and the highest resident memory, all in bytes. Fails if that is higher than the sum
//! of both by more than a tenth.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use exactly_once::{Engine, Options, Request};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tikv_jemalloc_ctl::{Access, AsName};
use tikv_jemallocator::Jemalloc;
use uuid::Builder;

/// The allocator of the program, with its setting.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;
const DECAY_MS: isize = 1_000;
const DECAY_SETTINGS: [&str; 2] = ["arena.0.dirty_decay_ms\0", "arenas.dirty_decay_ms\0"];

/// Events of a call.
const BATCH: u64 = 4_000;
const WORDS: u64 = 10_000;
/// The most duplicates of an engine.
const DUPLICATES: u64 = 300_000;

// The formula of the documentation.
const PROCESS_BYTES: u64 = 96 << 20;
const MAX_ENGINE_BYTES: u64 = 64 << 20;
const ID_BYTES: u64 = 80;
const WORD_BYTES: u64 = 150;

type Failed = Box<dyn Error>;

fn main() -> Result<(), Failed> {
    for setting in DECAY_SETTINGS {
        setting
            .name()
            .write(DECAY_MS)
            .map_err(|error| error.to_string())?;
    }
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().unwrap_or_else(|| ".".to_owned());
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (engines, ids, megabytes) = (number(32)?, number(300_000)?, number(384)?);
    let home = tempfile::tempdir_in(&place)?;
    let mut options = Options::default();
    options.memory_bytes = megabytes << 20;
    for number in 0..engines {
        let mut engine = open(home.path(), number, &options)?;
        for first in (0..ids).step_by(BATCH as usize) {
            submit(&mut engine, number, first..ids.min(first + BATCH))?;
        }
        engine.close()?;
    }
    let opened = (0..engines).map(|number| open(home.path(), number, &options));
    let mut opened: Vec<Engine> = opened.collect::<Result<_, _>>()?;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..DUPLICATES.min(ids) / BATCH {
        for (number, engine) in (0..).zip(&mut opened) {
            let old: Vec<_> = (0..BATCH).map(|_| random.random_range(0..ids)).collect();
            submit(engine, number, old)?;
        }
    }
    let index = opened.iter().map(|engine| engine.statistics().index_bytes);
    let an_engine = MAX_ENGINE_BYTES.min(ID_BYTES * ids) + WORD_BYTES * WORDS;
    let formula = PROCESS_BYTES + index.sum::<u64>() + engines * an_engine;
    let (budget, peak) = (options.memory_bytes, peak_bytes()?);
    println!(
        "{{\"engines\": {engines}, \"ids_an_engine\": {ids}, \"budget_bytes\": {budget}, \
         \"formula_bytes\": {formula}, \"peak_bytes\": {peak}}}"
    );
    if peak > (budget + formula) / 10 * 11 {
        return Err("the process took more memory than budget, formula and a tenth".into());
    }
    Ok(())
}

fn open(home: &Path, number: u64, options: &Options) -> Result<Engine, Failed> {
    Ok(Engine::open(home.join(number.to_string()), options)?)
}

/// Submits the events of these numbers to an engine.
fn submit(
    engine: &mut Engine,
    number: u64,
    events: impl IntoIterator<Item = u64>,
) -> Result<(), Failed> {
    let events = events.into_iter().map(|event| {
        let mut bytes = [0; 16];
        ChaCha8Rng::seed_from_u64(number << 40 | event).fill_bytes(&mut bytes);
        let id = Builder::from_random_bytes(bytes).into_uuid();
        (id.to_string(), format!("word{}", event % WORDS))
    });
    let events: Vec<_> = events.collect();
    let request = |(event_id, word)| Request::Process { event_id, word };
    let events = events.iter().map(|(id, word)| (id.as_str(), word.as_str()));
    let requests: Vec<_> = events.map(request).collect();
    for reply in engine.submit(&requests, SystemTime::now())? {
        reply?;
    }
    Ok(())
}

/// The highest resident memory of this process until now.
fn peak_bytes() -> Result<u64, Failed> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.ok_or("no VmHWM")?.trim_end_matches("kB").trim();
    Ok(kib.parse::<u64>()? << 10)
}
