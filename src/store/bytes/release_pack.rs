//! A pack of releases: many releases under one checksum.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::StorageError;
use crate::state::position::Position;
use crate::store::bytes::record::SetRecord;
use crate::store::bytes::varint;
use crate::store::release::Commit;

/// A pack with this many bytes or more takes no further release. It is small, as each commit, which
/// takes about six bytes, is written with the whole pack that it extends.
pub(crate) const FULL_PACK_BYTES: usize = 1_000;

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;

const IS_COMMIT: u64 = 1;
const HAS_POSITION: u64 = 2;
const IS_PIECES: u64 = 4;
const RANGES_SHIFT: u32 = 3;

/// A release as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredRelease {
    pub(crate) commit: Option<Commit>,
    pub(crate) first_output: u64,
    pub(crate) outputs: u64,
    pub(crate) last: Position,
    pub(crate) released: SetRecord,
}

/// A pack that may take further releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReleasePack {
    first_output: u64,
    /// The number of the last commit before the pack.
    first_commits: u64,
    /// The bytes after the checksum.
    body: Vec<u8>,
    /// The offset after its last output.
    end: u64,
    /// The number of the last commit in or before the pack.
    commits: u64,
    /// The last position of its last release.
    last: Position,
    /// The time of its last commit, in milliseconds since 1970.
    last_ms: u64,
}

impl ReleasePack {
    /// Returns an empty pack whose first output will have this offset.
    pub(crate) fn new(first_output: u64, commits: u64) -> Self {
        let mut body = vec![VERSION];
        varint::put(&mut body, commits);
        Self {
            first_output,
            first_commits: commits,
            body,
            end: first_output,
            commits,
            last: Position::NONE,
            last_ms: 0,
        }
    }

    /// The offset of its first output.
    pub(crate) fn first_output(&self) -> u64 {
        self.first_output
    }

    /// Its key in the tree `releases`.
    pub(crate) fn key(&self) -> [u8; 8] {
        self.first_output.to_be_bytes()
    }

    pub(crate) fn first_commits(&self) -> u64 {
        self.first_commits
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    pub(crate) fn commits(&self) -> u64 {
        self.commits
    }

    /// If this pack is full, becomes the next pack and returns the full one.
    pub(crate) fn begin_next_if_full(&mut self) -> Option<Self> {
        let is_full = self.body.len() + CHECKSUM_BYTES >= FULL_PACK_BYTES;
        is_full.then(|| {
            let next = Self::new(self.end, self.commits);
            std::mem::replace(self, next)
        })
    }

    /// Adds the next release.
    pub(crate) fn push(&mut self, release: &StoredRelease) {
        let bytes = &mut self.body;
        let own_position = release
            .commit
            .filter(|commit| commit.position != release.last);
        let mut head = 0;
        for (is_so, bit) in [
            (release.commit.is_some(), IS_COMMIT),
            (own_position.is_some(), HAS_POSITION),
        ] {
            head |= if is_so { bit } else { 0 };
        }
        match &release.released {
            SetRecord::Pieces(set) => {
                varint::put(bytes, head | IS_PIECES);
                varint::put(bytes, *set);
                varint::put(bytes, release.outputs);
                varint::put(bytes, release.last.0);
            }
            SetRecord::Ranges(ranges) => {
                varint::put(bytes, head | (ranges.len() as u64) << RANGES_SHIFT);
                let mut end = self.last.0;
                for (index, (first, last)) in ranges.iter().enumerate() {
                    let gap = first.0.wrapping_sub(end) as i64;
                    varint::put(bytes, if index == 0 { zigzag(gap) } else { gap as u64 });
                    varint::put(bytes, last.0 - first.0);
                    end = last.0;
                }
            }
        }
        if let Some(commit) = &release.commit {
            let since = commit.committed_at_ms.wrapping_sub(self.last_ms);
            varint::put(bytes, zigzag(since as i64));
            self.last_ms = commit.committed_at_ms;
            self.commits = commit.number;
        }
        if let Some(commit) = own_position {
            varint::put(bytes, commit.position.0);
        }
        self.last = release.last;
        self.end += release.outputs;
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let checksum = xxh3_64_with_seed(&self.body, self.first_output);
        [&checksum.to_le_bytes()[..], &self.body].concat()
    }

    /// Reads a pack, and calls `f` with each of its releases in turn.
    ///
    /// # Errors
    ///
    /// [`StorageError::Damaged`] if the bytes are not this pack.
    pub(crate) fn read(
        first_output: u64,
        bytes: &[u8],
        mut f: impl FnMut(StoredRelease),
    ) -> Result<Self, StorageError> {
        let damaged = |expected: String, found: String| {
            let what = format!("the releases from output {first_output} on");
            StorageError::damaged(what, expected, found)
        };
        let Some((checksum, body)) = bytes.split_first_chunk::<CHECKSUM_BYTES>() else {
            return Err(damaged(
                "a checksum".into(),
                format!("{} bytes", bytes.len()),
            ));
        };
        let (stored, found) = (
            u64::from_le_bytes(*checksum),
            xxh3_64_with_seed(body, first_output),
        );
        if stored != found {
            return Err(damaged(
                format!("checksum {stored:016x}"),
                format!("{found:016x}"),
            ));
        }
        let mut pack = Self::new(first_output, 0);
        let read = match body {
            [VERSION, rest @ ..] => pack.take_all(rest, &mut f),
            _ => None,
        };
        let expected = || format!("version {VERSION} and releases");
        read.ok_or_else(|| damaged(expected(), "something else".into()))?;
        pack.body = body.to_vec();
        Ok(pack)
    }

    /// Calls `f` with each release of a body; `None` if the bytes are not releases.
    fn take_all(&mut self, mut rest: &[u8], f: &mut impl FnMut(StoredRelease)) -> Option<()> {
        self.commits = varint::take(&mut rest)?;
        self.first_commits = self.commits;
        while !rest.is_empty() {
            f(self.take(&mut rest)?);
        }
        Some(())
    }

    fn take(&mut self, rest: &mut &[u8]) -> Option<StoredRelease> {
        let head = varint::take(rest)?;
        let (outputs, last, released);
        if head & IS_PIECES != 0 {
            released = SetRecord::Pieces(varint::take(rest)?);
            outputs = varint::take(rest)?;
            last = Position(varint::take(rest)?);
        } else {
            let mut ranges = Vec::new();
            let (mut end, mut positions) = (self.last.0, 0_u64);
            for index in 0..head >> RANGES_SHIFT {
                let gap = varint::take(rest)?;
                let gap = if index == 0 {
                    unzigzag(gap) as u64
                } else {
                    gap
                };
                let first = end.wrapping_add(gap);
                let more = varint::take(rest)?;
                end = first.checked_add(more)?;
                positions = positions.checked_add(more)?.checked_add(1)?;
                ranges.push((Position(first), Position(end)));
            }
            (outputs, last, released) = (positions, Position(end), SetRecord::Ranges(ranges));
        }
        let mut commit = None;
        if head & IS_COMMIT != 0 {
            let since = unzigzag(varint::take(rest)?) as u64;
            self.last_ms = self.last_ms.wrapping_add(since);
            self.commits = self.commits.checked_add(1)?;
            let position = match head & HAS_POSITION {
                0 => last,
                _ => Position(varint::take(rest)?),
            };
            commit = Some(Commit {
                number: self.commits,
                position,
                committed_at_ms: self.last_ms,
            });
        }
        let first_output = self.end;
        self.end = self.end.checked_add(outputs)?;
        self.last = last;
        Some(StoredRelease {
            commit,
            first_output,
            outputs,
            last,
            released,
        })
    }
}

/// Encodes a signed number so that small ones are short varints, whatever their sign (as in
/// Protocol Buffers).
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The time and position of a commit, the gaps and lengths of ranges, and a set if it is
    /// pieces.
    type Parts = (Option<(u64, u64)>, Vec<(u64, u64)>, Option<u64>);

