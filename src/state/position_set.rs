//! Sets of journal positions, in pieces that are cheap to copy and to compare.
//!
//! A set is nearly always a few ranges. But events that come again in another order after a switch
//! can split it into as many ranges as it has positions. So it is cut into pieces of
//! [`PIECE_POSITIONS`] positions, each empty, full or a shared bitmap. A copy shares the bitmaps,
//! and two sets are compared piece by piece. So saving a checkpoint, or writing what has changed,
//! takes time by the number of pieces, not of positions. (Roaring bitmaps, Lemire et al., 2016, are
//! the model; here there is one kind of container.)

use std::sync::Arc;

use crate::state::position::Position;

/// Positions of a piece.
pub(crate) const PIECE_POSITIONS: u64 = 1 << 15;
/// Words of a piece's bitmap.
pub(crate) const PIECE_WORDS: usize = (PIECE_POSITIONS / 64) as usize;

/// The bitmap of a piece: position `p` of the piece is bit `p % 64` of word `p / 64`.
pub(crate) type Bits = [u64; PIECE_WORDS];

#[derive(Debug, Clone, Default)]
pub(crate) enum Piece {
    /// No position of the piece is in the set.
    #[default]
    Empty,
    /// Every position of the piece is in the set.
    Full,
    /// Some positions of the piece are in the set, but not all.
    Mixed(Arc<Bits>),
}

impl Piece {
    pub(crate) fn from_bits(bits: Bits) -> Self {
        if bits.iter().all(|&word| word == 0) {
            Self::Empty
        } else if bits.iter().all(|&word| word == u64::MAX) {
            Self::Full
        } else {
            Self::Mixed(Arc::new(bits))
        }
    }

    /// Returns word `index` of the piece's bitmap.
    fn word(&self, index: usize) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Full => u64::MAX,
            Self::Mixed(bits) => bits[index],
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Full => PIECE_POSITIONS,
            Self::Mixed(bits) => bits.iter().map(|word| u64::from(word.count_ones())).sum(),
        }
    }

    /// Applies `op` bit by bit. It reads no bits if a side is empty or full, or if both share a
    /// bitmap, as sets do that were copied from one.
    fn combine(&self, other: &Self, op: impl Fn(u64, u64) -> u64) -> Self {
        let of_bits = match (self, other) {
            (Self::Mixed(a), Self::Mixed(b)) if !Arc::ptr_eq(a, b) => None,
            (Self::Mixed(_), Self::Mixed(_)) => Some((self, op(0, 0), op(u64::MAX, u64::MAX))),
            (_, Self::Mixed(_)) => {
                let plain = self.word(0);
                Some((other, op(plain, 0), op(plain, u64::MAX)))
            }
            _ => {
                let plain = other.word(0);
                Some((self, op(0, plain), op(u64::MAX, plain)))
            }
        };
        match of_bits {
            Some((_, 0, 0)) => Self::Empty,
            Some((bits, 0, u64::MAX)) => bits.clone(),
            Some((_, u64::MAX, u64::MAX)) => Self::Full,
            _ => Self::from_bits(std::array::from_fn(|index| {
                op(self.word(index), other.word(index))
            })),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Empty, Self::Empty) | (Self::Full, Self::Full) => true,
            (Self::Mixed(a), Self::Mixed(b)) => Arc::ptr_eq(a, b) || a == b,
            _ => false,
        }
    }

    /// Sets the bits from `first` to `last` and returns how many of them were not set.
    pub(crate) fn fill(&mut self, first: u64, last: u64) -> u64 {
        if first == 0 && last == PIECE_POSITIONS - 1 {
            let before = self.len();
            *self = Self::Full;
            return PIECE_POSITIONS - before;
        }
        let bits = match self {
            Self::Full => return 0,
            Self::Empty => {
                *self = Self::Mixed(Arc::new([0; PIECE_WORDS]));
                return self.fill(first, last);
            }
            Self::Mixed(bits) => Arc::make_mut(bits),
        };
        let mut added = 0;
        for index in first / 64..=last / 64 {
            let low = first.saturating_sub(index * 64);
            let high = (last - index * 64).min(63);
            let word = &mut bits[index as usize];
            let mask = (u64::MAX >> (63 - high)) & (u64::MAX << low);
            added += u64::from((mask & !*word).count_ones());
            *word |= mask;
        }
        if bits.iter().all(|&word| word == u64::MAX) {
            *self = Self::Full;
        }
        added
    }
}

/// A range of consecutive positions, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PositionRange {
    pub(crate) first: Position,
    /// The last position, not before the first.
    pub(crate) last: Position,
}

/// A set of positions.
#[derive(Debug, Clone, Default)]
pub(crate) struct PositionSet {
    /// Piece `i` begins at position `i * PIECE_POSITIONS`. Pieces beyond the last one are empty.
    pieces: Vec<Piece>,
    len: u64,
}

impl PositionRange {
    pub(crate) fn len(self) -> u64 {
        self.last.0 - self.first.0 + 1
    }
}

