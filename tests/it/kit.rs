//! What the tests share: the program as a process, its clients, requests, directories, states, and
//! the exit statuses. It holds no tests.

/// The states that a directory may be in, as far as replies and dumps tell.
pub mod belief;
/// Tests that repeat themselves by chance: how often, on which threads, and their reports.
pub mod campaign;
/// A node whose every reply is held against an oracle.
pub mod checked_node;
/// The program's own list of commands.
pub mod commands;
/// New directories, all that one holds, and copies.
pub mod directory;
/// The reader of `dump`, and its comparison with an oracle.
pub mod dump;
/// The exit statuses.
pub mod exit;
/// Every command on a state directory, and homes in which it succeeds.
pub mod homes;
/// What was sent in one life of a node, and what was answered.
pub mod life;
/// How much memory a process takes.
pub mod memory;
/// A running process that is talked to line by line.
pub mod node;
/// Libraries for `LD_PRELOAD`, and what they have in common.
pub mod preload;
/// A call of every command, and a directory with all that the calls need.
pub mod printing_calls;
/// The program as a process: how it is called, how it ends, what it prints.
pub mod process;
/// The programs in `tests/programs`, which use the library.
pub mod programs;
/// The strict reader of reply lines.
pub mod reply;
/// Requests, as values and as lines, and replies that many tests expect.
pub mod requests;
/// A client of the control socket.
pub mod socket_client;
/// An at-least-once source of requests, by chance.
pub mod source;
/// The state in a directory: how it is made, and what the commands say of it.
pub mod state;
/// A stream of requests that is the same each time.
pub mod stream;
/// Kills a process at one of its system calls, or fails that call.
pub mod syscalls;
/// Waits that end.
pub mod wait;

pub use belief::Belief;
pub use campaign::{caught, kill_within, on_all_threads, setting};
pub use checked_node::CheckedNode;
pub use commands::Listed;
pub use directory::{
    Files, Snapshot, copy, copy_everything, flip_a_bit, golden, home_and_data_dir, install_program,
    names, scratch_dir, set_mode, text,
};
pub use dump::Dump;
pub use homes::{CommandHome, EachCommand, Homes, REQUEST};
pub use life::{Life, Stopped};
pub use memory::Memory;
pub use node::Node;
pub use printing_calls::{CallHome, printing_calls};
pub use process::{
    Finished, Process, binary, finish, on_directory, record_in, records_in, run, run_node, run_on,
    run_pipeline, set_waiting, shell, spawn,
};
pub use programs::program;
pub use reply::ErrorReply;
pub use requests::{
    accepted, checkpoint, duplicate, event, event_line, input_of, line, numbered_event,
    numbered_input, numbered_lines, restore, restored, without_number,
};
pub use socket_client::{SocketClient, dial, node_and_client, records_of};
pub use source::Source;
pub use state::{
    backup, carry_out, digest_line, dump_of, expect_no_damage, expect_no_reply, stats_of, verified,
};
pub use syscalls::{Aim, Beginning, Deed, Fault, Hit, Moment};
pub use wait::{PATIENCE, eventually, wait_for};
