//! The disk format: every byte that the program writes.
//!
#![doc = include_str!("disk_format.md")]

pub(crate) mod block;
pub(crate) mod counts;
pub(crate) mod cursor;
pub(crate) mod entry;
pub(crate) mod fingerprint;
#[cfg(test)]
mod golden;
pub(crate) mod record;
pub(crate) mod release_pack;
pub(crate) mod run;
pub(crate) mod set_piece;
pub(crate) mod tree_name;
pub(crate) mod varint;

/// The format of the directory and of everything in its database.
pub const FORMAT: u32 = 5;

/// The format before, which this program can only read.
pub(crate) const FORMAT_4: u32 = 4;
