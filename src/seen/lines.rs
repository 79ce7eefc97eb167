//! The memory of a shard's lines: pages of its own, which go back to the system as a whole.
//!
//! Shards grow one by one. From an allocator each growth would leave a hole that none of the later,
//! larger ones fits into: half as much memory again.

use bytemuck::{Pod, Zeroable};
use memmap2::{Advice, MmapMut, MmapOptions};

/// As many slots as fit into a cache line of 64 bytes beside its header.
pub(super) const LINE_SLOTS: usize = 20;

/// Slots and their header, one cache line; what they mean is the table's business.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(super) struct Line {
    pub(super) lows: [u16; LINE_SLOTS],
    pub(super) highs: [u8; LINE_SLOTS],
    pub(super) header: u32,
}

/// A fixed number of lines, at first zeroes.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pages: Option<MmapMut>,
}

impl Lines {
    /// At least one line. The system finds the memory at once, which is quicker than page by page.
    pub(super) fn new(lines: usize) -> Self {
        Self::map(MmapOptions::new().populate(), lines)
    }

    /// At least one line. The system finds the memory when [`Lines::populate`] is called, or as it
    /// is used.
    pub(super) fn on_demand(lines: usize) -> Self {
        Self::map(&mut MmapOptions::new(), lines)
    }

    /// Has the system find the memory. A page that is read before it is written is found twice, and
    /// the second time each CPU has to be told.
    pub(super) fn populate(&self) {
        if let Some(pages) = &self.pages {
            // Systems that cannot do so find it as it is used.
            pages.advise(Advice::PopulateWrite).unwrap_or_default();
        }
    }

    fn map(options: &mut MmapOptions, lines: usize) -> Self {
        let pages = options.len(lines * size_of::<Line>()).map_anon();
        let pages = pages.expect("without memory nothing can go on, as with any allocation");
        Self { pages: Some(pages) }
    }

    pub(super) fn as_slice(&self) -> &[Line] {
        self.pages.as_deref().map_or(&[], bytemuck::cast_slice)
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [Line] {
        self.pages
            .as_deref_mut()
            .map_or(&mut [], bytemuck::cast_slice_mut)
    }
}