/// Returns ranges of the `take` positions that follow the first `skip` positions of `ranges`, which
/// must be in growing order.
pub(crate) fn slice(
    mut ranges: impl Iterator<Item = PositionRange>,
    mut skip: u64,
    mut take: u64,
) -> impl Iterator<Item = PositionRange> {
    std::iter::from_fn(move || {
        while take > 0 {
            let range = ranges.next()?;
            let positions = range.len();
            let skipped = skip.min(positions);
            skip -= skipped;
            if skipped == positions {
                continue;
            }
            let taken = take.min(positions - skipped);
            take -= taken;
            let first = range.first.0 + skipped;
            return Some(PositionRange {
                first: Position(first),
                last: Position(first + taken - 1),
            });
        }
        None
    })
}

impl PositionSet {
    #[cfg(test)]
    pub(crate) fn from_ranges(ranges: impl IntoIterator<Item = PositionRange>) -> Self {
        let mut set = Self::default();
        for range in ranges {
            set.insert_range(range);
        }
        set
    }

    /// Returns the set of these numbered pieces, which must be in growing order of their numbers.
    pub(crate) fn from_pieces(pieces: impl IntoIterator<Item = (u64, Piece)>) -> Self {
        let mut set = Self::default();
        for (number, piece) in pieces {
            set.pieces.resize(number as usize, Piece::Empty);
            set.len += piece.len();
            set.pieces.push(piece);
        }
        set
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Returns the last position, or `None` if the set is empty.
    pub(crate) fn last(&self) -> Option<Position> {
        let used = self
            .pieces
            .iter()
            .rposition(|piece| !matches!(piece, Piece::Empty))?;
        let start = used as u64 * PIECE_POSITIONS;
        let mut within = (0..PIECE_POSITIONS)
            .rev()
            .map(|within| Position(start + within));
        within.find(|&position| self.contains(position))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn contains(&self, position: Position) -> bool {
        let within = position.0 % PIECE_POSITIONS;
        self.pieces
            .get((position.0 / PIECE_POSITIONS) as usize)
            .is_some_and(|piece| piece.word((within / 64) as usize) >> (within % 64) & 1 == 1)
    }

    pub(crate) fn insert(&mut self, position: Position) {
        self.insert_range(PositionRange {
            first: position,
            last: position,
        });
    }

    pub(crate) fn insert_range(&mut self, range: PositionRange) {
        let (first, last) = (range.first.0, range.last.0);
        let last_piece = last / PIECE_POSITIONS;
        if self.pieces.len() as u64 <= last_piece {
            self.pieces.resize(last_piece as usize + 1, Piece::Empty);
        }
        for number in first / PIECE_POSITIONS..=last_piece {
            let start = number * PIECE_POSITIONS;
            self.len += self.pieces[number as usize].fill(
                first.saturating_sub(start),
                (last - start).min(PIECE_POSITIONS - 1),
            );
        }
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a | b)
    }

    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & !b)
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & b)
    }

    fn combine(&self, other: &Self, op: impl Fn(u64, u64) -> u64 + Copy) -> Self {
        const NOTHING: &Piece = &Piece::Empty;
        let mut pieces: Vec<Piece> = (0..self.pieces.len().max(other.pieces.len()))
            .map(|number| {
                let piece = self.pieces.get(number).unwrap_or(NOTHING);
                piece.combine(other.pieces.get(number).unwrap_or(NOTHING), op)
            })
            .collect();
        let used = pieces
            .iter()
            .rposition(|piece| !matches!(piece, Piece::Empty));
        pieces.truncate(used.map_or(0, |last| last + 1));
        let len = pieces.iter().map(Piece::len).sum();
        Self { pieces, len }
    }

    /// Returns all positions in growing order.
    pub(crate) fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        let ranges = self.ranges();
        ranges.flat_map(|range| (range.first.0..=range.last.0).map(Position))
    }

    /// Returns the maximal ranges in growing order.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = PositionRange> + '_ {
        let mut from = 0;
        std::iter::from_fn(move || {
            let first = self.find(from, true)?;
            let end = self
                .find(first + 1, false)
                .unwrap_or(self.pieces.len() as u64 * PIECE_POSITIONS);
            from = end;
            Some(PositionRange {
                first: Position(first),
                last: Position(end - 1),
            })
        })
    }

    /// Returns the first position from `from` on whose membership is `wanted`, in the pieces there
    /// are.
    fn find(&self, from: u64, wanted: bool) -> Option<u64> {
        let mut position = from;
        while let Some(piece) = self.pieces.get((position / PIECE_POSITIONS) as usize) {
            let next_piece = (position / PIECE_POSITIONS + 1) * PIECE_POSITIONS;
            match (piece, wanted) {
                (Piece::Empty, true) | (Piece::Full, false) => position = next_piece,
                (Piece::Empty, false) | (Piece::Full, true) => return Some(position),
                (Piece::Mixed(bits), _) => {
                    let within = position % PIECE_POSITIONS;
                    let word = bits[(within / 64) as usize];
                    let word = if wanted { word } else { !word } >> (within % 64);
                    if word != 0 {
                        return Some(position + u64::from(word.trailing_zeros()));
                    }
                    position = (position / 64 + 1) * 64;
                }
            }
        }
        None
    }

    pub(crate) fn remove_range(&mut self, range: PositionRange) {
        let mut removed = Self::default();
        removed.insert_range(range);
        *self = self.difference(&removed);
    }

    /// Returns about the most bytes that the set takes when stored.
    pub(crate) fn stored_bytes(&self) -> usize {
        let mixed = self
            .pieces
            .iter()
            .filter(|piece| matches!(piece, Piece::Mixed(_)));
        self.pieces.len() + mixed.count() * size_of::<Bits>()
    }

    /// Returns every piece that is not empty, with its number, in growing order.
    #[cfg(test)]
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (u64, &Piece)> {
        let numbered = self.pieces.iter().enumerate();
        numbered
            .filter(|(_, piece)| !matches!(piece, Piece::Empty))
            .map(|(number, piece)| (number as u64, piece))
    }

    /// Returns the pieces that differ from those of `before`, with their numbers.
    pub(crate) fn pieces_changed_since<'a>(
        &'a self,
        before: &'a Self,
    ) -> impl Iterator<Item = (u64, &'a Piece)> {
        const NOTHING: &Piece = &Piece::Empty;
        (0..self.pieces.len().max(before.pieces.len())).filter_map(|number| {
            let now = self.pieces.get(number).unwrap_or(NOTHING);
            let then = before.pieces.get(number).unwrap_or(NOTHING);
            (!now.is_same(then)).then_some((number as u64, now))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn range(first: u64, last: u64) -> PositionRange {
        PositionRange {
            first: Position(first),
            last: Position(last),
        }
    }

    /// Ranges near the borders of pieces and words, where errors in a bitmap are likely.
    fn ranges() -> impl Strategy<Value = Vec<PositionRange>> {
        let start = prop_oneof![0..200_u64, 32_600..32_900_u64, 65_400..65_700_u64];
        let length = prop_oneof![0..3_u64, 60..70_u64, 32_700..32_800_u64];
        prop::collection::vec((start, length).prop_map(|(a, n)| range(a, a + n)), 0..6)
    }

    fn plain(ranges: &[PositionRange]) -> BTreeSet<u64> {
        ranges
            .iter()
            .flat_map(|range| range.first.0..=range.last.0)
            .collect()
    }

    fn members(set: &PositionSet) -> BTreeSet<u64> {
        set.positions().map(|position| position.0).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_set_does_what_a_plain_set_does(a in ranges(), b in ranges()) {
            let (plain_a, plain_b) = (plain(&a), plain(&b));
            let (set_a, set_b) = (PositionSet::from_ranges(a), PositionSet::from_ranges(b.clone()));
            prop_assert_eq!(set_a.len(), plain_a.len() as u64);
            prop_assert_eq!(&members(&set_a), &plain_a);
            prop_assert!(plain_b.iter().all(|&p| set_b.contains(Position(p))));
            for (combined, expected) in [
                (set_a.union(&set_b), &plain_a | &plain_b),
                (set_a.difference(&set_b), &plain_a - &plain_b),
                (set_a.intersection(&set_b), &plain_a & &plain_b),
            ] {
                prop_assert_eq!(combined.len(), expected.len() as u64);
                prop_assert_eq!(members(&combined), expected);
            }
            // A copy shares with its original the bitmaps that have not changed.
            let mut grown = set_a.clone();
            b.into_iter().for_each(|range| grown.insert_range(range));
            for (combined, expected) in [
                (set_a.union(&grown), &plain_a | &plain_b),
                (grown.difference(&set_a), &plain_b - &plain_a),
                (set_a.difference(&grown), BTreeSet::new()),
            ] {
                prop_assert_eq!(combined.len(), expected.len() as u64);
                prop_assert_eq!(members(&combined), expected);
            }
        }

        #[test]
        fn ranges_are_maximal_and_in_order(a in ranges()) {
            let set = PositionSet::from_ranges(a);
            let ranges: Vec<_> = set.ranges().collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].last.0 + 1 < pair[1].first.0));
        }

        #[test]
        fn changed_pieces_turn_the_old_set_into_the_new(a in ranges(), b in ranges()) {
            let (old, new) = (PositionSet::from_ranges(a), PositionSet::from_ranges(b));
            let mut pieces: std::collections::BTreeMap<u64, Piece> =
                old.pieces().map(|(number, piece)| (number, piece.clone())).collect();
            for (number, piece) in new.pieces_changed_since(&old) {
                pieces.insert(number, piece.clone());
            }
            prop_assert_eq!(members(&PositionSet::from_pieces(pieces)), members(&new));
        }
    }

    #[test]
    fn a_filled_piece_is_full_and_takes_no_bitmap() {
        let mut set = PositionSet::default();
        for position in 0..2 * PIECE_POSITIONS {
            set.insert(Position(position));
        }
        assert!(set.pieces().all(|(_, piece)| matches!(piece, Piece::Full)));
    }
}
