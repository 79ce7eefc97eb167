//! The tests that drive the real program, against an oracle that shares no code with it.
//!
//! This page is their table of contents: a group for each subject, and what each module proves.

// What the tests are made of.

/// The kit: processes, clients, requests, directories, and the exit statuses. It has no tests.
mod kit;
/// The oracle: section 4 of the protocol page as plain sets and lists.
mod oracle;

// The protocol.

/// The bytes of replies and of a dump are those of the files in `data/golden`.
mod golden_files;
/// Random sequences of requests, restarts and kills are answered as the oracle answers them.
mod model;
/// Each rule of the protocol page holds.
mod protocol;
/// The counts of real text are those of coreutils, though it came twice and shuffled.
mod word_counts;

// Crashes, power cuts and faults.

/// After SIGKILL at any system call the state has every answered request, counted once.
mod crash;
/// A damaged directory has everything, or is refused, or `verify` names the damage.
mod damage;
/// A damaged page that no answer needs is named, and a compaction or a backup leaves it out.
mod damaged_page;
/// A full disk, a lost directory, a clock that jumps and an endless input cost no answer.
mod environment;
/// Whatever write or sync fails, the node answers nothing that is not kept.
mod faults;
/// After a power cut the state has every answered request.
mod power;
/// A long run with kills answers right, and its memory and disk stay in proportion.
mod soak;
/// No reply is written before the fdatasync of its group has returned.
mod sync_before_reply;
/// An error of the system over a sound directory is told with what helps, not as damage.
mod system_errors;
/// At every limit of threads a command works, or ends with a line and a sound state.
mod thread_limit;

// The state directory.

/// Directories that are foreign, incomplete or held are refused and stay as they are.
mod directory;
/// What root makes in a directory of another user belongs to that user.
mod file_ownership;
/// A directory of format 4 is shown and never changed, and its dump can be loaded.
mod format4;
/// A compaction, a load and a backup touch only what they made, also when they are killed.
mod generations;
/// Whatever runs the index of ids has, no reply and no dump shows them.
mod id_index;
/// A command leaves no files, and the next one removes what SIGKILL left.
mod leftovers;
/// A command on a held directory names the holder, and what user can ask it.
mod lock_holder;
/// Processes keep their state when a directory is moved or compacted under them.
mod moved_directory;
/// Commands that only look change no byte, and need no right to write.
mod read_only_commands;

// The commands.

/// With autocommit each output is released with its event, and once.
mod autocommit;
/// `bench` tells its figures and removes what it made.
mod bench;
/// `checkpoints save`, `restore` and `delete` do the same as the requests.
mod checkpoint_commands;
/// `dump` shows the same bytes for the same requests, and changes nothing.
mod dump;
/// `completions` and `man` know every command.
mod generated_docs;
/// The help of each command says what it is for, and its examples work.
mod help_examples;
/// A message tells the cure that fits the command.
mod messages;
/// The figures for Prometheus are right, and their text is valid.
mod metrics;
/// `outputs --after` goes on after the consumer's last line, or refuses another log.
mod output_cursor;
/// `outputs`, `checkpoints` and `get` show what the requests have made.
mod queries;
/// Time and memory grow with what is shown, not with a product of two sizes.
mod scaling;
/// `stats` tells the same of a running process and of a directory at rest.
mod stats;
/// A terminal gets colours and redrawn figures, and no control character of a user's text.
mod terminal;
/// A state moves as a whole or not at all: `dump`, `load`, `backup` and `compact`.
mod transfer;
/// `verify` finds a sound directory clean, and names what is wrong with another.
mod verify;

// Standard input, output and error.

/// A node whose standard output is not taken goes on with the rest, and can be ended.
mod stalled_stdout;
/// A log that is not read, and streams that do not wait, lose no reply.
mod standard_streams;
/// Every command prints all it has to print, or ends with an error.
mod stdout;

// Clients beside standard input.

/// A consumer that follows the outputs has each once, whichever side is killed.
mod consumer;
/// All clients of the control socket and standard input have one order of requests.
mod control;

// The library.

/// A program that reads a reply before it is stored does not compile.
mod compile_fail;
/// A program that embeds the library counts a log and its clients once, across kills.
mod embedding_program;
/// The library alone answers in batches, durably and with typed errors.
mod library;
/// Many threads share one handle: each call is answered once it is durable, and counted once.
mod shared_handle;
