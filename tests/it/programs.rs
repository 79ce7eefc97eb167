//! Programs that use the library: tests run and kill them, and one of them must not compile.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::client::scratch_dir;

/// Builds the program of this name in `tests/programs`, unless a whole run of the tests has, and
/// gives what cargo says of it.
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

/// Where the programs are built.
fn folder() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_exactly-once"));
    binary.parent().expect("it is in a folder").to_owned()
}

/// The program of this name in `tests/programs`.
pub fn program(name: &str) -> Command {
    build(name);
    Command::new(folder().join("examples").join(name))
}

/// The library as the programs are built with it.
fn library() -> String {
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

/// Compiles a source in `tests/programs` against the library.
fn compile(name: &str, library: &str) -> Output {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/programs")
        .join(name);
    let out = tempfile::tempdir().expect("there is room");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut compile = Command::new(rustc);
    compile
        .args(["--edition", "2024", "--emit", "metadata", "--out-dir"])
        .arg(out.path());
    compile.arg("-L").arg(folder().join("deps"));
    compile
        .arg("--extern")
        .arg(format!("exactly_once={library}"));
    compile.arg(source).output().expect("rustc can be started")
}

#[test]
fn a_reply_cannot_be_read_before_it_is_on_stable_storage() {
    let [after, before] = ["reply_after_wait.rs", "reply_before_wait.rs"];
    let read = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/programs")
            .join(name);
        let text = fs::read_to_string(path).expect("it is there");
        let code = text.lines().filter(|line| !line.starts_with("//!"));
        code.map(str::to_owned).collect::<Vec<_>>()
    };
    let lines = read(after).into_iter().zip(read(before));
    let differing: Vec<_> = lines.filter(|(after, before)| after != before).collect();
    let line = |code: &str| format!("    let answer: Result<Processed, Refusal> = {code};");
    assert_eq!(differing, [(line("pending.wait()?"), line("pending"))]);

    let home = scratch_dir();
    let mut run = program("reply_after_wait");
    let run = run
        .arg(home.path().join("data"))
        .output()
        .expect("it is built");
    let accepted = "Ok(Processed { count: 1, outcome: Accepted })\n";
    assert_eq!(String::from_utf8_lossy(&run.stdout), accepted);
    let library = library();
    let compiled = compile(after, &library);
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{said}");
    let refused = compile(before, &library);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "it compiles");
    let expected =
        "expected `Result<Processed, Refusal>`, found `Pending<Result<Processed, Refusal>>`";
    for part in ["error[E0308]: mismatched types", expected] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
