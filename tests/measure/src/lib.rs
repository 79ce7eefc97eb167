//! What the programs `peers` and `scale` share.
//!
//! ```text
//! event, request   what is sent, from a counter and without memory of what was sent before
//! node             the real binary as a process: from a file to a file
//! conversation     the same on pipes: lone requests, streams, and an end by SIGKILL
//! tally            what came back
//! memory, disk, machine, quantile        what is read off beside it
//! reply                                  what each event must be answered, and what it was
//! peer, contest, standings               the same job by other stores: `peers`
//! growth                                 the same directory at growing sizes: `scale`
//! chart                                  pictures of either; knows nothing of what is measured
//! ```
//!
//! Nothing here knows the source of the main package: its binary is measured from outside.

pub mod chart;
pub mod contest;
pub mod conversation;
pub mod disk;
pub mod event;
pub mod growth;
pub mod machine;
pub mod memory;
pub mod node;
pub mod peer;
pub mod quantile;
pub mod reply;
pub mod request;
pub mod standings;
pub mod tally;
