//! A file on a disk that can lose power: its durable content and its pending changes.
//!
//! The page cache has each page as the last write left it, and may write it back at any time. So
//! after a power cut each page is one of its versions since the last sync, or torn between two of
//! them at the edge of a sector, whatever the others are. The size is one of those since the sync.

use super::tally::Tally;
use rand::{Rng, RngExt};
use std::collections::{BTreeMap, VecDeque};

pub const PAGE_BYTES: usize = 4096;
const SECTOR_BYTES: usize = 512;

#[derive(Debug)]
pub enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Resize { len: usize },
}

#[derive(Debug, Default)]
pub struct File {
    durable: Vec<u8>,
    pending: VecDeque<Change>,
    /// The number of changes in `durable`.
    applied: usize,
}

/// A version of a page: its content after pending change number `change`; 0 is the durable one.
struct Version {
    change: usize,
    page: Vec<u8>,
}

/// The chances that a power cut keeps or tears a page. Each cut draws its own: with the same middle
/// value, a cut would rarely keep or drop all of many pages.
#[derive(Clone, Copy, Debug)]
pub struct Mood {
    keep: f64,
    tear: f64,
}

impl Mood {
    pub fn random(rng: &mut impl Rng) -> Self {
        let keep = [0.0, 0.25, 0.5, 0.75, 1.0][rng.random_range(0..5)];
        let tear = [0.0, 0.25, 0.75][rng.random_range(0..3)];
        Self { keep, tear }
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*at..end].copy_from_slice(bytes);
            }
            Self::Resize { len } => content.resize(*len, 0),
        }
    }
}

impl File {
    pub fn change(&mut self, change: Change) {
        self.pending.push_back(change);
    }

    /// The number of changes so far.
    pub fn changes(&self) -> usize {
        self.applied + self.pending.len()
    }

    /// Makes this many changes durable: a sync that began after them has succeeded.
    pub fn sync(&mut self, changes: usize) {
        while self.applied < changes {
            let change = self.pending.pop_front().expect("they have been made");
            change.apply(&mut self.durable);
            self.applied += 1;
        }
    }

    /// The content that processes see while the power is on.
    pub fn cached(&self) -> Vec<u8> {
        let mut content = self.durable.clone();
        for change in &self.pending {
            change.apply(&mut content);
        }
        content
    }

    /// A content that a power cut may leave.
    pub fn after_power_cut(&self, mood: Mood, rng: &mut impl Rng, tally: &mut Tally) -> Vec<u8> {
        let sizes = self.sizes();
        let sized_by = match rng.random_range(0..3) {
            0 => 0,
            1 => self.pending.len(),
            _ => rng.random_range(0..sizes.len()),
        };
        let mut content = self.durable.clone();
        for (number, versions) in self.versions() {
            // The file system journals a size with the truncations before it, so what they cut
            // off cannot come back.
            let cut_off = |version: &Version| {
                let is_resize = matches!(self.pending[version.change - 1], Change::Resize { .. });
                version.change <= sized_by && is_resize
            };
            let first = versions.iter().rposition(|v| v.change > 0 && cut_off(v));
            let page = choose(&versions[first.unwrap_or(0)..], mood, rng, tally);
            let at = number * PAGE_BYTES;
            content.resize(content.len().max(at + PAGE_BYTES), 0);
            content[at..at + PAGE_BYTES].copy_from_slice(&page);
        }
        content.resize(sizes[sized_by], 0);
        content
    }

    /// The durable size, and the size after each pending change.
    fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![self.durable.len()];
        let mut size = self.durable.len();
        for change in &self.pending {
            size = match change {
                Change::Write { at, bytes } => size.max(at + bytes.len()),
                Change::Resize { len } => *len,
            };
            sizes.push(size);
        }
        sizes
    }

    /// The versions of each page that has more than the durable one, oldest first.
    fn versions(&self) -> BTreeMap<usize, Vec<Version>> {
        let mut all = BTreeMap::new();
        let sizes = self.sizes();
        for (index, change) in self.pending.iter().enumerate() {
            let (from, to) = match change {
                Change::Write { at, bytes } => (*at, at + bytes.len()),
                // Growth changes no page: the new bytes were zero before.
                Change::Resize { len } => (*len, sizes[index].max(*len)),
            };
            for number in from / PAGE_BYTES..to.div_ceil(PAGE_BYTES) {
                let versions = all
                    .entry(number)
                    .or_insert_with(|| vec![self.durable_page(number)]);
                let mut page = versions.last().expect("one is durable").page.clone();
                overlay(&mut page, number * PAGE_BYTES, from..to, change);
                let change = index + 1;
                versions.push(Version { change, page });
            }
        }
        all
    }

    fn durable_page(&self, number: usize) -> Version {
        let start = self.durable.len().min(number * PAGE_BYTES);
        let end = self.durable.len().min(start + PAGE_BYTES);
        let mut page = self.durable[start..end].to_vec();
        page.resize(PAGE_BYTES, 0);
        Version { change: 0, page }
    }
}

