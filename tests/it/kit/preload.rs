//! Libraries that are preloaded into the real process, to see and change its system calls.

use super::programs::rustc;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Returns the library of this name, compiled from the file `source` in `tests/it`. It is compiled
/// once for each run of the tests.
pub fn library(name: &'static str, source: &str) -> PathBuf {
    static COMPILED: Mutex<BTreeMap<&str, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().expect("every library compiles");
    compiled
        .entry(name)
        .or_insert_with(|| compile(name, source))
        .clone()
}

/// Compiles a library, and replaces that of an earlier run in one step: another run of the tests
/// may be using it.
fn compile(name: &str, source: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it")
        .join(source);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let new = directory.join(format!("{name}-{}.so", std::process::id()));
    let mut compile = rustc();
    compile.args(["--crate-type", "cdylib", "--crate-name", name]);
    compile.args(["-O", "--edition", "2024", "-o"]).arg(&new);
    let output = compile.arg(source).output().expect("rustc can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let library = directory.join(format!("{name}.so"));
    fs::rename(&new, &library).expect("the library can be replaced");
    library
}
