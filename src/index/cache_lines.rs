//! The memory of a shard's lines: pages of its own, which go back to the system as a whole.
//!
//! Shards grow one by one. From an allocator each growth would leave a hole that none of the later,
//! larger ones fits into: half as much memory again.

use memmap2::{MmapMut, MmapOptions};

use crate::index::cache_line::CacheLine;

/// A fixed number of lines, at first zeroes.
#[derive(Debug, Default)]
pub(super) struct CacheLines {
    pages: Option<MmapMut>,
}

impl CacheLines {
    /// At least one line. The system finds the memory at once, which is quicker than page by page.
    pub(super) fn new(lines: usize) -> Self {
        let mut options = MmapOptions::new();
        let pages = options
            .len(lines * size_of::<CacheLine>())
            .populate()
            .map_anon();
        let pages = pages.expect("without memory nothing can go on, as with any allocation");
        Self { pages: Some(pages) }
    }

    pub(super) fn as_slice(&self) -> &[CacheLine] {
        self.pages.as_deref().map_or(&[], bytemuck::cast_slice)
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [CacheLine] {
        self.pages
            .as_deref_mut()
            .map_or(&mut [], bytemuck::cast_slice_mut)
    }
}
