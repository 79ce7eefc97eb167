//! The subcommands, a file or a folder each.

pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod checkpoints;
pub(crate) mod commit;
pub(crate) mod compact;
pub(crate) mod counts;
pub(crate) mod dump;
pub(crate) mod generated;
pub(crate) mod get;
mod graph;
pub(crate) mod load;
pub(crate) mod metrics_file;
pub(crate) mod outputs;
pub(crate) mod ping;
mod prometheus;
pub(crate) mod run;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod stats;
pub(crate) mod upgrade;
pub(crate) mod verify;