/// Applies a change of the bytes `range` of the file to the page that begins at `start`.
fn overlay(page: &mut [u8], start: usize, range: std::ops::Range<usize>, change: &Change) {
    let (first, last) = (range.start.max(start), range.end.min(start + PAGE_BYTES));
    let part = &mut page[first - start..last - start];
    match change {
        Change::Write { at, bytes } => part.copy_from_slice(&bytes[first - at..last - at]),
        Change::Resize { .. } => part.fill(0),
    }
}

fn choose(versions: &[Version], mood: Mood, rng: &mut impl Rng, tally: &mut Tally) -> Vec<u8> {
    let newest = versions.len() - 1;
    if newest == 0 {
        return versions[0].page.clone();
    }
    if rng.random_bool(mood.tear) {
        let one = rng.random_range(0..=newest);
        let other = (one + rng.random_range(1..=newest)) % versions.len();
        if let Some(torn) = tear(&versions[one].page, &versions[other].page, rng) {
            tally.torn += 1;
            return torn;
        }
    }
    let chosen = if newest > 1 && rng.random_bool(0.2) {
        rng.random_range(1..newest)
    } else if rng.random_bool(mood.keep) {
        newest
    } else {
        0
    };
    tally.kept += u64::from(chosen == newest);
    tally.dropped += u64::from(chosen == 0);
    tally.older += u64::from(chosen != newest && chosen != 0);
    versions[chosen].page.clone()
}

/// The first sectors of one version with the last of another. `None` if fewer than two sectors
/// differ, as a mixture is then one of the two.
fn tear(one: &[u8], other: &[u8], rng: &mut impl Rng) -> Option<Vec<u8>> {
    let sectors = one.chunks(SECTOR_BYTES).zip(other.chunks(SECTOR_BYTES));
    let mut differing = (0..).zip(sectors).filter(|(_, (one, other))| one != other);
    let first = differing.next()?.0;
    let last = differing.last()?.0;
    let edge: usize = SECTOR_BYTES * rng.random_range(first + 1..=last);
    Some([&one[..edge], &other[edge..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::collections::BTreeSet;

    fn write(at: usize, byte: u8, len: usize) -> Change {
        let bytes = vec![byte; len];
        Change::Write { at, bytes }
    }

    /// The contents that 2,000 cuts leave.
    fn possible(file: &File) -> BTreeSet<Vec<u8>> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut cut = || {
            let mood = Mood::random(&mut rng);
            file.after_power_cut(mood, &mut rng, &mut Tally::default())
        };
        (0..2000).map(|_| cut()).collect()
    }

    #[test]
    fn a_synced_write_stays_and_one_after_the_sync_may_go_page_by_page() {
        let mut file = File::default();
        file.change(write(0, b'a', 2 * PAGE_BYTES));
        let begun = file.changes();
        file.change(write(PAGE_BYTES - 1, b'b', 2));
        file.sync(begun);
        let expect = |first, second| {
            let mut content = vec![b'a'; 2 * PAGE_BYTES];
            content[PAGE_BYTES - 1] = first;
            content[PAGE_BYTES] = second;
            content
        };
        let all = [(b'a', b'a'), (b'a', b'b'), (b'b', b'a'), (b'b', b'b')];
        let all = all.map(|(first, second)| expect(first, second));
        assert_eq!(possible(&file), BTreeSet::from(all));
        assert_eq!(file.cached(), expect(b'b', b'b'));
        file.sync(file.changes());
        assert_eq!(possible(&file), BTreeSet::from([expect(b'b', b'b')]));
    }

    #[test]
    fn growth_may_stay_without_its_bytes_and_a_page_may_be_torn_at_a_sector() {
        let mut file = File::default();
        file.change(write(0, b'a', PAGE_BYTES));
        let possible = possible(&file);
        assert!(possible.contains(&Vec::new()));
        assert!(possible.contains(&vec![0; PAGE_BYTES]));
        assert!(possible.contains(&vec![b'a'; PAGE_BYTES]));
        let torn = [
            [b'a'; SECTOR_BYTES].as_slice(),
            &[0; PAGE_BYTES - SECTOR_BYTES],
        ]
        .concat();
        assert!(possible.contains(&torn));
        assert_eq!(possible.len(), 1 + 2 + 2 * 7);
    }

    #[test]
    fn what_a_truncation_cut_off_never_comes_back_with_a_later_size() {
        let mut file = File::default();
        file.change(write(0, b'a', PAGE_BYTES));
        file.sync(1);
        file.change(Change::Resize { len: 0 });
        file.change(Change::Resize { len: 8 });
        let possible = possible(&file);
        let expected = [vec![b'a'; PAGE_BYTES], vec![], vec![0; 8]];
        assert!(expected.iter().all(|content| possible.contains(content)));
        assert!(!possible.contains(&vec![b'a'; 8]));
    }
}
