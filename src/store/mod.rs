//! The durable half: the only module that knows sled.
//!
//! A [`Store`] belongs to the one thread that persists groups; any number of [`Reader`]s read what
//! is durable beside it. What sled guarantees and what it does not has shaped every step of
//! opening ([`directory`]) and of persisting ([`writer`]).
//!
//! | tree | key | value |
//! |---|---|---|
//! | `meta` | name | [`record::Format`], [`record::HeadRecord`] |
//! | `journal` | first position of the block, u64 big-endian | a block ([`block`]) |
//! | `sets` | set, piece, each u64 big-endian | a piece of a position set ([`set_codec`]) |
//! | `counts` | snapshot u64, block u32, both big-endian; 0 is the header | [`counts_codec`] |
//! | `checkpoints` | checkpoint id | [`record::CheckpointRecord`] |
//! | `releases` | offset of the first output, u64 big-endian | releases ([`release_codec`]) |
//! | `moves` | number of the restore or rollback, u64 big-endian | [`record::MoveRecord`] |
//! | `seen` | run u32, big-endian; with fingerprint and position, a block | [`run_codec`] |

pub(crate) mod block;
mod build;
mod copy;
mod counts_codec;
mod directory;
pub(crate) mod entry;
pub(crate) mod files;
mod format4;
mod generation;
#[cfg(test)]
mod golden;
mod group;
mod handle;
mod held;
mod holder;
mod identity;
mod leftover;
mod load;
mod lock;
mod place;
mod readable;
mod reader;
mod record;
mod release;
mod release_codec;
mod releases;
mod run_codec;
mod run_reader;
mod scratch;
mod sentinel;
mod set_codec;
mod sled_db;
mod sled_log;
mod sled_message;
mod space;
mod transaction;
mod tree;
mod unpersisted;
pub(crate) mod varint;
mod view;
mod watchdog;
mod watermark;
mod writer;

use std::path::Path;

use crate::error::OpenError;
use crate::options::Options;
pub(crate) use build::BuildSite;
pub(crate) use copy::RestingCopy;
pub(crate) use counts_codec::{CountsBlock, encode_counts};
#[cfg(feature = "cli")]
pub use directory::watermark_of;
pub(crate) use group::{
    Checkpoint, Group, Move, RunHeader, RunNumber, RunWrites, SnapshotHeader, SnapshotWrites,
};
#[cfg(feature = "cli")]
pub use handle::panic_becomes_error;
pub use held::{HeldDirectory, Kept};
pub(crate) use identity::FileIdentity;
#[cfg(feature = "cli")]
pub use leftover::remove_leftovers;
pub(crate) use load::{DurableState, LiveSets, Stored};
pub(crate) use place::has_no_state;
#[cfg(feature = "cli")]
pub use place::state_directory_around;
pub(crate) use reader::{Durable, Reader};
pub(crate) use record::{HeadRecord, MoveRecord, Scalars, TreeDigest};
pub(crate) use release::{Commit, Release, ReleasedPositions};
pub(crate) use releases::Releases;
pub(crate) use run_codec::{RunBlock, RunKey, encode_run};
#[cfg(feature = "cli")]
pub use scratch::Scratch;
pub(crate) use sentinel::check_present_format;
pub(crate) use space::{LowSpace, SpaceFloor};
pub(crate) use unpersisted::{Persisted, Receipt, Unpersisted};
use watchdog::Watchdog;
pub(crate) use writer::{Store, StoreTimes};

/// sled's file grows by more than what is written to it; twice is an upper bound of what was seen
/// of a large write. A small database takes several times what it holds.
pub(crate) const SLED_BYTES_A_BYTE: u64 = 2;

/// Opens or creates the state directory, to write to it.
///
/// # Errors
///
/// [`OpenError`], by what stands in the way.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Store, OpenError> {
    let watchdog = Watchdog::start(&options.storage_timeout)?;
    let directory = {
        let _watched = watchdog.watch("locking the directory");
        if !options.must_exist {
            place::check_place(path)?;
        }
        directory::Directory::lock(path, options.must_exist)?
    };
    copy::remove_dead_copies(path);
    Store::open(directory, options, &watchdog)
}
