//! The disk format: every byte that the program writes, on one page.
//!
//! **Nothing on this page may change without a new number in [`FORMAT`]**, a reader of the format
//! before it ([`format4`](super::format4) is one), and new golden files in `data/golden`, against
//! which a test holds all of it. A directory of another number is refused.
//!
//! All integers are unsigned, and little-endian unless a key says otherwise: keys are big-endian,
//! so that sled sorts them by number. *varint* is LEB128, 1 to 10 bytes; a *signed varint* is one
//! in zigzag order. *text* is a varint length in bytes and UTF-8. A *checksum* is XXH3, 64 bits,
//! of everything else in its value; where the value has a key, the key is the seed.
//!
//! # The directory
//!
//! | file | content |
//! |---|---|
//! | `lock` | text, for people: the process that holds the directory; locked with flock |
//! | `sentinel` | one line of text: `exactly-once FORMAT STAGE [GENERATION GROUP]`; the stage is `creating` until the first database is durable, then `ready` |
//! | `db`, `conf`, `snap.*`, `blobs/` | sled 0.34.7; `blobs` stays empty |
//! | `watermark` | 8,192 bytes: two slots of 4,096, the first for even groups |
//! | `generation-N/` | database and watermark of a directory that was compacted or loaded |
//!
//! ```text
//! slot = magic     8 bytes, "eo-mark2"
//!        database  u64: the seed in the record `format`
//!        group     u64: the last group that was answered
//!        position  u64: the last position of the journal in that group
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
//! | `moves` | number u64, from 1 | the record `SwitchRecord` |
//!
//! No value is over 6,000 bytes and no key over 264: sled would write a larger page to a file that
//! it never syncs.
//!
//! # The journal
//!
//! ```text
//! block = checksum  u64
//!         version   u8, 3
//!         entries   u16, at least 1
//!         group     u64: the group that the block was last written with
//!         base      u64: the last group before it that was a transaction
//!         previous  u64: the checksum of the block before, 0 if there is none
//!         counts    u64: the digest of the counts after the last event
//!         entry*
//! entry = head      varint: twice the number of the word in its block, from 1, or 0 if the word
//!                   is spelled here and has the next number; plus 1 if the id is a UUID in
//!                   lower-case hyphenated text
//!         id        the 16 bytes of the UUID, or text
//!         word      text, if it is spelled here
//!         count     varint: the count of the word in the reply to the event
//! ```
//!
//! The positions of a block follow one by one from its key. A block names the checksum of the one
//! before, so the checksum of the last block is a digest of the whole journal.
//!
//! # Position sets
//!
//! A set is cut into pieces of 2^15 positions. Sets 1, 2 and 3 are the closed part of the timeline,
//! the released and the absorbed positions; sets from 16 on never change.
//!
//! ```text
//! piece = form      u8: 1 full, 2 ranges, 3 bitmap
//!         ranges    form 2: varints, in turn the gap to the next range and its length less 1
//!         bitmap    form 3: 512 u64
//!         checksum  u64
//! ```
//!
//! # Counts
//!
//! ```text
//! block = checksum  u64
//!         counted*  text: the word; varint: its count; in byte order of the words
//! ```
//!
//! # Releases
//!
//! ```text
//! pack    = checksum  u64
//!           version   u8, 1
//!           commits   varint: number of the last commit before the pack
//!           release*
//! release = head      varint: bit 0: it is a commit; bit 1: the commit has a position of its own;
//!                     bit 2: its positions are the pieces of a set; the rest: its number of ranges
//!           ranges    varints, in turn the gap from the end of the range before and the length
//!                     less 1; the first gap is signed, and counts from the end of the release
//!                     before
//!           set       if it is pieces: varints, the set, its number of outputs, its last position
//!           time      if it is a commit: signed varint, milliseconds since the commit before in
//!                     the pack, or since 1970
//!           position  if it is its own: varint, the last position of the journal at the commit;
//!                     otherwise that is the last position of the release
//! ```
//!
//! The offsets of a pack's outputs follow from its key and the number of positions.
//!
//! # The index
//!
//! A run covers consecutive positions: its entries (fingerprint, position) are sorted, and cut into
//! blocks. A fingerprint is the upper 38 bits of XXH3 of the event id, with the seed of `format`.
//!
//! ```text
//! block = checksum  u64
//!         until     varint: the next block's first fingerprint less this one's, plus 1; 0 in the
//!                   last block
//!         entry*    varint: the fingerprint less the one before, which is at first 0;
//!                   varint: the position less the first of the run
//! ```
//!
//! Each block says where the next one begins, so a reader of a part of a run knows that no block of
//! the part is missing.
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
//! These are the fields as bincode 1.3.3 writes them. That is the last release that compiles, and
//! nobody maintains it. So it is pinned, and only [`record`] names it. What replaces it is a
//! `serde` serializer with this table as its whole content, or a crate that writes the same bytes
//! (bincode 2 with `config::legacy()`, `wincode`): the golden file decides whether it does, and
//! then the format stays 5.

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

/// The format before it, which can be read.
pub(crate) const FORMAT_4: u32 = 4;
