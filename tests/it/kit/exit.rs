//! The exit statuses of the program, as its help lists them.

pub const SUCCESS: i32 = 0;
/// An input could not be read, or an output could not be written.
pub const INPUT_OR_OUTPUT: i32 = 1;
/// The arguments are wrong.
pub const USAGE: i32 = 2;
/// The directory cannot be used.
pub const UNUSABLE: i32 = 3;
/// Another process has locked the directory.
pub const HELD: i32 = 4;
/// The storage failed.
pub const STORAGE: i32 = 5;
/// No node is running.
pub const NOT_RUNNING: i32 = 6;
/// All requests were answered, and some were refused.
pub const REFUSED: i32 = 7;
/// A request that must not be repeated blindly has no reply.
pub const UNCLEAR: i32 = 8;
/// An import found another file under the name of an earlier one.
pub const ROTATED: i32 = 9;

// The statuses of `verify`: one for each class of findings, the gravest first.
pub const LOST: i32 = 10;
pub const UNREADABLE: i32 = 11;
pub const JOURNAL: i32 = 12;
pub const SETS: i32 = 13;
pub const COUNTS: i32 = 14;
pub const OUTPUTS: i32 = 15;
pub const CHECKPOINTS: i32 = 16;
pub const SNAPSHOTS: i32 = 17;
pub const DIGESTS: i32 = 18;
pub const INDEX: i32 = 19;
pub const FILES: i32 = 20;
pub const PAGES: i32 = 21;

/// The status of each class of findings of `verify`.
pub const CLASSES: [(&str, i32); 12] = [
    ("lost", LOST),
    ("unreadable", UNREADABLE),
    ("journal", JOURNAL),
    ("sets", SETS),
    ("counts", COUNTS),
    ("outputs", OUTPUTS),
    ("checkpoints", CHECKPOINTS),
    ("snapshots", SNAPSHOTS),
    ("digests", DIGESTS),
    ("index", INDEX),
    ("files", FILES),
    ("pages", PAGES),
];
