//! The tests drive the real program and compare it with an oracle that shares no code with it.
//!
//! This page is their table of contents: it says what each module proves, in a group per subject.

// Tools of the tests.

/// The kit has processes, clients, requests, directories and exit statuses, and no tests.
mod kit;
/// The oracle is section 4 of the protocol page as plain sets and lists.
mod oracle;

// The protocol.

/// Replies and a dump have the same bytes as the files in `data/golden`.
mod golden_files;
/// The program answers random sequences of requests, restarts and kills as the oracle does.
mod model;
/// The program keeps each rule of the protocol page.
mod protocol;
/// The words of a text are counted as coreutils count them.
mod word_counts;

// Crashes, power cuts and faults.

/// After SIGKILL at any system call the state has every answered request, counted once.
mod crash;
/// A damaged directory still has everything, or is refused, or `verify` names the damage.
mod damage;
/// `verify` names a damaged page that no reply needs; a compaction or a backup leaves it out.
mod damaged_page;
/// A full disk, a removed directory, a jumping clock or an endless input loses no answered request.
mod environment;
/// If any write or sync fails, every answered request is still kept.
mod faults;
/// After a power cut the state has every answered request.
mod power;
/// In a long run with kills all replies are right, and memory and disk stay within bounds.
mod soak;
/// Under a supervisor, a service that is killed counts and releases each line of its senders once.
mod supervised;
/// No reply is written before the fdatasync of its group has returned.
mod sync_before_reply;
/// If a system call fails, the message says what helps and does not speak of damage.
mod system_errors;
/// Under each limit of threads a command works, or ends with one line and leaves the state sound.
mod thread_limit;

// The state directory.

/// A directory that is foreign, locked or has lost data is refused and stays as it is.
mod directory;
/// Files that root makes in a directory of another user belong to that user.
mod file_ownership;
/// A directory of format 4 can be read, dumped and upgraded, and nothing else changes it.
mod format4;
/// A compaction, a load or a backup changes only what it made, also when it is killed.
mod generations;
/// No reply and no dump depends on how the index of ids is stored.
mod id_index;
/// A command leaves no files, and after SIGKILL the next command removes them.
mod leftovers;
/// A command on a locked directory names the process that has it, and the user who can ask it.
mod lock_holder;
/// Processes keep their state when their directory is moved or compacted.
mod moved_directory;
/// Old events in any order are answered right, however little memory there is.
mod old_events;
/// Read-only commands change no byte, and need no permission to write.
mod read_only_commands;

// The commands.

/// With autocommit each output is released once, with its event.
mod autocommit;
/// `bench` prints its figures and removes what it made.
mod bench;
/// `checkpoints save`, `restore` and `delete` do the same as the requests.
mod checkpoint_commands;
/// `dump` shows the same bytes for the same requests, and changes nothing.
mod dump;
/// `completions` and `man` cover every command.
mod generated_docs;
/// The help of each command says what it is for, and its examples work.
mod help_examples;
/// `import` counts data in its own form as its records are, and each line of a log once.
mod import;
/// A message names the cure that fits the command.
mod messages;
/// The figures for Prometheus are right, and their text is valid.
mod metrics;
/// `outputs --after` goes on after a consumer's last line, and refuses the line of another log.
mod output_cursor;
/// `outputs`, `checkpoints` and `get` show the results of the requests.
mod queries;
/// The README's lines print what it shows.
mod readme;
/// Time and memory grow with what is shown, not with a product of two sizes.
mod scaling;
/// `send` counts each event once whatever becomes of the node, and repeats nothing else.
mod send;
/// `serve` answers clients until a signal, and `ping` says if a node answers.
mod service;
/// `stats` shows the same of a running process and of its directory at rest.
mod stats;
/// A terminal gets colours and redrawn figures, and no control character of a user's text.
mod terminal;
/// `dump`, `load`, `backup` and `compact` transfer a state as a whole or not at all.
mod transfer;
/// `verify` finds a sound directory clean, and names what is wrong with any other.
mod verify;

// Standard input, output and error.

/// A node whose standard output is not read goes on with all else, and can be ended.
mod stalled_stdout;
/// No reply is lost if the log is not read, or if a standard stream is non-blocking.
mod standard_streams;
/// Every command prints all it has to print, or ends with an error.
mod stdout;

// Clients beside standard input.

/// A consumer that follows the outputs gets each once, whichever side is killed.
mod consumer;
/// The requests of all clients and of standard input have one order.
mod control;

// The library.

/// A program that reads a reply before it is durable does not compile.
mod compile_fail;
/// A program that embeds the library counts each event once, across kills.
mod embedding_program;
/// The library answers batches durably and with typed errors, without the program.
mod library;
/// Many threads share an engine: each call is answered once it is durable, and counted once.
mod shared_handle;

// The sources themselves.

/// Files are short and say what they own, modules use only those below them, and words are plain.
mod house;
