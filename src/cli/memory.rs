//! How long freed memory is kept before it goes back to the system.

use tikv_jemalloc_ctl::{Access, AsName};

/// The settings of the arena that is there at the start, and of later ones.
const DECAY_SETTINGS: [&str; 2] = ["arena.0.dirty_decay_ms\0", "arenas.dirty_decay_ms\0"];

/// Gives freed memory back to the system within this many milliseconds. It applies to the threads
/// that are started from here on.
pub(crate) fn give_back_within(ms: isize) {
    for setting in DECAY_SETTINGS {
        // Where this cannot be set, the process only takes more memory.
        setting.name().write(ms).unwrap_or_default();
    }
}
