//! Programs that use the library, which tests run and kill.

use std::path::PathBuf;
use std::process::Command;

/// The program of this name in `tests/programs`. A whole run of the tests has built it; a run of
/// some of them has it built here.
pub fn program(name: &str) -> Command {
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    build.args(["build", "--quiet", "--locked", "--example", name]);
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_exactly-once"));
    let folder = binary.parent().expect("it is in a folder");
    if folder.ends_with("release") {
        build.arg("--release");
    }
    let built = build.output().expect("cargo can be started");
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{errors}");
    Command::new(folder.join("examples").join(name))
}
