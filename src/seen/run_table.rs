//! Which runs of the journal hold a fingerprint: a hash table in memory, of three bytes a slot and
//! four to five a position.
//!
//! Every position has a slot, which says the run that the position is in and the part of its
//! fingerprint that the slot's place does not (quotienting: Knuth, TAOCP 6.4, exercise 13). So
//! "certainly new" costs one cache line whatever the number of runs, and a shard can grow without
//! being read anew. A line that is full spills into the next one; what finds no room there either,
//! as ids that were accepted again and again do not, goes to an ordered map.

use std::collections::BTreeMap;

use smallvec::SmallVec;
use wide::u16x8;

use crate::fingerprint::{FINGERPRINT_BITS, Fingerprint};
use crate::look_ahead::touch;
use crate::seen::lines::{LINE_SLOTS, Line, Lines};
use crate::store::RunNumber;

/// Shards grow one by one, so that growing is never noticed.
const SHARD_BITS: u32 = 11;
/// How many shards there are.
pub(super) const SHARDS: usize = 1 << SHARD_BITS;
/// The bits of a fingerprint within its shard.
const PLACE_BITS: u32 = FINGERPRINT_BITS - SHARD_BITS;
/// A slot: the rest of the place, and above it the run.
const SLOT_BITS: u32 = 24;
/// The fewest lines of a shard: a page of memory. The rest of a place fits into a slot from 16
/// lines on.
const MIN_LINES: usize = 64;
/// A shard with fewer lines, of 16 KiB, doubles: all of them together are small. A larger one grows
/// by a sixth, as half of the memory of the process may be lines.
const SMALL_LINES: usize = 256;
/// A shard that is filled to so many percent grows when a slot finds no room. By then one slot in
/// 400 has found none before, and one line in 50 has any of those.
const FULL: usize = 75;
/// How far a new table is filled by the positions that it is made for: it soon gets more.
const FILLED: usize = 70;
/// A shard that is filled to so many percent grows when a run has a number that slots have no room
/// for: with more lines there are more bits for it. A shard with fewer positions would be too
/// sparse for that.
const SPARSE: usize = 40;
/// A line takes so many slots of one fingerprint; the others would crowd out its neighbours.
const MAX_ALIKE: u32 = 4;
/// In the overflow: a run whose number a slot had no room for.
const UNKNOWN_RUN: u32 = u32::MAX;

// The header of a line: bit `i` says that slot `i` belongs to the line before; then five bits for
// how many slots are in use, one for whether slots of this line are in the next one, and one for
// whether any are in the shard's overflow.
const LEN_SHIFT: u32 = LINE_SLOTS as u32;
const SPILLED: u32 = 1 << 25;
const OVERFLOWED: u32 = 1 << 26;

impl Line {
    fn len(&self) -> u32 {
        self.header >> LEN_SHIFT & 31
    }

    fn slot(&self, index: usize) -> u32 {
        u32::from(self.highs[index]) << 16 | u32::from(self.lows[index])
    }

    /// Whether slot `index` belongs to the line before.
    fn is_displaced(&self, index: usize) -> bool {
        self.header >> index & 1 == 1
    }

