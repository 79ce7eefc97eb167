//! The limits of what can be stored. They belong to the protocol and to the disk format, as a block
//! must have room for the longest event.

/// The longest event id, in bytes of UTF-8.
pub const MAX_EVENT_ID_BYTES: usize = 512;
/// The longest word, in bytes of UTF-8.
pub const MAX_WORD_BYTES: usize = 1024;
/// The longest checkpoint name, in bytes of UTF-8.
pub const MAX_CHECKPOINT_ID_BYTES: usize = 256;
/// The longest source position, in bytes. It is short, as it is written with every transaction.
pub const MAX_SOURCE_BYTES: usize = 1024;
