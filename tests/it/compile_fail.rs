//! A program that reads a reply before it is on stable storage does not compile.

use crate::kit::{program, programs, scratch_dir};
use std::fs;
use std::process::Output;

/// Compiles a source in `tests/programs` against the library.
fn compile(name: &str, library: &str) -> Output {
    let out = scratch_dir();
    let mut compile = programs::rustc();
    compile
        .args(["--edition", "2024", "--emit", "metadata", "--out-dir"])
        .arg(out.path());
    compile.arg("-L").arg(programs::folder().join("deps"));
    compile
        .arg("--extern")
        .arg(format!("exactly_once={library}"));
    compile
        .arg(programs::source(name))
        .output()
        .expect("rustc can be started")
}

#[test]
fn a_reply_cannot_be_read_before_it_is_on_stable_storage() {
    let [after, before] = ["reply_after_wait.rs", "reply_before_wait.rs"];
    let read = |name: &str| {
        let text = fs::read_to_string(programs::source(name)).expect("it is there");
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
    let library = programs::library();
    let compiled = compile(after, &library);
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{said}");
    let refused = compile(before, &library);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "it must not compile");
    let expected =
        "expected `Result<Processed, Refusal>`, found `Pending<Result<Processed, Refusal>>`";
    for part in ["error[E0308]: mismatched types", expected] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
