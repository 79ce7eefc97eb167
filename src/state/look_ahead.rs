//! Reading memory ahead of its use.
//!
//! An event looks at a few places in memory that no cache of the CPU holds, and each takes as long
//! as hundreds of instructions. So the places of many events are read together, before the first
//! of them is applied: the CPU waits for all at once.

use smallvec::SmallVec;

/// So many events are looked at together.
pub(crate) const LOOK_AHEAD: usize = 64;

/// Reads a few words of memory at once. Where they are is found out before the first is read, so
/// that nothing but the memory is waited for.
pub(crate) fn touch<'a, T: Copy + Into<u64> + 'a>(words: impl Iterator<Item = &'a T>) {
    let words: SmallVec<[&T; LOOK_AHEAD]> = words.collect();
    std::hint::black_box(words.iter().fold(0, |all, &&word| all ^ word.into()));
}
