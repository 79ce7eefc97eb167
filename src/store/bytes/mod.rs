//! The disk format: every byte that the program writes.
//!
//! **A change of anything on this page needs a new number in [`FORMAT`]**, a reader of the format
//! before (such as [`format4`](super::format4)), and new golden files in `data/golden`, with which
//! a test compares the bytes. A directory of format 4 can only be read, and one of an unknown
//! format is refused.
//!
//! All integers are unsigned and little-endian, except in keys: these are big-endian, so that sled
//! sorts them by number. A *varint* is LEB128, of 1 to 10 bytes; a *signed varint* is a varint in
//! zigzag order. A *text* is its length in bytes, a varint, and then UTF-8. A *checksum* is the
//! 64-bit XXH3 of everything else in its value, with a seed made from the value's key if it has
//! one.
//!
//! # The directory
//!
//! | file | content |
//! |---|---|
//! | `lock` | text: the process that locked the directory for writing; the file is locked with flock |
//! | `sentinel` | one line of text: `exactly-once FORMAT STAGE [GENERATION GROUP]`; the stage is `creating` until the first database is durable, then `ready` |
//! | `db`, `conf`, `snap.*`, `blobs/` | the files of sled 0.34.7; `blobs/` stays empty |
//! | `watermark` | 8,192 bytes: two slots of 4,096, the first for even groups |
//! | `generation-N/` | the database and watermark of generation N, made by a compaction or a load |
//!
//! ```text
//! slot = magic     8 bytes, "eo-mark2"
//!        database  u64: the seed in the record `format`
//!        group     u64: the last group that was answered
//!        position  u64: the journal's last position in that group
//!        checksum  u64
//! ```
//!
//! # The trees
//!
//! | tree | key | value |
//! |---|---|---|
//! | `meta` | `format` or `head` | a record: `FormatRecord`, `HeadRecord` |
//! | `journal` | first position u64 | a block |
//! | `sets` | set u64, piece u64 | a piece of a position set |
//! | `counts` | snapshot u64, number u32 | number 0: the record `SnapshotRecord`; others: a block of counts |
//! | `checkpoints` | the name, UTF-8 | the record `CheckpointRecord` |
//! | `releases` | offset of the first output u64 | a pack of releases |
//! | `seen`, the index | run u32 | the record `RunRecord` |
//! | `seen`, the index | run u32, first fingerprint u64, first position u64 | a block of a run |
//! | `moves`, the switches | number u64, from 1 | the record `SwitchRecord` |
//!
//! No value is longer than 6,000 bytes and no key longer than 264: sled would write a page of
//! longer ones to a file that it never syncs.
//!
//! # The journal
//!
//! ```text
//! block = checksum  u64
//!         version   u8, 3
//!         entries   u16: the number of entries, at least 1
//!         group     u64: the group that the block was last written with
//!         base      u64: the last group before that one that was a transaction
//!         previous  u64: the checksum of the block before; 0 if there is none
//!         counts    u64: the digest of the counts after the last entry
//!         entry*
//! entry = head      varint: twice a number, plus 1 if the id is a UUID in lower-case hyphenated
//!                   text. The words of a block are numbered from 1 as they are spelled; the
//!                   number is that of the word, or 0 if this entry spells it
//!         id        the 16 bytes of the UUID, or a text
//!         word      a text, if this entry spells it
//!         count     varint: the count of the word in the reply to the event
//! ```
//!
//! The positions of a block's entries are consecutive and begin with its key. A block contains the
//! checksum of the block before, so the checksum of the last block is a digest of the whole
//! journal.
//!
//! # Position sets
//!
//! A set is cut into pieces of 2^15 positions. Set 1 is the closed part of the timeline, set 2 that
//! of the released positions, and set 3 holds the absorbed positions. Sets from 16 on never change.
//!
//! ```text
//! piece = form      u8: 1 full, 2 ranges, 3 bitmap
//!         ranges    form 2: two varints for each range, the gap before it and its length minus 1
//!         bitmap    form 3: 512 u64
//!         checksum  u64
//! ```
//!
//! # Counts
//!
//! ```text
//! block = checksum  u64
//!         counted*  text: the word; varint: its count; in the byte order of the words
//! ```
//!
//! # Releases
//!
//! ```text
//! pack    = checksum  u64
//!           version   u8, 1
//!           commits   varint: the number of the last commit before the pack
//!           release*
//! release = head      varint: bit 0: it is a commit; bit 1: the field `position` is there; bit 2:
//!                     the field `set` is there; the other bits: the number of ranges
//!           ranges    two varints for each range, the distance from the last position of the
//!                     range before and the length minus 1; the first distance is signed, and is
//!                     from the last position of the release before
//!           set       varints: the set of its positions, its number of outputs, its last position
//!           time      if it is a commit: signed varint, milliseconds since the commit before in
//!                     the pack, or since 1970 if it is the first
//!           position  varint: the journal's last position at the commit; without this field, it
//!                     is the last position of the release
//! ```
//!
//! The offset of an output follows from the key of its pack and the number of positions before it.
//!
//! # The index
//!
//! A run covers consecutive positions. Its entries (fingerprint, position) are sorted and cut into
//! blocks. A fingerprint is the upper 38 bits of the XXH3 of the event id, with the seed in the
//! record `format`.
//!
//! ```text
//! block = checksum  u64
//!         until     varint: the next block's first fingerprint minus this one's, plus 1; 0 in the
//!                   last block
//!         entry*    varint: the fingerprint minus the one before, or 0 in the first entry;
//!                   varint: the position minus the first position of the run
//! ```
//!
//! Each block says where the next one begins, so a reader of a part of a run notices a missing
//! block.
//!
//! # Records
//!
//! ```text
//! record = version   u8, 5
//!          checksum  u64, of the rest and without a seed
//!          fields    in the order in which the struct in [`record`] declares them
//! ```
//!
//! | field | bytes |
//! |---|---|
//! | `u64`, a position | 8 |
//! | `u32` | 4 |
//! | `bool` | 1: 0 or 1 |
//! | `Option` | 1: 0 or 1, then the value if there is one |
//! | `Vec`, `String` | 8: the number of elements or bytes, then these |
//! | `enum` | 4: the number of the variant, from 0, then its fields |
//!
//! These are the fields as bincode 1.3.3 writes them. That version is pinned, as it is the last
//! release that compiles and is no longer maintained. Only [`record`] uses it. It can be replaced
//! by a `serde` serializer that implements exactly this table, or by a crate that writes the same
//! bytes (bincode 2 with `config::legacy()`, `wincode`). If the golden file stays the same, the
//! format stays 5.

pub(crate) mod block;
pub(crate) mod counts;
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
pub(crate) const FORMAT: u32 = 5;

/// The format before, which this program can only read.
pub(crate) const FORMAT_4: u32 = 4;
