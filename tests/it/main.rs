//! The tests that drive the real binary, against an oracle that shares no code with it.

mod bench;
mod calls;
mod campaign;
mod client;
mod command;
mod crash;
mod damage;
mod directory;
mod dump;
mod environment;
mod faults;
mod golden;
mod index;
mod library;
mod look;
mod model;
mod oracle;
mod order;
mod power;
mod preload;
mod protocol;
mod soak;
mod streams;
mod text;
mod verify;
