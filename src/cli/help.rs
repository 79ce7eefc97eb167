//! What the help of several commands shares.

/// The heading of options that few users need.
pub(crate) const RARE: &str = "Rare options";
