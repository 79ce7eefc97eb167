//! A shard: the part of the table for fingerprints that begin with the same bits.
//!
//! A full line spills into the next line. If that line is full too, the slot goes to the overflow,
//! an ordered map. Most slots of an id that was accepted very often go there too.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::index::cache_line::{CacheLine, LINE_SLOTS, OVERFLOWED, SPILLED};
use crate::index::cache_lines::{CacheLines, SMALL_LINES};
use crate::store::RunNumber;

/// Bits of a fingerprint that are its place in the shard. The other bits select one of 2,048
/// shards.
pub(super) const PLACE_BITS: u32 = 27;

/// Bits of a slot: the rest of the place, and the run in the bits above.
const SLOT_BITS: u32 = 24;
/// The fewest lines of a shard: a page of memory. The rest of a place fits into a slot from 16
/// lines on.
const MIN_LINES: usize = 64;
/// A shard filled to more than this many percent grows when a slot finds no room. At that point one
/// slot in 400 has found no room, and one line in 50 has such slots.
const FULL: usize = 75;
/// The percentage to which a new shard is filled by the positions it is made for.
const FILLED: usize = 70;
/// A shard filled to more than this many percent grows when the number of a run does not fit into a
/// slot, as more lines leave more bits for it. A shard with fewer positions would become too
/// sparse.
const SPARSE: usize = 40;
/// `insert` adds no slot of a place whose home line has this many. More would crowd out the places
/// beside it.
const MAX_ALIKE: u32 = 4;
/// Stands for a run whose number did not fit into a slot.
const UNKNOWN_RUN: u32 = u32::MAX;

/// The runs and the number of the positions with a fingerprint.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// The runs of the positions; a run may occur more than once.
    pub(super) runs: SmallVec<[RunNumber; 4]>,
    pub(super) positions: u64,
    /// True if some positions are in runs that are not in `runs`.
    pub(super) are_partly_unknown: bool,
}

/// How a slot encodes a place and a run, in shards with this many lines.
#[derive(Debug, Clone, Copy, Default)]
struct Layout {
    lines: u32,
    /// The number of low bits that tell the places of a home line apart.
    rest_bits: u32,
}

impl Layout {
    fn of(lines: usize) -> Self {
        let places_a_line = (1_u32 << PLACE_BITS).div_ceil(lines as u32);
        Self {
            lines: lines as u32,
            rest_bits: u32::BITS - (places_a_line - 1).leading_zeros(),
        }
    }

    /// Returns the home line of a place, and the low bits that the line does not tell.
    fn split(self, place: u32) -> (usize, u32) {
        let home = (u64::from(place) * u64::from(self.lines)) >> PLACE_BITS;
        (home as usize, place & self.rest_mask())
    }

    fn first_place(self, home: usize) -> u32 {
        ((home as u64) << PLACE_BITS).div_ceil(u64::from(self.lines)) as u32
    }

    fn line_after(self, line: usize) -> usize {
        if line + 1 == self.lines as usize {
            0
        } else {
            line + 1
        }
    }

    fn line_before(self, line: usize) -> usize {
        line.checked_sub(1).unwrap_or(self.lines as usize - 1)
    }

    /// Returns the place of a slot, given the first place of its home line.
    fn place(self, first: u32, slot: u32) -> u32 {
        first + (slot.wrapping_sub(first) & self.rest_mask())
    }

    fn rest_mask(self) -> u32 {
        (1 << self.rest_bits) - 1
    }

    /// Returns the value that stands in a slot for a run whose number does not fit.
    fn unknown_run(self) -> u32 {
        (1 << (SLOT_BITS - self.rest_bits)) - 1
    }
}

/// The result of putting a slot into its line.
#[derive(Debug, PartialEq, Eq)]
enum Put {
    Done,
    NoRoom,
    TooManyAlike,
}

/// The slots of the fingerprints that begin with the same bits.
#[derive(Debug, Default)]
pub(super) struct Shard {
    lines: CacheLines,
    layout: Layout,
    /// The number of used slots in all lines.
    used: usize,
    /// The number of positions by place and run, for which the lines have no room.
    overflow: BTreeMap<(u32, u32), u32>,
}

impl Shard {
    /// Returns a shard with room for this many positions and for the next ones. It has no lines yet
    /// if the positions are few.
    pub(super) fn with_room_for(positions: usize) -> Self {
        match positions * 100 / (LINE_SLOTS * FILLED) {
            0..MIN_LINES => Self::default(),
            lines => Self::with_lines(lines),
        }
    }

    fn with_lines(lines: usize) -> Self {
        Self {
            layout: Layout::of(lines),
            lines: CacheLines::new(lines),
            ..Self::default()
        }
    }

    /// Adds a position by its place and its run.
    pub(super) fn insert(&mut self, place: u32, run: u32) {
        if self.is_empty() {
            *self = Self::with_lines(MIN_LINES);
        }
        let is_known = run < self.layout.unknown_run();
        if !is_known && self.is_filled_to(SPARSE) {
            self.grow();
            return self.insert(place, run);
        }
        let field = run.min(self.layout.unknown_run());
        match self.put(place, field) {
            Put::Done => {}
            Put::NoRoom if self.is_filled_to(FULL) => {
                self.grow();
                self.insert(place, run);
            }
            Put::NoRoom | Put::TooManyAlike => self.put_aside(place, run, 1),
        }
    }

