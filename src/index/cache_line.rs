//! A line of the table: slots that one read of memory finds.

use bytemuck::{Pod, Zeroable};
use wide::u16x8;

/// The slots that fit into a cache line of 64 bytes with its header.
pub(super) const LINE_SLOTS: usize = 20;

// The header of a line: bit `i` is 1 if slot `i` belongs to the line before. Five bits have the
// number of used slots. One bit says that the next line has slots of this line, and one that the
// shard's overflow has some.
const LEN_SHIFT: u32 = LINE_SLOTS as u32;
/// Some slots of this line are in the next line.
pub(super) const SPILLED: u32 = 1 << 25;
/// Some slots of this line are in the overflow of the shard.
pub(super) const OVERFLOWED: u32 = 1 << 26;

/// The slots of one cache line, with their header.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(super) struct CacheLine {
    lows: [u16; LINE_SLOTS],
    highs: [u8; LINE_SLOTS],
    pub(super) header: u32,
}

impl CacheLine {
    pub(super) fn len(&self) -> u32 {
        self.header >> LEN_SHIFT & 31
    }

    pub(super) fn slot(&self, index: usize) -> u32 {
        u32::from(self.highs[index]) << 16 | u32::from(self.lows[index])
    }

    /// True if slot `index` belongs to the line before.
    pub(super) fn is_displaced(&self, index: usize) -> bool {
        self.header >> index & 1 == 1
    }

    /// Returns the used slots that equal `rest` in the bits of `mask`, as a bitmap: the slots of
    /// the line before if `displaced` is true, else those of this line.
    pub(super) fn alike(&self, rest: u32, mask: u32, displaced: bool) -> u32 {
        let alike = self.lows_alike(rest as u16, mask as u16);
        let used = (1 << self.len()) - 1;
        let home = if displaced { self.header } else { !self.header };
        let mut wanted = alike & used & home;
        let mut found = 0;
        while wanted != 0 {
            let index = wanted.trailing_zeros();
            found |= u32::from(self.slot(index as usize) & mask == rest) << index;
            wanted &= wanted - 1;
        }
        found
    }

    /// Returns the slots whose low parts equal `low` in the bits of `mask`, as a bitmap.
    fn lows_alike(&self, low: u16, mask: u16) -> u32 {
        let (low, mask) = (u16x8::splat(low), u16x8::splat(mask));
        let alike = |from: usize| {
            let lows = self.lows[from..].first_chunk();
            let lows = u16x8::new(*lows.expect("a line has eight slots from each of these on"));
            (lows & mask).simd_eq(low).to_bitmask() << from
        };
        // The line has 20 slots, so the last eight overlap the second eight.
        alike(0) | alike(8) | alike(LINE_SLOTS - 8)
    }

    /// Adds a slot; false if the line is full.
    pub(super) fn push(&mut self, slot: u32, displaced: bool) -> bool {
        let index = self.len() as usize;
        if index == LINE_SLOTS {
            return false;
        }
        self.lows[index] = slot as u16;
        self.highs[index] = (slot >> 16) as u8;
        self.header += 1 << LEN_SHIFT;
        self.header |= u32::from(displaced) << index;
        true
    }
}
