//! The durable part: the only module that knows sled.
//!
//! A [`Store`] belongs to the one thread that persists groups. Meanwhile any number of [`Reader`]s
//! read what is durable. The store has three parts: [`bytes`] is the disk format, [`database`]
//! calls sled, and [`directory`] manages the files around the database. What sled guarantees, and
//! what it does not, determines each step of opening and of persisting ([`writer`]).

mod block_writer;
mod blocks_in_order;
mod build;
pub(crate) mod bytes;
pub(crate) mod cache;
mod copy;
mod database;
mod decode;
mod directory;
mod format4;
mod group;
mod locked;
mod options;
mod read_plan;
mod reader;
mod release;
mod releases;
mod run_reader;
mod storage_timeout;
pub(crate) mod threads;
mod transaction;
mod unpersisted;
mod watchdog;
mod writer;

use std::path::Path;

use crate::error::OpenError;
pub(crate) use block_writer::{BlockWriter, Encoded, digest_of};
pub(crate) use build::BuildSite;
#[cfg(feature = "cli")]
pub use bytes::FORMAT;
pub(crate) use bytes::counts::{CountsBlock, encode_counts};
pub(crate) use bytes::record::{HeadRecord, Scalars, SwitchRecord, TreeDigest};
pub(crate) use bytes::run::{RunBlock, RunHeader, RunKey, RunNumber, encode_run};
pub(crate) use copy::RestingCopy;
#[cfg(feature = "cli")]
pub use database::call::panic_becomes_error;
pub(crate) use decode::{LiveSets, Stored};
#[cfg(feature = "cli")]
pub use directory::glance::{check_at_rest, watermark_of};
pub(crate) use directory::identity::FileIdentity;
pub(crate) use directory::leftover::file_changes;
#[cfg(feature = "cli")]
pub use directory::leftover::remove_leftovers;
pub(crate) use directory::place::can_take_state;
#[cfg(feature = "cli")]
pub use directory::place::state_directory_around;
#[cfg(feature = "cli")]
pub use directory::scratch::Scratch;
pub(crate) use directory::sentinel::check_present_format;
pub(crate) use directory::space::{LowSpace, SpaceFloor};
pub(crate) use group::{Checkpoint, Group, RunWrites, SnapshotHeader, SnapshotWrites, Switch};
pub use locked::{Kept, LockedDirectory};
pub use options::Options;
pub(crate) use read_plan::{MAX_CANDIDATES, PlanRead, ReadPlan};
pub(crate) use reader::{Durable, DurableState, Reader};
pub(crate) use release::{Commit, Release, ReleasedPositions};
pub(crate) use releases::Releases;
pub use storage_timeout::{OnTimeout, StorageTimeout};
pub(crate) use unpersisted::{Persisted, Receipt, Unpersisted};
use watchdog::Watchdog;
pub(crate) use writer::{Store, StoreTimes};

/// sled's file grows by more than what is written to it: by at most twice as much in all large
/// writes that were measured. A small database takes several times its contents.
pub(crate) const SLED_BYTES_A_BYTE: u64 = 2;

/// Opens or creates the state directory for writing.
///
/// # Errors
///
/// [`OpenError`], whose variant says why.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Store, OpenError> {
    let watchdog = Watchdog::start(&options.storage_timeout)?;
    let directory = {
        let _watched = watchdog.watch("locking the directory");
        if !options.must_exist {
            directory::place::check_place(path)?;
        }
        directory::Directory::lock(path, options.must_exist)?
    };
    copy::remove_dead_copies(path);
    Store::open(directory, options, &watchdog)
}
