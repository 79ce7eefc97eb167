//! What the tests share: the program as a process, its clients, requests, directories, states, and
//! exit statuses. It contains no tests.

/// The states that a directory may be in, given the replies and dumps so far.
pub mod belief;
/// Tests that repeat random cases: how often, on which threads, and their reports.
pub mod campaign;
/// A node whose replies are all compared with an oracle's.
pub mod checked_node;
/// The commands as the program itself lists them.
pub mod commands;
/// New directories, their contents, and copies.
pub mod directory;
/// Reads dumps and compares them with an oracle.
pub mod dump;
/// The exit statuses.
pub mod exit;
/// Every command on a state directory, and homes in which it succeeds.
pub mod homes;
/// The requests of one life of a node, and the replies.
pub mod life;
/// The memory of a process.
pub mod memory;
/// A running process to which tests send lines and whose lines they read.
pub mod node;
/// A command on a terminal.
pub mod on_terminal;
/// Libraries for `LD_PRELOAD`, and what they share.
pub mod preload;
/// A call of every command, and a directory with all that the calls need.
pub mod printing_calls;
/// The program as a process: how it is called, how it ends, what it prints.
pub mod process;
/// The programs in `tests/programs`, which use the library.
pub mod programs;
/// Reads reply lines strictly.
pub mod reply;
/// Requests, as values and as lines, and replies that many tests expect.
pub mod requests;
/// A client of the control socket.
pub mod socket_client;
/// A source of random requests that delivers each at least once.
pub mod source;
/// The state in a directory: how it is made, and what the commands print about it.
pub mod state;
/// A stream of requests that is the same each time.
pub mod stream;
/// Kills a process at one of its system calls, or makes that call fail.
pub mod syscalls;
/// Waiting with a time limit.
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
pub use on_terminal::OnTerminal;
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
