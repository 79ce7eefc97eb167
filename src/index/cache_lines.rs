//! The memory of a shard's lines, in pages that go back to the system as a whole.
//!
//! Shards grow one by one. With an ordinary allocator each growth would leave a hole that no later
//! one fits. Such holes take half as much memory again.

use memmap2::{MmapMut, MmapOptions};

use crate::index::cache_line::CacheLine;

/// A fixed number of lines, filled with zeroes at first.
#[derive(Debug, Default)]
pub(super) struct CacheLines {
    pages: Option<MmapMut>,
}

impl CacheLines {
    /// Returns this many lines, at least one. The system maps all their memory at once, which is
    /// faster than page by page.
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
