//! Reads memory before it is used.
//!
//! An event needs a few places in memory that are in no cache of the CPU, and reading each takes as
//! long as hundreds of instructions. So the places of many events are read together before the
//! first event is applied: the CPU waits for all of them at once.

use smallvec::SmallVec;

/// The number of events whose memory is read together.
pub(crate) const LOOK_AHEAD: usize = 64;

/// Reads a few words of memory at once. It finds all addresses before it reads the first word, so
/// that it waits for nothing but memory.
pub(crate) fn touch<'a, T: Copy + Into<u64> + 'a>(words: impl Iterator<Item = &'a T>) {
    let words: SmallVec<[&T; LOOK_AHEAD]> = words.collect();
    std::hint::black_box(words.iter().fold(0, |all, &&word| all ^ word.into()));
}