    /// True if the shard has no lines yet.
    pub(super) fn is_empty(&self) -> bool {
        self.line_count() == 0
    }

    pub(super) fn line_count(&self) -> usize {
        self.layout.lines as usize
    }

    /// True if more than this many percent of the slots are used.
    fn is_filled_to(&self, percent: usize) -> bool {
        self.used * 100 > self.line_count() * LINE_SLOTS * percent
    }

    fn put(&mut self, place: u32, field: u32) -> Put {
        let (home, rest) = self.layout.split(place);
        let alike = self.lines.as_slice()[home].alike(rest, self.layout.rest_mask(), false);
        if alike.count_ones() >= MAX_ALIKE {
            return Put::TooManyAlike;
        }
        if self.put_slot(home, field << self.layout.rest_bits | rest) {
            Put::Done
        } else {
            Put::NoRoom
        }
    }

    /// Puts a slot into its home line or the next line; false if neither has room.
    fn put_slot(&mut self, home: usize, slot: u32) -> bool {
        let lines = self.lines.as_mut_slice();
        if !lines[home].push(slot, false) {
            let next = self.layout.line_after(home);
            if !lines[next].push(slot, true) {
                return false;
            }
            lines[home].header |= SPILLED;
        }
        self.used += 1;
        true
    }

    fn put_aside(&mut self, place: u32, run: u32, positions: u32) {
        let (home, _) = self.layout.split(place);
        self.lines.as_mut_slice()[home].header |= OVERFLOWED;
        *self.overflow.entry((place, run)).or_default() += positions;
    }

    /// Returns the number of different places and runs in the overflow.
    #[cfg(test)]
    pub(super) fn overflow_len(&self) -> usize {
        self.overflow.len()
    }

    /// Grows to [`SMALL_LINES`] at once, which is little for all shards together. A larger shard
    /// grows by a sixth only, as lines may be half of the memory of the process.
    fn grow(&mut self) {
        let more = self.line_count().div_ceil(6);
        let mut grown = Self::with_lines(SMALL_LINES.max(self.line_count() + more));
        let rest_bits = self.layout.rest_bits;
        for (number, line) in self.lines.as_slice().iter().enumerate() {
            let first = self.layout.first_place(number);
            let first_before = self.layout.first_place(self.layout.line_before(number));
            for index in 0..line.len() as usize {
                let first = if line.is_displaced(index) {
                    first_before
                } else {
                    first
                };
                let slot = line.slot(index);
                let place = self.layout.place(first, slot);
                let field = match slot >> rest_bits {
                    field if field == self.layout.unknown_run() => grown.layout.unknown_run(),
                    run => run,
                };
                let (home, rest) = grown.layout.split(place);
                if !grown.put_slot(home, field << grown.layout.rest_bits | rest) {
                    let is_known = field != grown.layout.unknown_run();
                    grown.put_aside(place, if is_known { field } else { UNKNOWN_RUN }, 1);
                }
            }
        }
        for (&(place, run), &positions) in &self.overflow {
            grown.put_aside(place, run, positions);
        }
        *self = grown;
    }

    /// True if the home line alone proves that no position has this place.
    pub(super) fn is_surely_absent(&self, place: u32) -> bool {
        if self.is_empty() {
            return true;
        }
        let (home, rest) = self.layout.split(place);
        let line = &self.lines.as_slice()[home];
        let is_whole = line.header & (SPILLED | OVERFLOWED) == 0;
        is_whole && line.alike(rest, self.layout.rest_mask(), false) == 0
    }

    pub(super) fn matches(&self, place: u32) -> Matches {
        let mut matches = Matches::default();
        if self.is_empty() {
            return matches;
        }
        let (home, rest) = self.layout.split(place);
        let lines = self.lines.as_slice();
        let (line, mask) = (&lines[home], self.layout.rest_mask());
        self.take_slots(line, line.alike(rest, mask, false), &mut matches);
        if line.header & SPILLED != 0 {
            let next = &lines[self.layout.line_after(home)];
            self.take_slots(next, next.alike(rest, mask, true), &mut matches);
        }
        if line.header & OVERFLOWED != 0 {
            let aside = self.overflow.range((place, 0)..=(place, u32::MAX));
            for (&(_, run), &positions) in aside {
                self.take(run, positions.into(), &mut matches);
            }
        }
        matches
    }

    /// Returns the header of the home line of a place, if the shard has lines.
    pub(super) fn header(&self, place: u32) -> Option<&u32> {
        if self.is_empty() {
            return None;
        }
        let (home, _) = self.layout.split(place);
        Some(&self.lines.as_slice()[home].header)
    }

    fn take_slots(&self, line: &CacheLine, mut slots: u32, matches: &mut Matches) {
        while slots != 0 {
            let slot = line.slot(slots.trailing_zeros() as usize);
            match slot >> self.layout.rest_bits {
                field if field == self.layout.unknown_run() => self.take(UNKNOWN_RUN, 1, matches),
                run => self.take(run, 1, matches),
            }
            slots &= slots - 1;
        }
    }

    fn take(&self, run: u32, positions: u64, matches: &mut Matches) {
        match run {
            UNKNOWN_RUN => matches.are_partly_unknown = true,
            run => matches.runs.push(RunNumber(run)),
        }
        matches.positions += positions;
    }
}