    /// The slots in use that agree with `rest` in the bits of `mask`, as bits; of this line's own
    /// or of the line before.
    fn alike(&self, rest: u32, mask: u32, displaced: bool) -> u32 {
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

    /// The slots whose low bits agree in those of `mask`, as bits.
    fn lows_alike(&self, low: u16, mask: u16) -> u32 {
        let (low, mask) = (u16x8::splat(low), u16x8::splat(mask));
        let alike = |from: usize| {
            let lows = self.lows[from..].first_chunk();
            let lows = u16x8::new(*lows.expect("a line has eight slots behind each of these"));
            (lows & mask).simd_eq(low).to_bitmask() << from
        };
        // The last eight are partly those before them.
        alike(0) | alike(8) | alike(LINE_SLOTS - 8)
    }

    /// Adds a slot; false if the line is full.
    fn push(&mut self, slot: u32, displaced: bool) -> bool {
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

/// Where positions with a fingerprint are.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// The runs that they are in; one may be named more than once.
    pub(super) runs: SmallVec<[RunNumber; 4]>,
    /// How many positions there are.
    pub(super) positions: u64,
    /// Whether some are in runs that are not named.
    pub(super) are_partly_unknown: bool,
}

/// How a slot is made of a place and a run, for shards of one size.
#[derive(Debug, Clone, Copy, Default)]
struct Layout {
    lines: u32,
    /// So many low bits tell places apart that share a home line: consecutive ones.
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

    /// The home line of a place, and the rest that the line does not say.
    fn split(self, place: u32) -> (usize, u32) {
        let home = (u64::from(place) * u64::from(self.lines)) >> PLACE_BITS;
        (home as usize, place & self.rest_mask())
    }

    /// The first place of a home line.
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

    /// The place of a slot, given the first one of its home line.
    fn place(self, first: u32, slot: u32) -> u32 {
        first + (slot.wrapping_sub(first) & self.rest_mask())
    }

    fn rest_mask(self) -> u32 {
        (1 << self.rest_bits) - 1
    }

    /// What stands in a slot for a run that it has no number for.
    fn unknown_run(self) -> u32 {
        (1 << (SLOT_BITS - self.rest_bits)) - 1
    }
}

/// What became of a slot that was to be put in.
#[derive(Debug, PartialEq, Eq)]
enum Put {
    Done,
    NoRoom,
    TooManyAlike,
}

/// The slots of the fingerprints that begin alike.
#[derive(Debug, Default)]
struct Shard {
    lines: Lines,
    layout: Layout,
    /// How many slots are in use in the lines.
    used: usize,
    /// How many positions have a place and a run, where the lines have no room for them.
    overflow: BTreeMap<(u32, u32), u32>,
}

impl Shard {
    fn with_lines(lines: Lines) -> Self {
        Self {
            layout: Layout::of(lines.as_slice().len()),
            lines,
            ..Self::default()
        }
    }

    fn insert(&mut self, place: u32, run: u32) {
        if self.line_count() == 0 {
            *self = Self::with_lines(Lines::new(MIN_LINES));
        } else if self.is_empty() {
            self.lines.populate();
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

    /// Whether it has no position: then the memory of its lines may not be there yet, and is not to
    /// be read.
    fn is_empty(&self) -> bool {
        self.used == 0 && self.overflow.is_empty()
    }

    fn line_count(&self) -> usize {
        self.layout.lines as usize
    }

    /// Whether more than so many percent of the slots are in use.
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

    /// Puts a slot into its home line or the next; false if neither has room.
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

    /// Gives the shard more lines.
    fn grow(&mut self) {
        let more = match self.line_count() {
            lines @ ..SMALL_LINES => lines,
            lines => lines.div_ceil(6),
        };
        let mut grown = Self::with_lines(Lines::new(self.line_count() + more));
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

    /// Whether no position has this place, where its home line alone says so.
    fn is_surely_new(&self, place: u32) -> bool {
        if self.is_empty() {
            return true;
        }
        let (home, rest) = self.layout.split(place);
        let line = &self.lines.as_slice()[home];
        let is_whole = line.header & (SPILLED | OVERFLOWED) == 0;
        is_whole && line.alike(rest, self.layout.rest_mask(), false) == 0
    }

    fn matches(&self, place: u32) -> Matches {
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

    fn take_slots(&self, line: &Line, mut slots: u32, matches: &mut Matches) {
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

/// The table of all positions that it was told.
#[derive(Debug)]
pub(super) struct RunTable {
    shards: Vec<Shard>,
    /// How many lines the shards have.
    lines: usize,
}

impl RunTable {
    /// A table that has room for so many positions.
    pub(super) fn with_room_for(positions: u64) -> Self {
        let lines = positions as usize / SHARDS * 100 / (LINE_SLOTS * FILLED);
        let shard = || match lines {
            0..MIN_LINES => Shard::default(),
            lines => Shard::with_lines(Lines::on_demand(lines)),
        };
        let shards: Vec<_> = (0..SHARDS).map(|_| shard()).collect();
        Self {
            lines: shards.iter().map(Shard::line_count).sum(),
            shards,
        }
    }

    /// The shard of a fingerprint.
    pub(super) fn shard_of(fingerprint: Fingerprint) -> usize {
        (fingerprint.0 >> PLACE_BITS) as usize
    }

    /// The first and the last fingerprint of a shard.
    pub(super) fn fingerprints_of(shard: usize) -> (Fingerprint, Fingerprint) {
        let first = (shard as u64) << PLACE_BITS;
        (
            Fingerprint(first),
            Fingerprint(first | ((1 << PLACE_BITS) - 1)),
        )
    }

    fn place(fingerprint: Fingerprint) -> u32 {
        fingerprint.0 as u32 & ((1 << PLACE_BITS) - 1)
    }

    /// Notes that a position in a run has a fingerprint.
    pub(super) fn insert(&mut self, fingerprint: Fingerprint, run: RunNumber) {
        let shard = &mut self.shards[Self::shard_of(fingerprint)];
        let before = shard.line_count();
        shard.insert(Self::place(fingerprint), run.0);
        self.lines += shard.line_count() - before;
    }

    /// Whether one look says that no position has a fingerprint; of few that none has it does not.
    pub(super) fn is_surely_new(&self, fingerprint: Fingerprint) -> bool {
        self.shards[Self::shard_of(fingerprint)].is_surely_new(Self::place(fingerprint))
    }

    /// Where the positions with a fingerprint are.
    pub(super) fn matches(&self, fingerprint: Fingerprint) -> Matches {
        self.shards[Self::shard_of(fingerprint)].matches(Self::place(fingerprint))
    }

    /// Has the lines of a few fingerprints brought into the CPU's cache.
    pub(super) fn touch(&self, fingerprints: impl Iterator<Item = Fingerprint>) {
        touch(fingerprints.filter_map(|fingerprint| self.header(fingerprint)));
    }

    /// Part of the line of a fingerprint, if there may be something in it.
    fn header(&self, fingerprint: Fingerprint) -> Option<&u32> {
        let shard = &self.shards[Self::shard_of(fingerprint)];
        if shard.is_empty() {
            return None;
        }
        let (home, _) = shard.layout.split(Self::place(fingerprint));
        Some(&shard.lines.as_slice()[home].header)
    }

    /// Bytes of memory that the lines take.
    pub(super) fn memory_bytes(&self) -> usize {
        self.lines * size_of::<Line>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A few fingerprints that share shards, lines and all their bits, and others.
    fn fingerprint() -> impl Strategy<Value = Fingerprint> {
        prop_oneof![
            (0..4_u64).prop_map(|n| Fingerprint(n << PLACE_BITS | n)),
            (0..60_u64).prop_map(Fingerprint),
            // All over one shard, so that it grows.
            (0..1_000_u64).prop_map(|n| Fingerprint(n << (PLACE_BITS - 10))),
            (0..=Fingerprint::MAX.0).prop_map(Fingerprint),
        ]
    }

    proptest! {
        #[test]
        fn every_position_is_found_in_its_run(
            inserts in prop::collection::vec((fingerprint(), 0..300_u32), 0..6_000),
        ) {
            let mut table = RunTable::with_room_for(0);
            let mut model = BTreeMap::<Fingerprint, Vec<u32>>::new();
            for &(fingerprint, run) in &inserts {
                table.insert(fingerprint, RunNumber(run));
                model.entry(fingerprint).or_default().push(run);
            }
            for (fingerprint, runs) in model {
                let found = table.matches(fingerprint);
                prop_assert_eq!(found.positions, runs.len() as u64);
                let missed = runs.iter().filter(|&&run| !found.runs.contains(&RunNumber(run)));
                prop_assert!(found.are_partly_unknown || missed.count() == 0);
            }
        }
    }

    #[test]
    fn a_table_of_many_positions_knows_their_runs_in_about_four_bytes_each() {
        const POSITIONS: u64 = 2_000_000;
        let mut table = RunTable::with_room_for(0);
        let fingerprint = |n: u64| Fingerprint(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 26);
        for n in 0..POSITIONS {
            table.insert(fingerprint(n), RunNumber(n as u32 / 917_504));
        }
        let mut strangers = 0;
        for n in 0..POSITIONS {
            let found = table.matches(fingerprint(n));
            assert!(found.runs.contains(&RunNumber(n as u32 / 917_504)));
            assert!(!found.are_partly_unknown);
            strangers += table.matches(fingerprint(n + POSITIONS)).positions;
        }
        assert!(strangers < POSITIONS / 10_000, "{strangers} false matches");
        let overflow: usize = table.shards.iter().map(|shard| shard.overflow.len()).sum();
        assert!(overflow < 1_000, "{overflow} positions had no room");
        let bytes = table.memory_bytes() as f64 / POSITIONS as f64;
        assert!(bytes < 4.5, "{bytes} bytes a position");
    }
}