    fn any_release() -> impl Strategy<Value = Parts> {
        let steps = prop::collection::vec((1..1_000_u64, 0..50_u64), 1..6);
        (any::<Option<(u64, u64)>>(), steps, any::<Option<u64>>())
    }

    proptest! {
        #[test]
        fn releases_come_back_and_damaged_ones_do_not(
            first_output in 0..1_u64 << 40,
            commits in 0..1_u64 << 40,
            releases in prop::collection::vec(any_release(), 1..20),
            starts in prop::collection::vec(1..1_u64 << 40, 20),
            (damaged_at, bit) in (any::<prop::sample::Index>(), 0..8_u32),
        ) {
            let mut pack = ReleasePack::new(first_output, commits);
            let mut pushed = Vec::new();
            for ((commit, steps, pieces), start) in releases.into_iter().zip(starts) {
                let mut ranges = Vec::new();
                let mut end = start;
                for (gap, more) in steps {
                    ranges.push((Position(end + gap), Position(end + gap + more)));
                    end += gap + more + 1;
                }
                let (outputs, last) = match pieces {
                    Some(_) => (start, Position(start)),
                    None => {
                        let lengths = ranges.iter().map(|(first, last)| last.0 - first.0 + 1);
                        (lengths.sum(), ranges[ranges.len() - 1].1)
                    }
                };
                let number = pack.commits() + 1;
                let release = StoredRelease {
                    commit: commit.map(|(committed_at_ms, position)| Commit {
                        number,
                        position: if position % 2 == 0 { last } else { Position(position) },
                        committed_at_ms,
                    }),
                    first_output: pack.end(),
                    outputs,
                    last,
                    released: pieces.map_or(SetRecord::Ranges(ranges), SetRecord::Pieces),
                };
                pack.push(&release);
                pushed.push(release);
            }
            let mut bytes = pack.bytes();
            let mut read = Vec::new();
            let again = ReleasePack::read(first_output, &bytes, |release| read.push(release));
            prop_assert_eq!(again.expect("it is one"), pack);
            prop_assert_eq!(read, pushed);
            let at = damaged_at.index(bytes.len());
            prop_assert!(ReleasePack::read(first_output, &bytes[..at], |_| ()).is_err());
            bytes[at] ^= 1 << bit;
            prop_assert!(ReleasePack::read(first_output, &bytes, |_| ()).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(body: Vec<u8>) {
            let body = [&[VERSION], &body[..]].concat();
            let checksum = xxh3_64_with_seed(&body, 7).to_le_bytes();
            ReleasePack::read(7, &[&checksum[..], &body].concat(), |_| ()).map(drop).unwrap_or(());
        }
    }
}
