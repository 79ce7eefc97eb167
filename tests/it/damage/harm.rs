//! Every kind of damage to a directory, and every place where it is done.

use super::history::{SECTOR_BYTES, Variant, folder};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE_BYTES: usize = 4096;
const SEGMENT_BYTES: usize = 512 << 10;
/// The bytes of a slot of the watermark that are in use.
const MARK_BYTES: usize = 40;
const LONGEST_RUN: usize = 200;
/// How often a random change is tried until it changes something.
const TRIES: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    BitFlipped,
    RunZeroed,
    RunOverwritten,
    PieceZeroed,
    PieceSwapped,
    PieceOlder,
    CutBy(usize),
    CutInHalf,
    Emptied,
    Deleted,
    Extended,
    OfAnother,
    Older,
    GeneratingEmpty,
    GeneratingTorn,
    GeneratingStale,
    HigherGarbage,
    HigherTorn,
    Planted,
}

/// A file, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    UnderSnapshot,
    MidLog,
    Tail,
    Padding,
    Db,
    Snap,
    Conf,
    Sentinel,
    EvenSlot,
    OddSlot,
    Watermark,
    Lock,
    Blobs,
}

/// One kind of damage in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Harm {
    pub kind: Kind,
    pub place: Place,
}

/// Every kind of damage at every place where it is possible.
pub fn all() -> Vec<Harm> {
    use Kind::*;
    use Place::*;
    let parts: &[Place] = &[UnderSnapshot, MidLog, Tail];
    let bytes = [
        parts,
        &[Snap, Conf, Sentinel, EvenSlot, OddSlot, Lock, Padding],
    ]
    .concat();
    let not_padding = &bytes[..bytes.len() - 1];
    let files: &[Place] = &[Db, Snap, Conf, Sentinel, Watermark, Lock];
    let rows: [(Kind, &[Place]); 24] = [
        (BitFlipped, &bytes),
        (RunZeroed, not_padding),
        (RunOverwritten, &bytes),
        (PieceZeroed, not_padding),
        (PieceSwapped, parts),
        (PieceOlder, parts),
        (CutBy(1), files),
        (CutBy(100), &[Db, Snap, Watermark]),
        (CutBy(PAGE_BYTES), &[Db, Watermark]),
        (CutBy(20_000), &[Db]),
        (CutBy(SEGMENT_BYTES), &[Db]),
        (CutInHalf, files),
        (Emptied, files),
        (Deleted, files),
        (Extended, files),
        (OfAnother, files),
        (Older, files),
        (GeneratingEmpty, &[Snap]),
        (GeneratingTorn, &[Snap]),
        (GeneratingStale, &[Snap]),
        (HigherGarbage, &[Snap]),
        (HigherTorn, &[Snap]),
        (Planted, &[Blobs]),
        (PieceOlder, &[Watermark]),
    ];
    let each = rows
        .into_iter()
        .flat_map(|(kind, places)| places.iter().map(move |&place| Harm { kind, place }));
    each.collect()
}

/// A directory that is about to be damaged.
pub struct Patient<'a> {
    /// The copy that is damaged.
    pub path: &'a Path,
    /// The variant that `path` is a copy of.
    pub variant: &'a Variant,
    /// A directory of another history.
    pub other: &'a Variant,
}

