//! Writing values of many blocks, one at a time, beside the groups of events: a thread encodes a
//! value, each of the next groups writes some of its blocks, and its header comes last. A value
//! without a header does not exist.

use std::collections::VecDeque;

use xxhash_rust::xxh3::Xxh3;

use crate::error::StorageError;
use crate::store::threads::Aside;

/// A value that is encoded and not yet written.
#[derive(Debug)]
pub(crate) struct Encoded<H, B> {
    pub(crate) header: H,
    /// The blocks that are still to be written.
    pub(crate) blocks: VecDeque<B>,
}

/// The digest that a header has of its blocks: XXH3 over their checksums.
pub(crate) fn digest_of(checksums: impl Iterator<Item = u64>) -> u64 {
    let mut digest = Xxh3::new();
    checksums.for_each(|checksum| digest.update(&checksum.to_le_bytes()));
    digest.digest()
}

/// Writes values to the store, one at a time.
#[derive(Debug)]
pub(crate) struct BlockWriter<H, B>(Stage<H, B>);

#[derive(Debug)]
enum Stage<H, B> {
    Idle,
    Encoding(Aside<Result<Encoded<H, B>, StorageError>>),
    Writing(Encoded<H, B>),
}

impl<H, B> Default for BlockWriter<H, B> {
    fn default() -> Self {
        Self(Stage::Idle)
    }
}

impl<H: Send + 'static, B: Send + 'static> BlockWriter<H, B> {
    /// True if no value is encoded or written.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.0, Stage::Idle)
    }

    /// Starts to encode a value, on a thread of this name.
    pub(crate) fn begin(
        &mut self,
        name: &str,
        encode: impl FnOnce() -> Result<Encoded<H, B>, StorageError> + Send + 'static,
    ) {
        self.0 = Stage::Encoding(Aside::start(name, encode));
    }

    /// The value in progress, once it is encoded.
    ///
    /// # Errors
    ///
    /// The error of encoding it.
    pub(crate) fn encoded(&mut self) -> Result<Option<&mut Encoded<H, B>>, StorageError> {
        if matches!(&self.0, Stage::Encoding(encoding) if encoding.is_finished()) {
            self.wait()?;
        }
        Ok(match &mut self.0 {
            Stage::Writing(encoded) => Some(encoded),
            Stage::Idle | Stage::Encoding(_) => None,
        })
    }

    /// Waits until the value in progress is encoded.
    ///
    /// # Errors
    ///
    /// The error of encoding it.
    pub(crate) fn wait(&mut self) -> Result<(), StorageError> {
        self.0 = match std::mem::replace(&mut self.0, Stage::Idle) {
            Stage::Encoding(encoding) => {
                let encoded = encoding.join();
                Stage::Writing(encoded.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?)
            }
            stage => stage,
        };
        Ok(())
    }

    /// Takes at most this many of the next blocks, and with the last of them the header.
    pub(crate) fn next(&mut self, most: usize) -> (Vec<B>, Option<H>) {
        let Stage::Writing(encoded) = &mut self.0 else {
            return (Vec::new(), None);
        };
        let count = encoded.blocks.len().min(most);
        let blocks = encoded.blocks.drain(..count).collect();
        let is_last = encoded.blocks.is_empty();
        let header = is_last.then(|| self.give_up()).flatten();
        (blocks, header)
    }

    /// Stops writing the value in progress, and returns its header. A value that is not encoded
    /// yet stays in progress.
    pub(crate) fn give_up(&mut self) -> Option<H> {
        match std::mem::replace(&mut self.0, Stage::Idle) {
            Stage::Writing(encoded) => Some(encoded.header),
            stage => {
                self.0 = stage;
                None
            }
        }
    }
}

impl<H, B> Drop for BlockWriter<H, B> {
    /// Waits for the thread that encodes: its reader keeps the database open.
    fn drop(&mut self) {
        if let Stage::Encoding(encoding) = std::mem::replace(&mut self.0, Stage::Idle) {
            // Its result is not needed any more.
            encoding.wait();
        }
    }
}
