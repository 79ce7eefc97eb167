//! The programs in `tests/programs`, which use the library: how they are built and found.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The path of a source in `tests/programs`.
pub fn source(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/programs").join(name)
}

/// The compiler that cargo uses.
pub fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// Builds a program in `tests/programs`, unless a whole run of the tests has, and returns what
/// cargo prints.
fn build(name: &str) -> String {
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    build.args([
        "build",
        "--locked",
        "--message-format",
        "json",
        "--example",
        name,
    ]);
    if folder().ends_with("release") {
        build.arg("--release");
    }
    let built = build.output().expect("cargo can be started");
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{errors}");
    String::from_utf8(built.stdout).expect("it is JSON")
}

/// The folder in which the programs are built.
pub fn folder() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_exactly-once"));
    binary.parent().expect("it is in a folder").to_owned()
}

/// Builds a program in `tests/programs`; returns a call of it.
pub fn program(name: &str) -> Command {
    build(name);
    Command::new(folder().join("examples").join(name))
}

/// The path of the library that the programs are built with.
pub fn library() -> String {
    let messages = build("reply_after_wait");
    let messages = messages.lines().map(serde_json::from_str::<Value>);
    let mut artifacts = messages.map(|message| message.expect("it is JSON"));
    let is_library = |message: &Value| {
        let target = &message["target"];
        target["name"] == "exactly_once" && target["kind"][0] == "lib"
    };
    let library = artifacts
        .find(is_library)
        .expect("cargo names what it has built");
    let files = library["filenames"].as_array().expect("a list");
    let files = files.iter().filter_map(Value::as_str);
    let mut libraries = files.filter(|file| file.ends_with(".rlib"));
    libraries.next().expect("it is a library").to_owned()
}
