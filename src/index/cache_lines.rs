//! The memory of a shard's lines.
//!
//! Shards grow one by one. With an ordinary allocator each growth of a large shard would leave a
//! hole that no later one fits, and such holes take half as much memory again. So large shards have
//! pages that go back to the system as a whole. Small ones have few sizes, and holes are filled.

use bytemuck::Zeroable;
use memmap2::{MmapMut, MmapOptions};

use crate::index::cache_line::CacheLine;

/// Up to this many lines, 16 KiB, the allocator is faster than the system.
pub(super) const SMALL_LINES: usize = 256;

/// A fixed number of lines, filled with zeroes at first.
#[derive(Debug)]
pub(super) enum CacheLines {
    Small(Box<[CacheLine]>),
    Pages(MmapMut),
}

impl Default for CacheLines {
    fn default() -> Self {
        Self::Small(Box::default())
    }
}

impl CacheLines {
    /// Returns this many lines, at least one. The system maps all pages at once, which is faster
    /// than page by page.
    pub(super) fn new(lines: usize) -> Self {
        if lines <= SMALL_LINES {
            return Self::Small(vec![CacheLine::zeroed(); lines].into());
        }
        let mut options = MmapOptions::new();
        let pages = options
            .len(lines * size_of::<CacheLine>())
            .populate()
            .map_anon();
        Self::Pages(pages.expect("without memory nothing can go on, as with any allocation"))
    }

    pub(super) fn as_slice(&self) -> &[CacheLine] {
        match self {
            Self::Small(lines) => lines,
            Self::Pages(pages) => bytemuck::cast_slice(pages),
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [CacheLine] {
        match self {
            Self::Small(lines) => lines,
            Self::Pages(pages) => bytemuck::cast_slice_mut(pages),
        }
    }
}
