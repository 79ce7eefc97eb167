//! The limits of what can be stored. They are part of the protocol, and of the format: a block
//! must hold the longest event.

/// The longest event id, in bytes of UTF-8.
pub const MAX_EVENT_ID_BYTES: usize = 512;
/// The longest word, in bytes of UTF-8.
pub const MAX_WORD_BYTES: usize = 1024;
/// The longest checkpoint name, in bytes of UTF-8.
pub const MAX_CHECKPOINT_ID_BYTES: usize = 256;
/// The longest source position, in bytes: it is part of a record written with every group.
pub const MAX_SOURCE_BYTES: usize = 1024;