impl Patient<'_> {
    /// Does this damage, and says exactly what was done.
    pub fn suffer(&self, harm: Harm, rng: &mut ChaCha8Rng) -> String {
        match harm.kind {
            Kind::BitFlipped
            | Kind::RunZeroed
            | Kind::RunOverwritten
            | Kind::PieceZeroed
            | Kind::PieceSwapped
            | Kind::PieceOlder => self.change_bytes(harm, rng),
            Kind::CutBy(_) | Kind::CutInHalf | Kind::Emptied | Kind::Extended => {
                self.change_length(harm, rng)
            }
            Kind::Deleted => {
                fs::remove_file(self.file(harm.place)).expect("it is there");
                "deleted".to_owned()
            }
            Kind::OfAnother => self.replace(harm.place, &self.other.path, rng),
            // The sentinel as it was before the first database was durable.
            Kind::Older if harm.place == Place::Sentinel => {
                let sentinel = fs::read_to_string(self.file(Place::Sentinel));
                let format = sentinel.expect("it is text");
                let format = format.split(" ready").next().expect("there is a first");
                let older = format!("{format} creating\n");
                fs::write(self.file(Place::Sentinel), &older).expect("it can be written");
                older
            }
            Kind::Older => self.replace(harm.place, &self.variant.older, rng),
            Kind::Planted => {
                fs::create_dir_all(folder(self.path).join("blobs")).expect("it can be made");
                self.plant("blobs/1234", noise(rng))
            }
            _ => self.plant_snapshot(harm.kind, rng),
        }
    }

    fn file(&self, place: Place) -> PathBuf {
        file(self.path, place)
    }

    /// Writes a file next to those of the database.
    fn plant(&self, name: &str, bytes: Vec<u8>) -> String {
        fs::write(folder(self.path).join(name), &bytes).expect("it can be written");
        format!("{} bytes planted as {name}", bytes.len())
    }

    fn plant_snapshot(&self, kind: Kind, rng: &mut ChaCha8Rng) -> String {
        let real = fs::read(self.file(Place::Snap)).expect("it is there");
        let torn = || real[..real.len() * 2 / 3].to_vec();
        let higher = "snap.00000000FFFFFFFF";
        let number = format!("snap.{:016X}.generating", rng.random_range(0..1_u64 << 24));
        match kind {
            Kind::GeneratingEmpty => self.plant(&number, Vec::new()),
            Kind::GeneratingTorn => self.plant(&number, torn()),
            Kind::GeneratingStale => {
                let stale = file(&self.variant.older, Place::Snap);
                self.plant(&number, fs::read(stale).expect("it is there"))
            }
            Kind::HigherTorn => self.plant(higher, torn()),
            _ => self.plant(higher, noise(rng)),
        }
    }

    /// Replaces a file of this directory by that of another.
    fn replace(&self, place: Place, from: &Path, rng: &mut ChaCha8Rng) -> String {
        let (ours, theirs) = (self.file(place), file(from, place));
        let bytes = fs::read(&theirs).expect("it is there");
        let mut to = ours.clone();
        if place == Place::Snap && rng.random_bool(0.5) {
            fs::remove_file(&ours).expect("it is there");
            to = folder(self.path).join(theirs.file_name().expect("it has a name"));
        }
        fs::write(&to, bytes).expect("it can be written");
        format!("{} in the place of {}", theirs.display(), ours.display())
    }

    fn change_length(&self, harm: Harm, rng: &mut ChaCha8Rng) -> String {
        let path = self.file(harm.place);
        let mut bytes = fs::read(&path).expect("it is there");
        let length = bytes.len();
        match harm.kind {
            Kind::CutBy(cut) => bytes.truncate(length.saturating_sub(cut)),
            Kind::CutInHalf => bytes.truncate(length / 2),
            Kind::Emptied => bytes.clear(),
            _ => bytes.extend(noise(rng)),
        }
        fs::write(&path, &bytes).expect("it can be written");
        let name = path.display();
        format!("{name} has {} bytes instead of {length}", bytes.len())
    }

    fn change_bytes(&self, harm: Harm, rng: &mut ChaCha8Rng) -> String {
        let path = self.file(harm.place);
        let before = fs::read(&path).expect("it is there");
        let older = fs::read(file(&self.variant.older, harm.place)).expect("it is there");
        let mut after = before.clone();
        let mut at = 0;
        for _ in 0..TRIES {
            at = self.random_byte(harm.place, before.len(), rng);
            change(harm.kind, &mut after, at, &older, rng);
            if after != before {
                break;
            }
        }
        fs::write(&path, &after).expect("it can be written");
        format!("{} changed at byte {at}", path.display())
    }

    /// Draws the byte of the file at which the change begins.
    fn random_byte(&self, place: Place, length: usize, rng: &mut ChaCha8Rng) -> usize {
        let sectors = match place {
            Place::EvenSlot => return rng.random_range(0..MARK_BYTES),
            Place::OddSlot => return PAGE_BYTES + rng.random_range(0..MARK_BYTES),
            _ => self.variant.sectors(place),
        };
        let Some(sectors) = sectors else {
            return rng.random_range(0..length);
        };
        let sector = sectors[rng.random_range(0..sectors.len())];
        sector * SECTOR_BYTES + rng.random_range(0..SECTOR_BYTES)
    }
}

/// The file that contains a place.
fn file(directory: &Path, place: Place) -> PathBuf {
    folder(directory).join(match place {
        Place::Snap => return snapshot(directory),
        Place::Sentinel => return directory.join("sentinel"),
        Place::Lock => return directory.join("lock"),
        Place::Conf => "conf",
        Place::EvenSlot | Place::OddSlot | Place::Watermark => "watermark",
        Place::Blobs => "blobs",
        _ => "db",
    })
}

/// The newest of sled's own snapshot files.
fn snapshot(directory: &Path) -> PathBuf {
    let entries = fs::read_dir(folder(directory)).expect("it is there");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let is_snapshot = |path: &PathBuf| path.display().to_string().contains("/snap.");
    paths.filter(is_snapshot).max().expect("sled has made one")
}

/// Changes some bytes from `at` on, or the sector or page that contains `at`.
fn change(kind: Kind, bytes: &mut [u8], at: usize, older: &[u8], rng: &mut ChaCha8Rng) {
    let length = bytes.len();
    let run = at..length.min(at + rng.random_range(1..=LONGEST_RUN));
    let size = [SECTOR_BYTES, PAGE_BYTES][rng.random_range(0..2)];
    let piece = at / size * size..length.min((at / size + 1) * size);
    match kind {
        Kind::BitFlipped => bytes[at] ^= 1 << rng.random_range(0..8_u32),
        Kind::RunZeroed => bytes[run].fill(0),
        Kind::RunOverwritten => rng.fill_bytes(&mut bytes[run]),
        Kind::PieceZeroed => bytes[piece].fill(0),
        Kind::PieceSwapped => {
            let other = rng.random_range(0..length / size) * size;
            for (first, second) in piece.zip(other..other + size) {
                bytes.swap(first, second);
            }
        }
        _ => {
            for place in piece {
                bytes[place] = older.get(place).copied().unwrap_or(0);
            }
        }
    }
}

fn noise(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = vec![0; rng.random_range(1..=2 * PAGE_BYTES)];
    rng.fill_bytes(&mut bytes);
    bytes
}
