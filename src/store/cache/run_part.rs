//! A part of a run: its positions whose fingerprints begin with the same bits.

use crate::state::position::Position;
use crate::store::bytes::fingerprint::{FINGERPRINT_BITS, Fingerprint};
use crate::store::bytes::run::{RunHeader, RunNumber};

/// About the number of positions in a part: those of one or two stored blocks.
const PART_POSITIONS: u64 = 256;

/// Bytes of a packed position: those bits of its fingerprint that its part does not give, above its
/// offset from the first position of the run. A run of n positions has at least n / 256 parts, so
/// these are at most 46 bits.
const PACKED_BYTES: usize = 6;

/// How far a place may be from the guess, in positions, to be found without a search of the whole
/// part.
const NEAR: usize = 16;

/// How a run is cut into parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunParts {
    pub(super) run: RunNumber,
    first: Position,
    /// Number of bits of a fingerprint that select its part.
    bits: u32,
    /// Number of bits of an offset.
    offset_bits: u32,
}

/// The positions of a part, sorted by their fingerprints.
#[derive(Debug)]
pub(crate) struct RunPart(Box<[[u8; PACKED_BYTES]]>);

fn unpacked(packed: &[u8; PACKED_BYTES]) -> u64 {
    let &[a, b, c, d, e, f] = packed;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

impl RunParts {
    pub(crate) fn of(run: &RunHeader) -> Self {
        let positions = run.last.0 - run.first.0 + 1;
        let parts = positions.div_ceil(PART_POSITIONS).next_power_of_two();
        Self {
            run: run.run,
            first: run.first,
            bits: parts.trailing_zeros(),
            offset_bits: u64::BITS - (positions - 1).leading_zeros(),
        }
    }

    /// The number of the part that has a fingerprint.
    pub(crate) fn number(self, fingerprint: Fingerprint) -> u32 {
        (fingerprint.0 >> self.rest_bits()) as u32
    }

    /// The first and the last fingerprint of a part.
    pub(crate) fn fingerprints(self, number: u32) -> (Fingerprint, Fingerprint) {
        let first = u64::from(number) << self.rest_bits();
        (
            Fingerprint(first),
            Fingerprint(first | self.rest(Fingerprint::MAX)),
        )
    }

    /// Number of bits of a fingerprint that its part does not give.
    fn rest_bits(self) -> u32 {
        FINGERPRINT_BITS - self.bits
    }

    fn rest(self, fingerprint: Fingerprint) -> u64 {
        fingerprint.0 & ((1 << self.rest_bits()) - 1)
    }

    /// Makes a part of its positions, in the order of the run.
    pub(crate) fn part(
        self,
        positions: impl IntoIterator<Item = (Fingerprint, Position)>,
    ) -> RunPart {
        let positions = positions.into_iter();
        RunPart(positions.map(|position| self.packed(position)).collect())
    }

    fn packed(self, (fingerprint, position): (Fingerprint, Position)) -> [u8; PACKED_BYTES] {
        let offset = position.0 - self.first.0;
        let packed = self.rest(fingerprint) << self.offset_bits | offset;
        let [bytes @ .., zero, also_zero] = packed.to_le_bytes();
        debug_assert!(
            (zero, also_zero) == (0, 0),
            "a packed position fits into its bytes"
        );
        bytes
    }

    /// Calls `f` with each position of a part that has this fingerprint.
    pub(crate) fn find(self, part: &RunPart, wanted: Fingerprint, mut f: impl FnMut(Position)) {
        let RunPart(packed) = part;
        let rest = self.rest(wanted);
        let is_before = |packed: &_| unpacked(packed) >> self.offset_bits < rest;
        // Fingerprints are evenly spread, so the guess is nearly right.
        let guess = self.guess(part, wanted);
        let (low, high) = (guess.saturating_sub(NEAR), packed.len().min(guess + NEAR));
        let is_near = (low == 0 || is_before(&packed[low - 1]))
            && (high == packed.len() || !is_before(&packed[high]));
        let (low, high) = if is_near {
            (low, high)
        } else {
            (0, packed.len())
        };
        let from = low + packed[low..high].partition_point(is_before);
        let found = packed[from..].iter().map(unpacked);
        for packed in found.take_while(|packed| packed >> self.offset_bits == rest) {
            let offset = packed & ((1 << self.offset_bits) - 1);
            f(Position(self.first.0 + offset));
        }
    }

    /// Where in a part a fingerprint probably is; 0 in an empty part.
    fn guess(self, part: &RunPart, wanted: Fingerprint) -> usize {
        let place = u128::from(self.rest(wanted)) * part.0.len() as u128;
        (place >> self.rest_bits()) as usize
    }

    /// A place in memory that [`RunParts::find`] reads, unless the part is empty.
    pub(super) fn place(self, part: &RunPart, wanted: Fingerprint) -> Option<&u8> {
        part.0.get(self.guess(part, wanted))?.first()
    }

    /// Cuts the positions of a stretch of fingerprints, in the order of the run, into the parts
    /// that lie in it whole.
    pub(crate) fn cut(
        self,
        (first, last): (Fingerprint, Fingerprint),
        positions: impl IntoIterator<Item = (Fingerprint, Position)>,
    ) -> impl Iterator<Item = (u32, RunPart)> {
        let mut positions = positions.into_iter();
        let mut next = positions.next();
        let mut packed = Vec::new();
        let numbers = self.number(first)..=self.number(last);
        numbers.filter_map(move |number| {
            let (from, until) = self.fingerprints(number);
            packed.clear();
            while let Some(position) = next.filter(|&(fingerprint, _)| fingerprint <= until) {
                packed.push(self.packed(position));
                next = positions.next();
            }
            let is_whole = first <= from && until <= last;
            is_whole.then(|| (number, RunPart(packed.as_slice().into())))
        })
    }
}

impl RunPart {
    pub(super) fn bytes(&self) -> u64 {
        size_of_val(&*self.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(first: u64, positions: u64) -> RunHeader {
        RunHeader {
            run: RunNumber(3),
            first: Position(first),
            last: Position(first + positions - 1),
            first_fingerprint: Fingerprint(0),
            blocks: 1,
            digest: 0,
        }
    }

    proptest! {
        #[test]
        fn the_parts_of_a_run_have_what_the_run_has(
            fingerprints in prop::collection::vec(
                prop_oneof![0..4_u64, 0..=Fingerprint::MAX.0].prop_map(Fingerprint),
                1..2_000,
            ),
            first in 1..u64::MAX / 2,
            (from, until) in (0..=Fingerprint::MAX.0, 0..=Fingerprint::MAX.0),
        ) {
            let parts = RunParts::of(&header(first, fingerprints.len() as u64));
            let positions = (first..).map(Position);
            let mut run: Vec<_> = fingerprints.iter().copied().zip(positions).collect();
            run.sort();
            let whole = (Fingerprint(0), Fingerprint::MAX);
            let cut: Vec<_> = parts.cut(whole, run.iter().copied()).collect();
            for &(wanted, _) in &run {
                let (number, part) = &cut[parts.number(wanted) as usize];
                prop_assert_eq!(*number, parts.number(wanted));
                let mut found = Vec::new();
                parts.find(part, wanted, |position| found.push((wanted, position)));
                let alike = run.iter().filter(|(fingerprint, _)| *fingerprint == wanted);
                prop_assert!(found.iter().eq(alike));
            }
            // Of a stretch, only whole parts.
            let stretch = (Fingerprint(from.min(until)), Fingerprint(from.max(until)));
            let within: Vec<_> =
                run.iter().copied().filter(|(f, _)| (stretch.0..=stretch.1).contains(f)).collect();
            for (number, part) in parts.cut(stretch, within) {
                let (first, last) = parts.fingerprints(number);
                prop_assert!(stretch.0 <= first && last <= stretch.1);
                prop_assert_eq!(&part.0, &cut[number as usize].1.0);
            }
        }
    }

    #[test]
    fn the_largest_run_fits() {
        let parts = RunParts::of(&header(1, 1 << 26));
        let last = (Fingerprint::MAX, Position(1 << 26));
        let part = parts.part([last]);
        let mut found = Vec::new();
        parts.find(&part, last.0, |position| found.push(position));
        assert_eq!(found, [last.1]);
        assert_eq!(parts.rest_bits() + parts.offset_bits, 46);
    }
}
