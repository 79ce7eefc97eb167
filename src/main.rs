//! The program: parses the arguments, carries out the command, returns an exit status.

mod cli;

use std::process::ExitCode;

use tikv_jemalloc_ctl::{Access, AsName};
use tikv_jemallocator::Jemalloc;

/// Blocks and sled's pages are allocated on one thread and freed on another. In two benches of ten
/// million events, the system's allocator was slower by a sixth and by a fiftieth, and took a
/// twentieth more memory.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Freed memory goes back to the system within this many milliseconds. By default it is ten times
/// as long, and random reads of the database then keep 70 MB more, without being faster.
const DECAY_MS: isize = 1_000;

/// The settings of the arena that is there at the start, and of later ones.
const DECAY_SETTINGS: [&str; 2] = ["arena.0.dirty_decay_ms\0", "arenas.dirty_decay_ms\0"];

fn main() -> ExitCode {
    for setting in DECAY_SETTINGS {
        // Where this cannot be set, the process only takes more memory.
        setting.name().write(DECAY_MS).unwrap_or_default();
    }
    cli::main()
}
